"""How a layer is cut over its cores: slices of neurons or channels, and tiles of rows of a convolution's map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from neurosim.counts import IntArray
from neurosim.networks import LayerShape


def slice_starts(neurons: int, cores: int) -> IntArray:
    """Return the cuts of ``neurons`` into ``cores`` slices that differ by at most one, larger first [cores + 1]."""
    base, larger = divmod(neurons, cores)
    sizes = np.full(cores, base, dtype=np.int64)
    sizes[:larger] += 1
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


@dataclass(frozen=True)
class LayerCut:
    """A layer in ``tiles`` tiles of rows by ``channel_slices`` slices of channels.

    Slice i is tile i // channel_slices and channel slice i % channel_slices. A fully connected layer has one tile, and
    its channels are its neurons. Tile 0 owns the weights of its channels; the others hold copies.
    """

    shape: LayerShape
    channel_slices: int
    tiles: int = 1

    @property
    def slices(self) -> int:
        """c_l, the cores of the layer."""
        return self.channel_slices * self.tiles

    @property
    def tiled(self) -> bool:
        """Whether filters have copies, whose gradients are summed at their owners."""
        return self.tiles > 1

    @cached_property
    def channel_starts(self) -> IntArray:
        """The channels (neurons of a dense layer) at which the channel slices begin [channel_slices + 1]."""
        return slice_starts(self.shape.channels, self.channel_slices)

    @cached_property
    def row_starts(self) -> IntArray:
        """The rows of what the layer hands on (after its pool) at which the tiles begin [tiles + 1]."""
        return slice_starts(self.shape.outputs.rows, self.tiles)

    @cached_property
    def map_row_starts(self) -> IntArray:
        """The rows of the map before the pool at which the tiles begin [tiles + 1]: in proportion, rounded down."""
        return self.row_starts * self.shape.map.rows // self.shape.outputs.rows

    @cached_property
    def tile(self) -> IntArray:
        """The tile of each slice [c_l]."""
        return np.repeat(np.arange(self.tiles, dtype=np.int64), self.channel_slices)

    @cached_property
    def channels(self) -> IntArray:
        """a, the channels or neurons of each slice [c_l]."""
        return np.tile(np.diff(self.channel_starts), self.tiles)

    @cached_property
    def positions(self) -> IntArray:
        """Positions of each slice in what the layer hands on [c_l]; 1 in a dense layer."""
        return np.diff(self.row_starts)[self.tile] * self.shape.outputs.columns

    @cached_property
    def map_positions(self) -> IntArray:
        """P, positions of each slice in the map before the pool [c_l]; 1 in a dense layer."""
        return np.diff(self.map_row_starts)[self.tile] * self.shape.map.columns

    @property
    def units(self) -> IntArray:
        """u, what each slice hands on: values a sample [c_l]; the neurons of a dense layer's slice."""
        return self.channels * self.positions

    @property
    def map_units(self) -> IntArray:
        """Neurons of each slice before the pool [c_l]."""
        return self.channels * self.map_positions

    @property
    def owners(self) -> IntArray:
        """The slices that own weights [channel_slices]: those of tile 0."""
        return np.arange(self.channel_slices, dtype=np.int64)

    def unit_numbers(self, number: int) -> IntArray:
        """Return the numbers, within what the layer hands on, of the units of slice ``number`` [u]."""
        tile, part = divmod(number, self.channel_slices)
        outputs = self.shape.outputs
        channels = np.arange(self.channel_starts[part], self.channel_starts[part + 1])
        first, behind = self.rows(tile)
        positions = np.arange(first * outputs.columns, behind * outputs.columns)
        return np.asarray((channels[:, None] * outputs.positions + positions).ravel(), dtype=np.int64)

    def rows(self, tile: int) -> tuple[int, int]:
        """Return the rows first .. behind - 1 of a tile in what the layer hands on."""
        return int(self.row_starts[tile]), int(self.row_starts[tile + 1])

    def map_rows(self, tile: int) -> tuple[int, int]:
        """Return the rows first .. behind - 1 of a tile in the map before the pool."""
        return int(self.map_row_starts[tile]), int(self.map_row_starts[tile + 1])

    def needed_rows(self, tile: int, rows_before: int) -> tuple[int, int]:
        """Return the rows lo .. hi - 1 of the map before the layer (of ``rows_before`` rows) that a tile reads."""
        return self.shape.rows.reads(*self.map_rows(tile)) if self.shape.convolves else (0, rows_before)

    def pooled_rows_from(self, tile: int) -> tuple[int, int]:
        """Return the rows of the map that the pool windows of a tile read; its own rows where there is no pool."""
        pool = self.shape.pool
        return self.map_rows(tile) if pool is None else pool.rows.reads(*self.rows(tile))

    def pooled_rows_over(self, tile: int) -> tuple[int, int]:
        """Return the rows of pool windows that reach the map rows of a tile; its own rows where there is no pool."""
        pool = self.shape.pool
        return self.rows(tile) if pool is None else pool.rows.readers(*self.map_rows(tile))


def slice_of_units(cut: LayerCut) -> IntArray:
    """Return the slice of each unit that a layer hands on [n_l], channel by channel and row by row."""
    outputs = cut.shape.outputs
    channel = np.repeat(np.arange(cut.channel_slices), np.diff(cut.channel_starts))
    tile = np.repeat(np.arange(cut.tiles), np.diff(cut.row_starts))
    number = tile[None, :, None] * cut.channel_slices + channel[:, None, None]
    return np.broadcast_to(number, (outputs.channels, outputs.rows, outputs.columns)).ravel()


def row_ranges(starts: IntArray) -> IntArray:
    """Return [first, behind] of the parts between ``starts`` [parts + 1] as rows of an array [parts, 2]."""
    return np.stack([starts[:-1], starts[1:]], axis=1)


def overlaps(one: IntArray, other: IntArray) -> IntArray:
    """Return how many rows the ranges one [a, 2] and other [b, 2] share [a, b]."""
    first = np.maximum(one[:, None, 0], other[None, :, 0])
    behind = np.minimum(one[:, None, 1], other[None, :, 1])
    return np.asarray(np.maximum(behind - first, 0), dtype=np.int64)
