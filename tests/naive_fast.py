"""The loops of ``naive`` taken a group of neurons at a time, for networks too big to count one by one.

Only what the contract's check rows show, on cores that no two layers share, with memories on the chip.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from naive_case import OPERATIONS, Case, blocks


def count_fast(case: Case) -> dict[str, int]:
    """Return totals of a step of bp at the owner, fa, dfa, ssdfa, drtp or last-layer (plain SGD, labels)."""
    totals: Counter[str] = Counter()
    microbatches = case.samples()
    for q, samples in enumerate(microbatches):
        p = len(samples)
        labelled = {core for owners in case.cores for core in owners} if case.rule.error == "target" else case.cores[-1]
        totals["neuron_writes"] += p * case.widths[0] * len(case.cores[0]) + p * len(labelled)
        for layer in range(1, case.depth + 1):
            for own in case.slices(layer).values():
                _forward(totals, case, layer, (p, len(own)))
                if case.has_error(layer):
                    _error(totals, case, layer, (p, own))
                if case.trained(layer):
                    _update(totals, case, layer, (p, len(own)))
                    steps = {"first": q == 0, "last": q == len(microbatches) - 1}
                    _gradients(totals, case, len(own) * case.widths[layer - 1], len(own), **steps)
    return dict(totals)


def _groups(case: Case, neurons: int) -> int:
    return len(list(blocks(range(neurons), case.chip.core.lanes[1])))


def _forward(totals: Counter[str], case: Case, layer: int, size: tuple[int, int]) -> None:
    p, own = size
    fan_in = case.widths[layer - 1]
    totals["macs"] += p * own * fan_in
    totals["synapse_reads"] += own * fan_in
    totals["neuron_reads"] += p * fan_in * _groups(case, own) + own
    totals["neuron_writes"] += p * own + (p * fan_in if layer > 1 else 0)
    totals["elementwise_ops"] += 2 * p * own
    if layer == case.depth and case.loss == "softmax":
        for name in ("neuron_reads", "neuron_writes", "elementwise_ops"):
            totals[name] += 2 * p * (len(case.cores[-1]) - 1)


def _error(totals: Counter[str], case: Case, layer: int, size: tuple[int, Sequence[int]]) -> None:
    p, neurons = size
    own, source = len(neurons), case.widths[case.source_layer(layer)] if layer < case.depth else 0
    totals["neuron_reads"] += p * own
    totals["neuron_writes"] += p * own
    totals["elementwise_ops"] += p * own * (1 if layer == case.depth else 2)
    if layer == case.depth or case.one_hot_target:
        totals["neuron_reads"] += p
        totals["feedback_and_mirror_reads"] += p * own if layer < case.depth else 0
    elif case.rule.partial_sums:
        senders = len(case.cores[layer])
        totals["macs"] += p * own * source
        totals["synapse_reads"] += own * source
        totals["neuron_writes"] += 2 * p * own * senders  # where they are made, and where they arrive
        totals["neuron_reads"] += p * own * senders
        totals["elementwise_ops"] += p * own * (senders - 1)
        if neurons[0] == 0:  # the products read deltas for all n_l outputs at once
            totals["neuron_reads"] += p * source * _groups(case, case.widths[layer])
    elif case.rule.sparse:
        connections = [k for neuron in neurons for k in case.terms(layer, neuron)]
        totals["macs"] += p * len(connections)
        totals["feedback_and_mirror_reads"] += len(connections)
        totals["neuron_reads"] += p * len(connections)
        totals["neuron_writes"] += p * len(set(connections))
    else:
        totals["macs"] += p * own * source
        totals["feedback_and_mirror_reads"] += own * source
        totals["neuron_reads"] += p * source * _groups(case, own)
        totals["neuron_writes"] += p * source


def _update(totals: Counter[str], case: Case, layer: int, size: tuple[int, int]) -> None:
    p, own = size
    fan_in = case.widths[layer - 1]
    totals["macs"] += p * own * fan_in
    totals["neuron_reads"] += p * fan_in * _groups(case, own) + p * own
    totals["elementwise_ops"] += p * own


def _gradients(totals: Counter[str], case: Case, weights: int, biases: int, *, first: bool, last: bool) -> None:
    if not first:
        totals["gradient_reads"] += weights
        totals["neuron_reads"] += biases
    if not last:
        totals["neuron_writes"] += biases
        return
    totals["synapse_reads"] += weights
    totals["neuron_reads"] += biases
    totals["neuron_writes"] += biases
    totals["elementwise_ops"] += OPERATIONS[case.optimizer] * (weights + biases)
