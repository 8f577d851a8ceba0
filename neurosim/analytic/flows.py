"""The flows of a step: inputs and labels, activations, halos of pools, copies of filters; errors beside them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from neurosim.analytic import maps
from neurosim.analytic.error_flows import error_flows
from neurosim.analytic.flow import Flow, Payload, Task, one_to_one, senders_of, spread
from neurosim.counts import IntArray
from neurosim.placement.cuts import overlaps, row_ranges, slice_starts
from neurosim.schedules.layout import Layout
from neurosim.topology import Mesh


def flows(layout: Layout, grid: Mesh) -> Iterator[Flow]:
    """Yield every flow of a step."""
    yield from _input_flows(layout, grid)
    if layout.sends_labels:
        yield from _label_flows(layout, grid)
    for layer in range(1, layout.depth + 1):
        pool = layout.shape(layer).pool
        if pool is not None:
            yield from _pool_halos(layout, grid, layer)
        if layer < layout.depth:
            yield from _activation_flows(layout, grid, layer)
        if pool is not None and layout.errors[layer]:
            yield from _unpool_halos(layout, grid, layer)
        if layout.trained[layer] and layout.cut(layer).tiled:
            yield from _copy_flows(layout, grid, layer)
    if layout.exchanges_softmax:
        yield from _softmax_flows(layout, grid)
    yield from error_flows(layout, grid)


def _input_flows(layout: Layout, grid: Mesh) -> Iterator[Flow]:
    """Every port's inputs to those cores of layer 1 that read them, multicast under either delivery."""
    ports, image, first = senders_of(layout, grid, ("io", 0)), layout.map(0), ("forward", 1)
    payload = Payload(layout.chip.widths.activation_bits, multicast=True)
    if not layout.shape(1).convolves:
        slices = np.diff(slice_starts(layout.widths[0], layout.ports))
        yield from spread(("io", 0), ports, slices, layout.cores(1), payload, first)
        return
    rows = overlaps(row_ranges(slice_starts(image.rows, layout.ports)), maps.needed_rows(layout, 1))
    for tile, cores in enumerate(maps.tile_cores(layout, 1)):
        yield from spread(("io", 0), ports, rows[:, tile] * image.columns * image.channels, cores, payload, first)


def _label_flows(layout: Layout, grid: Mesh) -> Iterator[Flow]:
    """Labels from port 0 to the output's cores and, under a target rule, to all others."""
    depth, bits, receivers = layout.depth, layout.chip.widths.activation_bits, layout.target_cores()
    hidden = layout.hidden_errors() if layout.rule.error == "target" else []
    waiting = tuple(("error", layer) for layer in [depth, *hidden])
    port, one = senders_of(layout, grid, ("io", 0)).take(np.arange(1)), np.ones(1, dtype=np.int64)
    if layout.dense_targets and layout.rule.error != "target":
        ends = (layout.cores(depth), layout.sizes(depth))
        yield Flow(("io", 0), port, one, *ends, "destination", Payload(bits, multicast=False), waiting)
        return
    width = layout.outputs * bits if layout.dense_targets else layout.bits["label"]
    yield from spread(("io", 0), port, one, receivers, Payload(width, multicast=True), *waiting)


def _activation_flows(layout: Layout, grid: Mesh, layer: int) -> Iterator[Flow]:
    """What a layer hands on, to each tile of the next one the rows that it reads."""
    task: Task = (layout.forward_end(layer), layer)
    sources, rows = senders_of(layout, grid, task), maps.handed_rows(layout, layer)
    payload = Payload(layout.chip.widths.activation_bits, layout.recipe.delivery == "multicast")
    row_values, tile_of = layout.map(layer).columns * layout.sizes(layer), layout.cut(layer).tile
    for tile, cores in enumerate(maps.tile_cores(layout, layer + 1)):
        yield from spread(task, sources, rows[tile_of, tile] * row_values, cores, payload, ("forward", layer + 1))


def _softmax_flows(layout: Layout, grid: Mesh) -> Iterator[Flow]:
    """Maxima and sums between the cores of the last layer."""
    task: Task = ("forward", layout.depth)
    sources = senders_of(layout, grid, task)
    payload = Payload(2 * layout.chip.widths.accumulator_bits, layout.recipe.delivery == "multicast")
    yield from spread(task, sources, np.ones_like(sources.cores), sources.cores, payload, ("error", layout.depth))


def _pool_halos(layout: Layout, grid: Mesh, layer: int) -> Iterator[Flow]:
    """Rows of the map that the pool windows of another tile read, to the same channels there."""
    rows = maps.halo(maps.own_map_rows(layout, layer), maps.pooled_from(layout, layer))
    values = rows * layout.shape(layer).map.columns
    payload = Payload(layout.chip.widths.activation_bits, multicast=False)
    yield from _between_tiles(layout, grid, ("forward", layer), values, payload, ("pool", layer))


def _unpool_halos(layout: Layout, grid: Mesh, layer: int) -> Iterator[Flow]:
    """Errors of pool windows that reach the map of another tile, with the places of their largest units."""
    rows = maps.halo(maps.own_rows(layout, layer), maps.pooled_over(layout, layer))
    pool = layout.shape(layer).pool
    places = layout.bits["argmax"] if pool is not None and pool.kind == "max_pool" else 0
    payload = Payload(layout.chip.widths.error_bits + places, multicast=False)
    values = rows * layout.map(layer).columns
    yield from _between_tiles(layout, grid, ("error", layer), values, payload, ("unpool", layer))


def _between_tiles(
    layout: Layout, grid: Mesh, task: Task, values: IntArray, payload: Payload, waiting: Task
) -> Iterator[Flow]:
    """Yield the flow of ``values[k, i]`` of every channel from tile k to the same channels of tile i."""
    cut, sources = layout.cut(task[1]), senders_of(layout, grid, task)
    before, behind = np.nonzero(values)
    if len(before):
        each = np.arange(cut.channel_slices, dtype=np.int64)
        source_of = (before[:, None] * cut.channel_slices + each).ravel()
        receivers = (behind[:, None] * cut.channel_slices + each).ravel()
        units = np.repeat(values[before, behind], cut.channel_slices) * cut.channels[receivers]
        yield one_to_one(task, sources, (source_of, sources.cores[receivers], units), payload, waiting)


def _copy_flows(layout: Layout, grid: Mesh, layer: int) -> Iterator[Flow]:
    """Gradients of the copies of filters to their owners, and the owners' new weights and biases to the copies."""
    task: Task = ("update", layer)
    cut, taps, widths = layout.cut(layer), layout.shape(layer).fan_in, layout.chip.widths
    sources = senders_of(layout, grid, task)
    copies = np.arange(cut.channel_slices, cut.slices, dtype=np.int64)
    owners, channels = copies % cut.channel_slices, cut.channels[copies]
    sums = Payload(widths.accumulator_bits, multicast=False, once=True)
    yield one_to_one(task, sources, (copies, sources.cores[owners], channels * (taps + 1)), sums, task)
    renewed = Payload(1, layout.recipe.delivery == "multicast", once=True)
    bits = channels * (taps * widths.weight_bits + widths.bias_bits)
    yield one_to_one(task, sources, (owners, sources.cores[copies], bits), renewed)
