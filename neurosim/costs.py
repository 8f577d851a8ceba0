"""price(): counts and cycles become energy and seconds. Prices need no simulation: a trace can be priced again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from neurosim.chips import Chip, Noc
from neurosim.counts import GENERATED_COUNTS, PHASES, WORK_COLUMNS, kind_bits, memory_of, words_per_value
from neurosim.errors import SimulationError
from neurosim.trace import DIRECTIONS, TRAFFIC_INDEX, CountTable

PLACED_COMPONENTS = (
    "mac",
    "elementwise",
    "generate",
    "neuron_memory",
    "synapse_memory",
    "link",
    "border",
    "router",
    "offchip",
    "channel",
)
"""Components of energy that belong to a phase and layer."""

COMPONENTS = (*PLACED_COMPONENTS, "barrier", "static")
"""All components of energy, in the order in which they are reported."""


class Facts(Protocol):
    """What price() needs: a trace, or the closed forms with the bound for a makespan."""

    @property
    def counts(self) -> CountTable: ...  # noqa: D102
    @property
    def samples(self) -> int: ...  # noqa: D102
    @property
    def makespan_cycles(self) -> int: ...  # noqa: D102
    @property
    def barriers(self) -> int: ...  # noqa: D102
    @property
    def cores(self) -> int: ...  # noqa: D102
    @property
    def cores_used(self) -> int: ...  # noqa: D102
    @property
    def outputs(self) -> int: ...  # noqa: D102
    @property
    def argmax_bits(self) -> int: ...  # noqa: D102
    @property
    def structure(self) -> Mapping[str, str]: ...  # noqa: D102


@dataclass(frozen=True)
class Prices:
    """What a run of ``samples`` samples cost.

    ``placed_pj`` [places, PLACED_COMPONENTS] float64 in pJ, places as in ``counts``; ``energy_pj`` by COMPONENTS and in
    total; ``seconds`` of the makespan at the chip's clock.
    """

    counts: CountTable
    samples: int
    seconds: float
    placed_pj: NDArray[np.float64]
    energy_pj: Mapping[str, float]

    @property
    def energy_joules(self) -> float:
        """All energy, static power included."""
        return self.energy_pj["total"] * 1e-12

    def phase_energy_pj(self, phase: str) -> dict[str, float]:
        """Return a phase's energy by PLACED_COMPONENTS and in total (static power and barriers have no phase)."""
        parts = self.placed_pj[self.counts.phase_rows(phase)].sum(axis=0)
        named = dict(zip(PLACED_COMPONENTS, parts.tolist(), strict=True))
        return named | {"total": sum(named.values())}


def price(facts: Facts, chip: Chip) -> Prices:
    """Return energies and seconds: energy = sum of counts x unit energies + static power x makespan.

    Raises:
        SimulationError: the chip differs from the one that was counted on in more than energies, powers and clock.
    """
    _check_structure(facts, chip)
    seconds = facts.makespan_cycles / (chip.clock_mhz * 1e6)
    memories = [_memory_pj(facts, chip, name) for name in ("neuron_memory", "synapse_memory")]
    placed = np.array(
        [
            _place_pj(facts, chip, row, (neuron_pj, synapse_pj))
            for row, (neuron_pj, synapse_pj) in enumerate(zip(*memories, strict=True))
        ]
    )
    cores = facts.cores_used if chip.power_gating else facts.cores
    static_w = chip.static_w_chip * chip.chips[0] * chip.chips[1] + chip.static_w_core * cores
    energy = dict(zip(PLACED_COMPONENTS, placed.sum(axis=0).tolist(), strict=True))
    energy |= {"barrier": facts.barriers * chip.barrier_pj, "static": static_w * seconds * 1e12}
    energy["total"] = sum(energy.values())
    return Prices(facts.counts, facts.samples, seconds, placed, energy)


def _check_structure(facts: Facts, chip: Chip) -> None:
    counted, asked = facts.structure, chip.structure
    for key in sorted({*counted, *asked}):
        old, new = counted.get(key, "absent"), asked.get(key, "absent")
        if old != new:
            raise SimulationError(
                f"{chip.name}.{key}: {new}: the counts hang on it and were made with {old}; only energies, powers and "
                "clock may differ, so simulate again on this chip"
            )


def _place_pj(facts: Facts, chip: Chip, row: int, memories_pj: tuple[float, float]) -> list[float]:
    """Energy of one phase and layer by PLACED_COMPONENTS; that of its two memories is known."""
    table, core = facts.counts, chip.core
    phase, _ = table.places[row]
    assert phase in PHASES
    rates = getattr(core, phase, None)
    mac_pj = core.mac_pj if rates is None or rates.mac_pj is None else rates.mac_pj
    elementwise_pj = core.elementwise_pj if rates is None or rates.elementwise_pj is None else rates.elementwise_pj
    here = [row]
    links, borders = _links_pj(table, chip.noc, row)
    channel_pj = chip.channel.channel_pj_per_bit if chip.channel is not None else 0.0
    return [
        table.count("macs", here) * mac_pj,
        table.count("elementwise_ops", here) * elementwise_pj,
        sum(table.count(name, here) for name in GENERATED_COUNTS) * core.generate_pj,
        *memories_pj,
        links,
        borders,
        table.count("flit_routers", here) * chip.noc.router_pj_per_flit
        + table.count("flits", here) * chip.noc.injection_pj_per_flit,
        table.count("offchip_bits", here) * chip.io.offchip_pj_per_bit,
        table.count("channel_bits", here) * channel_pj,
    ]


def _links_pj(table: CountTable, noc: Noc, row: int) -> tuple[float, float]:
    """Energy of the links within chips, and of those between chips."""
    links, borders = 0.0, 0.0
    for direction in DIRECTIONS:
        own, border = getattr(noc, direction).link_pj_per_flit, noc.border.link_pj_per_flit
        own = noc.link_pj_per_flit if own is None else own
        links += int(table.traffic[row, TRAFFIC_INDEX[f"flit_hops_{direction}"]]) * own
        crossed = int(table.traffic[row, TRAFFIC_INDEX[f"border_flit_hops_{direction}"]])
        borders += crossed * (own if border is None else border)
    return links, borders


def _memory_pj(facts: Facts, chip: Chip, name: str) -> list[float]:
    """Words read and written in one memory times their energies, by phase and layer."""
    memory = getattr(chip.core, name)
    reads, writes = memory_words(facts, chip, name)
    read_pj, write_pj = float(memory.read_pj_per_word), float(memory.write_pj_per_word)
    return [r * read_pj + w * write_pj for r, w in zip(reads, writes, strict=True)]


def memory_words(facts: Facts, chip: Chip, name: str) -> tuple[list[int], list[int]]:
    """Return the words read and those written in "neuron_memory" or "synapse_memory", by phase and layer."""
    bits = kind_bits(_bits(chip), facts.outputs, facts.argmax_bits)
    word_bits = getattr(chip.core, name).word_bits
    words = facts.counts.work.astype(object) * words_per_value(name, word_bits, bits)
    reads, writes = (
        words[:, [i for i, (count, _) in enumerate(WORK_COLUMNS) if count.endswith(end)]].sum(axis=1).tolist()
        for end in ("_reads", "_writes")
    )
    return reads, writes


def _bits(chip: Chip) -> dict[str, int]:
    return chip.widths.model_dump()


def memory_accesses(counts: Mapping[str, int | float]) -> int | float:
    """Return all values read from or written to the cores' memories."""
    return sum(value for name, value in counts.items() if memory_of(name))
