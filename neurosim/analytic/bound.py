"""A lower bound of the makespan: max(critical path without contention, busiest core, busiest link)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neurosim.analytic.flows import flows
from neurosim.analytic.loads import add_link_loads
from neurosim.analytic.path import critical_path
from neurosim.counts import weighted_sum
from neurosim.schedules import Microbatch
from neurosim.schedules.layout import Layout
from neurosim.schedules.tasks import build_tasks
from neurosim.topology import mesh


@dataclass(frozen=True)
class Bound:
    """The parts of the bound in cycles, summed over the microbatches of a run, and the bound itself."""

    critical_path_cycles: int
    busiest_core_cycles: int
    busiest_link_cycles: int
    bound_cycles: int


def bound_run(layout: Layout, microbatches: Mapping[Microbatch, int]) -> Bound:
    """Return the bound of a run that has each of ``microbatches`` so many times.

    Without overlap every microbatch has a bound of its own and they add up, barriers included; with overlap the
    microbatches share cores and links, and only one critical path is sure to be waited for.
    """
    grid, table = mesh(layout.chip), build_tasks(layout)
    batches, repeats = list(microbatches), list(microbatches.values())
    links = [np.zeros(grid.links, dtype=np.int64) for _ in batches]
    traffic = list(flows(layout, grid))
    for flow in traffic:
        samples = [batch.samples if batch.last or not flow.payload.once else 0 for batch in batches]
        add_link_loads(layout, grid, flow, samples, links)
    cores, paths = [], []
    for batch in batches:
        durations = table.work(batch).durations
        sent = [flow for flow in traffic if batch.last or not flow.payload.once]
        cores.append(np.bincount(table.core, weights=durations).astype(np.int64))
        paths.append(critical_path(layout, grid, table, durations, sent, batch.samples))
    core_cycles = int(weighted_sum(zip(cores, repeats, strict=True)).max())
    link_cycles = int(weighted_sum(zip(links, repeats, strict=True)).max())
    if layout.recipe.overlap == "exact":
        path = max(paths)
        return Bound(path, core_cycles, link_cycles, max(path, core_cycles, link_cycles))
    alone = [max(path, int(core.max()), int(link.max())) for path, core, link in zip(paths, cores, links, strict=True)]
    path = sum(times * cycles for times, cycles in zip(repeats, paths, strict=True))
    total = sum(times * cycles for times, cycles in zip(repeats, alone, strict=True))
    return Bound(path, core_cycles, link_cycles, total + layout.chip.barrier_cycles * sum(repeats))
