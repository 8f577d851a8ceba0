"""Kernels of dense layers around the matrix products: bias and activation in one pass, error and slope in one pass.

The products themselves are BLAS calls on whole arrays. Rows are samples. The kernels ``activate_*`` are for float32
only: in float64, where full precision is wanted, NumPy's own functions are used.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.kernels import Array, kernel

ONE = np.float32(1.0)
HALF = np.float32(0.5)
ZERO = np.float32(0.0)

# tanh x = x P(x^2)/Q(x^2) on [-BOUND, BOUND], where float32 tanh has become 1: the rational minimax approximation that
# Eigen uses (Eigen/src/Core/MathFunctionsImpl.h). Unlike a call of tanh, the compiler can turn it into vector
# instructions. Absolute and relative error stay under 3e-7 (tests/test_kernels_dense.py).
BOUND = np.float32(7.90531110763549805)
P1 = np.float32(4.89352455891786e-03)
P3 = np.float32(6.37261928875436e-04)
P5 = np.float32(1.48572235717979e-05)
P7 = np.float32(5.12229709037114e-08)
P9 = np.float32(-8.60467152213735e-11)
P11 = np.float32(2.00018790482477e-13)
P13 = np.float32(-2.76076847742355e-16)
Q0 = np.float32(4.89352518554385e-03)
Q2 = np.float32(2.26843463243900e-03)
Q4 = np.float32(1.18534705686654e-04)
Q6 = np.float32(1.19825839466702e-06)


@kernel
def rational_tanh(x: Any) -> Any:
    """Return tanh x of a float32; the comparisons are written so that NaN stays NaN."""
    x = BOUND if x > BOUND else x
    x = -BOUND if x < -BOUND else x
    q = x * x
    numerator = ((((((P13 * q + P11) * q + P9) * q + P7) * q + P5) * q + P3) * q + P1) * x
    return numerator / (((Q6 * q + Q4) * q + Q2) * q + Q0)


@kernel
def activate_tanh(z: Array, biases: Array) -> None:
    """Set z [p, a] to tanh(z + b), b [a]."""
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            z[i, j] = rational_tanh(z[i, j] + biases[j])


@kernel
def activate_sigmoid(z: Array, biases: Array) -> None:
    """Set z to 1/(1 + exp(-(z + b))), written with tanh."""
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            z[i, j] = HALF * rational_tanh(HALF * (z[i, j] + biases[j])) + HALF


@kernel
def activate_relu(z: Array, biases: Array) -> None:
    """Set z to max(z + b, 0); NaN stays NaN."""
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            x = z[i, j] + biases[j]
            z[i, j] = ZERO if x < ZERO else x


@kernel
def activate_linear(z: Array, biases: Array) -> None:
    """Set z to z + b."""
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            z[i, j] += biases[j]


@kernel
def error_tanh(delta: Array, h: Array, keep: float) -> None:
    """Multiply delta [p, a] with 1 - f^2; f = keep h is the activation before dropout scaled it by 1/keep."""
    for i in range(delta.shape[0]):
        for j in range(delta.shape[1]):
            f = keep * h[i, j]
            delta[i, j] *= ONE - f * f


@kernel
def error_sigmoid(delta: Array, h: Array, keep: float) -> None:
    """Multiply delta with f (1 - f), f = keep h."""
    for i in range(delta.shape[0]):
        for j in range(delta.shape[1]):
            f = keep * h[i, j]
            delta[i, j] *= f * (ONE - f)


@kernel
def error_relu(delta: Array, h: Array, keep: float) -> None:
    """Multiply delta with 1 where keep h > 0, with 0 elsewhere."""
    for i in range(delta.shape[0]):
        for j in range(delta.shape[1]):
            delta[i, j] *= ONE if keep * h[i, j] > ZERO else ZERO


@kernel
def error_linear(delta: Array, h: Array, keep: float) -> None:
    """Leave delta as it is: the slope is 1 whatever ``h`` and ``keep`` are."""


@kernel
def sparse_product(source: Array, index: Array, value: Array, delta: Array) -> None:
    """Set delta [p, a] to the sum over k of source[i, index[j, k]] value[j, k]; index and value are [a, s], s >= 1."""
    for i in range(delta.shape[0]):
        for j in range(delta.shape[1]):
            total = source[i, index[j, 0]] * value[j, 0]
            for k in range(1, index.shape[1]):
                total += source[i, index[j, k]] * value[j, k]
            delta[i, j] = total
