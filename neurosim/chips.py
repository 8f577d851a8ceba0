"""Chip and its parts: what the hardware is, every number with its unit in its name."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from math import isqrt
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from neurosim.arguments import checked_count
from neurosim.descriptions import (
    Amount,
    ByteCount,
    Count,
    Description,
    PositiveAmount,
    PositiveCount,
    load,
    override,
    whole,
)
from neurosim.errors import DescriptionError, nearest_guess
from neurosim.explanations import shown
from neurosim.sources import assumed_numbers, covers, flat_sources, number_paths, source_of, why_assumed

MOST_CORES = 2**20
"""Largest machine: every core has a row in several tables."""

BitWidth = Annotated[int, BeforeValidator(whole), Field(ge=1, le=1024)]
FlitBits = Annotated[int, BeforeValidator(whole), Field(ge=1, le=2**20)]
LaneCount = Annotated[int, BeforeValidator(whole), Field(ge=1, le=2**20)]
LaneCycles = Annotated[int, BeforeValidator(whole), Field(ge=1, le=2**15 - 1)]
HopCycles = Annotated[int, BeforeValidator(whole), Field(ge=1, le=2**15 - 1)]
RouterCycles = Annotated[int, BeforeValidator(whole), Field(ge=0, le=1024)]
BufferFlits = Annotated[int, BeforeValidator(whole), Field(ge=1, le=2**16)]
VirtualChannels = Annotated[int, BeforeValidator(whole), Field(ge=1, le=62)]
HeaderFlits = Annotated[int, BeforeValidator(whole), Field(ge=0, le=1024)]


class Widths(Description):
    """Bits of each kind of value on the chip."""

    weight_bits: BitWidth = 16
    bias_bits: BitWidth = 16
    activation_bits: BitWidth = 16
    error_bits: BitWidth = 16
    feedback_bits: BitWidth = 16
    state_bits: BitWidth = 16
    accumulator_bits: BitWidth = 32
    input_bits: BitWidth = 8


class Memory(Description):
    """One memory of a core."""

    capacity_bytes: ByteCount
    word_bits: Annotated[PositiveCount, Field(ge=2)] = 16
    words_per_cycle: PositiveCount
    read_pj_per_word: Amount
    write_pj_per_word: Amount


class MemoryEnergy(Description):
    """How the energy of an access grows with a memory's capacity: what memories of other sizes would cost.

    ``access_pj_per_bit`` at each of the ascending ``capacity_bytes``, log-log between them and flat below the first; a
    memory larger than the last is banks of that size and ``wire_pj_per_bit`` more.
    """

    capacity_bytes: Annotated[tuple[ByteCount, ...], Field(min_length=1)]
    access_pj_per_bit: tuple[PositiveAmount, ...]
    wire_pj_per_bit: Amount = 0.0

    @model_validator(mode="after")
    def _is_a_table(self) -> MemoryEnergy:
        sizes, energies = self.capacity_bytes, self.access_pj_per_bit
        if len(sizes) != len(energies) or list(sizes) != sorted(set(sizes)):
            raise ValueError(
                f"capacity_bytes: {list(sizes)}: must be ascending, with one access_pj_per_bit each, and there are "
                f"{len(energies)} of these"
            )
        return self

    def pj_per_bit(self, capacity_bytes: int) -> float:
        """Return the energy of reading or writing one bit of a memory of this capacity, in pJ."""
        sizes, energies = self.capacity_bytes, self.access_pj_per_bit
        if capacity_bytes > sizes[-1]:
            return energies[-1] + self.wire_pj_per_bit
        if capacity_bytes <= sizes[0]:
            return energies[0]
        above = next(i for i, size in enumerate(sizes) if size >= capacity_bytes)
        low, high = sizes[above - 1], sizes[above]
        share = math.log(capacity_bytes / low) / math.log(high / low)
        return float(energies[above - 1] * (energies[above] / energies[above - 1]) ** share)


class PhaseRates(Description):
    """What one phase does at another price or rate than the core's own; None keeps the core's."""

    mac_pj: Amount | None = None
    mac_cycles: LaneCycles | None = None
    elementwise_pj: Amount | None = None
    elementwise_per_cycle: PositiveCount | None = None
    elementwise_cycles: LaneCycles | None = None


Dataflow = Literal["lanes", "output", "weight", "input"]
"""How a product meets the MACs: lanes that are fed side by side, or a systolic array and which matrix stays in it."""


class Core(Description):
    """MAC lanes [R, C] with their accumulators, or a systolic array of R rows and C columns, and two memories.

    A lane takes ``mac_cycles`` for a MAC, and ``elementwise_per_cycle`` operations take ``elementwise_cycles``: more
    than one where a clock keeps the books of a chip that has none.
    """

    lanes: tuple[LaneCount, LaneCount]
    accumulators_per_lane: LaneCount
    dataflow: Dataflow = "lanes"
    pipeline_cycles: Count = 0
    mac_cycles: LaneCycles = 1
    elementwise_per_cycle: PositiveCount
    elementwise_cycles: LaneCycles = 1
    generate_per_cycle: PositiveCount
    mac_pj: Amount
    elementwise_pj: Amount
    generate_pj: Amount
    neuron_memory: Memory
    synapse_memory: Memory
    forward: PhaseRates = PhaseRates()
    error: PhaseRates = PhaseRates()
    update: PhaseRates = PhaseRates()

    @model_validator(mode="before")
    @classmethod
    def _tells_of_systolic(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and "systolic" in data:
            raise ValueError(
                f'systolic: {shown(data["systolic"])}: has become dataflow: write dataflow = "output", "weight" or '
                '"input" for what stays in a systolic array, and "lanes" for none'
            )
        return data

    @model_validator(mode="after")
    def _one_sum_in_each_place_of_an_array(self) -> Core:
        if self.systolic and self.accumulators_per_lane > 1:
            raise ValueError(
                f"accumulators_per_lane: {self.accumulators_per_lane}: must be 1 where dataflow = '{self.dataflow}', "
                "as a place of a systolic array has one sum; set it to 1 first, or dataflow to 'lanes'"
            )
        return self

    @property
    def systolic(self) -> bool:
        """Whether the lanes are the places of a systolic array."""
        return self.dataflow != "lanes"


class LinkRates(Description):
    """What some links do differently from the network's own; None keeps what they would do without.

    Those of one direction differ from the network's; those that cross a chip's border from those of their direction.
    """

    link_bits: FlitBits | None = None
    hop_cycles: HopCycles | None = None
    link_pj_per_flit: Amount | None = None


class Router(Description):
    """The routers of fidelity ``flit``: input-queued, with virtual channels; the other fidelities do not look at it.

    A hop is the routing delay, a cycle each for output channel, switch and crossbar, and the link.
    """

    virtual_channels: VirtualChannels = 4
    vc_buffer_flits: BufferFlits = 8
    routing_delay_cycles: RouterCycles = 1
    credit_delay_cycles: RouterCycles = 1
    multicast_packet_flits: BufferFlits = 8


class Noc(Description):
    """The network on chip: a mesh of routers with dimension-order (x, then y) routes."""

    topology: Literal["mesh"] = "mesh"
    cores_per_router: PositiveCount = 1
    flit_bits: FlitBits
    link_bits: FlitBits
    header_flits: HeaderFlits = 1
    max_packet_flits: PositiveCount = 16
    hop_cycles: HopCycles
    port_cycles: Count = 1
    link_pj_per_flit: Amount
    router_pj_per_flit: Amount
    injection_pj_per_flit: Amount = 0.0
    router: Router = Router()
    east: LinkRates = LinkRates()
    west: LinkRates = LinkRates()
    north: LinkRates = LinkRates()
    south: LinkRates = LinkRates()
    border: LinkRates = LinkRates()


class Io(Description):
    """Where inputs and labels enter the chip."""

    ports: tuple[tuple[Count, Count], ...] = ((0, 0),)
    io_bits_per_cycle: PositiveCount
    offchip_pj_per_bit: Amount


class Channel(Description):
    """The DRAM channel of a machine whose memories lie behind it; ``behind = "none"`` takes it away again."""

    behind: Literal["channel", "none"] = "channel"
    cache_bytes: ByteCount
    channel_bits_per_cycle: PositiveCount
    channel_pj_per_bit: Amount
    reuse: Literal["layer", "ideal"] = "layer"


class Chip(Description):
    """A machine: cores on a grid of routers, their memories, network, ports and power.

    ``grid`` are the routers of one chip; ``chips`` = [x, y] of them lie side by side, their routers one mesh.
    """

    name: str
    clock_mhz: PositiveAmount
    grid: tuple[PositiveCount, PositiveCount]
    chips: tuple[PositiveCount, PositiveCount] = (1, 1)
    static_w_chip: Amount = 0.0
    static_w_core: Amount = 0.0
    power_gating: bool = False
    barrier_cycles: Count = 0
    barrier_pj: Amount = 0.0
    widths: Widths = Widths()
    core: Core
    noc: Noc
    io: Io
    channel: Channel | None = None
    memory_energy: MemoryEnergy | None = None
    sources: dict[str, str] = Field(default_factory=dict)

    @field_validator("sources", mode="before")
    @classmethod
    def _sources_are_flat(cls, sources: Any) -> Any:
        return flat_sources(sources) if isinstance(sources, Mapping) else sources

    @model_validator(mode="after")
    def _sources_name_numbers(self) -> Chip:
        numbers = number_paths(self.model_dump())
        for key in self.sources:
            if not covers(key, numbers):
                raise ValueError(f"sources: '{key}' names no number of this chip{nearest_guess(key, numbers)}")
        return self

    @model_validator(mode="after")
    def _cores_can_be_counted(self) -> Chip:
        if self.cores > MOST_CORES:
            several = f" on chips = {list(self.chips)}" if self.several_chips else ""
            raise ValueError(
                f"grid: {list(self.grid)}: with noc.cores_per_router = {self.noc.cores_per_router}{several} makes "
                f"{self.cores} cores, and at most {MOST_CORES} can be simulated; make the grid smaller"
                f"{' or take fewer chips' if several else ''}"
            )
        return self

    @model_validator(mode="after")
    def _ports_on_the_grid(self) -> Chip:
        ports = self.io.ports
        if not ports:
            raise ValueError("io.ports: []: inputs need at least one port, such as [[0, 0]]")
        for x, y in ports:
            if x >= self.columns or y >= self.rows:
                last = f"[{self.columns - 1}, {self.rows - 1}]"
                raise ValueError(f"io.ports: [{x}, {y}]: lies outside the grid; routers are [0, 0] to {last}")
            if ports.count((x, y)) > 1:
                raise ValueError(f"io.ports: [{x}, {y}]: is given twice; a router has one port")
        return self

    @model_validator(mode="after")
    def _one_core_behind_a_channel(self) -> Chip:
        if self.behind_channel and self.cores > 1:
            raise ValueError(
                f"channel.behind: 'channel': is for one processor, and this chip has {self.cores} cores; set grid and "
                "chips to [1, 1] and noc.cores_per_router to 1, or channel.behind to 'none'"
            )
        return self

    @property
    def columns(self) -> int:
        """Routers along x."""
        return self.grid[0] * self.chips[0]

    @property
    def rows(self) -> int:
        """Routers along y."""
        return self.grid[1] * self.chips[1]

    @property
    def cores(self) -> int:
        """All cores of the machine."""
        return self.columns * self.rows * self.noc.cores_per_router

    @property
    def several_chips(self) -> bool:
        """Whether there is a border between chips to cross."""
        return self.chips != (1, 1)

    @property
    def behind_channel(self) -> bool:
        """Whether the memories lie behind a DRAM channel (a von Neumann machine)."""
        return self.channel is not None and self.channel.behind == "channel"

    @property
    def structure(self) -> dict[str, str]:
        """What counts and cycles hang on, as JSON by dotted key: everything but names, energies, powers and clock.

        Of a single chip the rates of border links are left out: it has none.
        """
        data = self.model_dump(exclude={"name", "sources"})
        if not self.behind_channel:
            del data["channel"]
        if not self.several_chips:
            del data["noc"]["border"]
        return {key: json.dumps(value) for key, value in _leaves(data) if not _PRICED.search(key)}


_PRICED = re.compile(r"_pj(_|$)|^(static_w_core|static_w_chip|clock_mhz|power_gating|memory_energy)(\.|$)")


def _leaves(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the single values of nested tables by their dotted keys."""
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


