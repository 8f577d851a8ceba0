"""How long the tasks of a microbatch take, without a table of all of them: layers that look alike are asked once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from neurosim.analytic.flow import Task, cores_of
from neurosim.counts import IntArray
from neurosim.schedules import Microbatch
from neurosim.schedules.layout import Layout
from neurosim.schedules.tasks import group_work, task_groups

Durations = Mapping[Task, IntArray]
"""Cycles of the tasks of each group, in slice order; groups may share an array."""


def task_durations(layout: Layout, batch: Microbatch) -> Durations:
    """Return how long the tasks of every group take in one microbatch."""
    known: dict[Task, IntArray] = {}
    durations: dict[Task, IntArray] = {}
    for group in task_groups(layout):
        key = group.kind, layout.alike[group.layer]
        if key not in known:
            known[key] = group_work(layout, group, batch).durations
        durations[group.kind, group.layer] = known[key]
    return durations


def core_cycles(layout: Layout, durations: Durations) -> IntArray:
    """Return the cycles of all tasks of each core, and of each io port behind them [cores + ports]."""
    total = np.zeros(layout.chip.cores + layout.ports, dtype=np.int64)
    for task, cycles in durations.items():
        if task[0] == "io":
            total[layout.chip.cores :] += cycles
        else:
            total[cores_of(layout, task)] += cycles
    return total
