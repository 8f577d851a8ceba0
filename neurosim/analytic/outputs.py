"""Which output errors the hidden layers' cores use under direct rules, and which of them must be sent to them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from neurosim.counts import IntArray, distinct
from neurosim.schedules.layout import Layout


class OutputUses(NamedTuple):
    """Output errors that cores use under a sparse rule, distinct for each layer, sorted by output and layer [uses]."""

    output: IntArray
    layer: IntArray
    core: IntArray


def output_uses(layout: Layout) -> OutputUses:
    """Return the distinct output errors that each hidden layer uses on each of its cores."""
    found = [_layer_uses(layout, layer) for layer in layout.hidden_errors()]
    output, layer, core = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((core, -layer, output))
    return OutputUses(output[order], layer[order], core[order])


def _layer_uses(layout: Layout, layer: int) -> tuple[IntArray, IntArray, IntArray]:
    """Return (output, layer, core) of the distinct output errors used by one hidden layer."""
    connections = layout.placement.connections[layer]
    owners = layout.cores(layer)[slice_of_units(layout, layer)]
    keys = distinct(np.repeat(owners, connections.shape[1]) * layout.outputs + connections.ravel())
    core, output = np.divmod(keys, layout.outputs)
    return output, np.full(len(keys), layer, dtype=np.int64), core


def slice_of_units(layout: Layout, layer: int) -> IntArray:
    """Return the slice of each unit that a layer hands on [n_l], channel by channel and row by row."""
    cut = layout.cut(layer)
    channel_slice = np.repeat(np.arange(cut.channel_slices, dtype=np.int64), np.diff(cut.channel_starts))
    tile = np.repeat(np.arange(cut.tiles, dtype=np.int64), np.diff(cut.row_starts))
    rows = tile * cut.channel_slices + channel_slice[:, None]
    return np.repeat(rows.ravel(), layout.map(layer).columns)


def output_arrivals(layout: Layout) -> dict[int, int]:
    """Return, per hidden layer, the distinct output errors that arrive at its cores for it, over all of them.

    A value that already reached the core for a hidden layer nearer the output, or is the core's own, is not sent again.
    """
    hidden = layout.hidden_errors()
    if not hidden:
        return {}
    arrivals = _sparse_arrivals(layout) if layout.rule.sparse else _dense_arrivals(layout, hidden)
    return {layer: int(arrivals[layer]) for layer in hidden}


def _sparse_arrivals(layout: Layout) -> IntArray:
    """Return by layer the output errors that arrive, each where the last layer that uses it on a core is."""
    uses = output_uses(layout)
    # Uses are sorted with the later layer first, so the first of a core and output is the one it arrives for.
    keys, first = np.unique(uses.core * layout.outputs + uses.output, return_index=True)
    last = layout.cores(layout.depth)
    outputs = np.arange(layout.outputs, dtype=np.int64)
    held = last[slice_of_units(layout, layout.depth)] * layout.outputs + outputs
    away = first[~np.isin(keys, held)]
    return np.bincount(uses.layer[away], minlength=layout.depth).astype(np.int64)


def _dense_arrivals(layout: Layout, hidden: list[int]) -> IntArray:
    """Return by layer the output errors that arrive where every core uses all of them."""
    layers = np.repeat(np.array(hidden, dtype=np.int64), [len(layout.cores(layer)) for layer in hidden])
    cores, first = np.unique(np.concatenate([layout.cores(layer) for layer in hidden]), return_index=True)
    missing = np.full(len(cores), layout.outputs, dtype=np.int64)
    _, here, last = np.intersect1d(cores, layout.cores(layout.depth), assume_unique=True, return_indices=True)
    missing[here] -= layout.sizes(layout.depth)[last]
    total = np.zeros(layout.depth, dtype=np.int64)
    np.add.at(total, layers[first], missing)
    return total
