"""How flits move at the flit level: events on a wheel, buffers, the way on, the crossing of a link, deliveries."""

from __future__ import annotations

from neurosim.kernels.network_event import complete_message, core_behind, directions
from neurosim.kernels.network_flit_layout import (
    BRANCHES,
    BUFFER,
    COUNTERS_USED,
    CREDITS,
    EJECTED_FLITS,
    EVENTS,
    FREE_PACKET,
    FREE_PACKETS,
    FREE_TRANSFER,
    FREE_TRANSFERS,
    LANDINGS,
    LAST_MOVE,
    ROUTERS_LISTED,
    ROUTING,
    ROUTINGS,
    ROW_MASK,
    SENT,
    VCS,
    WAITING_VC,
    FlitWorkspace,
)
from neurosim.kernels.network_layout import (
    COLUMNS,
    CORES_PER_ROUTER,
    EJECTION,
    WAITING,
    inlined_kernel,
)


@inlined_kernel
def land_at(w: FlitWorkspace, channel: int, flit: int, time: int) -> None:
    """Let a flit reach a buffer at ``time``."""
    row = time & w.clock[ROW_MASK]
    place = w.due[row, LANDINGS]
    w.landings[row, place, 0] = channel
    w.landings[row, place, 1] = flit
    w.due[row, LANDINGS] = place + 1
    w.clock[EVENTS] += 1


@inlined_kernel
def credit_at(w: FlitWorkspace, channel: int, time: int) -> None:
    """Give one place of a buffer back to the router before it at ``time``."""
    row = time & w.clock[ROW_MASK]
    w.credits[row, w.due[row, CREDITS]] = channel
    w.due[row, CREDITS] += 1
    w.clock[EVENTS] += 1


@inlined_kernel
def route_at(w: FlitWorkspace, channel: int, time: int) -> None:
    """Let the packet in front of a buffer be routed from ``time`` on, or as soon as its router is free to.

    A router routes all packets that wait for it together and no other ones before it is done (as BookSim 2 does, whose
    ``_RouteEvaluate`` looks no further than a packet that is being routed). With a delay of 0 or 1 nobody waits.
    """
    router = w.routers[w.links[w.channels[channel]["link"]]["to_router"]]
    if time > router["routing_began"]:
        router["routing_began"] = max(time, router["routing_began"] + w.clock[ROUTING])
    row = (router["routing_began"] + w.clock[ROUTING]) & w.clock[ROW_MASK]
    w.routings[row, w.due[row, ROUTINGS]] = channel
    w.due[row, ROUTINGS] += 1
    w.clock[EVENTS] += 1


@inlined_kernel
def list_router(w: FlitWorkspace, router: int) -> None:
    """See to it that a router is looked at in every cycle until it has nothing to do."""
    if w.routers[router]["listed"] == 0:
        w.routers[router]["listed"] = 1
        w.router_list[w.clock[ROUTERS_LISTED]] = router
        w.clock[ROUTERS_LISTED] += 1


@inlined_kernel
def offer(w: FlitWorkspace, channel: int) -> None:
    """Mark whether a buffer has a flit for an output channel that its packet holds."""
    here = w.channels[channel]
    first = channel * w.clock[BRANCHES]
    ready = False
    for index in range(first, first + here["branches"]):
        branch = w.branches[index]
        ready |= branch["vc"] >= 0 and branch["sent"] - here["gone"] < here["count"]
    entry = w.links[here["link"]]
    bit = 1 << here["vc"]
    router = w.routers[entry["to_router"]]
    if ready:
        entry["requests"] |= bit
        router["request_ports"] |= 1 << entry["in_port"]
        list_router(w, entry["to_router"])
    else:
        entry["requests"] &= ~bit
        if entry["requests"] == 0:
            router["request_ports"] &= ~(1 << entry["in_port"])


@inlined_kernel
def land(w: FlitWorkspace, channel: int, flit: int, time: int) -> None:
    """Put a flit into its buffer; a head in front is routed, a flit that the switch waits for requests it."""
    here, size = w.channels[channel], w.clock[BUFFER]
    place = here["first"] + here["count"]
    w.buffers[channel * size + (place - size if place >= size else place)] = flit
    here["count"] += 1
    if here["branches"] > 0:
        offer(w, channel)
    elif here["count"] == 1:
        route_at(w, channel, time)


@inlined_kernel
def _add_branch(w: FlitWorkspace, channel: int, link: int) -> None:
    """Let the packet in front of a buffer go on by ``link``, too."""
    here = w.channels[channel]
    branch = w.branches[channel * w.clock[BRANCHES] + here["branches"]]
    branch["link"] = link
    branch["vc"] = WAITING_VC
    branch["sent"] = 0
    here["branches"] += 1


@inlined_kernel
def _fork(w: FlitWorkspace, channel: int, target: int, injection: int) -> None:
    """List the links by which a multicast leaves: the union of the XY routes, without the source core."""
    link = w.channels[channel]["link"]
    here = w.links[link]
    ways = directions(w, link, injection, target)
    per_router = w.clock[CORES_PER_ROUTER]
    first_core = (here["y"] * w.clock[COLUMNS] + here["x"]) * per_router
    own_core = first_core + injection - here["first_link"]  # that of the source, at the router where it is
    for way in range(4 + per_router):
        core = first_core + way - 4
        if ways >> way & 1 if way < 4 else w.member[target, core] and core != own_core:
            _add_branch(w, channel, here["first_link"] + per_router + 1 + way)


