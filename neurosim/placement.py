"""place(): which core holds which neurons, synapses and feedback, and how many samples it keeps at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from neurosim.chips import Chip
from neurosim.counts import SIGN_BITS, IntArray, index_bits
from neurosim.errors import PlacementError
from neurosim.feedback import draw_feedback
from neurosim.networks import Network
from neurosim.networks.optimizers import OPTIMIZERS
from neurosim.recipes import Recipe
from neurosim.rules import Rule


@dataclass(frozen=True)
class Placement:
    """Slices of neurons on cores, the microbatch, and the memory each core needs.

    ``cores[l]`` are the core numbers of layer l (1..L; entry 0 is empty) in slice order, ``starts[l]`` [c_l + 1] the
    neurons at which its slices begin; ``connections[l]`` [n_l, s] the outputs that feed each hidden neuron of a
    sparse rule; ``neuron_bits`` and ``synapse_bits`` [cores] what is stored.
    """

    chip: Chip
    cores: tuple[IntArray, ...]
    starts: tuple[IntArray, ...]
    microbatch: int
    connections: dict[int, IntArray]
    neuron_bits: IntArray
    synapse_bits: IntArray

    @property
    def cores_per_layer(self) -> list[int]:
        """c_1..c_L."""
        return [len(cores) for cores in self.cores[1:]]

    @property
    def cores_used(self) -> int:
        """How many different cores hold neurons."""
        return len(np.unique(np.concatenate(self.cores[1:])))

    def sizes(self, layer: int) -> IntArray:
        """Neurons of each slice of ``layer`` [c_l]."""
        return np.diff(self.starts[layer])


def trained_layers(network: Network, rule: Rule) -> list[bool]:
    """Return, for l = 0..L, whether layer l is updated (entry 0 is False)."""
    hidden = rule.error != "none"
    flags = [layer.trainable and (hidden or number == network.depth) for number, layer in enumerate(network.layers, 1)]
    return [False, *flags]


def error_layers(network: Network, rule: Rule) -> list[bool]:
    """Return, for l = 0..L, whether layer l's error is computed: it is trained, or a computed error has it as source."""
    trained = trained_layers(network, rule)
    errors = list(trained)
    if rule.error == "next":
        for layer in range(2, network.depth + 1):
            errors[layer] = trained[layer] or errors[layer - 1]
    errors[network.depth] = any(trained)
    return errors


def slice_starts(neurons: int, cores: int) -> IntArray:
    """Return the cuts of ``neurons`` into ``cores`` slices that differ by at most one, larger first [cores + 1]."""
    base, larger = divmod(neurons, cores)
    sizes = np.full(cores, base, dtype=np.int64)
    sizes[:larger] += 1
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def core_order(chip: Chip) -> IntArray:
    """Return all core numbers column by column, every second column upwards: the fewest crossings under XY routes."""
    x = np.repeat(np.arange(chip.columns), chip.rows)
    y = np.tile(np.arange(chip.rows), chip.columns)
    y = np.where(x % 2 == 1, chip.rows - 1 - y, y)
    per_router = chip.noc.cores_per_router
    routers = y * chip.columns + x
    return (routers[:, None] * per_router + np.arange(per_router)).ravel().astype(np.int64)


def place(network: Network, rule: Rule, chip: Chip, recipe: Recipe) -> Placement:
    """Return the placement of ``network`` for one rule.

    Raises:
        PlacementError: a layer needs more cores than it has neurons, the chip has too few cores, or no microbatch fits.
    """
    return place_together(network, [rule], chip, recipe)[0]


