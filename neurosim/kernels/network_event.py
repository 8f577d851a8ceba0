"""The event-level network: messages queue at links, are granted in order of arrival, and pass as one train of flits.

A link k of a route is granted at g_k, g_0 = max(t, free_0) and g_(k+1) = max(g_k + hop_cycles_k, free_(k+1)); it is
held until e_k = max(g_k + ceil(flits flit_bits / link_bits_k), e_(k-1) + hop_cycles_(k-1)); the message is delivered at
e_last + port_cycles. Requests queue by (arrival, link they come from); events happen in order of (time, link).

Every link has one FIFO, a list of records through a pool; a unicast keeps its record from link to link. What a core has
sent waits as ranges of messages: a record is made when the injection link is granted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.kernels import kernel
from neurosim.kernels.network_layout import (
    BAD_RANGE,
    BOUND,
    COLUMNS,
    COMPLETIONS,
    CORES_PER_ROUTER,
    CROSSINGS_LOGGED,
    DELIVERIES_LOGGED,
    DONE,
    EJECTION,
    FLIT_BITS,
    FREE_RANGE,
    FREE_RANGES,
    FREE_RECORDS,
    HORIZON,
    INJECTION,
    LAST_DELIVERY,
    LATER,
    MOST_TARGETS,
    NEXT_EVENT,
    PORT_CYCLES,
    ROOM_NEEDED,
    TIME_EXCEEDED,
    TIME_LIMIT,
    WAITING,
    WAITING_MOST,
    Integers,
    Workspace,
    inlined_kernel,
    lowest_bit,
    open_workspace,
)  # fmt: skip
from neurosim.kernels.network_queue import advance, free_record, new_record, next_time, request, schedule


@inlined_kernel
def directions(w: Any, crossed: int, injection: int, target: int) -> int:
    """Return as bits 0 to 3 whether a multicast goes on to E, W, N, S: its tree is the union of the XY routes."""
    here, source, span = w.links[crossed], w.links[injection], w.spans[target]
    x, y = here["x"], here["y"]
    columns = span.shape[0] - 1
    on_row = y == source["y"]
    east = on_row and x >= source["x"] and span[columns, 1] > x
    west = on_row and x <= source["x"] and span[columns, 0] < x
    north = y <= source["y"] and span[x, 0] < y
    south = y >= source["y"] and span[x, 1] > y
    return int(east) | int(west) << 1 | int(north) << 2 | int(south) << 3


@inlined_kernel
def _fork(w: Workspace, crossed: int, record: int) -> None:
    """Request all links out of the router that a multicast has reached: one takes its record, the others copies."""
    here = w.links[crossed]
    injection = w.messages[w.pool[record]["message"]]["injection"]
    target = -1 - w.pool[record]["target"]
    ways = directions(w, crossed, injection, target)
    per_router = w.clock[CORES_PER_ROUTER]
    first_core = (here["y"] * w.clock[COLUMNS] + here["x"]) * per_router
    own_core = first_core + injection - here["first_link"]  # that of the source, at the router where it is
    branches = 0
    for way in range(4 + per_router):
        core = first_core + way - 4
        wanted = ways >> way & 1 if way < 4 else w.member[target, core] and core != own_core
        if not wanted:
            continue
        taken = record
        if branches > 0:
            taken = new_record(w)
            w.pool[taken] = w.pool[record]
            w.clock[WAITING] += 1
        request(w, here["first_link"] + per_router + 1 + way, taken)
        branches += 1
    if branches == 0:
        free_record(w, record)


@inlined_kernel
def _way_out(w: Workspace, crossed: int, record: int) -> int:
    """Return the link by which a unicast leaves the router it has reached: x first, then y, then ejection."""
    here = w.links[crossed]
    moved = w.pool[record]
    east = here["first_link"] + w.clock[CORES_PER_ROUTER] + 1
    if moved["x"] != here["x"]:
        return int(east + (moved["x"] < here["x"]))
    if moved["y"] != here["y"]:
        return int(east + 2 + (moved["y"] > here["y"]))
    return int(moved["target"])


@inlined_kernel
def _take_injected(w: Workspace, link: int, time: int) -> int:
    """Make the record of the next message of an injection link, and count it."""
    queue = w.links[link]
    sent = w.ranges[queue["head"]]
    message = sent["first"]
    template = w.messages[message]
    record = new_record(w)
    made = w.pool[record]
    made["tail"] = 0
    made["entered"] = sent["entered"]
    made["message"] = message
    made["slot"] = sent["slot"]
    flits = w.flits[w.slots[sent["slot"]]["class"], message]
    made["flits"] = flits
    made["group"] = template["group"]
    made["target"] = template["target"]
    made["x"] = template["x"]
    made["y"] = template["y"]
    group = w.groups[template["group"]]
    group["messages"] += 1
    group["flit_hops"] += flits * template["hops"]
    group["flit_routers"] += flits * (template["hops"] + 1)
    sent["first"] = message + 1
    if message + 1 == sent["last"]:
        spent = queue["head"]
        queue["head"] = sent["next"]
        sent["next"] = w.clock[FREE_RANGE]
        w.clock[FREE_RANGE] = spent
        w.clock[FREE_RANGES] += 1
    return record


@inlined_kernel
def _arrive(w: Any, slot: int, task: int, delivered: int, message: int, bound: int) -> int:
    """Take one input off what a task waits for; the last one makes it a completion."""
    waiting = w.tasks[slot, task]
    waiting["remaining"] -= 1
    if delivered >= waiting["ready"]:
        waiting["ready"] = delivered
        waiting["cause"] = message
    if waiting["remaining"] != 0:
        return bound
    complete = w.completions[w.clock[COMPLETIONS]]
    w.clock[COMPLETIONS] += 1
    complete["slot"] = slot
    complete["task"] = task
    complete["ready"] = waiting["ready"]
    return int(min(bound, waiting["ready"] + w.durations[w.slots[slot]["class"], task]))


@inlined_kernel
def core_behind(w: Any, link: int) -> int:
    """Return the core that an ejection link leads to; of either level."""
    here = w.links[link]
    port = link - here["first_link"] - w.clock[CORES_PER_ROUTER] - 5
    return int((here["y"] * w.clock[COLUMNS] + here["x"]) * w.clock[CORES_PER_ROUTER] + port)


@inlined_kernel
def complete_message(w: Any, carried: Any, core: int, delivered: int, bound: int) -> int:
    """Count a delivery, take it off its tasks' remaining inputs, list what is complete and return the lowered bound.

    ``carried`` is a record of either level with the slot, message, group and time of entry of what has arrived.
    """
    clock = w.clock
    slot, message = carried["slot"], carried["message"]
    group = w.groups[carried["group"]]
    latency = delivered - carried["entered"]
    group["deliveries"] += 1
    group["latency_sum_cycles"] += latency
    group["latency_max_cycles"] = max(group["latency_max_cycles"], latency)
    w.slots[slot]["undelivered"] -= 1
    clock[LAST_DELIVERY] = max(clock[LAST_DELIVERY], delivered)
    if clock[DELIVERIES_LOGGED] < w.deliveries.size:
        logged = w.deliveries[clock[DELIVERIES_LOGGED]]
        clock[DELIVERIES_LOGGED] += 1
        logged["slot"] = slot
        logged["message"] = message
        logged["core"] = core
        logged["entered"] = carried["entered"]
        logged["delivered"] = delivered
    row = carried["group"] * ((w.target_start.size - 1) // w.groups.size) + core
    for target in range(w.target_start[row], w.target_start[row + 1]):
        into = slot + w.targets[target, 1]
        if into >= w.slots.size:
            into -= w.slots.size
        bound = _arrive(w, into, w.targets[target, 0], delivered, message, bound)
    return bound


@inlined_kernel
def _deliver(w: Workspace, link: int, record: int, released: int, bound: int) -> int:
    """Deliver a message and free its record; return the lowered bound."""
    bound = complete_message(w, w.pool[record], core_behind(w, link), released + w.clock[PORT_CYCLES], bound)
    free_record(w, record)
    return bound


@inlined_kernel
def _grant(w: Workspace, link: int, time: int, bound: int) -> int:
    """Let the head of a link's FIFO cross the link, and return the bound."""
    crossed = w.links[link]
    if crossed["kind"] == INJECTION:
        record = _take_injected(w, link, time)
        moved = w.pool[record]
    else:
        record = crossed["head"]
        moved = w.pool[record]
        crossed["head"] = moved["next"]
    flits = moved["flits"]
    cycles = flits
    if crossed["link_bits"] != w.clock[FLIT_BITS]:
        cycles = (flits * w.clock[FLIT_BITS] + crossed["link_bits"] - 1) // crossed["link_bits"]
    released = max(time + cycles, moved["tail"])
    crossed["free"] = released
    crossed["busy"] += released - time
    crossed["flits"] += flits
    crossed["messages"] += 1
    if crossed["head"] >= 0:
        injects = crossed["kind"] == INJECTION
        due = w.ranges[crossed["head"]]["entered"] if injects else w.pool[crossed["head"]]["arrival"]
        schedule(w, link, max(due, released))
    if w.clock[CROSSINGS_LOGGED] < w.crossings.size:
        _log_crossing(w, link, record, time, released)
    if crossed["kind"] == EJECTION:
        return _deliver(w, link, record, released, bound)
    moved["arrival"] = time + crossed["hop_cycles"]
    moved["tail"] = released + crossed["hop_cycles"]
    moved["came_from"] = link
    if moved["target"] >= 0:
        request(w, _way_out(w, link, record), record)
    else:
        _fork(w, link, record)
    w.clock[WAITING_MOST] = max(w.clock[WAITING_MOST], w.clock[WAITING])
    return bound


