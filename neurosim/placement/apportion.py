"""Which layer gets how many cores, which cores these are, and how its neurons are cut over them."""

from __future__ import annotations

import heapq
import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import isqrt

import numpy as np

from neurosim.chips import Chip
from neurosim.counts import IntArray
from neurosim.errors import PlacementError
from neurosim.networks import LayerShape, Network, dense_shape
from neurosim.placement.cuts import LayerCut
from neurosim.placement.memory import RuleMemory
from neurosim.placement.partition import Partition


def core_order(chip: Chip) -> IntArray:
    """Return all core numbers column by column, every second column upwards: the fewest crossings under XY routes.

    With several chips one row of chips after the other, every second one from its right end: layers that follow each
    other then cross fewer borders than in columns of the whole mesh.
    """
    height, bands = chip.grid[1], chip.chips[1]
    band = np.repeat(np.arange(bands), chip.columns * height)
    column = np.tile(np.repeat(np.arange(chip.columns), height), bands)
    y = np.tile(np.arange(height), chip.columns * bands)
    y = band * height + np.where(column % 2 == 1, height - 1 - y, y)
    x = np.where(band % 2 == 1, chip.columns - 1 - column, column)
    per_router = chip.noc.cores_per_router
    routers = y * chip.columns + x
    return (routers[:, None] * per_router + np.arange(per_router)).ravel().astype(np.int64)


EMPTY = LayerCut(dense_shape(1, 1), 1)
"""Stands for the input, which no core holds, where layers are counted from 1."""


