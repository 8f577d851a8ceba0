"""Time the flit-level network and compare its latency under load with BookSim 2, or measure any other router.

    python benchmarks/speed/network_flit.py [--cycles 12000] [--seeds 1]
    python benchmarks/speed/network_flit.py --side 16 --virtual-channels 2 --buffer 4 --routing-delay 0
        --traffic transpose --flits 4 --loads 0.05,0.1,0.15

The first form prints, for configurations A and E of ``tests/booksim_mesh8x8.csv`` (8 x 8 routers, uniform traffic
with self, Bernoulli injection), the average latency of the packets created in ``--cycles`` cycles after 12000 cycles
of warm-up, source queue included, and the accepted rate where BookSim is saturated; then cycles per second at a load
of 0.2. The second form prints latency, accepted rate and speed of one router without a reference (where it is
saturated, latency only says for how long it ran). Every run asserts that flits are conserved, and a run that drains
that every packet was delivered once. Returns 1 if a bar is missed: 3 % of latency up to a load of 0.35, 5 % of the
accepted rate at 0.5, 60 000 cycles a second.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from neurosim.engine.flit_state import FlitState
from neurosim.engine.flit_tables import FlitGrid, FlitRouter
from neurosim.engine.network_state import Messages, Targets
from neurosim.kernels.network_layout import NEVER
from neurosim.topology import Integers, Mesh, destination_sets, route_hops

BOOKSIM = Path(__file__).parents[2] / "tests" / "booksim_mesh8x8.csv"
STAGES = 4  # cycles of a hop beside the routing delay, in all configurations
WARM_UP = 12_000
BAR_LATENCY, BAR_LATENCY_LOAD, BAR_ACCEPTED, BAR_ACCEPTED_LOAD, BAR_CYCLES = 0.03, 0.35, 0.05, 0.5, 6e4


@dataclass(frozen=True)
class Point:
    """One router, one traffic: what is measured."""

    router: FlitRouter
    side: int = 8
    traffic: str = "uniform"
    flits: int = 1
    load: float = 0.1


@dataclass(frozen=True)
class Measured:
    """Average latency in cycles, flits accepted per node and cycle, and simulated cycles per second."""

    latency_cycles: float
    accepted: float
    cycles_per_second: float


def destinations(traffic: str, side: int, source: Integers, generator: np.random.Generator) -> Integers:
    """Return a destination for every source, as BookSim 2 defines these patterns on a mesh."""
    y, x = np.divmod(source, side)
    if traffic == "uniform":
        return generator.integers(0, side * side, source.size)
    if traffic == "transpose":
        return x * side + y
    if traffic == "neighbour":
        return (y + 1) % side * side + (x + 1) % side
    if traffic == "tornado":
        step = (side + 1) // 2 - 1
        return (y + step) % side * side + (x + step) % side
    raise ValueError(f"traffic {traffic!r}: it is uniform, transpose, neighbour or tornado")


def network(point: Point, source: Integers, core: Integers, groups: Integers, flits: Integers) -> FlitState:
    """An empty network with one message for every packet, which logs when they arrive."""
    nodes, ones = point.side**2, np.ones(point.side**2 * 7, dtype=np.int64)
    hop_cycles = (point.router.routing_delay_cycles + STAGES) * ones
    mesh = Mesh(point.side, point.side, 1, (0,), 64, 1, hop_cycles, 64 * ones, ones.astype(np.float64))
    none, injection = np.zeros(0, dtype=np.int64), source * mesh.stride
    hops, index = route_hops(mesh, injection, core), np.zeros(source.size, dtype=np.int64)
    targets = Targets(np.zeros(2 * nodes + 1, dtype=np.int64), none, none, np.ones((1, 1), dtype=np.int64))
    state = FlitState(
        FlitGrid(mesh, point.router),
        Messages(injection, groups, core, index, hops, flits[None, :]),
        sets=destination_sets(mesh, [[0]]),
        targets=targets,
        slots=1,
        log_rows=source.size,
    )
    state.start_slot(0, 0, np.zeros(1, dtype=np.int64))
    return state


def send(state: FlitState, entered: Integers) -> None:
    """Send one message after the other, each in its cycle."""
    number = np.arange(entered.size)
    state.send_all(np.stack([0 * number, number, number + 1, entered], axis=1))


def arrivals(side: int, router: FlitRouter, packets: Integers) -> Integers:
    """Return when packets, rows of (entered, source, destination, flits), have arrived."""
    entered, source, core, flits = packets.astype(np.int64).T
    state = network(Point(router, side), source, core, np.zeros(source.size, dtype=np.int64), flits)
    send(state, entered)
    state.run(NEVER)
    rows = np.sort(state.deliveries, order="message")
    assert rows["message"].tolist() == list(range(entered.size))
    return rows["delivered"]


def measure(point: Point, cycles: int, seed: int, drain: bool) -> Measured:
    """Return what packets created in ``cycles`` cycles after the warm-up see; with ``drain`` wait for all of them."""
    generator, nodes = np.random.default_rng(seed), point.side**2
    last = WARM_UP + cycles + (4000 if drain else 0)  # traffic goes on while the measured packets are on their way
    entered, source = np.nonzero(generator.random((last, nodes)) < point.load / point.flits)
    core = destinations(point.traffic, point.side, source, generator)
    counted = (entered >= WARM_UP) & (entered < WARM_UP + cycles)
    flits = np.full(source.size, point.flits, dtype=np.int64)
    state = network(point, source, core, counted.astype(np.int64), flits)
    send(state, entered)
    state.run(WARM_UP)
    before, started = state.flits_ejected, time.process_time()
    state.run(WARM_UP + cycles)
    seconds = time.process_time() - started
    accepted = (state.flits_ejected - before) / nodes / cycles
    assert state.flits_injected == state.flits_ejected + state.flits_in_network
    if drain:
        state.run(NEVER)
        assert state.flits_injected == state.flits_ejected == point.flits * entered.size
        assert state.group_facts()["deliveries"].tolist() == [(~counted).sum(), counted.sum()]
    facts = state.group_facts()
    latency = float(facts["latency_sum_cycles"][1] / max(facts["deliveries"][1], 1))
    return Measured(latency, float(accepted), cycles / seconds)


def average(point: Point, cycles: int, seeds: int, drain: bool) -> Measured:
    """Return the means over seeds, and the fastest run's cycles per second."""
    found = [measure(point, cycles, 1 + seed, drain) for seed in range(seeds)]
    return Measured(
        float(np.mean([one.latency_cycles for one in found])),
        float(np.mean([one.accepted for one in found])),
        max(one.cycles_per_second for one in found),
    )