_PACKAGE = Path(__file__).parent


@cache
def chip_files() -> dict[str, Path]:
    """Return the file of every shipped chip by name: those packaged with neurosim, else those beside it in the tree."""
    for folder in (_PACKAGE / "hw_models", _PACKAGE.parent / "hw_models"):
        if files := sorted(folder.glob("*.toml"), key=lambda file: file.stem):
            return {file.stem: file for file in files}
    return {}


def chip_names() -> list[str]:
    """Return the names of the shipped chips."""
    return list(chip_files())


def load_chip(source: str | os.PathLike[str] | Chip) -> Chip:
    """Return the chip of a shipped name or a TOML file; a Chip is returned as it is.

    Raises:
        DescriptionError: no such chip, or a value its description may not have.
    """
    return load(Chip, source, chip_files(), "chip")


def assumed(chip: Chip) -> list[str]:
    """Return what is assumed about a chip: one line for each reason, with the numbers it stands for.

    A number without an entry under ``sources`` counts as assumed, and so does a default that is not zero; what border
    links do does not count where there is one chip.
    """
    return assumed_numbers(_numbers_in_use(chip), chip.sources)


def assumed_reasons(chip: Chip) -> dict[str, tuple[Any, str]]:
    """Return every assumed number (or list of them) of a chip by its dotted path, with the reason."""
    found = {path: (value, why_assumed(source_of(chip.sources, path))) for path, value in _numbers_in_use(chip).items()}
    return {path: (value, why) for path, (value, why) in found.items() if why is not None}


