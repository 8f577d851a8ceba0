"""The arrays of the flit-level network: rows, constants and the one workspace that holds them.

A link has ``virtual_channels`` buffers at its far end. Buffer v of link k is number ``k virtual_channels + v``; the
same number stands for what the router before it knows of it, its credits and whose it is. So an input of a router is a
link that leads to it, an output a link that leaves it. Ports of a router: inputs come from E, W, S, N, then its
injections; outputs go to E, W, S, N, then its ejections.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosim.kernels.network_layout import (
    CLOCK_SIZE,
    COMPLETION,
    DELIVERY,
    GROUP,
    MESSAGE,
    RANGE,
    SLOT,
    TASK,
    Integers,
    Records,
    as_pointer,
    carray,
    inlined_kernel,
    lowest_bit,
)  # fmt: skip

STALLED = 4  # what a call returns, beside those of the event level
STALL_CYCLES = 1 << 16  # without a flit moving while some are in the network

# Places in FlitWorkspace.clock; those of the event level that are used here too come before these.
(
    VCS, BUFFER, ROUTING, ROW_MASK, IN_PORTS, OUT_PORTS, BRANCHES, PACKET_FLITS, WORM_FLITS, EVENTS,
    FREE_PACKET, FREE_PACKETS, FREE_TRANSFER, FREE_TRANSFERS, COUNTERS_USED, MOST_COUNTERS, ROUTERS_LISTED,
    SOURCES_LISTED, SOURCES, PENDING_FIRST, PENDING_END, LAST_MOVE, EJECTED_FLITS, INJECTED_FLITS, FLIT_CLOCK_SIZE,
) = range(CLOCK_SIZE, CLOCK_SIZE + 25)  # fmt: skip

LANDINGS, CREDITS, ROUTINGS = 0, 1, 2  # kinds of event on the wheel

WAITING_VC, SENT = -1, -2  # BRANCH.vc, where it is no channel: none yet, or no longer one, as all flits are sent

# `free`: from when the link takes another flit. Bits of virtual channels: `requests` (at its far end, with a flit and
# an output channel), `waiting` (at its far end, without an output channel), `unowned` (no packet on its way has it).
# `flight`: cycles from a grant to the arrival; `credit_flight`: from a departure to the credit that it gives back;
# `cycles` a flit holds the link. `*_turn`: where round robin goes on. It leads to router (x, y), as at the event level.
LINK = np.dtype([
    ("free", "i8"), ("busy", "i8"), ("flits", "i8"), ("messages", "i8"), ("requests", "i8"), ("waiting", "i8"),
    ("unowned", "i8"), ("to_router", "i4"), ("in_port", "i4"), ("out_port", "i4"), ("kind", "i4"), ("flight", "i4"),
    ("credit_flight", "i4"), ("cycles", "i4"), ("vc_turn", "i4"), ("accept_turn", "i4"), ("grant_turn", "i4"),
    ("first_link", "i4"), ("x", "i2"), ("y", "i2"),
])  # fmt: skip
# `credits`: free places that the router before knows of. The rest is the buffer: its `count` flits from place `first`
# on, and of the packet in front the `branches` that it parts into, its `length`, the flits that all branches have sent
# (`gone`) and the free places that an output channel `needs` to have for it. It is buffer `vc` of `link`.
CHANNEL = np.dtype([
    ("credits", "i4"), ("first", "i4"), ("count", "i4"), ("branches", "i4"), ("length", "i4"), ("gone", "i4"),
    ("needs", "i4"), ("grant_turn", "i4"), ("accept_turn", "i4"), ("link", "i4"), ("vc", "i4"), ("unused", "i4"),
])  # fmt: skip
BRANCH = np.dtype([("link", "i4"), ("vc", "i4"), ("sent", "i4"), ("channel", "i4")])
# `routing_began`: when the packets that a router routes at present, all together, began to be routed.
ROUTER = np.dtype([("waiting_ports", "i8"), ("request_ports", "i8"), ("listed", "i8"), ("routing_began", "i8")])
# A packet, or part of a multicast that travels as one. `tails`: deliveries of it still due.
PACKET = np.dtype([("transfer", "i4"), ("length", "i4"), ("tails", "i4"), ("next", "i4")])
# A message on its way; `first_counter`: of the packets that each destination has; `left`: deliveries of packets due.
TRANSFER = np.dtype([
    ("entered", "i8"), ("left", "i8"), ("message", "i4"), ("slot", "i4"), ("group", "i4"), ("target", "i4"),
    ("packets", "i4"), ("deliveries", "i4"), ("first_counter", "i4"), ("next", "i4"),
])  # fmt: skip
# What waits at an injection link: ranges of messages, the one that is sent with its `left` flits, its packet.
SOURCE = np.dtype([
    ("head", "i4"), ("tail", "i4"), ("transfer", "i4"), ("left", "i4"), ("packet", "i4"), ("sent", "i4"), ("vc", "i4"),
    ("listed", "i4"),
])  # fmt: skip
# A request for an output channel: of branch `branch` of channel `channel`, number `index` among the router's inputs.
ASK = np.dtype([("channel", "i4"), ("branch", "i4"), ("index", "i4"), ("next", "i4")])

FLIT_DTYPES = {
    "links": LINK, "channels": CHANNEL, "branches": BRANCH, "routers": ROUTER, "packets": PACKET,
    "transfers": TRANSFER, "sources": SOURCE, "ranges": RANGE, "asks": ASK, "messages": MESSAGE,
    "spans": np.dtype(np.int32), "member": np.dtype(np.bool_), "places": np.dtype(np.int32),
    "targets": np.dtype(np.int32), "tasks": TASK, "slots": SLOT, "groups": GROUP, "completions": COMPLETION,
    "deliveries": DELIVERY,
}  # fmt: skip


class FlitWorkspace(NamedTuple):
    """All state of a flit-level network and the tables it reads.

    For V channels a link, buffers of B flits, I inputs and O outputs a router, and a wheel of W rows (a power of two):
    links LINK [links]; channels CHANNEL [links V]; branches BRANCH [links V O]; buffers int64 [links V B], a flit is
    packet << 32 | place in it; routers ROUTER [routers]; in_links, out_links int64 [routers, I or O] (-1: none);
    packets, transfers, ranges [any], pools with free lists; counters int64 [any] in blocks of powers of two, whose free
    lists start in counter_lists [64]; sources SOURCE [links]; landings int64 [W, links, 2] (channel, flit); credits
    int64 [W, links] and routings int64 [W, 2 links] (channel); due int64 [W, 3], how many of each; router_list
    [routers] and source_list [links] of those with something to do; pending int64 [any, 4] (slot, first, last, time) in
    order of time. Scratch of one router: asks ASK [I V O], ask_ends int64 [O, 2], chosen int64 [I, O], granted [I],
    wanted_by [O], given [V]. The other fields are those of the event level; places int32 [sets, cores] numbers the
    members.
    """

    links: Records
    channels: Records
    branches: Records
    buffers: Integers
    routers: Records
    in_links: Integers
    out_links: Integers
    packets: Records
    transfers: Records
    ranges: Records
    counters: Integers
    counter_lists: Integers
    sources: Records
    landings: Integers
    credits: Integers
    routings: Integers
    due: Integers
    router_list: Integers
    source_list: Integers
    pending: Integers
    asks: Records
    ask_ends: Integers
    chosen: Integers
    granted: Integers
    wanted_by: Integers
    given: Integers
    messages: Records
    flits: Integers
    spans: NDArray[np.int32]
    member: NDArray[np.bool_]
    places: NDArray[np.int32]
    target_start: Integers
    targets: NDArray[np.int32]
    tasks: Records
    slots: Records
    durations: Integers
    groups: Records
    completions: Records
    deliveries: Records
    clock: Integers


@inlined_kernel
def open_flit_workspace(t: Integers) -> FlitWorkspace:
    """Return the workspace that a table was made from; for kernels."""
    return FlitWorkspace(
        carray(as_pointer(t[0, 0]), (t[0, 1],), LINK),
        carray(as_pointer(t[1, 0]), (t[1, 1],), CHANNEL),
        carray(as_pointer(t[2, 0]), (t[2, 1],), BRANCH),
        carray(as_pointer(t[3, 0]), (t[3, 1],), np.int64),
        carray(as_pointer(t[4, 0]), (t[4, 1],), ROUTER),
        carray(as_pointer(t[5, 0]), (t[5, 1], t[5, 2]), np.int64),
        carray(as_pointer(t[6, 0]), (t[6, 1], t[6, 2]), np.int64),
        carray(as_pointer(t[7, 0]), (t[7, 1],), PACKET),
        carray(as_pointer(t[8, 0]), (t[8, 1],), TRANSFER),
        carray(as_pointer(t[9, 0]), (t[9, 1],), RANGE),
        carray(as_pointer(t[10, 0]), (t[10, 1],), np.int64),
        carray(as_pointer(t[11, 0]), (t[11, 1],), np.int64),
        carray(as_pointer(t[12, 0]), (t[12, 1],), SOURCE),
        carray(as_pointer(t[13, 0]), (t[13, 1], t[13, 2], t[13, 3]), np.int64),
        carray(as_pointer(t[14, 0]), (t[14, 1], t[14, 2]), np.int64),
        carray(as_pointer(t[15, 0]), (t[15, 1], t[15, 2]), np.int64),
        carray(as_pointer(t[16, 0]), (t[16, 1], t[16, 2]), np.int64),
        carray(as_pointer(t[17, 0]), (t[17, 1],), np.int64),
        carray(as_pointer(t[18, 0]), (t[18, 1],), np.int64),
        carray(as_pointer(t[19, 0]), (t[19, 1], t[19, 2]), np.int64),
        carray(as_pointer(t[20, 0]), (t[20, 1],), ASK),
        carray(as_pointer(t[21, 0]), (t[21, 1], t[21, 2]), np.int64),
        carray(as_pointer(t[22, 0]), (t[22, 1], t[22, 2]), np.int64),
        carray(as_pointer(t[23, 0]), (t[23, 1],), np.int64),
        carray(as_pointer(t[24, 0]), (t[24, 1],), np.int64),
        carray(as_pointer(t[25, 0]), (t[25, 1],), np.int64),
        carray(as_pointer(t[26, 0]), (t[26, 1],), MESSAGE),
        carray(as_pointer(t[27, 0]), (t[27, 1], t[27, 2]), np.int64),
        carray(as_pointer(t[28, 0]), (t[28, 1], t[28, 2], t[28, 3]), np.int32),
        carray(as_pointer(t[29, 0]), (t[29, 1], t[29, 2]), np.bool_),
        carray(as_pointer(t[30, 0]), (t[30, 1], t[30, 2]), np.int32),
        carray(as_pointer(t[31, 0]), (t[31, 1],), np.int64),
        carray(as_pointer(t[32, 0]), (t[32, 1], t[32, 2]), np.int32),
        carray(as_pointer(t[33, 0]), (t[33, 1], t[33, 2]), TASK),
        carray(as_pointer(t[34, 0]), (t[34, 1],), SLOT),
        carray(as_pointer(t[35, 0]), (t[35, 1], t[35, 2]), np.int64),
        carray(as_pointer(t[36, 0]), (t[36, 1],), GROUP),
        carray(as_pointer(t[37, 0]), (t[37, 1],), COMPLETION),
        carray(as_pointer(t[38, 0]), (t[38, 1],), DELIVERY),
        carray(as_pointer(t[39, 0]), (t[39, 1],), np.int64),
    )


@inlined_kernel
def first_bit(bits: int) -> int:
    """Return the lowest bit of a word below 2^63 that is not zero."""
    return lowest_bit(np.uint64(bits))


@inlined_kernel
def next_in_turn(bits: int, turn: int) -> int:
    """Return the first bit at or after ``turn``, or the lowest: round robin over a word that is not zero."""
    later = bits >> turn << turn
    return lowest_bit(np.uint64(later if later != 0 else bits))
