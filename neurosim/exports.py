"""Exports: the counts, unit energies and traffic of a run in the formats of other tools, to be checked with them.

Accelergy (Y. N. Wu et al., ICCAD 2019) multiplies action counts with an energy reference table. Noxim (V. Catania et
al., ASAP 2015) injects what a table of sources and destinations says. BookSim 2 (N. Jiang et al., ISPASS 2013) reads no
traffic matrix; its file is one in BookSim's numbering of nodes, for a traffic pattern of one's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from neurosim.costs import Facts, memory_words
from neurosim.counts import GENERATED_COUNTS, PHASES, IntArray
from neurosim.errors import DescriptionError, nearest_guess
from neurosim.pipeline import Costs
from neurosim.runs import write_text
from neurosim.schedules import Plan, microbatch_times
from neurosim.trace import DIRECTIONS, TRAFFIC_INDEX

ACCELERGY_VERSION = 0.3
"""Of the format: Accelergy 0.3 and 0.4 read it."""

MOST_ROUTERS = 4096
"""Routers of the largest traffic matrix: it has a number for each pair of them."""


class Action(NamedTuple):
    """Something that costs energy: component and action of Accelergy's, how often, and the energy of each in pJ."""

    component: str
    name: str
    times: int
    energy_pj: float


def export(costs: Costs, kind: str, path: Path) -> None:
    """Write costs to a file for the tool ``kind``, one of EXPORTS.

    Raises:
        DescriptionError: there is no such kind, costs are per sample, or the tool has no way to say it.
    """
    check_kind(kind)
    if costs.per == "sample":
        raise DescriptionError(f"--export {kind}: a sample's share of a step is no whole count; take --per step")
    write_text(path, EXPORTS[kind](costs))


def check_kind(kind: str) -> None:
    """Refuse a kind of export that there is not."""
    if kind not in EXPORTS:
        raise DescriptionError(f"--export {kind}: allowed are {', '.join(EXPORTS)}{nearest_guess(kind, EXPORTS)}")


# Accelergy: action_counts and ERT (energy reference table), two documents that may stand in one file.


def actions(costs: Costs) -> list[Action]:
    """Return all that costs energy in a run: counts times energies add up to its total."""
    facts: Facts = costs.analysis if costs.trace is None else costs.trace
    return [*_core_actions(costs, facts), *_network_actions(costs, facts), *_other_actions(costs, facts)]


def _core_actions(costs: Costs, facts: Facts) -> Iterator[Action]:
    core, table = costs.chip.core, facts.counts
    for phase in (phase for phase in PHASES if phase != "io"):
        rates, rows = getattr(core, phase), table.phase_rows(phase)
        for component, count in (("mac", "macs"), ("elementwise", "elementwise_ops")):
            own = getattr(rates, f"{component}_pj")
            pj = float(getattr(core, f"{component}_pj") if own is None else own)
            yield Action(f"chip.core.{component}", f"{phase}_operation", table.count(count, rows), pj)
    drawn = sum(table.count(name) for name in GENERATED_COUNTS)
    yield Action("chip.core.generator", "generate", drawn, core.generate_pj)
    for name in ("neuron_memory", "synapse_memory"):
        reads, writes = memory_words(facts, costs.chip, name)
        memory = getattr(core, name)
        yield Action(f"chip.core.{name}", "read", sum(reads), memory.read_pj_per_word)
        yield Action(f"chip.core.{name}", "write", sum(writes), memory.write_pj_per_word)


def _network_actions(costs: Costs, facts: Facts) -> Iterator[Action]:
    noc, table = costs.chip.noc, facts.counts
    for direction in DIRECTIONS:
        own, border = getattr(noc, direction).link_pj_per_flit, noc.border.link_pj_per_flit
        own = noc.link_pj_per_flit if own is None else own
        border = own if border is None else border
        for component, prefix, pj in (("link", "", own), ("border_link", "border_", border)):
            column = TRAFFIC_INDEX[f"{prefix}flit_hops_{direction}"]
            yield Action(f"chip.network.{component}", f"hop_{direction}", int(table.traffic[:, column].sum()), pj)
    yield Action("chip.network.router", "flit", table.count("flit_routers"), noc.router_pj_per_flit)
    yield Action("chip.network.injection", "flit", table.count("flits"), noc.injection_pj_per_flit)