def router_of(row: dict[str, str]) -> FlitRouter:
    """Return the router of a row of BookSim's table.

    ``alloc_iters`` is left out: BookSim's input-queued router makes its allocators without the configuration, so they
    iterate once whatever it says (``islip(2)`` as the allocator's name would be heard).
    """
    names = ("num_vcs", "vc_buf_size", "routing_delay", "credit_delay")
    return FlitRouter(*(int(row[name]) for name in names), packet_flits=1 << 20, multicast_packet_flits=1)


def compare_with_booksim(cycles: int, seeds: int) -> bool:
    """Print the table of both programs; whether a bar is missed."""
    print("config  load  flits    booksim   neurosim  error_percent")
    missed = False
    with BOOKSIM.open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        router = router_of(row)
        load, flits = float(row["offered_flits_per_node_cycle"]), int(row["packet_size_flits"])
        saturated = row["saturated"] == "1"
        found = average(Point(router, flits=flits, load=load), cycles, seeds, not saturated)
        expected = float(row["accepted_flit_rate" if saturated else "avg_packet_latency"])
        value = found.accepted if saturated else found.latency_cycles
        error = value / expected - 1
        what = "accepted" if saturated else ""
        print(f"{row['config'][0]:6}{load:6.2f}{flits:7}{expected:11.4g}{value:11.4g}{100 * error:13.2f}  {what}")
        missed |= not saturated and load <= BAR_LATENCY_LOAD and abs(error) > BAR_LATENCY
        missed |= saturated and load == BAR_ACCEPTED_LOAD and abs(error) > BAR_ACCEPTED
    return missed


def show(point: Point, loads: list[float], cycles: int, seeds: int) -> None:
    """Print the load-latency table of one router."""
    print("load  flits  latency_cycles  accepted  cycles_per_second")
    for load in loads:
        found = average(replace(point, load=load), cycles, seeds, drain=True)
        print(
            f"{load:4.2f}{point.flits:7}{found.latency_cycles:16.2f}{found.accepted:10.4f}{found.cycles_per_second:19.0f}"
        )


def main() -> int:
    """Print all; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cycles", type=int, default=12_000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--loads", default="", help="of one router, such as 0.1,0.2")
    parser.add_argument("--side", type=int, default=8)
    parser.add_argument("--traffic", default="uniform", help="uniform, transpose, neighbour or tornado")
    parser.add_argument("--flits", type=int, default=1)
    parser.add_argument("--virtual-channels", type=int, default=4)
    parser.add_argument("--buffer", type=int, default=8)
    parser.add_argument("--routing-delay", type=int, default=1)
    parser.add_argument("--credit-delay", type=int, default=1)
    given = parser.parse_args()
    router = FlitRouter(
        given.virtual_channels,
        given.buffer,
        given.routing_delay,
        given.credit_delay,
        packet_flits=1 << 20,
        multicast_packet_flits=1,
    )
    point = Point(router, given.side, given.traffic, given.flits)
    if given.loads:
        show(point, [float(load) for load in given.loads.split(",")], given.cycles, given.seeds)
        return 0
    missed = compare_with_booksim(given.cycles, given.seeds)
    speed = average(replace(point, load=0.2), 60_000, 3, drain=False).cycles_per_second
    print(f"{speed:.0f} cycles per second at 8 x 8, load 0.2, single flits")
    return int(missed or speed < BAR_CYCLES)


if __name__ == "__main__":
    sys.exit(main())
