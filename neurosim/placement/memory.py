"""What a rule keeps on each core, in bits (semantics: 'Sizes')."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurosim.chips import Chip
from neurosim.counts import SIGN_BITS, IntArray, index_bits
from neurosim.networks import Network
from neurosim.networks.optimizers import OPTIMIZERS
from neurosim.recipes import Recipe
from neurosim.rules import Rule


def trained_layers(network: Network, rule: Rule) -> list[bool]:
    """Return, for l = 0..L, whether layer l is updated (entry 0 is False)."""
    hidden = rule.error != "none"
    flags = [layer.trainable and (hidden or number == network.depth) for number, layer in enumerate(network.layers, 1)]
    return [False, *flags]


def error_layers(network: Network, rule: Rule) -> list[bool]:
    """Return, for l = 0..L, whether layer l's error is computed: it is trained, or the source of a computed error."""
    trained = trained_layers(network, rule)
    errors = list(trained)
    if rule.error == "next":
        for layer in range(2, network.depth + 1):
            errors[layer] = trained[layer] or errors[layer - 1]
    errors[network.depth] = any(trained)
    return errors


class RuleMemory:
    """The bits that a rule keeps on each core (semantics: 'Sizes')."""

    def __init__(
        self, network: Network, rule: Rule, chip: Chip, recipe: Recipe, connections: dict[int, IntArray]
    ) -> None:
        self.network, self.rule, self.chip, self.recipe = network, rule, chip, recipe
        self.connections = connections
        self.widths = network.widths
        self.trained = trained_layers(network, rule)
        self.errors = error_layers(network, rule)
        self.states = OPTIMIZERS[recipe.optimizer].state_words

    def bits(self, cores: Sequence[IntArray], starts: Sequence[IntArray], microbatch: int) -> tuple[IntArray, IntArray]:
        """Return (neuron memory bits, synapse memory bits) of every core of the chip, int64 [cores] each."""
        neuron = np.zeros(self.chip.cores, dtype=np.int64)
        synapse = np.zeros(self.chip.cores, dtype=np.int64)
        accumulate = microbatch < self.recipe.batch_size
        for layer in range(1, self.network.depth + 1):
            sizes = np.diff(starts[layer])
            synapse[cores[layer]] += sizes * self.synapse_bits_per_neuron(layer, accumulate)
            neuron[cores[layer]] += sizes * self.static_neuron_bits(layer, accumulate)
        per_sample = self.sample_bits(cores, starts, self.chip.cores)
        neuron += self.recipe.microbatches_in_flight * microbatch * per_sample
        return neuron, synapse

    def static_neuron_bits(self, layer: int, accumulate: bool) -> int:
        """Bits of a neuron's bias, its optimizer state and its gradient accumulator."""
        widths = self.chip.widths
        learned = self.states * widths.state_bits + accumulate * widths.accumulator_bits
        return widths.bias_bits + (learned if self.trained[layer] else 0)

    def synapse_bits_per_neuron(self, layer: int, accumulate: bool) -> int:
        """Bits of a neuron's weights with their state and accumulators, its feedback and its mirror."""
        widths = self.chip.widths
        learned = self.states * widths.state_bits + accumulate * widths.accumulator_bits
        forward = self.widths[layer - 1] * (widths.weight_bits + (learned if self.trained[layer] else 0))
        return forward + self.feedback_bits(layer) + self.mirror_bits(layer)

    def feedback_bits(self, layer: int) -> int:
        """Bits of stored feedback (values and indices) beside a neuron of ``layer``."""
        rule, depth = self.rule, self.network.depth
        if rule.feedback.storage == "generated":
            return 0
        feedback_bits = self.chip.widths.feedback_bits
        if rule.matrix == "sign":
            if rule.feedback.magnitude != "once":
                return 0
            if rule.mirrored:
                return self.widths[layer + 1] * feedback_bits if layer < depth and self.errors[layer] else 0
            return self.widths[layer - 1] * feedback_bits if layer > 1 and self.errors[layer - 1] else 0
        if rule.matrix != "random" or layer == depth or not self.errors[layer]:
            return 0
        if rule.sparse:
            assert rule.feedback.connections is not None
            return rule.feedback.connections * (feedback_bits + index_bits(self.widths[-1]))
        return (self.widths[layer + 1] if rule.error == "next" else self.widths[-1]) * feedback_bits

    def mirror_bits(self, layer: int) -> int:
        """Bits of the mirror of the next layer's weights, or of their signs, beside a neuron of ``layer``."""
        if not self.rule.mirrored or layer == self.network.depth or not self.errors[layer]:
            return 0
        return self.widths[layer + 1] * (1 if self.rule.matrix == "sign" else self.chip.widths.weight_bits)

    def sample_bits(self, cores: Sequence[IntArray], starts: Sequence[IntArray], total_cores: int) -> IntArray:
        """Return the neuron memory bits that one sample in flight takes on each core [total_cores]."""
        widths, depth = self.chip.widths, self.network.depth
        total = np.zeros(total_cores, dtype=np.int64)
        held = [np.zeros(total_cores, dtype=np.int64) for _ in range(depth + 1)]
        for layer in range(1, depth + 1):
            held[layer][cores[layer]] = np.diff(starts[layer])
        for layer in range(1, depth + 1):
            inputs = self.widths[layer - 1] - held[layer - 1][cores[layer]]
            own = np.diff(starts[layer]) * (widths.activation_bits + self.errors[layer] * widths.error_bits)
            total[cores[layer]] += inputs * widths.activation_bits + own
            if layer < depth and self.errors[layer] and self.rule.partial_sums:
                total[cores[layer]] += np.diff(starts[layer]) * widths.accumulator_bits
                total[cores[layer + 1]] += self.widths[layer] * widths.accumulator_bits
            if layer < depth and self.errors[layer] and self.rule.error == "next" and not self.rule.partial_sums:
                received = self.widths[layer + 1] - held[layer + 1][cores[layer]]
                total[cores[layer]] += received * widths.error_bits
        if self.rule.shares_source:
            self._add_output_errors(total, cores, starts)
        return total

    def _add_output_errors(self, total: IntArray, cores: Sequence[IntArray], starts: Sequence[IntArray]) -> None:
        """Add the bits per sample of the output errors that each core received, once for all its hidden layers."""
        bits = SIGN_BITS if self.rule.error == "output-sign" else self.chip.widths.error_bits
        used = used_outputs(self.widths, self.errors, cores, starts, self.connections)
        local = outputs_held(self.widths[-1], cores[-1], starts[-1])
        for core, outputs in used.items():
            total[core] += len(outputs - local.get(core, frozenset())) * bits


def outputs_held(outputs: int, cores: IntArray, starts: IntArray) -> dict[int, frozenset[int]]:
    """Return which of the ``outputs`` errors each core of the last layer computes itself."""
    assert starts[-1] == outputs
    return {int(core): frozenset(range(starts[i], starts[i + 1])) for i, core in enumerate(cores)}


def used_outputs(
    widths: Sequence[int],
    errors: Sequence[bool],
    cores: Sequence[IntArray],
    starts: Sequence[IntArray],
    connections: dict[int, IntArray],
) -> dict[int, frozenset[int]]:
    """Return which output errors each core uses for all its hidden layers (all of them where B is dense)."""
    used: dict[int, frozenset[int]] = {}
    everything = frozenset(range(widths[-1]))
    for layer in range(1, len(widths) - 1):
        if not errors[layer]:
            continue
        for number, core in enumerate(cores[layer]):
            outputs = everything
            if layer in connections:
                rows = connections[layer][starts[layer][number] : starts[layer][number + 1]]
                outputs = frozenset(np.unique(rows).tolist())
            used[int(core)] = used.get(int(core), frozenset()) | outputs
    return used
