"""Partition: a network cut over cores, and what a slice of one layer needs of the layers around it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from neurosim.counts import IntArray
from neurosim.networks import LayerShape, Network
from neurosim.placement.cuts import LayerCut, overlaps, row_ranges, slice_of_units


@dataclass(frozen=True)
class Partition:
    """The cores of layers 1..L in slice order and how each layer is cut (entry 0 of both is the input's: empty).

    Arrays of a layer are by slice [c_l]; ranges of rows are [tiles, 2], first and behind. A fully connected layer
    reads the map before it whole, and counts as one position.
    """

    network: Network
    cores: tuple[IntArray, ...]
    cuts: tuple[LayerCut, ...]

    @property
    def depth(self) -> int:
        """L."""
        return self.network.depth

    @cached_property
    def shares_cores(self) -> bool:
        """Whether some core holds slices of several layers."""
        return bool(np.bincount(np.concatenate(self.cores[1:])).max() > 1)

    def cut(self, layer: int) -> LayerCut:
        """How layer ``layer`` is cut."""
        return self.cuts[layer]

    def shape(self, layer: int) -> LayerShape:
        """The layer's shape."""
        return self.network.shape(layer)

    def rows(self, layer: int) -> IntArray:
        """Rows of what each tile hands on [tiles, 2]."""
        return row_ranges(self.cuts[layer].row_starts)

    def map_rows(self, layer: int) -> IntArray:
        """Rows of each tile before the pool, those of its delta [tiles, 2]; of a dense layer its one position."""
        return row_ranges(self.cuts[layer].map_row_starts)

    def needs(self, layer: int) -> IntArray:
        """Rows of the map before the layer that each tile reads [tiles, 2]."""
        cut, before = self.cuts[layer], self.network.map(layer - 1)
        ranges = [cut.needed_rows(tile, before.rows) for tile in range(cut.tiles)]
        return np.array(ranges, dtype=np.int64)

    def inputs(self, layer: int) -> IntArray:
        """V, the values of a sample that each slice reads [c_l]."""
        before = self.network.map(layer - 1)
        return self._by_slice(layer, self.needs(layer)) * before.columns * before.channels

    def inputs_here(self, layer: int) -> IntArray:
        """Values that each slice reads and its own core has made [c_l]."""
        if layer == 1:
            return np.zeros(len(self.cores[1]), dtype=np.int64)
        columns = self.network.map(layer - 1).columns
        return self._shared(layer, self.needs(layer), layer - 1, self.rows(layer - 1)) * columns

    def readers(self, layer: int) -> IntArray:
        """Rows of the next layer's map whose errors reach each tile of ``layer`` [tiles, 2]."""
        cut, following = self.cuts[layer], self.network.shape(layer + 1)
        if not following.convolves:
            return np.tile(np.array([[0, 1]], dtype=np.int64), (cut.tiles, 1))
        ranges = [following.rows.readers(*cut.rows(tile)) for tile in range(cut.tiles)]
        return np.array(ranges, dtype=np.int64)

    def errors(self, layer: int) -> IntArray:
        """D, the values of the next layer's error that each slice of ``layer`` needs for its own [c_l]."""
        following = self.network.shape(layer + 1).map
        return self._by_slice(layer, self.readers(layer)) * following.columns * following.channels

    def errors_here(self, layer: int) -> IntArray:
        """Values of the next layer's error that each slice needs and its own core has made [c_l]."""
        columns = self.network.shape(layer + 1).map.columns
        return self._shared(layer, self.readers(layer), layer + 1, self.map_rows(layer + 1)) * columns

    def sums(self, layer: int) -> IntArray:
        """Values of a sample for which each tile of the next layer sends sums to one channel of each of ``layer``.

        [tiles of layer + 1, tiles of layer]: positions that the one reads and the other owns.
        """
        columns = self.network.map(layer).columns
        return overlaps(self.needs(layer + 1), self.rows(layer)) * columns

    def sums_here(self, layer: int) -> IntArray:
        """Partial sums for each slice of ``layer`` that its own core makes as a slice of the next layer [c_l]."""
        own, following = self.cuts[layer], self.cuts[layer + 1]
        mine, theirs = self._meet(layer, layer + 1)
        found = np.zeros(own.slices, dtype=np.int64)
        positions = self.sums(layer)[following.tile[theirs], own.tile[mine]]
        found[mine] = positions * own.channels[mine]
        return found

    def summed_positions(self, layer: int) -> IntArray:
        """Positions of each tile of ``layer`` that get at least one partial sum [tiles]."""
        shape, rows = self.network.shape(layer + 1), self.rows(layer)
        reached = np.zeros(self.network.map(layer).rows + 1, dtype=np.int64)
        for lo, hi in self.needs(layer + 1):
            reached[lo:hi] = 1
        if not shape.convolves:
            reached[:-1] = 1
        before = np.concatenate([[0], np.cumsum(reached[:-1])])
        return np.asarray(before[rows[:, 1]] - before[rows[:, 0]]) * self.network.map(layer).columns

    def owner_of_units(self, layer: int) -> IntArray:
        """Return the core of each unit that the layer hands on [n_l]."""
        return self.cores[layer][slice_of_units(self.cuts[layer])]

    def map_halo(self, layer: int) -> IntArray:
        """Rows of the map that tile i's pool windows read and tile k owns [k, i]; 0 on the diagonal."""
        cut = self.cuts[layer]
        wanted = np.array([cut.pooled_rows_from(tile) for tile in range(cut.tiles)], dtype=np.int64)
        return _off_diagonal(overlaps(self.map_rows(layer), wanted))

    def window_halo(self, layer: int) -> IntArray:
        """Rows of windows that reach the map rows of tile i and belong to tile k [k, i]; 0 on the diagonal."""
        cut = self.cuts[layer]
        wanted = np.array([cut.pooled_rows_over(tile) for tile in range(cut.tiles)], dtype=np.int64)
        return _off_diagonal(overlaps(self.rows(layer), wanted))

    def _by_slice(self, layer: int, ranges: IntArray) -> IntArray:
        """Lengths of ranges [tiles, 2], one for each slice [c_l]."""
        return np.asarray((ranges[:, 1] - ranges[:, 0])[self.cuts[layer].tile])

    def _meet(self, layer: int, other: int) -> tuple[IntArray, IntArray]:
        """Return the slices of two layers that share a core, pair by pair."""
        _, mine, theirs = np.intersect1d(self.cores[layer], self.cores[other], return_indices=True)
        return mine.astype(np.int64), theirs.astype(np.int64)

    def _shared(self, layer: int, wanted: IntArray, other: int, owned: IntArray) -> IntArray:
        """Rows times channels that slices of ``layer`` want and the slice of ``other`` on their core owns [c_l].

        ``wanted`` [tiles, 2] and ``owned`` [other's tiles, 2] are ranges of rows of the same map.
        """
        own, others = self.cuts[layer], self.cuts[other]
        mine, theirs = self._meet(layer, other)
        found = np.zeros(own.slices, dtype=np.int64)
        if len(mine):
            rows = overlaps(wanted, owned)[own.tile[mine], others.tile[theirs]]
            found[mine] = rows * others.channels[theirs]
        return found


def _off_diagonal(values: IntArray) -> IntArray:
    np.fill_diagonal(values, 0)
    return values
