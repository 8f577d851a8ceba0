"""Each kernel against its formula written with whole arrays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosim.kernels import optimizers

SIZE = 37


def arrays(count, dtype=np.float64):
    generator = np.random.default_rng(count)
    return [generator.standard_normal(SIZE).astype(dtype) for _ in range(count)]


def test_sgd():
    weights, gradient = arrays(2)
    wanted = weights - 0.1 * gradient
    optimizers.sgd(weights, gradient, np.array([0.1, 0, np.inf]))
    np.testing.assert_allclose(weights, wanted, rtol=1e-14)


def test_momentum():
    weights, gradient, velocity = arrays(3)
    wanted = 0.9 * velocity + gradient
    after = weights - 0.1 * wanted
    optimizers.momentum(weights, gradient, velocity, np.array([0.1, 0, np.inf, 0.9]))
    np.testing.assert_allclose(velocity, wanted, rtol=1e-12)
    np.testing.assert_allclose(weights, after, rtol=1e-12)


def test_rmsprop():
    weights, gradient, square = arrays(3)
    square **= 2
    wanted = 0.99 * square + 0.01 * gradient**2
    after = weights - 0.1 * gradient / (np.sqrt(wanted) + 1e-3)
    optimizers.rmsprop(weights, gradient, square, np.array([0.1, 0, np.inf, 0.99, 0.01, 1e-3]))
    np.testing.assert_allclose(square, wanted, rtol=1e-12)
    np.testing.assert_allclose(weights, after, rtol=1e-12)


def test_adam():
    weights, gradient, mean, square = arrays(4)
    square **= 2
    wanted_mean, wanted_square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
    after = weights - 0.1 * wanted_mean / (2.0 * np.sqrt(wanted_square) + 1e-3)
    numbers = np.array([0.1, 0, np.inf, 0.9, 0.1, 0.999, 0.001, 1e-3, 2.0])
    optimizers.adam(weights, gradient, mean, square, numbers)
    np.testing.assert_allclose(mean, wanted_mean, rtol=1e-12)
    np.testing.assert_allclose(weights, after, rtol=1e-12)


STATES = {"sgd": 0, "momentum": 1, "rmsprop": 1, "adam": 2}
OWN_NUMBERS = [0.9, 0.1, 0.999, 0.001, 1e-3, 2.0]


@pytest.mark.parametrize("name", STATES)
@given(st.floats(0, 1), st.floats(0.01, 2))
def test_clipping_comes_first_and_decay_is_added_to_the_clipped_gradient(name, decay, clip):
    weights, gradient = arrays(2)
    kernel, states = getattr(optimizers, name), [[np.zeros(SIZE) for _ in range(STATES[name])] for _ in range(2)]
    plain, combined = weights.copy(), np.clip(gradient, -clip, clip) + decay * weights
    kernel(weights, gradient, *states[0], np.array([0.1, decay, clip, *OWN_NUMBERS]))
    kernel(plain, combined, *states[1], np.array([0.1, 0, np.inf, *OWN_NUMBERS]))
    np.testing.assert_allclose(weights, plain, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", STATES)
def test_float32_stays_float32_and_near_float64(name):
    results = []
    for dtype in (np.float32, np.float64):
        weights, gradient = arrays(2, dtype)
        states = [np.zeros(SIZE, dtype) for _ in range(STATES[name])]
        getattr(optimizers, name)(weights, gradient, *states, np.array([0.1, 0, np.inf, *OWN_NUMBERS], dtype))
        results.append(weights)
    np.testing.assert_allclose(results[0], results[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", STATES)
def test_nan_in_a_gradient_is_not_clipped_away(name):
    weights, gradient = np.zeros(1), np.array([np.nan])
    states = [np.zeros(1) for _ in range(STATES[name])]
    getattr(optimizers, name)(weights, gradient, *states, np.array([0.1, 0, 1.0, *OWN_NUMBERS]))
    assert np.isnan(weights[0])