@inlined_kernel
def _log_crossing(w: Workspace, link: int, record: int, time: int, released: int) -> None:
    """Write one crossing to the log."""
    logged = w.crossings[w.clock[CROSSINGS_LOGGED]]
    w.clock[CROSSINGS_LOGGED] += 1
    logged["link"] = link
    logged["slot"] = w.pool[record]["slot"]
    logged["message"] = w.pool[record]["message"]
    logged["granted"] = time
    logged["released"] = released


@inlined_kernel
def _has_room(w: Workspace) -> bool:
    """Whether the 64 links of a word of the wheel can all be granted: records, heap places and completions."""
    stride = 2 * w.clock[CORES_PER_ROUTER] + 5
    return bool(
        w.clock[FREE_RECORDS] >= 64 * stride
        and w.later.size - w.clock[LATER] >= 64 * (stride + 1)
        and w.completions.size - w.clock[COMPLETIONS] >= 64 * w.clock[MOST_TARGETS]
    )


@inlined_kernel
def _grant_cycle(w: Workspace, time: int, bound: int) -> tuple[int, int]:
    """Grant all links whose event is at ``time`` in order of link id; what they cause is later than ``time``."""
    row = time & (HORIZON - 1)
    summary_words = (((w.links.size + 63) >> 6) + 63) >> 6
    for summary in range(summary_words):
        words = w.wheel[row, summary]
        while words != np.uint64(0):
            word = (summary << 6) + lowest_bit(words)
            if not _has_room(w):
                return ROOM_NEEDED, bound
            links = w.wheel[row, summary_words + word]
            w.wheel[row, summary_words + word] = np.uint64(0)
            words &= words - np.uint64(1)
            w.wheel[row, summary] = words
            while links != np.uint64(0):
                bound = _grant(w, (word << 6) + lowest_bit(links), time, bound)
                links &= links - np.uint64(1)
    w.wheel[HORIZON, row >> 6] &= ~(np.uint64(1) << np.uint64(row & 63))
    return DONE, bound


