"""Scaling: the same chip with more or fewer cores, and the same network wider or narrower, for sweeps."""

from __future__ import annotations

from typing import Any, Literal, get_args

from neurosim.arguments import checked_choice, checked_count
from neurosim.chips import MOST_CORES, Chip, Memory
from neurosim.descriptions import merge, validate
from neurosim.errors import DescriptionError
from neurosim.networks import Network
from neurosim.sources import number_paths

MemoryScaling = Literal["scaled", "fixed", "unlimited"]

UNCHECKED_BYTES = 2**40
"""Capacity of a memory that is not checked: the largest that a description may have."""


def near_square(count: int) -> tuple[int, int]:
    """Return the smallest grid of at least ``count`` places that is square, or has one column more than rows.

    >>> near_square(16), near_square(6), near_square(32)
    ((4, 4), (3, 2), (6, 6))
    """
    rows = 1
    while (rows + 1) * rows < count:
        if (rows + 1) ** 2 >= count:
            return rows + 1, rows + 1
        rows += 1
    return (rows, rows) if rows * rows >= count else (rows + 1, rows)


def with_cores(chip: Chip, cores: int, memory: MemoryScaling = "scaled") -> Chip:
    """Return the chip on the smallest near-square grid with at least ``cores`` cores; its name says how many.

    ``memory`` "scaled" keeps the capacity of all cores together, so that each has the less of it the more there are,
    and the energy of an access follows by the chip's ``memory_energy``; "fixed" keeps that of a core; "unlimited" takes
    whatever a network needs for granted, at the energies of the chip as it is. All else stays what it was, static power
    of the chip and of a core among it.

    Raises:
        DescriptionError: too many cores, a machine behind a channel, no ``memory_energy`` to follow, an io port that
            the smaller grid has no place for.
    """
    cores = checked_count("cores", cores, most=MOST_CORES)
    checked_choice("memory", memory, get_args(MemoryScaling))
    if chip.behind_channel:
        raise DescriptionError(
            f"cores = {cores}: chip {chip.name!r} is one processor behind a channel and has no cores to scale; take a "
            "neuromorphic chip such as mesh64"
        )
    grid = near_square(-(-cores // chip.noc.cores_per_router))
    found = grid[0] * grid[1] * chip.noc.cores_per_router
    changes: dict[str, Any] = {"name": f"{chip.name} ({found} cores)", "grid": grid, "chips": (1, 1), "core": {}}
    for part in ("neuron_memory", "synapse_memory"):
        changes["core"][part] = _memory(chip, getattr(chip.core, part), part, found, memory)
    changes["sources"] = {path: _SOURCES[path.rpartition(".")[2]] for path in number_paths(changes)}
    data = merge(chip.model_dump(exclude_unset=True), changes, "a sweep")
    return validate(Chip, data, f"{chip.name} with {found} cores")


_SOURCES = {
    "grid": "assumed: the smallest near-square grid with the cores that a sweep asks for",
    "chips": "assumed: one chip",
    "capacity_bytes": "assumed: the share of a core in the memory that the chip had with its own number of cores",
    "read_pj_per_word": "assumed: as memory_energy grows with capacity",
    "write_pj_per_word": "assumed: as memory_energy grows with capacity",
}


def _memory(chip: Chip, one: Memory, part: str, cores: int, scaling: MemoryScaling) -> dict[str, Any]:
    """Return what changes in a memory of each core."""
    if scaling == "fixed":
        return {}
    if scaling == "unlimited":
        return {"capacity_bytes": UNCHECKED_BYTES}  # its energies stay those of the chip as it is
    capacity = min(one.capacity_bytes * chip.cores // cores, UNCHECKED_BYTES)
    if capacity == one.capacity_bytes:
        return {}
    if capacity < 1:
        raise DescriptionError(
            f"cores = {cores}: {one.capacity_bytes} bytes of {part} on each of {chip.cores} cores leave none for so "
            "many; use memory = 'fixed'"
        )
    if chip.memory_energy is None:
        raise DescriptionError(
            f"memory = 'scaled': chip {chip.name!r} has no [memory_energy] from which the energy of another capacity "
            "would follow; add one (neurosim chips mesh64 shows it), or use memory = 'fixed'"
        )
    factor = chip.memory_energy.pj_per_bit(capacity) / chip.memory_energy.pj_per_bit(one.capacity_bytes)
    return {
        "capacity_bytes": capacity,
        "read_pj_per_word": one.read_pj_per_word * factor,
        "write_pj_per_word": one.write_pj_per_word * factor,
    }


def with_macs(network: Network, factor: float) -> Network:
    """Return the network with every hidden layer widened alike, so that a forward pass has ``factor`` times its MACs.

    Units of hidden dense layers and channels of hidden convolutions are multiplied by one number, as close to that as
    whole neurons allow; the inputs and the last layer, which the data give, stay.

    Raises:
        DescriptionError: there is no hidden layer, or one would be too wide.
    """
    if factor == 1:
        return network
    if network.depth == 1:
        raise DescriptionError(f"network {network.name!r}: has no hidden layer that could grow with the cores")
    wanted = factor * _macs(network)
    low, high = 0.0, 2.0
    while _macs(_widened(network, high)) < wanted:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if _macs(_widened(network, middle)) < wanted else (low, middle)
    return min((_widened(network, low), _widened(network, high)), key=lambda one: abs(_macs(one) - wanted))


def _macs(network: Network) -> int:
    return sum(shape.macs for shape in network.shapes)


def _widened(network: Network, factor: float) -> Network:
    """Multiply the widths of all layers with weights but the last."""
    layers = [layer.model_dump() for layer in network.layers]
    weighted = [number for number, layer in enumerate(layers) if {"units", "channels"} & set(layer)]
    for number in weighted[:-1]:
        for key in ("units", "channels"):
            if key in layers[number]:
                layers[number][key] = max(1, round(layers[number][key] * factor))
    changed = validate(Network, {"name": "", "inputs": network.inputs, "layers": layers}, network.name)
    shorthand = "-".join(str(width) for width in changed.widths)
    name = f"{network.name} (widths x {factor:.4g})" if network.convolves else shorthand
    return changed.model_copy(update={"name": name})
