"""The two allocators of a router at the flit level: output channels for packets, the switch for flits.

Both are separable and take turns (iSLIP, McKeown 1999): every output grants to the requester at or after its pointer,
every input accepts the grant at or after its own, and both pointers move one past what was accepted. There is one
iteration. A multicast differs in two things. An output channel grants to it only when its buffer has room for the whole
packet, and keeps its turn until then; and a flit that is read for one output goes to all outputs that granted to it.
"""

from __future__ import annotations

from neurosim.kernels.network_flit_layout import (
    BRANCHES,
    IN_PORTS,
    OUT_PORTS,
    VCS,
    WAITING_VC,
    FlitWorkspace,
    first_bit,
    next_in_turn,
)
from neurosim.kernels.network_flit_moves import cross, leave, offer
from neurosim.kernels.network_layout import inlined_kernel


@inlined_kernel
def allocate_channels(w: FlitWorkspace, router: int) -> None:
    """Give output channels to packets that wait for one."""
    outputs = _ask(w, router)
    while outputs != 0:
        port = first_bit(outputs)
        outputs &= outputs - 1
        link = w.out_links[router, port]
        if w.links[link]["unowned"] != 0:
            if w.asks[w.ask_ends[port, 0]]["next"] < 0:
                _grant_alone(w, w.ask_ends[port, 0], link)
            else:
                _match_channels(w, w.ask_ends[port, 0], link)


@inlined_kernel
def _ask(w: FlitWorkspace, router: int) -> int:
    """List the branches that wait for an output channel, port by port in order of input; return the ports as bits."""
    vcs, stride = w.clock[VCS], w.clock[BRANCHES]
    ports, outputs, asks = w.routers[router]["waiting_ports"], 0, 0
    while ports != 0:
        port = first_bit(ports)
        ports &= ports - 1
        link = w.in_links[router, port]
        waiting = w.links[link]["waiting"]
        while waiting != 0:
            vc = first_bit(waiting)
            waiting &= waiting - 1
            channel = link * vcs + vc
            first = channel * stride
            for index in range(first, first + w.channels[channel]["branches"]):
                if w.branches[index]["vc"] != WAITING_VC:
                    continue
                out = w.links[w.branches[index]["link"]]["out_port"]
                ask = w.asks[asks]
                ask["channel"] = channel
                ask["branch"] = index
                ask["index"] = port * vcs + vc
                ask["next"] = -1
                if outputs >> out & 1:
                    w.asks[w.ask_ends[out, 1]]["next"] = asks
                else:
                    w.ask_ends[out, 0] = asks
                    outputs |= 1 << out
                w.ask_ends[out, 1] = asks
                asks += 1
    return int(outputs)


@inlined_kernel
def _has_room(w: FlitWorkspace, ask: int, output: int) -> bool:
    """Whether an output channel may grant: to a multicast only when the whole packet fits into its buffer."""
    return bool(w.channels[output]["credits"] >= w.channels[w.asks[ask]["channel"]]["needs"])


@inlined_kernel
def _take(w: FlitWorkspace, ask: int, link: int, vc: int) -> None:
    """Give output channel ``vc`` of a link to a branch, and move the pointers of both one past the other."""
    vcs, asked, out = w.clock[VCS], w.asks[ask], w.links[link]
    channel = asked["channel"]
    here = w.channels[channel]
    out["unowned"] &= ~(1 << vc)
    w.branches[asked["branch"]]["vc"] = vc
    after, behind = asked["index"] + 1, out["out_port"] * vcs + vc + 1
    w.channels[link * vcs + vc]["grant_turn"] = after if after < w.clock[IN_PORTS] * vcs else 0
    here["accept_turn"] = behind if behind < w.clock[OUT_PORTS] * vcs else 0
    first, waits = channel * w.clock[BRANCHES], False
    for index in range(first, first + here["branches"]):
        waits |= w.branches[index]["vc"] == WAITING_VC
    if not waits:
        entry = w.links[here["link"]]
        entry["waiting"] &= ~(1 << here["vc"])
        if entry["waiting"] == 0:
            w.routers[entry["to_router"]]["waiting_ports"] &= ~(1 << entry["in_port"])
    offer(w, channel)


@inlined_kernel
def _accept_channel(w: FlitWorkspace, ask: int, link: int, granting: int) -> None:
    """Let an input take one of the channels of a link that grant to it, if any do."""
    if granting != 0:
        vcs = w.clock[VCS]
        turn = w.channels[w.asks[ask]["channel"]]["accept_turn"] - w.links[link]["out_port"] * vcs
        _take(w, ask, link, next_in_turn(granting, turn if 0 <= turn < vcs else 0))


@inlined_kernel
def _grant_alone(w: FlitWorkspace, ask: int, link: int) -> None:
    """Match the only request at an output: all its free channels grant."""
    granting = w.links[link]["unowned"]
    if w.channels[w.asks[ask]["channel"]]["needs"] > 0:
        for vc in range(w.clock[VCS]):
            if not _has_room(w, ask, link * w.clock[VCS] + vc):
                granting &= ~(1 << vc)
    _accept_channel(w, ask, link, granting)


