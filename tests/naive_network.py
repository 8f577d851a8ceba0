"""The event-level network as one loop over one heap of all messages; slow, and short enough to believe.

A branch of a message is the set of cores it still has to reach; where their XY routes part, it parts.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass, field

from neurosim.topology import Mesh


@dataclass
class NaiveMessage:
    """What is sent: by which injection link, to which cores, how long; a multicast leaves its source core out."""

    source: int
    cores: frozenset[int]
    flits: int
    multicast: bool = False


@dataclass
class Records:
    """What happened; rows as in the logs of NetworkState."""

    crossings: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    deliveries: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    waiting_most: int = 0


def next_link(mesh: Mesh, link: int, core: int) -> int:
    """Return the link after ``link`` on the XY route to ``core``."""
    router, slot = divmod(link, mesh.stride)
    k = mesh.cores_per_router
    y, x = divmod(router, mesh.columns)
    x, y = x + (slot == k + 1) - (slot == k + 2), y + (slot == k + 4) - (slot == k + 3)
    to_y, to_x = divmod(core // k, mesh.columns)
    if x != to_x:
        out = k + 1 if to_x > x else k + 2
    elif y != to_y:
        out = k + 4 if to_y > y else k + 3
    else:
        out = k + 5 + core % k
    return (y * mesh.columns + x) * mesh.stride + out


def simulate(mesh: Mesh, messages: list[NaiveMessage], sends: list[tuple[int, int, int]]) -> Records:
    """Run ``sends``, rows (slot, message, time) in the order they were made with times that never fall."""
    k, records = mesh.cores_per_router, Records()
    free: dict[int, int] = defaultdict(int)
    # (time to try, link, arrival, link it came from, order made, tail, slot, message, entered, cores)
    heap: list[tuple[int, int, int, int, int, int, int, int, int, list[int]]] = []
    waiting, entering = 0, list(enumerate(sends))[::-1]
    while heap or entering:
        while entering and (not heap or entering[-1][1][2] <= heap[0][0]):
            order, (slot, number, time) = entering.pop()
            message = messages[number]
            own = mesh.source_core(message.source) if message.multicast else -1
            cores = sorted(message.cores - {own})
            heapq.heappush(heap, (time, message.source, time, -1, order, 0, slot, number, time, cores))
            waiting += 1
        records.waiting_most = max(records.waiting_most, waiting)
        time, link, arrival, came_from, order, tail, slot, number, entered, cores = heapq.heappop(heap)
        if free[link] > time:
            heapq.heappush(heap, (free[link], link, arrival, came_from, order, tail, slot, number, entered, cores))
            continue
        flits, hop = messages[number].flits, int(mesh.hop_cycles[link])
        released = max(time + -(-flits * mesh.flit_bits // int(mesh.link_bits[link])), tail)
        free[link] = released
        records.crossings.append((link, slot, number, time, released))
        waiting -= 1
        if link % mesh.stride >= k + 5:
            delivered = released + mesh.port_cycles
            records.deliveries.append((slot, number, cores[0], entered, delivered))
            continue
        branches: dict[int, list[int]] = defaultdict(list)
        for core in cores:
            branches[next_link(mesh, link, core)].append(core)
        for out, reached in branches.items():
            at = time + hop
            heapq.heappush(heap, (at, out, at, link, order, released + hop, slot, number, entered, reached))
            waiting += 1
    return records
