from typing import get_args

import numpy as np
import pytest

from neurosim.networks.losses import LOSSES
from neurosim.recipes import Recipe

Z = np.random.default_rng(0).standard_normal((6, 4)) * 3
Y = np.eye(4)[[0, 1, 2, 3, 0, 1]]


def test_the_table_has_a_row_for_every_loss_of_a_recipe():
    assert set(LOSSES) == set(get_args(Recipe.model_fields["loss"].annotation))


@pytest.mark.parametrize("name", LOSSES)
def test_the_derivative_of_every_loss_is_output_minus_target(name):
    row = LOSSES[name]
    for output in range(4):
        shift = 1e-6 * np.eye(4)[output]
        difference = (row.loss(Z + shift, Y) - row.loss(Z - shift, Y)) / 2e-6
        np.testing.assert_allclose((row.predict(Z) - Y)[:, output], difference, atol=1e-8)


def test_losses_are_their_formulas():
    softmax, sigmoid = LOSSES["softmax"].predict(Z), LOSSES["sigmoid"].predict(Z)
    binary = -(Y * np.log(sigmoid) + (1 - Y) * np.log(1 - sigmoid)).sum(axis=1)
    np.testing.assert_allclose(LOSSES["softmax"].loss(Z, Y), -np.log(softmax[Y == 1]))
    np.testing.assert_allclose(LOSSES["sigmoid"].loss(Z, Y), binary)
    np.testing.assert_allclose(LOSSES["squared"].loss(Z, Y), ((Z - Y) ** 2).sum(axis=1) / 2)


@pytest.mark.parametrize("name", ["softmax", "sigmoid"])
def test_large_sums_give_finite_losses_and_outputs(name):
    z, y = np.array([[1e4, -1e4]]), np.array([[0.0, 1.0]])
    np.testing.assert_allclose(LOSSES[name].predict(z), [[1, 0]])
    assert np.isfinite(LOSSES[name].loss(z, y)).all()


@pytest.mark.parametrize("name", LOSSES)
def test_outputs_keep_the_type_and_losses_are_float64(name):
    z, y = Z.astype(np.float32), Y.astype(np.float32)
    assert LOSSES[name].predict(z).dtype == np.float32
    assert LOSSES[name].loss(z, y).dtype == np.float64


def test_softmax_alone_needs_an_exchange_between_the_output_cores():
    assert [name for name, row in LOSSES.items() if row.exchange] == ["softmax"]
