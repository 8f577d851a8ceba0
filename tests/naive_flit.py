"""The flit-level network cycle by cycle over dictionaries; slow, and short enough to believe.

A branch of a packet is the link it leaves by and the cores behind it. Each cycle first computes what every router will
do from what it sees, and then does it.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field

from naive_network import NaiveMessage, next_link

from neurosim.engine.flit_tables import FlitRouter
from neurosim.topology import Mesh

Key = tuple[int, int]  # link, virtual channel


@dataclass
class Packet:
    """What travels together."""

    entry: tuple[int, int, int]  # slot, message, time entered
    length: int
    cores: frozenset[int]
    multicast: bool


@dataclass
class Buffer:
    """A virtual channel at the far end of a link: its flits, and how its first packet goes on."""

    flits: deque[tuple[Packet, int]] = field(default_factory=deque)
    cores: dict[int, frozenset[int]] = field(default_factory=dict)  # by link of a branch
    channel: dict[int, int] = field(default_factory=dict)  # given to a branch
    sent: dict[int, int] = field(default_factory=dict)
    gone: int = 0
    accept_turn: int = 0


class NaiveFlits:
    """The network in motion; ``deliveries`` are rows (slot, message, core, entered, delivered)."""

    def __init__(self, mesh: Mesh, router: FlitRouter, messages: list[NaiveMessage]) -> None:
        self.mesh, self.router, self.messages = mesh, router, messages
        self.k = mesh.cores_per_router
        self.deliveries: list[tuple[int, int, int, int, int]] = []
        self.queues: dict[int, deque[tuple[int, int, int]]] = defaultdict(deque)
        self.cut: dict[int, deque[Packet]] = defaultdict(deque)
        self.sending: dict[int, tuple[int, int]] = {}  # by source: channel, flits sent
        self.last_vc: dict[int, int] = defaultdict(lambda: router.virtual_channels - 1)
        self.buffers: dict[Key, Buffer] = defaultdict(Buffer)
        self.credit: dict[Key, int] = defaultdict(lambda: router.vc_buffer_flits)
        self.owned: set[Key] = set()
        self.free_at: dict[int, int] = defaultdict(int)
        self.events: dict[int, list[tuple[str, Key, tuple[Packet, int] | None]]] = defaultdict(list)
        self.turn: dict[tuple[str, int, int], int] = defaultdict(int)
        self.unrouted: dict[int, list[Key]] = defaultdict(list)  # by router: buffers whose packet waits to be routed
        self.routing_free_at: dict[int, int] = defaultdict(int)
        self.packets_due: dict[tuple[tuple[int, int, int], int], int] = {}

    def slot(self, link: int) -> int:
        """Position among the links of a router, from the injections at -k to the ejections at 5."""
        return link % self.mesh.stride - self.k

    def wire(self, link: int) -> int:
        if self.slot(link) > 4:
            return self.mesh.port_cycles
        return int(self.mesh.hop_cycles[link]) - self.router.routing_delay_cycles - 3

    def holds(self, link: int) -> int:
        return -(-self.mesh.flit_bits // int(self.mesh.link_bits[link]))

    def router_behind(self, link: int) -> int:
        router, slot = link // self.mesh.stride, self.slot(link)
        return router + (slot == 1) - (slot == 2) + self.mesh.columns * ((slot == 4) - (slot == 3))

    def in_port(self, link: int) -> int:
        slot = self.slot(link)
        return 4 + slot + self.k if slot <= 0 else [1, 0, 2, 3][slot - 1]

    def out_port(self, link: int) -> int:
        slot = self.slot(link)
        return slot - 1 if slot > 4 else [0, 1, 3, 2][slot - 1]

    def run(self, sends: list[tuple[int, int, int]]) -> None:
        """Send (slot, message, time) in order, and go on until everything has arrived and every credit is back."""
        waiting, time = deque(sends), 0
        while waiting or self.events or self._holds_flits():
            while waiting and waiting[0][2] <= time:
                entry = waiting.popleft()
                self.queues[self.messages[entry[1]].source].append(entry)
            self._settle(time)
            for source in sorted(set(self.queues) | set(self.cut)):
                self._inject(source, time)
            links = defaultdict(list)
            for key in sorted(self.buffers, key=lambda key: (self.in_port(key[0]), key[1])):
                links[self.router_behind(key[0])].append(key)
            work = [(keys, self._match_switch(keys, time)) for keys in links.values()]
            for keys, _ in work:
                self._give_channels(keys)
            for _, moves in work:
                self._traverse(moves, time)
            time += 1

    def _holds_flits(self) -> bool:
        buffers = any(buffer.flits for buffer in self.buffers.values())
        return buffers or any(self.queues.values()) or any(self.cut.values())

    def _settle(self, time: int) -> None:
        events = self.events.pop(time, [])
        for kind, key, flit in events:
            if kind == "flit":
                buffer = self.buffers[key]
                buffer.flits.append(flit)
                if len(buffer.flits) == 1 and not buffer.cores:
                    self.unrouted[self.router_behind(key[0])].append(key)
        for router, keys in self.unrouted.items():
            if keys and self.routing_free_at[router] <= time:
                self.routing_free_at[router] = done = time + self.router.routing_delay_cycles
                (events if done == time else self.events[done]).extend(("route", key, None) for key in keys)
                keys.clear()
        if not self.events.get(time, True):
            del self.events[time]
        for kind, key, _ in events:
            if kind == "credit":
                self.credit[key] += 1
            elif kind == "route":
                buffer = self.buffers[key]
                branches: dict[int, set[int]] = defaultdict(set)
                for core in buffer.flits[0][0].cores:
                    if core in self._behind(key[0], buffer.flits[0][0]):
                        branches[next_link(self.mesh, key[0], core)].add(core)
                buffer.cores = {link: frozenset(branches[link]) for link in sorted(branches)}
                buffer.sent, buffer.channel, buffer.gone = dict.fromkeys(buffer.cores, 0), {}, 0

    def _behind(self, link: int, packet: Packet) -> frozenset[int]:
        """The cores that a packet which came by ``link`` has to reach: those whose route from its source uses it."""
        source = self.messages[packet.entry[1]].source
        reached = set()
        for core in packet.cores:
            step = source
            while step != link and self.slot(step) <= 4:
                step = next_link(self.mesh, step, core)
            if step == link:
                reached.add(core)
        return frozenset(reached)

    def _cut(self, source: int) -> None:
        """Cut the next message of a source into packets."""
        entry = self.queues[source].popleft()
        message = self.messages[entry[1]]
        k, (router, port) = self.k, divmod(source, self.mesh.stride)
        own = {router * k + port} if port < k and message.multicast else set()
        cores = frozenset(message.cores - own)
        multicast = len(cores) > 1
        most = (
            min(self.router.packet_flits, self.router.multicast_packet_flits) if multicast else self.router.packet_flits
        )
        lengths = [min(most, message.flits - done) for done in range(0, message.flits, most)]
        self.cut[source].extend(Packet(entry, length, cores, multicast) for length in lengths)
        self.packets_due |= {(entry, core): len(lengths) for core in cores}

    def _inject(self, source: int, time: int) -> None:
        if not self.cut[source] and self.queues[source]:
            self._cut(source)
        if not self.cut[source] or self.free_at[source] > time:
            return
        packet, vcs = self.cut[source][0], self.router.virtual_channels
        if source not in self.sending:
            needed = packet.length if packet.multicast else 1
            turns = [(self.last_vc[source] + step) % vcs for step in range(1, vcs + 1)]
            fitting = [vc for vc in turns if self.credit[source, vc] >= needed]
            if not fitting:
                return
            self.sending[source] = (fitting[0], 0)
            self.last_vc[source] = fitting[0]
        vc, sent = self.sending[source]
        if self.credit[source, vc] == 0:
            return
        self._send(source, vc, (packet, sent), time, 1)
        self.sending[source] = (vc, sent + 1)
        if sent + 1 == packet.length:
            del self.sending[source]
            self.cut[source].popleft()

    def _send(self, link: int, vc: int, flit: tuple[Packet, int], time: int, stages: int) -> int:
        """Put a flit on a link and return when it arrives."""
        self.credit[link, vc] -= 1
        self.free_at[link] = time + self.holds(link)
        arrival = time + self.wire(link) + self.holds(link) - 1 + stages
        if self.slot(link) <= 4:
            self.events[arrival].append(("flit", (link, vc), flit))
        else:
            back = self.wire(link) + 1 + self.router.credit_delay_cycles
            self.events[arrival + back].append(("credit", (link, vc), None))
        return arrival

    def _match_switch(self, keys: list[Key], time: int) -> list[tuple[Key, list[int]]]:
        """Return which buffer sends its next flit over which links."""
        wanted: dict[int, dict[int, tuple[Key, int]]] = defaultdict(dict)  # output port, input port: buffer, link
        vcs = self.router.virtual_channels
        for key in sorted(keys, key=lambda key: (key[1] - self.turn["input vc", key[0], 0]) % vcs):
            buffer = self.buffers[key]
            for link, vc in buffer.channel.items():
                here = (
                    buffer.sent[link] - buffer.gone < len(buffer.flits)
                    and buffer.sent[link] < buffer.flits[0][0].length
                )
                if here and self.free_at[link] <= time and self.credit[link, vc] > 0:
                    wanted[self.out_port(link)].setdefault(self.in_port(key[0]), (key, link))
        grants: dict[int, dict[int, tuple[Key, int]]] = defaultdict(dict)  # input port, output port
        ports_in, ports_out = self.k + 5, self.k + 4
        for out, by_input in wanted.items():
            link = next(iter(by_input.values()))[1]
            chosen = min(by_input, key=lambda port: (port - self.turn["output", link, 0]) % ports_in)
            grants[chosen][out] = by_input[chosen]
        moves = []
        for port, by_output in grants.items():
            in_link = next(iter(by_output.values()))[0][0]
            lead = min(by_output, key=lambda out: (out - self.turn["input", in_link, 0]) % ports_out)
            key, lead_link = by_output[lead]
            sent = self.buffers[key].sent
            links = [link for other, link in by_output.values() if other == key and sent[link] == sent[lead_link]]
            for link in links:
                self.turn["output", link, 0] = (port + 1) % ports_in
            self.turn["input", in_link, 0] = (lead + 1) % ports_out
            self.turn["input vc", in_link, 0] = (key[1] + 1) % vcs
            moves.append((key, sorted(links)))
        return moves

    def _give_channels(self, keys: list[Key]) -> None:
        vcs = self.router.virtual_channels
        asking: dict[int, list[tuple[int, Key]]] = defaultdict(list)
        for key in keys:
            for link in self.buffers[key].cores:
                if link not in self.buffers[key].channel:
                    asking[link].append((self.in_port(key[0]) * vcs + key[1], key))
        for link, requests in sorted(asking.items(), key=lambda item: self.out_port(item[0])):
            grants: dict[Key, list[int]] = defaultdict(list)
            for vc in range(vcs):
                if (link, vc) in self.owned:
                    continue
                turn = self.turn["channel", link, vc]
                fits = [r for r in requests if self._fits(r[1], link, vc)] if len(requests) == 1 else requests
                if not fits:
                    continue
                _, key = min(fits, key=lambda r: (r[0] - turn) % ((self.k + 5) * vcs))
                if self._fits(key, link, vc):
                    grants[key].append(vc)
            for index, key in requests:
                if grants[key]:
                    buffer, first = self.buffers[key], self.out_port(link) * vcs
                    vc = min(grants[key], key=lambda vc: (first + vc - buffer.accept_turn) % ((self.k + 4) * vcs))
                    self.owned.add((link, vc))
                    buffer.channel[link] = vc
                    self.turn["channel", link, vc] = (index + 1) % ((self.k + 5) * vcs)
                    buffer.accept_turn = (first + vc + 1) % ((self.k + 4) * vcs)

    def _fits(self, key: Key, link: int, vc: int) -> bool:
        packet = self.buffers[key].flits[0][0]
        return not packet.multicast or self.credit[link, vc] >= packet.length

    def _traverse(self, moves: list[tuple[Key, list[int]]], time: int) -> None:
        for key, links in moves:
            buffer = self.buffers[key]
            for link in links:
                packet, number = buffer.flits[buffer.sent[link] - buffer.gone]
                arrival = self._send(link, buffer.channel[link], (packet, number), time, 2)
                buffer.sent[link] += 1
                if buffer.sent[link] == packet.length:
                    self.owned.remove((link, buffer.channel[link]))
                    if self.slot(link) > 4:
                        self._deliver(link, packet, arrival)
            if min(buffer.sent.values()) > buffer.gone:
                buffer.gone += 1
                packet, _ = buffer.flits.popleft()
                back = self.wire(key[0]) + 1 + (self.router.credit_delay_cycles if self.slot(key[0]) > 0 else 0)
                self.events[time + back].append(("credit", key, None))
                if buffer.gone == packet.length:
                    buffer.cores, buffer.channel = {}, {}
                    if buffer.flits:
                        self.unrouted[self.router_behind(key[0])].append(key)

    def _deliver(self, link: int, packet: Packet, arrival: int) -> None:
        core = link // self.mesh.stride * self.k + self.slot(link) - 5
        self.packets_due[packet.entry, core] -= 1
        if self.packets_due[packet.entry, core] == 0:
            slot, message, entered = packet.entry
            self.deliveries.append((slot, message, core, entered, arrival))
