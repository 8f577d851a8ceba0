"""Simulation: SimPy runs the tasks of cores and ports, the network kernel moves their messages, in step to the cycle.

Within a cycle: task ends and deliveries, ready lists, idle cores start what is first in order of (ready time, step,
microbatch, rank, layer, slice), messages of ended tasks enter, links are granted in order of link id.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import simpy

from neurosim.counts import IntArray
from neurosim.engine.plan_network import Network, make_network
from neurosim.engine.transports import Transports
from neurosim.errors import SimulationError
from neurosim.kernels.network_layout import NEVER
from neurosim.schedules import Microbatch, Plan, microbatch_slots
from neurosim.schedules.edges import FROM_LAST, INTO_LAST


@dataclass
class TaskLog:
    """One row per task in the order of starts; ``cause`` as in the network kernel, ``end`` known at the start."""

    task: list[int] = field(default_factory=list)
    microbatch: list[int] = field(default_factory=list)
    ready: list[int] = field(default_factory=list)
    start: list[int] = field(default_factory=list)
    end: list[int] = field(default_factory=list)
    cause: list[int] = field(default_factory=list)

    def columns(self) -> dict[str, IntArray]:
        """Return the rows as int64 arrays."""
        return {name: np.array(values, dtype=np.int64) for name, values in vars(self).items()}


class Simulation:
    """A stretch of microbatches in motion on a chip: one of them, or with overlap all those of an epoch.

    ``steps`` holds the microbatches of each step. A microbatch q lives in slot q mod ``slots`` from when the one before
    it there is over; ``new_steps`` names the steps whose first task started in the cycle just processed.
    """

    def __init__(
        self, plan: Plan, steps: Sequence[Sequence[Microbatch]], *, log_rows: int = 0, network: Network = "event"
    ) -> None:
        layout = plan.layout
        self.plan = plan
        self.batches = [batch for step in steps for batch in step]
        self.number_steps([len(step) for step in steps])
        self.classes = list(dict.fromkeys(self.batches))
        self.works = [plan.tasks.work(batch) for batch in self.classes]
        window = layout.recipe.microbatches_in_flight
        self.slots = microbatch_slots(layout.recipe)
        self.environment = simpy.Environment()
        durations = np.stack([work.durations for work in self.works])
        self.network = make_network(network, plan, self.classes, durations, slots=self.slots, log_rows=log_rows)
        self.log = TaskLog()
        self.step_start: dict[int, int] = {}
        self.transports = Transports(plan, window)
        self._idle = [True] * (layout.chip.cores + layout.ports)
        self._waiting: list[list[tuple[int, ...]]] = [[] for _ in self._idle]
        self._core = plan.tasks.core.tolist()
        order = (plan.tasks.rank.tolist(), plan.tasks.layer.tolist(), plan.tasks.slice.tolist())
        self._key = list(zip(*order, strict=True))
        self._durations = [work.durations.tolist() for work in self.works]
        self._out_edges = _out_edges(plan)
        self._gates_of = _gates_of(plan)
        self._in_degrees = _in_degrees(plan)
        self._ranges = message_ranges(plan)
        self._remaining, self._ready, self._cause = self.network.remaining, self.network.ready, self.network.cause
        self.microbatch_of_slot = np.full(self.slots, -1, dtype=np.int64)
        self._tasks_left = [0] * self.slots
        self._gates_left: dict[tuple[int, int], int] = {}
        self.scheduled: dict[tuple[int, int], int] = {}
        self.running: dict[int, tuple[int, int, int]] = {}
        self._ended: list[tuple[int, int]] = []
        self._touched: set[int] = set()
        self.new_steps: list[int] = []
        for microbatch in range(min(self.slots, len(self.batches))):
            self._begin(microbatch)
        self._dispatch(0)

    def number_steps(self, lengths: Sequence[int]) -> None:
        """Say how many microbatches each step has."""
        self.step_of = [step for step, length in enumerate(lengths) for _ in range(length)]
        ends = np.cumsum(lengths).tolist()
        self.last_of = [ends[step] - 1 for step in self.step_of]
        self.first_of = [ends[step] - lengths[step] for step in self.step_of]

    @property
    def ready_lists(self) -> list[list[tuple[int, ...]]]:
        """Per core the heap of (ready, step, microbatch, rank, layer, slice, task) that wait for it."""
        return self._waiting

    @property
    def gates_left(self) -> dict[tuple[int, int], int]:
        """Tasks for which each (gate, microbatch) still waits."""
        return self._gates_left

    def advance(self) -> bool:
        """Let the network catch up and process one cycle in which a task ends or becomes ready; False at the end."""
        horizon = self.environment.peek()
        bound = NEVER if horizon == float("inf") else int(horizon)
        for slot, task, ready in self.network.run(bound):
            self._schedule_ready(int(self.microbatch_of_slot[slot]), task, ready)
        now = self.environment.peek()
        if now == float("inf"):
            self._check_finished()
            return False
        self._cycle(int(now))
        return True

    def is_over(self, slot: int) -> bool:
        """Whether all tasks of the microbatch in a slot have ended and all its messages have arrived."""
        return self._tasks_left[slot] == 0 and not self._in_flight(slot, int(self.microbatch_of_slot[slot]))

    @property
    def end_cycle(self) -> int:
        """When the last task has ended and the last message has been delivered."""
        return max(int(self.environment.now), self.network.last_delivery)

    def _check_finished(self) -> None:
        left = [int(q) for slot, q in enumerate(self.microbatch_of_slot) if q >= 0 and self._tasks_left[slot]]
        if left:
            raise SimulationError(f"microbatches {left}: tasks wait for inputs that never come; the plan has a gap")

    def _cycle(self, now: int) -> None:
        while self.environment.peek() == now:
            self.environment.step()
        ended = sorted(self._ended)
        self._ended.clear()
        for microbatch, task in ended:
            self._finish(microbatch, task, now)
        self._dispatch(now)
        self._send(ended, now)
        self._recycle()

    def _begin(self, microbatch: int) -> None:
        """Give a microbatch its slot and let it wait for what it needs."""
        slot = microbatch % self.slots
        batch = self.batches[microbatch]
        remaining = self._remaining_inputs(microbatch)
        self.network.start_slot(slot, self.classes.index(batch), remaining)
        self.microbatch_of_slot[slot] = microbatch
        self._tasks_left[slot] = len(self.plan.tasks)
        for gate, (sources, _, _) in enumerate(self.plan.edges.gates):
            self._gates_left[gate, microbatch] = len(sources)
        for task in np.flatnonzero(remaining == 0):
            self._make_ready(microbatch, int(task), int(self.environment.now))

    def _remaining_inputs(self, microbatch: int) -> IntArray:
        remaining = self.plan.expected_messages.copy()
        for (offset, condition), degrees in self._in_degrees.items():
            if microbatch - offset >= 0 and self._holds(condition, microbatch - offset, microbatch):
                remaining += degrees
        for gate in self.plan.edges.gates:
            if microbatch >= gate.offset:
                remaining[gate.targets] += 1
        if self._ends_step(microbatch):
            remaining += self.plan.expected_gradients
        if microbatch >= self.transports.window:
            remaining += self.plan.expected_drains
        for offset in range(1, self.transports.window + 1):
            source = microbatch - offset
            if source >= 0 and self._ends_step(source):
                remaining += self.plan.expected_transports
        return remaining

    def _holds(self, condition: int, source: int, target: int) -> bool:
        """Whether an edge of this condition exists from microbatch ``source`` to ``target``."""
        if condition == FROM_LAST:
            return self._ends_step(source)
        if condition == INTO_LAST:
            return self.last_of[source] == target and self._ends_step(target)
        return True

    def _ends_step(self, microbatch: int) -> bool:
        """Whether a microbatch is its step's last: one that is simulated alone need not be."""
        return self.last_of[microbatch] == microbatch and self.batches[microbatch].last

    def _schedule_ready(self, microbatch: int, task: int, ready: int) -> None:
        self.scheduled[microbatch, task] = ready
        event = self.environment.timeout(ready - int(self.environment.now), (microbatch, task))
        event.callbacks.append(self._on_ready)

    def _on_ready(self, event: simpy.Event) -> None:
        microbatch, task = cast("tuple[int, int]", event.value)
        del self.scheduled[microbatch, task]
        self._make_ready(microbatch, task, int(self.environment.now))

    def _on_end(self, event: simpy.Event) -> None:
        self._ended.append(cast("tuple[int, int]", event.value))

    def _make_ready(self, microbatch: int, task: int, ready: int) -> None:
        core = self._core[task]
        key = (ready, self.step_of[microbatch], microbatch, *self._key[task], task)
        heapq.heappush(self._waiting[core], key)
        self._touched.add(core)

    def _dispatch(self, now: int) -> None:
        """Let every idle core start the first task of its ready list."""
        for core in self._touched:
            if self._idle[core] and self._waiting[core]:
                self._start(core, now)
        self._touched.clear()

    def _start(self, core: int, now: int) -> None:
        ready, step, microbatch, *_, task = heapq.heappop(self._waiting[core])
        slot = microbatch % self.slots
        end = now + self._durations[self.classes.index(self.batches[microbatch])][task]
        self._idle[core] = False
        self.running[core] = (microbatch, task, end)
        if step not in self.step_start:
            self.step_start[step] = now
            self.new_steps.append(step)
        log = self.log
        log.task.append(task)
        log.microbatch.append(microbatch)
        log.ready.append(ready)
        log.start.append(now)
        log.end.append(end)
        log.cause.append(int(self._cause[slot, task]))
        event = self.environment.timeout(end - now, (microbatch, task))
        event.callbacks.append(self._on_end)

    def _finish(self, microbatch: int, task: int, now: int) -> None:
        core = self._core[task]
        self._idle[core] = True
        del self.running[core]
        self._touched.add(core)
        self._tasks_left[microbatch % self.slots] -= 1
        for target, offset, condition in self._out_edges[task]:
            later = microbatch + offset
            if later < len(self.batches) and self._holds(condition, microbatch, later):
                self._satisfy(later, target, now, self.encode_cause(task, offset))
        for gate in self._gates_of[task]:
            self._gates_left[gate, microbatch] -= 1
            if self._gates_left[gate, microbatch] == 0:
                del self._gates_left[gate, microbatch]
                self._open(gate, microbatch, task, now)

    def _open(self, gate: int, microbatch: int, task: int, now: int) -> None:
        _, targets, offset = self.plan.edges.gates[gate]
        if microbatch + offset < len(self.batches):
            for target in targets.tolist():
                self._satisfy(microbatch + offset, target, now, self.encode_cause(task, offset))

    def encode_cause(self, task: int, offset: int) -> int:
        """Return the cause of a task that became ready by the end of ``task`` of the microbatch ``offset`` before."""
        return -2 - (offset * len(self.plan.tasks) + task)

    def _satisfy(self, microbatch: int, task: int, now: int, cause: int) -> None:
        slot = microbatch % self.slots
        if self.microbatch_of_slot[slot] != microbatch:
            raise SimulationError(f"microbatch {microbatch} is needed before {self.microbatch_of_slot[slot]} is over")
        if now >= self._ready[slot, task]:
            self._ready[slot, task] = now
            self._cause[slot, task] = cause
        left = self._remaining[slot, task] - 1
        self._remaining[slot, task] = left
        if left == 0:
            ready = int(self._ready[slot, task])
            if ready > now:
                self._schedule_ready(microbatch, task, ready)
            else:
                self._make_ready(microbatch, task, now)

    def _send(self, ended: list[tuple[int, int]], now: int) -> None:
        """Enter the messages of the tasks that ended, those of one core in the order of the tasks that send them."""
        ranges = []
        for microbatch, task in ended:
            first, behind, behind_last = self._ranges[task]
            behind = behind_last if self._ends_step(microbatch) else behind
            if first < behind:
                ranges.append((microbatch, self._key[task], first, behind))
            last = self.last_of[microbatch]
            if not self._ends_step(last):
                continue
            step = range(self.first_of[microbatch], last + 1)
            for start, stop in self.transports.finish(microbatch, task, step):
                source = int(self.plan.messages.source_task[start])
                ranges.append((last, self._key[source], start, stop))
        for microbatch, _, first, behind in sorted(ranges):
            self.network.send(microbatch % self.slots, first, behind, now)

    def _recycle(self) -> None:
        """Give the slots of microbatches that are over to later ones."""
        for slot in range(self.slots):
            microbatch = int(self.microbatch_of_slot[slot])
            following = microbatch + self.slots
            if self._tasks_left[slot] == 0 and following < len(self.batches) and self.is_over(slot):
                self._begin(following)
        if self._touched:
            self._dispatch(int(self.environment.now))

    def _in_flight(self, slot: int, microbatch: int) -> bool:
        return self.network.undelivered(slot) > 0 or self.transports.pending(microbatch)


