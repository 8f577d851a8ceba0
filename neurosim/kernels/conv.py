"""Kernels of convolutions around the matrix products: columns of an image, and their sums.

A map is [samples, channels, rows, columns]; every array is contiguous. The products are BLAS calls on columns
[taps, sums], taps in the order of filters (channel, row, column) and sums in the order (sample, row, column).
``window`` (int64) holds a window's way over a map: row stride, padding above, column stride, padding to the left.
``strip`` has room for what one tap column reads of a channel, [(rows - 1) row stride + tap rows, sums of a row].
The kernels ``activate_maps_*`` are for float32 only, like those of dense layers.

Runs are indexed with unsigned numbers: an index that may be negative counts from the end, which costs a comparison and
keeps the compiler from using vector instructions.
"""

from __future__ import annotations

from numba import uintp

from neurosim.kernels import Array, kernel
from neurosim.kernels.dense import HALF, ZERO, rational_tanh


@kernel
def copy_run(source: Array, first: int, target: Array, start: int, count: int) -> None:
    """Copy ``count`` neighbours of a flat array."""
    for i in range(count):
        target[uintp(start + i)] = source[uintp(first + i)]


@kernel
def add_run(source: Array, first: int, target: Array, start: int, count: int) -> None:
    """Add ``count`` neighbours of a flat array."""
    for i in range(count):
        target[uintp(start + i)] += source[uintp(first + i)]


@kernel
def zero_run(target: Array, start: int, count: int) -> None:
    """Set ``count`` neighbours of a flat array to 0."""
    for i in range(count):
        target[uintp(start + i)] = 0


