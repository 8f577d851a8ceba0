"""Messages, bits, hops and flits in closed form: sums over pairs of cores without making the pairs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from neurosim.analytic.flow import Flow
from neurosim.analytic.legs import fork, pair_legs, positions
from neurosim.counts import IntArray
from neurosim.schedules.layout import Layout
from neurosim.topology import Mesh, split_at_borders
from neurosim.trace import DIRECTIONS, TRAFFIC_COLUMNS, TRAFFIC_INDEX, WAY_COLUMNS


class Sums(NamedTuple):
    """Messages of equal payload: how many, how many copies arrive, links crossed by each way [ways] in all."""

    messages: int
    copies: int
    crossings: IntArray


def flits_of(layout: Layout, payload_bits: int) -> int:
    """Flits of a message: payload and one set of headers per packet."""
    noc = layout.chip.noc
    payload = -(-payload_bits // noc.flit_bits)
    return payload + noc.header_flits * -(-payload // noc.max_packet_flits)


def flow_totals(layout: Layout, grid: Mesh, flow: Flow, batch_size: int) -> IntArray:
    """Return the TRAFFIC_COLUMNS of a flow summed over the microbatches of a step of ``batch_size`` samples."""
    total = np.zeros(len(TRAFFIC_COLUMNS), dtype=np.int64)
    microbatch = layout.placement.microbatch
    before_last = (batch_size - 1) // microbatch
    repeats = [(microbatch, before_last), (batch_size - before_last * microbatch, 1)]
    for bits, sums in _classes(grid, flow):
        for samples, times in [(1, 1)] if flow.payload.once else repeats:
            total += times * _totals(layout, sums, samples * bits)
    return total


def flow_crossings(grid: Mesh, flow: Flow) -> tuple[int, int]:
    """Return the messages of a flow in a microbatch, and the links granted to them: injections and ejections too."""
    messages = crossings = 0
    for _, sums in _classes(grid, flow):
        messages += sums.messages
        crossings += sums.messages + sums.copies + int(sums.crossings.sum())
    return messages, crossings


def _totals(layout: Layout, sums: Sums, payload_bits: int) -> IntArray:
    """TRAFFIC_COLUMNS of equal messages of ``payload_bits``."""
    flits = flits_of(layout, payload_bits)
    links, borders = int(sums.crossings.sum()), int(sums.crossings[len(DIRECTIONS) :].sum())
    values = {
        "messages": sums.messages,
        "payload_bits": sums.messages * payload_bits,
        "delivered_bits": sums.copies * payload_bits,
        "bit_hops": links * payload_bits,
        "border_bit_hops": borders * payload_bits,
        "flits": sums.messages * flits,
        "flit_hops": links * flits,
        "border_flit_hops": borders * flits,
        "flit_routers": (links + sums.messages) * flits,
    }
    total = np.zeros(len(TRAFFIC_COLUMNS), dtype=np.int64)
    for name, value in values.items():
        total[TRAFFIC_INDEX[name]] = value
    first = TRAFFIC_INDEX[WAY_COLUMNS[0]]
    total[first : first + len(sums.crossings)] = sums.crossings * flits
    return total


def _classes(grid: Mesh, flow: Flow) -> Iterator[tuple[int, Sums]]:
    """Yield (payload bits, sums) for every class of messages with equal payload."""
    for bits, mine, theirs in flow.classes:
        if flow.pattern == "pair":
            legs = pair_legs(grid, flow, mine, theirs)
            yield bits, Sums(legs.messages, len(theirs), legs.crossings(grid))
        elif flow.payload.multicast:
            yield bits, _trees(grid, flow, mine, theirs)
        else:
            yield bits, _pairs(grid, flow, mine, theirs)


def _trees(grid: Mesh, flow: Flow, mine: IntArray, theirs: IntArray) -> Sums:
    """Trees from some sources to all destinations."""
    copies = len(theirs) - flow.to_itself(mine, theirs)[0]
    y, x = positions(grid, flow.sources.links[mine[copies > 0]])
    if len(x) == 0:
        return Sums(0, 0, np.zeros(grid.ways, dtype=np.int64))
    columns, first, last = fork(grid, flow.destinations[theirs])
    rows, row_of = np.unique(y, return_inverse=True)

    def crossed(width: int, height: int) -> IntArray:
        """Borders of tiles of so many routers that all trees cross by direction [4]."""
        column, row = x // width, rows[:, None] // height
        north = np.maximum(row - first // height, 0).sum(axis=1)[row_of].sum()
        south = np.maximum(last // height - row, 0).sum(axis=1)[row_of].sum()
        east = np.maximum(columns[-1] // width - column, 0).sum()
        west = np.maximum(column - columns[0] // width, 0).sum()
        return np.array([east, west, north, south], dtype=np.int64)

    return Sums(len(x), int(copies.sum()), split_at_borders(grid, crossed))


def _pairs(grid: Mesh, flow: Flow, mine: IntArray, theirs: IntArray) -> Sums:
    """Messages from some sources to some destinations, one each, but none to a core from itself."""
    from_y, from_x = positions(grid, flow.sources.links[mine])
    to_y, to_x = np.divmod(flow.destinations[theirs] // grid.cores_per_router, grid.columns)
    count = len(mine) * len(theirs) - int(flow.to_itself(mine, theirs)[0].sum())

    def crossed(width: int, height: int) -> IntArray:
        """Borders of tiles of so many routers that all routes cross by direction [4]."""
        east, west = _crossed(from_x // width, to_x // width, grid.columns // width)
        south, north = _crossed(from_y // height, to_y // height, grid.rows // height)
        return np.array([east, west, north, south], dtype=np.int64)

    return Sums(count, count, split_at_borders(grid, crossed))


def _crossed(sources: IntArray, destinations: IntArray, length: int) -> tuple[int, int]:
    """Return the unit steps up and down between all pairs: a step is crossed by the pairs on its two sides."""
    before = np.cumsum(np.bincount(sources, minlength=length))[:-1]
    reached = np.cumsum(np.bincount(destinations, minlength=length))[:-1]
    up = (before * (len(destinations) - reached)).sum()
    down = ((len(sources) - before) * reached).sum()
    return int(up), int(down)