def message_ranges(plan: Plan) -> list[tuple[int, int, int]]:
    """Return, per task, (first, behind, behind with a step's last microbatch) of the messages it sends when it ends.

    Triggered ones are left out: they come behind these and leave on their own.
    """
    messages, tasks = plan.messages, len(plan.tasks)
    first = np.searchsorted(messages.source_task, np.arange(tasks))
    always = np.bincount(messages.source_task[~messages.last_only], minlength=tasks)
    with_last = np.bincount(messages.source_task[~messages.triggered], minlength=tasks)
    return list(zip(first.tolist(), (first + always).tolist(), (first + with_last).tolist(), strict=True))


def _out_edges(plan: Plan) -> list[list[tuple[int, int, int]]]:
    edges: list[list[tuple[int, int, int]]] = [[] for _ in range(len(plan.tasks))]
    columns = (plan.edges.source, plan.edges.target, plan.edges.offset, plan.edges.condition)
    for source, target, offset, condition in zip(*(column.tolist() for column in columns), strict=True):
        edges[source].append((target, offset, condition))
    return edges


def _gates_of(plan: Plan) -> list[list[int]]:
    gates: list[list[int]] = [[] for _ in range(len(plan.tasks))]
    for number, gate in enumerate(plan.edges.gates):
        for task in gate.sources.tolist():
            gates[task].append(number)
    return gates


def _in_degrees(plan: Plan) -> dict[tuple[int, int], IntArray]:
    """Return, by (offset, condition), how many such edges every task waits for [T]."""
    edges = plan.edges
    kinds = set(zip(edges.offset.tolist(), edges.condition.tolist(), strict=True))
    return {
        (offset, condition): np.bincount(
            edges.target[(edges.offset == offset) & (edges.condition == condition)], minlength=len(plan.tasks)
        )
        for offset, condition in sorted(kinds)
    }
