"""What a task does: its counts, and the cycles they take on a core (semantics 1, 2 and 3).

Every function takes the layout, a layer and the microbatch (``samples`` p, whether it is the ``first`` or ``last`` of
its step) and returns counts by (count name, kind of value), each an integer or one per slice [c_l] int64.
``*_arrivals`` are what a core's port writes, reads and adds while messages arrive: counted, not part of a task's
duration. A convolution is a product over p P rows, the samples' positions; a fully connected layer has P = 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from neurosim.counts import IntArray
from neurosim.schedules.channel import product_channel_bits
from neurosim.schedules.layout import Layout
from neurosim.schedules.products import groups_of, input_reads, matrix_reads, product_cycles, unfinished_sums

Counts = dict[tuple[str, str], IntArray | int]


class Microbatch(NamedTuple):
    """The samples p of a microbatch and its place in the step."""

    samples: int
    first: bool
    last: bool


class Work(NamedTuple):
    """Counts of the tasks of one phase and layer, the cycles of their MACs in the lanes, and those done elsewhere [c].

    ``gathered_macs`` are done by the element-wise unit, because a systolic array cannot gather.
    """

    counts: Counts
    mac_cycles: IntArray
    gathered_macs: IntArray | int = 0


def no_macs(layout: Layout, layer: int) -> IntArray:
    """Cycles of tasks that multiply nothing [c_l]."""
    return np.zeros(len(layout.cores(layer)), dtype=np.int64)


def forward_work(layout: Layout, layer: int, batch: Microbatch) -> Work:
    """h_l = f(h_(l-1) W_l^T + b_l) for one slice, or its convolution."""
    cut, p, taps = layout.cut(layer), batch.samples, layout.shape(layer).fan_in
    a, rows = cut.channels, batch.samples * cut.map_positions
    fetches = matrix_reads(layout, rows)
    counts: Counts = {
        ("macs", ""): rows * a * taps,
        ("synapse_reads", "weight"): fetches * a * taps,
        ("neuron_reads", "activation"): p * layout.partition.inputs(layer) * input_reads(layout, a),
        ("neuron_reads", "bias"): fetches * a,
        ("neuron_writes", "activation"): rows * a,
        ("elementwise_ops", ""): 2 * rows * a,
    }
    add_unfinished_sums(counts, rows * a * unfinished_sums(layout, taps))
    add_dropout(counts, layout, layer, rows * a)
    add_channel(counts, layout, layer, "forward", batch)
    return Work(counts, product_cycles(layout, rows, a, taps))


def forward_arrivals(layout: Layout, layer: int, batch: Microbatch) -> Counts:
    """Inputs of the layer that arrive from other cores, and the softmax exchange."""
    counts: Counts = {}
    if layer > 1:
        missing = layout.partition.inputs(layer) - layout.partition.inputs_here(layer)
        counts["neuron_writes", "activation"] = batch.samples * missing
    if layer == layout.depth and layout.exchanges_softmax:
        words = 2 * batch.samples * (len(layout.cores(layer)) - 1)
        counts |= {(name, "accumulator"): words for name in ("neuron_reads", "neuron_writes")}
        counts["elementwise_ops", ""] = words
    return counts


def output_error_work(layout: Layout, batch: Microbatch) -> Work:
    """delta_L = yhat - y for one slice; the 1/N of a mean loss is folded into the learning rate."""
    a, p = layout.sizes(layout.depth), batch.samples
    counts: Counts = {
        ("elementwise_ops", ""): p * a,
        ("neuron_reads", "activation"): 2 * p * a if layout.dense_targets else p * a,
        ("neuron_reads", "label"): 0 if layout.dense_targets else p,
        ("neuron_writes", "error"): p * a,
    }
    add_channel(counts, layout, layout.depth, "output", batch)
    return Work(counts, no_macs(layout, layout.depth))


def update_work(layout: Layout, layer: int, batch: Microbatch) -> Work:
    """dW_l += delta_l^T h_(l-1); with the step's last microbatch the optimizer writes W_l and its state.

    Tiles that hold copies of filters keep their sums in memory, with the last microbatch too: from there they go to
    the filters' owner, whose last microbatch reads what has been added to its own.
    """
    cut, p, taps, states = layout.cut(layer), batch.samples, layout.shape(layer).fan_in, layout.state_words
    a, rows = cut.channels, batch.samples * cut.map_positions
    owns = cut.tile == 0
    writes = (not batch.last) | ~owns
    reads = (not batch.first) | (owns & (batch.last and cut.tiled))
    learns = owns & batch.last
    weights = a * taps
    error_reads, activation_reads = _update_reads(layout, a, taps)
    unfinished = unfinished_sums(layout, rows)
    counts: Counts = {
        ("macs", ""): rows * weights,
        ("gradient_reads", "accumulator"): (reads + unfinished) * weights,
        ("gradient_writes", "accumulator"): (writes + unfinished) * weights,
        ("synapse_reads", "weight"): learns * weights,
        ("synapse_writes", "weight"): learns * weights,
        ("optimizer_reads", "state"): learns * states * weights,
        ("optimizer_writes", "state"): learns * states * weights,
        ("neuron_reads", "activation"): p * layout.partition.inputs(layer) * activation_reads,
        ("neuron_reads", "error"): rows * a * error_reads,
        ("neuron_reads", "accumulator"): reads * a,
        ("neuron_writes", "accumulator"): writes * a,
        ("elementwise_ops", ""): rows * a + learns * _optimizer_operations(layout, a, weights),
    }
    for name in ("neuron_reads", "neuron_writes"):
        counts[name, "bias"] = learns * a
        counts[name, "state"] = learns * states * a
    add_channel(counts, layout, layer, "update", batch)
    if layout.chip.core.lanes[0] == 1 and not layout.chip.core.systolic:
        return Work(counts, product_cycles(layout, rows, a, taps))
    return Work(counts, product_cycles(layout, a, taps, rows))


def _update_reads(layout: Layout, a: IntArray, taps: int) -> tuple[IntArray | int, IntArray]:
    """How often an update reads each error and each input.

    Lanes keep errors while they take an input for each group of neurons. To an array errors [a x p] are the inputs of
    a product, and what the layer read [p x taps] is its matrix.
    """
    if layout.chip.core.systolic:
        return input_reads(layout, taps), matrix_reads(layout, a)
    return 1, groups_of(layout, a)


def _optimizer_operations(layout: Layout, biases: IntArray, weights: IntArray) -> IntArray:
    decay = 2 if layout.recipe.weight_decay > 0 else 0
    return layout.update_operations * (weights + biases) + decay * weights


def gradient_arrivals(layout: Layout, layer: int, batch: Microbatch) -> Counts:
    """Sums of a filter's copies that its owner's port writes and adds, with the step's last microbatch [c_l].

    The first of them is only written where the owner has none of its own in memory yet: in a step of one microbatch.
    """
    cut = layout.cut(layer)
    counts: Counts = {}
    arriving, added = (cut.tile == 0) * (cut.tiles - 1), (cut.tile == 0) * (cut.tiles - 1 - batch.first)
    weights = cut.channels * layout.shape(layer).fan_in
    counts["gradient_writes", "accumulator"] = arriving * weights
    counts["gradient_reads", "accumulator"] = added * weights
    counts["neuron_writes", "accumulator"] = arriving * cut.channels
    counts["neuron_reads", "accumulator"] = added * cut.channels
    counts["elementwise_ops", ""] = added * (weights + cut.channels)
    return counts


def copy_arrivals(layout: Layout, layer: int) -> Counts:
    """New weights and biases that the tiles with copies write [c_l]."""
    cut = layout.cut(layer)
    copies = (cut.tile > 0) * cut.channels
    return {("synapse_writes", "weight"): copies * layout.shape(layer).fan_in, ("neuron_writes", "bias"): copies}


def add_unfinished_sums(counts: Counts, sums: IntArray) -> None:
    """Count sums that an array writes to the neuron memory before they are complete, and reads again."""
    for name in ("neuron_reads", "neuron_writes"):
        counts[name, "accumulator"] = counts.get((name, "accumulator"), 0) + sums


def add_dropout(counts: Counts, layout: Layout, layer: int, values: IntArray) -> None:
    """The mask is drawn again wherever it is needed and not stored."""
    if layout.network.layer(layer).dropout > 0.0 and not layout.forward_only:
        counts["elementwise_ops", ""] += values
        counts["dropout_generated", ""] = values


def add_channel(counts: Counts, layout: Layout, layer: int, task: str, batch: Microbatch) -> None:
    """Count what crosses the channel, where memories lie behind one."""
    if layout.chip.behind_channel:
        counts["channel_bits", ""] = product_channel_bits(layout, layer, task, batch.samples)
