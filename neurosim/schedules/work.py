"""What a task does: its counts, and the cycles they take on a core (semantics 1, 2 and 3).

Every function takes the layout, a layer and the microbatch (``samples`` p, whether it is the ``first`` or ``last`` of
its step) and returns counts by (count name, kind of value), each an integer or one per slice [c_l] int64.
``*_arrivals`` are what a core's port writes, reads and adds while messages arrive: counted, not part of a task's
duration.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from neurosim.counts import IntArray
from neurosim.schedules.channel import product_channel_bits
from neurosim.schedules.layout import Layout

Counts = dict[tuple[str, str], IntArray | int]


class Microbatch(NamedTuple):
    """The samples p of a microbatch and its place in the step."""

    samples: int
    first: bool
    last: bool


class Work(NamedTuple):
    """Counts of the tasks of one phase and layer, and the cycles of their MACs [c]."""

    counts: Counts
    mac_cycles: IntArray


def sweeps(layout: Layout, batch: Microbatch) -> int:
    """How often a microbatch sweeps a stored matrix: ceil(p / (R A)); 1 unless the memories lie behind a channel."""
    rows, _ = layout.chip.core.lanes
    return -(-batch.samples // (rows * layout.chip.core.accumulators_per_lane))


def groups_of(layout: Layout, neurons: IntArray | int) -> IntArray:
    """ceil(q / C): groups of neurons that C lanes compute one after the other."""
    return -(-np.asarray(neurons, dtype=np.int64) // layout.chip.core.lanes[1])


def product_cycles(layout: Layout, rows: IntArray | int, columns: IntArray | int, terms: IntArray | int) -> IntArray:
    """Cycles of a product of p ``rows``, q ``columns`` and r ``terms``: ceil(p/R) ceil(q/C) r, or the systolic form."""
    lanes_r, lanes_c = layout.chip.core.lanes
    folds = -(-np.asarray(rows, dtype=np.int64) // lanes_r) * groups_of(layout, columns)
    if layout.chip.core.systolic:
        return np.asarray(np.maximum(folds * (np.asarray(terms) + lanes_r + lanes_c - 2) - 1, 0), dtype=np.int64)
    return folds * np.asarray(terms, dtype=np.int64)


def forward_work(layout: Layout, layer: int, batch: Microbatch) -> Work:
    """h_l = f(h_(l-1) W_l^T + b_l) for one slice."""
    a, p, inputs = layout.sizes(layer), batch.samples, layout.widths[layer - 1]
    blocks = sweeps(layout, batch)
    counts: Counts = {
        ("macs", ""): p * a * inputs,
        ("synapse_reads", "weight"): blocks * a * inputs,
        ("neuron_reads", "activation"): p * inputs * groups_of(layout, a),
        ("neuron_reads", "bias"): blocks * a,
        ("neuron_writes", "activation"): p * a,
        ("elementwise_ops", ""): 2 * p * a,
    }
    _add_dropout(counts, layout, layer, p * a)
    _add_channel(counts, layout, layer, "forward", batch)
    return Work(counts, product_cycles(layout, p, a, inputs))


def forward_arrivals(layout: Layout, layer: int, batch: Microbatch) -> Counts:
    """Inputs of the layer that arrive from other cores, and the softmax exchange."""
    counts: Counts = {}
    if layer > 1:
        missing = layout.widths[layer - 1] - layout.held(layer - 1)[layout.cores(layer)]
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
    _add_channel(counts, layout, layout.depth, "output", batch)
    return Work(counts, np.zeros(len(a), dtype=np.int64))


def hidden_error_work(layout: Layout, layer: int, batch: Microbatch) -> Work:
    """delta_l at the cores of a hidden layer, by whatever the rule multiplies the source with."""
    a, p = layout.sizes(layer), batch.samples
    counts: Counts = {
        ("elementwise_ops", ""): 2 * p * a,
        ("neuron_reads", "activation"): p * a,
        ("neuron_writes", "error"): p * a,
    }
    _add_dropout(counts, layout, layer, p * a)
    _add_channel(counts, layout, layer, "error", batch)
    rule = layout.rule
    if rule.partial_sums:
        counts["neuron_reads", "accumulator"] = p * a
        return Work(counts, np.zeros(len(a), dtype=np.int64))
    if rule.error == "target" and not layout.dense_targets:
        counts["neuron_reads", "label"] = p
        counts[_feedback_count(layout)] = p * a
        return Work(counts, np.zeros(len(a), dtype=np.int64))
    if rule.sparse:
        return _sparse_error(counts, layout, a, batch)
    return _dense_error(counts, layout, layer, batch)


def _sparse_error(counts: Counts, layout: Layout, a: IntArray, batch: Microbatch) -> Work:
    connections = layout.rule.feedback.connections
    assert connections is not None
    blocks = sweeps(layout, batch)
    generated = layout.rule.feedback.storage == "generated"
    index = ("feedback_index_generated", "") if generated else ("feedback_index_reads", "index")
    products = batch.samples * a * connections
    counts["macs", ""] = 0 if layout.rule.error == "output-sign" else products
    if layout.rule.error == "output-sign":
        counts["elementwise_ops", ""] += products
    counts["neuron_reads", _source_kind(layout)] = products
    counts[_feedback_count(layout)] = blocks * a * connections
    counts[index] = blocks * a * connections
    cycles = product_cycles(layout, batch.samples, a, connections)
    return Work(counts, cycles if layout.rule.error == "output" else np.zeros_like(cycles))


def _dense_error(counts: Counts, layout: Layout, layer: int, batch: Microbatch) -> Work:
    a, p, rule = layout.sizes(layer), batch.samples, layout.rule
    blocks = sweeps(layout, batch)
    sources = layout.widths[layer + 1] if rule.error == "next" else layout.outputs
    kind = _source_kind(layout)
    counts["neuron_reads", kind] = counts.get(("neuron_reads", kind), 0) + p * sources * groups_of(layout, a)
    if rule.mirrored:
        counts["mirror_reads", "sign" if rule.matrix == "sign" else "weight"] = blocks * a * sources
    if rule.matrix == "random":
        counts[_feedback_count(layout)] = blocks * a * sources
    elif rule.matrix == "sign":
        _add_magnitudes(counts, layout, blocks * a * sources)
    if rule.error == "output-sign":
        counts["elementwise_ops", ""] += p * a * sources
        return Work(counts, np.zeros(len(a), dtype=np.int64))
    counts["macs", ""] = p * a * sources
    return Work(counts, product_cycles(layout, p, a, sources))


def error_arrivals(layout: Layout, layer: int, batch: Microbatch) -> Counts:
    """Source errors (or partial sums, added as they arrive) that reach the cores of a hidden layer."""
    p, rule, cores = batch.samples, layout.rule, layout.cores(layer)
    a = layout.sizes(layer)
    if rule.partial_sums:
        senders = len(layout.cores(layer + 1))
        own = np.isin(cores, layout.cores(layer + 1))
        return {
            ("neuron_writes", "accumulator"): p * a * (senders - own),
            ("neuron_reads", "accumulator"): p * a * (senders - 1),
            ("elementwise_ops", ""): p * a * (senders - 1),
        }
    if rule.error == "next":
        missing = layout.widths[layer + 1] - layout.held(layer + 1)[cores]
        return {("neuron_writes", "error"): p * missing}
    return {}


def product_work(layout: Layout, layer: int, batch: Microbatch) -> Work:
    """Partial sums delta_(l+1) W_(l+1) on each core that owns a slice of W_(l+1)."""
    a, p, targets = layout.sizes(layer + 1), batch.samples, layout.widths[layer]
    blocks = sweeps(layout, batch)
    counts: Counts = {
        ("macs", ""): p * a * targets,
        ("synapse_reads", "weight"): blocks * a * targets,
        ("neuron_reads", "error"): p * a * groups_of(layout, targets),
        ("neuron_writes", "accumulator"): np.full(len(a), p * targets),
    }
    if layout.rule.matrix == "sign":
        _add_magnitudes(counts, layout, blocks * a * targets)
    _add_channel(counts, layout, layer, "product", batch)
    return Work(counts, product_cycles(layout, p, targets, a))


def update_work(layout: Layout, layer: int, batch: Microbatch) -> Work:
    """dW_l += delta_l^T h_(l-1); with the step's last microbatch the optimizer writes W_l and its state."""
    a, p, inputs, states = layout.sizes(layer), batch.samples, layout.widths[layer - 1], layout.state_words
    later, more, last = int(not batch.first), int(not batch.last), int(batch.last)
    weights = a * inputs
    decay = 2 if layout.recipe.weight_decay > 0 else 0
    optimizer = layout.update_operations * a * (inputs + 1) + decay * weights
    counts: Counts = {
        ("macs", ""): p * weights,
        ("gradient_reads", "accumulator"): later * weights,
        ("gradient_writes", "accumulator"): more * weights,
        ("synapse_reads", "weight"): last * weights,
        ("synapse_writes", "weight"): last * weights,
        ("optimizer_reads", "state"): last * states * weights,
        ("optimizer_writes", "state"): last * states * weights,
        ("neuron_reads", "activation"): p * inputs * groups_of(layout, a),
        ("neuron_reads", "error"): p * a,
        ("neuron_reads", "accumulator"): later * a,
        ("neuron_writes", "accumulator"): more * a,
        ("elementwise_ops", ""): p * a + last * optimizer,
    }
    for name in ("neuron_reads", "neuron_writes"):
        counts[name, "bias"] = last * a
        counts[name, "state"] = last * states * a
    _add_channel(counts, layout, layer, "update", batch)
    if layout.chip.core.lanes[0] == 1:
        return Work(counts, product_cycles(layout, p, a, inputs))
    return Work(counts, product_cycles(layout, a, inputs, p))