def place_together(network: Network, rules: Sequence[Rule], chip: Chip, recipe: Recipe) -> list[Placement]:
    """Return one placement per rule with the same slices and the same microbatch for all.

    The cores needed at m = 1 are the maximum over the rules and the microbatch is the smallest 'auto' of the rules:
    anything else would compare placements and not rules.
    """
    connections = [_draw_connections(network, rule, recipe) for rule in rules]
    memories = [_Memory(network, rule, chip, recipe, found) for rule, found in zip(rules, connections, strict=True)]
    cores, starts = _apportion(network, chip, memories)
    microbatch = _choose_microbatch(memories, cores, starts, chip, recipe)
    placements = []
    for memory, found in zip(memories, connections, strict=True):
        neuron_bits, synapse_bits = memory.bits(cores, starts, microbatch)
        placements.append(Placement(chip, cores, starts, microbatch, found, neuron_bits, synapse_bits))
    return placements


def _draw_connections(network: Network, rule: Rule, recipe: Recipe) -> dict[int, IntArray]:
    """Return which outputs feed each neuron of every hidden layer of a sparse rule."""
    if not rule.sparse:
        return {}
    drawn = draw_feedback(network.widths, rule, seed=recipe.seed)
    return {
        layer: matrix.index for layer, matrix in enumerate(drawn, 1) if matrix is not None and matrix.index is not None
    }


def stored_bits(network: Network, rule: Rule, placement: Placement, recipe: Recipe) -> dict[str, int]:
    """Return the bits that all cores keep together, by what they are: the memory that a rule asks for."""
    memory = _Memory(network, rule, placement.chip, recipe, placement.connections)
    accumulate = placement.microbatch < recipe.batch_size
    bits = dict.fromkeys(("weights", "gradient_accumulators", "optimizer_state", "feedback", "mirror", "biases"), 0)
    widths = placement.chip.widths
    for layer in range(1, network.depth + 1):
        units = network.widths[layer]
        learned = units * (network.widths[layer - 1] + 1) * memory.trained[layer]
        bits["weights"] += units * network.widths[layer - 1] * widths.weight_bits
        bits["biases"] += units * widths.bias_bits
        bits["gradient_accumulators"] += learned * accumulate * widths.accumulator_bits
        bits["optimizer_state"] += learned * memory.states * widths.state_bits
        bits["feedback"] += units * memory.feedback_bits(layer)
        bits["mirror"] += units * memory.mirror_bits(layer)
    total = int(placement.neuron_bits.sum() + placement.synapse_bits.sum())
    return bits | {"activations_and_errors": total - sum(bits.values())}


def place_on(
    network: Network, rule: Rule, chip: Chip, recipe: Recipe, *, cores: Sequence[Sequence[int]], microbatch: int
) -> Placement:
    """Return the placement of layers 1..L on the given cores, in slice order, with ``microbatch`` samples in flight.

    A core may serve several layers. Unlike ``place`` this checks nothing: ``neuron_bits`` and ``synapse_bits`` say what
    would be stored, whether the chip has room for it or not.
    """
    empty = np.zeros(0, dtype=np.int64)
    owners = (empty, *(np.array(own, dtype=np.int64) for own in cores))
    starts = (empty, *(slice_starts(units, len(own)) for units, own in zip(network.widths[1:], cores, strict=True)))
    connections = _draw_connections(network, rule, recipe)
    bits = _Memory(network, rule, chip, recipe, connections).bits(owners, starts, microbatch)
    return Placement(chip, owners, starts, microbatch, connections, *bits)


def with_connections(placement: Placement, connections: dict[int, IntArray]) -> Placement:
    """Return the placement with other sparse connections (a study of which outputs feed which neurons)."""
    return replace(placement, connections=connections)


class _Memory:
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


def _apportion(
    network: Network, chip: Chip, memories: Sequence[_Memory]
) -> tuple[tuple[IntArray, ...], tuple[IntArray, ...]]:
    order = core_order(chip)
    widths = network.widths
    empty = np.zeros(0, dtype=np.int64)
    if chip.cores < network.depth:
        owner = _share_cores(_forward_macs(widths), chip.cores)
        cores = (empty, *(order[core : core + 1] for core in owner))
        return cores, (empty, *(slice_starts(units, 1) for units in widths[1:]))
    counts = _apportion_counts(network, chip, memories)
    ends = np.cumsum([0, *counts])
    cores = (empty, *(order[ends[i] : ends[i + 1]] for i in range(len(counts))))
    return cores, (empty, *(slice_starts(units, c) for units, c in zip(widths[1:], counts, strict=True)))