def is_priced(path: str) -> bool:
    """Return whether a number of a chip enters in prices only, so that no count and no cycle hangs on it."""
    return _PRICED.search(path) is not None


def _numbers_in_use(chip: Chip) -> dict[str, Any]:
    given = number_paths(chip.model_dump(exclude_unset=True))
    numbers = number_paths(chip.model_dump(exclude_none=True))
    unused = () if chip.several_chips else tuple(path for path in numbers if path.startswith("noc.border."))
    return {path: value for path, value in numbers.items() if (value or path in given) and path not in unused}


def tile_chips(chip: Chip, count: int) -> Chip:
    """Return the machine of ``count`` copies of a chip side by side, as near a square as ``count`` divides.

    2, 4, 8 and 16 are [2, 1], [2, 2], [4, 2] and [4, 4]. What ``chips`` was before is replaced. The name tells them as
    that of ``--set chip.chips=[2,2]`` does; a single chip goes by its own.

    Raises:
        DescriptionError: ``count`` is no number from 1 on, the machine lies behind a channel, or has too many cores.
    """
    count = checked_count("count", count, most=MOST_CORES)
    y = max(y for y in range(1, isqrt(count) + 1) if count % y == 0)
    tiled = (count // y, y)
    if tiled == chip.chips:
        return chip
    if chip.behind_channel:
        raise DescriptionError(
            f"{chip.name}: {count} chips: its memories lie behind a channel, which is for one processor; leave it one "
            "chip, or set channel.behind to 'none'"
        )
    name = _CHIPS_IN_NAME.sub("", chip.name).replace(" ()", "")
    told = f" (chips={list(tiled)})" if count > 1 else ""
    return override(chip, "chips", str(list(tiled))).model_copy(update={"name": name + told})


_CHIPS_IN_NAME = re.compile(r"(?<=\()chips=\[\d+, ?\d+\](, )?|, chips=\[\d+, ?\d+\]")
