"""Convolutions as matrix products over columns: forward, the error of the inputs, the gradient of filters.

A product is over a block of samples with enough sums for it to be fast, and over a group of the inputs' channels few
enough for its columns to stay in a processor's cache. Columns are made again wherever they are needed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from neurosim.kernels.conv import activate_maps_linear, fold, unfold
from neurosim.networks.geometry import LayerShape, Map
from neurosim.numerics.layers import Array, LayerMemory, Scratch

LEAST_SUMS = 512
CACHED_VALUES = 1 << 18
SMALL_MACS = 10**6

Rows = tuple[int, int]


def as_maps(values: Array, shape: Map) -> Array:
    """Return [N, units] as [N, channels, rows, columns]: a view."""
    return values.reshape(-1, shape.channels, shape.rows, shape.columns)


class Columns:
    """The columns of a layer's inputs, or of their errors, for the sums of some rows of its map."""

    def __init__(self, shape: LayerShape, rows: Rows, scratch: Scratch) -> None:
        axes = shape.rows, shape.columns
        self.scratch = scratch
        self.first_row = rows[0]
        self.rows = rows[1] - rows[0]
        self.width = shape.map.columns
        self.kernel = axes[0].kernel, axes[1].kernel
        self.taps = shape.kernel_positions
        self.window = np.array([number for axis in axes for number in (axis.stride, axis.before)], dtype=np.int64)
        self.strip = scratch.take("strip", (self.rows - 1) * axes[0].stride + axes[0].kernel, self.width)

    def blocks(self, samples: int, channels: int) -> Iterator[slice]:
        """Cut samples into blocks; ``channels`` are those of the inputs."""
        sums = self.rows * self.width
        size = max(-(-LEAST_SUMS // sums), CACHED_VALUES // (channels * self.taps * sums))
        return (slice(first, min(first + size, samples)) for first in range(0, samples, size))

    def groups(self, samples: int, channels: int) -> Iterator[slice]:
        """Cut channels into groups for a block of samples."""
        size = max(1, CACHED_VALUES // (self.taps * samples * self.rows * self.width))
        return (slice(first, min(first + size, channels)) for first in range(0, channels, size))

    def taps_of(self, channels: slice) -> slice:
        """Return the taps of some channels, columns of the weights."""
        return slice(channels.start * self.taps, channels.stop * self.taps)

    def take(self, samples: int, channels: slice) -> Array:
        """Return room for the columns of some channels [taps, samples x sums]."""
        taps = (channels.stop - channels.start) * self.taps
        return self.scratch.take("columns", taps, samples * self.rows * self.width)

    def of(self, inputs: Array, channels: slice) -> Array:
        """Return the columns of some channels of inputs [n, C, h, w]."""
        by_tap = self._by_tap(len(inputs), channels)
        unfold(inputs, by_tap, (channels.start, self.first_row), self.window, self.strip)
        return self.take(len(inputs), channels)

    def sum_up(self, channels: slice, inputs: Array, first_of_maps: int) -> None:
        """Set some channels of ``inputs`` [n, C, h, w], from a row of the map on, to the sums of their columns."""
        by_tap = self._by_tap(len(inputs), channels)
        fold(by_tap, inputs, (channels.start, self.first_row, first_of_maps), self.window, self.strip)

    def _by_tap(self, samples: int, channels: slice) -> Array:
        """Return what ``take`` returns as [channels, kernel rows, kernel columns, samples, rows, columns]."""
        size = channels.stop - channels.start
        return self.scratch.take("columns", size, *self.kernel, samples, self.rows, self.width)


def runs(filter_values: int, sums: int) -> Iterator[slice]:
    """Cut the sums of a product where it then becomes a few that BLAS counts as small, and makes without copies."""
    small = SMALL_MACS // filter_values
    size = sums if small < LEAST_SUMS else -(-sums // -(-sums // small))
    return (slice(first, min(first + size, sums)) for first in range(0, sums, size))


def convolve(layer: LayerMemory, inputs: Array, channels: slice, rows: Rows, maps: Array, scratch: Scratch) -> None:
    """Set maps [N, a, rows, columns] to f(the sums of some channels and rows) of inputs [N, C, h, w]."""
    columns = Columns(layer.shape, rows, scratch)
    weights, biases = layer.weights[channels], layer.biases[channels]
    activate = layer.activate_maps if maps.dtype == np.float32 else activate_maps_linear
    for block in columns.blocks(len(inputs), inputs.shape[1]):
        z = _sums(columns, weights, inputs[block])
        values = writable(maps[block], scratch)
        activate(z.reshape(len(z), len(values), -1), biases, values.reshape(len(values), len(z), -1))
        if maps.dtype != np.float32:
            values[...] = layer.activation.function(values)
        put(maps[block], values)


def _sums(columns: Columns, weights: Array, inputs: Array) -> Array:
    """Return z [a, n x sums] of a block of inputs."""
    shape = len(weights), len(inputs) * columns.rows * columns.width
    z = columns.scratch.take("sums", *shape)
    for group in columns.groups(len(inputs), inputs.shape[1]):
        part = z if group.start == 0 else columns.scratch.take("part of sums", *shape)
        filters, unfolded = weights[:, columns.taps_of(group)], columns.of(inputs, group)
        for run in runs(filters.size, shape[1]):
            np.matmul(filters, unfolded[:, run], out=part[:, run])
        if part is not z:
            z += part
    return z


def input_error(
    shape: LayerShape, carrier: Array, delta: Array, rows: Rows, target: tuple[Array, int], scratch: Scratch
) -> None:
    """Set a part of the inputs' error to what some channels and rows of sums send back.

    carrier [a, C kh kw] has the filters of these channels and of the C inputs' channels of the part; delta
    [N, a, rows, columns]; ``target`` is the error [N, C, h, w] and its first row.
    """
    errors, first_of_maps = target
    if rows[0] == rows[1]:  # a stride may pass over all rows of a tile
        errors[...] = 0
        return
    columns = Columns(shape, rows, scratch)
    for block in columns.blocks(len(delta), errors.shape[1]):
        by_channel = _by_channel(delta[block], scratch)
        values = writable(errors[block], scratch)
        for group in columns.groups(len(values), values.shape[1]):
            sent = columns.take(len(values), group)
            np.matmul(carrier[:, columns.taps_of(group)].T, by_channel, out=sent)
            columns.sum_up(group, values, first_of_maps)
        put(errors[block], values)


def filter_gradient(
    shape: LayerShape, delta: Array, inputs: Array, rows: Rows, sums: tuple[Array, Array], scratch: Scratch
) -> None:
    """Add the gradients of some rows' sums to (dW [a, C kh kw], db [a]): delta [N, a, rows, columns].

    They are summed the other way round, [C kh kw, a]: so the product is up to half as long again faster.
    """
    weights, biases = sums
    columns = Columns(shape, rows, scratch)
    turned = scratch.take("gradient", *weights.shape[::-1])
    for block in columns.blocks(len(delta), inputs.shape[1]):
        by_channel = _by_channel(delta[block], scratch)
        for group in columns.groups(block.stop - block.start, shape.inputs.channels):
            target = turned[columns.taps_of(group)]
            unfolded = columns.of(inputs[block], group)
            for run in runs(target.size, by_channel.shape[1]):
                part = target if block.start == run.start == 0 else scratch.take("part of gradient", *target.shape)
                np.matmul(unfolded[:, run], by_channel[:, run].T, out=part)
                if part is not target:
                    target += part
        biases += by_channel @ np.ones(by_channel.shape[1], by_channel.dtype)
    weights += turned.T


def writable(part: Array, scratch: Scratch) -> Array:
    """Return the part itself if it is contiguous, else an array of its shape in its place."""
    return part if part.flags.c_contiguous else scratch.take("part", *part.shape)


def put(part: Array, values: Array) -> None:
    """Write what stood in for a part back into it."""
    if values is not part:
        part[...] = values


def _by_channel(delta: Array, scratch: Scratch) -> Array:
    """Return delta [n, a, rows, columns] as [a, n x rows x columns]."""
    samples, channels, rows, columns = delta.shape
    values = scratch.take("by channel", channels, samples * rows * columns)
    np.copyto(values.reshape(channels, samples, rows, columns), delta.transpose(1, 0, 2, 3))
    return values