def _forward_macs(widths: Sequence[int]) -> list[int]:
    return [widths[layer] * widths[layer - 1] for layer in range(1, len(widths))]


def _apportion_counts(network: Network, chip: Chip, memories: Sequence[_Memory]) -> list[int]:
    """c_l by quota of forward MACs, not below what the memories need, not above the layer's neurons."""
    widths, cores = network.widths, chip.cores
    macs = _forward_macs(widths)
    total = sum(macs)
    least = [_cores_needed(layer, chip, memories) for layer in range(1, network.depth + 1)]
    if sum(least) > cores:
        raise PlacementError(
            f"network {network.name!r} on chip {chip.name!r}: the layers need {least} cores with one sample in flight, "
            f"{sum(least)} together, and the chip has {cores}; use a chip with more cores or larger memories"
        )
    counts = [
        min(units, max(low, cores * share // total)) for units, low, share in zip(widths[1:], least, macs, strict=True)
    ]
    while sum(counts) < cores:
        open_layers = [i for i, units in enumerate(widths[1:]) if counts[i] < units]
        if not open_layers:
            break
        counts[max(open_layers, key=lambda i: (cores * macs[i] - counts[i] * total, -i))] += 1
    while sum(counts) > cores:
        closed = [i for i in range(len(counts)) if counts[i] > least[i]]
        counts[max(closed, key=lambda i: (counts[i] * total - cores * macs[i], i))] -= 1
    return counts


def _cores_needed(layer: int, chip: Chip, memories: Sequence[_Memory]) -> int:
    """Smallest number of cores on which the layer fits for every rule with one sample in flight."""
    if chip.behind_channel:
        return 1
    units = memories[0].widths[layer]
    return max(_least_cores(memory, layer, units) for memory in memories)


def _least_cores(memory: _Memory, layer: int, units: int) -> int:
    chip = memory.chip
    accumulate = memory.recipe.batch_size > 1
    synapse_room = 8 * chip.core.synapse_memory.capacity_bytes
    neuron_room = 8 * chip.core.neuron_memory.capacity_bytes
    synapse_each = memory.synapse_bits_per_neuron(layer, accumulate)
    largest_slice = min(units, synapse_room // synapse_each)
    while largest_slice > 0:
        if _slice_neuron_bits(memory, layer, largest_slice, accumulate) <= neuron_room:
            return -(-units // largest_slice)
        largest_slice -= 1
    short = "synapse" if synapse_each > synapse_room else "neuron"
    need = synapse_each if short == "synapse" else _slice_neuron_bits(memory, layer, 1, accumulate)
    room = synapse_room if short == "synapse" else neuron_room
    raise PlacementError(
        f"layer {layer} of {memory.network.name!r} under {memory.rule.name!r} on chip {chip.name!r}: one neuron needs "
        f"{-(-need // 8)} bytes of {short} memory and a core has {room // 8}; "
        f"use a core with a larger {short} memory or a narrower layer {layer - 1}"
    )


def _slice_neuron_bits(memory: _Memory, layer: int, neurons: int, accumulate: bool) -> int:
    """Neuron memory bits of the fullest core when ``layer`` alone is cut into slices of ``neurons`` (m = 1)."""
    counts = [1] * memory.network.depth
    counts[layer - 1] = -(-memory.widths[layer] // neurons)
    # Every layer gets cores of its own, numbered from 0: they need not exist on the chip to be measured.
    ends = np.cumsum([0, *counts])
    cores = [np.zeros(0, np.int64), *(np.arange(ends[i], ends[i + 1]) for i in range(len(counts)))]
    starts = [np.zeros(0, np.int64), *(slice_starts(u, c) for u, c in zip(memory.widths[1:], counts, strict=True))]
    per_sample = memory.sample_bits(cores, starts, int(ends[-1]))[cores[layer]]
    fixed = np.diff(starts[layer]) * memory.static_neuron_bits(layer, accumulate)
    return int((fixed + memory.recipe.microbatches_in_flight * per_sample).max())


def _share_cores(macs: Sequence[int], cores: int) -> list[int]:
    """Return the core of each layer when consecutive layers share ``cores`` cores.

    The linear partition by MACs with the smallest maximum; ties go to the earlier cut.
    """
    layers = len(macs)
    sums = np.concatenate([[0], np.cumsum(macs)])
    best = {(0, 0): (0, ())}
    for parts in range(1, cores + 1):
        for end in range(parts, layers + 1):
            options = [
                (max(best[parts - 1, cut][0], int(sums[end] - sums[cut])), (*best[parts - 1, cut][1], cut))
                for cut in range(parts - 1, end)
                if (parts - 1, cut) in best
            ]
            if options:
                best[parts, end] = min(options)
    cuts = best[cores, layers][1]
    return [sum(layer >= cut for cut in cuts) - 1 for layer in range(layers)]


def _choose_microbatch(
    memories: Sequence[_Memory],
    cores: Sequence[IntArray],
    starts: Sequence[IntArray],
    chip: Chip,
    recipe: Recipe,
) -> int:
    """The recipe's microbatch, or the largest with which every core fits under every rule."""
    if chip.behind_channel:
        return recipe.batch_size
    most = min(recipe.batch_size, chip.core.lanes[0] * chip.core.accumulators_per_lane)
    if recipe.microbatch != "auto":
        return _check_microbatch(recipe.microbatch, most, memories, cores, starts)
    for microbatch in range(most, 0, -1):
        if all(_overfull(memory, cores, starts, microbatch) is None for memory in memories):
            return microbatch
    reasons = (_overfull(memory, cores, starts, 1) for memory in memories)
    reason = next(found for found in reasons if found is not None)
    raise PlacementError(f"{reason} even with one sample in flight; use larger memories, more cores or fewer neurons")


def _check_microbatch(
    microbatch: int,
    most: int,
    memories: Sequence[_Memory],
    cores: Sequence[IntArray],
    starts: Sequence[IntArray],
) -> int:
    if microbatch > most:
        chip, batch = memories[0].chip, memories[0].recipe.batch_size
        raise PlacementError(
            f"microbatch = {microbatch}: chip {chip.name!r} holds at most {most} samples between two sweeps of the "
            f"synapse memory (batch {batch}, lanes {list(chip.core.lanes)} with {chip.core.accumulators_per_lane} "
            f"accumulators each); use a smaller microbatch or 'auto'"
        )
    for memory in memories:
        reason = _overfull(memory, cores, starts, microbatch)
        if reason is not None:
            raise PlacementError(f"microbatch = {microbatch}: {reason}; use a smaller microbatch or 'auto'")
    return microbatch


def _overfull(memory: _Memory, cores: Sequence[IntArray], starts: Sequence[IntArray], microbatch: int) -> str | None:
    """Return a sentence on the fullest core if some core does not fit, else None."""
    chip = memory.chip
    found = zip(
        memory.bits(cores, starts, microbatch),
        ("neuron", "synapse"),
        (chip.core.neuron_memory, chip.core.synapse_memory),
        strict=True,
    )
    for bits, name, room in found:
        core = int(bits.argmax())
        if bits[core] > 8 * room.capacity_bytes:
            layers = [str(layer) for layer in range(1, len(cores)) if core in cores[layer]]
            return (
                f"core {core} (layer {', '.join(layers)} of {memory.network.name!r} under {memory.rule.name!r}) needs "
                f"{-(-int(bits[core]) // 8)} bytes of {name} memory and chip {chip.name!r} has {room.capacity_bytes}"
            )
    return None
