"""Slow twin of time: one heap, every task and message explicit, nothing replayed.

Decided here, where the contract leaves it open: the cycles of a hop are those of the link that is left; messages that
enter one injection link in the same cycle are ordered as tasks are, by the task that sends; a port's io task needs no
core; where a microbatch has no error L, the ports of the microbatch a window later wait for its outputs, softmax sums
and labels instead. A core that holds slices of two layers in a row runs the one after the other, whether or not the
rows of its tiles meet. With its last update an owner of filters sends new weights to copies first, then to mirrors.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from naive_case import Case
from naive_duration import duration_cycles
from naive_machine import Message, Task
from naive_routes import EAST, NORTH, SOUTH, WEST, crosses_border, far_end, flits_of, next_link, router_of

from naive import walk
from neurosim.chips import Chip

Key = tuple[int, int, str, int, int]  # (step, microbatch of the step, task's name, layer, core or port)
LinkId = tuple[int, int, int]  # (router, class of link, number in its class): sorts as link ids do
KINDS = ["io", "forward", "pool", "product", "error", "unpool", "update"]  # the order where nothing else decides
RANKS = {"io": 0, "product": 0, "error": 0, "unpool": 0, "forward": 1, "pool": 1, "update": 2}
CORE_IN, PORT_IN, MESH, CORE_OUT = range(4)
HAPPENED, REQUESTED = range(2)  # within a cycle ends and deliveries come before links


@dataclass
class TaskTimes:
    """A task's cycles: when its last input was there, when it started and ended."""

    ready: int
    start: int
    end: int


@dataclass
class MessageTimes:
    """A message and its cycles: when it was made, and when each destination had all of it."""

    step: int
    microbatch: int
    message: Message
    made: int
    delivered: dict[int, int] = field(default_factory=dict)


@dataclass
class Times:
    """The times of an epoch (or a step): all tasks by key, all messages in the order they were made."""

    makespan: int
    tasks: dict[Key, TaskTimes]
    messages: list[MessageTimes]
    link_busy_cycles: Counter[LinkId]


# --- network ---------------------------------------------------------------------------------------------------------


def link_rates(chip: Chip, link: LinkId) -> tuple[int, int]:
    """Return (bits per cycle, hop_cycles) of a link; injection and ejection are the network's own, borders theirs."""
    noc = chip.noc
    if link[1] != MESH:
        return noc.link_bits, noc.hop_cycles
    rates = {EAST: noc.east, WEST: noc.west, NORTH: noc.north, SOUTH: noc.south}[link[2]]
    bits, hop_cycles = rates.link_bits or noc.link_bits, rates.hop_cycles or noc.hop_cycles
    if crosses_border(chip, (link[0], link[2])):
        bits, hop_cycles = noc.border.link_bits or bits, noc.border.hop_cycles or hop_cycles
    return bits, hop_cycles


def out_links(chip: Chip, router: int, cores: Sequence[int]) -> dict[LinkId, list[int]]:
    """Return the links a message takes out of a router, each with the destinations beyond it."""
    branches: dict[LinkId, list[int]] = {}
    for core in cores:
        step = next_link(chip, router, router_of(chip, core))
        link = (router, CORE_OUT, core % chip.noc.cores_per_router) if step is None else (router, MESH, step[1])
        branches.setdefault(link, []).append(core)
    return branches


# --- the graph of an epoch -------------------------------------------------------------------------------------------


@dataclass
class Graph:
    """Tasks and messages of an epoch with what each waits for."""

    case: Case
    steps: list[Case]
    durations: dict[Key, int] = field(default_factory=dict)
    slices: dict[Key, int] = field(default_factory=dict)
    waits: dict[Key, set[Key]] = field(default_factory=dict)
    messages: list[tuple[int, Message]] = field(default_factory=list)  # (step, message)
    gates: dict[int, set[Key]] = field(default_factory=dict)  # of each message, the tasks it waits for
    feeds: dict[int, dict[int, set[Key]]] = field(default_factory=dict)  # of each message and core, who needs it
    flight: list[tuple[int, int]] = field(default_factory=list)  # (step, microbatch) counted on through steps


