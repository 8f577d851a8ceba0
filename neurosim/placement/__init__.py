"""place(): which core holds which neurons, synapses and feedback, and how many samples it keeps at once."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from neurosim.chips import Chip
from neurosim.counts import IntArray
from neurosim.errors import PlacementError
from neurosim.feedback import draw_connections
from neurosim.networks import Network
from neurosim.placement.apportion import EMPTY, apportion, core_order
from neurosim.placement.cuts import LayerCut, overlaps, row_ranges, slice_starts
from neurosim.placement.memory import CoreBits, RuleMemory, error_layers, outputs_held, trained_layers
from neurosim.placement.partition import Partition
from neurosim.recipes import Recipe
from neurosim.rules import Rule

__all__ = [
    "LayerCut",
    "Partition",
    "Placement",
    "core_order",
    "error_layers",
    "outputs_held",
    "overlaps",
    "place",
    "place_on",
    "place_together",
    "row_ranges",
    "slice_starts",
    "stored_bits",
    "trained_layers",
    "with_connections",
]


@dataclass(frozen=True)
class Placement:
    """Slices of neurons on cores, the microbatch, and the memory each core needs.

    ``partition`` says which cores hold which slices of layers 1..L; ``connections[l]`` [n_l, s] the outputs that feed
    each hidden neuron of a sparse rule; ``neuron_bits`` and ``synapse_bits`` [cores] what is stored.
    """

    chip: Chip
    partition: Partition
    microbatch: int
    connections: dict[int, IntArray]
    neuron_bits: IntArray
    synapse_bits: IntArray

    @property
    def cores(self) -> tuple[IntArray, ...]:
        """Core numbers of layers 1..L in slice order; entry 0 is empty."""
        return self.partition.cores

    @property
    def cuts(self) -> tuple[LayerCut, ...]:
        """How layers 1..L are cut; entry 0 stands for the input."""
        return self.partition.cuts

    @property
    def cores_per_layer(self) -> list[int]:
        """c_1..c_L."""
        return [len(cores) for cores in self.cores[1:]]

    @cached_property
    def cores_used(self) -> int:
        """How many different cores hold neurons."""
        return int(np.count_nonzero(np.bincount(np.concatenate(self.cores[1:]))))


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
    connections = [draw_connections(network, rule, seed=recipe.seed) for rule in rules]
    memories = [RuleMemory(network, rule, chip, recipe, found) for rule, found in zip(rules, connections, strict=True)]
    partition = apportion(network, chip, memories)
    stored = [CoreBits(memory, partition) for memory in memories]
    microbatch = _choose_microbatch(stored, chip, recipe)
    return [
        Placement(chip, partition, microbatch, found, *bits.at(microbatch))
        for bits, found in zip(stored, connections, strict=True)
    ]


def stored_bits(network: Network, rule: Rule, placement: Placement, recipe: Recipe) -> dict[str, int]:
    """Return the bits that all cores keep together, by what they are: the memory that a rule asks for.

    "copies" are the weights and biases that tiles of a convolution hold beside their owner's.
    """
    memory = RuleMemory(network, rule, placement.chip, recipe, placement.connections)
    names = ("weights", "gradient_accumulators", "optimizer_state", "feedback", "mirror", "biases", "copies")
    bits = dict.fromkeys(names, 0)
    widths = placement.chip.widths
    for layer in range(1, network.depth + 1):
        shape, cut = network.shape(layer), placement.cuts[layer]
        learned = (shape.weights + shape.channels) * memory.trained[layer]
        own = shape.weights * widths.weight_bits, shape.channels * widths.bias_bits
        bits["weights"] += own[0]
        bits["biases"] += own[1]
        bits["copies"] += (cut.tiles - 1) * sum(own)
        accumulate = memory.accumulates(cut, placement.microbatch)
        bits["gradient_accumulators"] += cut.tiles * learned * accumulate * widths.accumulator_bits
        bits["optimizer_state"] += learned * memory.states * widths.state_bits
        bits["feedback"] += int(memory.feedback_bits(layer, cut).sum())
        bits["mirror"] += int(memory.mirror_bits(layer, cut).sum())
    total = int(placement.neuron_bits.sum() + placement.synapse_bits.sum())
    return bits | {"activations_and_errors": total - sum(bits.values())}


def place_on(
    network: Network,
    rule: Rule,
    chip: Chip,
    recipe: Recipe,
    *,
    cores: Sequence[Sequence[int]],
    microbatch: int,
    tiles: Sequence[int] = (),
) -> Placement:
    """Return the placement of layers 1..L on the given cores, in slice order, with ``microbatch`` samples in flight.

    ``tiles`` are the tiles of rows of each layer (default: 1), of which each has the same slices of channels. A core
    may serve several layers. Unlike ``place`` this checks nothing: ``neuron_bits`` and ``synapse_bits`` say what would
    be stored, whether the chip has room for it or not.
    """
    empty = np.zeros(0, dtype=np.int64)
    owners = (empty, *(np.array(own, dtype=np.int64) for own in cores))
    rows = tiles or [1] * network.depth
    cuts = [LayerCut(shape, len(own) // t, t) for shape, own, t in zip(network.shapes, cores, rows, strict=True)]
    partition = Partition(network, owners, (EMPTY, *cuts))
    connections = draw_connections(network, rule, seed=recipe.seed)
    bits = CoreBits(RuleMemory(network, rule, chip, recipe, connections), partition)
    return Placement(chip, partition, microbatch, connections, *bits.at(microbatch))


def with_connections(placement: Placement, connections: dict[int, IntArray]) -> Placement:
    """Return the placement with other sparse connections (a study of which outputs feed which neurons)."""
    return replace(placement, connections=connections)


def _choose_microbatch(stored: Sequence[CoreBits], chip: Chip, recipe: Recipe) -> int:
    """The recipe's microbatch, or the largest with which every core fits under every rule."""
    if chip.behind_channel:
        if recipe.microbatch not in ("auto", recipe.batch_size):
            raise PlacementError(
                f"microbatch = {recipe.microbatch}: the memories of chip {chip.name!r} lie behind a channel, where a "
                f"step is not cut; use 'auto' or the batch of {recipe.batch_size}"
            )
        return recipe.batch_size
    # An array takes any number of samples, fold by fold; lanes as many as they have sums for.
    held = recipe.batch_size if chip.core.systolic else chip.core.lanes[0] * chip.core.accumulators_per_lane
    most = min(recipe.batch_size, held)
    if recipe.microbatch != "auto":
        return _check_microbatch(recipe.microbatch, most, stored)

    def too_many(microbatch: int) -> bool:
        return any(_overfull(bits, microbatch) is not None for bits in stored)

    # A whole batch needs no gradient accumulators; below it every sample more needs more.
    found = most if not too_many(most) else bisect_left(range(1, most), True, key=too_many)
    if found:
        return found
    reasons = (_overfull(bits, 1) for bits in stored)
    reason = next(found for found in reasons if found is not None)
    less = "; a batch_size of 1 needs no room for sums of gradients" if recipe.batch_size > 1 else ""
    raise PlacementError(
        f"{reason} even with one sample in flight; use larger memories, more cores or chips, or fewer neurons{less}"
    )


