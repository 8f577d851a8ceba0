"""The critical path of a microbatch: its longest chain of tasks and messages if none waits for a core or a link."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosim.analytic.durations import Durations
from neurosim.analytic.flow import Flow, Task, cores_of
from neurosim.analytic.legs import positions
from neurosim.analytic.traffic import flits_of
from neurosim.counts import IntArray
from neurosim.schedules.layout import Layout
from neurosim.topology import Mesh

NEVER = np.iinfo(np.int64).min // 4


def critical_path(layout: Layout, durations: Durations, sent: Sequence[Flow], samples: int) -> int:
    """Return when the last task of a microbatch ends and the last message has arrived, of the flows ``sent``."""
    path = _Path(layout, durations, samples)
    by_sender: dict[Task, list[Flow]] = {}
    for flow in sent:
        by_sender.setdefault(flow.sender, []).append(flow)
    for task, before in _order(layout):
        if task in path.durations:
            path.run(task, before, by_sender.get(task, []))
    return path.last


def _order(layout: Layout) -> Iterator[tuple[Task, list[Task]]]:
    """Yield each group of tasks that there may be after those it waits for, with those it follows on its own cores."""
    depth, hidden = layout.depth, layout.hidden_errors()
    yield ("io", 0), []
    for layer in range(1, depth + 1):
        yield ("forward", layer), [(layout.forward_end(layer - 1), layer - 1)] if layer > 1 else []
        yield ("pool", layer), [("forward", layer)]
    for layer in [depth, *hidden]:
        before: list[Task] = [(layout.forward_end(layer), layer)]
        if layer < depth and layout.rule.error == "next":
            following = (layout.error_end(layer + 1), layer + 1)
            yield ("product", layer), [following]
            before.append(("product", layer) if layout.rule.partial_sums else following)
        yield ("error", layer), before
        yield ("unpool", layer), [("error", layer)]
    for layer in range(1, depth + 1):
        # An update waits for products in a step's last microbatch only, but one core runs both, one after the other.
        yield ("update", layer), [(layout.error_end(layer), layer), ("product", layer - 1)]


class _Path:
    """When the inputs of every task are there, and when it ends, in cycles, by group [c]."""

    def __init__(self, layout: Layout, durations: Durations, samples: int) -> None:
        self.layout, self.grid, self.samples = layout, layout.grid, samples
        self.durations = durations
        self.ready = {task: np.zeros(len(cycles), dtype=np.int64) for task, cycles in self.durations.items()}
        self.end: dict[Task, IntArray] = {}
        self.last = 0

    def run(self, task: Task, before: Sequence[Task], sent: Sequence[Flow]) -> None:
        """End the tasks of a group and let others wait for what they send."""
        for previous in before:
            if previous in self.end:
                self._follow(task, previous)
        ready = self.ready[task]
        self.end[task] = ready + self.durations[task]
        # Owners of filters wait for the gradients of their copies, which are tasks of the same group.
        for flow in sorted(sent, key=lambda flow: task not in flow.waiting):
            self._receive(flow)
            if task in flow.waiting:
                self.end[task] = ready + self.durations[task]
        self.last = max(self.last, int(self.end[task].max()))

    def _follow(self, task: Task, previous: Task) -> None:
        """Let the tasks of a group wait for those of another on their own cores."""
        cores, ends = cores_of(self.layout, previous), self.end[previous]
        if cores is cores_of(self.layout, task):
            np.maximum(self.ready[task], ends, out=self.ready[task])
        elif self.layout.partition.shares_cores:
            order = np.argsort(cores)
            self._wait(task, cores[order], ends[order])

    def _receive(self, flow: Flow) -> None:
        """Let the groups that wait for a flow wait for its last message to each of their cores."""
        ends = self.end[flow.sender][flow.sources.places]
        arrivals = arrival_cycles(self.layout, self.grid, flow, ends, self.samples)
        self.last = max(self.last, int(arrivals.max()))
        if not flow.waiting:
            return
        # What a core needs from itself is there when it ends, without a message.
        own, here = flow.own
        arrivals[here] = np.maximum(arrivals[here], ends[own])
        if not flow.readers:
            self._wait_all(flow.waiting, flow.destinations, arrivals)
            return
        for waiting in flow.waiting:
            read = flow.readers[waiting[1]]
            self._wait_all([waiting], flow.destinations[read], arrivals[read])

    def _wait_all(self, groups: Sequence[Task], destinations: IntArray, arrivals: IntArray) -> None:
        """Let the tasks of some groups wait for the last of the arrivals at each of their cores."""
        if len(groups) == 1 and groups[0] in self.ready and destinations is cores_of(self.layout, groups[0]):
            np.maximum(self.ready[groups[0]], arrivals, out=self.ready[groups[0]])
            return
        order = np.argsort(destinations, kind="stable")
        cores, starts = np.unique(destinations[order], return_index=True)
        latest = np.maximum.reduceat(arrivals[order], starts)
        for waiting in groups:
            if waiting in self.ready:
                self._wait(waiting, cores, latest)

    def _wait(self, waiting: Task, cores: IntArray, arrivals: IntArray) -> None:
        """Let the tasks of a group on some ``cores`` wait for what arrives there."""
        own = cores_of(self.layout, waiting)
        places = np.minimum(np.searchsorted(cores, own), len(cores) - 1)
        reached = cores[places] == own
        np.maximum(self.ready[waiting], arrivals[places], out=self.ready[waiting], where=reached)


def arrival_cycles(layout: Layout, grid: Mesh, flow: Flow, ends: IntArray, samples: int) -> IntArray:
    """Return when the last message of a flow is at each destination without contention [destinations].

    A message takes at least the hop_cycles of its links but the last, its flits on the ports, and port_cycles.
    """
    noc = layout.chip.noc
    arrivals = np.full(len(flow.destinations), NEVER, dtype=np.int64)
    for bits, mine, theirs in flow.classes:
        flits = flits_of(layout, bits * (1 if flow.payload.once else samples))
        cycles = -(-flits * noc.flit_bits // noc.link_bits)
        last = (_each if flow.pattern == "pair" else _farthest)(grid, flow, (mine, theirs), ends)
        arrivals[theirs] = np.maximum(arrivals[theirs], last + cycles)
    return arrivals + noc.hop_cycles + noc.port_cycles


class _Readings(NamedTuple):
    """Cycles of hops from column or row 0 on, so that a way takes the difference between its ends.

    To the east and south [columns], [rows]; to the west and north with the minus sign of the way back. A difference in
    the wrong direction is not above 0: a way takes the larger of its two readings along x, and along y.
    """

    east: IntArray
    west: IntArray
    north: IntArray
    south: IntArray

    def ways(self, start: tuple[IntArray, IntArray], end: tuple[IntArray, IntArray]) -> IntArray:
        """Return the hop_cycles of ways between positions (y, x)."""
        (from_y, from_x), (to_y, to_x) = start, end
        along_x = np.maximum(self.east[to_x] - self.east[from_x], self.west[to_x] - self.west[from_x])
        along_y = np.maximum(self.south[to_y] - self.south[from_y], self.north[to_y] - self.north[from_y])
        return np.asarray(along_x + along_y)


def _readings(grid: Mesh) -> _Readings:
    """Return the cycles of hops of a mesh; those between chips may take longer than those within one."""
    east, west, north, south = (cycles.ravel() for cycles in grid.along(grid.hop_cycles))
    return _Readings(
        east=np.cumsum(east) - east,
        west=west[0] - np.cumsum(west),
        north=north[0] - np.cumsum(north),
        south=np.cumsum(south) - south,
    )


def _each(grid: Mesh, flow: Flow, pairs: tuple[IntArray, IntArray], ends: IntArray) -> IntArray:
    """Return end + hop_cycles of the way of each of some pairs of a source and a destination."""
    mine, theirs = pairs
    start = positions(grid, flow.sources.links[mine])
    to_y, to_x = np.divmod(flow.destinations[theirs] // grid.cores_per_router, grid.columns)
    return ends[mine] + _readings(grid).ways(start, (to_y, to_x))


def _farthest(grid: Mesh, flow: Flow, pair: tuple[IntArray, IntArray], ends: IntArray) -> IntArray:
    """Return max over sources of end + hop_cycles of the way, for some destinations; a core sends itself nothing."""
    mine, theirs = pair
    from_y, from_x = positions(grid, flow.sources.links[mine])
    to_y, to_x = np.divmod(flow.destinations[theirs] // grid.cores_per_router, grid.columns)
    hops = _readings(grid)
    if len(flow.own[0]):
        way = hops.ways((from_y[:, None], from_x[:, None]), (to_y, to_x))
        own = flow.sources.cores[mine][:, None] == flow.destinations[theirs]
        return np.asarray(np.where(own, NEVER, ends[mine][:, None] + way).max(axis=0))
    # A way is the largest of its four readings (east or west, south or north), so the maximum splits into four.
    best: NDArray[np.int64] = np.full(len(theirs), NEVER, dtype=np.int64)
    for along_x in (hops.east, hops.west):
        for along_y in (hops.south, hops.north):
            start = (ends[mine] - along_x[from_x] - along_y[from_y]).max()
            best = np.maximum(best, start + along_x[to_x] + along_y[to_y])
    return best
