"""From a slow twin's case to the real classes: network, recipe, placement, plan and what they yield."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from hypothesis import settings
from naive_case import Case

from neurosim.analytic import Analysis, analyse
from neurosim.counts import WORK_COLUMNS
from neurosim.engine import simulate
from neurosim.networks import Network
from neurosim.networks.conv import Conv
from neurosim.networks.dense import Dense
from neurosim.placement import Placement, place_on, with_connections
from neurosim.recipes import Recipe
from neurosim.schedules import Plan, TaskTable, schedule
from neurosim.trace import TRAFFIC_COLUMNS, CountTable, Trace

CountKey = tuple[str, int, str, str]  # phase, layer, count, kind of value
TaskKey = tuple[int, int, str, int, int]  # step, microbatch of the step, task, layer, core or port


def examples(count: int) -> settings:
    """Return settings for so many random cases; HYPOTHESIS_PROFILE=thorough draws twenty times as many."""
    return settings(max_examples=count * settings.default.max_examples // 50)  # type: ignore[union-attr]


def network_of(case: Case) -> Network:
    """Return the network of a case, with its layers' flags."""
    if case.layers:
        flags = iter(range(case.depth))
        layers = [
            _with_flags(layer, case, next(flags)) if isinstance(layer, Dense | Conv) else layer for layer in case.layers
        ]
        return Network(name="case", inputs=case.image, layers=tuple(layers))
    dense = [_with_flags(Dense(units=units), case, number) for number, units in enumerate(case.widths[1:])]
    return Network(name="case", inputs=case.widths[0], layers=tuple(dense))


def _with_flags(layer: Dense | Conv, case: Case, number: int) -> Dense | Conv:
    """Return the layer trained, and dropping, as the case says; ``number`` counts from 0."""
    flags: dict[str, bool | float] = {"trainable": not case.trainable or case.trainable[number]}
    if case.dropout and isinstance(layer, Dense):
        flags["dropout"] = case.dropout[number]
    return layer.model_copy(update=flags)


def recipe_of(case: Case) -> Recipe:
    """Return the recipe of a case."""
    fields: dict[str, Any] = {
        "batch_size": case.batch,
        "loss": case.loss,
        "targets": case.targets,
        "optimizer": case.optimizer,
        "delivery": case.delivery,
        "overlap": case.overlap,
        "weight_decay": 0.1 if case.weight_decay else 0.0,
        "clip_value": 1.0 if case.clip_value else None,
    }
    if case.overlap == "exact":
        fields["window"] = case.window
    return Recipe(**fields)


