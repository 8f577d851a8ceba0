"""How long the cores are busy in a microbatch, without a table of all its tasks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from neurosim.analytic.flow import Task, cores_of
from neurosim.counts import IntArray
from neurosim.schedules.layout import Layout

Durations = Mapping[Task, IntArray]
"""Cycles of the tasks of each group, in slice order; groups may share an array."""


def core_cycles(layout: Layout, durations: Durations) -> IntArray:
    """Return the cycles of all tasks of each core, and of each io port behind them [cores + ports]."""
    total = np.zeros(layout.chip.cores + layout.ports, dtype=np.int64)
    for task, cycles in durations.items():
        if task[0] == "io":
            total[layout.chip.cores :] += cycles
        else:
            total[cores_of(layout, task)] += cycles
    return total