def build(case: Case, batches: Sequence[int]) -> Graph:
    """Return the graph of an epoch whose steps have the given numbers of samples."""
    graph = Graph(case, [replace(case, batch=batch) for batch in batches])
    for step, its_case in enumerate(graph.steps):
        walked = walk(its_case)
        graph.flight += [(step, microbatch) for microbatch in range(len(walked.microbatches))]
        for task in walked.tasks:
            key = _key(step, task)
            graph.durations[key] = duration_cycles(its_case, task)
            graph.slices[key] = _slice_number(case, task)
        graph.messages += [(step, message) for message in walked.messages]
    for at, (step, microbatch) in enumerate(graph.flight):
        for key in [each for each in graph.durations if each[:2] == (step, microbatch)]:
            graph.waits[key] = {each for each in _waits(graph, key, at) if each in graph.durations and each != key}
    for number, (step, message) in enumerate(graph.messages):
        _connect(graph, number, step, message)
    return graph


def _key(step: int, task: Task) -> Key:
    return step, task.microbatch, task.name, task.layer, task.core


def _slice_number(case: Case, task: Task) -> int:
    if task.name == "io":
        return 0
    owners = case.cores[task.layer if task.name == "product" else task.layer - 1]
    return list(owners).index(task.core)


def _everywhere(graph: Graph, at: int, name: str, layer: int) -> set[Key]:
    """Return a layer's tasks of one name, on all its cores, of the microbatch in place ``at`` of the epoch."""
    if at < 0 or not 1 <= layer <= graph.case.depth:
        return set()
    return {(*graph.flight[at], name, layer, core) for core in graph.case.cores[layer - 1]}


def _done_with(graph: Graph, at: int, layer: int) -> set[Key]:
    """Return what frees a layer's buffers of a microbatch: its updates, or its last tasks if it has none."""
    if at < 0 or not 1 <= layer <= graph.case.depth:
        return set()
    for name in ("update", graph.case.error_end(layer), graph.case.forward_end(layer)):
        tasks = _everywhere(graph, at, name, layer)
        if tasks and tasks <= graph.durations.keys():
            return tasks
    return set()


def _has_output_error(case: Case) -> bool:
    return case.phases == "all" and case.has_error(case.depth)


def _waits(graph: Graph, key: Key, at: int) -> set[Key]:
    """Return the tasks a task waits for (messages come on top); those that do not exist are dropped later."""
    step, microbatch, name, layer, core = key
    early = at - graph.case.window
    last = len(graph.steps[step].samples()) - 1

    def here(task: str, of: int, when: tuple[int, int] = (step, microbatch)) -> Key:
        return (*when, task, of, core)

    case = graph.case
    if name == "io":
        output = "error" if _has_output_error(case) else "forward"
        outputs = _everywhere(graph, early, output, case.depth)
        before = {here("io", 0, graph.flight[at - 1])} if at else set()
        return before | outputs | _done_with(graph, early, 1)
    if name == "forward":
        waits = {here(case.forward_end(layer - 1), layer - 1)} if layer > 1 else set()
        waits |= _done_with(graph, early, layer) | _done_with(graph, early, layer + 1)
        return waits | ({_last_update(graph, step - 1, layer, core)} if step else set())
    if name in ("pool", "unpool"):
        return {here("forward" if name == "pool" else "error", layer)}
    if name == "product":
        return {here(case.error_end(layer + 1), layer + 1)}
    if name == "error":
        return {here(case.forward_end(layer), layer)} | _own_sources(graph, key)
    waits = {here(case.error_end(layer), layer)}
    if at:
        waits.add(here("update", layer, graph.flight[at - 1]))
    if microbatch == last:
        for each in range(last + 1):
            waits |= {here("forward", layer, (step, each)), here("product", layer - 1, (step, each))}
    return waits


def _last_update(graph: Graph, step: int, layer: int, core: int) -> Key:
    return step, len(graph.steps[step].samples()) - 1, "update", layer, core


def _own_sources(graph: Graph, key: Key) -> set[Key]:
    """Return the tasks on a hidden error's own core that make part of its source: no message, no latency."""
    step, microbatch, _, layer, core = key
    case = graph.case
    if layer == case.depth or case.rule.error == "target":
        return set()
    if case.rule.partial_sums:
        return {(step, microbatch, "product", layer, core)}
    source, part = case.source_layer(layer), case.part_on(layer, core)
    own = case.part_on(source, core)
    assert part is not None
    used = case.error_values(layer, part)
    shared = own is not None and (case.rule.error == "next" or used & set(own.map_units))
    sources = {(step, microbatch, case.error_end(source), source, core)} if shared else set()
    if case.rule.mirrored and step:
        sources.add(_last_update(graph, step - 1, layer + 1, core))  # a block whose owner is the same core
    return sources


