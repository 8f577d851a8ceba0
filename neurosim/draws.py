"""Random numbers that belong to a place: the same value for one connection, however the network is cut over cores.

Every value is a pure function of (seed, purpose, step, layer, neuron, connection), computed by the counter-based
generator Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
``kernels/philox.py`` is the same generator for draws that are made again in every step.
"""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from neurosim.errors import DescriptionError

Distribution = Literal["uniform", "normal"]
Words = NDArray[np.uint64]

PURPOSES = {"weights": 0, "biases": 1, "feedback": 2, "feedback index": 3, "magnitudes": 4, "dropout": 5}
"""What a draw is for; draws for different purposes are independent of each other."""

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
LOW = np.uint64(0xFFFFFFFF)
SHIFT = np.uint64(32)
ROWS_AT_ONCE_VALUES = 1 << 20


def key_of(seed: int) -> tuple[int, int]:
    """Return the two 32-bit words of the generator's key; raises DescriptionError for a seed over 64 bits."""
    if not 0 <= seed < 1 << 64:
        raise DescriptionError(f"seed: {seed} is out of range; a seed is a whole number from 0 to 2**64 - 1")
    return seed & 0xFFFFFFFF, seed >> 32


def place_of(purpose: str, layer: int) -> int:
    """Return the counter word of a purpose and a layer: purpose in the upper 8 bits, layer in the lower 24."""
    return PURPOSES[purpose] << 24 | layer


def philox(counter: tuple[Words, Words, Words, Words], key: tuple[int, int]) -> tuple[Words, Words, Words, Words]:
    """Return the four 32-bit words (held in uint64 arrays) of Philox4x32-10 for each counter of four such words."""
    word0, word1, word2, word3 = counter
    key0, key1 = key
    for _ in range(ROUNDS):
        product0 = word0 * np.uint64(MULTIPLIERS[0])
        product1 = word2 * np.uint64(MULTIPLIERS[1])
        word0 = (product1 >> SHIFT) ^ word1 ^ np.uint64(key0)
        word2 = (product0 >> SHIFT) ^ word3 ^ np.uint64(key1)
        word1 = product1 & LOW
        word3 = product0 & LOW
        key0 = (key0 + WEYL[0]) & 0xFFFFFFFF
        key1 = (key1 + WEYL[1]) & 0xFFFFFFFF
    return word0, word1, word2, word3


class Stream:
    """All draws of one seed, purpose, layer and step: a table with a row per neuron and a column per connection."""

    def __init__(self, seed: int, purpose: str, layer: int, step: int = 0) -> None:
        self._key = key_of(seed)
        self._place = np.uint64(place_of(purpose, layer))
        self._step = np.uint64(step)

    def _words(self, neurons: range, groups: int) -> tuple[Words, Words, Words, Words]:
        """Return the generator's words for connections 0 to 4 groups - 1, each [neurons, groups]."""
        shape = (len(neurons), groups)
        group = np.broadcast_to(np.arange(groups, dtype=np.uint64), shape)
        neuron = np.broadcast_to(np.arange(neurons.start, neurons.stop, dtype=np.uint64)[:, None], shape)
        return philox((group, neuron, np.full(shape, self._place), np.full(shape, self._step)), self._key)

    def uniform(self, neurons: range, connections: int) -> NDArray[np.float64]:
        """Return draws from the open interval (0, 1), [neurons, connections], multiples of 2**-33."""
        return self._table(neurons, connections, normal=False)

    def normal(self, neurons: range, connections: int) -> NDArray[np.float64]:
        """Return standard normal draws [neurons, connections], by Box and Muller (1958), two from two words."""
        return self._table(neurons, connections, normal=True)

    def _table(self, neurons: range, connections: int, *, normal: bool) -> NDArray[np.float64]:
        """Fill the table some rows at a time: the generator's own arrays would need many times its memory."""
        table = np.empty((len(neurons), connections))
        groups = -(-connections // 4)
        rows = max(1, ROWS_AT_ONCE_VALUES // max(1, 4 * groups))
        for first in range(0, len(neurons), rows):
            part = neurons[first : first + rows]
            unit = np.stack([_to_unit(words) for words in self._words(part, groups)], axis=-1)
            values = _to_normal(unit) if normal else unit
            table[first : first + len(part)] = values.reshape(len(part), 4 * groups)[:, :connections]
        return table

    def values(self, distribution: Distribution, neurons: range, connections: int) -> NDArray[np.float64]:
        """Return U(-1, 1) or standard normal draws, [neurons, connections]."""
        if distribution == "normal":
            return self.normal(neurons, connections)
        return 2.0 * self.uniform(neurons, connections) - 1.0

    def choices(self, neurons: range, outputs: int, count: int) -> NDArray[np.int64]:
        """Return ``count`` different numbers below ``outputs`` per neuron, in rising order: [neurons, count].

        A Fisher-Yates shuffle broken off after ``count`` exchanges: one draw for each connection. The deck is never
        laid out: a card lies at its own number, or where the last exchange with that place has put it.
        """
        draws = self.uniform(neurons, count)
        places, cards = (np.empty((count, len(neurons)), dtype=np.int64) for _ in range(2))
        chosen = np.empty((len(neurons), count), dtype=np.int64)
        for position in range(count):
            other = position + (draws[:, position] * (outputs - position)).astype(np.int64)
            taken, moved = other.copy(), np.full(len(neurons), position, dtype=np.int64)
            for before in range(position):
                np.copyto(taken, cards[before], where=places[before] == other)
                np.copyto(moved, cards[before], where=places[before] == position)
            chosen[:, position] = taken
            places[position], cards[position] = other, moved
        return np.sort(chosen, axis=1)


def _to_unit(words: Words) -> NDArray[np.float64]:
    """Map 32-bit words to the middles of 2**32 equal parts of (0, 1), so that neither end is ever drawn."""
    return (words.astype(np.float64) + 0.5) * 2.0**-32


def _to_normal(unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn the last axis, pairs of uniform draws, into pairs of independent standard normal draws."""
    radius = np.sqrt(-2.0 * np.log(np.ascontiguousarray(unit[..., 0::2])))
    angle = 2.0 * np.pi * np.ascontiguousarray(unit[..., 1::2])
    normal = np.empty_like(unit)
    normal[..., 0::2] = radius * np.cos(angle)
    normal[..., 1::2] = radius * np.sin(angle)
    return normal


class WeightShape(Protocol):
    """What is read of a layer's shape."""

    @property
    def channels(self) -> int: ...  # noqa: D102
    @property
    def fan_in(self) -> int: ...  # noqa: D102


def draw_weights(
    shape: WeightShape, layer: int, *, seed: int, init: str, scale: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the initial weights W_l [K, fan_in] and biases b_l [K] of one layer of K channels (dense: neurons).

    ``uniform`` is U(+-scale/sqrt(fan_in)) for both, PyTorch's default for a layer with weights; ``normal`` is a normal
    of standard deviation ``scale`` for the weights, with zero biases; ``zero`` is zero. Row j is channel j's alone.
    """
    fan_in, channels = shape.fan_in, range(shape.channels)
    if init == "zero":
        return np.zeros((len(channels), fan_in)), np.zeros(len(channels))
    if init == "normal":
        return scale * Stream(seed, "weights", layer).normal(channels, fan_in), np.zeros(len(channels))
    bound = scale / np.sqrt(fan_in)
    weights = bound * Stream(seed, "weights", layer).values("uniform", channels, fan_in)
    biases = bound * Stream(seed, "biases", layer).values("uniform", channels, 1)
    return weights, biases[:, 0]
