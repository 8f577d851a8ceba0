"""From what a simulation logged to facts: counts, what cores did with their cycles, and the critical path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from neurosim.counts import IntArray, weighted_sum
from neurosim.engine.plan_network import flits_by_class
from neurosim.engine.simulation import Simulation
from neurosim.schedules import RESOURCES, Microbatch, Plan, finest_cycles
from neurosim.schedules.tasks import TaskWork
from neurosim.trace import (
    CORE_STATES,
    DIRECTIONS,
    TRAFFIC_INDEX,
    WAY_COLUMNS,
    CountTable,
    GroupFacts,
    empty_counts,
)

_WAITS = ("network", "dependency")


@dataclass(frozen=True)
class Repeat:
    """A window of cycles [start, end) that happened ``times`` more often than it was simulated."""

    start: int = 0
    end: int = 0
    times: int = 0

    def weighted(self, start: IntArray, end: IntArray) -> IntArray:
        """Return the cycles of the intervals [start, end), those within the window counted once more per repeat."""
        inside = np.minimum(end, self.end) - np.maximum(start, self.start)
        return np.asarray(end - start + self.times * np.maximum(inside, 0))


def microbatch_counts(plan: Plan, batch: Microbatch, work: TaskWork) -> CountTable:
    """Return the counts of one microbatch: those of its tasks, of what arrives, and of its messages."""
    table = empty_counts(plan.layout.depth)
    for group in plan.tasks.groups:
        rows = work.counts[group.first : group.first + group.count]
        table.work[table.row(group.phase, group.layer)] += rows.sum(axis=0)
    for arrivals in work.arrivals:
        table.work[table.row(arrivals.phase, arrivals.layer)] += arrivals.counts.sum(axis=0)
    for number, group_counts in enumerate(_traffic_by_group(plan, batch)):
        booked = plan.messages.groups[number]
        table.traffic[table.row(booked.phase, booked.layer)] += group_counts
    return table


def core_counts(plan: Plan, work: TaskWork) -> IntArray:
    """Return the counts of one microbatch on every core of the chip [cores, WORK_COLUMNS]."""
    cores = plan.layout.chip.cores
    table = np.zeros((cores, work.counts.shape[1]), dtype=np.int64)
    on_core = plan.tasks.core < cores
    np.add.at(table, plan.tasks.core[on_core], work.counts[on_core])
    for arrivals in work.arrivals:
        np.add.at(table, arrivals.cores, arrivals.counts)
    return table


def _traffic_by_group(plan: Plan, batch: Microbatch) -> IntArray:
    """TRAFFIC_COLUMNS of every message group in one microbatch [groups, columns], message by message."""
    messages = plan.messages
    sent = ~messages.last_only | batch.last
    payload = messages.payload_bits(batch.samples)
    flits = flits_by_class(plan, [batch])[0]
    links, borders = messages.crossings.sum(axis=0), messages.crossings[len(DIRECTIONS) :].sum(axis=0)
    columns = {
        "messages": np.ones(len(payload), dtype=np.int64),
        "payload_bits": payload,
        "delivered_bits": payload * messages.copies,
        "bit_hops": payload * links,
        "border_bit_hops": payload * borders,
        "flits": flits,
        "flit_hops": flits * links,
        "border_flit_hops": flits * borders,
        "flit_routers": flits * (links + 1),
    }
    # A single chip has no rows for its borders.
    columns |= {name: flits * crossed for name, crossed in zip(WAY_COLUMNS, messages.crossings, strict=False)}
    table = np.zeros((len(messages.groups), len(TRAFFIC_INDEX)), dtype=np.int64)
    for name, values in columns.items():
        np.add.at(table[:, TRAFFIC_INDEX[name]], messages.group[sent], values[sent])
    return table


def group_facts(plan: Plan, facts: dict[str, IntArray], batches: list[tuple[Microbatch, int]]) -> list[GroupFacts]:
    """Join what the network saw of every group with the payload that the plan gave it."""
    column = TRAFFIC_INDEX["payload_bits"]
    payload = weighted_sum((_traffic_by_group(plan, batch)[:, column], times) for batch, times in batches)
    return [
        GroupFacts(
            group.phase,
            group.layer,
            group.payload,
            group.to_layer,
            messages=int(facts["messages"][i]),
            deliveries=int(facts["deliveries"][i]),
            payload_bits=int(payload[i]),
            flit_hops=int(facts["flit_hops"][i]),
            latency_sum_cycles=int(facts["latency_sum_cycles"][i]),
            latency_max_cycles=int(facts["latency_max_cycles"][i]),
        )
        for i, group in enumerate(plan.messages.groups)
    ]


class History:
    """What a simulation's tasks did and why they began when they did."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.plan = simulation.plan
        self.rows = simulation.log.columns()
        self.makespan = simulation.end_cycle
        self.tasks = len(self.plan.tasks)
        groups = self.plan.tasks.groups
        self.group_of = np.repeat(np.arange(len(groups)), [group.count for group in groups])
        microbatch = self.rows["microbatch"]
        self.base = int(microbatch.min())
        self.row_of = np.full((int(microbatch.max()) - self.base + 1) * self.tasks, -1, dtype=np.int64)
        self.row_of[(microbatch - self.base) * self.tasks + self.rows["task"]] = np.arange(len(microbatch))
        classes = [simulation.classes.index(batch) for batch in simulation.batches]
        self.of_class = np.array(classes, dtype=np.int64)[microbatch]
        self.cause_row = self._cause_rows()
        self.core = self.plan.tasks.core[self.rows["task"]]

    def _cause_rows(self) -> IntArray:
        """Return, per row, the row of the task whose end or message made it ready, or -1."""
        cause, microbatch = self.rows["cause"], self.rows["microbatch"]
        rows = np.full(len(cause), -1, dtype=np.int64)
        local = cause <= -2
        offset, task = np.divmod(-2 - cause[local], self.tasks)
        rows[local] = self.row_of[(microbatch[local] - offset - self.base) * self.tasks + task]
        sent = np.flatnonzero(cause >= 0)
        messages = self.plan.messages
        ahead = np.array([max(offsets, default=0) for offsets in messages.target_offsets], dtype=np.int64)
        source = microbatch[sent] - ahead[messages.group[cause[sent]]]
        late = messages.last_only[cause[sent]] & (ahead[messages.group[cause[sent]]] > 0)
        if late.any():
            first_of = np.array(self.simulation.first_of, dtype=np.int64)
            source[late] = first_of[microbatch[sent][late]] - 1
        rows[sent] = self.row_of[(source - self.base) * self.tasks + messages.source_task[cause[sent]]]
        return rows

    def core_cycles(self, repeat: Repeat) -> IntArray:
        """Return what every core did with its cycles [cores, CORE_STATES]."""
        cores = self.plan.layout.chip.cores
        order = np.lexsort((self.rows["start"], self.core))
        order = order[self.core[order] < cores]
        core, start, end = self.core[order], self.rows["start"][order], self.rows["end"][order]
        table = np.zeros((cores, len(CORE_STATES)), dtype=np.int64)
        states = {name: i for i, name in enumerate(CORE_STATES)}
        computing = start + np.minimum(self._computing()[order], end - start)
        first = np.concatenate([[True], np.diff(core) != 0]) if len(core) else np.zeros(0, dtype=bool)
        before = np.where(first, 0, np.concatenate([[0], end[:-1]])) if len(core) else end
        arrived = np.where(self.rows["cause"][order] >= 0, self.rows["end"][self.cause_row[order]], start)
        waiting = np.clip(arrived, before, start)
        spans = {
            "computing": (start, computing),
            "memory": (computing, end),
            "dependency": (before, waiting),
            "network": (waiting, start),
        }
        for name, (begin, stop) in spans.items():
            np.add.at(table[:, states[name]], core, repeat.weighted(begin, stop))
        total = self.makespan + repeat.times * (repeat.end - repeat.start)
        table[:, states["idle"]] = total - table.sum(axis=1)
        return table

    def _computing(self) -> IntArray:
        """Return, per row, the cycles that lanes, operations or generators need, pipeline included."""
        compute = [RESOURCES.index(name) for name in ("macs", "elementwise", "generate")]
        each = np.stack([work.resource_cycles[:, compute].max(axis=1) for work in self.simulation.works])
        return np.asarray(each[self.of_class, self.rows["task"]] + self.plan.layout.chip.core.pipeline_cycles)

    def critical_path(self, repeat: Repeat) -> dict[tuple[str, str], int]:
        """Return the cycles of the chain that ends last, by phase and what it was bound by; they add up to the end."""
        return self._sum(repeat, list(self._segments()))

    def serial_path(self, repeat: Repeat) -> dict[tuple[str, str], int]:
        """Return the part of the critical path that more cores would not shorten (see ``finest_cycles``)."""
        floors = [finest_cycles(self.plan.layout, batch) for batch in self.simulation.classes]
        parts = []
        for row, resource, start, end in self._segments():
            if resource not in _WAITS:
                group = self.plan.tasks.groups[self.group_of[self.rows["task"][row]]]
                floor = floors[self.of_class[row]].get((group.kind, group.layer), 0)
                parts.append((row, resource, start, min(end, start + floor)))
        return self._sum(repeat, parts)

    def _sum(self, repeat: Repeat, parts: Sequence[tuple[int, str, int, int]]) -> dict[tuple[str, str], int]:
        totals: dict[tuple[str, str], int] = {}
        for row, resource, start, end in parts:
            phase = self.plan.tasks.groups[self.group_of[self.rows["task"][row]]].phase
            cycles = repeat.weighted(np.array([start]), np.array([end]))
            totals[phase, resource] = totals.get((phase, resource), 0) + int(cycles[0])
        return {key: cycles for key, cycles in totals.items() if cycles}

    def _segments(self) -> Iterator[tuple[int, str, int, int]]:
        """Walk back from the end: (row whose wait or work it is, resource, start, end) without gaps down to cycle 0."""
        rows, ends = self.rows, self.rows["end"]
        previous = self._previous_on_core()
        row = int(np.argmax(ends))
        if self.makespan > ends[row]:
            last = self.rows["task"] >= self.plan.tasks.groups[-1].first
            yield int(np.flatnonzero(last)[0]), "network", int(ends[row]), self.makespan
        while row >= 0:
            start, ready = int(rows["start"][row]), int(rows["ready"][row])
            yield row, self._bound_of(row), start, int(ends[row])
            if start > ready:
                row = int(previous[row])
                continue
            cause = int(self.cause_row[row])
            if cause < 0:
                if start:
                    yield row, "dependency", 0, start
                return
            if int(ends[cause]) < start:
                yield row, "network", int(ends[cause]), start
            row = cause

    def _previous_on_core(self) -> IntArray:
        order = np.lexsort((self.rows["start"], self.core))
        previous = np.full(len(order), -1, dtype=np.int64)
        same = self.core[order][1:] == self.core[order][:-1]
        previous[order[1:][same]] = order[:-1][same]
        return previous

    def _bound_of(self, row: int) -> str:
        task = int(self.rows["task"][row])
        group = self.plan.tasks.groups[self.group_of[task]]
        if group.kind == "io":
            return "io"
        cycles = self.simulation.works[self.of_class[row]].resource_cycles[task].copy()
        cycles[: RESOURCES.index("channel")] += self.plan.layout.chip.core.pipeline_cycles
        return RESOURCES[int(cycles.argmax())]
