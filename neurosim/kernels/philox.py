"""Philox4x32-10 inside kernels: draws that are made again in every step, dropout masks and sign-symmetry magnitudes.

The same generator as ``neurosim/draws.py`` (Salmon and others, SC 2011), value for value.
"""

from __future__ import annotations

from typing import Any

from numba import uint64

from neurosim.kernels import Array, kernel

MULTIPLIER_0 = 0xD2511F53
MULTIPLIER_1 = 0xCD9E8D57
WEYL_0 = 0x9E3779B9
WEYL_1 = 0xBB67AE85
LOW = 0xFFFFFFFF


@kernel
def philox(group: int, row: int, place: int, step: int, key: Array) -> tuple[Any, Any, Any, Any]:
    """Return the four words of one counter; every word is held in an unsigned 64-bit number."""
    word0, word1, word2, word3 = uint64(group), uint64(row), uint64(place), uint64(step)
    key0, key1 = uint64(key[0]), uint64(key[1])
    for _ in range(10):
        product0 = word0 * uint64(MULTIPLIER_0)
        product1 = word2 * uint64(MULTIPLIER_1)
        word0 = (product1 >> uint64(32)) ^ word1 ^ key0
        word2 = (product0 >> uint64(32)) ^ word3 ^ key1
        word1 = product1 & uint64(LOW)
        word3 = product0 & uint64(LOW)
        key0 = (key0 + uint64(WEYL_0)) & uint64(LOW)
        key1 = (key1 + uint64(WEYL_1)) & uint64(LOW)
    return word0, word1, word2, word3


@kernel
def fill_magnitudes(magnitudes: Array, place: int, step: int, key: Array, bound: float) -> None:
    """Fill ``magnitudes`` [n_(l+1), n_l] with absolute values of U(+-bound), keyed by (place, step, row, column)."""
    rows, columns = magnitudes.shape
    for row in range(rows):
        for group in range((columns + 3) // 4):
            words = philox(group, row, place, step, key)
            for word in range(4):
                column = 4 * group + word
                if column < columns:
                    magnitudes[row, column] = bound * abs(2.0 * ((words[word] + 0.5) * 2.0**-32) - 1.0)


@kernel
def drop(values: Array, corner: Array, place: int, key: Array, keep: float) -> None:
    """Multiply ``values`` [p, a] with the dropout mask over ``keep``, the probability that a value stays.

    ``corner`` (int64) holds the step, and the first sample and neuron of this part of the layer: the mask of a value
    depends on its own place alone, so it is the same in forward and error and for any cut.
    """
    step, first_sample, first_neuron = corner
    samples, neurons = values.shape
    for i in range(samples):
        for group in range(first_neuron // 4, (first_neuron + neurons + 3) // 4):
            words = philox(group, first_sample + i, place, step, key)
            for word in range(4):
                j = 4 * group + word - first_neuron
                if 0 <= j < neurons:
                    stays = (words[word] + 0.5) * 2.0**-32 < keep
                    values[i, j] = values[i, j] / keep if stays else 0.0
