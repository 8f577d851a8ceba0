import numpy as np
import pytest

from neurosim.kernels import dense
from neurosim.networks.activations import ACTIVATIONS

SUMS = np.linspace(-12, 12, 200_001).astype(np.float32)


def activated(name, z):
    h = z.reshape(1, -1).copy()
    getattr(dense, f"activate_{ACTIVATIONS[name].kernel}")(h, np.zeros(z.size, z.dtype))
    return h[0]


def test_the_rational_tanh_is_accurate_to_3e_7():
    exact, approximate = np.tanh(SUMS.astype(np.float64)), activated("tanh", SUMS)
    assert np.abs(approximate - exact).max() < 3e-7
    away_from_zero = SUMS != 0
    assert np.abs(approximate / np.where(away_from_zero, exact, 1) - 1)[away_from_zero].max() < 3e-7


def test_the_rational_tanh_is_odd_and_keeps_zero_infinities_and_nan():
    np.testing.assert_array_equal(activated("tanh", SUMS), -activated("tanh", -SUMS))
    ends = activated("tanh", np.array([0, np.inf, -np.inf, np.nan], np.float32))
    np.testing.assert_allclose(ends, [0, 1, -1, np.nan], atol=3e-7)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_kernel_agrees_with_its_row_of_the_table(name):
    wanted = ACTIVATIONS[name].function(SUMS.astype(np.float64))
    np.testing.assert_allclose(activated(name, SUMS), wanted, rtol=3e-7, atol=3e-7)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_kernel_adds_the_biases_of_its_columns(name):
    z, biases = np.zeros((3, 4), np.float32), np.array([-1, 0, 1, 2], np.float32)
    getattr(dense, f"activate_{ACTIVATIONS[name].kernel}")(z, biases)
    np.testing.assert_allclose(z, np.tile(ACTIVATIONS[name].function(biases), (3, 1)), atol=3e-7)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "relu", "linear"])
def test_nan_stays_nan_in_every_activation(name):
    assert np.isnan(activated(name, np.array([np.nan], np.float32)))[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_error_kernel_multiplies_with_the_slope_of_the_table(name, dtype):
    generator = np.random.default_rng(0)
    delta, h = (generator.standard_normal((5, 7)).astype(dtype) for _ in range(2))
    wanted = delta * ACTIVATIONS[name].slope(dtype(0.5) * h)
    getattr(dense, f"error_{ACTIVATIONS[name].kernel}")(delta, h, dtype(0.5))
    np.testing.assert_allclose(delta, wanted, rtol=1e-5 if dtype is np.float32 else 1e-12)
    assert delta.dtype == dtype


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_kernels_take_parts_that_are_not_contiguous(name):
    whole, part = np.random.default_rng(0).standard_normal((2, 6, 9)).astype(np.float32)
    part[:] = whole
    biases = np.arange(9, dtype=np.float32)
    activate = getattr(dense, f"activate_{ACTIVATIONS[name].kernel}")
    activate(whole, biases)
    activate(part[2:5, 3:8], biases[3:8])
    np.testing.assert_array_equal(part[2:5, 3:8], whole[2:5, 3:8])


@pytest.mark.parametrize("connections", [1, 2, 4])
def test_the_sparse_product_is_the_dense_one_with_zeros(connections):
    generator = np.random.default_rng(0)
    source, value = generator.standard_normal((5, 4)), generator.standard_normal((7, connections))
    index = np.sort(generator.permuted(np.tile(np.arange(4), (7, 1)), axis=1)[:, :connections], axis=1)
    rows, delta = np.zeros((7, 4)), np.empty((5, 7))
    np.put_along_axis(rows, index, value, axis=1)
    dense.sparse_product(source, index, value, delta)
    np.testing.assert_allclose(delta, source @ rows.T, rtol=1e-12)
