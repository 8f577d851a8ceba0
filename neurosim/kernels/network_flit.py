"""The flit-level network: input-queued routers with virtual channels, wormhole flow control, credits and allocators.

In a cycle flits reach buffers, credits come back, heads are routed, sources inject, and every router matches its
switch, then gives output channels to packets, then sends the flits matched: what one of the three changes the others
see in the next cycle. Without contention a flit that reaches a router at t crosses the switch at t + routing delay + 1
if it is a head, at t otherwise, and is at the next router 2 + (cycles of the link) later. The order of a router's work
follows BookSim 2 (Jiang et al., ISPASS 2013), against which it is measured. A multicast is a packet that leaves a
buffer by several links, each at its own pace; it enters only buffers that have room for all of it, so a branch never
waits for another one.
"""

from __future__ import annotations

from neurosim.kernels import kernel
from neurosim.kernels.network_flit_allocate import allocate_channels, match_switch, traverse_switch
from neurosim.kernels.network_flit_layout import (
    COUNTERS_USED,
    CREDITS,
    EVENTS,
    FREE_PACKET,
    FREE_PACKETS,
    FREE_TRANSFER,
    FREE_TRANSFERS,
    INJECTED_FLITS,
    LANDINGS,
    LAST_MOVE,
    MOST_COUNTERS,
    PACKET_FLITS,
    PENDING_END,
    PENDING_FIRST,
    ROUTERS_LISTED,
    ROUTINGS,
    ROW_MASK,
    SOURCES,
    SOURCES_LISTED,
    STALL_CYCLES,
    STALLED,
    VCS,
    WORM_FLITS,
    FlitWorkspace,
    open_flit_workspace,
)
from neurosim.kernels.network_flit_moves import land, land_at, route, take_counters
from neurosim.kernels.network_layout import (
    BAD_RANGE,
    BOUND,
    COMPLETIONS,
    DONE,
    FREE_RANGE,
    FREE_RANGES,
    MOST_TARGETS,
    NEVER,
    NEXT_EVENT,
    NOW,
    ROOM_NEEDED,
    TIME_EXCEEDED,
    TIME_LIMIT,
    WAITING,
    WAITING_MOST,
    Integers,
    inlined_kernel,
)


@inlined_kernel
def _enter(w: FlitWorkspace, time: int) -> int:
    """Queue the ranges of messages that are sent by ``time`` at their injection links."""
    clock = w.clock
    while clock[PENDING_FIRST] < clock[PENDING_END] and w.pending[clock[PENDING_FIRST], 3] <= time:
        if clock[FREE_RANGES] == 0:
            return ROOM_NEEDED
        sent = w.pending[clock[PENDING_FIRST]]
        first, last = sent[1], sent[2]
        link = w.messages[first]["injection"]
        if w.messages[last - 1]["injection"] != link:
            return BAD_RANGE
        place = clock[FREE_RANGE]
        entered = w.ranges[place]
        clock[FREE_RANGE] = entered["next"]
        clock[FREE_RANGES] -= 1
        clock[PENDING_FIRST] += 1
        entered["entered"] = sent[3]
        entered["slot"] = sent[0]
        entered["first"] = first
        entered["last"] = last
        entered["next"] = -1
        source = w.sources[link]
        if source["head"] < 0:
            source["head"] = place
        else:
            w.ranges[source["tail"]]["next"] = place
        source["tail"] = place
        if source["listed"] == 0:
            source["listed"] = 1
            w.source_list[clock[SOURCES_LISTED]] = link
            clock[SOURCES_LISTED] += 1
        clock[WAITING] += w.messages[last]["deliveries_before"] - w.messages[first]["deliveries_before"]
        clock[WAITING_MOST] = max(clock[WAITING_MOST], clock[WAITING])
    return DONE