@dataclass(frozen=True)
class Pipeline:
    """A case on its way through the real classes; connections are those that the real code has drawn."""

    drawn: Case

    @cached_property
    def network(self) -> Network:
        """The network, with its layers' flags."""
        return network_of(self.drawn)

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe."""
        return recipe_of(self.drawn)

    @cached_property
    def placement(self) -> Placement:
        """The case's cores and microbatch, with connections drawn from the recipe's seed."""
        case = self.drawn
        where: dict[str, Any] = {"cores": case.cores, "microbatch": case.microbatch, "tiles": case.tiles}
        return place_on(self.network, case.rule, case.chip, self.recipe, **where)

    @cached_property
    def case(self) -> Case:
        """The case with the connections of the placement."""
        sparse = {layer: index.tolist() for layer, index in self.placement.connections.items()}
        return replace(self.drawn, sparse=sparse)

    @cached_property
    def plan(self) -> Plan:
        """The plan of a step."""
        forward_only = self.drawn.phases == "forward"
        return schedule(self.network, self.drawn.rule, self.placement, self.recipe, forward_only=forward_only)

    @cached_property
    def analysis(self) -> Analysis:
        """Counts and bound of a step in closed form."""
        forward_only = self.drawn.phases == "forward"
        return analyse(self.network, self.drawn.rule, self.placement, self.recipe, forward_only=forward_only)

    def analysis_of(self, samples: int) -> Analysis:
        """Counts and bound of an epoch in closed form."""
        parts, forward_only = (
            (self.network, self.drawn.rule, self.placement, self.recipe),
            self.drawn.phases == "forward",
        )
        return analyse(*parts, samples=samples, forward_only=forward_only)

    @cached_property
    def trace(self) -> Trace:
        """A simulated step."""
        return simulate(self.plan, self.drawn.chip)


def modulo_connections(network: Network, placement: Placement) -> Placement:
    """Return a placement whose sparse connections, if it has any, are output i mod n_L for neuron i."""
    outputs = network.widths[-1]
    found = {layer: np.arange(network.widths[layer])[:, None] % outputs for layer in placement.connections}
    return with_connections(placement, found)


def counted(table: CountTable) -> dict[CountKey, int]:
    """Return {(phase, layer, count, kind): value} of a table, without zeros, as the slow twin counts."""
    found: dict[CountKey, int] = {}
    for row, (phase, layer) in enumerate(table.places):
        columns = [*WORK_COLUMNS, *((name, "") for name in TRAFFIC_COLUMNS if "flit_hops_" not in name)]
        for (name, kind), value in zip(columns, [*table.work[row], *table.traffic[row]], strict=False):
            if value:
                found[phase, layer, name, kind] = int(value)
    return found


def core_counted(trace: Trace) -> dict[tuple[int, str, str], int]:
    """Return {(core, count, kind): value} of a trace, without zeros."""
    rows, columns = np.nonzero(trace.core_work)
    return {
        (int(core), *WORK_COLUMNS[column]): int(trace.core_work[core, column])
        for core, column in zip(rows.tolist(), columns.tolist(), strict=True)
    }


def role_of(table: TaskTable, cores: int, task: int) -> tuple[str, int, int]:
    """Return (task's name, layer, core or port) of a task number."""
    group = next(each for each in table.groups if each.first <= task < each.first + each.count)
    core = int(table.core[task])
    return group.kind, group.layer, core - cores if group.kind == "io" else core


def step_sizes(batch: int, samples: int) -> list[int]:
    """Return the samples of each step of an epoch."""
    full, short = divmod(samples, batch)
    return [batch] * full + [short] * bool(short)


def task_times(pipeline: Pipeline, trace: Trace, samples: int) -> dict[TaskKey, tuple[int, int]]:
    """Return {task: (start, end)} of an epoch, put together from a trace's timelines (nothing may be skipped)."""
    plan, cores = pipeline.plan, pipeline.drawn.chip.cores
    steps = [plan.microbatches(size) for size in step_sizes(pipeline.drawn.batch, samples)]
    flight = [(step, number, batch) for step, batches in enumerate(steps) for number, batch in enumerate(batches)]
    times: dict[TaskKey, tuple[int, int]] = {}
    if pipeline.drawn.overlap == "exact":
        (line,) = trace.timelines
        for task, q, start, end in zip(line.task, line.microbatch, line.start_cycle, line.end_cycle, strict=True):
            times[(*flight[q][:2], *role_of(plan.tasks, cores, int(task)))] = (int(start), int(end))
        return times
    classes = list(Counter(batch for *_, batch in flight))
    now = 0
    for step, number, batch in flight:
        line = trace.timelines[classes.index(batch)]
        for task, start, end in zip(line.task, line.start_cycle, line.end_cycle, strict=True):
            times[step, number, *role_of(plan.tasks, cores, int(task))] = (now + int(start), now + int(end))
        now += line.makespan_cycles + pipeline.drawn.chip.barrier_cycles
    return times


def planned_messages(pipeline: Pipeline) -> Counter[tuple[int | str, ...]]:
    """Return how many messages the plan has by (microbatch, task, layer, core or port, payload bits, copies)."""
    plan, planned = pipeline.plan, Counter[tuple[int | str, ...]]()
    for number, batch in enumerate(plan.microbatches()):
        bits = plan.messages.payload_bits(batch.samples)
        for i in np.flatnonzero(~plan.messages.last_only | batch.last).tolist():
            role = role_of(plan.tasks, pipeline.drawn.chip.cores, int(plan.messages.source_task[i]))
            planned[number, *role, int(bits[i]), int(plan.messages.copies[i])] += 1
    return planned
