"""The counts of a step in closed form (semantics 1): whole layers and whole steps, no tasks.

Symbols: N samples, M microbatches, n_l neurons and c_l cores of layer l, C lanes, ``rho`` the sum over the cores of C_l
of ceil(a/C), ``loc`` values that are already where they are needed.
"""

from __future__ import annotations

import numpy as np

from neurosim.analytic.traffic import flow_totals, flows
from neurosim.counts import WORK_INDEX
from neurosim.schedules.channel import product_channel_bits
from neurosim.schedules.layout import Layout
from neurosim.schedules.traffic import sparse_arrivals
from neurosim.topology import mesh
from neurosim.trace import CountTable, empty_counts


def count_step(layout: Layout, batch_size: int) -> CountTable:
    """Return the counts of a step of ``batch_size`` samples."""
    ledger = _Ledger(layout, batch_size)
    ledger.book_io()
    for layer in range(1, layout.depth + 1):
        ledger.book_forward(layer)
        if layout.errors[layer]:
            if layer == layout.depth:
                ledger.book_output_error()
            else:
                ledger.book_hidden_error(layer)
        if layout.trained[layer]:
            ledger.book_update(layer)
    ledger.book_output_arrivals()
    ledger.book_traffic()
    return ledger.table


class _Ledger:
    """Books closed forms into a table, one paragraph of semantics 1 per method."""

    def __init__(self, layout: Layout, batch_size: int) -> None:
        self.layout = layout
        self.table = empty_counts(layout.depth)
        self.n = layout.widths
        self.samples = batch_size
        self.microbatches = -(-batch_size // layout.placement.microbatch)
        lanes, _ = layout.chip.core.lanes
        cache = lanes * layout.chip.core.accumulators_per_lane
        self.sweeps = -(-batch_size // cache) if layout.chip.behind_channel else self.microbatches
        self.cores = [0, *layout.placement.cores_per_layer]

    def add(self, phase: str, layer: int, counts: dict[tuple[str, str], int]) -> None:
        """Add ``counts`` by (count, kind) to a phase and layer."""
        row = self.table.row(phase, layer)
        for column, value in counts.items():
            self.table.work[row, WORK_INDEX[column]] += int(value)

    def rho(self, layer: int) -> int:
        """Sum over the cores of C_l of ceil(a / C)."""
        return int((-(-self.layout.sizes(layer) // self.layout.chip.core.lanes[1])).sum())

    def shared(self, layer: int, other: int) -> int:
        """loc: neurons of ``layer`` on cores that also hold neurons of ``other``."""
        return int(self.layout.sizes(layer)[np.isin(self.layout.cores(layer), self.layout.cores(other))].sum())

    def channel(self, layer: int, task: str) -> dict[tuple[str, str], int]:
        """channel_bits of a task where memories lie behind a channel."""
        if not self.layout.chip.behind_channel:
            return {}
        return {("channel_bits", ""): product_channel_bits(self.layout, layer, task, self.samples)}

    def dropout(self, layer: int) -> int:
        """Values of a dropout mask drawn for ``layer``, each an operation too."""
        drops = self.layout.network.layer(layer).dropout > 0 and not self.layout.forward_only
        return self.samples * self.n[layer] if drops else 0

    def book_io(self) -> None:
        """Inputs and labels enter the chip."""
        layout, N = self.layout, self.samples
        bits = N * self.n[0] * layout.chip.widths.input_bits
        counts = {("neuron_writes", "activation"): N * self.n[0] * self.cores[1]}
        if layout.sends_labels:
            receivers = len(layout.target_cores())
            if layout.dense_targets:
                bits += N * self.n[-1] * layout.chip.widths.activation_bits
                copies = receivers if layout.rule.error == "target" else 1
                counts["neuron_writes", "activation"] += N * self.n[-1] * copies
            else:
                bits += N * layout.bits["label"]
                counts["neuron_writes", "label"] = N * receivers
        counts["offchip_bits", ""] = 0 if layout.chip.behind_channel else bits
        self.add("io", 0, counts)

    def book_forward(self, layer: int) -> None:
        """forward l, with the softmax exchange of the last layer."""
        n, N, c = self.n, self.samples, self.cores[layer]
        drawn = self.dropout(layer)
        arriving = N * (c * n[layer - 1] - self.shared(layer - 1, layer)) if layer > 1 else 0
        counts = {
            ("macs", ""): N * n[layer] * n[layer - 1],
            ("synapse_reads", "weight"): self.sweeps * n[layer] * n[layer - 1],
            ("neuron_reads", "activation"): N * n[layer - 1] * self.rho(layer),
            ("neuron_reads", "bias"): self.sweeps * n[layer],
            ("neuron_writes", "activation"): N * n[layer] + arriving,
            ("elementwise_ops", ""): 2 * N * n[layer] + drawn,
            ("dropout_generated", ""): drawn,
        }
        self.add("forward", layer, counts | self.channel(layer, "forward"))
        if layer == self.layout.depth and self.layout.recipe.loss == "softmax":
            words = 2 * N * c * (c - 1)
            exchange = {("neuron_reads", "accumulator"): words, ("neuron_writes", "accumulator"): words}
            self.add("forward", layer, exchange | {("elementwise_ops", ""): words})

    def book_output_error(self) -> None:
        """error L."""
        layer, N = self.layout.depth, self.samples
        outputs = N * self.n[-1]
        counts = {
            ("elementwise_ops", ""): outputs,
            ("neuron_reads", "activation"): outputs,
            ("neuron_writes", "error"): outputs,
        }
        if self.layout.dense_targets:
            counts["neuron_reads", "activation"] += outputs
        else:
            counts["neuron_reads", "label"] = N * self.cores[layer]
        self.add("error", layer, counts | self.channel(layer, "output"))

    def book_hidden_error(self, layer: int) -> None:
        """error l < L: what every trained rule does, then what this one does."""
        n, N = self.n, self.samples
        drawn = self.dropout(layer)
        counts = {
            ("elementwise_ops", ""): 2 * N * n[layer] + drawn,
            ("neuron_reads", "activation"): N * n[layer],
            ("neuron_writes", "error"): N * n[layer],
            ("dropout_generated", ""): drawn,
        }
        self.add("error", layer, counts | self.channel(layer, "error"))
        rule = self.layout.rule
        if rule.partial_sums:
            self.book_partial_sums(layer)
        elif rule.error == "next":
            self.book_next_error(layer)
        elif rule.error == "target" and not self.layout.dense_targets:
            self.add("error", layer, {self.feedback: N * n[layer], ("neuron_reads", "label"): N * self.cores[layer]})
        elif rule.sparse:
            self.book_sparse_error(layer)
        else:
            self.book_direct_error(layer)

    @property
    def feedback(self) -> tuple[str, str]:
        """The count under which a stored or a generated feedback value is booked."""
        stored = self.layout.rule.feedback.storage == "stored"
        return ("feedback_reads", "feedback") if stored else ("feedback_generated", "")

    def book_partial_sums(self, layer: int) -> None:
        """bp and sign symmetry at the owner: product_l on C_(l+1), combine_l on C_l."""
        n, N, senders = self.n, self.samples, self.cores[layer + 1]
        own = self.shared(layer, layer + 1)
        groups = -(-n[layer] // self.layout.chip.core.lanes[1])
        counts = {
            ("macs", ""): N * n[layer] * n[layer + 1],
            ("synapse_reads", "weight"): self.sweeps * n[layer] * n[layer + 1],
            ("neuron_reads", "error"): N * n[layer + 1] * groups,
            ("neuron_reads", "accumulator"): N * n[layer] * senders,
            ("neuron_writes", "accumulator"): N * n[layer] * senders + N * (n[layer] * senders - own),
            ("elementwise_ops", ""): N * n[layer] * (senders - 1),
        }
        self.add("error", layer, counts | self.magnitudes(layer) | self.channel(layer, "product"))

    def magnitudes(self, layer: int) -> dict[tuple[str, str], int]:
        """Magnitudes of sign symmetry for W_(l+1)."""
        values = self.sweeps * self.n[layer] * self.n[layer + 1]
        magnitude = self.layout.rule.feedback.magnitude
        if magnitude == "once":
            return {self.feedback: values}
        return {("feedback_generated", ""): values} if magnitude == "every_step" else {}

    def book_next_error(self, layer: int) -> None:
        """fa, and bp and sign symmetry on a mirror: dense and local, the source is the next layer's error."""
        n, N = self.n, self.samples
        arriving = N * (self.cores[layer] * n[layer + 1] - self.shared(layer + 1, layer))
        counts = {
            ("macs", ""): N * n[layer] * n[layer + 1],
            ("neuron_reads", "error"): N * n[layer + 1] * self.rho(layer),
            ("neuron_writes", "error"): arriving,
        }
        swept = self.sweeps * n[layer] * n[layer + 1]
        if self.layout.rule.mirrored:
            kind = "sign" if self.layout.rule.matrix == "sign" else "weight"
            counts["mirror_reads", kind] = swept
            if self.layout.trained[layer + 1]:
                self.add("update", layer + 1, {("mirror_writes", kind): n[layer] * n[layer + 1]})
            counts |= self.magnitudes(layer)
        else:
            counts[self.feedback] = swept
        self.add("error", layer, counts)

    def book_direct_error(self, layer: int) -> None:
        """dfa, sign-dfa, and drtp with dense targets: dense and local, the source is of the output's width."""
        n, N, rule = self.n, self.samples, self.layout.rule
        kind = {"output": "error", "output-sign": "sign", "target": "activation"}[rule.error]
        work = ("elementwise_ops", "") if rule.error == "output-sign" else ("macs", "")
        counts = {
            work: N * n[layer] * n[-1],
            self.feedback: self.sweeps * n[layer] * n[-1],
            ("neuron_reads", kind): N * n[-1] * self.rho(layer),
        }
        self.add("error", layer, counts)

    def book_sparse_error(self, layer: int) -> None:
        """sdfa, ssdfa: nnz_l = s n_l products, values and indices."""
        rule = self.layout.rule
        assert rule.feedback.connections is not None
        nonzeros = rule.feedback.connections * self.n[layer]
        stored = rule.feedback.storage == "stored"
        index = ("feedback_index_reads", "index") if stored else ("feedback_index_generated", "")
        signs = rule.error == "output-sign"
        counts = {
            ("elementwise_ops", "") if signs else ("macs", ""): self.samples * nonzeros,
            self.feedback: self.sweeps * nonzeros,
            index: self.sweeps * nonzeros,
            ("neuron_reads", "sign" if signs else "error"): self.samples * nonzeros,
        }
        self.add("error", layer, counts)

    def book_output_arrivals(self) -> None:
        """Output errors written on arrival at the hidden layers' cores, once a core."""
        if self.layout.rule.shares_source:
            kind = "sign" if self.layout.rule.error == "output-sign" else "error"
            for layer, distinct in sparse_arrivals(self.layout).items():
                self.add("error", layer, {("neuron_writes", kind): self.samples * int(distinct.sum())})

    def book_update(self, layer: int) -> None:
        """update l: gradients of M microbatches are summed, then the optimizer writes."""
        n, N, M, s = self.n, self.samples, self.microbatches, self.layout.state_words
        weights = n[layer] * n[layer - 1]
        decay = 2 * weights if self.layout.recipe.weight_decay > 0 else 0
        counts = {
            ("macs", ""): N * weights,
            ("gradient_reads", "accumulator"): (M - 1) * weights,
            ("gradient_writes", "accumulator"): (M - 1) * weights,
            ("synapse_reads", "weight"): weights,
            ("synapse_writes", "weight"): weights,
            ("optimizer_reads", "state"): s * weights,
            ("optimizer_writes", "state"): s * weights,
            ("neuron_reads", "activation"): N * n[layer - 1] * self.rho(layer),
            ("neuron_reads", "error"): N * n[layer],
            ("elementwise_ops", ""): N * n[layer] + self.layout.update_operations * (weights + n[layer]) + decay,
        }
        for name in ("neuron_reads", "neuron_writes"):
            counts[name, "bias"] = n[layer]
            counts[name, "state"] = s * n[layer]
            counts[name, "accumulator"] = (M - 1) * n[layer]
        self.add("update", layer, counts | self.channel(layer, "update"))

    def book_traffic(self) -> None:
        """All messages, by the phase and layer of their senders."""
        grid = mesh(self.layout.chip)
        for flow in flows(self.layout, grid):
            row = self.table.row(flow.phase, flow.layer)
            self.table.traffic[row] += flow_totals(self.layout, grid, flow, self.samples)
