"""The counts of a step in closed form (semantics 1): whole layers and whole steps, no tasks.

Symbols: N samples, M microbatches, n_l units that layer l hands on and c_l cores of it, C lanes; K channels, T taps of
a filter, t tiles; V values that a tile reads; ``loc`` values that are already where they are needed. In a dense layer K
is n_l, T and V are n_(l-1), and there is one position and one tile.
"""

from __future__ import annotations

from collections.abc import Iterable

from neurosim.analytic import arrays, maps
from neurosim.analytic.error_counts import book_hidden_error, book_output_arrivals, book_output_error
from neurosim.analytic.flow import Flow
from neurosim.analytic.flows import flows
from neurosim.analytic.ledger import Counts, Ledger
from neurosim.analytic.traffic import flow_totals
from neurosim.schedules.layout import Layout
from neurosim.trace import CountTable


def count_step(layout: Layout, batch_size: int, traffic: Iterable[Flow] | None = None) -> CountTable:
    """Return the counts of a step of ``batch_size`` samples; ``traffic``, its flows, may be at hand already."""
    ledger = Ledger(layout, batch_size)
    _book_io(ledger)
    for layer in range(1, layout.depth + 1):
        _book_forward(ledger, layer)
        if layout.shape(layer).pool is not None:
            _book_pool(ledger, layer)
        if layout.errors[layer]:
            if layer == layout.depth:
                book_output_error(ledger)
            else:
                book_hidden_error(ledger, layer)
        if layout.trained[layer]:
            _book_update(ledger, layer)
            if layout.cut(layer).tiled:
                _book_copies(ledger, layer)
    book_output_arrivals(ledger)
    _book_traffic(ledger, flows(layout, layout.grid) if traffic is None else traffic)
    return ledger.table


def _book_io(ledger: Ledger) -> None:
    """Inputs and labels enter the chip."""
    layout, N = ledger.layout, ledger.samples
    outputs, widths = layout.outputs, layout.chip.widths
    bits = N * layout.widths[0] * widths.input_bits
    arriving = int(maps.values_read(layout, 1).sum()) * layout.cut(1).channel_slices
    counts = {("neuron_writes", "activation"): N * arriving}
    if layout.sends_labels:
        receivers = len(layout.target_cores())
        if layout.dense_targets:
            bits += N * outputs * widths.activation_bits
            copies = receivers if layout.rule.error == "target" else 1
            counts["neuron_writes", "activation"] += N * outputs * copies
        else:
            bits += N * layout.bits["label"]
            counts["neuron_writes", "label"] = N * receivers
    counts["offchip_bits", ""] = 0 if layout.chip.behind_channel else bits
    ledger.add("io", 0, counts)


def _book_forward(ledger: Ledger, layer: int) -> None:
    """forward l, with the softmax exchange of the last layer."""
    layout, N, shape = ledger.layout, ledger.samples, ledger.layout.shape(layer)
    units, drawn = shape.map.units, ledger.dropout(layer)
    read = int(maps.values_read(layout, layer).sum())
    swept = arrays.matrix_reads(ledger, maps.lengths(maps.own_map_rows(layout, layer)) * shape.map.columns)
    arriving = 0
    if layer > 1:
        arriving = read * layout.cut(layer).channel_slices - maps.activations_there(layout, layer - 1)
    counts = {
        ("macs", ""): N * shape.macs,
        ("synapse_reads", "weight"): swept * shape.weights,
        ("neuron_reads", "activation"): N * read * arrays.input_reads(ledger, layout.cut(layer).channel_starts),
        ("neuron_reads", "bias"): swept * shape.channels,
        ("neuron_writes", "activation"): N * (units + arriving),
        ("elementwise_ops", ""): 2 * N * units + drawn,
        ("dropout_generated", ""): drawn,
    }
    ledger.add("forward", layer, counts | ledger.channel(layer, "forward"))
    ledger.add("forward", layer, arrays.unfinished_sums(ledger, N * units, shape.fan_in))
    if layer == layout.depth and layout.recipe.loss == "softmax":
        c = len(layout.cores(layer))
        words = 2 * N * c * (c - 1)
        exchange = {("neuron_reads", "accumulator"): words, ("neuron_writes", "accumulator"): words}
        ledger.add("forward", layer, exchange | {("elementwise_ops", ""): words})


