"""What the flit level makes of a mesh, its routers and the messages of a plan, and the arrays of an empty network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.engine.network_state import Grid, Messages, Sets, Targets, aligned, idle_links, spans, templates
from neurosim.errors import SimulationError
from neurosim.kernels import network_flit_layout as flit_layout
from neurosim.kernels import network_layout as layout
from neurosim.kernels.network_flit_layout import FlitWorkspace
from neurosim.kernels.network_layout import Integers, Records

MOST_PORTS = 62  # bits of a word
MOST_CHANNELS = 62
LONGEST_FLIGHT = 4095  # cycles on the wheel
STAGES = 3  # cycles of a flit in a router beside routing and link: output channel, switch, crossbar


@dataclass(frozen=True)
class FlitRouter:
    """What a router of the flit level is: its buffers, its delays in cycles, and how messages are cut for it.

    A unicast travels in packets of up to ``packet_flits``, header included, a multicast in packets of up to
    ``multicast_packet_flits``, each of which must fit a buffer.
    """

    virtual_channels: int
    vc_buffer_flits: int
    routing_delay_cycles: int
    credit_delay_cycles: int
    packet_flits: int
    multicast_packet_flits: int


@dataclass(frozen=True)
class FlitGrid:
    """A mesh and the router at each of its nodes."""

    grid: Grid
    router: FlitRouter


def check_router(grid: Grid, router: FlitRouter) -> None:
    """Refuse a mesh whose links the flit level cannot have.

    Raises:
        SimulationError: a hop shorter than the router, a link wider than a flit, or more ports than it can count.
    """
    used = _used_links(grid)
    hops, bits = grid.hop_cycles[used], grid.link_bits[used]
    reasons = list(_impossible_links(grid, router, int(hops.min()), int(bits.max())))
    if reasons:
        raise SimulationError(f"{'; '.join(reasons)}; or take fidelity event")
    narrowest = -(-grid.flit_bits // int(bits.min()))
    limits = (
        ("cores_per_router", grid.cores_per_router, MOST_PORTS - 5),
        ("virtual_channels", router.virtual_channels, MOST_CHANNELS),
        ("hop_cycles, with the cycles of a flit on the narrowest link", int(hops.max()) + narrowest, LONGEST_FLIGHT),
        ("port_cycles", grid.port_cycles, LONGEST_FLIGHT),
        ("credit_delay_cycles", router.credit_delay_cycles, LONGEST_FLIGHT),
    )
    for what, value, most in limits:
        if value > most:
            raise SimulationError(f"{what}: {value}: the flit level takes {most} at most; take fidelity event")


def _impossible_links(grid: Grid, router: FlitRouter, hop_cycles: int, link_bits: int) -> Iterator[str]:
    """Yield what links cannot be, and what would do."""
    delay = router.routing_delay_cycles
    least = delay + STAGES + 1
    if hop_cycles < least:
        shorter = f", or noc.router.routing_delay_cycles to {hop_cycles - STAGES - 1}" if hop_cycles > STAGES else ""
        yield (
            f"hop_cycles: {hop_cycles}: at the flit level a hop takes {least} cycles at least: {delay} of routing, "
            f"{STAGES} in the router and 1 on the link; set it in noc (or its direction or border) to {least} or "
            f"more{shorter}"
        )
    if grid.port_cycles < 1:
        yield "noc.port_cycles: 0: at the flit level the link to a core takes a cycle; set noc.port_cycles to 1 or more"
    if link_bits > grid.flit_bits:
        yield (
            f"link_bits: {link_bits}: at the flit level a link moves a flit, of {grid.flit_bits} bits, a cycle; set it "
            f"in noc (or its direction or border) to {grid.flit_bits} at most"
        )


def check_messages(router: FlitRouter, messages: Messages, targets: Targets, slots: int) -> None:
    """Refuse messages that could not end."""
    longest = min(router.multicast_packet_flits, router.packet_flits)
    if (messages.destination < 0).any() and longest > router.vc_buffer_flits:
        raise SimulationError(
            f"noc.router.multicast_packet_flits: {router.multicast_packet_flits}: a multicast packet (under either "
            f"delivery those of inputs and labels) must fit a buffer, of {router.vc_buffer_flits} flits here, or its "
            "branches could wait for each other for ever; set noc.router.multicast_packet_flits to "
            f"{router.vc_buffer_flits} or noc.router.vc_buffer_flits to {longest}"
        )
    if messages.flits_by_class.min(initial=1) < 1 or messages.flits_by_class.max(initial=1) >= 1 << 31:
        raise SimulationError("flits of a message: there must be at least 1 and fewer than 2^31")
    if targets.slot_offset.min(initial=0) < 0 or targets.slot_offset.max(initial=0) >= slots:
        raise SimulationError(f"slots that an input lies ahead: they must be 0 to {slots - 1}")


def _used_links(grid: Grid) -> NDArray[np.bool_]:
    """Which link ids are links: those to a neighbour that exists, and the ports."""
    links = idle_links(grid)
    inside = (links["x"] >= 0) & (links["x"] < grid.columns) & (links["y"] >= 0) & (links["y"] < grid.rows)
    return np.asarray(inside)


def empty_clock(grid: Grid, router: FlitRouter, sets: Sets, targets: Targets) -> Integers:
    """The numbers that the kernel reads and keeps, at their start."""
    clock = np.zeros(flit_layout.FLIT_CLOCK_SIZE, dtype=np.int64)
    largest = max(int(sets.member.sum(axis=1).max(initial=1)), 1)
    values = {
        layout.NOW: -1,
        layout.NEXT_EVENT: layout.NEVER,
        layout.COLUMNS: grid.columns,
        layout.CORES_PER_ROUTER: grid.cores_per_router,
        layout.MOST_TARGETS: np.diff(targets.start).max(initial=0),
        layout.FREE_RANGE: -1,
        flit_layout.FREE_PACKET: -1,
        flit_layout.FREE_TRANSFER: -1,
        flit_layout.VCS: router.virtual_channels,
        flit_layout.BUFFER: router.vc_buffer_flits,
        flit_layout.ROUTING: router.routing_delay_cycles,
        flit_layout.IN_PORTS: grid.cores_per_router + 5,
        flit_layout.OUT_PORTS: grid.cores_per_router + 4,
        flit_layout.BRANCHES: grid.cores_per_router + 4,
        flit_layout.PACKET_FLITS: router.packet_flits,
        flit_layout.WORM_FLITS: min(router.packet_flits, router.multicast_packet_flits),
        flit_layout.MOST_COUNTERS: 1 << (largest - 1).bit_length(),
        flit_layout.SOURCES: grid.columns * grid.rows * (grid.cores_per_router + 1),
    }
    for place, value in values.items():
        clock[place] = value
    return clock


def empty_workspace(mesh: FlitGrid, messages: Messages, sets: Sets, targets: Targets, slots: int) -> FlitWorkspace:
    """An empty network; pools, clock and logs come later."""
    grid, router = mesh.grid, mesh.router
    links = _links(grid, router)
    inputs, outputs = grid.cores_per_router + 5, grid.cores_per_router + 4
    in_links, out_links = _ports(grid, links, inputs, outputs)
    arrays = _buffers(links, router, outputs) | _scratch(inputs, outputs, router.virtual_channels)
    return FlitWorkspace(
        links=links,
        routers=_routers(grid, router),
        in_links=in_links,
        out_links=out_links,
        router_list=np.zeros(grid.columns * grid.rows, dtype=np.int64),
        messages=_single_destinations(grid, templates(grid, messages, sets), sets),
        flits=np.ascontiguousarray(messages.flits_by_class, dtype=np.int64),
        spans=spans(sets),
        member=np.ascontiguousarray(sets.member),
        places=(np.cumsum(sets.member, axis=1) - 1).astype(np.int32),
        **_tasks(grid, targets, slots),
        **arrays,
    )


def _routers(grid: Grid, router: FlitRouter) -> Records:
    routers = np.zeros(grid.columns * grid.rows, dtype=flit_layout.ROUTER)
    routers["routing_began"] = -1 - router.routing_delay_cycles  # done before the first cycle
    return routers


def _buffers(links: Records, router: FlitRouter, outputs: int) -> dict[str, Any]:
    """What links, their buffers and sources hold, empty, and the wheel of events; pools have no rows yet."""
    count, vcs = links.size, router.virtual_channels
    channels = aligned(count * vcs, flit_layout.CHANNEL)
    channels["credits"] = router.vc_buffer_flits
    channels["link"], channels["vc"] = np.divmod(np.arange(channels.size), vcs)
    branches = aligned(channels.size * outputs, flit_layout.BRANCH)
    branches["channel"] = np.arange(branches.size) // outputs
    sources = np.zeros(count, dtype=flit_layout.SOURCE)
    for name, value in (("head", -1), ("transfer", -1), ("packet", -1), ("vc", vcs - 1)):
        sources[name] = value
    longest = int((links["flight"] + links["credit_flight"]).max()) + 2 * router.routing_delay_cycles + 2
    rows = 1 << longest.bit_length()
    shapes = {
        "buffers": (count * vcs * router.vc_buffer_flits,), "landings": (rows, count, 2), "credits": (rows, count),
        "routings": (rows, channels.size), "due": (rows, 3), "source_list": (count,), "pending": (256, 4),
        "counters": (0,),
    }  # fmt: skip
    empty = {"packets": flit_layout.PACKET, "transfers": flit_layout.TRANSFER, "ranges": layout.RANGE}
    pools = {name: aligned(0, dtype) for name, dtype in empty.items()}
    lists = {"counter_lists": np.full(64, -1, dtype=np.int64)}
    integers = {name: np.zeros(shape, dtype=np.int64) for name, shape in shapes.items()}
    return {"channels": channels, "branches": branches, "sources": sources} | pools | lists | integers


def _scratch(inputs: int, outputs: int, vcs: int) -> dict[str, Any]:
    """Room for the work of one router, and empty places for what is filled in later."""
    shapes = {
        "ask_ends": (outputs, 2), "chosen": (inputs, outputs), "granted": (inputs,), "wanted_by": (outputs,),
        "given": (vcs,), "clock": (0,),
    }  # fmt: skip
    asks = np.zeros(inputs * vcs * outputs, dtype=flit_layout.ASK)
    scratch = {name: np.zeros(shape, dtype=np.int64) for name, shape in shapes.items()}
    return {"asks": asks, "deliveries": np.zeros(0, dtype=layout.DELIVERY)} | scratch


def _tasks(grid: Grid, targets: Targets, slots: int) -> dict[str, Any]:
    """What deliveries make ready, as at the event level."""
    routers = grid.columns * grid.rows
    most_targets = int(np.diff(targets.start).max(initial=0))
    groups = (targets.start.size - 1) // (routers * grid.cores_per_router)
    return {
        "target_start": np.ascontiguousarray(targets.start, dtype=np.int64),
        "targets": np.stack([targets.task, targets.slot_offset], axis=1).astype(np.int32),
        "tasks": np.zeros((slots, targets.durations_by_class.shape[1]), dtype=layout.TASK),
        "slots": np.zeros(slots, dtype=layout.SLOT),
        "durations": np.ascontiguousarray(targets.durations_by_class, dtype=np.int64),
        "groups": np.zeros(groups, dtype=layout.GROUP),
        "completions": np.zeros(64 + routers * (grid.cores_per_router + 1) * most_targets, dtype=layout.COMPLETION),
    }


def _single_destinations(grid: Grid, rows: Records, sets: Sets) -> Records:
    """Turn multicasts to one core into unicasts, which need no room for all of a packet."""
    per_router = grid.cores_per_router
    stride = 2 * per_router + 5
    deliveries = np.diff(rows["deliveries_before"])
    for message in np.flatnonzero((rows["target"][:-1] < 0) & (deliveries == 1)):
        row = rows[message]
        members = np.flatnonzero(sets.member[-1 - row["target"]])
        router, slot = divmod(int(row["injection"]), stride)
        own = router * per_router + slot if slot < per_router else -1
        core = int(members[members != own][0])
        to, port = divmod(core, per_router)
        row["target"] = to * stride + per_router + 5 + port
        row["y"], row["x"] = divmod(to, grid.columns)
    if (deliveries < 1).any():
        raise SimulationError("a message of the plan goes to no core but its own; please report this")
    return rows


def _links(grid: Grid, router: FlitRouter) -> Records:
    """Idle links with the cycles that flits and credits take over them."""
    where = idle_links(grid)
    links = aligned(where.size, flit_layout.LINK)
    for name in ("x", "y", "first_link", "kind"):
        links[name] = where[name]
    stride = 2 * grid.cores_per_router + 5
    slot = np.arange(links.size) % stride - grid.cores_per_router
    injects, ejects = where["kind"] == layout.INJECTION, where["kind"] == layout.EJECTION
    used = _used_links(grid)
    wire = np.where(ejects, grid.port_cycles, grid.hop_cycles - router.routing_delay_cycles - STAGES)
    wire = np.where(used, wire, 1)
    links["cycles"] = np.where(used, -(-grid.flit_bits // grid.link_bits), 1)
    links["flight"] = wire + links["cycles"] + np.where(injects, 0, 1)
    links["credit_flight"] = wire + 1 + np.where(injects, 0, router.credit_delay_cycles)
    links["unowned"] = (1 << router.virtual_channels) - 1
    links["to_router"] = np.where(used & ~ejects, where["y"] * grid.columns + where["x"], -1)
    # Inputs and outputs are 0 E, 1 W, 2 S, 3 N, then the ports; a link to the east comes from the west.
    direction = np.clip(slot, 1, 4) - 1
    links["in_port"] = np.where(injects, slot + grid.cores_per_router + 4, np.array([1, 0, 2, 3])[direction])
    links["out_port"] = np.where(ejects, slot - 1, np.array([0, 1, 3, 2])[direction])
    return links


def _ports(grid: Grid, links: Records, inputs: int, outputs: int) -> tuple[Integers, Integers]:
    """The links at the inputs and outputs of every router, -1 where there is none."""
    routers, stride = grid.columns * grid.rows, 2 * grid.cores_per_router + 5
    in_links = np.full((routers, inputs), -1, dtype=np.int64)
    out_links = np.full((routers, outputs), -1, dtype=np.int64)
    number, used = np.arange(links.size), _used_links(grid)
    enters = links["to_router"] >= 0
    in_links[links["to_router"][enters], links["in_port"][enters]] = number[enters]
    leaves = used & (links["kind"] != layout.INJECTION)
    out_links[number[leaves] // stride, links["out_port"][leaves]] = number[leaves]
    return in_links, out_links