@inlined_kernel
def _take_message(w: FlitWorkspace, link: int) -> None:
    """Begin the next message of a source, and count it."""
    clock, source = w.clock, w.sources[link]
    sent = w.ranges[source["head"]]
    message = sent["first"]
    template = w.messages[message]
    number = clock[FREE_TRANSFER]
    transfer = w.transfers[number]
    clock[FREE_TRANSFER] = transfer["next"]
    clock[FREE_TRANSFERS] -= 1
    flits = w.flits[w.slots[sent["slot"]]["class"], message]
    most = clock[PACKET_FLITS] if template["target"] >= 0 else clock[WORM_FLITS]
    deliveries = w.messages[message + 1]["deliveries_before"] - template["deliveries_before"]
    transfer["entered"] = sent["entered"]
    transfer["slot"] = sent["slot"]
    transfer["message"] = message
    transfer["group"] = template["group"]
    transfer["target"] = template["target"]
    transfer["packets"] = (flits + most - 1) // most
    transfer["deliveries"] = deliveries
    transfer["left"] = transfer["packets"] * deliveries
    transfer["first_counter"] = -1
    if transfer["packets"] > 1:
        own = 1
        if template["target"] < 0:
            own = w.places[-1 - template["target"], w.places.shape[1] - 1] + 1
        transfer["first_counter"] = take_counters(w, own)
    group = w.groups[template["group"]]
    group["messages"] += 1
    group["flit_hops"] += flits * template["hops"]
    group["flit_routers"] += flits * (template["hops"] + 1)
    source["transfer"] = number
    source["left"] = flits
    sent["first"] = message + 1
    if message + 1 == sent["last"]:
        spent = source["head"]
        source["head"] = sent["next"]
        sent["next"] = clock[FREE_RANGE]
        clock[FREE_RANGE] = spent
        clock[FREE_RANGES] += 1


@inlined_kernel
def _begin_packet(w: FlitWorkspace, link: int) -> bool:
    """Cut the next packet off a source's message if a buffer takes its head, or all of a multicast."""
    clock, source = w.clock, w.sources[link]
    vcs = clock[VCS]
    unicast = w.transfers[source["transfer"]]["target"] >= 0
    length = min(source["left"], clock[PACKET_FLITS] if unicast else clock[WORM_FLITS])
    for step in range(1, vcs + 1):
        vc = (source["vc"] + step) % vcs
        if w.channels[link * vcs + vc]["credits"] < (1 if unicast else length):
            continue
        number = clock[FREE_PACKET]
        packet = w.packets[number]
        clock[FREE_PACKET] = packet["next"]
        clock[FREE_PACKETS] -= 1
        packet["transfer"] = source["transfer"]
        packet["length"] = length
        packet["tails"] = w.transfers[source["transfer"]]["deliveries"]
        source["packet"] = number
        source["sent"] = 0
        source["vc"] = vc
        return True
    return False


@inlined_kernel
def _inject(w: FlitWorkspace, link: int, time: int) -> bool:
    """Send a flit of a source if there is room; whether the source has more."""
    clock, source, out = w.clock, w.sources[link], w.links[link]
    if source["packet"] < 0:
        if source["transfer"] < 0:
            if source["head"] < 0:
                return False
            _take_message(w, link)
        if out["free"] > time or not _begin_packet(w, link):
            return True
    channel = link * clock[VCS] + source["vc"]
    if out["free"] > time or w.channels[channel]["credits"] == 0:
        return True
    packet = source["packet"]
    w.channels[channel]["credits"] -= 1
    out["free"] = time + out["cycles"]
    out["busy"] += out["cycles"]
    out["flits"] += 1
    out["messages"] += source["sent"] == 0
    clock[INJECTED_FLITS] += 1
    clock[LAST_MOVE] = time
    land_at(w, channel, packet << 32 | source["sent"], time + out["flight"])
    source["sent"] += 1
    source["left"] -= 1
    if source["sent"] == w.packets[packet]["length"]:
        source["packet"] = -1
        if source["left"] == 0:
            source["transfer"] = -1
    return bool(source["transfer"] >= 0 or source["head"] >= 0)


@inlined_kernel
def _settle(w: FlitWorkspace, time: int) -> None:
    """Do what is due: flits reach buffers, credits come back, packets learn their way."""
    clock = w.clock
    row = time & clock[ROW_MASK]
    due = w.due[row]
    for index in range(due[LANDINGS]):
        land(w, w.landings[row, index, 0], w.landings[row, index, 1], time)
    for index in range(due[CREDITS]):
        w.channels[w.credits[row, index]]["credits"] += 1
    for index in range(due[ROUTINGS]):  # with a routing delay of 0 the flits that have just come added to these
        route(w, w.routings[row, index])
    clock[EVENTS] -= due[LANDINGS] + due[CREDITS] + due[ROUTINGS]
    due[:] = 0