@dataclass(frozen=True)
class CoreCounts:
    """The numbers of cores that a layer may have: up to one a neuron, or tiles x slices of channels.

    From ``least`` on, all that are a whole number of channel slices in each of at least ``least_tiles`` tiles.
    """

    shape: LayerShape
    least: int = 1
    least_tiles: int = 1

    def cut(self, cores: int) -> LayerCut:
        """Return how the layer is cut over ``cores`` cores, or as many of them as can be used."""
        tiles = max(self.least_tiles, -(-cores // self.shape.channels))
        return LayerCut(self.shape, max(1, cores // tiles), tiles)

    def usable(self, cores: int) -> int:
        """Return the largest number of cores, at most ``cores`` and at least ``least``, that a cut leaves none of."""
        smaller = range(min(cores, self.most), self.least, -1)
        return next((found for found in smaller if self.cut(found).slices == found), self.least)

    @property
    def most(self) -> int:
        """A core for every neuron, or for every channel in every row."""
        return self.shape.channels * self.shape.outputs.rows

    def after(self, cores: int) -> int | None:
        """Return the next larger number, or None."""
        larger = range(cores + 1, min(self.most, cores + self.shape.outputs.rows) + 1)
        return next((found for found in larger if self.usable(found) == found), None)

    def before(self, cores: int) -> int | None:
        """Return the next smaller number, or None."""
        return self.usable(cores - 1) if cores > self.least else None


def apportion(network: Network, chip: Chip, memories: Sequence[RuleMemory]) -> Partition:
    """Return the cores of every layer and how each is cut over them; with few cores, layers share one.

    Raises:
        PlacementError: the layers need more cores than the chip has, or one neuron or row is too large for a core.
    """
    order = core_order(chip)
    empty = np.zeros(0, dtype=np.int64)
    macs = [shape.macs for shape in network.shapes]
    if chip.cores < network.depth:
        owner = share_cores(macs, chip.cores)
        cuts = tuple(LayerCut(shape, 1) for shape in network.shapes)
        return Partition(network, (empty, *(order[core : core + 1] for core in owner)), (EMPTY, *cuts))
    cuts = apportion_cuts(network, chip, memories)
    ends = np.cumsum([0, *(cut.slices for cut in cuts)])
    cores = (empty, *(order[ends[i] : ends[i + 1]] for i in range(len(cuts))))
    return Partition(network, cores, (EMPTY, *cuts))


def apportion_cuts(network: Network, chip: Chip, memories: Sequence[RuleMemory]) -> tuple[LayerCut, ...]:
    """c_l by quota of forward MACs, not below what the memories need, not above what the layer can use."""
    cores, macs = chip.cores, [shape.macs for shape in network.shapes]
    total = sum(macs)
    allowed = _core_counts(network, chip, memories)
    least = [counts.least for counts in allowed]
    if sum(least) > cores:
        raise PlacementError(
            f"network {network.name!r} on chip {chip.name!r}: the layers need {least} cores with one sample in flight, "
            f"{sum(least)} together, and the chip has {cores}; use a chip with more cores or larger memories, or "
            f"{_chips_needed(chip, sum(least))}"
        )
    counts = [each.usable(cores * share // total) for each, share in zip(allowed, macs, strict=True)]
    _take_away(counts, allowed, macs, cores)
    _hand_out(counts, allowed, macs, cores)
    return tuple(each.cut(count) for each, count in zip(allowed, counts, strict=True))


def _chips_needed(chip: Chip, cores: int) -> str:
    """Return how to have so many cores of chips of this kind."""
    count = -(-cores // (chip.cores // (chip.chips[0] * chip.chips[1])))
    across = isqrt(count - 1) + 1
    return f"at least {count} of these chips, such as chips = [{across}, {-(-count // across)}]"


def _take_away(counts: list[int], allowed: Sequence[CoreCounts], macs: Sequence[int], cores: int) -> None:
    """While layers have more cores than there are, take some from the one furthest above its quota, the last of such.

    A heap of (least first: quota - cores, -layer, the next smaller number) has the one entry of each layer.
    """
    total, heap = sum(macs), list[tuple[int, int, int]]()

    def offer(i: int) -> None:
        if (step := allowed[i].before(counts[i])) is not None:
            heapq.heappush(heap, (cores * macs[i] - counts[i] * total, -i, step))

    above = sum(counts) - cores
    for i in range(len(counts) if above > 0 else 0):
        offer(i)
    while above > 0:
        _, i, step = heapq.heappop(heap)
        above -= counts[-i] - step
        counts[-i] = step
        offer(-i)


def _hand_out(counts: list[int], allowed: Sequence[CoreCounts], macs: Sequence[int], cores: int) -> None:
    """While cores are left, give some to the layer furthest below its quota that can use them, the first of such."""
    total, heap = sum(macs), list[tuple[int, int, int]]()

    def offer(i: int) -> None:
        if (step := allowed[i].after(counts[i])) is not None:
            heapq.heappush(heap, (counts[i] * total - cores * macs[i], i, step))

    left = cores - sum(counts)
    for i in range(len(counts) if left > 0 else 0):
        offer(i)
    while left > 0 and heap:
        _, i, step = heapq.heappop(heap)
        if step - counts[i] <= left:  # never again, if not now
            left -= step - counts[i]
            counts[i] = step
            offer(i)


def _core_counts(network: Network, chip: Chip, memories: Sequence[RuleMemory]) -> list[CoreCounts]:
    """Return how many cores each layer may have so that it fits for every rule with one sample in flight.

    Layers that look alike are asked once; which outputs feed a sparse layer is its own.
    """
    known: dict[Hashable, CoreCounts] = {}
    found = []
    for layer in range(1, network.depth + 1):
        alike = tuple(memory.alike(layer) for memory in memories)
        key = (alike, layer if any(layer in memory.connections for memory in memories) else 0)
        if key not in known:
            known[key] = _layer_core_counts(network, layer, chip, memories)
        found.append(known[key])
    return found


def _layer_core_counts(network: Network, layer: int, chip: Chip, memories: Sequence[RuleMemory]) -> CoreCounts:
    shape = network.shape(layer)
    if chip.behind_channel:
        return CoreCounts(shape)
    tiles = max(least_tiles(memory, layer) for memory in memories)
    return CoreCounts(shape, tiles * max(least_slices(memory, layer, tiles) for memory in memories), tiles)


def least_tiles(memory: RuleMemory, layer: int) -> int:
    """Return the fewest tiles of rows with which cores of one channel hold ``layer`` with one sample in flight.

    Raises:
        PlacementError: one neuron, or one row of one channel, is too large for a core.
    """
    shape = memory.network.shape(layer)
    for tiles in range(1, shape.outputs.rows + 1):
        if _fits(memory, layer, LayerCut(shape, shape.channels, tiles)):
            return tiles
    smallest = LayerCut(shape, shape.channels, shape.outputs.rows)
    neuron, synapse = (int(bits.max()) for bits in _slice_bits(memory, layer, smallest))
    rooms = _rooms(memory)
    short, need, room = ("synapse", synapse, rooms[1]) if synapse > rooms[1] else ("neuron", neuron, rooms[0])
    smaller = "fewer channels before it" if shape.convolves else f"a narrower layer {layer - 1}"
    raise PlacementError(
        f"layer {layer} of {memory.network.name!r} under {memory.rule.name!r} on chip {memory.chip.name!r}: one "
        f"{'row of one channel' if shape.convolves else 'neuron'} needs {-(-need // 8)} bytes of {short} memory and a "
        f"core has {room // 8}; use a core with a larger {short} memory or {smaller}"
    )


def least_slices(memory: RuleMemory, layer: int, tiles: int) -> int:
    """Return the fewest slices of channels with which ``layer`` in ``tiles`` tiles fits with one sample in flight.

    More cores need less each, so that bisection finds it; but where connections are sparse, the outputs that a slice
    is fed by depend on where it is cut, and only what does not hang on them can be bisected.
    """
    shape = memory.network.shape(layer)
    counts = range(1, shape.channels + 1)
    sparse = layer in memory.connections
    key = memory.alike(layer), tiles, sparse
    if key not in memory.least:
        memory.least[key] = bisect_left(
            counts, True, key=lambda c: _fits(memory, layer, LayerCut(shape, c, tiles), received=not sparse)
        )
    at = memory.least[key]
    return next(c for c in counts[at:] if not sparse or _fits(memory, layer, LayerCut(shape, c, tiles)))


def _rooms(memory: RuleMemory) -> tuple[int, int]:
    """Bits of a core's neuron memory and synapse memory."""
    core = memory.chip.core
    return 8 * core.neuron_memory.capacity_bytes, 8 * core.synapse_memory.capacity_bytes


def _fits(memory: RuleMemory, layer: int, cut: LayerCut, *, received: bool = True) -> bool:
    """Whether every core holds its slice with one sample in flight."""
    found = zip(_slice_bits(memory, layer, cut, received=received), _rooms(memory), strict=True)
    return all(int(bits.max()) <= room for bits, room in found)


def _slice_bits(memory: RuleMemory, layer: int, cut: LayerCut, *, received: bool = True) -> tuple[IntArray, IntArray]:
    """Neuron and synapse memory bits of the cores when ``layer`` is alone on them and cut so, at m = 1 [c_l].

    ``received`` says whether the output errors that arrive take room.
    """
    partition = _alone(memory.network, layer, cut)
    accumulate = memory.accumulates(cut, 1)
    per_sample = memory.sample_bits(partition, layer)
    if received and memory.rule.shares_source:
        per_sample = per_sample + memory.received_alone(layer, cut)
    neuron = memory.fixed_bits(layer, cut, accumulate) + memory.recipe.microbatches_in_flight * per_sample
    return neuron, memory.synapse_bits(layer, cut, accumulate)


def _alone(network: Network, layer: int, cut: LayerCut) -> Partition:
    """Return a partition in which ``layer`` shares its cores, numbered from 0, with no other layer."""
    elsewhere = np.array([-1], dtype=np.int64)
    cores, cuts = [elsewhere] * (network.depth + 1), [EMPTY] * (network.depth + 1)
    cores[layer], cuts[layer] = np.arange(cut.slices, dtype=np.int64), cut
    return Partition(network, tuple(cores), tuple(cuts))


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