def _other_actions(costs: Costs, facts: Facts) -> Iterator[Action]:
    chip, table = costs.chip, facts.counts
    yield Action("chip.io", "bit", table.count("offchip_bits"), chip.io.offchip_pj_per_bit)
    if chip.channel is not None:
        yield Action("chip.channel", "bit", table.count("channel_bits"), chip.channel.channel_pj_per_bit)
    yield Action("chip.barrier", "barrier", facts.barriers, chip.barrier_pj)
    cores = facts.cores_used if chip.power_gating else facts.cores
    static_w = chip.static_w_chip * chip.chips[0] * chip.chips[1] + chip.static_w_core * cores
    yield Action("chip.static", "cycle", facts.makespan_cycles, static_w * 1e6 / chip.clock_mhz)


def accelergy_text(costs: Costs) -> str:
    """Return action counts and the energy reference table (in pJ) as YAML that ``accelergy FILE`` multiplies."""
    components: dict[str, list[Action]] = {}
    for action in actions(costs):
        components.setdefault(action.component, []).append(action)
    lines = [f"# {_title(costs)}; energies in pJ", "action_counts:", f"  version: {ACCELERGY_VERSION}", "  local:"]
    for component, found in components.items():
        lines += [f"  - name: {component}", "    action_counts:"]
        for action in found:
            lines += [f"    - name: {action.name}", f"      counts: {action.times}"]
    lines += ["ERT:", f"  version: {ACCELERGY_VERSION}", "  tables:"]
    for component, found in components.items():
        lines += [f"  - name: {component}", "    actions:"]
        for action in found:
            lines += [f"    - name: {action.name}", "      arguments: {}", f"      energy: {_number(action.energy_pj)}"]
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    """Write a number so that YAML 1.1 reads a number: one with an exponent needs a point."""
    text = repr(float(value))
    mantissa, e, exponent = text.partition("e")
    return text if not e or "." in mantissa else f"{mantissa}.0e{exponent}"


# Traffic between routers.


class Traffic(NamedTuple):
    """Flits and packets between routers [from, to], a multicast as a copy to each destination, and in how many cycles.

    ``flit_hops`` are those of the copies; ``run_flits`` and ``run_flit_hops`` what the run itself injects and its links
    carry, as its network forks multicasts.
    """

    flits: IntArray
    packets: IntArray
    cycles: int
    flit_hops: int
    run_flits: int
    run_flit_hops: int

    @property
    def busiest(self) -> tuple[int, float]:
        """The router that sends the most, and its flits a cycle."""
        rates = self.flits.sum(axis=1) / max(1, self.cycles)
        return int(rates.argmax()), float(rates.max())