@kernel
def inside(size: int, outputs: int, stride: int, shift: int) -> tuple[int, int]:
    """Return the outputs first .. behind - 1 whose input, x stride + shift, is one of 0 .. size - 1."""
    first = min(max((stride - 1 - shift) // stride, 0), outputs)
    return first, max(min((size - 1 - shift) // stride + 1, outputs), first)


@kernel
def zero_edges(strip: Array, rows: tuple[int, int], width: int, columns: tuple[int, int]) -> None:
    """Set what is left and right of some columns to 0 in some rows of ``width`` values."""
    for row in range(rows[0], rows[1]):
        zero_run(strip, row * width, columns[0])
        zero_run(strip, row * width + columns[1], width - columns[1])


@kernel
def unfold(maps: Array, columns: Array, first: tuple[int, int], window: Array, strip: Array) -> None:
    """Write the inputs of every tap and sum: maps [n, C, h, w] to columns [c, kh, kw, n, rows, w'].

    ``first`` holds the channel of the maps and the output row that are the first of ``columns``.
    """
    first_channel, first_row = first
    row_stride, above, column_stride, left = window
    samples, every, height, size = maps.shape
    channels, tap_rows, tap_columns, _, rows, width = columns.shape
    flat, source, target = strip.reshape(-1), maps.reshape(-1), columns.reshape(-1)
    top = first_row * row_stride - above
    lo, hi = inside(height, strip.shape[0], 1, top)
    together = rows if row_stride == 1 else 1
    zero_run(flat, 0, lo * width)
    zero_run(flat, hi * width, (strip.shape[0] - hi) * width)
    for c in range(channels):
        for n in range(samples):
            plane = ((n * every + first_channel + c) * height + top) * size
            for v in range(tap_columns):
                shift = v - left
                left_of, behind = inside(size, width, column_stride, shift)
                if column_stride == 1 and width == size and left_of < behind:
                    count = (hi - lo) * width - left_of - (width - behind)
                    copy_run(source, plane + lo * size + left_of + shift, flat, lo * width + left_of, count)
                else:
                    for row in range(lo, hi):
                        for x in range(left_of, behind):
                            place = plane + row * size + x * column_stride + shift
                            flat[uintp(row * width + x)] = source[uintp(place)]
                zero_edges(flat, (lo, hi), width, (left_of, behind))
                for u in range(tap_rows):
                    start = (((c * tap_rows + u) * tap_columns + v) * samples + n) * rows * width
                    for y in range(0, rows, together):
                        read = (y * row_stride + u) * width
                        copy_run(flat, read, target, start + y * width, together * width)


@kernel
def fold(columns: Array, maps: Array, first: tuple[int, int, int], window: Array, strip: Array) -> None:
    """Set some channels of maps [n, C, h, w] to the sums of what ``unfold`` would have read: [c, kh, kw, n, rows, w'].

    ``first`` holds the channel of the maps and the output row that are the first of ``columns``, and the row that is
    the first of ``maps``; what belongs to other rows, or to the padding, is left out.
    """
    first_channel, first_row, first_of_maps = first
    row_stride, above, column_stride, left = window
    samples, every, height, size = maps.shape
    channels, tap_rows, tap_columns, _, rows, width = columns.shape
    flat, target, source = strip.reshape(-1), maps.reshape(-1), columns.reshape(-1)
    top = first_row * row_stride - above - first_of_maps
    lo, hi = inside(height, strip.shape[0], 1, top)
    together = rows if row_stride == 1 else 1
    for c in range(channels):
        for n in range(samples):
            begin = (n * every + first_channel + c) * height * size
            plane = begin + top * size
            zero_run(target, begin, height * size)
            for v in range(tap_columns):
                zero_run(flat, 0, strip.size)
                for u in range(tap_rows):
                    start = (((c * tap_rows + u) * tap_columns + v) * samples + n) * rows * width
                    for y in range(0, rows, together):
                        place = (y * row_stride + u) * width
                        add_run(source, start + y * width, flat, place, together * width)
                shift = v - left
                left_of, behind = inside(size, width, column_stride, shift)
                if column_stride == 1 and width == size and left_of < behind:
                    zero_edges(flat, (lo, hi), width, (left_of, behind))
                    count = (hi - lo) * width - left_of - (width - behind)
                    add_run(flat, lo * width + left_of, target, plane + lo * size + left_of + shift, count)
                else:
                    for row in range(lo, hi):
                        for x in range(left_of, behind):
                            place = plane + row * size + x * column_stride + shift
                            target[uintp(place)] += flat[uintp(row * width + x)]


@kernel
def activate_maps_linear(z: Array, biases: Array, maps: Array) -> None:
    """Set maps [n, K, p] to z + b, z [K, n, p], b [K]."""
    for k in range(z.shape[0]):
        bias = biases[k]
        for n in range(z.shape[1]):
            sums, values = z[k, n], maps[n, k]
            for i in range(sums.size):
                values[i] = sums[i] + bias


@kernel
def activate_maps_tanh(z: Array, biases: Array, maps: Array) -> None:
    """Set maps to tanh(z + b)."""
    for k in range(z.shape[0]):
        bias = biases[k]
        for n in range(z.shape[1]):
            sums, values = z[k, n], maps[n, k]
            for i in range(sums.size):
                values[i] = rational_tanh(sums[i] + bias)


@kernel
def activate_maps_sigmoid(z: Array, biases: Array, maps: Array) -> None:
    """Set maps to 1/(1 + exp(-(z + b))), written with tanh."""
    for k in range(z.shape[0]):
        bias = biases[k]
        for n in range(z.shape[1]):
            sums, values = z[k, n], maps[n, k]
            for i in range(sums.size):
                values[i] = HALF * rational_tanh(HALF * (sums[i] + bias)) + HALF


@kernel
def activate_maps_relu(z: Array, biases: Array, maps: Array) -> None:
    """Set maps to max(z + b, 0); NaN stays NaN."""
    for k in range(z.shape[0]):
        bias = biases[k]
        for n in range(z.shape[1]):
            sums, values = z[k, n], maps[n, k]
            for i in range(sums.size):
                x = sums[i] + bias
                values[i] = ZERO if x < ZERO else x
