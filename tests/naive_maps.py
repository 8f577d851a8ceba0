"""Slow twin of geometry: maps of units, windows over them and tiles of rows, found by walking over coordinates.

Of a layer's shape only its plain numbers are read: the inputs' map, kernels, strides, paddings, channels, the pool. A
fully connected layer is a map of one position whose channels are its neurons.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from neurosim.networks.geometry import Axis, LayerShape

Position = tuple[int, int]  # row, column


def cut(length: int, parts: int) -> list[range]:
    """Cut 0..length-1 into consecutive slices that differ by at most one, larger first."""
    slices, start = [], 0
    for part in range(parts):
        size = length // parts + (1 if part < length % parts else 0)
        slices.append(range(start, start + size))
        start += size
    return slices


def outputs_along(axis: Axis) -> int:
    """Return how often the window fits, by moving it."""
    outputs = 0
    while outputs * axis.stride + axis.kernel <= axis.before + axis.size + axis.after:
        outputs += 1
    return outputs


def taps_along(axis: Axis, output: int) -> list[int]:
    """Return the inputs under the window of one output; those outside of 0..size-1 are padding."""
    return [output * axis.stride - axis.before + tap for tap in range(axis.kernel)]


def inside(axis: Axis, output: int) -> list[int]:
    """Return the inputs under the window that are no padding."""
    return [at for at in taps_along(axis, output) if 0 <= at < axis.size]


def span(found: Sequence[int]) -> range:
    """Return all from the first to the last."""
    return range(min(found), max(found) + 1) if found else range(0)


@dataclass(frozen=True)
class Grid:
    """Channels x rows x columns of units, numbered channel by channel and row by row."""

    channels: int
    rows: int
    columns: int

    def unit(self, channel: int, row: int, column: int) -> int:
        """Return the number of a unit."""
        return (channel * self.rows + row) * self.columns + column

    def units(self, channels: Sequence[int], rows: Sequence[int]) -> list[int]:
        """Return the units of some channels and rows, in all columns, in order of their numbers."""
        return [self.unit(c, y, x) for c in channels for y in rows for x in range(self.columns)]


@dataclass(frozen=True)
class Part:
    """What one core holds of a layer.

    ``map_units`` are its units before the pool, ``units`` those that it hands on (the same where there is no pool),
    ``needs`` the units of the map before the layer that it must have: all in rows from the first to the last it reads.
    """

    number: int
    core: int
    tile: int
    channels: range
    rows: range
    map_rows: range
    units: Sequence[int]
    map_units: Sequence[int]
    need_rows: range
    needs: Sequence[int]


@dataclass(frozen=True)
class LayerMap:
    """A layer with its cores in slice order, in ``tiles`` tiles of rows."""

    shape: LayerShape
    cores: Sequence[int]
    tiles: int = 1

    @cached_property
    def inputs(self) -> Grid:
        """What the layer reads."""
        return Grid(self.shape.inputs.channels, self.shape.inputs.rows, self.shape.inputs.columns)

    @cached_property
    def map(self) -> Grid:
        """The units before the pool."""
        return Grid(self.shape.channels, outputs_along(self.shape.rows), outputs_along(self.shape.columns))

    @cached_property
    def handed(self) -> Grid:
        """The units that the next layer reads."""
        pool = self.shape.pool
        if pool is None:
            return self.map
        return Grid(self.shape.channels, outputs_along(pool.rows), outputs_along(pool.columns))

    @property
    def pooled(self) -> bool:
        """Whether a pool follows."""
        return self.shape.pool is not None

    @property
    def max_pooled(self) -> bool:
        """Whether the pool remembers which unit was the largest."""
        return self.shape.pool is not None and self.shape.pool.kind == "max_pool"

    @cached_property
    def kernel(self) -> list[tuple[int, int, int]]:
        """The taps of a filter: input channel, row and column of the kernel; T of them."""
        rows, columns = range(self.shape.rows.kernel), range(self.shape.columns.kernel)
        return [(c, v, w) for c in range(self.inputs.channels) for v in rows for w in columns]

    @cached_property
    def parts(self) -> list[Part]:
        """The slices, tile by tile."""
        slices = len(self.cores) // self.tiles
        assert slices * self.tiles == len(self.cores), "tiles times channel slices are not the cores"
        found: list[Part] = []
        for tile, rows in enumerate(cut(self.handed.rows, self.tiles)):
            first, behind = (at * self.map.rows // self.handed.rows for at in (rows.start, rows.stop))
            for channels in cut(self.shape.channels, slices):
                found.append(self._part(len(found), tile, channels, (rows, range(first, behind))))
        return found

    def _part(self, number: int, tile: int, channels: range, rows: tuple[range, range]) -> Part:
        handed, map_rows = rows
        need_rows = span([at for y in map_rows for at in inside(self.shape.rows, y)])
        needs = self.inputs.units(range(self.inputs.channels), need_rows)
        units, map_units = self.handed.units(channels, handed), self.map.units(channels, map_rows)
        core = self.cores[number]
        return Part(number, core, tile, channels, handed, map_rows, units, map_units, need_rows, needs)

    def taps(self, row: int, column: int) -> list[int | None]:
        """Return the input unit of every tap of the filters at one position of the map; None is padding."""
        ys, xs = taps_along(self.shape.rows, row), taps_along(self.shape.columns, column)
        grid = self.inputs
        return [
            grid.unit(c, ys[v], xs[w]) if 0 <= ys[v] < grid.rows and 0 <= xs[w] < grid.columns else None
            for c, v, w in self.kernel
        ]

    def positions(self, part: Part) -> list[Position]:
        """Return the positions of the map that a slice computes."""
        return [(y, x) for y in part.map_rows for x in range(self.map.columns)]

    def window(self, channel: int, row: int, column: int) -> list[int]:
        """Return the map units under one window of the pool, without the padding."""
        pool = self.shape.pool
        assert pool is not None
        ys, xs = inside(pool.rows, row), inside(pool.columns, column)
        return [self.map.unit(channel, y, x) for y in ys for x in xs]

    def pooled_from(self, part: Part) -> list[int]:
        """Return the map units that the windows of a slice read, its own and others'."""
        pool = self.shape.pool
        assert pool is not None
        rows = span([at for y in part.rows for at in inside(pool.rows, y)])
        return self.map.units(part.channels, rows)

    def windows_over(self, part: Part) -> list[int]:
        """Return the windows, own and others', that reach map units of a slice, as units that the layer hands on."""
        pool = self.shape.pool
        assert pool is not None
        rows = [y for y in range(self.handed.rows) if set(inside(pool.rows, y)) & set(part.map_rows)]
        return self.handed.units(part.channels, rows)

    def place(self, unit: int) -> tuple[int, int, int]:
        """Return channel, row and column of a unit that the layer hands on."""
        grid = self.handed
        return unit // (grid.rows * grid.columns), unit // grid.columns % grid.rows, unit % grid.columns

    def rows_tapped_at(self, rows: range) -> list[tuple[int, int]]:
        """Return the (row of the map, tap) that belong to some input rows; padding belongs to the nearest row."""
        found = []
        for y in range(self.map.rows):
            for tap, at in enumerate(taps_along(self.shape.rows, y)):
                if min(max(at, 0), self.inputs.rows - 1) in rows:
                    found.append((y, tap))
        return found

    def errors_for(self, part: Part) -> list[int]:
        """Return the map units of this layer whose errors a slice of the layer before needs for its own units."""
        if not self.shape.convolves:
            return list(range(self.map.channels))
        rows = span([y for y, _ in self.rows_tapped_at(part.rows)])
        return self.map.units(range(self.map.channels), rows)

    def others_of_channel(self, part: Part) -> Iterator[Part]:
        """Go through the slices with the same channels in other tiles, in order of tile."""
        for other in self.parts:
            if other.channels == part.channels and other.tile != part.tile:
                yield other
