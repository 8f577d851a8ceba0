"""Geometry: maps of neurons, the windows that slide over them, and the shape of every layer with weights.

A map is channels x rows x columns, its units numbered channel by channel and row by row as PyTorch does. A fully
connected layer is the special case of one position: a map of n channels, one row and one column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Padding = Literal["same", "valid"] | tuple[int, int]


@dataclass(frozen=True)
class Map:
    """A layer's neurons: ``channels`` x ``rows`` x ``columns``."""

    channels: int
    rows: int = 1
    columns: int = 1

    @property
    def positions(self) -> int:
        """Rows times columns."""
        return self.rows * self.columns

    @property
    def units(self) -> int:
        """All neurons of the map."""
        return self.channels * self.positions

    def __str__(self) -> str:
        return f"{self.channels} x {self.rows} x {self.columns}"


@dataclass(frozen=True)
class Axis:
    """A window of ``kernel`` taps that moves by ``stride`` over ``size`` inputs, padded ``before`` and ``after``.

    Tap v of output y reads input y stride - before + v; outside of 0 .. size - 1 lies the padding.
    """

    size: int
    kernel: int = 1
    stride: int = 1
    before: int = 0
    after: int = 0

    @property
    def outputs(self) -> int:
        """How many outputs there are; below 1 where the window does not fit."""
        return (self.size + self.before + self.after - self.kernel) // self.stride + 1

    def taps_of(self, output: int) -> range:
        """Return the inputs of an output's taps; in the padding below 0 or from ``size`` on."""
        first = output * self.stride - self.before
        return range(first, first + self.kernel)

    def reads(self, first: int, behind: int) -> tuple[int, int]:
        """Return the inputs lo .. hi - 1 between the first and the last that outputs first .. behind - 1 read."""
        if behind <= first:
            return 0, 0
        lo = first * self.stride - self.before
        hi = (behind - 1) * self.stride - self.before + self.kernel
        return min(max(lo, 0), self.size), min(max(hi, 0), self.size)

    def readers(self, lo: int, hi: int) -> tuple[int, int]:
        """Return the outputs first .. behind - 1 whose windows reach an input of lo .. hi - 1."""
        found = [y for y in range(self.outputs) if self.taps_of(y).start < hi and self.taps_of(y).stop > lo]
        return (found[0], found[-1] + 1) if found and hi > lo else (0, 0)

    def taps_inside(self, outputs: tuple[int, int], inputs: tuple[int, int]) -> int:
        """Return how many taps of these outputs read one of these inputs (each first .. behind - 1)."""
        taps = (self.taps_of(y) for y in range(*outputs))
        return sum(max(0, min(tap.stop, inputs[1]) - max(tap.start, inputs[0])) for tap in taps)

    def taps_at(self, lo: int, hi: int) -> int:
        """Return how many taps of all outputs belong to inputs lo .. hi - 1; padding belongs to the nearest input."""
        # The first row of all takes what lies before it, the last what lies behind.
        first = lo if lo > 0 else -self.before
        behind = hi if hi < self.size else self.size + self.after + self.kernel
        return self.taps_inside((0, self.outputs), (first, behind)) if hi > lo else 0


def padded_axis(size: int, kernel: int, stride: int, padding: Padding) -> Axis:
    """Return the axis of a padding: "valid" has none, "same" gives ceil(size / stride) outputs as TensorFlow does.

    There the padding is cut in two and the odd row or column, if there is one, comes after the last input.
    """
    if padding == "valid":
        return Axis(size, kernel, stride)
    if padding == "same":
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        return Axis(size, kernel, stride, total // 2, total - total // 2)
    return Axis(size, kernel, stride, *padding)


@dataclass(frozen=True)
class PoolShape:
    """A pool over each channel's map: its windows along rows and columns."""

    kind: Literal["max_pool", "average_pool"]
    rows: Axis
    columns: Axis

    @property
    def taps(self) -> int:
        """Units of a whole window."""
        return self.rows.kernel * self.columns.kernel

    @property
    def index_bits(self) -> int:
        """Bits of the place of the largest unit in a window; 0 where no place is kept."""
        return (self.taps - 1).bit_length() if self.kind == "max_pool" else 0


@dataclass(frozen=True)
class LayerShape:
    """A layer with weights: the map it reads, its windows, its channels, and the pool that follows it.

    ``inputs`` of a fully connected layer is the whole map before it, laid flat: n_(l-1) channels of one position.
    """

    inputs: Map
    rows: Axis
    columns: Axis
    channels: int
    pool: PoolShape | None = None
    convolves: bool = False

    @property
    def map(self) -> Map:
        """The neurons that have an activation: z_l and h_l before a pool."""
        return Map(self.channels, self.rows.outputs, self.columns.outputs)

    @property
    def outputs(self) -> Map:
        """What the next layer reads, and direct feedback feeds: the pooled map, or the map itself."""
        if self.pool is None:
            return self.map
        return Map(self.channels, self.pool.rows.outputs, self.pool.columns.outputs)

    @property
    def kernel_positions(self) -> int:
        """Positions of a filter: 1 in a fully connected layer."""
        return self.rows.kernel * self.columns.kernel

    @property
    def fan_in(self) -> int:
        """Taps of a filter, the inputs of one sum: n_(l-1) in a fully connected layer."""
        return self.inputs.channels * self.kernel_positions

    @property
    def fan_out(self) -> int:
        """Sums that an input away from the border enters, with stride 1: n_l in a fully connected layer."""
        return self.channels * self.kernel_positions

    @property
    def weights(self) -> int:
        """How many weights there are; biases are one a channel."""
        return self.channels * self.fan_in

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """[channels, inputs' channels, kernel rows, kernel columns], or [n_l, n_(l-1)]."""
        flat = (self.channels, self.inputs.channels)
        return (*flat, self.rows.kernel, self.columns.kernel) if self.convolves else flat

    @property
    def macs(self) -> int:
        """MACs of a sample's forward pass, every tap counted, those of the padding too."""
        return self.map.positions * self.weights


def dense_shape(inputs: int, units: int) -> LayerShape:
    """Return the shape of a fully connected layer."""
    return LayerShape(Map(inputs), Axis(1), Axis(1), units)
