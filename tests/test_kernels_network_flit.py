"""Requirements on the flit-level network: zero load, twin, conservation, BookSim, multicast, coupling, refusals."""

from __future__ import annotations

import csv
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flit_traffic import CONFIG_A, FlitTraffic, random_flit_traffic, unicasts
from naive_flit import NaiveFlits
from naive_network import NaiveMessage
from network_traffic import mesh, run_until

from neurosim.engine import flit_state
from neurosim.engine.flit_tables import FlitRouter
from neurosim.errors import SimulationError
from neurosim.topology import route_links

BOOKSIM = Path(__file__).with_name("booksim_mesh8x8.csv")
ARRIVALS = Path(__file__).with_name("booksim_arrivals.npz")


def zero_load(hops: int, flits: int, router: FlitRouter) -> int:
    """BookSim's latency without contention, fitted to 375 of its measurements, all of which it meets."""
    delay, buffer = router.routing_delay_cycles, router.vc_buffer_flits
    return (hops + 1) * (delay + 3) + hops + 2 + flits + (flits - 1) // buffer * max(0, 6 - buffer)


def latencies(traffic: FlitTraffic) -> list[int]:
    rows = np.sort(traffic.run().deliveries, order="message")
    return (rows["delivered"] - rows["entered"]).tolist()


@pytest.mark.parametrize("buffer", [1, 2, 3, 4, 5, 6, 8, 16])
@pytest.mark.parametrize("delay", [0, 1, 2, 4])
def test_zero_load_latency_is_booksims_to_the_cycle(buffer: int, delay: int) -> None:
    for channels in (1, 2, 8):
        router = FlitRouter(channels, buffer, delay, 1, packet_flits=1 << 20, multicast_packet_flits=1)
        points = [(hops, flits) for hops in range(15) for flits in range(1, 18)]
        pairs = [(0, min(hops, 7) + 8 * max(hops - 7, 0)) for hops, _ in points]
        flits = [flits for _, flits in points]
        traffic = unicasts(mesh(8, 8, hop=delay + 4), router, pairs, flits=flits, times=range(0, 500 * len(pairs), 500))
        assert latencies(traffic) == [zero_load(hops, flits, router) for hops, flits in points]


@pytest.mark.parametrize("seed", range(12))
def test_every_delivery_is_the_slow_twins(seed: int) -> None:
    traffic = random_flit_traffic(seed, sends=30)
    naive = NaiveFlits(traffic.mesh, traffic.router, traffic.messages)
    naive.run(traffic.sends)
    state = traffic.run()
    assert sorted(state.deliveries.tolist()) == sorted(naive.deliveries)


def test_packets_arrive_when_a_program_written_from_booksims_source_has_them_arrive() -> None:
    with np.load(ARRIVALS) as kept:
        cases, packets = kept["cases"].tolist(), kept["packets"]
    for (side, channels, buffer, delay, credit, count), mine in zip(cases, _split(packets, cases), strict=True):
        router = FlitRouter(channels, buffer, delay, credit, packet_flits=1 << 20, multicast_packet_flits=1)
        entered, source, core, flits, arrived = mine.T.tolist()
        pairs = list(zip(source, core, strict=True))
        traffic = unicasts(mesh(side, side, hop=delay + 4), router, pairs, flits=flits, times=entered)
        rows = np.sort(traffic.run().deliveries, order="message")
        assert rows["message"].tolist() == list(range(count))
        assert rows["delivered"].tolist() == arrived, (side, router)


def _split(packets: np.ndarray, cases: list[list[int]]) -> list[np.ndarray]:
    return np.split(packets, np.cumsum([case[-1] for case in cases])[:-1])


@pytest.mark.parametrize("seed", range(20))
def test_flits_are_conserved_and_reach_each_destination_once(seed: int) -> None:
    traffic = random_flit_traffic(100 + seed)
    state = traffic.run()
    ejected = np.zeros(traffic.mesh.links, dtype=np.int64)
    due = []
    for index, message in enumerate(traffic.messages):
        own = traffic.mesh.source_core(message.source) if message.multicast else -1
        for core in message.cores - {own}:
            ejected[traffic.mesh.ejection_link(core)] += message.flits
            due.append((index, core))
    facts = state.link_facts()
    ports = np.flatnonzero(ejected)
    assert facts["flits"][ports].tolist() == ejected[ports].tolist()
    assert state.flits_ejected == ejected.sum()
    assert sorted(state.deliveries[["message", "core"]].tolist()) == sorted(due)
    assert state.flits_injected == sum(message.flits for message in traffic.messages)
    assert facts["flits"][traffic.mesh.between_routers()].sum() == state.group_facts()["flit_hops"].sum()
    assert (state.flits_in_network, state.undelivered(0)) == (0, 0)
    assert facts["busy_cycles"].max() <= state.last_delivery