def traffic_matrix(costs: Costs) -> Traffic:
    """Return what a run sends from each router to each, without regard to when.

    Raises:
        DescriptionError: the mesh is too large for a matrix.
    """
    routers = costs.chip.columns * costs.chip.rows
    if routers > MOST_ROUTERS:
        raise DescriptionError(
            f"{costs.chip.name}: {routers} routers: a traffic matrix has a number for each pair of them, and at most "
            f"{MOST_ROUTERS} can be written; make grid smaller"
        )
    plan = costs.plan
    flits, packets = (np.zeros((routers, routers), dtype=np.int64) for _ in range(2))
    for batch, times in microbatch_times(plan.microbatch, costs.recipe.batch_size, costs.prices.samples).items():
        payload = -(-plan.messages.payload_bits(batch.samples) // costs.chip.noc.flit_bits)
        headed = -(-payload // costs.chip.noc.max_packet_flits)
        sent = ~plan.messages.last_only | batch.last
        _add(plan, flits, (payload + headed * costs.chip.noc.header_flits) * sent * times)
        _add(plan, packets, headed * sent * times)
    facts: Facts = costs.analysis if costs.trace is None else costs.trace
    y, x = np.divmod(np.arange(routers), costs.chip.columns)
    hops = abs(y[:, None] - y) + abs(x[:, None] - x)
    run = facts.counts.count("flits"), facts.counts.count("flit_hops")
    return Traffic(flits, packets, facts.makespan_cycles, int((flits * hops).sum()), *run)


def _add(plan: Plan, matrix: IntArray, amounts: IntArray) -> None:
    """Add an amount of each message [M] to the pairs of its routers."""
    messages, per_router = plan.messages, plan.grid.cores_per_router
    source = messages.source_link // plan.grid.stride
    alone = messages.set_index < 0
    np.add.at(matrix, (source[alone], messages.destination[alone] // per_router), amounts[alone])
    for number, cores in enumerate(messages.sets):
        chosen = messages.set_index == number
        reached = np.bincount(cores // per_router, minlength=plan.grid.routers)
        sent = np.zeros(plan.grid.routers, dtype=np.int64)
        np.add.at(sent, source[chosen], amounts[chosen])
        matrix += sent[:, None] * reached
        own = chosen & np.isin(messages.source_core, cores)  # a core sends itself nothing
        np.subtract.at(matrix, (source[own], source[own]), amounts[own])


def booksim_text(costs: Costs) -> str:
    """Return the flits of a run from router to router, as a matrix in BookSim's numbering of nodes."""
    traffic, grid = traffic_matrix(costs), costs.plan.grid
    topology = f"topology = mesh; k = {grid.columns}; n = 2;"
    if grid.columns != grid.rows:
        topology = "whose meshes are square, and this one is not"
    head = [
        f"{_title(costs)}: flits from the router of the row to that of the column in {traffic.cycles} cycles",
        f"{grid.columns} x {grid.rows} routers, numbered y * {grid.columns} + x as BookSim's nodes ({topology})",
        "BookSim 2 reads no matrix: a row over its sum is what dest() of a traffic pattern of your own draws from, and",
        "the sum over the cycles that node's injection rate in flits. What stays within a router is on the diagonal.",
        *_copies(traffic),
    ]
    rows = [" ".join(map(str, row)) for row in traffic.flits.tolist()]
    return "\n".join([*(f"# {line}" for line in head), *rows]) + "\n"


def noxim_text(costs: Costs) -> str:
    """Return the traffic of a run as Noxim's traffic table: source, destination, packets a cycle (pir and por)."""
    traffic, grid = traffic_matrix(costs), costs.plan.grid
    apart = 1 - np.eye(len(traffic.packets), dtype=np.int64)
    between = traffic._replace(flits=traffic.flits * apart, packets=traffic.packets * apart)
    rates = between.packets / max(1, traffic.cycles)
    busiest = int(rates.sum(axis=1).argmax())
    if rates[busiest].sum() > 1:
        raise DescriptionError(
            f"--export noxim: router {busiest} sends {rates[busiest].sum():.3g} packets a cycle, and a node of "
            "Noxim's at most 1; make noc.max_packet_flits larger"
        )
    mean = between.flits.sum() / max(1, between.packets.sum())
    head = [
        f"{_title(costs)}, over {traffic.cycles} cycles; packets have {mean:.4g} flits on average",
        f"mesh_dim_x: {grid.columns}, mesh_dim_y: {grid.rows}, traffic_distribution: TRAFFIC_TABLE_BASED",
        f"What stays within a router is left out: {traffic.packets.trace()} of {traffic.packets.sum()} packets.",
        *_copies(between),
        "source destination pir por",
    ]
    pairs = np.argwhere(between.packets > 0)
    lines = [f"{a} {b} {rates[a, b]:.9g} {rates[a, b]:.9g}" for a, b in pairs.tolist()]
    return "\n".join([*(f"% {line}" for line in head), *lines]) + "\n"


def _copies(traffic: Traffic) -> list[str]:
    """Return what a tool that forks no packets makes of the multicasts, as lines of a file's head."""
    router, rate = traffic.busiest
    lines = [
        "A multicast, under either delivery those of inputs and labels too, is a copy to each destination:",
        f"{traffic.flits.sum()} flits over {traffic.flit_hops} links, where the run injects {traffic.run_flits} "
        f"that go over {traffic.run_flit_hops}.",
    ]
    if rate > 1:
        lines.append(f"Router {router} would inject {rate:.3g} flits a cycle, more than the 1 that a node can.")
    return lines


def _title(costs: Costs) -> str:
    what = "inference" if costs.forward_only else "training"
    text = f"{costs.network.name} under {costs.rule.name} on {costs.chip.name}, {what}, {costs.prices.samples} samples"
    return " ".join(text.split())


EXPORTS: Mapping[str, Callable[[Costs], str]] = {
    "accelergy": accelergy_text,
    "booksim": booksim_text,
    "noxim": noxim_text,
}
"""What can be written, by the tool that it is for."""