def _connect(graph: Graph, number: int, step: int, message: Message) -> None:
    """Say what a message waits for and which tasks wait for it."""
    sender = _key(step, message.sender)
    graph.gates[number] = {sender}
    microbatches = [(step, message.sender.microbatch)]
    if message.purpose == "weights":  # the mirror is read until the step's last error there, and then by the next step
        (core,) = message.destinations
        layer = message.sender.layer - 1
        graph.gates[number] |= {(*when, "error", layer, core) for when in graph.flight if when[0] == step}
    if message.purpose in ("weights", "copies"):
        microbatches = [when for when in graph.flight if when[0] == step + 1]
    if message.purpose in ("exchange", "labels") and not _has_output_error(graph.case):
        at = graph.flight.index(microbatches[0]) + graph.case.window  # or any number of microbatches would be in flight
        microbatches = graph.flight[at : at + 1]
        ports = {key for key in graph.durations if key[:2] in microbatches and key[2] == "io"}
        graph.feeds[number] = dict.fromkeys(message.destinations, ports)
        return
    graph.feeds[number] = {
        core: {key for when in microbatches for role in roles if (key := (*when, *role, core)) in graph.durations}
        for core, roles in message.feeds.items()
    }


# --- the simulation --------------------------------------------------------------------------------------------------