@inlined_kernel
def _enter(w: Workspace, sends: int) -> int:
    """Queue the ranges of messages that were sent since the last call at their injection links."""
    for index in range(sends):
        slot, first, last, time = w.sends[index, 0], w.sends[index, 1], w.sends[index, 2], w.sends[index, 3]
        link = w.messages[first]["injection"]
        if w.messages[last - 1]["injection"] != link:
            return BAD_RANGE
        place = w.clock[FREE_RANGE]
        entered = w.ranges[place]
        w.clock[FREE_RANGE] = entered["next"]
        w.clock[FREE_RANGES] -= 1
        entered["entered"] = time
        entered["slot"] = slot
        entered["first"] = first
        entered["last"] = last
        entered["next"] = -1
        queue = w.links[link]
        behind = queue["tail"]
        queue["tail"] = place
        if queue["head"] < 0:
            queue["head"] = place
            schedule(w, link, max(time, queue["free"]))
        else:
            w.ranges[behind]["next"] = place
        w.slots[slot]["undelivered"] += w.messages[last]["deliveries_before"] - w.messages[first]["deliveries_before"]
        w.clock[WAITING] += last - first
    w.clock[WAITING_MOST] = max(w.clock[WAITING_MOST], w.clock[WAITING])
    return DONE


@kernel
def run(table: Integers, sends: int, bound: int) -> int:
    """Enter ``sends`` rows of ``w.sends``, then grant links while their time is before the bound.

    Each completed task lowers the bound to its ready time plus its duration, before which it can cause nothing; the
    bound reached is left in ``clock[BOUND]``. The caller has seen to ``sends`` free ranges and heap places. Returns
    DONE, ROOM_NEEDED (take the completions out, see to free records and heap places, and call again without sends),
    TIME_EXCEEDED or BAD_RANGE.
    """
    w = open_workspace(table)
    status = _enter(w, sends)
    while status == DONE:
        time = next_time(w)
        w.clock[NEXT_EVENT] = time
        if time >= bound:
            break
        if time >= TIME_LIMIT:
            status = TIME_EXCEEDED
            break
        advance(w, time)
        status, bound = _grant_cycle(w, time, bound)
    w.clock[BOUND] = bound
    return int(status)
