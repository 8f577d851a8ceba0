"""What the tasks of hidden errors do: every rule's product, and the sums that travel (semantics 1)."""

from __future__ import annotations

import numpy as np

from neurosim.counts import IntArray
from neurosim.schedules.layout import Layout
from neurosim.schedules.products import (
    groups_of,
    input_reads,
    matrix_reads,
    product_cycles,
    sweeps,
    unfinished_sums,
)
from neurosim.schedules.work import (
    Counts,
    Microbatch,
    Work,
    add_channel,
    add_dropout,
    add_unfinished_sums,
    no_macs,
)


def hidden_error_work(layout: Layout, layer: int, batch: Microbatch) -> Work:
    """delta_l at the cores of a hidden layer; where a pool follows, the error of what the pool hands on."""
    u, p = layout.units(layer), batch.samples
    counts: Counts = {("neuron_writes", "error"): p * u, ("elementwise_ops", ""): 0 * u}
    if layout.pooled(layer):
        counts["neuron_reads", "argmax"] = p * _places_sent(layout, layer)
    else:
        counts["elementwise_ops", ""] = 2 * p * u
        counts["neuron_reads", "activation"] = p * u
    add_dropout(counts, layout, layer, p * u)
    add_channel(counts, layout, layer, "error", batch)
    rule = layout.rule
    if rule.partial_sums:
        summed = layout.partition.summed_positions(layer)[layout.cut(layer).tile] * layout.sizes(layer)
        counts["neuron_reads", "accumulator"] = p * summed
        return Work(counts, no_macs(layout, layer))
    if rule.error == "target" and not layout.dense_targets:
        counts["neuron_reads", "label"] = p
        counts[_feedback_count(layout)] = p * u
        return Work(counts, no_macs(layout, layer))
    if rule.sparse:
        return _sparse_error(counts, layout, u, batch)
    if rule.error == "next" and layout.shape(layer + 1).convolves:
        return _convolved_error(counts, layout, layer, batch)
    return _dense_error(counts, layout, layer, batch)


def _places_sent(layout: Layout, layer: int) -> IntArray | int:
    """Places of the largest that go with errors to other tiles: a place a value and tile it is sent to [c_l]."""
    pool, cut = layout.shape(layer).pool, layout.cut(layer)
    if pool is None or pool.kind != "max_pool":
        return 0
    rows = layout.partition.window_halo(layer).sum(axis=1)[cut.tile]
    return np.asarray(rows * layout.map(layer).columns * cut.channels)


def _sparse_error(counts: Counts, layout: Layout, u: IntArray, batch: Microbatch) -> Work:
    connections = layout.rule.feedback.connections
    assert connections is not None
    fetches = sweeps(layout, batch.samples)
    generated = layout.rule.feedback.storage == "generated"
    index = ("feedback_index_generated", "") if generated else ("feedback_index_reads", "index")
    products = batch.samples * u * connections
    counts["macs", ""] = 0 if layout.rule.error == "output-sign" else products
    if layout.rule.error == "output-sign":
        counts["elementwise_ops", ""] += products
    counts["neuron_reads", _source_kind(layout)] = products
    counts[_feedback_count(layout)] = fetches * u * connections
    counts[index] = fetches * u * connections
    if layout.rule.error != "output":
        return Work(counts, np.zeros_like(products))
    if layout.chip.core.systolic:
        # An array hands one value on to all its columns and cannot gather another one for each neuron.
        return Work(counts, np.zeros_like(products), products)
    return Work(counts, product_cycles(layout, batch.samples, u, connections))


def _dense_error(counts: Counts, layout: Layout, layer: int, batch: Microbatch) -> Work:
    """A product of the source's values, of the next layer or of the output, for every unit."""
    rule, u, p = layout.rule, layout.units(layer), batch.samples
    terms = layout.widths[layer + 1] if rule.error == "next" else layout.outputs
    products = p * u * terms
    additions = rule.error == "output-sign"
    counts["elementwise_ops" if additions else "macs", ""] = products + (counts["elementwise_ops", ""] * additions)
    kind = ("neuron_reads", _source_kind(layout))
    if additions:  # the element-wise unit's, in the order of lanes
        counts[kind] = counts.get(kind, 0) + p * terms * groups_of(layout, u)
        _add_matrix(counts, layout, sweeps(layout, p) * u * terms)
        return Work(counts, np.zeros_like(u))
    counts[kind] = counts.get(kind, 0) + p * terms * input_reads(layout, u)
    _add_matrix(counts, layout, matrix_reads(layout, p) * u * terms)
    add_unfinished_sums(counts, p * u * unfinished_sums(layout, terms))
    return Work(counts, product_cycles(layout, p, u, terms))


