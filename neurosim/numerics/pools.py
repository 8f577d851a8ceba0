"""Pools: from the map of a convolution to what it hands on, and from the errors of that back to the map."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.kernels import pool as kernels
from neurosim.networks.geometry import Axis, LayerShape, PoolShape
from neurosim.numerics.convolutions import as_maps, put, writable
from neurosim.numerics.layers import Array, Batch, LayerMemory, Model, Part


def pool_of(shape: LayerShape) -> PoolShape:
    """Return a layer's pool."""
    assert shape.pool is not None
    return shape.pool


def window_of(pool: PoolShape) -> Array:
    """Return how the windows move, as kernels read it."""
    rows, columns = pool.rows, pool.columns
    numbers = rows.stride, rows.before, columns.stride, columns.before, rows.kernel, columns.kernel
    return np.array(numbers, dtype=np.int64)


def range_of(rows: slice | None, every: int) -> tuple[int, int]:
    """Return the rows first .. behind - 1 of a tile, all of ``every`` where it has none."""
    return (0, every) if rows is None else (rows.start, rows.stop)


def pool(model: Model, batch: Batch, number: int, part: Part) -> None:
    """Make what a part hands on from the map, with rows of other tiles where windows reach them."""
    shape = model.layer(number).shape
    windows, described = pool_of(shape), shape.outputs
    first, behind = range_of(part.rows, described.rows)
    lo, hi = windows.rows.reads(first, behind)
    maps = np.ascontiguousarray(as_maps(batch.maps[number], shape.map)[part.samples, part.neurons, lo:hi])
    target = as_maps(batch.h[number], described)[part.samples, part.neurons, first:behind]
    pooled = writable(target, model.scratch)
    if windows.kind == "max_pool":
        target_places = as_maps(batch.places[number], described)[part.samples, part.neurons, first:behind]
        places = target_places if target_places.flags.c_contiguous else np.empty_like(target_places, order="C")
        kernels.max_pool(maps, pooled, places, (lo, first), window_of(windows))
        put(target_places, places)
    else:
        kernels.average_pool(maps, pooled, (lo, first), window_of(windows), _shares(windows, first, behind, maps.dtype))
    put(target, pooled)


def unpool(model: Model, batch: Batch, number: int, part: Part) -> None:
    """Make delta_l of a part of the map from the errors of all windows that reach it."""
    layer = model.layer(number)
    shape, windows = layer.shape, pool_of(layer.shape)
    lo, hi = range_of(part.map_rows, shape.map.rows)
    first, behind = windows.rows.readers(lo, hi)
    reached = part.samples, part.neurons, slice(first, behind)
    errors = np.ascontiguousarray(as_maps(batch.errors[number], shape.outputs)[reached])
    target = as_maps(batch.delta[number], shape.map)[part.samples, part.neurons, lo:hi]
    delta = writable(target, model.scratch)
    if windows.kind == "max_pool":
        places = np.ascontiguousarray(as_maps(batch.places[number], shape.outputs)[reached])
        kernels.max_unpool(errors, places, delta, (lo, first), window_of(windows))
    else:
        shares = _shares(windows, first, behind, errors.dtype)
        kernels.average_unpool(errors, delta, (lo, first), window_of(windows), shares)
        maps = as_maps(batch.maps[number], shape.map)[part.samples, part.neurons, lo:hi]
        _apply_slope(layer, delta, np.ascontiguousarray(maps))
    put(target, delta)


def _apply_slope(layer: LayerMemory, delta: Array, h: Array) -> None:
    layer.apply_slope(delta.reshape(len(delta), -1), h.reshape(len(h), -1), delta.dtype.type(1.0))


def _shares(windows: PoolShape, first: int, behind: int, dtype: np.dtype[Any]) -> Array:
    """Return one over the units of every window [behind - first, columns] that lie inside the map."""

    def inside(axis: Axis) -> Array:
        return np.array([axis.taps_inside((y, y + 1), (0, axis.size)) for y in range(axis.outputs)])

    shares: Array = (1.0 / np.outer(inside(windows.rows)[first:behind], inside(windows.columns))).astype(dtype)
    return shares
