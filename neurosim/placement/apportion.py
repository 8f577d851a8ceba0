"""Which layer gets how many cores, which cores these are, and how its neurons are cut over them."""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
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
        owner = share_cores(_forward_macs(widths), chip.cores)
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
    """Fewest cores on which the layer fits for every rule with one sample in flight."""
    if chip.behind_channel:
        return 1
    return max(least_cores(memory, layer) for memory in memories)


def least_cores(memory: RuleMemory, layer: int) -> int:
    """Return the fewest cores whose memories hold ``layer`` alone with one sample in flight.

    Raises:
        PlacementError: one neuron is too large for a core.
    """
    chip, units = memory.chip, memory.widths[layer]
    accumulate = memory.recipe.batch_size > 1
    synapse_room = 8 * chip.core.synapse_memory.capacity_bytes
    neuron_room = 8 * chip.core.neuron_memory.capacity_bytes
    synapse_each = memory.synapse_bits_per_neuron(layer, accumulate)
    largest_slice = min(units, synapse_room // synapse_each)
    if largest_slice > 0:
        counts = range(-(-units // largest_slice), units + 1)
        found = _first_that_fits(memory, layer, counts, neuron_room, accumulate)
        if found is not None:
            return found
    short = "synapse" if synapse_each > synapse_room else "neuron"
    need = synapse_each if short == "synapse" else _slice_neuron_bits(memory, layer, units, accumulate)
    room = synapse_room if short == "synapse" else neuron_room
    raise PlacementError(
        f"layer {layer} of {memory.network.name!r} under {memory.rule.name!r} on chip {chip.name!r}: one neuron needs "
        f"{-(-need // 8)} bytes of {short} memory and a core has {room // 8}; "
        f"use a core with a larger {short} memory or a narrower layer {layer - 1}"
    )


def _first_that_fits(memory: RuleMemory, layer: int, counts: range, room: int, accumulate: bool) -> int | None:
    """Return the first of ``counts`` cores on whose neuron memories the layer fits.

    More cores need less each, so that bisection finds it; but where connections are sparse, the outputs that a slice
    is fed by depend on where it is cut, and only what does not hang on them can be bisected.
    """
    units = memory.widths[layer]
    if layer not in memory.connections:
        at = bisect_left(counts, True, key=lambda c: _slice_neuron_bits(memory, layer, c, accumulate) <= room)
        return counts[at] if at < len(counts) else None
    widths = memory.chip.widths
    sample_bits = widths.activation_bits + memory.errors[layer] * widths.error_bits
    own_bits = memory.static_neuron_bits(layer, accumulate) + memory.recipe.microbatches_in_flight * sample_bits
    at = bisect_left(counts, True, key=lambda c: -(-units // c) * own_bits <= room)
    return next((c for c in counts[at:] if _slice_neuron_bits(memory, layer, c, accumulate) <= room), None)


def _slice_neuron_bits(memory: RuleMemory, layer: int, cores_of_layer: int, accumulate: bool) -> int:
    """Neuron memory bits of the fullest core when ``layer`` alone is cut over so many cores (m = 1)."""
    counts = [1] * memory.network.depth
    counts[layer - 1] = cores_of_layer
    # Every layer gets cores of its own, numbered from 0: they need not exist on the chip to be measured.
    ends = np.cumsum([0, *counts])
    cores = [np.zeros(0, np.int64), *(np.arange(ends[i], ends[i + 1]) for i in range(len(counts)))]
    starts = [np.zeros(0, np.int64), *(slice_starts(u, c) for u, c in zip(memory.widths[1:], counts, strict=True))]
    per_sample = memory.sample_bits(cores, starts, int(ends[-1]))[cores[layer]]
    fixed = np.diff(starts[layer]) * memory.static_neuron_bits(layer, accumulate)
    return int((fixed + memory.recipe.microbatches_in_flight * per_sample).max())


def share_cores(macs: Sequence[int], cores: int) -> list[int]:
    """Return the core of each layer when consecutive layers share ``cores`` cores.

    The linear partition by MACs with the smallest maximum; ties go to the earlier cut.
    """
    ends = [0, *itertools.accumulate(macs)]

    def parts_from(largest: int) -> list[int]:
        """By first layer: the fewest parts that hold the rest, none above ``largest``."""
        parts = [0] * len(ends)
        for first in range(len(macs) - 1, -1, -1):
            parts[first] = 1 + parts[bisect_right(ends, ends[first] + largest) - 1]
        return parts

    maxima = range(max(macs), ends[-1] + 1)
    parts = parts_from(maxima[bisect_left(maxima, True, key=lambda largest: parts_from(largest)[0] <= cores)])
    cuts = [0]
    for left in range(cores - 1, 0, -1):
        # The earliest cut after which the cores that are left are enough.
        cuts.append(next(first for first in range(cuts[-1] + 1, len(macs)) if parts[first] <= left))
    return [bisect_right(cuts, layer) - 1 for layer in range(len(macs))]
