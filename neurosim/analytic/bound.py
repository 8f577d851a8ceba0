"""A lower bound of the makespan: max(critical path without contention, busiest core, busiest link)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurosim.analytic.traffic import Flow, flits_of, flows
from neurosim.counts import IntArray, weighted_sum
from neurosim.schedules import Microbatch, TaskTable
from neurosim.schedules.layout import Layout
from neurosim.schedules.tasks import build_tasks
from neurosim.topology import Mesh, destination_sets, mesh

NEVER = np.iinfo(np.int64).min // 4


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
    traffic = list(flows(layout, grid))
    parts = [(times, *_microbatch_bound(layout, grid, table, traffic, b)) for b, times in microbatches.items()]
    core_cycles = int(weighted_sum((core, times) for times, _, core, _ in parts).max())
    link_cycles = int(weighted_sum((link, times) for times, _, _, link in parts).max())
    if layout.recipe.overlap == "exact":
        path = max(cycles for _, cycles, _, _ in parts)
        return Bound(path, core_cycles, link_cycles, max(path, core_cycles, link_cycles))
    path = sum(times * cycles for times, cycles, _, _ in parts)
    total = sum(times * max(cycles, int(core.max()), int(link.max())) for times, cycles, core, link in parts)
    barriers = layout.chip.barrier_cycles * sum(microbatches.values())
    return Bound(path, core_cycles, link_cycles, total + barriers)


def _microbatch_bound(
    layout: Layout, grid: Mesh, table: TaskTable, traffic: list[Flow], batch: Microbatch
) -> tuple[int, IntArray, IntArray]:
    """Return the critical path, the busy cycles of cores and ports, and of links, of one microbatch."""
    durations = table.work(batch).durations
    sent = [flow for flow in traffic if batch.last or not flow.once]
    cores = np.bincount(table.core, weights=durations).astype(np.int64)
    links = sum((link_loads(layout, grid, flow, batch.samples) for flow in sent), np.zeros(grid.links, dtype=np.int64))
    return _CriticalPath(layout, grid, table, durations, batch.samples).length(sent), cores, links


class _CriticalPath:
    """Longest chain of tasks and zero-load latencies, layer by layer."""

    def __init__(self, layout: Layout, grid: Mesh, table: TaskTable, durations: IntArray, samples: int) -> None:
        self.layout, self.grid, self.samples = layout, grid, samples
        self.durations = {(g.kind, g.layer): durations[g.first : g.first + g.count] for g in table.groups}
        # When the inputs of each task are there, and when it ends, by (kind, layer) [c].
        self.ready = {key: np.zeros(len(cycles), dtype=np.int64) for key, cycles in self.durations.items()}
        self.end: dict[tuple[str, int], IntArray] = {}

    def length(self, traffic: list[Flow]) -> int:
        """Return when the last task has ended and the last message has arrived."""
        layout, depth = self.layout, self.layout.depth
        by_place: dict[tuple[str, int], list[Flow]] = {}
        for flow in traffic:
            by_place.setdefault((flow.phase, flow.layer), []).append(flow)
        self.run("io", 0)
        inputs, *labels = by_place["io", 0]
        self.receive(inputs, "io", 0, [("forward", 1)])
        waiting = [("error", depth)]
        if layout.rule.error == "target":
            waiting += [("error", layer) for layer in layout.hidden_errors()]
        last = [0]
        for flow in labels:
            last.append(self.receive(flow, "io", 0, waiting))
        for layer in range(1, depth + 1):
            self.run("forward", layer)
            self.after("forward", layer, "error", layer)
            target = ("forward", layer + 1) if layer < depth else ("error", depth)
            for flow in by_place.get(("forward", layer), []):
                last.append(self.receive(flow, "forward", layer, [target]))
        if layout.errors[depth]:
            self.run("error", depth)
            self.receive_output_errors(by_place.get(("error", depth), []))
        for layer in layout.hidden_errors():
            self.run_hidden_error(layer, by_place)
        for layer in range(1, depth + 1):
            if layout.trained[layer]:
                self.after("error", layer, "update", layer)
                self.after("product", layer - 1, "update", layer)
                self.run("update", layer)
                for flow in by_place.get(("update", layer), []):
                    last.append(self.receive(flow, "update", layer, []))
        return max(max(int(end.max()) for end in self.end.values()), *last)

    def receive_output_errors(self, found: list[Flow]) -> None:
        """Let the hidden layers of a direct rule wait for the output error."""
        if self.layout.rule.shares_source:
            hidden = [("error", layer) for layer in self.layout.hidden_errors()]
            for flow in found:
                self.receive(flow, "error", self.layout.depth, hidden)

    def run_hidden_error(self, layer: int, by_place: dict[tuple[str, int], list[Flow]]) -> None:
        """Run error l after its source, with the products before it where partial sums travel."""
        if self.layout.rule.partial_sums:
            self.ready["product", layer] = self.end["error", layer + 1].copy()
            self.run("product", layer)
            for flow in by_place.get(("error", layer), []):
                self.receive(flow, "product", layer, [("error", layer)])
        elif self.layout.rule.error == "next":
            for flow in by_place.get(("error", layer + 1), []):
                self.receive(flow, "error", layer + 1, [("error", layer)])
        self.run("error", layer)

    def run(self, kind: str, layer: int) -> None:
        """End the tasks of a group."""
        self.end[kind, layer] = self.ready[kind, layer] + self.durations[kind, layer]

    def after(self, kind: str, layer: int, next_kind: str, next_layer: int) -> None:
        """Let a group wait for another on the same cores."""
        if (kind, layer) in self.end and (next_kind, next_layer) in self.ready:
            waiting = self.ready[next_kind, next_layer]
            np.maximum(waiting, self.end[kind, layer], out=waiting)

    def receive(self, flow: Flow, kind: str, layer: int, targets: list[tuple[str, int]]) -> int:
        """Let ``targets`` wait for a flow from a group; return the last arrival."""
        ends = np.full(self.layout.chip.cores + self.layout.ports, NEVER, dtype=np.int64)
        owner = layer + 1 if kind == "product" else layer
        ends[flow.source_cores if kind == "io" else self.layout.cores(owner)] = (
            self.end[kind, layer][flow.source_cores - self.layout.chip.cores] if kind == "io" else self.end[kind, layer]
        )
        arrivals = arrival_cycles(self.layout, self.grid, flow, ends[flow.source_cores], self.samples)
        at_core = np.full(self.layout.chip.cores, NEVER, dtype=np.int64)
        at_core[flow.destinations] = arrivals
        # What a core needs from itself is there when it ends, without a message.
        own = flow.source_cores[np.isin(flow.source_cores, flow.destinations) & (kind != "io")]
        at_core[own] = np.maximum(at_core[own], ends[own])
        for target in targets:
            if target in self.ready:
                cores, waiting = self.layout.cores(target[1]), self.ready[target]
                needed = np.isin(cores, flow.readers[target[1]]) if flow.readers else np.ones(len(cores), dtype=bool)
                np.maximum(waiting, at_core[cores], out=waiting, where=needed)
        return int(max(arrivals.max(), 0))


def arrival_cycles(layout: Layout, grid: Mesh, flow: Flow, ends: IntArray, samples: int) -> IntArray:
    """Return when the last message of a flow is at each destination without contention [destinations].

    A message takes at least the hop_cycles of its links but the last, its flits on the ports, and port_cycles.
    """
    arrivals = np.full(len(flow.destinations), NEVER, dtype=np.int64)
    multiple = 1 if flow.once else samples
    for source_units in np.unique(flow.source_units):
        mine = np.flatnonzero(flow.source_units == source_units)
        for destination_units in np.unique(flow.destination_units):
            theirs = np.flatnonzero(flow.destination_units == destination_units)
            payload = multiple * flow.payload(int(source_units), int(destination_units))
            if payload > 0:
                cycles = _link_cycles(layout, flits_of(layout, payload), layout.chip.noc.link_bits)
                reached = _farthest(layout, grid, flow, (mine, theirs), ends) + cycles
                arrivals[theirs] = np.maximum(arrivals[theirs], reached)
    return arrivals + layout.chip.noc.hop_cycles + layout.chip.noc.port_cycles


def _farthest(layout: Layout, grid: Mesh, flow: Flow, pair: tuple[IntArray, IntArray], ends: IntArray) -> IntArray:
    """Return max over sources of end + hop_cycles of the way, for some destinations; a core sends itself nothing."""
    mine, theirs = pair
    noc = layout.chip.noc
    east, west, north, south = (
        getattr(noc, name).hop_cycles or noc.hop_cycles for name in ("east", "west", "north", "south")
    )
    from_y, from_x = np.divmod(flow.source_links[mine] // grid.stride, grid.columns)
    to_y, to_x = np.divmod(flow.destinations[theirs] // grid.cores_per_router, grid.columns)
    if np.isin(flow.source_cores[mine], flow.destinations[theirs]).any():
        dx, dy = to_x - from_x[:, None], to_y - from_y[:, None]
        way = np.where(dx > 0, east * dx, -west * dx) + np.where(dy > 0, south * dy, -north * dy)
        own = flow.source_cores[mine][:, None] == flow.destinations[theirs]
        return np.asarray(np.where(own, NEVER, ends[mine][:, None] + way).max(axis=0))
    # A way is the largest of its four readings (east or west, south or north), so the maximum splits into four.
    best: NDArray[np.int64] = np.full(len(theirs), NEVER, dtype=np.int64)
    for along_x in (east, -west):
        for along_y in (south, -north):
            start = (ends[mine] - along_x * from_x - along_y * from_y).max()
            best = np.maximum(best, start + along_x * to_x + along_y * to_y)
    return best


def _link_cycles(layout: Layout, flits: int, link_bits: int) -> int:
    return -(-flits * layout.chip.noc.flit_bits // link_bits)


def link_loads(layout: Layout, grid: Mesh, flow: Flow, samples: int) -> IntArray:
    """Return the least cycles for which the messages of a flow hold each link of the mesh [links]."""
    loads = np.zeros(grid.links, dtype=np.int64)
    multiple = 1 if flow.once else samples
    for source_units in np.unique(flow.source_units):
        mine = flow.source_units == source_units
        for destination_units in [1] if flow.multicast else np.unique(flow.destination_units):
            payload = multiple * flow.payload(int(source_units), int(destination_units))
            theirs = (
                np.ones(len(flow.destinations), bool) if flow.multicast else flow.destination_units == destination_units
            )
            if payload > 0:
                flits = flits_of(layout, payload)
                cycles = -(-flits * grid.flit_bits // grid.link_bits)
                loads += cycles * _messages_on_links(grid, flow, mine, theirs)
    return loads


def _messages_on_links(grid: Mesh, flow: Flow, mine: NDArray[np.bool_], theirs: NDArray[np.bool_]) -> IntArray:
    """Return how many messages of one class cross each link [links]."""
    links, destinations = flow.source_links[mine], flow.destinations[theirs]
    if flow.multicast:
        links = links[(flow.source_cores[mine, None] != destinations).any(axis=1)]
    routers, slots = grid.routers, grid.cores_per_router
    on = np.zeros((routers, grid.stride), dtype=np.int64)
    sources = np.bincount(links // grid.stride, minlength=routers).reshape(grid.rows, grid.columns)
    own = np.isin(flow.source_cores[mine], destinations)
    copies = len(destinations) - own
    flat = on.reshape(-1)
    np.add.at(flat, flow.source_links[mine], np.minimum(copies, 1) if flow.multicast else copies)
    received = len(flow.source_cores[mine]) - np.isin(destinations, flow.source_cores[mine])
    ejections = destinations // slots * grid.stride + slots + 5 + destinations % slots
    np.add.at(flat, ejections, received)
    for number, crossed in enumerate(_between_routers(grid, sources, destinations, flow.multicast)):
        on[:, slots + 1 + number] = crossed.ravel()
    return flat


def _between_routers(grid: Mesh, sources: IntArray, destinations: IntArray, multicast: bool) -> list[IntArray]:
    """Return messages on the east, west, north and south links [4][rows, columns]."""
    from_west, rows_above = np.cumsum(sources, axis=1), np.cumsum(sources.sum(axis=1))
    from_east = np.cumsum(sources[:, ::-1], axis=1)[:, ::-1]
    rows_below = np.cumsum(sources.sum(axis=1)[::-1])[::-1]
    x, y = np.arange(grid.columns), np.arange(grid.rows)[:, None]
    if multicast:
        sets = destination_sets(grid, [destinations.tolist()])
        east, west = x < sets.x_max[0], x > sets.x_min[0]
        north, south = y > sets.column_min[0], y < sets.column_max[0]
    else:
        placed = np.bincount(destinations // grid.cores_per_router, minlength=grid.routers)
        placed = placed.reshape(grid.rows, grid.columns)
        columns, rows = placed.sum(axis=0), placed
        east, west = columns.sum() - np.cumsum(columns), np.cumsum(columns) - columns
        north, south = np.cumsum(rows, axis=0) - rows, rows.sum(axis=0) - np.cumsum(rows, axis=0)
    return [from_west * east, from_east * west, rows_below[:, None] * north, rows_above[:, None] * south]