@inlined_kernel
def _inject_all(w: FlitWorkspace, time: int) -> None:
    """Let every source with something to send inject, and forget those that have no more."""
    index = 0
    while index < w.clock[SOURCES_LISTED]:
        link = w.source_list[index]
        if _inject(w, link, time):
            index += 1
        else:
            w.sources[link]["listed"] = 0
            w.clock[SOURCES_LISTED] -= 1
            w.source_list[index] = w.source_list[w.clock[SOURCES_LISTED]]


@inlined_kernel
def _work_routers(w: FlitWorkspace, time: int, bound: int) -> int:
    """Let every router with something to do work for a cycle, and return the bound."""
    index = 0
    while index < w.clock[ROUTERS_LISTED]:
        router = w.router_list[index]
        row = w.routers[router]
        if row["waiting_ports"] == 0 and row["request_ports"] == 0:
            row["listed"] = 0
            w.clock[ROUTERS_LISTED] -= 1
            w.router_list[index] = w.router_list[w.clock[ROUTERS_LISTED]]
            continue
        inputs = 0
        if row["request_ports"] != 0:
            inputs = match_switch(w, router, time)
        if row["waiting_ports"] != 0:
            allocate_channels(w, router)
        if inputs != 0:
            bound = traverse_switch(w, router, inputs, time, bound)
        index += 1
    return bound


@inlined_kernel
def _has_room(w: FlitWorkspace) -> bool:
    """Whether a cycle can run: every source may begin a message and a packet, every core receive one."""
    clock = w.clock
    sources = clock[SOURCES_LISTED] + 1
    return bool(
        clock[FREE_PACKETS] >= sources
        and clock[FREE_TRANSFERS] >= sources
        and w.counters.size - clock[COUNTERS_USED] >= sources * clock[MOST_COUNTERS]
        and w.completions.size - clock[COMPLETIONS] >= clock[SOURCES] * clock[MOST_TARGETS]
    )


@inlined_kernel
def _next_cycle(w: FlitWorkspace) -> int:
    """Return the next cycle in which anything can happen, or NEVER."""
    clock = w.clock
    if clock[EVENTS] > 0 or clock[ROUTERS_LISTED] > 0 or clock[SOURCES_LISTED] > 0:
        return int(clock[NOW] + 1)
    if clock[PENDING_FIRST] < clock[PENDING_END]:
        return int(max(w.pending[clock[PENDING_FIRST], 3], clock[NOW] + 1))
    return NEVER


@kernel
def run(table: Integers, bound: int) -> int:
    """Let the cycles before the bound pass.

    Each completed task lowers the bound to its ready time plus its duration, before which it can cause nothing; the
    bound reached is left in ``clock[BOUND]``. Returns DONE, ROOM_NEEDED (take the completions out, let the pools grow
    and call again), TIME_EXCEEDED, BAD_RANGE or STALLED: nothing has moved for STALL_CYCLES, which would be a deadlock.
    """
    w = open_flit_workspace(table)
    clock = w.clock
    status = DONE
    while status == DONE:
        time = _next_cycle(w)
        clock[NEXT_EVENT] = time
        if time >= bound:
            break
        if time >= TIME_LIMIT:
            status = TIME_EXCEEDED
            break
        if clock[EVENTS] + clock[ROUTERS_LISTED] + clock[SOURCES_LISTED] == 0:
            clock[LAST_MOVE] = time
        clock[NOW] = time - 1  # where this cycle has to be begun again
        status = _enter(w, time)
        if status == DONE and not _has_room(w):
            status = ROOM_NEEDED
        if status == DONE:
            clock[NOW] = time
            _settle(w, time)
            _inject_all(w, time)
            bound = _work_routers(w, time, bound)
            if time - clock[LAST_MOVE] > STALL_CYCLES:
                status = STALLED
    clock[BOUND] = bound
    return int(status)
