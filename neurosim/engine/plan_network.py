"""The network that a plan's messages move in: its tables at the event level or at the flit level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from neurosim.chips import Chip
from neurosim.counts import IntArray
from neurosim.engine.flit_state import FlitState
from neurosim.engine.flit_tables import FlitGrid, FlitRouter
from neurosim.engine.network_state import Messages, NetworkState, Targets
from neurosim.schedules import Microbatch, Plan
from neurosim.topology import destination_sets

Network = Literal["event", "flit"]


def make_network(
    network: Network, plan: Plan, classes: Sequence[Microbatch], durations: IntArray, *, slots: int, log_rows: int
) -> NetworkState | FlitState:
    """Return an empty network for the messages of a plan, whose tasks take ``durations`` [classes, tasks].

    Raises:
        SimulationError: the chip cannot be simulated at this level, or a table passes what can be counted.
    """
    planned = plan.messages
    messages = Messages(
        injection=planned.source_link,
        group=planned.group,
        destination=planned.destination,
        destination_set=planned.set_index,
        hops=planned.crossings.sum(axis=0),
        flits_by_class=flits_by_class(plan, classes),
    )
    tables: dict[str, Any] = {
        "sets": destination_sets(plan.grid, [members.tolist() for members in planned.sets]),
        "targets": _targets(plan, durations),
        "slots": slots,
        "log_rows": log_rows,
    }
    if network == "event":
        return NetworkState(plan.grid, messages, **tables)
    return FlitState(FlitGrid(plan.grid, flit_router(plan.layout.chip)), messages, **tables)


def flit_router(chip: Chip) -> FlitRouter:
    """Return the routers of a chip as the flit level takes them."""
    noc, router = chip.noc, chip.noc.router
    return FlitRouter(
        virtual_channels=router.virtual_channels,
        vc_buffer_flits=router.vc_buffer_flits,
        routing_delay_cycles=router.routing_delay_cycles,
        credit_delay_cycles=router.credit_delay_cycles,
        packet_flits=noc.max_packet_flits + noc.header_flits,
        multicast_packet_flits=router.multicast_packet_flits,
    )


def flits_by_class(plan: Plan, classes: Sequence[Microbatch]) -> IntArray:
    """Return the flits of every message, headers included [classes, M]."""
    noc = plan.layout.chip.noc
    payload = np.stack([plan.messages.payload_bits(batch.samples) for batch in classes])
    flits = -(-payload // noc.flit_bits)
    return np.asarray(flits + noc.header_flits * -(-flits // noc.max_packet_flits), dtype=np.int64)


def _targets(plan: Plan, durations: IntArray) -> Targets:
    """List, per group and core, the tasks that wait for a delivery."""
    cores = plan.layout.chip.cores
    rows, tasks, offsets = [], [], []
    for group, (targets, ahead) in enumerate(zip(plan.messages.targets, plan.messages.target_offsets, strict=True)):
        for row, offset in zip(targets, ahead, strict=True):
            waiting = np.flatnonzero(row >= 0)
            rows.append(group * cores + waiting)
            tasks.append(row[waiting])
            offsets.append(np.full(len(waiting), offset, dtype=np.int64))
    empty = [np.zeros(0, dtype=np.int64)]
    where = np.concatenate(rows + empty)
    order = np.argsort(where, kind="stable")
    start = np.searchsorted(where[order], np.arange(len(plan.messages.groups) * cores + 1))
    return Targets(start, np.concatenate(tasks + empty)[order], np.concatenate(offsets + empty)[order], durations)