def _convolved_error(counts: Counts, layout: Layout, layer: int, batch: Microbatch) -> Work:
    """The error of a slice's units through the filters of the next layer: every tap of that layer once."""
    cut, p, following = layout.cut(layer), batch.samples, layout.shape(layer + 1)
    a, filters = cut.channels, following.channels
    own = [following.rows.taps_at(*cut.rows(tile)) for tile in range(cut.tiles)]
    pairs = np.array(own, dtype=np.int64)[cut.tile] * following.map.columns * following.columns.kernel
    errors, taps = layout.partition.errors(layer), following.kernel_positions
    # Lanes take the taps one after the other; an array makes all of every position, as columns of one product.
    systolic = layout.chip.core.systolic
    positions, columns = (errors // filters, a * taps) if systolic else (cut.positions, a)
    counts["macs", ""] = p * pairs * a * filters
    counts["neuron_reads", "error"] = p * errors * input_reads(layout, columns)
    _add_matrix(counts, layout, matrix_reads(layout, p * positions) * a * filters * taps)
    add_unfinished_sums(counts, p * cut.units * (errors > 0) * unfinished_sums(layout, filters))
    return Work(counts, product_cycles(layout, p * (positions if systolic else pairs), columns, filters))


def _add_matrix(counts: Counts, layout: Layout, values: IntArray) -> None:
    """What a local error reads or draws of its matrix: feedback, or a mirror and its magnitudes."""
    if not layout.rule.mirrored:
        counts[_feedback_count(layout)] = values
        return
    counts["mirror_reads", mirror_kind(layout)] = values
    _add_magnitudes(counts, layout, values)


def error_arrivals(layout: Layout, layer: int, batch: Microbatch) -> Counts:
    """What arrives for the error of a hidden layer from the next one: errors, or partial sums that the port adds."""
    rule, p, partition = layout.rule, batch.samples, layout.partition
    if rule.error != "next":
        return {}
    if not rule.partial_sums:
        return {("neuron_writes", "error"): p * (partition.errors(layer) - partition.errors_here(layer))}
    cut = layout.cut(layer)
    senders = layout.cut(layer + 1).channel_slices
    sums = senders * partition.sums(layer).sum(axis=0)[cut.tile] * cut.channels
    added = sums - partition.summed_positions(layer)[cut.tile] * cut.channels
    return {
        ("neuron_writes", "accumulator"): p * (sums - partition.sums_here(layer)),
        ("neuron_reads", "accumulator"): p * added,
        ("elementwise_ops", ""): p * added,
    }


def product_work(layout: Layout, layer: int, batch: Microbatch) -> Work:
    """Partial sums of delta_l on each core that owns a slice of W_(l+1)."""
    shape, cut, p = layout.shape(layer + 1), layout.cut(layer + 1), batch.samples
    a, rows = cut.channels, batch.samples * cut.map_positions
    inputs = layout.partition.inputs(layer + 1)
    # A dense layer reads n_l channels of one position, whatever map they came from.
    channels = shape.inputs.channels
    # Lanes take the taps one after the other; an array makes all of every position, as columns of one product.
    systolic = layout.chip.core.systolic
    fetches = matrix_reads(layout, rows if systolic else p * (inputs // channels))
    columns = shape.fan_in if systolic else channels
    counts: Counts = {
        ("macs", ""): rows * a * shape.fan_in,
        ("synapse_reads", "weight"): fetches * a * shape.fan_in,
        ("neuron_reads", "error"): rows * a * input_reads(layout, columns),
        ("neuron_writes", "accumulator"): p * inputs,
    }
    add_unfinished_sums(counts, p * inputs * unfinished_sums(layout, a))
    if layout.rule.matrix == "sign":
        _add_magnitudes(counts, layout, fetches * a * shape.fan_in)
    add_channel(counts, layout, layer, "product", batch)
    return Work(counts, product_cycles(layout, rows if systolic else rows * shape.kernel_positions, columns, a))


def mirror_arrivals(layout: Layout, layer: int) -> Counts:
    """New weights (or signs) of W_l that the cores of layer l-1 write into their mirror [c_(l-1)]."""
    return {("mirror_writes", mirror_kind(layout)): mirror_columns(layout, layer) * layout.shape(layer).channels}


def mirror_columns(layout: Layout, layer: int) -> IntArray:
    """Weights of one channel of layer l whose mirror each core of layer l-1 keeps [c_(l-1)]."""
    cut, shape = layout.cut(layer - 1), layout.shape(layer)
    return cut.channels * shape.kernel_positions if shape.convolves else cut.units


def mirror_kind(layout: Layout) -> str:
    """Kind of value that a mirror holds."""
    return "sign" if layout.rule.matrix == "sign" else "weight"


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
