"""Flows of errors on their way back, and of new weights to their mirrors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from neurosim.analytic import maps
from neurosim.analytic.flow import Flow, Payload, Task, one_to_one, senders_of, spread
from neurosim.analytic.outputs import output_uses, slice_of_units
from neurosim.counts import SIGN_BITS, distinct
from neurosim.placement.cuts import overlaps
from neurosim.schedules.layout import Layout
from neurosim.topology import Mesh


def error_flows(layout: Layout, grid: Mesh) -> Iterator[Flow]:
    """Yield the flows of the hidden errors of a rule."""
    rule, hidden = layout.rule, layout.hidden_errors()
    for layer in hidden if rule.error == "next" else []:
        if rule.partial_sums:
            yield from _partial_sums(layout, grid, layer)
            continue
        yield from _next_errors(layout, grid, layer)
        if layer in mirrored_layers(layout):
            yield new_weights_flow(layout, grid, layer)
    if rule.shares_source and hidden:
        yield from (_sparse_errors if rule.sparse else _output_errors)(layout, grid)


def mirrored_layers(layout: Layout) -> list[int]:
    """Return the layers l that keep a mirror of weights W_(l+1) which this run changes."""
    return [layer for layer in layout.hidden_errors() if layout.rule.mirrored and layout.trained[layer + 1]]


def _next_errors(layout: Layout, grid: Mesh, layer: int) -> Iterator[Flow]:
    """Errors of layer l+1, to each tile of ``layer`` the rows that it reads; of a dense layer all to all."""
    following = layout.shape(layer + 1)
    task: Task = (layout.error_end(layer + 1), layer + 1)
    sources, payload = senders_of(layout, grid, task), Payload(layout.chip.widths.error_bits, _in_trees(layout))
    if not following.convolves:
        yield from spread(task, sources, layout.sizes(layer + 1), layout.cores(layer), payload, ("error", layer))
        return
    rows = overlaps(maps.own_map_rows(layout, layer + 1), maps.error_rows(layout, layer))
    row_values, tile_of = following.map.columns * layout.sizes(layer + 1), layout.cut(layer + 1).tile
    for tile, cores in enumerate(maps.tile_cores(layout, layer)):
        yield from spread(task, sources, rows[tile_of, tile] * row_values, cores, payload, ("error", layer))


def _partial_sums(layout: Layout, grid: Mesh, layer: int) -> Iterator[Flow]:
    """Sums of each tile of layer l+1 for those units of ``layer`` that it reads."""
    task: Task = ("product", layer)
    senders, rows = senders_of(layout, grid, task), maps.handed_rows(layout, layer)
    payload = Payload(layout.chip.widths.accumulator_bits, multicast=False)
    row_values, tile_of = layout.map(layer).columns * layout.sizes(layer), layout.cut(layer).tile
    for tile, sources in enumerate(np.split(senders.places, layout.cut(layer + 1).tiles)):
        units = rows[tile_of, tile] * row_values
        ones, reached = np.ones(len(sources), dtype=np.int64), np.flatnonzero(units)
        if len(reached):
            ends = (layout.cores(layer)[reached], units[reached])
            yield Flow(task, senders.take(sources), ones, *ends, "destination", payload, (("error", layer),))


def new_weights_flow(layout: Layout, grid: Mesh, layer: int) -> Flow:
    """New weights of W_(l+1), or their signs, from their owners to the mirrors at the cores of ``layer``."""
    task: Task = ("update", layer + 1)
    following, owners = layout.shape(layer + 1), layout.cut(layer + 1).owners
    each = 1 if layout.rule.matrix == "sign" else layout.chip.widths.weight_bits
    units = layout.sizes(layer) * following.kernel_positions if following.convolves else layout.units(layer)
    ends = (layout.cores(layer), units)
    senders, payload = senders_of(layout, grid, task).take(owners), Payload(each, multicast=False, once=True)
    return Flow(task, senders, layout.sizes(layer + 1)[owners], *ends, "block", payload)


def _output_errors(layout: Layout, grid: Mesh) -> Iterator[Flow]:
    """Every output error to all cores of hidden layers, one message for all of them."""
    task, hidden = ("error", layout.depth), layout.hidden_errors()
    receivers = distinct(np.concatenate([layout.cores(layer) for layer in hidden]))
    waiting = [("error", layer) for layer in hidden]
    sources, payload = senders_of(layout, grid, task), Payload(_output_bits(layout), _in_trees(layout))
    yield from spread(task, sources, layout.sizes(layout.depth), receivers, payload, *waiting)


def _sparse_errors(layout: Layout, grid: Mesh) -> Iterator[Flow]:
    """Elements of the output error to the cores that use them: trees of one element each, or a message a core."""
    task: Task = ("error", layout.depth)
    uses, cores, in_trees = output_uses(layout), layout.chip.cores, _in_trees(layout)
    sources, owner = senders_of(layout, grid, task), slice_of_units(layout, layout.depth)
    # A source is an element of the output, or where elements travel together the core that has them.
    source_of_output = np.arange(layout.outputs, dtype=np.int64) if in_trees else owner
    elements = distinct(uses.output * cores + uses.core)
    pairs, units = np.unique(source_of_output[elements // cores] * cores + elements % cores, return_counts=True)
    used = np.searchsorted(pairs, source_of_output[uses.output] * cores + uses.core)
    layers, ends = np.unique(uses.layer, return_counts=True)
    parts = np.split(used[np.argsort(uses.layer, kind="stable")], np.cumsum(ends)[:-1])
    readers = dict(zip(layers.tolist(), parts, strict=True))
    senders = sources.take(owner) if in_trees else sources
    payload, waiting = Payload(_output_bits(layout), in_trees), tuple(("error", layer) for layer in readers)
    ends_of = (pairs // cores, pairs % cores, units)
    yield replace(one_to_one(task, senders, ends_of, payload, *waiting), readers=readers)


def _output_bits(layout: Layout) -> int:
    return SIGN_BITS if layout.rule.error == "output-sign" else layout.chip.widths.error_bits


def _in_trees(layout: Layout) -> bool:
    return layout.recipe.delivery == "multicast"
