"""Traffic for the tests of the flit-level network: routers, random messages, and states without tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from naive_network import NaiveMessage
from network_traffic import mesh

from neurosim import topology
from neurosim.engine.flit_state import FlitState
from neurosim.engine.flit_tables import FlitGrid, FlitRouter
from neurosim.engine.network_state import Messages, Targets
from neurosim.topology import Mesh

CONFIG_A = FlitRouter(4, 8, 1, 1, packet_flits=1 << 20, multicast_packet_flits=8)
CONFIG_E = FlitRouter(8, 8, 0, 1, packet_flits=1 << 20, multicast_packet_flits=8)


@dataclass
class FlitTraffic:
    """A mesh, its router, and messages with the times at which they are sent, in order."""

    mesh: Mesh
    router: FlitRouter
    messages: list[NaiveMessage]
    sends: list[tuple[int, int, int]]  # slot, message, time

    def state(self, *, groups: Sequence[int] | None = None, tasks: bool = False) -> FlitState:
        """A network that has been sent everything; with ``tasks`` each core's runs 10 cycles after one delivery."""
        count = len(self.messages)
        group = np.zeros(count, dtype=np.int64) if groups is None else np.array(groups)
        number = np.arange(count)
        source = np.array([message.source for message in self.messages])
        first = np.array([min(message.cores) for message in self.messages])
        multicast = np.array([message.multicast for message in self.messages])
        sets = topology.destination_sets(self.mesh, [sorted(message.cores) for message in self.messages])
        trees = topology.tree_hops(self.mesh, source, sets, number)
        hops = np.where(multicast, trees, topology.route_hops(self.mesh, source, first))
        flits = np.array([[message.flits for message in self.messages]])
        rows = (int(group.max()) + 1) * self.mesh.cores
        task = np.arange(rows if tasks else 0)
        start = np.arange(rows + 1) * int(tasks)
        targets = Targets(start, task, 0 * task, np.full((1, max(len(task), 1)), 10))
        messages = Messages(source, group, np.where(multicast, -1, first), number, hops, flits)
        deliveries = sum(len(message.cores) for message in self.messages)
        state = FlitState(
            FlitGrid(self.mesh, self.router), messages, sets=sets, targets=targets, slots=1, log_rows=deliveries
        )
        state.start_slot(0, 0, np.ones(max(len(task), 1), dtype=np.int64))
        if self.sends:
            state.send_all(np.array([(slot, message, message + 1, time) for slot, message, time in self.sends]))
        return state

    def run(self) -> FlitState:
        """A network in which all has arrived."""
        state = self.state()
        state.run(1 << 37)
        return state


def unicasts(
    grid: Mesh, router: FlitRouter, pairs: Sequence[tuple[int, int]], *, flits: Sequence[int], times: Sequence[int]
) -> FlitTraffic:
    """Single messages (source core, destination core), each with its flits at its time."""
    messages = [
        NaiveMessage(grid.injection_link(a), frozenset([b]), length)
        for (a, b), length in zip(pairs, flits, strict=True)
    ]
    return FlitTraffic(grid, router, messages, [(0, index, time) for index, time in enumerate(times)])


def random_flit_traffic(seed: int, *, sends: int = 60) -> FlitTraffic:
    """Small meshes of any router, links that differ, several cores a router, io ports, unicasts and multicasts."""
    generator = np.random.default_rng(seed)
    cores, delay = int(generator.integers(1, 4)), int(generator.integers(0, 4))
    rates = {
        slot: (delay + 4 + int(generator.integers(0, 5)), int(generator.choice([16, 48, 64])))
        for slot in range(2 * cores + 5)
        if generator.random() < 0.2
    }
    sides = generator.integers(1, 5, 2)
    grid = mesh(int(sides[0]), int(sides[1]), cores=cores, hop=delay + 4, by_slot=rates)
    buffer = int(generator.integers(1, 9))
    channels, credit, packet = (int(generator.integers(*span)) for span in ((1, 5), (0, 3), (1, 20)))
    router = FlitRouter(channels, buffer, delay, credit, packet, int(generator.integers(1, buffer + 1)))
    messages = []
    for _ in range(int(generator.integers(1, sends))):
        at, port = int(generator.integers(grid.routers)), int(generator.integers(cores + 1))
        multicast = bool(generator.integers(2))
        size = int(generator.integers(1, grid.cores + 1)) if multicast else 1
        chosen = frozenset(generator.choice(grid.cores, size, replace=False).tolist())
        goes_away = bool(chosen - {at * cores + port if port < cores else -1})
        flits = int(generator.choice([1, 2, 5, 9, 30]))
        messages.append(NaiveMessage(at * grid.stride + port, chosen, flits, multicast and goes_away))
    times = np.sort(generator.integers(0, int(generator.choice([1, 20, 200])), len(messages)))
    order = generator.permutation(len(messages))
    return FlitTraffic(grid, router, messages, [(0, int(m), int(t)) for m, t in zip(order, times, strict=True)])
