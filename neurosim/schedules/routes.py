"""Links of routes and trees by direction: what a message's flits cross between routers."""

from __future__ import annotations

import numpy as np

from neurosim.counts import IntArray
from neurosim.topology import DestinationSets, Mesh


def route_crossings(grid: Mesh, sources: IntArray, cores: IntArray) -> IntArray:
    """Return the east, west, north and south links of XY routes from injection links to cores [4, M] int64."""
    from_y, from_x = np.divmod(sources // grid.stride, grid.columns)
    to_y, to_x = np.divmod(cores // grid.cores_per_router, grid.columns)
    dx, dy = to_x - from_x, to_y - from_y
    return np.asarray(np.maximum(np.stack([dx, -dx, -dy, dy]), 0), dtype=np.int64)


def tree_crossings(grid: Mesh, sources: IntArray, sets: DestinationSets, index: int) -> IntArray:
    """Return the east, west, north and south links of multicast trees to one destination set [4, M] int64.

    A tree runs along the row of its source and branches into every column that holds a member.
    """
    y, x = np.divmod(sources // grid.stride, grid.columns)
    east = np.maximum(sets.x_max[index] - x, 0)
    west = np.maximum(x - sets.x_min[index], 0)
    rows = np.arange(grid.rows)[:, None]
    north = np.maximum(rows - sets.column_min[index][None, :], 0).sum(axis=1)
    south = np.maximum(sets.column_max[index][None, :] - rows, 0).sum(axis=1)
    return np.stack([east, west, north[y], south[y]]).astype(np.int64)
