"""The counts of a step's errors in closed form (semantics 1): what every trained rule does, and what each one does."""

from __future__ import annotations

import numpy as np

from neurosim.analytic import arrays, maps
from neurosim.analytic.ledger import Counts, Ledger
from neurosim.analytic.outputs import output_arrivals


def book_output_error(ledger: Ledger) -> None:
    """error L."""
    layout, layer, N = ledger.layout, ledger.layout.depth, ledger.samples
    outputs = N * layout.outputs
    counts = {
        ("elementwise_ops", ""): outputs,
        ("neuron_reads", "activation"): outputs,
        ("neuron_writes", "error"): outputs,
    }
    if layout.dense_targets:
        counts["neuron_reads", "activation"] += outputs
    else:
        counts["neuron_reads", "label"] = N * len(layout.cores(layer))
    ledger.add("error", layer, counts | ledger.channel(layer, "output"))


def book_hidden_error(ledger: Ledger, layer: int) -> None:
    """error l < L: what every trained rule does, then what this one does."""
    layout, rule = ledger.layout, ledger.layout.rule
    if layout.shape(layer).pool is None:
        _book_slope(ledger, layer)
    else:
        _book_unpool(ledger, layer)
    if rule.partial_sums:
        _book_partial_sums(ledger, layer)
    elif rule.error == "next":
        _book_next_error(ledger, layer)
    elif rule.error == "target" and not layout.dense_targets:
        values, cores = ledger.samples * layout.widths[layer], len(layout.cores(layer))
        ledger.add("error", layer, {ledger.feedback: values, ("neuron_reads", "label"): ledger.samples * cores})
    elif rule.sparse:
        _book_sparse_error(ledger, layer)
    else:
        _book_direct_error(ledger, layer)


def book_output_arrivals(ledger: Ledger) -> None:
    """Output errors written on arrival at the hidden layers' cores, once a core."""
    if ledger.layout.rule.shares_source:
        kind = "sign" if ledger.layout.rule.error == "output-sign" else "error"
        for layer, distinct in output_arrivals(ledger.layout).items():
            ledger.add("error", layer, {("neuron_writes", kind): ledger.samples * distinct})


def _book_slope(ledger: Ledger, layer: int) -> None:
    """The slope f' and its product with the sum, of a layer without a pool."""
    units, drawn = ledger.samples * ledger.layout.widths[layer], ledger.dropout(layer)
    counts = {
        ("elementwise_ops", ""): 2 * units + drawn,
        ("neuron_reads", "activation"): units,
        ("neuron_writes", "error"): units,
        ("dropout_generated", ""): drawn,
    }
    ledger.add("error", layer, counts | ledger.channel(layer, "error"))


def _book_unpool(ledger: Ledger, layer: int) -> None:
    """The errors of a pooled map, handed to other tiles, and unpool l: those of the map before it, with the slope."""
    layout, N, shape = ledger.layout, ledger.samples, ledger.layout.shape(layer)
    assert shape.pool is not None
    made, units = layout.widths[layer], shape.map.units
    row = shape.outputs.columns * shape.channels
    over = maps.pooled_over(layout, layer)
    windows = int(maps.lengths(over).sum()) * row
    halo = int(maps.halo(maps.own_rows(layout, layer), over).sum()) * row
    counts = {
        ("elementwise_ops", ""): N * (windows + 2 * units),
        ("neuron_reads", "error"): N * windows,
        ("neuron_reads", "activation"): N * units,
        ("neuron_writes", "error"): N * (made + halo + units),
    }
    if shape.pool.kind == "max_pool":
        counts["neuron_reads", "argmax"] = N * (halo + windows)
        counts["neuron_writes", "argmax"] = N * halo
    else:
        counts["elementwise_ops", ""] += N * maps.taps_inside(layout, layer)
    ledger.add("error", layer, counts | ledger.channel(layer, "error"))
    ledger.add("error", layer, ledger.channel(layer, "unpool"))


def _book_partial_sums(ledger: Ledger, layer: int) -> None:
    """bp and sign symmetry at the owner: product_l on C_(l+1), and their sum on C_l."""
    layout, N = ledger.layout, ledger.samples
    following, inputs = layout.shape(layer + 1), layout.map(layer)
    needed = maps.needed_rows(layout, layer + 1)
    row = inputs.columns * inputs.channels
    sums = int(maps.lengths(needed).sum()) * row * layout.cut(layer + 1).channel_slices
    first = maps.covered(needed) * row  # units that get a sum at all: theirs needs no addition
    own = maps.activations_there(layout, layer)
    positions = maps.lengths(needed) * inputs.columns if following.convolves else 1
    columns = following.inputs.channels
    if layout.chip.core.systolic:  # all taps of every position of the map are one product
        positions = maps.lengths(maps.own_map_rows(layout, layer + 1)) * following.map.columns
        columns = following.fan_in
    values = arrays.matrix_reads(ledger, positions) * following.weights
    counts = {
        ("macs", ""): N * following.macs,
        ("synapse_reads", "weight"): values,
        ("neuron_reads", "error"): N * following.map.units * arrays.input_reads(ledger, np.array([0, columns])),
        ("neuron_reads", "accumulator"): N * sums,
        ("neuron_writes", "accumulator"): N * (2 * sums - own),
        ("elementwise_ops", ""): N * (sums - first),
    }
    ledger.add("error", layer, counts | _magnitudes(ledger, values) | ledger.channel(layer, "product"))
    per_slice = int(maps.lengths(needed).sum()) * row
    terms = np.diff(layout.cut(layer + 1).channel_starts)
    ledger.add("error", layer, arrays.unfinished_sums(ledger, N * per_slice, terms))


