"""How many messages of a flow pass each link of the mesh, in closed form."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurosim.analytic.flow import Flow
from neurosim.analytic.legs import Box, fork, pair_legs, positions
from neurosim.analytic.traffic import flits_of
from neurosim.counts import IntArray
from neurosim.schedules.layout import Layout
from neurosim.topology import Mesh


def add_link_loads(layout: Layout, grid: Mesh, flow: Flow, samples: Sequence[int], loads: Sequence[IntArray]) -> None:
    """Add to each of ``loads`` [links] the least cycles for which a flow of so many ``samples`` holds each link.

    Samples of 0 stand for a microbatch in which the flow does not run.
    """
    widths = grid.along(grid.link_bits)
    for bits, mine, theirs in flow.classes:
        sent = [flits_of(layout, bits * (min(p, 1) if flow.payload.once else p)) * grid.flit_bits for p in samples]
        # All ports are as wide as the first.
        _add_ports(grid, flow, (mine, theirs), [-(-flit_bits // int(grid.link_bits[0])) for flit_bits in sent], loads)
        box, passed = _between_routers(grid, flow, mine, theirs)
        for flit_bits, load in zip(sent, loads, strict=True):
            _add_passed(grid, box, passed, [-(-flit_bits // width) for width in widths], load)


def _add_passed(grid: Mesh, box: Box, passed: Sequence[IntArray], cycles: Sequence[IntArray], load: IntArray) -> None:
    """Add messages times cycles, by direction along the mesh, to the links between the routers of a box."""
    by_router = load.reshape(grid.rows, grid.columns, grid.stride)
    rows = slice(box.first_y, box.first_y + box.rows)
    columns = slice(box.first_x, box.first_x + box.columns)
    parts = ((slice(None), columns), (slice(None), columns), (rows, slice(None)), (rows, slice(None)))
    for slot, (messages, each, part) in enumerate(zip(passed, cycles, parts, strict=True), grid.cores_per_router + 1):
        by_router[rows, columns, slot] += each[part] * messages


def _add_ports(
    grid: Mesh, flow: Flow, ends: tuple[IntArray, IntArray], cycles: Sequence[int], loads: Sequence[IntArray]
) -> None:
    """Add to the injection links of sources and the ejection links of destinations."""
    mine, theirs = ends
    destinations = flow.destinations[theirs]
    if flow.pattern == "pair":
        mine, sent = np.unique(mine, return_counts=True)
        destinations, received = np.unique(destinations, return_counts=True)
    else:
        own_sent, own_received = flow.to_itself(mine, theirs)
        sent, received = len(theirs) - own_sent, len(mine) - own_received
    if flow.payload.multicast:
        sent = np.minimum(sent, 1)
    router, k = np.divmod(destinations, grid.cores_per_router)
    links = flow.sources.links[mine]
    ejections = router * grid.stride + grid.cores_per_router + 5 + k
    for each, load in zip(cycles, loads, strict=True):
        np.add.at(load, links, sent * each)  # a core may be a source several times
        load[ejections] += received * each


def _between_routers(grid: Mesh, flow: Flow, mine: IntArray, theirs: IntArray) -> tuple[Box, list[IntArray]]:
    """Return the messages of a class on the east, west, north and south links of a box of routers."""
    if flow.pattern == "pair":
        legs = pair_legs(grid, flow, mine, theirs)
        box = legs.box()
        return box, legs.passed(box)
    destinations, links = flow.destinations[theirs], flow.sources.links[mine]
    if flow.payload.multicast and len(destinations) == 1:
        links = links[flow.sources.cores[mine] != destinations[0]]
    from_y, from_x = positions(grid, links)
    to_y, to_x = np.divmod(destinations // grid.cores_per_router, grid.columns)
    y, x = np.concatenate([from_y, to_y]), np.concatenate([from_x, to_x])
    first_y, first_x = int(y.min()), int(x.min())
    box = Box(first_y, first_x, int(y.max()) - first_y + 1, int(x.max()) - first_x + 1)
    sources = _counted(box, from_y, from_x)
    if flow.payload.multicast:
        return box, _tree_links(grid, box, sources, destinations)
    return box, _route_links(sources, _counted(box, to_y, to_x))


def _counted(box: Box, y: IntArray, x: IntArray) -> IntArray:
    """Return how many of the given routers are at each place of a box [rows, columns]."""
    places = (y - box.first_y) * box.columns + x - box.first_x
    return np.bincount(places, minlength=box.rows * box.columns).reshape(box.rows, box.columns)


def _tree_links(grid: Mesh, box: Box, sources: IntArray, destinations: IntArray) -> list[IntArray]:
    """Return the trees on every link of a box, each from one of ``sources`` [rows, columns] to all destinations."""
    columns, first, last = fork(grid, destinations)
    x, y = np.arange(box.columns) + box.first_x, np.arange(box.rows)[:, None] + box.first_y
    north, south = np.zeros_like(sources), np.zeros_like(sources)
    north[:, columns - box.first_x] = (y > first) * _from_end(sources.sum(axis=1))[:, None]
    south[:, columns - box.first_x] = (y < last) * np.cumsum(sources.sum(axis=1))[:, None]
    east, west = np.cumsum(sources, axis=1) * (x < columns[-1]), _from_end(sources) * (x > columns[0])
    return [east, west, north, south]


def _route_links(sources: IntArray, destinations: IntArray) -> list[IntArray]:
    """Return the messages on every link of a box, one from each of ``sources`` to each of ``destinations``."""
    columns, rows = destinations.sum(axis=0), sources.sum(axis=1)
    east = np.cumsum(sources, axis=1) * (columns.sum() - np.cumsum(columns))
    west = _from_end(sources) * (np.cumsum(columns) - columns)
    north = _from_end(rows)[:, None] * (np.cumsum(destinations, axis=0) - destinations)
    south = np.cumsum(rows)[:, None] * (columns - np.cumsum(destinations, axis=0))
    return [east, west, north, south]


def _from_end(values: IntArray) -> IntArray:
    """Return the sums of each value and all behind it, along the last axis."""
    return np.cumsum(values[..., ::-1], axis=-1)[..., ::-1]