@inlined_kernel
def _match_channels(w: FlitWorkspace, first: int, link: int) -> None:
    """Match several requests at an output with its free channels, each of which grants to the one whose turn it is."""
    vcs, unowned = w.clock[VCS], w.links[link]["unowned"]
    for vc in range(vcs):
        w.given[vc] = _grant_channel(w, first, link * vcs + vc) if unowned >> vc & 1 else -1
    ask = first
    while ask >= 0:
        granting = 0
        for vc in range(vcs):
            if w.given[vc] == ask:
                granting |= 1 << vc
        _accept_channel(w, ask, link, granting)
        ask = w.asks[ask]["next"]


@inlined_kernel
def _grant_channel(w: FlitWorkspace, first: int, output: int) -> int:
    """Return the request whose turn it is at an output channel, or -1 while the channel waits for its room."""
    turn, ask, chosen = w.channels[output]["grant_turn"], first, first
    while ask >= 0:
        if w.asks[ask]["index"] >= turn:
            chosen = ask
            break
        ask = w.asks[ask]["next"]
    return chosen if _has_room(w, chosen, output) else -1


@inlined_kernel
def match_switch(w: FlitWorkspace, router: int, time: int) -> int:
    """Match inputs and outputs of a router for one cycle; return the inputs as bits, their outputs in ``w.granted``."""
    outputs, inputs = _request_switch(w, router, time), 0
    while outputs != 0:
        out = first_bit(outputs)
        outputs &= outputs - 1
        port = next_in_turn(w.wanted_by[out], w.links[w.out_links[router, out]]["grant_turn"])
        w.granted[port] = w.granted[port] | 1 << out if inputs >> port & 1 else 1 << out
        inputs |= 1 << port
    rest = inputs
    while rest != 0:
        _accept(w, router, first_bit(rest))
        rest &= rest - 1
    return int(inputs)


@inlined_kernel
def _request_switch(w: FlitWorkspace, router: int, time: int) -> int:
    """Let every input request, for each output, the buffer whose turn it is; return the outputs as bits."""
    vcs, stride = w.clock[VCS], w.clock[BRANCHES]
    ports, outputs = w.routers[router]["request_ports"], 0
    while ports != 0:
        port = first_bit(ports)
        ports &= ports - 1
        link = w.in_links[router, port]
        turn, requests, wants = w.links[link]["vc_turn"], w.links[link]["requests"], 0
        while requests != 0:
            vc = next_in_turn(requests, turn)
            requests &= ~(1 << vc)
            channel = link * vcs + vc
            here = w.channels[channel]
            first = channel * stride
            for index in range(first, first + here["branches"]):
                branch = w.branches[index]
                if branch["vc"] < 0 or branch["sent"] - here["gone"] >= here["count"]:
                    continue
                out_link = w.links[branch["link"]]
                out = out_link["out_port"]
                has_credit = w.channels[branch["link"] * vcs + branch["vc"]]["credits"] > 0
                if has_credit and out_link["free"] <= time and not wants >> out & 1:
                    w.chosen[port, out] = index
                    w.wanted_by[out] = w.wanted_by[out] | 1 << port if outputs >> out & 1 else 1 << port
                    wants |= 1 << out
                    outputs |= 1 << out
    return int(outputs)


@inlined_kernel
def _accept(w: FlitWorkspace, router: int, port: int) -> None:
    """Let an input accept one of its grants, and all others for the same flit."""
    link, granted, accepted = w.links[w.in_links[router, port]], w.granted[port], 0
    lead = next_in_turn(granted, link["accept_turn"])
    branch = w.branches[w.chosen[port, lead]]
    while granted != 0:
        out = first_bit(granted)
        granted &= granted - 1
        other = w.branches[w.chosen[port, out]]
        if other["channel"] == branch["channel"] and other["sent"] == branch["sent"]:
            accepted |= 1 << out
            w.links[w.out_links[router, out]]["grant_turn"] = port + 1 if port + 1 < w.clock[IN_PORTS] else 0
    link["accept_turn"] = lead + 1 if lead + 1 < w.clock[OUT_PORTS] else 0
    w.granted[port] = accepted


@inlined_kernel
def traverse_switch(w: FlitWorkspace, router: int, inputs: int, time: int, bound: int) -> int:
    """Send the flits of the matched inputs and return the bound."""
    while inputs != 0:
        port = first_bit(inputs)
        inputs &= inputs - 1
        outputs, channel = w.granted[port], 0
        while outputs != 0:
            out = first_bit(outputs)
            outputs &= outputs - 1
            channel = w.branches[w.chosen[port, out]]["channel"]
            bound = cross(w, channel, w.chosen[port, out], time, bound)
        leave(w, channel, time)
        here = w.channels[channel]
        turn = here["vc"] + 1
        w.links[here["link"]]["vc_turn"] = turn if turn < w.clock[VCS] else 0
    return bound