def mirror_arrivals(layout: Layout, layer: int) -> Counts:
    """New weights (or signs) of W_l that the cores of layer l-1 write into their mirror, one count per core there."""
    kind = "sign" if layout.rule.matrix == "sign" else "weight"
    return {("mirror_writes", kind): layout.sizes(layer - 1) * layout.widths[layer]}


def _source_kind(layout: Layout) -> str:
    """Kind of the values that a hidden error is made from."""
    return {"output-sign": "sign", "target": "activation"}.get(layout.rule.error, "error")


def _feedback_count(layout: Layout) -> tuple[str, str]:
    generated = layout.rule.feedback.storage == "generated"
    return ("feedback_generated", "") if generated else ("feedback_reads", "feedback")


def _add_magnitudes(counts: Counts, layout: Layout, values: IntArray) -> None:
    """Magnitudes of sign symmetry: a constant costs nothing, 'once' is read (or drawn again), 'every_step' is drawn."""
    magnitude = layout.rule.feedback.magnitude
    if magnitude == "once":
        counts[_feedback_count(layout)] = values
    elif magnitude == "every_step":
        counts["feedback_generated", ""] = values


def _add_dropout(counts: Counts, layout: Layout, layer: int, values: IntArray) -> None:
    """The mask is drawn again wherever it is needed and not stored."""
    if layout.network.layer(layer).dropout > 0.0 and not layout.forward_only:
        counts["elementwise_ops", ""] += values
        counts["dropout_generated", ""] = values


def _add_channel(counts: Counts, layout: Layout, layer: int, task: str, batch: Microbatch) -> None:
    if layout.chip.behind_channel:
        counts["channel_bits", ""] = product_channel_bits(layout, layer, task, batch.samples)
