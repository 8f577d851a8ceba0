"""Rows of maps that tiles own, read and reach, and the values in them, for all tiles of a layer at once.

``Rows`` are ranges first .. behind - 1, one per tile: int64 [tiles, 2]. In a dense layer there is one tile, and all
that it reads is one row.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from neurosim.counts import IntArray
from neurosim.placement.cuts import LayerCut, overlaps, row_ranges
from neurosim.schedules.layout import Layout

Rows = IntArray


def lengths(rows: Rows) -> IntArray:
    """Return the rows of each range [tiles]."""
    return rows[:, 1] - rows[:, 0]


def covered(rows: Rows) -> int:
    """Return how many rows are in at least one range."""
    last, total = 0, 0
    for first, behind in sorted(rows.tolist()):
        total += max(behind - max(first, last), 0)
        last = max(last, behind)
    return total


def own_rows(layout: Layout, layer: int) -> Rows:
    """Return the rows of what a layer hands on that each of its tiles makes."""
    return row_ranges(layout.cut(layer).row_starts)


def own_map_rows(layout: Layout, layer: int) -> Rows:
    """Return the rows of a layer's map before its pool that each tile computes."""
    return row_ranges(layout.cut(layer).map_row_starts)


def needed_rows(layout: Layout, layer: int) -> Rows:
    """Return the rows of the map before ``layer`` that each of its tiles reads."""
    return _of_tiles(layout.cut(layer), lambda tile: layout.needs(layer, tile))


def pooled_from(layout: Layout, layer: int) -> Rows:
    """Return the rows of a layer's map that each tile's pool windows read."""
    cut = layout.cut(layer)
    return _of_tiles(cut, cut.pooled_rows_from)


def pooled_over(layout: Layout, layer: int) -> Rows:
    """Return the rows of pool windows that reach each tile's rows of the map."""
    cut = layout.cut(layer)
    return _of_tiles(cut, cut.pooled_rows_over)


def error_rows(layout: Layout, layer: int) -> Rows:
    """Return the rows of the next layer's map whose errors each tile of ``layer`` reads to make its own errors."""
    cut, following = layout.cut(layer), layout.shape(layer + 1)
    if not following.convolves:
        return np.tile(np.array([0, 1], dtype=np.int64), (cut.tiles, 1))
    return _of_tiles(cut, lambda tile: following.rows.readers(*cut.rows(tile)))


def _of_tiles(cut: LayerCut, rows: Callable[[int], tuple[int, int]]) -> Rows:
    return np.array([rows(tile) for tile in range(cut.tiles)], dtype=np.int64)


def halo(owned: Rows, read: Rows) -> IntArray:
    """Return the rows that tile k (first axis) owns and another tile i reads [tiles, tiles]; 0 for i = k."""
    shared = overlaps(owned, read)
    np.fill_diagonal(shared, 0)
    return shared


def handed_rows(layout: Layout, layer: int) -> IntArray:
    """Return the rows that each tile of ``layer`` has and each tile of the next one reads [t_l, t_(l+1)]."""
    return overlaps(own_rows(layout, layer), needed_rows(layout, layer + 1))


def values_read(layout: Layout, layer: int) -> IntArray:
    """V: values of the map before ``layer`` that each of its tiles reads [t_l]."""
    inputs = layout.map(layer - 1)
    return lengths(needed_rows(layout, layer)) * inputs.columns * inputs.channels


def errors_read(layout: Layout, layer: int) -> IntArray:
    """D: errors of the next layer that each tile of ``layer`` reads [t_l]; n_(l+1) where that is dense."""
    following = layout.shape(layer + 1).map
    return lengths(error_rows(layout, layer)) * following.columns * following.channels


def activations_there(layout: Layout, layer: int) -> int:
    """loc: values of ``layer`` that the next one's cores read and hold themselves; also their own partial sums."""
    senders, readers = _on_both(layout, layer)
    rows = handed_rows(layout, layer)[layout.cut(layer).tile[senders], layout.cut(layer + 1).tile[readers]]
    return int((rows * layout.sizes(layer)[senders]).sum()) * layout.map(layer).columns


def errors_there(layout: Layout, layer: int) -> int:
    """loc: errors of layer l+1 that the cores of ``layer`` read and hold themselves."""
    readers, senders = _on_both(layout, layer)
    shared = overlaps(own_map_rows(layout, layer + 1), error_rows(layout, layer))
    rows = shared[layout.cut(layer + 1).tile[senders], layout.cut(layer).tile[readers]]
    return int((rows * layout.sizes(layer + 1)[senders]).sum()) * layout.shape(layer + 1).map.columns


def _on_both(layout: Layout, layer: int) -> tuple[IntArray, IntArray]:
    """Return the slices of ``layer`` and of the next one that share a core, pair by pair."""
    cores = (layout.cores(layer), layout.cores(layer + 1))
    _, here, following = np.intersect1d(*cores, assume_unique=True, return_indices=True)
    return here.astype(np.int64), following.astype(np.int64)


def taps_inside(layout: Layout, layer: int) -> int:
    """Return how many (window, tap) pairs of a layer's pool lie inside its map, all channels together."""
    shape = layout.shape(layer)
    assert shape.pool is not None
    rows, columns = shape.pool.rows, shape.pool.columns
    inside = [axis.taps_inside((0, axis.outputs), (0, axis.size)) for axis in (rows, columns)]
    return inside[0] * inside[1] * shape.channels


def tile_cores(layout: Layout, layer: int) -> list[IntArray]:
    """Return the cores of each tile of a layer."""
    return np.split(layout.cores(layer), layout.cut(layer).tiles)