def _magnitudes(ledger: Ledger, values: int) -> Counts:
    """Magnitudes of sign symmetry for so many weights that are read."""
    magnitude = ledger.layout.rule.feedback.magnitude
    if magnitude == "once":
        return {ledger.feedback: values}
    return {("feedback_generated", ""): values} if magnitude == "every_step" else {}


def _book_next_error(ledger: Ledger, layer: int) -> None:
    """fa, and bp and sign symmetry on a mirror: local, the source is the next layer's error."""
    layout, N = ledger.layout, ledger.samples
    following, cut = layout.shape(layer + 1), layout.cut(layer)
    errors = maps.errors_read(layout, layer)
    read, summed = int(errors.sum()), layout.widths[layer]
    if following.convolves:
        macs, taps = following.macs, 1
        positions = maps.lengths(maps.own_rows(layout, layer)) * layout.map(layer).columns
        if layout.chip.core.systolic:  # all taps of every position of the map are one product
            positions, taps = errors // following.channels, following.kernel_positions
        values = arrays.matrix_reads(ledger, positions) * following.weights
        reads = N * read * arrays.input_reads(ledger, cut.channel_starts * taps)
        rows = maps.lengths(maps.own_rows(layout, layer))[errors > 0].sum()
        summed = int(rows) * layout.map(layer).columns * cut.shape.channels
    else:
        macs = layout.widths[layer] * following.channels
        values = arrays.matrix_reads(ledger, 1) * macs
        reads = N * following.channels * arrays.unit_reads(ledger, layer)
    counts = {
        ("macs", ""): N * macs,
        ("neuron_reads", "error"): reads,
        ("neuron_writes", "error"): N * (read * cut.channel_slices - maps.errors_there(layout, layer)),
    }
    if layout.rule.mirrored:
        kind = "sign" if layout.rule.matrix == "sign" else "weight"
        counts["mirror_reads", kind] = values
        if layout.trained[layer + 1]:
            mirrored = following.weights * (cut.tiles if following.convolves else 1)
            ledger.add("update", layer + 1, {("mirror_writes", kind): mirrored})
        counts |= _magnitudes(ledger, values)
    else:
        counts[ledger.feedback] = values
    ledger.add("error", layer, counts)
    ledger.add("error", layer, arrays.unfinished_sums(ledger, N * summed, following.channels))


def _book_direct_error(ledger: Ledger, layer: int) -> None:
    """dfa, sign-dfa, and drtp with dense targets: dense and local, the source is of the output's width."""
    layout, N, rule = ledger.layout, ledger.samples, ledger.layout.rule
    kind = {"output": "error", "output-sign": "sign", "target": "activation"}[rule.error]
    connections = layout.widths[layer] * layout.outputs
    if rule.error == "output-sign":
        counts = {
            ("elementwise_ops", ""): N * connections,
            ledger.feedback: ledger.sweeps(1) * connections,
            ("neuron_reads", kind): N * layout.outputs * ledger.unit_groups(layer),
        }
    else:
        counts = {
            ("macs", ""): N * connections,
            ledger.feedback: arrays.matrix_reads(ledger, 1) * connections,
            ("neuron_reads", kind): N * layout.outputs * arrays.unit_reads(ledger, layer),
        }
        ledger.add("error", layer, arrays.unfinished_sums(ledger, N * layout.widths[layer], layout.outputs))
    ledger.add("error", layer, counts)


def _book_sparse_error(ledger: Ledger, layer: int) -> None:
    """sdfa, ssdfa: nnz_l = s n_l products, values and indices."""
    rule, N = ledger.layout.rule, ledger.samples
    assert rule.feedback.connections is not None
    nonzeros = rule.feedback.connections * ledger.layout.widths[layer]
    stored = rule.feedback.storage == "stored"
    index = ("feedback_index_reads", "index") if stored else ("feedback_index_generated", "")
    signs = rule.error == "output-sign"
    swept = ledger.sweeps(1) * nonzeros
    counts = {
        ("elementwise_ops", "") if signs else ("macs", ""): N * nonzeros,
        ledger.feedback: swept,
        index: swept,
        ("neuron_reads", "sign" if signs else "error"): N * nonzeros,
    }
    ledger.add("error", layer, counts)
