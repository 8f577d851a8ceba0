"""Ways over the mesh as straight legs: lengths by direction, and how many messages pass each link."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from neurosim.analytic.flow import Flow
from neurosim.counts import IntArray
from neurosim.topology import Mesh, split_at_borders


class Box(NamedTuple):
    """Routers first_y .. first_y + rows - 1 by first_x .. first_x + columns - 1 of a mesh."""

    first_y: int
    first_x: int
    rows: int
    columns: int


class Legs(NamedTuple):
    """Straight ways [legs]: along row ``y`` from one x to another, and along column ``x`` from one y to another.

    ``messages`` is how many messages there are: a tree is one message of several legs.
    """

    messages: int
    y: IntArray
    from_x: IntArray
    to_x: IntArray
    x: IntArray
    from_y: IntArray
    to_y: IntArray

    def crossings(self, grid: Mesh) -> IntArray:
        """Return the links crossed to the east, west, north and south, those between chips apart [ways]."""

        def crossed(width: int, height: int) -> IntArray:
            """Borders of tiles of so many routers that are crossed by direction [4]."""
            along_x, along_y = self.to_x // width - self.from_x // width, self.to_y // height - self.from_y // height
            ways = (along_x, -along_x, -along_y, along_y)
            return np.array([np.maximum(way, 0).sum() for way in ways], dtype=np.int64)

        return split_at_borders(grid, crossed)

    def box(self) -> Box:
        """Return the smallest box that holds all legs."""
        first_y, first_x = int(self.from_y.min()), int(self.from_x.min())
        first_y, first_x = min(first_y, int(self.to_y.min())), min(first_x, int(self.to_x.min()))
        rows = max(int(self.from_y.max()), int(self.to_y.max())) - first_y + 1
        columns = max(int(self.from_x.max()), int(self.to_x.max())) - first_x + 1
        return Box(first_y, first_x, rows, columns)

    def passed(self, box: Box) -> list[IntArray]:
        """Return the legs on the east, west, north and south links of the routers of a box [4][rows, columns]."""
        y, x = self.y - box.first_y, self.x - box.first_x
        from_x, to_x = self.from_x - box.first_x, self.to_x - box.first_x
        from_y, to_y = self.from_y - box.first_y, self.to_y - box.first_y
        east = _steps(y, from_x, to_x, (box.rows, box.columns))
        west = _steps(y, to_x + 1, from_x + 1, (box.rows, box.columns))
        north = _steps(x, to_y + 1, from_y + 1, (box.columns, box.rows)).T
        south = _steps(x, from_y, to_y, (box.columns, box.rows)).T
        return [east, west, north, south]


def _steps(lines: IntArray, first: IntArray, behind: IntArray, shape: tuple[int, int]) -> IntArray:
    """Return how many intervals first .. behind - 1 cover each place of each line [lines, places]; some are empty."""
    some = behind > first
    changes = np.zeros((shape[0], shape[1] + 1), dtype=np.int64)
    np.add.at(changes, (lines[some], first[some]), 1)
    np.add.at(changes, (lines[some], behind[some]), -1)
    return np.cumsum(changes[:, :-1], axis=1)


def positions(grid: Mesh, links: IntArray) -> tuple[IntArray, IntArray]:
    """Return (y, x) of the routers that injection links enter."""
    y, x = np.divmod(links // grid.stride, grid.columns)
    return y, x


def fork(grid: Mesh, cores: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Return the columns in which ``cores`` are, in order, and their first and last rows in each."""
    y, x = np.divmod(cores // grid.cores_per_router, grid.columns)
    return _ranges(x, y)


def _ranges(keys: IntArray, values: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Return the distinct keys in order, and the least and largest value of each."""
    order = np.argsort(keys, kind="stable")
    distinct, starts = np.unique(keys[order], return_index=True)
    return distinct, np.minimum.reduceat(values[order], starts), np.maximum.reduceat(values[order], starts)


def pair_legs(grid: Mesh, flow: Flow, mine: IntArray, theirs: IntArray) -> Legs:
    """Return the ways of a flow of the pattern "pair" from sources ``mine`` to destinations ``theirs``, one by one."""
    from_y, from_x = positions(grid, flow.sources.links[mine])
    to_y, to_x = np.divmod(flow.destinations[theirs] // grid.cores_per_router, grid.columns)
    if not flow.payload.multicast:
        return Legs(len(theirs), from_y, from_x, to_x, to_x, from_y, to_y)
    sources, west, east = _ranges(mine, to_x)
    y, x = positions(grid, flow.sources.links[sources])
    branches, north, south = _ranges(mine * grid.columns + to_x, to_y)
    root_y, _ = positions(grid, flow.sources.links[branches // grid.columns])
    return Legs(
        len(sources),
        np.tile(y, 2),
        np.tile(x, 2),
        np.concatenate([np.maximum(east, x), np.minimum(west, x)]),
        np.tile(branches % grid.columns, 2),
        np.tile(root_y, 2),
        np.concatenate([np.maximum(south, root_y), np.minimum(north, root_y)]),
    )
