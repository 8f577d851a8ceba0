"""What the tasks of pools do, forward and back (semantics 1)."""

from __future__ import annotations

import numpy as np

from neurosim.counts import IntArray
from neurosim.networks import PoolShape
from neurosim.schedules.layout import Layout
from neurosim.schedules.work import Counts, Microbatch, Work, add_channel, no_macs


def pool_of(layout: Layout, layer: int) -> PoolShape:
    """Return the pool of a layer that has one."""
    pool = layout.shape(layer).pool
    assert pool is not None
    return pool


def pool_work(layout: Layout, layer: int, batch: Microbatch) -> Work:
    """The largest or the mean of every window of a slice; where errors come back, the place of the largest is kept."""
    pool, p, u = pool_of(layout, layer), batch.samples, layout.units(layer)
    taps = _taps(layout, layer, layout.partition.rows(layer), own_map_rows=False)
    largest = pool.kind == "max_pool"
    counts: Counts = {
        ("neuron_reads", "activation"): p * taps,
        ("elementwise_ops", ""): p * taps if largest else p * (taps + u),
        ("neuron_writes", "activation"): p * u,
        ("neuron_writes", "argmax"): p * u * (largest and layout.errors[layer]),
    }
    add_channel(counts, layout, layer, "pool", batch)
    return Work(counts, no_macs(layout, layer))


def _taps(layout: Layout, layer: int, windows: IntArray, *, own_map_rows: bool) -> IntArray:
    """Pairs of a window and a unit in it, for window rows [tiles, 2] of each tile, times channels [c_l].

    ``own_map_rows``: only units of the tile's own map rows count, else all within the map.
    """
    pool, cut, shape = pool_of(layout, layer), layout.cut(layer), layout.shape(layer)
    whole = (0, shape.map.rows)
    rows = [
        pool.rows.taps_inside((int(first), int(behind)), cut.map_rows(tile) if own_map_rows else whole)
        for tile, (first, behind) in enumerate(windows)
    ]
    columns = pool.columns.taps_inside((0, shape.outputs.columns), (0, shape.map.columns))
    return np.array(rows, dtype=np.int64)[cut.tile] * columns * cut.channels


def pool_arrivals(layout: Layout, layer: int, batch: Microbatch) -> Counts:
    """Rows of the map that a tile's windows read and other tiles sent [c_l]."""
    cut = layout.cut(layer)
    rows = layout.partition.map_halo(layer).sum(axis=0)[cut.tile]
    return {("neuron_writes", "activation"): batch.samples * rows * layout.shape(layer).map.columns * cut.channels}


def unpool_work(layout: Layout, layer: int, batch: Microbatch) -> Work:
    """delta_l of a slice's own map from the errors of the windows that reach it, and f'."""
    pool, cut, p = pool_of(layout, layer), layout.cut(layer), batch.samples
    over = np.array([cut.pooled_rows_over(tile) for tile in range(cut.tiles)], dtype=np.int64)
    windows = (over[:, 1] - over[:, 0])[cut.tile] * layout.map(layer).columns * cut.channels
    added = windows
    if pool.kind == "average_pool":
        added = windows + _taps(layout, layer, over, own_map_rows=True)
    counts: Counts = {
        ("neuron_reads", "error"): p * windows,
        ("neuron_reads", "argmax"): p * windows * (pool.kind == "max_pool"),
        ("neuron_reads", "activation"): p * cut.map_units,
        ("elementwise_ops", ""): p * added + 2 * p * cut.map_units,
        ("neuron_writes", "error"): p * cut.map_units,
    }
    add_channel(counts, layout, layer, "unpool", batch)
    return Work(counts, no_macs(layout, layer))


def unpool_arrivals(layout: Layout, layer: int, batch: Microbatch) -> Counts:
    """Errors of windows of other tiles, with the places of their largest units [c_l]."""
    cut = layout.cut(layer)
    rows = layout.partition.window_halo(layer).sum(axis=0)[cut.tile]
    values = batch.samples * rows * layout.map(layer).columns * cut.channels
    counts: Counts = {("neuron_writes", "error"): values}
    if pool_of(layout, layer).kind == "max_pool":
        counts["neuron_writes", "argmax"] = values
    return counts


def unpool_halo_bits(layout: Layout, layer: int) -> int:
    """Bits of one window's error on its way to another tile: with the place of its largest unit under a max pool."""
    place = layout.network.argmax_bits if pool_of(layout, layer).kind == "max_pool" else 0
    return layout.chip.widths.error_bits + place
