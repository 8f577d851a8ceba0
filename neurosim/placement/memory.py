"""What a rule keeps on each core, in bits (semantics: 'Sizes')."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from functools import cached_property

import numpy as np

from neurosim.chips import Chip
from neurosim.counts import SIGN_BITS, IntArray, distinct, index_bits
from neurosim.networks import Network
from neurosim.networks.optimizers import OPTIMIZERS
from neurosim.placement.cuts import LayerCut, slice_of_units
from neurosim.placement.partition import Partition
from neurosim.recipes import Recipe
from neurosim.rules import Rule


def trained_layers(network: Network, rule: Rule) -> list[bool]:
    """Return, for l = 0..L, whether layer l is updated (entry 0 is False)."""
    hidden = rule.error != "none"
    flags = [
        layer.trainable and (hidden or number == network.depth) for number, layer in enumerate(network.weighted, 1)
    ]
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
        self.least: dict[Hashable, int] = {}  # what apportioning has found of layers that look alike

    def alike(self, layer: int) -> Hashable:
        """Return what the bits of a slice hang on beside its cut: layers of equal values need equal memory.

        Apart from what a core shares with its other layers, and from which outputs feed a sparse layer.
        """
        following = self.network.shape(layer + 1) if layer < self.network.depth else None
        flags = self.trained[layer], self.errors[layer], self._carries_back(layer)
        return self.network.map(layer - 1), self.network.shape(layer), following, layer == 1, flags

    def accumulates(self, cut: LayerCut, microbatch: int) -> bool:
        """Whether gradients are kept in memory: over microbatches, or because the copies of a filter sum theirs."""
        return microbatch < self.recipe.batch_size or cut.tiled

    def fixed_bits(self, layer: int, cut: LayerCut, accumulate: bool) -> IntArray:
        """Neuron memory bits of biases, with state at owners and accumulators, and of the line buffer [c_l]."""
        return cut.channels * self._learned_bits(
            layer, cut, self.chip.widths.bias_bits, accumulate
        ) + self._line_buffer(layer)

    def _learned_bits(self, layer: int, cut: LayerCut, own_bits: int, accumulate: bool) -> IntArray:
        """Bits of one weight or bias of each slice [c_l]: itself, its accumulator and, at its owner, its state."""
        widths, trained = self.chip.widths, self.trained[layer]
        bits = own_bits + trained * accumulate * widths.accumulator_bits
        return np.asarray(bits + (cut.tile == 0) * trained * self.states * widths.state_bits, dtype=np.int64)

    def _line_buffer(self, layer: int) -> int:
        """Bits of the rows of a padded map that the taps of a filter are taken from."""
        shape = self.network.shape(layer)
        if not shape.convolves:
            return 0
        columns = shape.columns.size + shape.columns.before + shape.columns.after
        return shape.rows.kernel * columns * shape.inputs.channels * self.chip.widths.activation_bits

    def synapse_bits(self, layer: int, cut: LayerCut, accumulate: bool) -> IntArray:
        """Bits of each slice's weights with their state and accumulators, its feedback and its mirror [c_l]."""
        each = self._learned_bits(layer, cut, self.chip.widths.weight_bits, accumulate)
        forward = cut.channels * self.network.shape(layer).fan_in * each
        return forward + self.feedback_bits(layer, cut) + self.mirror_bits(layer, cut)

    def feedback_bits(self, layer: int, cut: LayerCut) -> IntArray:
        """Bits of stored feedback (values and indices) beside each slice of ``layer`` [c_l]."""
        rule, depth = self.rule, self.network.depth
        none = np.zeros(cut.slices, dtype=np.int64)
        if rule.feedback.storage == "generated":
            return none
        bits = self.chip.widths.feedback_bits
        if rule.matrix == "sign":
            if rule.feedback.magnitude != "once":
                return none
            if rule.mirrored:
                return self.next_matrix(layer, cut) * bits if layer < depth and self.errors[layer] else none
            return cut.channels * self.network.shape(layer).fan_in * bits if self._carries_back(layer) else none
        if rule.matrix != "random" or layer == depth or not self.errors[layer]:
            return none
        if rule.sparse:
            assert rule.feedback.connections is not None
            return cut.units * rule.feedback.connections * (bits + index_bits(self.widths[-1]))
        return (self.next_matrix(layer, cut) if rule.error == "next" else cut.units * self.widths[-1]) * bits

    def _carries_back(self, layer: int) -> bool:
        """Whether the weights of ``layer`` take part in the error of the layer before."""
        return layer > 1 and self.errors[layer - 1]

    def next_matrix(self, layer: int, cut: LayerCut) -> IntArray:
        """Values of a matrix shaped like W_(l+1) that belong to each slice of ``layer`` [c_l]."""
        following = self.network.shape(layer + 1)
        if following.convolves:
            return cut.channels * following.channels * following.kernel_positions
        return cut.units * following.channels

    def mirror_bits(self, layer: int, cut: LayerCut) -> IntArray:
        """Bits of the mirror of the next layer's weights, or of their signs, beside each slice of ``layer`` [c_l]."""
        if not self.rule.mirrored or layer == self.network.depth or not self.errors[layer]:
            return np.zeros(cut.slices, dtype=np.int64)
        return self.next_matrix(layer, cut) * (1 if self.rule.matrix == "sign" else self.chip.widths.weight_bits)

    def sample_bits(self, partition: Partition, layer: int) -> IntArray:
        """Neuron memory bits that one sample in flight takes on each slice of ``layer`` [c_l], output errors apart."""
        widths, cut, error = self.chip.widths, partition.cut(layer), self.errors[layer]
        shape = self.network.shape(layer)
        inputs = partition.inputs(layer) - partition.inputs_here(layer)
        total = (inputs + cut.map_units) * widths.activation_bits + cut.map_units * error * widths.error_bits
        if shape.pool is not None:
            total += self._pool_bits(partition, layer)
        if self.rule.partial_sums:
            if layer < self.network.depth and error:
                total += cut.units * widths.accumulator_bits
            if self._carries_back(layer):
                total += partition.inputs(layer) * widths.accumulator_bits
        elif self.rule.error == "next" and layer < self.network.depth and error:
            total += (partition.errors(layer) - partition.errors_here(layer)) * widths.error_bits
        return np.asarray(total, dtype=np.int64)

    def _pool_bits(self, partition: Partition, layer: int) -> IntArray:
        """Bits of a sample's pooled values, places and errors, and of what its windows share with other tiles [c_l]."""
        widths, cut, shape = self.chip.widths, partition.cut(layer), self.network.shape(layer)
        place = self.network.argmax_bits if shape.pool is not None and shape.pool.kind == "max_pool" else 0
        halo = partition.map_halo(layer).sum(axis=0)[cut.tile] * shape.map.columns * cut.channels
        bits = (cut.units + halo) * widths.activation_bits
        if self.errors[layer]:
            windows = partition.window_halo(layer).sum(axis=0)[cut.tile] * shape.outputs.columns * cut.channels
            bits += (cut.units + windows) * (widths.error_bits + place)
        return np.asarray(bits)

    def received_bits(self, partition: Partition, cores: int) -> IntArray:
        """Bits a sample of the output errors that each core received, once for all its hidden layers [cores]."""
        total = np.zeros(cores, dtype=np.int64)
        hidden = [layer for layer in range(1, self.network.depth) if self.errors[layer]]
        if not self.rule.sparse:
            for layer in hidden:
                total[partition.cores[layer]] = self.widths[-1]
            last = partition.cores[-1]
            total[last] -= np.where(total[last] > 0, partition.cuts[-1].channels, 0)
            return total * self._source_bits
        uses = [self._uses(layer, partition.owner_of_units(layer)) for layer in hidden]
        held = partition.owner_of_units(partition.depth) * self.widths[-1] + np.arange(self.widths[-1])
        used = distinct(np.concatenate([total[:0], *uses]))
        away = used[~np.isin(used, held)]
        return np.bincount(away // self.widths[-1], minlength=cores) * self._source_bits

    def received_alone(self, layer: int, cut: LayerCut) -> IntArray:
        """Bits a sample of the output errors that each slice received, no other layer being on its core [c_l]."""
        if layer == self.network.depth or not self.errors[layer]:
            return np.zeros(cut.slices, dtype=np.int64)
        if not self.rule.sparse:
            return np.full(cut.slices, self.widths[-1] * self._source_bits, dtype=np.int64)
        uses = self._uses(layer, slice_of_units(cut))
        return np.bincount(uses // self.widths[-1], minlength=cut.slices) * self._source_bits

    @property
    def _source_bits(self) -> int:
        return SIGN_BITS if self.rule.error == "output-sign" else self.chip.widths.error_bits

    def _uses(self, layer: int, owners: IntArray) -> IntArray:
        """Return the different owner x n_L + output of a sparse layer whose units have ``owners`` [n_l]."""
        return distinct(owners[:, None] * self.widths[-1] + self.connections[layer])


class CoreBits:
    """The bits that a rule keeps on every core under one partition, whatever the microbatch is.

    They grow linearly with the samples in flight, but for accumulators, which a step of one microbatch needs none of.
    """

    def __init__(self, memory: RuleMemory, partition: Partition) -> None:
        self.memory, self.partition = memory, partition
        self._kept: dict[bool, tuple[IntArray, IntArray]] = {}

    def at(self, microbatch: int) -> tuple[IntArray, IntArray]:
        """Return (neuron memory bits, synapse memory bits) of every core of the chip, int64 [cores] each."""
        whole = microbatch >= self.memory.recipe.batch_size
        if whole not in self._kept:
            self._kept[whole] = self._once(microbatch)
        neuron, synapse = self._kept[whole]
        return neuron + self.memory.recipe.microbatches_in_flight * microbatch * self._each_sample, synapse

    def _once(self, microbatch: int) -> tuple[IntArray, IntArray]:
        """What does not grow with the samples in flight: neuron and synapse memory bits [cores]."""
        memory, known = self.memory, dict[Hashable, tuple[IntArray, IntArray]]()
        neuron, synapse = (np.zeros(memory.chip.cores, dtype=np.int64) for _ in range(2))
        for layer, cores, cut in self._layers():
            key = memory.alike(layer), cut.channel_slices, cut.tiles
            if key not in known:
                accumulate = memory.accumulates(cut, microbatch)
                known[key] = memory.fixed_bits(layer, cut, accumulate), memory.synapse_bits(layer, cut, accumulate)
            neuron[cores] += known[key][0]
            synapse[cores] += known[key][1]
        return neuron, synapse

    @cached_property
    def _each_sample(self) -> IntArray:
        """Neuron memory bits of one sample in flight [cores]."""
        memory, known = self.memory, dict[Hashable, IntArray]()
        total = np.zeros(memory.chip.cores, dtype=np.int64)
        for layer, cores, cut in self._layers():
            # What other layers leave on the same core is not stored twice, so there each layer is for itself.
            key = layer if self.partition.shares_cores else (memory.alike(layer), cut.channel_slices, cut.tiles)
            if key not in known:
                known[key] = memory.sample_bits(self.partition, layer)
            total[cores] += known[key]
        return total + (memory.received_bits(self.partition, len(total)) if memory.rule.shares_source else 0)

    def _layers(self) -> Iterator[tuple[int, IntArray, LayerCut]]:
        for layer in range(1, self.partition.depth + 1):
            yield layer, self.partition.cores[layer], self.partition.cut(layer)


def outputs_held(partition: Partition) -> dict[int, frozenset[int]]:
    """Return which of the n_L output errors each core of the last layer computes itself."""
    starts = partition.cuts[-1].channel_starts
    return {int(core): frozenset(range(starts[i], starts[i + 1])) for i, core in enumerate(partition.cores[-1])}
