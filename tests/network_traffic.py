"""Meshes and traffic for the tests of the network kernels, random and regular."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st
from naive_network import NaiveMessage

from neurosim import topology
from neurosim.engine.network_state import Messages, NetworkState, Targets
from neurosim.topology import Mesh

Send = tuple[int, int, int, int]  # slot, first, last, time


def mesh(
    columns: int, rows: int, *, cores: int = 1, hop: int = 5, by_slot: dict[int, tuple[int, int]] | None = None
) -> Mesh:
    """A mesh of 64-bit links; ``by_slot`` overrides (hop_cycles, link_bits) for the slots of every router."""
    stride = 2 * cores + 5
    hops, bits = np.full(stride, hop), np.full(stride, 64)
    for slot, (hop_cycles, link_bits) in (by_slot or {}).items():
        hops[slot], bits[slot] = hop_cycles, link_bits
    routers = columns * rows
    every = np.tile(hops, routers), np.tile(bits, routers), np.ones(routers * stride)
    return Mesh(columns, rows, cores, tuple(range(routers)), 64, 1, *every)


@dataclass
class Traffic:
    """A mesh, the messages of a microbatch, when which are sent, and which tasks they feed."""

    mesh: Mesh
    messages: list[NaiveMessage]
    sends: list[Send]
    groups: list[int]
    slots: int = 1

    def targets(self, offset: int = 0) -> Targets:
        """Every (group, core) feeds one task of its own, in a slot ``offset`` ahead, that takes 10 cycles."""
        rows = (max(self.groups) + 1) * self.mesh.cores
        ones = np.ones((1, rows), dtype=np.int64)
        return Targets(np.arange(rows + 1), np.arange(rows), np.full(rows, offset), 10 * ones)

    def state(self, *, log_rows: int = 100_000, offset: int = 0, remaining: int = 1 << 30) -> NetworkState:
        """A network with slots started; no task becomes ready unless ``remaining`` says so."""
        sets = topology.destination_sets(self.mesh, [sorted(message.cores) for message in self.messages])
        number = np.arange(len(self.messages))
        source = np.array([message.source for message in self.messages])
        first = np.array([min(message.cores) for message in self.messages])
        multicast = np.array([message.multicast for message in self.messages])
        hops = np.where(
            multicast,
            topology.tree_hops(self.mesh, source, sets, number),
            topology.route_hops(self.mesh, source, first),
        )
        flits = np.array([[message.flits for message in self.messages]])
        messages = Messages(source, np.array(self.groups), np.where(multicast, -1, first), number, hops, flits)
        targets = self.targets(offset)
        state = NetworkState(self.mesh, messages, sets=sets, targets=targets, slots=self.slots, log_rows=log_rows)
        for slot in range(self.slots):
            state.start_slot(slot, 0, np.full(targets.task.size, remaining))
        return state

    def run(self, state: NetworkState, shift: int = 0) -> list[tuple[int, int, int]]:
        """Send everything as the engine does, network first, and return what was completed."""
        completed = []
        for slot, first, last, time in self.sends:
            completed += run_until(state, time + shift)
            state.send(slot, first, last, time + shift)
        return completed + run_until(state, 1 << 37)

    def single_sends(self) -> list[tuple[int, int, int]]:
        """The sends message by message: (slot, message, time)."""
        return [(slot, message, time) for slot, first, last, time in self.sends for message in range(first, last)]


def run_until(state: NetworkState, bound: int) -> list[tuple[int, int, int]]:
    """Run up to ``bound``, again after each completion that lowered it."""
    completed = []
    while state.next_event_time() < bound:
        completed += state.run(bound)
    return completed


def unicasts(grid: Mesh, pairs: Sequence[tuple[int, int]], *, flits: int, times: Sequence[int]) -> Traffic:
    """Single messages (source core, destination core), each at its time."""
    messages = [NaiveMessage(grid.injection_link(a), frozenset([b]), flits) for a, b in pairs]
    sends = [(0, index, index + 1, time) for index, time in enumerate(times)]
    return Traffic(grid, messages, sends, [0] * len(messages))


@st.composite
def traffics(draw: st.DrawFn) -> Traffic:
    """Random meshes with links that differ or not, several cores per router, io ports, unicasts and multicasts."""
    cores = draw(st.integers(1, 3))
    rates = st.tuples(st.integers(1, 12), st.sampled_from([16, 48, 64, 128]))
    by_slot = draw(st.dictionaries(st.integers(0, 2 * cores + 4), rates, max_size=4))
    side = st.integers(1, 5)
    grid = mesh(draw(side), draw(side), cores=cores, hop=draw(st.integers(1, 6)), by_slot=by_slot)
    if draw(st.booleans()):  # chips of one column each, with slower links between them
        borders = replace(grid, chips=(grid.columns, 1)).border_links()
        grid.hop_cycles[borders], grid.link_bits[borders] = draw(rates)
    slots = draw(st.integers(1, 3))
    seed = draw(st.integers(0, 2**32 - 1))
    return random_traffic(grid, np.random.default_rng(seed), slots=slots, sends=draw(st.integers(1, 60)))


def random_traffic(grid: Mesh, generator: np.random.Generator, *, slots: int, sends: int) -> Traffic:
    """Messages of several sources, some long enough to leave the horizon of the event queue, sent close together."""
    messages, groups, ranges = [], [], []
    for _ in range(6):
        router = int(generator.integers(grid.routers))
        source = router * grid.stride + int(generator.integers(grid.cores_per_router + 1))
        ranges.append((len(messages), len(messages) + int(generator.integers(1, 5))))
        for _ in range(*ranges[-1]):
            multicast = bool(generator.integers(2))
            size = int(generator.integers(1, grid.cores + 1)) if multicast else 1
            chosen = frozenset(generator.choice(grid.cores, size, replace=False).tolist())
            flits = int(generator.choice([1, 2, 5, 9, 700], p=[0.3, 0.3, 0.2, 0.15, 0.05]))
            messages.append(NaiveMessage(source, chosen, flits, multicast))
            groups.append(int(generator.integers(3)))
    times = np.sort(generator.integers(0, int(generator.choice([20, 200, 2000])), sends))
    entered = [(int(generator.integers(slots)), *ranges[generator.integers(6)], int(time)) for time in times]
    return Traffic(grid, messages, entered, groups, slots)
