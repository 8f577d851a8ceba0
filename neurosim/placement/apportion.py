"""Which layer gets how many cores, which cores these are, and how its neurons are cut over them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurosim.chips import Chip
from neurosim.counts import IntArray
from neurosim.errors import PlacementError
from neurosim.networks import Network
from neurosim.placement.memory import RuleMemory


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


def apportion(
    network: Network, chip: Chip, memories: Sequence[RuleMemory]
) -> tuple[tuple[IntArray, ...], tuple[IntArray, ...]]:
    """Return, by layer, the cores and the neurons at which their slices begin; with few cores, layers share one.

    Raises:
        PlacementError: the layers need more cores than the chip has, or one neuron is too large for a core.
    """
    order = core_order(chip)
    widths = network.widths
    empty = np.zeros(0, dtype=np.int64)
    if chip.cores < network.depth:
        owner = _share_cores(_forward_macs(widths), chip.cores)
        cores = (empty, *(order[core : core + 1] for core in owner))
        return cores, (empty, *(slice_starts(units, 1) for units in widths[1:]))
    counts = apportion_counts(network, chip, memories)
    ends = np.cumsum([0, *counts])
    cores = (empty, *(order[ends[i] : ends[i + 1]] for i in range(len(counts))))
    return cores, (empty, *(slice_starts(units, c) for units, c in zip(widths[1:], counts, strict=True)))


def _forward_macs(widths: Sequence[int]) -> list[int]:
    return [widths[layer] * widths[layer - 1] for layer in range(1, len(widths))]


def apportion_counts(network: Network, chip: Chip, memories: Sequence[RuleMemory]) -> list[int]:
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


def _cores_needed(layer: int, chip: Chip, memories: Sequence[RuleMemory]) -> int:
    """Smallest number of cores on which the layer fits for every rule with one sample in flight."""
    if chip.behind_channel:
        return 1
    units = memories[0].widths[layer]
    return max(_least_cores(memory, layer, units) for memory in memories)


def _least_cores(memory: RuleMemory, layer: int, units: int) -> int:
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


def _slice_neuron_bits(memory: RuleMemory, layer: int, neurons: int, accumulate: bool) -> int:
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
    # By parts used and layers covered: the smallest maximum, and the cuts it takes.
    best: dict[tuple[int, int], tuple[int, tuple[int, ...]]] = {(0, 0): (0, ())}
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