@inlined_kernel
def route(w: FlitWorkspace, channel: int) -> None:
    """Find the ways on of the packet in front of a buffer, x before y; it waits for an output channel on each."""
    here, size = w.channels[channel], w.clock[BUFFER]
    packet = w.packets[w.buffers[channel * size + here["first"]] >> 32]
    transfer = w.transfers[packet["transfer"]]
    here["length"] = packet["length"]
    here["gone"] = 0
    here["needs"] = packet["length"] if transfer["target"] < 0 else 0
    entry = w.links[here["link"]]
    message = w.messages[transfer["message"]]
    if transfer["target"] < 0:
        _fork(w, channel, -1 - transfer["target"], message["injection"])
    else:
        east = entry["first_link"] + w.clock[CORES_PER_ROUTER] + 1
        way = transfer["target"]
        if message["x"] != entry["x"]:
            way = east + (message["x"] < entry["x"])
        elif message["y"] != entry["y"]:
            way = east + 2 + (message["y"] > entry["y"])
        _add_branch(w, channel, way)
    entry["waiting"] |= 1 << here["vc"]
    w.routers[entry["to_router"]]["waiting_ports"] |= 1 << entry["in_port"]
    list_router(w, entry["to_router"])


@inlined_kernel
def cross(w: FlitWorkspace, channel: int, index: int, time: int, bound: int) -> int:
    """Send the next flit of a branch over its link and return the bound, which a delivery may lower."""
    here, size, clock = w.channels[channel], w.clock[BUFFER], w.clock
    branch = w.branches[index]
    link, ahead = branch["link"], branch["link"] * clock[VCS] + branch["vc"]
    place = here["first"] + branch["sent"] - here["gone"]
    flit = w.buffers[channel * size + (place - size if place >= size else place)]
    out = w.links[link]
    out["free"] = time + out["cycles"]
    out["busy"] += out["cycles"]
    out["flits"] += 1
    out["messages"] += branch["sent"] == 0
    w.channels[ahead]["credits"] -= 1
    branch["sent"] += 1
    clock[LAST_MOVE] = time
    arrival = time + out["flight"]
    is_tail = branch["sent"] == here["length"]
    if is_tail:
        out["unowned"] |= 1 << branch["vc"]
        branch["vc"] = SENT
    if out["kind"] != EJECTION:
        land_at(w, ahead, flit, arrival)
        return bound
    clock[EJECTED_FLITS] += 1
    credit_at(w, ahead, arrival + out["credit_flight"])
    return _deliver(w, link, flit >> 32, arrival, bound) if is_tail else bound


@inlined_kernel
def leave(w: FlitWorkspace, channel: int, time: int) -> None:
    """Free the place of a flit that all branches have sent; behind a tail the next packet is routed."""
    here = w.channels[channel]
    first = channel * w.clock[BRANCHES]
    least = w.branches[first]["sent"]
    for index in range(first + 1, first + here["branches"]):
        least = min(least, w.branches[index]["sent"])
    if least > here["gone"]:  # by one: a buffer is read once a cycle
        here["gone"] = least
        here["count"] -= 1
        here["first"] += 1
        if here["first"] == w.clock[BUFFER]:
            here["first"] = 0
        credit_at(w, channel, time + w.links[here["link"]]["credit_flight"])
        if least == here["length"]:
            here["branches"] = 0
            if here["count"] > 0:
                route_at(w, channel, time + 1)
    offer(w, channel)


@inlined_kernel
def size_class(count: int) -> int:
    """Return the least c with 2^c >= count."""
    bits = 0
    while 1 << bits < count:
        bits += 1
    return bits


@inlined_kernel
def take_counters(w: FlitWorkspace, count: int) -> int:
    """Return a block of ``count`` counters at 0."""
    bits = size_class(count)
    block = w.counter_lists[bits]
    if block >= 0:
        w.counter_lists[bits] = w.counters[block]
    else:
        block = w.clock[COUNTERS_USED]
        w.clock[COUNTERS_USED] += 1 << bits
    w.counters[block : block + count] = 0
    return int(block)


@inlined_kernel
def _free_packet(w: FlitWorkspace, packet: int, count: int) -> None:
    """Take one delivery off a packet and its message, and free what has none left."""
    clock = w.clock
    row = w.packets[packet]
    transfer = w.transfers[row["transfer"]]
    transfer["left"] -= 1
    if transfer["left"] == 0:
        if transfer["first_counter"] >= 0:
            bits = size_class(count)
            w.counters[transfer["first_counter"]] = w.counter_lists[bits]
            w.counter_lists[bits] = transfer["first_counter"]
        transfer["next"] = clock[FREE_TRANSFER]
        clock[FREE_TRANSFER] = row["transfer"]
        clock[FREE_TRANSFERS] += 1
    row["tails"] -= 1
    if row["tails"] == 0:
        row["next"] = clock[FREE_PACKET]
        clock[FREE_PACKET] = packet
        clock[FREE_PACKETS] += 1


@inlined_kernel
def _deliver(w: FlitWorkspace, link: int, packet: int, delivered: int, bound: int) -> int:
    """Count a packet's delivery; the last one of its message to a core is an input of that core's tasks."""
    core = core_behind(w, link)
    transfer = w.transfers[w.packets[packet]["transfer"]]
    count = 1 if transfer["target"] >= 0 else w.places[-1 - transfer["target"], w.places.shape[1] - 1] + 1
    complete = True
    if transfer["packets"] > 1:
        place = 0 if transfer["target"] >= 0 else w.places[-1 - transfer["target"], core]
        w.counters[transfer["first_counter"] + place] += 1
        complete = w.counters[transfer["first_counter"] + place] == transfer["packets"]
    if complete:
        w.clock[WAITING] -= 1
        bound = complete_message(w, transfer, core, delivered, bound)
    _free_packet(w, packet, count)
    return bound