@pytest.mark.parametrize("seed", range(6))
def test_how_the_run_is_cut_and_how_pools_grow_change_nothing(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    traffic = random_flit_traffic(200 + seed, sends=200)
    whole = traffic.run()
    monkeypatch.setattr(flit_state, "FIRST_ROWS", 0)
    parts = traffic.state()
    for bound in range(0, whole.last_delivery + 100, 7):
        parts.run(bound)
    assert parts.deliveries.tolist() == whole.deliveries.tolist()
    assert parts.link_facts()["busy_cycles"].tolist() == whole.link_facts()["busy_cycles"].tolist()


def test_a_link_narrower_than_a_flit_takes_it_apart() -> None:
    narrow = mesh(3, 1, by_slot={2: (5, 16)})  # slots of a router with one core: injection, io, E, ...
    traffic = unicasts(narrow, CONFIG_A, [(0, 2)], flits=[4], times=[0])
    head = zero_load(2, 1, CONFIG_A) + 2 * 3
    assert latencies(traffic) == [head + 3 * 4 - 2]  # the last of the flits, 4 cycles apart, needs no route at the end


@pytest.fixture(scope="module")
def benchmark(tree: Path) -> dict[str, Any]:
    return runpy.run_path(str(tree / "benchmarks" / "speed" / "network_flit.py"))


def booksim_row(config: str, flits: int, load: float) -> dict[str, str]:
    with BOOKSIM.open() as file:
        [row] = [
            row
            for row in csv.DictReader(file)
            if row["config"].startswith(config)
            and (int(row["packet_size_flits"]), float(row["offered_flits_per_node_cycle"])) == (flits, load)
        ]
    return row


@pytest.mark.parametrize(
    ("config", "flits", "load"), [("A", 1, 0.2), ("A", 4, 0.3), ("A", 8, 0.25), ("E", 1, 0.3), ("E", 4, 0.3)]
)
def test_latency_under_load_is_within_three_percent_of_booksim(
    benchmark: dict[str, Any], config: str, flits: int, load: float
) -> None:
    row = booksim_row(config, flits, load)
    router = benchmark["router_of"](row)
    found = benchmark["measure"](benchmark["Point"](router, flits=flits, load=load), 8000, 1, True)
    assert found.latency_cycles == pytest.approx(float(row["avg_packet_latency"]), rel=0.03)


@pytest.mark.parametrize(("config", "flits"), [("A", 1), ("E", 8)])
def test_the_accepted_rate_of_a_saturated_network_is_within_five_percent_of_booksim(
    benchmark: dict[str, Any], config: str, flits: int
) -> None:
    row = booksim_row(config, flits, 0.5)
    point = benchmark["Point"](benchmark["router_of"](row), flits=flits, load=0.5)
    assert benchmark["measure"](point, 5000, 1, False).accepted == pytest.approx(
        float(row["accepted_flit_rate"]), rel=0.05
    )


@pytest.mark.parametrize("flits", [1, 5, 8])
def test_a_multicast_reaches_each_core_as_fast_as_a_unicast_would(flits: int) -> None:
    grid = mesh(8, 8)
    everyone = NaiveMessage(grid.injection_link(27), frozenset(range(64)), flits, True)
    state = FlitTraffic(grid, CONFIG_A, [everyone], [(0, 0, 3)]).run()
    rows = state.deliveries
    hops = [len(route_links(grid, grid.injection_link(27), int(core))) - 2 for core in rows["core"]]
    assert (rows["delivered"] - rows["entered"]).tolist() == [zero_load(h, flits, CONFIG_A) for h in hops]


@pytest.mark.parametrize("seed", range(5))
def test_multicasts_to_one_core_are_unicasts(seed: int) -> None:
    traffic = random_flit_traffic(300 + seed)
    single = [replace(message, cores=frozenset([min(message.cores)])) for message in traffic.messages]
    own = [traffic.mesh.source_core(message.source) for message in single]
    as_trees = [replace(m, multicast=core not in m.cores) for m, core in zip(single, own, strict=True)]
    as_routes = [replace(m, multicast=False) for m in single]
    runs = [replace(traffic, messages=messages).run().deliveries.tolist() for messages in (as_trees, as_routes)]
    assert runs[0] == runs[1]


@pytest.mark.parametrize(("channels", "buffer"), [(1, 1), (1, 3), (2, 2), (4, 8)])
@pytest.mark.parametrize("delay", [0, 1])
def test_heavy_multicast_traffic_does_not_deadlock(channels: int, buffer: int, delay: int) -> None:
    generator, grid = np.random.default_rng(channels), mesh(6, 5, hop=delay + 4)
    router = FlitRouter(channels, buffer, delay, 1, packet_flits=3 * buffer, multicast_packet_flits=buffer)
    messages = []
    for _ in range(40):  # all at once, from everywhere to many, between unicasts that are longer than a buffer
        for core in range(grid.cores):
            chosen = frozenset((np.flatnonzero(generator.random(grid.cores) < 0.3)).tolist()) - {core}
            away = int(generator.integers(grid.cores))
            source = grid.injection_link(core)
            messages.append(NaiveMessage(source, chosen or frozenset([away]), buffer, len(chosen) > 1))
            messages.append(NaiveMessage(source, frozenset([away]), 3 * buffer))
    state = FlitTraffic(grid, router, messages, [(0, index, 0) for index in range(len(messages))]).run()
    assert (state.undelivered(0), state.flits_in_network) == (0, 0)


def test_a_waiting_multicast_is_not_starved_by_unicasts() -> None:
    grid, router = mesh(4, 1), FlitRouter(2, 4, 1, 1, packet_flits=4, multicast_packet_flits=4)
    busy = [NaiveMessage(grid.injection_link(core), frozenset([3]), 4) for _ in range(200) for core in (0, 1)]
    tree = NaiveMessage(grid.injection_link(0), frozenset([2, 3]), 4, True)
    messages = [*busy, tree]
    sends = [(0, index, 0) for index in range(len(messages))]
    order = [*sends[:40], (0, len(busy), 0), *sends[40:-1]]
    rows = FlitTraffic(grid, router, messages, order).run().deliveries
    last = rows["delivered"][rows["message"] == len(busy)].max()
    assert last < rows["delivered"].max() / 4


def test_a_multicast_packet_longer_than_a_buffer_is_refused() -> None:
    grid = mesh(2, 2)
    messages = [NaiveMessage(grid.injection_link(0), frozenset([1, 3]), 9, True)]
    router = replace(CONFIG_A, packet_flits=9, multicast_packet_flits=9)
    with pytest.raises(
        SimulationError, match=r"a multicast packet .* must fit a buffer, of 8 flits here, or its branches"
    ):
        FlitTraffic(grid, router, messages, []).state()
    unicast = [replace(messages[0], cores=frozenset([3]), multicast=False)]
    assert FlitTraffic(grid, router, unicast, [(0, 0, 0)]).run().flits_ejected == 9


def test_a_completion_lowers_the_bound_to_its_ready_cycle_plus_its_duration() -> None:
    traffic = unicasts(mesh(4, 1), CONFIG_A, [(0, 0), (1, 1), (2, 2)], flits=[1, 1, 1], times=[0, 13, 14])
    state = traffic.state(tasks=True)
    assert state.run(1 << 30) == [(0, 0, 7)]  # its task takes 10 cycles; what is granted before 17 is still safe
    assert state.next_event_time() == 17
    assert state.run(1 << 30) == [(0, 1, 20), (0, 2, 21)]


@pytest.mark.parametrize("seed", range(4))
def test_what_is_completed_comes_in_time(seed: int) -> None:
    traffic = random_flit_traffic(400 + seed)
    state, seen = traffic.state(tasks=True), []
    while (time := state.next_event_time()) < 1 << 60:
        seen += [(ready, time) for _, _, ready in state.run(time + 1)]
    assert seen
    assert all(ready > time for ready, time in seen)


def test_what_the_flit_level_cannot_have_is_refused() -> None:
    def refused(grid: Any, router: FlitRouter = CONFIG_A) -> str:
        with pytest.raises(SimulationError) as caught:
            unicasts(grid, router, [(0, 1)], flits=[1], times=[0]).state()
        return str(caught.value)

    assert "direction or border) to 5 or more, or noc.router.routing_delay_cycles to 0" in refused(mesh(2, 1, hop=4))
    assert "set noc.port_cycles to 1 or more" in refused(replace(mesh(2, 1), port_cycles=0))
    assert "direction or border) to 64 at most" in refused(mesh(2, 1, by_slot={2: (5, 128)}))
    assert "virtual_channels: 63: the flit level takes 62 at most" in refused(
        mesh(2, 1), replace(CONFIG_A, virtual_channels=63)
    )
    assert "hop_cycles, with the cycles of a flit on the narrowest link: 4096" in refused(mesh(2, 1, hop=4095))


def test_what_the_engine_may_not_do_is_refused() -> None:
    state = unicasts(mesh(3, 1), CONFIG_A, [(0, 2), (1, 2)], flits=[4, 4], times=[10, 10]).state()
    run_until(state, 1 << 20)  # type: ignore[arg-type]
    with pytest.raises(SimulationError, match="messages sent at cycle 10: the network has come to cycle"):
        state.send(0, 0, 1, 10)
    with pytest.raises(SimulationError, match="no such messages"):
        state.send(0, 1, 3, 100)
    state.send(0, 0, 1, 1 << 20)
    with pytest.raises(SimulationError, match="slot 0: 1 deliveries are due"):
        state.start_slot(0, 0, np.zeros(1, dtype=np.int64))
    state.send(0, 0, 2, 1 << 20)
    with pytest.raises(SimulationError, match="must share their injection link"):
        state.run(1 << 21)
