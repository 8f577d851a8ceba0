"""Optimizer kernels: one pass over the weights and their gradient, whatever the optimizer does.

All arrays are flat and alike in shape and type; ``numbers`` holds, in the same type, the learning rate, the weight
decay, the largest absolute value of a gradient (infinity: no clipping), and then the optimizer's own numbers. They are
read before the loop: inside, the compiler could not know that writing the weights leaves them alone.
"""

from __future__ import annotations

import numpy as np

from neurosim.kernels import Array, kernel


@kernel
def corrected(weight: float, gradient: float, decay: float, clip: float) -> float:
    """Return the gradient clipped to [-clip, clip], plus decay times the weight; NaN stays NaN."""
    gradient = clip if gradient > clip else gradient
    gradient = -clip if gradient < -clip else gradient
    return gradient + decay * weight


@kernel
def sgd(weights: Array, gradient: Array, numbers: Array) -> None:
    """Set w -= lr g."""
    rate, decay, clip = numbers[0], numbers[1], numbers[2]
    for i in range(weights.size):
        weights[i] -= rate * corrected(weights[i], gradient[i], decay, clip)


@kernel
def momentum(weights: Array, gradient: Array, velocity: Array, numbers: Array) -> None:
    """Set v = mu v + g, w -= lr v; own number: mu."""
    rate, decay, clip, mu = numbers[0], numbers[1], numbers[2], numbers[3]
    for i in range(weights.size):
        velocity[i] = mu * velocity[i] + corrected(weights[i], gradient[i], decay, clip)
        weights[i] -= rate * velocity[i]


@kernel
def rmsprop(weights: Array, gradient: Array, mean_square: Array, numbers: Array) -> None:
    """Set s = a s + (1 - a) g^2, w -= lr g/(sqrt(s) + epsilon); own numbers: a, 1 - a, epsilon."""
    rate, decay, clip = numbers[0], numbers[1], numbers[2]
    keep, take, epsilon = numbers[3], numbers[4], numbers[5]
    for i in range(weights.size):
        g = corrected(weights[i], gradient[i], decay, clip)
        mean_square[i] = keep * mean_square[i] + take * g * g
        weights[i] -= rate * g / (np.sqrt(mean_square[i]) + epsilon)


@kernel
def adam(weights: Array, gradient: Array, mean: Array, mean_square: Array, numbers: Array) -> None:
    """Set m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, w -= rate m/(c sqrt(v) + epsilon).

    Own numbers: b1, 1 - b1, b2, 1 - b2, epsilon, c; rate is lr/(1 - b1^t), and c is 1/sqrt(1 - b2^t), so that this is
    Kingma and Ba's algorithm 1 (2015) with the two corrections taken out of the loop.
    """
    rate, decay, clip = numbers[0], numbers[1], numbers[2]
    keep_mean, take_mean, keep_square, take_square = numbers[3], numbers[4], numbers[5], numbers[6]
    epsilon, correction = numbers[7], numbers[8]
    for i in range(weights.size):
        g = corrected(weights[i], gradient[i], decay, clip)
        mean[i] = keep_mean * mean[i] + take_mean * g
        mean_square[i] = keep_square * mean_square[i] + take_square * g * g
        weights[i] -= rate * mean[i] / (correction * np.sqrt(mean_square[i]) + epsilon)