class Simulation:
    """Some of a graph's tasks and messages, from an empty chip; what is left out counts as done long ago."""

    def __init__(self, graph: Graph, microbatches: Sequence[tuple[int, int]]) -> None:
        self.graph, self.chip = graph, graph.case.chip
        inside = set(microbatches)
        self.numbers = [n for n, (step, m) in enumerate(graph.messages) if (step, m.sender.microbatch) in inside]
        self.waiting: dict[Key, set[object]] = {
            key: {each for each in waits if each[:2] in inside}
            for key, waits in graph.waits.items()
            if key[:2] in inside
        }
        self.gates = {n: {key for key in graph.gates[n] if key[:2] in inside} for n in self.numbers}
        for number in self.numbers:
            for core, keys in graph.feeds[number].items():
                for key in keys & self.waiting.keys():
                    self.waiting[key].add((number, core))
        self.ready: dict[tuple[str, int], list[tuple[int, int, int, int, int, int, int, Key]]] = {}
        self.busy: set[tuple[str, int]] = set()
        self.heap: list[tuple[int, int, LinkId, LinkId, int, object]] = []
        self.free: Counter[LinkId] = Counter()
        self.sequence = 0
        self.times = Times(0, {}, [], Counter())
        self.sent: dict[int, MessageTimes] = {}
        self._run()

    def _run(self) -> None:
        self._tell_ready(0, None)
        self._start_tasks(0)
        while self.heap:
            now = self.heap[0][0]
            ended: list[Key] = []
            while self.heap and self.heap[0][:2] == (now, HAPPENED):  # (1) ends and deliveries
                self._happen(now, heapq.heappop(self.heap)[-1], ended)
            self._start_tasks(now)  # (2) is kept up by _happen; (3)
            self._enter_messages(now, ended)  # (4)
            while self.heap and self.heap[0][:2] == (now, REQUESTED):  # (5)
                _, _, link, _, _, request = heapq.heappop(self.heap)
                self._grant(now, link, request)
            self.times.makespan = now
        assert len(self.times.tasks) == len(self.waiting), "some tasks never ran"
        assert len(self.times.messages) == len(self.numbers), "some messages never left"

    def _push(self, when: int, order: int, link: LinkId, origin: LinkId, what: object) -> None:
        self.sequence += 1
        heapq.heappush(self.heap, (when, order, link, origin, self.sequence, what))

    def _resource(self, key: Key) -> tuple[str, int]:
        return ("port" if key[2] == "io" else "core"), key[4]

    def _happen(self, now: int, what: object, ended: list[Key]) -> None:
        """Take in the end of a task or the delivery of a message to a core."""
        if what in self.waiting:
            assert isinstance(what, tuple)
            ended.append(what)
            self.busy.remove(self._resource(what))
        self._tell_ready(now, what)

    def _tell_ready(self, now: int, what: object) -> None:
        """Strike one input off every task that waits for it and list those that have all."""
        for key, waits in self.waiting.items():
            if what is None or what in waits:
                waits.discard(what)
                if not waits:
                    step, microbatch, name, layer, _ = key
                    last = (self.graph.slices[key], KINDS.index(name), key)
                    entry = (now, step, microbatch, RANKS[name], layer, *last)
                    self.ready.setdefault(self._resource(key), []).append(entry)

    def _start_tasks(self, now: int) -> None:
        for resource, entries in self.ready.items():
            if entries and resource not in self.busy:
                entry = min(entries)
                entries.remove(entry)
                key = entry[-1]
                end = now + self.graph.durations[key]
                self.times.tasks[key] = TaskTimes(entry[0], now, end)
                self.busy.add(resource)
                self._push(end, HAPPENED, (0, 0, 0), (0, 0, 0), key)

    def _enter_messages(self, now: int, ended: list[Key]) -> None:
        """Give the messages whose tasks have all ended to their injection links."""
        made = []
        for number, gate in self.gates.items():
            gate.difference_update(ended)
            if not gate and number not in self.sent:
                step, message = self.graph.messages[number]
                key = _key(step, message.sender)
                order = (*key[:2], RANKS[key[2]], key[3], self.graph.slices[key], number)
                made.append((order, number))
        for _, number in sorted(made):
            step, message = self.graph.messages[number]
            self.sent[number] = MessageTimes(step, message.sender.microbatch, message, now)
            self.times.messages.append(self.sent[number])
            sender = message.sender
            lane = sender.core if sender.name == "io" else sender.core % self.chip.noc.cores_per_router
            link = (message.router, PORT_IN if sender.name == "io" else CORE_IN, lane)
            self._push(now, REQUESTED, link, (-1, 0, 0), (number, message.destinations, 0))

    def _grant(self, now: int, link: LinkId, request: object) -> None:
        """Let a message take a link as soon as it is free, and request the links after it."""
        assert isinstance(request, tuple)
        number, cores, tail_arrives = request
        bits, hop_cycles = link_rates(self.chip, link)
        granted = max(now, self.free[link])
        flits = flits_of(self.chip, self.sent[number].message.payload_bits)
        released = max(granted + -(-flits * self.chip.noc.flit_bits // bits), tail_arrives)
        self.free[link] = released
        self.times.link_busy_cycles[link] += released - granted
        if link[1] == CORE_OUT:
            (core,) = cores
            self.sent[number].delivered[core] = released + self.chip.noc.port_cycles
            self._push(released + self.chip.noc.port_cycles, HAPPENED, (0, 0, 0), (0, 0, 0), (number, core))
            return
        router = far_end(self.chip, (link[0], link[2])) if link[1] == MESH else link[0]
        for after, beyond in out_links(self.chip, router, cores).items():
            self._push(granted + hop_cycles, REQUESTED, after, link, (number, beyond, released + hop_cycles))


def simulate(case: Case, batches: Sequence[int] | None = None) -> Times:
    """Return the times of an epoch of steps with the given numbers of samples (one step by default).

    Overlap none: each microbatch runs from an empty chip and they add up, a barrier after each; exact: all in one.
    """
    graph = build(case, [case.batch] if batches is None else batches)
    if case.overlap == "exact":
        if case.chip.barrier_cycles:
            raise ValueError("a chip with a barrier refuses overlap exact")
        return Simulation(graph, graph.flight).times
    epoch = Times(0, {}, [], Counter())
    for microbatch in graph.flight:
        part = Simulation(graph, [microbatch]).times
        _append(epoch, part)
        epoch.makespan += part.makespan + case.chip.barrier_cycles
    return epoch


def _append(epoch: Times, part: Times) -> None:
    """Put a microbatch's times behind what there is."""
    start = epoch.makespan
    for key, times in part.tasks.items():
        epoch.tasks[key] = TaskTimes(start + times.ready, start + times.start, start + times.end)
    for sent in part.messages:
        delivered = {core: start + when for core, when in sent.delivered.items()}
        epoch.messages.append(replace(sent, made=start + sent.made, delivered=delivered))
    epoch.link_busy_cycles.update(part.link_busy_cycles)