def _check_microbatch(microbatch: int, most: int, stored: Sequence[CoreBits]) -> int:
    if microbatch > most:
        chip, batch = stored[0].memory.chip, stored[0].memory.recipe.batch_size
        raise PlacementError(
            f"microbatch = {microbatch}: chip {chip.name!r} holds at most {most} samples between two sweeps of the "
            f"synapse memory (batch {batch}, lanes {list(chip.core.lanes)} with {chip.core.accumulators_per_lane} "
            f"accumulators each); use a smaller microbatch or 'auto'"
        )
    for bits in stored:
        reason = _overfull(bits, microbatch)
        if reason is not None:
            raise PlacementError(f"microbatch = {microbatch}: {reason}; use a smaller microbatch or 'auto'")
    return microbatch


def _overfull(stored: CoreBits, microbatch: int) -> str | None:
    """Return a sentence on the fullest core if some core does not fit, else None."""
    memory, partition, chip = stored.memory, stored.partition, stored.memory.chip
    found = zip(
        stored.at(microbatch),
        ("neuron", "synapse"),
        (chip.core.neuron_memory, chip.core.synapse_memory),
        strict=True,
    )
    for bits, name, room in found:
        core = int(bits.argmax())
        if bits[core] > 8 * room.capacity_bytes:
            layers = [str(layer) for layer in range(1, partition.depth + 1) if core in partition.cores[layer]]
            return (
                f"core {core} (layer {', '.join(layers)} of {memory.network.name!r} under {memory.rule.name!r}) needs "
                f"{-(-int(bits[core]) // 8)} bytes of {name} memory and chip {chip.name!r} has {room.capacity_bytes}"
            )
    return None
