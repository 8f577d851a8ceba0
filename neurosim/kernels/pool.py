"""Kernels of pools: forward over windows of each channel's map, and errors back to the units of the windows.

A map is [samples, channels, rows, columns]; every array is contiguous. ``window`` (int64) holds row stride, padding
above, column stride, padding to the left, rows and columns of a window. ``first_rows`` are the map's row that is the
first of ``maps`` and the window row that is the first of the pooled arrays: both may hold part of a layer's rows.
"""

from __future__ import annotations

import numpy as np
from numba import uintp

from neurosim.kernels import Array, kernel
from neurosim.kernels.conv import copy_run, inside, zero_run


@kernel
def take_larger(values: Array, places: Array, rivals: Array, rival_places: Array, ahead: int, more: int) -> None:
    """Where rival [i + ahead] is larger than value [i], or NaN, put it there, with its own place and ``more``."""
    for i in range(values.size - ahead):
        rival, value = rivals[uintp(i + ahead)], values[uintp(i)]
        place = np.int32(more) + rival_places[uintp(i + ahead)]
        larger = (rival > value) | (rival != rival)
        values[uintp(i)] = rival if larger else value
        places[uintp(i)] = place if larger else places[uintp(i)]


@kernel
def max_pool(maps: Array, pooled: Array, places: Array, first_rows: tuple[int, int], window: Array) -> None:
    """Set pooled to the largest unit of every window, and places to where it stands in the window, row by row.

    Of equal units the first counts, and NaN is larger than anything. A channel is laid into a plane with a border of
    minus infinity, and windows are taken to begin at every unit of it, so that the loops are long: first the largest of
    neighbours in a row, then of these over the rows of a window.
    """
    row_stride, above, column_stride, left, tap_rows, tap_columns = window
    samples, channels, height, width = maps.shape
    rows, columns = pooled.shape[2], pooled.shape[3]
    top = first_rows[1] * row_stride - above - first_rows[0]
    deep = (rows - 1) * row_stride + tap_rows
    wide = max((columns - 1) * column_stride + tap_columns, width + left)
    source = maps.reshape(-1)
    units = np.full(deep * wide, -np.inf, maps.dtype)
    in_row, most = np.empty_like(units), np.empty_like(units)
    zeros, in_row_places, most_places = (
        np.zeros(units.size, np.int32),
        np.zeros(units.size, np.int32),
        np.zeros(units.size, np.int32),
    )
    for n in range(samples):
        for c in range(channels):
            for row in range(max(0, -top), min(deep, height - top)):
                line = ((n * channels + c) * height + top + row) * width
                copy_run(source, line, units, row * wide + left, width)
            copy_run(units, 0, in_row, 0, units.size)
            zero_run(in_row_places, 0, units.size)
            for v in range(1, tap_columns):
                take_larger(in_row, in_row_places, units, zeros, v, v)
            copy_run(in_row, 0, most, 0, units.size)
            copy_run(in_row_places, 0, most_places, 0, units.size)
            for u in range(1, tap_rows):
                take_larger(most, most_places, in_row, in_row_places, u * wide, u * tap_columns)
            for y in range(rows):
                for x in range(columns):
                    begin = uintp(y * row_stride * wide + x * column_stride)
                    pooled[n, c, y, x] = most[begin]
                    places[n, c, y, x] = most_places[begin]


@kernel
def max_unpool(errors: Array, places: Array, maps: Array, first_rows: tuple[int, int], window: Array) -> None:
    """Set maps to the errors of the windows at the units that were their largest, and to 0 elsewhere.

    Where windows overlap, errors add up, in the order of windows. They are added in a plane with a border, of which the
    rows and columns of the map are taken.
    """
    row_stride, above, column_stride, left, tap_rows, tap_columns = window
    samples, channels, height, width = maps.shape
    rows, columns = errors.shape[2], errors.shape[3]
    top = first_rows[1] * row_stride - above - first_rows[0]
    deep = max((rows - 1) * row_stride + tap_rows, 1)
    wide = max((columns - 1) * column_stride + tap_columns, width + left)
    offsets = np.empty(tap_rows * tap_columns, np.int64)
    for place in range(offsets.size):
        offsets[place] = place // tap_columns * wide + place % tap_columns
    plane, target = np.empty(deep * wide, maps.dtype), maps.reshape(-1)
    lo, hi = inside(height, deep, 1, top)
    before, behind = (top + lo, top + hi) if lo < hi else (height, height)
    for n in range(samples):
        for c in range(channels):
            zero_run(plane, 0, plane.size)
            for y in range(rows):
                for x in range(columns):
                    begin = y * row_stride * wide + x * column_stride
                    plane[uintp(begin + offsets[places[n, c, y, x]])] += errors[n, c, y, x]
            start = (n * channels + c) * height * width
            zero_run(target, start, before * width)
            zero_run(target, start + behind * width, (height - behind) * width)
            for row in range(lo, hi):
                copy_run(plane, row * wide + left, target, start + (top + row) * width, width)


@kernel
def average_pool(maps: Array, pooled: Array, first_rows: tuple[int, int], window: Array, shares: Array) -> None:
    """Set pooled to the mean of every window's units inside the map.

    ``shares`` [rows, columns] holds one over the number of these units. All rows that the windows read are in ``maps``,
    those of the padding are not.
    """
    row_stride, above, column_stride, left, tap_rows, tap_columns = window
    _, _, height, width = maps.shape
    for n in range(maps.shape[0]):
        for c in range(maps.shape[1]):
            for y in range(pooled.shape[2]):
                top = (first_rows[1] + y) * row_stride - above - first_rows[0]
                line = pooled[n, c, y]
                line[:] = 0
                for u in range(max(0, -top), min(tap_rows, height - top)):
                    units = maps[n, c, top + u]
                    for v in range(tap_columns):
                        for x in range(line.size):
                            column = x * column_stride - left + v
                            if 0 <= column < width:
                                line[x] += units[column]
                for x in range(line.size):
                    line[x] *= shares[y, x]


@kernel
def average_unpool(errors: Array, maps: Array, first_rows: tuple[int, int], window: Array, shares: Array) -> None:
    """Set maps to the sums of the errors of the windows a unit lies in, each times its share [rows, columns]."""
    row_stride, above, column_stride, left, tap_rows, tap_columns = window
    _, _, height, width = maps.shape
    maps[...] = 0
    for n in range(maps.shape[0]):
        for c in range(maps.shape[1]):
            for y in range(errors.shape[2]):
                top = (first_rows[1] + y) * row_stride - above - first_rows[0]
                for u in range(max(0, -top), min(tap_rows, height - top)):
                    units = maps[n, c, top + u]
                    for v in range(tap_columns):
                        for x in range(errors.shape[3]):
                            column = x * column_stride - left + v
                            if 0 <= column < width:
                                units[column] += errors[n, c, y, x] * shares[y, x]
