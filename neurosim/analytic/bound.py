"""A lower bound of the makespan: max(critical path without contention, busiest core, busiest link)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from neurosim.analytic.durations import core_cycles
from neurosim.analytic.flow import Flow
from neurosim.analytic.loads import add_link_loads
from neurosim.analytic.path import critical_path
from neurosim.counts import IntArray
from neurosim.schedules import Microbatch
from neurosim.schedules.layout import Layout
from neurosim.schedules.tasks import task_durations


@dataclass(frozen=True)
class Bound:
    """The parts of the bound in cycles, summed over the microbatches of a run, and the bound itself."""

    critical_path_cycles: int
    busiest_core_cycles: int
    busiest_link_cycles: int
    bound_cycles: int


def bound_run(layout: Layout, microbatches: Mapping[Microbatch, int], traffic: Sequence[Flow]) -> Bound:
    """Return the bound of a run that has each of ``microbatches`` so many times, and in them the flows ``traffic``.

    Without overlap every microbatch has a bound of its own and they add up, barriers included; with overlap the
    microbatches share cores and links, and only one critical path is sure to be waited for.
    """
    batches, repeats = list(microbatches), list(microbatches.values())
    links = _link_cycles(layout, batches, traffic)
    cores, paths = [], []
    for batch in batches:
        durations = task_durations(layout, batch)
        sent = [flow for flow in traffic if batch.last or not flow.payload.once]
        cores.append(core_cycles(layout, durations))
        paths.append(critical_path(layout, durations, sent, batch.samples))
    core_most, link_most = _busiest(cores, repeats), _busiest(links, repeats)
    if layout.recipe.overlap == "exact":
        path = max(paths)
        return Bound(path, core_most, link_most, max(path, core_most, link_most))
    alone = [max(path, int(core.max()), int(link.max())) for path, core, link in zip(paths, cores, links, strict=True)]
    path = sum(times * cycles for times, cycles in zip(repeats, paths, strict=True))
    total = sum(times * cycles for times, cycles in zip(repeats, alone, strict=True))
    return Bound(path, core_most, link_most, total + layout.chip.barrier_cycles * sum(repeats))


def _link_cycles(layout: Layout, batches: Sequence[Microbatch], traffic: Sequence[Flow]) -> list[IntArray]:
    """Return the least cycles for which each microbatch holds each link [links]; equal ones share an array."""
    once = any(flow.payload.once for flow in traffic)
    kinds = [(batch.samples, batch.last and once) for batch in batches]
    loads = {kind: np.zeros(layout.grid.links, dtype=np.int64) for kind in kinds}
    for flow in traffic:
        samples = [p if last or not flow.payload.once else 0 for p, last in loads]
        add_link_loads(layout, layout.grid, flow, samples, list(loads.values()))
    return [loads[kind] for kind in kinds]


def _busiest(cycles: Sequence[IntArray], repeats: Sequence[int]) -> int:
    """Return the largest element of the sum of arrays, each taken so many times; Python integers if 64 bits wrap."""
    arrays, times = {id(values): values for values in cycles}, dict[int, int]()
    for values, repeat in zip(cycles, repeats, strict=True):
        times[id(values)] = times.get(id(values), 0) + repeat
    most = sum(int(arrays[key].max()) * repeat for key, repeat in times.items())
    if len(times) == 1:
        return most
    dtype = np.dtype(np.int64 if most < 1 << 63 else object)
    total = np.zeros(len(cycles[0]), dtype=dtype)
    for key, repeat in times.items():
        total += arrays[key].astype(dtype, copy=False) * repeat
    return int(total.max())
