"""Time the event-level network and compare its latency under load with BookSim 2.

    python benchmarks/speed/network.py [--repeats 5] [--cycles 12000]

Two bursts on a 32 x 32 mesh, cores of two groups of 500 in vertical bands, messages of 5 flits, all sent at once: every
core of the first group to every core of the second by unicast (back-propagation with partial sums at the owner), and
every core of the first by one multicast to all of the second (direct feedback alignment). The crossings, deliveries and
last delivery must be those expected before any time is printed. The table below compares average packet latencies on
8 x 8 routers with those of BookSim 2 (``tests/booksim_mesh8x8.csv``, configurations A and E).
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from neurosim.engine.network_state import Messages, NetworkState, Targets
from neurosim.kernels.network_layout import NEVER
from neurosim.topology import Integers, Mesh, destination_sets, route_hops, tree_hops

BOOKSIM = Path(__file__).parents[2] / "tests" / "booksim_mesh8x8.csv"
HOP_CYCLES = {"A": 5, "E": 4}
SIDE, GROUP, FLITS = 32, 500, 5
EXPECTED = {"unicast": (7_076_448, 41_356), "multicast": (511_778, 2_596)}  # crossings, last delivery
BAR_CROSSINGS_PER_SECOND = 8e6


def square_mesh(side: int, hop_cycles: int) -> Mesh:
    """A mesh with one core per router and links of one flit per cycle."""
    ones = np.ones(side * side * 7, dtype=np.int64)
    return Mesh(side, side, 1, (0,), 64, 1, hop_cycles * ones, 64 * ones, ones.astype(np.float64))


def network(mesh: Mesh, source: Integers, core: Integers, receivers: Integers, flits: int) -> NetworkState:
    """A network with messages from injection links to cores, or with -1 to all receivers, each of which runs a task."""
    count, tasks = source.size, receivers.size
    sets, index = destination_sets(mesh, [receivers]), np.zeros(count, dtype=np.int64)
    hops = np.where(core < 0, tree_hops(mesh, source, sets, index), route_hops(mesh, source, np.maximum(core, 0)))
    flits_by_class = np.full((1, count), flits, dtype=np.int64)
    start = np.concatenate([[0], np.cumsum(np.isin(np.arange(mesh.cores), receivers))])
    targets = Targets(
        start, np.arange(tasks), np.zeros(tasks, dtype=np.int64), np.full((1, tasks), 100, dtype=np.int64)
    )
    return NetworkState(
        mesh, Messages(source, index, core, index, hops, flits_by_class), sets=sets, targets=targets, slots=1
    )


def drain(state: NetworkState) -> int:
    """Run until nothing moves and return the completed tasks."""
    completed = 0
    while state.next_event_time() < NEVER:
        completed += len(state.run(NEVER))
    return completed


def burst(delivery: str) -> float:
    """Run one burst, check what it did, and return the seconds it took."""
    mesh = square_mesh(SIDE, 5)
    order = np.array([(y if x % 2 == 0 else SIDE - 1 - y) * SIDE + x for x in range(SIDE) for y in range(SIDE)])
    senders, receivers = order[:GROUP] * mesh.stride, order[GROUP : 2 * GROUP]
    each = GROUP if delivery == "unicast" else 1
    core = np.tile(receivers, GROUP) if delivery == "unicast" else np.full(GROUP, -1)
    state = network(mesh, np.repeat(senders, each), core, receivers, FLITS)
    state.start_slot(0, 0, np.full(GROUP, GROUP))
    for index in range(GROUP):
        state.send(0, index * each, (index + 1) * each, 10)
    started = time.perf_counter()
    completed = drain(state)
    seconds = time.perf_counter() - started
    assert (state.crossings_total, state.last_delivery) == EXPECTED[delivery]
    assert completed == GROUP
    assert state.group_facts()["deliveries"].tolist() == [GROUP * GROUP]
    return seconds


def call_microseconds(calls: int = 100_000) -> float:
    """Return the time of one call of the kernel that finds nothing to do."""
    mesh = square_mesh(SIDE, 5)
    state = network(mesh, np.array([0]), np.array([1]), np.array([1]), FLITS)
    started = time.perf_counter()
    for bound in range(calls):
        state.run(bound)
    return (time.perf_counter() - started) / calls * 1e6


def average_latency(load: float, flits: int, hop_cycles: int, cycles: int) -> float:
    """Return the latency of packets of uniform Bernoulli traffic, self included, after a warm-up of a fifth."""
    generator, mesh = np.random.default_rng(1), square_mesh(8, hop_cycles)
    entered, source = np.nonzero(generator.random((cycles, mesh.cores)) < load / flits)
    core = generator.integers(0, mesh.cores, entered.size)
    state = network(mesh, source * mesh.stride, core, np.arange(mesh.cores), flits)
    state.start_slot(0, 0, np.full(mesh.cores, 1 << 30))
    counted = entered > cycles // 5
    sums, before = 0.0, 0
    for index, cycle in enumerate(entered.tolist()):
        if not before and counted[index]:  # facts are sums: those of the warm-up are taken off
            while state.next_event_time() < cycle:
                state.run(cycle)
            sums -= float(state.group_facts()["latency_sum_cycles"][0])
            before = int(state.group_facts()["deliveries"][0])
        state.send(0, index, index + 1, cycle)
    drain(state)
    return (sums + float(state.group_facts()["latency_sum_cycles"][0])) / (entered.size - before)


def compare_with_booksim(cycles: int) -> None:
    """Print the load-latency table of both programs."""
    print("config  load  flits  booksim_cycles  neurosim_cycles  error_percent")
    with BOOKSIM.open() as file:
        for row in csv.DictReader(file):
            config, load, flits = (
                row["config"][0],
                float(row["offered_flits_per_node_cycle"]),
                int(row["packet_size_flits"]),
            )
            if config not in HOP_CYCLES or row["saturated"] == "1":
                continue
            expected = float(row["avg_packet_latency"])
            found = average_latency(load, flits, HOP_CYCLES[config], cycles)
            error = 100 * (found / expected - 1)
            print(f"{config:6}{load:6.2f}{flits:7}{expected:16.2f}{found:17.2f}{error:15.1f}")


def main() -> int:
    """Print all; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cycles", type=int, default=12_000)
    arguments = parser.parse_args()
    missed = False
    for delivery, (crossings, _) in EXPECTED.items():
        burst(delivery)  # compiles, and touches the memory
        seconds = statistics.median(burst(delivery) for _ in range(arguments.repeats))
        missed |= crossings / seconds < BAR_CROSSINGS_PER_SECOND
        rate = crossings / seconds
        print(f"{delivery}: {crossings} crossings, {1e9 / rate:.1f} ns each, {rate:.3g} per second")
    print(f"one call with nothing to do: {call_microseconds():.2f} us")
    compare_with_booksim(arguments.cycles)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
