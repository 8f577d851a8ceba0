"""Slow twin of the mesh: one hop at a time along x, then along y; a tree is the union of its routes.

Routers are numbered ``y * columns + x`` and rows grow to the south, so north is y - 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from neurosim.chips import Chip

EAST, WEST, NORTH, SOUTH = range(4)  # in the order of link ids
Hop = tuple[int, int]  # (router that is left, direction)


def router_of(chip: Chip, core: int) -> int:
    """Return the router of a core."""
    return core // chip.noc.cores_per_router


def port_router(chip: Chip, port: int) -> int:
    """Return the router of an io port."""
    x, y = chip.io.ports[port]
    return y * chip.columns + x


def next_link(chip: Chip, router: int, target: int) -> Hop | None:
    """Return the link by which a message for router ``target`` leaves ``router``, or None if it is there."""
    x, y = router % chip.columns, router // chip.columns
    to_x, to_y = target % chip.columns, target // chip.columns
    if x != to_x:
        return router, EAST if x < to_x else WEST
    if y != to_y:
        return router, SOUTH if y < to_y else NORTH
    return None


def far_end(chip: Chip, hop: Hop) -> int:
    """Return the router that a link leads to."""
    router, direction = hop
    return router + {EAST: 1, WEST: -1, NORTH: -chip.columns, SOUTH: chip.columns}[direction]


def crosses_border(chip: Chip, hop: Hop) -> bool:
    """Whether a link leads from one chip to another."""
    here, there = ((router % chip.columns, router // chip.columns) for router in (hop[0], far_end(chip, hop)))
    width, height = chip.grid
    return (here[0] // width, here[1] // height) != (there[0] // width, there[1] // height)


def tree(chip: Chip, router: int, targets: Sequence[int]) -> tuple[set[Hop], set[int]]:
    """Return the links and the routers of the union of the routes from ``router`` to ``targets``."""
    links: set[Hop] = set()
    routers = {router}
    for target in targets:
        here = router
        while (hop := next_link(chip, here, target)) is not None:
            links.add(hop)
            here = far_end(chip, hop)
            routers.add(here)
    return links, routers


def flits_of(chip: Chip, payload_bits: int) -> int:
    """Return the flits of a message: its payload, and headers for each packet it is cut into."""
    flits = 0
    for number, _ in enumerate(range(0, payload_bits, chip.noc.flit_bits)):
        flits += 1
        if number % chip.noc.max_packet_flits == 0:
            flits += chip.noc.header_flits
    return flits
