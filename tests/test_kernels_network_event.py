"""Requirements on the event-level network: timing, order, twin, facts, growth, BookSim."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_network import NaiveMessage, simulate
from network_traffic import Traffic, mesh, random_traffic, run_until, traffics, unicasts

from neurosim.engine import network_state
from neurosim.errors import SimulationError
from neurosim.kernels import network_layout
from neurosim.topology import route_links, tree_links

BOOKSIM = Path(__file__).with_name("booksim_mesh8x8.csv")


def latencies(traffic: Traffic) -> list[int]:
    state = traffic.state()
    traffic.run(state)
    return (state.deliveries["delivered"] - state.deliveries["entered"]).tolist()


@pytest.mark.parametrize(("hop_cycles", "routing_delay"), [(5, 1), (4, 0)])
def test_zero_load_latency_is_that_of_booksim(hop_cycles: int, routing_delay: int) -> None:
    pairs = [(0, min(h, 7) + 8 * max(h - 7, 0)) for h in range(15) for _ in range(16)]
    for flits in range(1, 17):
        traffic = unicasts(mesh(8, 8, hop=hop_cycles), pairs[::16], flits=flits, times=range(0, 15_000, 1000))
        expected = [(h + 1) * (routing_delay + 3) + (h + 2) + 1 + (flits - 1) for h in range(15)]
        assert latencies(traffic) == expected


def test_a_train_behind_a_narrow_link_keeps_its_tail_time() -> None:
    narrow = mesh(3, 1, by_slot={2: (5, 16)})  # slots of a router with one core: injection, io, E, ...
    state = (traffic := unicasts(narrow, [(0, 2)], flits=4, times=[0])).state()
    traffic.run(state)
    assert [tuple(row) for row in state.crossings[["granted", "released"]]] == [(0, 4), (5, 21), (10, 26), (15, 31)]
    assert latencies(traffic) == [32]


@given(traffics(), st.integers(1, 400))
def test_a_message_alone_takes_its_hops_and_the_cycles_of_its_narrowest_link(traffic: Traffic, flits: int) -> None:
    grid, source = traffic.mesh, traffic.messages[0].source
    for core in traffic.messages[0].cores:
        alone = Traffic(grid, [NaiveMessage(source, frozenset([core]), flits)], [(0, 0, 1, 7)], [0])
        links = route_links(grid, source, core)
        held = max(-(-flits * grid.flit_bits // grid.link_bits[link]) for link in links)
        assert latencies(alone) == [grid.hop_cycles[links[:-1]].sum() + held + grid.port_cycles]


def test_requests_of_one_cycle_queue_by_the_link_they_come_from() -> None:
    east, west = (0, 1), (2, 1)  # both reach the ejection of core 1 in the same cycle
    traffic = unicasts(mesh(3, 1), [west, east], flits=3, times=[0, 0])
    state = traffic.state()
    traffic.run(state)
    assert state.deliveries["message"].tolist() == [1, 0]


def test_an_early_request_over_a_short_hop_overtakes_one_that_was_made_before() -> None:
    slow_east = mesh(3, 1, by_slot={2: (12, 64)})
    traffic = unicasts(slow_east, [(0, 1), (2, 1)], flits=3, times=[0, 2])
    state = traffic.state()
    traffic.run(state)
    assert state.deliveries["message"].tolist() == [1, 0]
    assert simulate(traffic.mesh, traffic.messages, traffic.single_sends()).deliveries == state.deliveries.tolist()


@given(traffics())
def test_grants_and_deliveries_equal_the_naive_twin(traffic: Traffic) -> None:
    state = traffic.state()
    traffic.run(state)
    naive = simulate(traffic.mesh, traffic.messages, traffic.single_sends())
    assert state.crossings.tolist() == naive.crossings
    assert state.deliveries.tolist() == naive.deliveries
    assert state.waiting_most == naive.waiting_most
    assert state.crossings_total == len(naive.crossings)
    assert state.last_delivery == max((row[4] for row in naive.deliveries), default=0)


@given(traffics())
def test_no_link_carries_two_messages_at_once(traffic: Traffic) -> None:
    state = traffic.state()
    traffic.run(state)
    for link in np.unique(state.crossings["link"]):
        held = state.crossings[state.crossings["link"] == link]
        assert all(a["released"] <= b["granted"] for a, b in pairwise(held))
        assert state.link_facts()["busy_cycles"][link] == (held["released"] - held["granted"]).sum()


@given(traffics())
def test_facts_of_groups_and_links_agree_with_the_log(traffic: Traffic) -> None:
    state = traffic.state()
    traffic.run(state)
    facts, rows = state.group_facts(), state.deliveries
    group = np.array(traffic.groups)[rows["message"]]
    latency = rows["delivered"] - rows["entered"]
    for index in range(facts["messages"].size):
        assert facts["deliveries"][index] == (group == index).sum()
        assert facts["latency_sum_cycles"][index] == latency[group == index].sum()
        assert facts["latency_max_cycles"][index] == latency[group == index].max(initial=0)
    assert facts["messages"].sum() == len(traffic.single_sends())
    assert facts["flit_hops"].sum() == state.link_facts()["flits"][traffic.mesh.between_routers()].sum()
    sent = sum(traffic.messages[message].flits for _, message, _ in traffic.single_sends())
    assert facts["flit_routers"].sum() == facts["flit_hops"].sum() + sent
    assert [state.undelivered(slot) for slot in range(traffic.slots)] == [0] * traffic.slots


@given(traffics())
def test_a_multicast_crosses_the_union_of_its_routes_once(traffic: Traffic) -> None:
    for index, message in enumerate(traffic.messages):
        if message.multicast:
            alone = Traffic(traffic.mesh, traffic.messages, [(0, index, index + 1, 3)], traffic.groups)
            state = alone.state()
            alone.run(state)
            expected = tree_links(traffic.mesh, message.source, sorted(message.cores))
            assert sorted(state.crossings["link"].tolist()) == sorted(expected)


@given(traffics(), st.integers(0, 300))
def test_only_events_before_the_bound_are_processed(traffic: Traffic, bound: int) -> None:
    state = traffic.state()
    for send in traffic.sends:
        state.send(*send)
    run_until(state, bound)
    assert (state.crossings["granted"] < bound).all()
    naive = simulate(traffic.mesh, traffic.messages, traffic.single_sends())
    assert state.crossings_total == sum(row[3] < bound for row in naive.crossings)


@given(traffics(), st.integers(0, 2))
def test_the_last_input_makes_a_task_ready_in_its_slot(traffic: Traffic, offset: int) -> None:
    offset %= traffic.slots
    naive = simulate(traffic.mesh, traffic.messages, traffic.single_sends())
    arrivals: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for slot, message, core, _, delivered in naive.deliveries:
        task = traffic.groups[message] * traffic.mesh.cores + core
        arrivals.setdefault(((slot + offset) % traffic.slots, task), []).append((delivered, message))
    state = traffic.state(offset=offset)
    for key, rows in arrivals.items():
        state.remaining[key] = len(rows)
    completed = traffic.run(state)
    assert sorted(completed) == sorted((*key, rows[-1][0]) for key, rows in arrivals.items())
    assert all(state.cause[key] == rows[-1][1] and state.ready[key] == rows[-1][0] for key, rows in arrivals.items())


def test_a_completion_lowers_the_bound_to_its_ready_cycle_plus_its_duration() -> None:
    traffic = unicasts(mesh(4, 1), [(0, 0), (1, 1), (2, 2)], flits=1, times=[0, 16, 17])
    state = traffic.state(remaining=1)
    for send in traffic.sends:
        state.send(*send)
    assert state.run(1 << 30) == [(0, 0, 7)]  # its task takes 10 cycles, so what happens before 17 is still safe
    assert state.next_event_time() == 17
    assert state.run(1 << 30) == [(0, 1, 23), (0, 2, 24)]


def test_the_ready_cycle_of_a_local_input_counts() -> None:
    traffic = unicasts(mesh(2, 1), [(0, 1)], flits=1, times=[0])
    state = traffic.state(remaining=1)
    state.ready[0, 1], state.cause[0, 1] = 50, -5
    assert traffic.run(state) == [(0, 1, 50)]
    assert state.cause[0, 1] == -5


@pytest.mark.parametrize("hop", [5, 3])
def test_growing_arrays_change_nothing(hop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = mesh(4, 4, cores=2, by_slot={5: (hop, 64)})
    traffic = random_traffic(grid, np.random.default_rng(3), slots=3, sends=1500)
    ample = traffic.state()
    traffic.run(ample)
    monkeypatch.setattr(network_state, "FIRST_RECORDS", 0)
    tight = traffic.state()
    traffic.run(tight)
    assert tight.crossings_total > 20_000
    assert tight.crossings.tolist() == ample.crossings.tolist()


def test_logs_stop_at_their_capacity_and_the_facts_go_on() -> None:
    traffic = unicasts(mesh(2, 2), [(0, 3)] * 5, flits=1, times=range(5))
    state = traffic.state(log_rows=3)
    traffic.run(state)
    assert (state.deliveries.size, state.crossings.size) == (3, 3)
    assert (state.group_facts()["deliveries"][0], state.crossings_total) == (5, 20)


@given(traffics(), st.integers(1, 10_000), st.integers(0, 100))
def test_snapshots_relative_to_their_cycle_are_equal_for_shifted_traffic(traffic: Traffic, shift: int, at: int) -> None:
    early, late = traffic.state(), traffic.state()
    for slot, first, last, time in traffic.sends:
        early.send(slot, first, last, time)
        late.send(slot, first, last, time + shift)
    run_until(early, at)
    run_until(late, at + shift)
    relative = np.arange(traffic.slots)
    assert early.snapshot(at, relative) == late.snapshot(at + shift, relative)


def test_snapshots_tell_slots_and_release_times_apart_and_end_empty() -> None:
    traffic = unicasts(mesh(3, 1), [(0, 2)] * 2, flits=4, times=[0, 0])
    state = traffic.state()
    state.send(0, 0, 2, 0)
    run_until(state, 2)
    taken = {state.snapshot(2, np.array([0])), state.snapshot(2, np.array([1])), state.snapshot(1, np.array([0]))}
    assert len(taken) == 3
    run_until(state, 1 << 20)
    assert state.snapshot(1000, np.array([0])) == b""


def test_what_the_engine_may_not_do_is_refused() -> None:
    traffic = unicasts(mesh(3, 1), [(0, 2), (1, 2)], flits=4, times=[10, 10])
    state = traffic.state()
    traffic.run(state)
    with pytest.raises(SimulationError, match="messages sent at cycle 10: the network is past cycle 2"):
        state.send(0, 0, 1, 10)
    with pytest.raises(SimulationError, match="no such messages"):
        state.send(0, 1, 3, 100)
    state.send(0, 0, 1, 100)
    with pytest.raises(SimulationError, match="slot 0: 1 deliveries are due"):
        state.start_slot(0, 0, np.zeros(3))
    state.send(0, 0, 2, 101)
    with pytest.raises(SimulationError, match="must share their injection link"):
        state.run(1000)


def test_what_the_kernel_cannot_count_is_refused() -> None:
    with pytest.raises(SimulationError, match="hop_cycles: 40000 is too many for the network kernel"):
        unicasts(mesh(2, 1, hop=40_000), [(0, 1)], flits=1, times=[0]).state()
    with pytest.raises(SimulationError, match="flits of a message: 2147483648 is too many"):
        Traffic(mesh(2, 1), [NaiveMessage(0, frozenset([1]), 1 << 31)], [], [0]).state()
    with pytest.raises(SimulationError, match="hop_cycles and flits must be at least 1"):
        unicasts(mesh(2, 1), [(0, 1)], flits=0, times=[0]).state()


def test_the_kernel_is_given_arrays_as_it_reads_them() -> None:
    workspace = unicasts(mesh(2, 1), [(0, 1)], flits=1, times=[0]).state()._workspace
    with pytest.raises(TypeError, match="workspace.flits: it is int32, and must be int64"):
        network_layout.workspace_table(workspace._replace(flits=workspace.flits.astype(np.int32)))


def booksim_latency(load: float, flits: int) -> float:
    """Average packet latency of uniform Bernoulli traffic on 8 x 8 routers, after a warm-up of a fifth."""
    generator, cycles = np.random.default_rng(1), 8000
    time, source = np.nonzero(generator.random((cycles, 64)) < load / flits)
    pairs = list(zip(source.tolist(), generator.integers(0, 64, time.size).tolist(), strict=True))
    traffic = unicasts(mesh(8, 8), pairs, flits=flits, times=time.tolist())
    state = traffic.state(log_rows=time.size)
    for send in traffic.sends:
        state.send(*send)
    run_until(state, 1 << 30)
    rows = state.deliveries[state.deliveries["entered"] > cycles // 5]
    return float((rows["delivered"] - rows["entered"]).mean())


@pytest.mark.parametrize("flits", [1, 4])
@pytest.mark.parametrize("load", [0.01, 0.1, 0.2])
def test_latency_under_load_is_within_five_percent_of_booksim(load: float, flits: int) -> None:
    with BOOKSIM.open() as file:
        rows = [row for row in csv.DictReader(file) if row["config"].startswith("A_")]
    [row] = [
        row
        for row in rows
        if (row["packet_size_flits"], row["offered_flits_per_node_cycle"]) == (str(flits), str(load))
    ]
    assert booksim_latency(load, flits) == pytest.approx(float(row["avg_packet_latency"]), rel=0.05)
