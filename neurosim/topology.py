"""The mesh of routers: ids of links, XY routes, multicast trees and their closed-form lengths.

Routers are numbered ``y * columns + x`` with y growing to the south, cores ``router * cores_per_router + k``. A link is
numbered ``router * stride + slot``; the slots of a router are, in order, the injections of its cores, the injection of
its io port, E, W, N, S, and the ejections of its cores. A *source* is an injection link: of a core or of an io port.
Several chips make one mesh; a link between routers of two of them is a *border link*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosim.chips import Chip, LinkRates, Noc

Integers = NDArray[np.int64]

DIRECTIONS = ("east", "west", "north", "south")


@dataclass(frozen=True)
class Mesh:
    """A mesh of ``columns`` x ``rows`` routers with what its links do.

    ``hop_cycles``, ``link_bits`` (int64) and ``link_pj_per_flit`` (float64) have one value per link id, [links]; ids of
    links that would leave the mesh exist and are never used. ``chips`` are the equal chips along x and y that it spans.
    """

    columns: int
    rows: int
    cores_per_router: int
    io_routers: tuple[int, ...]
    flit_bits: int
    port_cycles: int
    hop_cycles: Integers
    link_bits: Integers
    link_pj_per_flit: NDArray[np.float64]
    chips: tuple[int, int] = (1, 1)

    @property
    def chip_columns(self) -> int:
        """Routers of one chip along x."""
        return self.columns // self.chips[0]

    @property
    def chip_rows(self) -> int:
        """Routers of one chip along y."""
        return self.rows // self.chips[1]

    @property
    def ways(self) -> int:
        """Kinds of link between routers that are told apart: four directions, and these again at borders if any."""
        return 4 if self.chips == (1, 1) else 8

    @property
    def routers(self) -> int:
        """Routers of the mesh."""
        return self.columns * self.rows

    @property
    def cores(self) -> int:
        """Cores of the mesh."""
        return self.routers * self.cores_per_router

    @property
    def stride(self) -> int:
        """Link ids per router: two ports per core, one io port, four directions."""
        return 2 * self.cores_per_router + 5

    @property
    def links(self) -> int:
        """Link ids of the mesh."""
        return self.routers * self.stride

    def injection_link(self, core: int) -> int:
        """Return the link by which ``core`` sends."""
        router, k = divmod(core, self.cores_per_router)
        return router * self.stride + k

    def io_link(self, port: int) -> int:
        """Return the link by which io port number ``port`` sends."""
        return self.io_routers[port] * self.stride + self.cores_per_router

    def ejection_link(self, core: int) -> int:
        """Return the link by which ``core`` receives."""
        router, k = divmod(core, self.cores_per_router)
        return router * self.stride + self.cores_per_router + 5 + k

    def direction_link(self, router: int, direction: str) -> int:
        """Return the link that leaves ``router`` to the ``"east"``, ``"west"``, ``"north"`` or ``"south"``."""
        return router * self.stride + self.cores_per_router + 1 + DIRECTIONS.index(direction)

    def source_router(self, source: int) -> int:
        """Return the router that the injection link ``source`` enters."""
        return source // self.stride

    def source_core(self, source: int) -> int:
        """Return the core that sends by the injection link ``source``, or -1 for an io port."""
        router, slot = divmod(source, self.stride)
        return router * self.cores_per_router + slot if slot < self.cores_per_router else -1

    def between_routers(self) -> NDArray[np.bool_]:
        """Return, for every link id, whether it is one of the four directions; bool [links]."""
        slot = np.arange(self.links) % self.stride - self.cores_per_router
        return (slot >= 1) & (slot <= 4)

    def border_links(self) -> NDArray[np.bool_]:
        """Return, for every link id, whether it leads from one chip to another; bool [links]."""
        borders = np.zeros((self.rows, self.columns, self.stride), dtype=np.bool_)
        east = self.cores_per_router + 1
        y, x = np.arange(self.rows), np.arange(self.columns)
        borders[:, x[:-1][x[1:] % self.chip_columns == 0], east] = True
        borders[:, x[1:][x[1:] % self.chip_columns == 0], east + 1] = True
        borders[y[1:][y[1:] % self.chip_rows == 0], :, east + 2] = True
        borders[y[:-1][y[1:] % self.chip_rows == 0], :, east + 3] = True
        return borders.ravel()

    def along(self, values: NDArray[Any]) -> list[NDArray[Any]]:
        """Return what links [links] do to the east, west, north and south: rates follow the column or the row alone.

        Four arrays to be spread over [rows, columns]: two [1, columns], then two [rows, 1].
        """
        by_router = values.reshape(self.rows, self.columns, self.stride)
        east = self.cores_per_router + 1
        along_x = [by_router[:1, :, slot] for slot in (east, east + 1)]
        return [*along_x, *(by_router[:, :1, slot] for slot in (east + 2, east + 3))]

    def link_name(self, link: int) -> str:
        """Return a name for reports, such as ``"(3, 2) east"`` or ``"(0, 0) ejection 0"``."""
        router, slot = divmod(link, self.stride)
        y, x = divmod(router, self.columns)
        cores = self.cores_per_router
        ports = [f"injection {k}" for k in range(cores)] + ["io"]
        return f"({x}, {y}) {[*ports, *DIRECTIONS, *(f'ejection {k}' for k in range(cores))][slot]}"


@dataclass(frozen=True)
class DestinationSets:
    """Sets of destination cores in the form from which a multicast forks without a table.

    For S sets: ``x_min``, ``x_max`` [S] bound the columns of the members, ``column_min``, ``column_max`` [S, columns]
    their rows in each column (``rows`` and -1 where there are none), all int64; ``member`` is bool [S, cores].
    """

    x_min: Integers
    x_max: Integers
    column_min: Integers
    column_max: Integers
    member: NDArray[np.bool_]

    def cores(self, index: int) -> Integers:
        """Return the members of one set in ascending order, int64."""
        return np.flatnonzero(self.member[index]).astype(np.int64)


def mesh(chip: Chip) -> Mesh:
    """Return the mesh of a chip: directions override the network's own rates, borders both; ports use the network's."""
    kinds: dict[str, type] = {"hop_cycles": np.int64, "link_bits": np.int64, "link_pj_per_flit": np.float64}
    rates: dict[str, NDArray[Any]] = {
        name: np.array(_by_slot(chip.noc, name), dtype=kind) for name, kind in kinds.items()
    }
    grid = Mesh(
        chip.columns,
        chip.rows,
        chip.noc.cores_per_router,
        io_routers=tuple(y * chip.columns + x for x, y in chip.io.ports),
        flit_bits=chip.noc.flit_bits,
        port_cycles=chip.noc.port_cycles,
        **{name: np.tile(values, chip.columns * chip.rows) for name, values in rates.items()},
        chips=chip.chips,
    )
    if chip.several_chips:
        borders = grid.border_links()
        for name in rates:
            own = getattr(chip.noc.border, name)
            if own is not None:
                getattr(grid, name)[borders] = own
    return grid


def _by_slot(noc: Noc, name: str) -> list[float]:
    """One rate for every slot of a router, borders aside."""
    own: float = getattr(noc, name)
    directions: tuple[LinkRates, ...] = (noc.east, noc.west, noc.north, noc.south)
    overrides = [getattr(rates, name) for rates in directions]
    ports = [own] * noc.cores_per_router
    return [*ports, own, *(own if value is None else value for value in overrides), *ports]


def destination_sets(grid: Mesh, sets: Sequence[Iterable[int]]) -> DestinationSets:
    """Return the fork tables of ``sets``, each a collection of core numbers.

    Raises ValueError for an empty set or a core that does not exist.
    """
    member = np.zeros((len(sets), grid.cores), dtype=np.bool_)
    for index, cores in enumerate(sets):
        chosen = np.fromiter(cores, dtype=np.int64)
        if chosen.size == 0 or chosen.min() < 0 or chosen.max() >= grid.cores:
            raise ValueError(f"destination set {index}: it must hold cores between 0 and {grid.cores - 1}")
        member[index, chosen] = True
    by_router = member.reshape(len(sets), grid.rows, grid.columns, grid.cores_per_router)
    occupied: NDArray[np.bool_] = np.asarray(by_router.any(axis=3))
    columns: NDArray[np.bool_] = np.asarray(occupied.any(axis=1))
    return DestinationSets(
        x_min=columns.argmax(axis=1).astype(np.int64),
        x_max=(grid.columns - 1 - columns[:, ::-1].argmax(axis=1)).astype(np.int64),
        column_min=np.where(columns, occupied.argmax(axis=1), grid.rows).astype(np.int64),
        column_max=np.where(columns, grid.rows - 1 - occupied[:, ::-1].argmax(axis=1), -1).astype(np.int64),
        member=member,
    )


def route_crossings(grid: Mesh, source: Integers | int, core: Integers | int) -> Integers:
    """Return the east, west, north and south links of XY routes from injection links to cores; int64 [ways, M].

    Where there are several chips, the links within chips come first, then those between them.
    """
    from_y, from_x = np.divmod(np.asarray(source, dtype=np.int64) // grid.stride, grid.columns)
    to_y, to_x = np.divmod(np.asarray(core, dtype=np.int64) // grid.cores_per_router, grid.columns)

    def crossed(width: int, height: int) -> Integers:
        """Borders of tiles of so many routers that are crossed by direction [4, M]."""
        dx, dy = to_x // width - from_x // width, to_y // height - from_y // height
        return np.asarray(np.maximum(np.stack([dx, -dx, -dy, dy]), 0), dtype=np.int64)

    return split_at_borders(grid, crossed)


def split_at_borders(grid: Mesh, crossed: Callable[[int, int], Integers]) -> Integers:
    """Return the links within chips and then those between chips, [ways, ...], each by direction.

    ``crossed(width, height)`` tells the borders [4, ...] of tiles of ``width`` x ``height`` routers that are crossed:
    every link is one of tiles of one router. Without several chips there is nothing to tell apart, [4, ...].
    """
    links = crossed(1, 1)
    if grid.ways == 4:
        return links
    borders = crossed(grid.chip_columns, grid.chip_rows)
    return np.concatenate([links - borders, borders])


def route_hops(grid: Mesh, source: Integers | int, core: Integers | int) -> Integers:
    """Return the links between routers of XY routes from injection links to cores: Manhattan distances, int64."""
    return np.asarray(route_crossings(grid, source, core).sum(axis=0))


def tree_crossings(grid: Mesh, source: Integers, sets: DestinationSets, index: Integers) -> Integers:
    """Return the east, west, north and south links of multicast trees between routers; int64 [ways, M].

    A tree runs along the row of its source and branches into every column that holds a member. ``source`` and ``index``
    are int64 [M]: injection links and numbers of sets. A tree of H links has H + 1 routers. Where there are several
    chips, the links within chips come first, then those between them.
    """
    router = np.asarray(source, dtype=np.int64) // grid.stride
    pairs, back = np.unique(np.stack([router, np.asarray(index, dtype=np.int64)]), axis=1, return_inverse=True)
    y, x = np.divmod(pairs[0], grid.columns)
    chosen = pairs[1]

    def crossed(width: int, height: int) -> Integers:
        """Borders of tiles of so many routers that are crossed by direction [4, M]; columns without members add 0."""
        column, row = x // width, y // height
        east = np.maximum(sets.x_max[chosen] // width - column, 0)
        west = np.maximum(column - sets.x_min[chosen] // width, 0)
        north = np.maximum(row[:, None] - sets.column_min[chosen] // height, 0).sum(axis=1)
        south = np.maximum(sets.column_max[chosen] // height - row[:, None], 0).sum(axis=1)
        return np.stack([east, west, north, south])

    return np.asarray(split_at_borders(grid, crossed)[:, back.reshape(-1)], dtype=np.int64)


def tree_hops(grid: Mesh, source: Integers, sets: DestinationSets, index: Integers) -> Integers:
    """Return the links between routers of multicast trees, as ``tree_crossings`` has them by direction; int64 [M]."""
    return np.asarray(tree_crossings(grid, source, sets, index).sum(axis=0))


def deliveries(grid: Mesh, source: Integers, sets: DestinationSets, index: Integers) -> Integers:
    """Return the cores that multicasts are delivered to: the members, less the source core itself; int64 [M]."""
    router, slot = np.divmod(np.asarray(source, dtype=np.int64), grid.stride)
    is_core = slot < grid.cores_per_router
    core = np.where(is_core, router * grid.cores_per_router + slot, 0)
    return np.asarray(sets.member.sum(axis=1)[index] - (is_core & sets.member[index, core]), dtype=np.int64)


def route_links(grid: Mesh, source: int, core: int) -> list[int]:
    """Return the links of the XY route from injection link ``source`` to ``core``: injection, x, y, ejection."""
    links = [source]
    router = grid.source_router(source)
    to_y, to_x = divmod(core // grid.cores_per_router, grid.columns)
    while router != core // grid.cores_per_router:
        y, x = divmod(router, grid.columns)
        if x != to_x:
            direction, step = ("east", 1) if to_x > x else ("west", -1)
        else:
            direction, step = ("south", grid.columns) if to_y > y else ("north", -grid.columns)
        links.append(grid.direction_link(router, direction))
        router += step
    return [*links, grid.ejection_link(core)]


def tree_links(grid: Mesh, source: int, cores: Iterable[int]) -> set[int]:
    """Return the links of the union of the XY routes from ``source`` to ``cores``, the source core itself excepted."""
    own = grid.source_core(source)
    return {source}.union(*(route_links(grid, source, core) for core in cores if core != own))


def tree_nodes(grid: Mesh, source: int, cores: Iterable[int]) -> set[int]:
    """Return the routers of the union of the XY routes from ``source`` to ``cores``."""
    own = grid.source_core(source)
    routers = {grid.source_router(source)}
    for core in cores:
        if core != own:
            routers.update(link // grid.stride for link in route_links(grid, source, core)[1:])
    return routers
