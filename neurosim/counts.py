"""The table of everything that is counted: count names, kinds of value, and the memory each lives in.

Counts are values (samples and cores included); widths in bits enter in time and price only, as
``words = values * ceil(bits of the kind / word_bits)``: nothing is packed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

PHASES = ("forward", "error", "update", "io")

_NEURON_KINDS = ("activation", "error", "bias", "state", "accumulator", "sign", "label", "argmax")
_MEMORY_COUNTS = {
    "neuron_reads": _NEURON_KINDS,
    "neuron_writes": _NEURON_KINDS,
    "synapse_reads": ("weight",),
    "synapse_writes": ("weight",),
    "gradient_reads": ("accumulator",),
    "gradient_writes": ("accumulator",),
    "optimizer_reads": ("state",),
    "optimizer_writes": ("state",),
    "feedback_reads": ("feedback",),
    "feedback_index_reads": ("index",),
    "mirror_reads": ("weight", "sign"),
    "mirror_writes": ("weight", "sign"),
}
_PLAIN_COUNTS = (
    "macs",
    "elementwise_ops",
    "feedback_generated",
    "feedback_index_generated",
    "dropout_generated",
    "offchip_bits",
    "channel_bits",
)

WORK_COLUMNS: tuple[tuple[str, str], ...] = (
    *((name, "") for name in _PLAIN_COUNTS),
    *((name, kind) for name, kinds in _MEMORY_COUNTS.items() for kind in kinds),
)
"""(count, kind of value) of each column of a task's counts."""

WORK_INDEX = {column: number for number, column in enumerate(WORK_COLUMNS)}

MESSAGE_COUNTS = (
    "messages", "payload_bits", "delivered_bits", "bit_hops", "border_bit_hops", "flits", "flit_hops",
    "border_flit_hops", "flit_routers",
)  # fmt: skip
"""What is counted of messages; hops over the borders of chips are among all hops, and stand beside them again."""

COUNT_NAMES: tuple[str, ...] = (
    "macs",
    "elementwise_ops",
    *_MEMORY_COUNTS,
    "feedback_generated",
    "feedback_index_generated",
    "dropout_generated",
    "offchip_bits",
    "channel_bits",
    *MESSAGE_COUNTS,
)
"""Every count by its name, in the order in which it is reported."""

GENERATED_COUNTS = ("feedback_generated", "feedback_index_generated", "dropout_generated")
"""Values that a generator draws instead of reading them."""

MEMORY_ACCESS_COUNTS = tuple(_MEMORY_COUNTS)
"""The counts that are words read from or written to a core's memories."""

SIGN_BITS = 2
"""Bits of an output error's sign (negative, zero, positive); a mirrored weight's sign takes 1."""


def memory_of(count: str) -> str:
    """Return 'neuron_memory', 'synapse_memory' or '' for a count that touches neither."""
    if count not in _MEMORY_COUNTS:
        return ""
    return "neuron_memory" if count.startswith("neuron_") else "synapse_memory"


def label_bits(outputs: int) -> int:
    """Bits of a class label among ``outputs`` classes: max(1, ceil(log2 outputs))."""
    return max(1, (outputs - 1).bit_length())


def index_bits(outputs: int) -> int:
    """Bits of a sparse connection's index among ``outputs`` outputs: ceil(log2 outputs)."""
    return (outputs - 1).bit_length()


def kind_bits(widths: Mapping[str, int], outputs: int, argmax: int = 0) -> dict[str, int]:
    """Return the bits of every kind of value for the ``*_bits`` mapping of a chip and n_L ``outputs``.

    ``argmax`` are the bits of the place of the largest unit in a max pool's window.
    """
    named = ("activation", "error", "bias", "state", "accumulator", "weight", "feedback")
    bits = {kind: widths[f"{kind}_bits"] for kind in named}
    return bits | {"sign": SIGN_BITS, "label": label_bits(outputs), "index": index_bits(outputs), "argmax": argmax}


def words_per_value(memory: str, word_bits: int, bits: Mapping[str, int]) -> IntArray:
    """Return, for each of WORK_COLUMNS, the words of ``memory`` that one counted value takes (0: another place)."""
    factors = [-(-bits[kind] // word_bits) if memory_of(count) == memory else 0 for count, kind in WORK_COLUMNS]
    return np.array(factors, dtype=np.int64)


def work_matrix(rows: int, columns: Mapping[tuple[str, str], Any]) -> IntArray:
    """Return counts [rows, WORK_COLUMNS] int64 from scalars or arrays [rows] by (count, kind)."""
    matrix = np.zeros((rows, len(WORK_COLUMNS)), dtype=np.int64)
    for column, values in columns.items():
        matrix[:, WORK_INDEX[column]] += np.asarray(values, dtype=np.int64)
    return matrix


def distinct(values: IntArray) -> IntArray:
    """Return the different values of an array in rising order: by sorting, where np.unique would hash at length."""
    ordered = np.sort(values, axis=None)
    first = np.ones(len(ordered), dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]


def weighted_sum(parts: Iterable[tuple[IntArray, int]]) -> IntArray:
    """Return the sum of integer arrays of one shape times their weights; Python integers where 64 bits would wrap."""
    found = list(parts)
    # Neither an element nor the sum of all may wrap.
    largest = sum(int(np.abs(values).max(initial=0)) * values.size * times for values, times in found)
    dtype = np.dtype(np.int64 if largest < 1 << 63 else object)
    total = np.zeros_like(found[0][0], dtype=dtype)
    for values, times in found:
        total = total + values.astype(dtype) * times
    return np.asarray(total)