def _book_pool(ledger: Ledger, layer: int) -> None:
    """pool l, and the rows of the map that its windows read across the borders of tiles."""
    layout, N, shape = ledger.layout, ledger.samples, ledger.layout.shape(layer)
    pool, made = shape.pool, layout.widths[layer]
    assert pool is not None
    read = maps.taps_inside(layout, layer)
    halo = maps.halo(maps.own_map_rows(layout, layer), maps.pooled_from(layout, layer))
    counts = {
        ("neuron_reads", "activation"): N * read,
        ("neuron_writes", "activation"): N * (made + int(halo.sum()) * shape.map.columns * shape.channels),
        ("elementwise_ops", ""): N * read,
    }
    if pool.kind == "average_pool":
        counts["elementwise_ops", ""] += N * made
    elif layout.errors[layer]:
        counts["neuron_writes", "argmax"] = N * made
    ledger.add("forward", layer, counts | ledger.channel(layer, "pool"))


def _book_update(ledger: Ledger, layer: int) -> None:
    """update l: gradients of M microbatches are summed, then the optimizer writes, at the owners."""
    layout, N, shape = ledger.layout, ledger.samples, ledger.layout.shape(layer)
    weights, biases, s = shape.weights, shape.channels, layout.state_words
    decay = 2 * weights if layout.recipe.weight_decay > 0 else 0
    units, read = shape.map.units, int(maps.values_read(layout, layer).sum())
    counts = {
        ("macs", ""): N * shape.macs,
        ("synapse_reads", "weight"): weights,
        ("synapse_writes", "weight"): weights,
        ("optimizer_reads", "state"): s * weights,
        ("optimizer_writes", "state"): s * weights,
        ("neuron_reads", "activation"): N * read * arrays.update_activation_reads(ledger, layer),
        ("neuron_reads", "error"): N * units * arrays.update_error_reads(ledger, shape.fan_in),
        ("elementwise_ops", ""): N * units + layout.update_operations * (weights + biases) + decay,
    }
    for name in ("neuron_reads", "neuron_writes"):
        counts[name, "bias"] = biases
        counts[name, "state"] = s * biases
    more = ledger.microbatches - 1
    # What copies send is added to the owner's sums in memory: the last microbatch reads them even if it is the first.
    reads = max(more, 1) if layout.cut(layer).tiled else more
    ledger.add("update", layer, counts | _gradients(layout, layer, reads, more) | ledger.channel(layer, "update"))
    ledger.add("update", layer, arrays.unfinished_gradients(ledger, layer))


def _book_copies(ledger: Ledger, layer: int) -> None:
    """Gradients of the copies of a tiled layer's filters, their way into the owners' sums, and the new copies."""
    layout, M, shape = ledger.layout, ledger.microbatches, ledger.layout.shape(layer)
    copies = layout.cut(layer).tiles - 1
    ledger.add("update", layer, _gradients(layout, layer, copies * (M - 1), copies * M))
    # One microbatch alone has left no sums at the owner before those of the copies arrive.
    added = copies - (M == 1)
    ledger.add("update", layer, _gradients(layout, layer, added, copies))
    arrived = {
        ("elementwise_ops", ""): added * (shape.weights + shape.channels),
        ("synapse_writes", "weight"): copies * shape.weights,
        ("neuron_writes", "bias"): copies * shape.channels,
    }
    ledger.add("update", layer, arrived)


def _gradients(layout: Layout, layer: int, reads: int, writes: int) -> Counts:
    """So many reads and writes of the gradient accumulators of all weights and biases of a layer."""
    shape = layout.shape(layer)
    return {
        ("gradient_reads", "accumulator"): reads * shape.weights,
        ("gradient_writes", "accumulator"): writes * shape.weights,
        ("neuron_reads", "accumulator"): reads * shape.channels,
        ("neuron_writes", "accumulator"): writes * shape.channels,
    }


def _book_traffic(ledger: Ledger, traffic: Iterable[Flow]) -> None:
    """All messages, by the phase and layer of their senders."""
    layout, grid = ledger.layout, ledger.layout.grid
    for flow in traffic:
        row = ledger.table.row(flow.phase, flow.layer)
        ledger.table.traffic[row] += flow_totals(layout, grid, flow, ledger.samples)
