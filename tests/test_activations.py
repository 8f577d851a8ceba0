from typing import get_args

import numpy as np
import pytest

from neurosim.networks import Activation
from neurosim.networks.activations import ACTIVATIONS


def test_the_table_has_a_row_for_every_activation_of_a_network():
    assert set(ACTIVATIONS) == set(get_args(Activation))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_slope_made_from_the_output_is_the_derivative(name):
    row, z = ACTIVATIONS[name], np.linspace(-3, 3, 100)
    difference = (row.function(z + 1e-6) - row.function(z - 1e-6)) / 2e-6
    np.testing.assert_allclose(row.slope(row.function(z)), difference, atol=1e-9)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_functions_keep_the_type(name, dtype):
    assert ACTIVATIONS[name].function(np.ones(3, dtype)).dtype == dtype


def test_sigmoid_does_not_overflow():
    np.testing.assert_allclose(ACTIVATIONS["sigmoid"].function(np.array([-1e4, 0, 1e4])), [0, 0.5, 1])


def test_relu_has_no_slope_at_zero():
    assert ACTIVATIONS["relu"].slope(np.zeros(1))[0] == 0
