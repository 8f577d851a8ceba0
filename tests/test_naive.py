"""The slow twins hold what the contract says: rows on paper, golden counts, laws of counts, placement and time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from check_rows import CHECK_ROWS, COLUMNS, golden_rows, golden_widths, paper_case
from hypothesis import given, settings
from naive_channel import tile
from naive_duration import duration_cycles
from naive_fast import count_fast
from naive_machine import traffic
from naive_placement import apportion, auto_microbatch, core_order, cores_needed, place, share, sizes
from naive_routes import EAST, NORTH, SOUTH, WEST, tree
from naive_strategies import cases, channel_chip, tiny_chip
from naive_time import CORE_OUT, simulate

from naive import Case, by_core, count, walk
from neurosim.chips import Noc
from neurosim.counts import MESSAGE_COUNTS
from neurosim.errors import PlacementError
from neurosim.rules import RULES, Feedback, Rule

MANY = settings(max_examples=60)


def totals(case: Case) -> Counter[str]:
    sums: Counter[str] = Counter()
    for (_, _, name, _), times in count(case).items():
        sums[name] += times
        if name in ("feedback_reads", "mirror_reads"):
            sums["feedback_and_mirror_reads"] += times
    return sums


# --- counts on paper ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "row"), [("bp", (276, 111, 300, 148)), ("dfa", (264, 81, 268, 120))])
def test_the_contracts_row_on_paper(rule: str, row: tuple[int, ...]) -> None:
    sums = totals(paper_case(rule))
    assert tuple(sums[name] for name in ("macs", "synapse_reads", "neuron_reads", "neuron_writes")) == row


@pytest.mark.parametrize("rule", CHECK_ROWS)
def test_the_contracts_check_rows(rule: str) -> None:
    chip = tiny_chip(grid=(8, 8), lanes=(1, 16), accumulators_per_lane=32)
    cores = [range(31), range(31, 63), [63]]
    sparse = {layer: [[neuron % 10] for neuron in range(800)] for layer in (1, 2)}
    case = paper_case(rule, widths=(784, 800, 800, 10), chip=chip, cores=cores, sparse=sparse)
    counted = count_fast(replace(case, batch=200, microbatch=20))
    assert tuple(counted.get(name, 0) for name in COLUMNS) == CHECK_ROWS[rule]


@pytest.mark.parametrize("rule", CHECK_ROWS)
@pytest.mark.parametrize("cores", [[[0], [1], [2]], [[5, 0], [1, 4, 2], [3]], [[1], [0, 2], [5, 4]]])
def test_fast_and_slow_loops_agree_on_disjoint_cores(rule: str, cores: list[list[int]]) -> None:
    case = paper_case(rule, chip=tiny_chip(grid=(3, 2)), cores=cores, batch=5)
    slow, fast = totals(case), count_fast(case)
    assert {name: slow[name] for name in COLUMNS} == {name: fast.get(name, 0) for name in COLUMNS}


@pytest.mark.parametrize("row", golden_rows(), ids=lambda row: f"{row['network']} {row['rule']}")
def test_golden_macs_and_feedback_words(row: dict[str, str]) -> None:
    widths = golden_widths(row["network"])
    depth = len(widths) - 1
    sparse = {layer: [[neuron % widths[-1]] for neuron in range(widths[layer])] for layer in range(1, depth)}
    case = paper_case(row["rule"], widths=widths, cores=[[core] for core in range(depth)], batch=1, microbatch=1)
    counted = count_fast(replace(case, sparse=sparse))
    assert counted["macs"] == int(row["macs_total"])
    assert counted.get("feedback_and_mirror_reads", 0) == int(row["feedback_words_stored"])


@pytest.mark.parametrize("row", golden_rows(), ids=lambda row: f"{row['network']} {row['rule']}")
def test_golden_rows_keep_their_structure_on_small_networks(row: dict[str, str]) -> None:
    depth = len(golden_widths(row["network"])) - 1
    widths = [7, *range(3, depth + 2), 2]
    sparse = {layer: [[0]] * widths[layer] for layer in range(1, depth)}
    case = paper_case(row["rule"], widths=widths, cores=[[0]] * depth, batch=1, microbatch=1)
    macs: Counter[str] = Counter()
    for (phase, _, name, _), times in count(replace(case, sparse=sparse)).items():
        macs[phase] += times if name == "macs" else 0
    weights = [before * after for before, after in zip(widths, widths[1:], strict=False)]
    error = {"bp": sum(weights[1:]), "fa": sum(weights[1:]), "dfa": sum(widths[1:-1]) * 2, "ssdfa": sum(widths[1:-1])}
    updated = weights[-1] if row["rule"] == "last-layer" else sum(weights)
    assert macs == Counter({"forward": sum(weights), "error": error.get(row["rule"], 0), "update": updated})


# --- laws of counts ----------------------------------------------------------------------------------------------

NETWORK_COUNTS = set(MESSAGE_COUNTS) - {"delivered_bits"}


@MANY
@given(cases())
def test_cores_add_up_to_the_total(case: Case) -> None:
    from_cores: Counter[tuple[str, int, str, str]] = Counter()
    for (_, *key), times in by_core(case).items():
        from_cores[tuple(key)] += times  # type: ignore[index]
    others = NETWORK_COUNTS | {"delivered_bits", "offchip_bits"}
    assert dict(from_cores) == {key: times for key, times in count(case).items() if key[2] not in others}


@MANY
@given(cases())
def test_delivered_bits_are_payloads_times_destinations(case: Case) -> None:
    messages = walk(case).messages
    assert totals(case)["delivered_bits"] == sum(each.payload_bits * len(each.destinations) for each in messages)


@MANY
@given(cases())
def test_delivery_changes_only_the_traffic(case: Case) -> None:
    kept = [
        {key: times for key, times in count(replace(case, delivery=delivery)).items() if key[2] not in NETWORK_COUNTS}
        for delivery in ("unicast", "multicast")
    ]
    assert kept[0] == kept[1]


@MANY
@given(cases(chip=tiny_chip(grid=(1, 1))))
def test_one_core_sends_nothing(case: Case) -> None:
    assert {message.purpose for message in walk(case).messages} <= {"inputs", "labels"}


@MANY
@given(cases())
def test_a_multicast_never_takes_more_links_than_its_copies(case: Case) -> None:
    for message in walk(case).messages:
        together = traffic(case.chip, message)["bit_hops"]
        copies = [replace(message, destinations=[core]) for core in message.destinations]
        assert together <= sum(traffic(case.chip, copy)["bit_hops"] for copy in copies)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_single_layer_costs_the_same_under_every_rule(rule: str) -> None:
    case = paper_case(rule, widths=(4, 3), cores=[[0, 1]])
    assert count(case) == count(replace(case, rule=RULES["bp"]))


def test_generated_feedback_reads_none() -> None:
    generated = Rule("generated", error="output", feedback=Feedback(connections=1, storage="generated"))
    stored, drawn = totals(paper_case("ssdfa")), totals(paper_case(generated))
    assert drawn["feedback_generated"] == stored["feedback_reads"]
    assert drawn["feedback_index_generated"] == stored["feedback_index_reads"]
    assert drawn["feedback_reads"] == drawn["feedback_index_reads"] == 0


def test_a_mirror_of_frozen_weights_is_not_sent() -> None:
    case = paper_case("bp-mirrored", trainable=[True, True, False])
    assert {sent.sender.layer for sent in walk(case).messages if sent.purpose == "weights"} == {2}
    assert totals(case)["mirror_writes"] == 9


# --- channel -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cache_kilobytes", "megabytes"), [(32, 5.64), (256, 2.20), (1024, 1.57), (40960, 1.57)])
def test_tiles_of_the_contracts_layer(cache_kilobytes: int, megabytes: float) -> None:
    traffic_bits, _, _ = tile((200, 784, 800), (16, 16, 32), 8 * 1024 * cache_kilobytes)
    assert traffic_bits / 8e6 == pytest.approx(megabytes, abs=0.005)


def test_behind_a_channel_the_cache_side_fetches_once_for_each_full_set_of_lanes() -> None:
    case = paper_case("dfa", chip=channel_chip(4096), cores=[[0]] * 3, batch=5, microbatch=5)
    sums, weights, feedback = totals(case), 12 + 9 + 6, 2 * (3 + 3)
    assert sums["synapse_reads"] == weights * (2 + 1)  # 5 samples, 2 rows of 2 accumulators; and the update
    assert sums["feedback_reads"] == feedback * 2
    assert sums["gradient_reads"] == 0


def test_channel_bits_on_paper() -> None:
    case = paper_case("dfa", widths=(4, 3), chip=channel_chip(4096), cores=[[0]], batch=2, microbatch=2)
    bits = {phase: times for (phase, _, name, _), times in count(case).items() if name == "channel_bits"}
    forward, error = 16 * (2 * 4 + 4 * 3 + 2 * 3), 16 * (2 * 3 + 2 * 3) + 2 * 2
    assert bits == {"forward": forward, "error": error, "update": 16 * (3 * 2 + 2 * 4 + 2 * 3 * 4)}


@MANY
@given(cases(chip=channel_chip(4096)))
def test_ideal_reuse_never_moves_more(case: Case) -> None:
    ideal = replace(case, chip=channel_chip(4096, "ideal"))
    assert totals(ideal)["channel_bits"] <= totals(case)["channel_bits"]
    assert totals(case)["offchip_bits"] == 0


# --- placement ---------------------------------------------------------------------------------------------------


def test_sizes_on_paper() -> None:
    biases, samples = 3 * (16 + 16), 2 * (4 + 3 + 3 + 3) * 16
    others = 5 * (16 + 16) + 2 * (3 + 3 + 3 + 2 + 2 + 3 + 3 + 3) * 16
    assert sizes(paper_case("bp")) == {0: (biases + samples, 12 * 32), 1: (others, 15 * 32)}


def test_sparse_feedback_is_stored_with_its_index() -> None:
    for rule, bits in {"last-layer": 0, "ssdfa": 16 + 1, "dfa": 2 * 16, "fa": 3 * 16}.items():
        assert sizes(paper_case(rule))[0][1] == 12 * (16 if rule == "last-layer" else 32) + 3 * bits


def test_auto_microbatch_is_the_largest_that_fits() -> None:
    memory = tiny_chip().core.neuron_memory.model_copy(update={"capacity_bytes": 90})
    chip = tiny_chip(accumulators_per_lane=8, core={"neuron_memory": memory})
    case = paper_case("bp", chip=chip, batch=8)
    with pytest.raises(PlacementError):
        auto_microbatch(replace(case, optimizer="adam", batch=9, widths=(40, 3, 3, 2)))
    assert auto_microbatch(case) == 1
    assert auto_microbatch(replace(case, chip=tiny_chip(accumulators_per_lane=8))) == 8


def test_quotas_follow_forward_macs() -> None:
    assert apportion([784, 800, 800, 10], 64, [1, 1, 1]) == [31, 32, 1]
    assert apportion([4, 2, 2], 64, [1, 1]) == [2, 2]
    with pytest.raises(PlacementError):
        apportion([4, 2, 2], 3, [2, 2])


def test_fewer_cores_than_layers_are_shared() -> None:
    assert share([4, 3, 3, 2], 2) == [0, 1, 1]
    assert share([2, 2, 2, 2], 2) == [0, 1, 1]


def test_cores_run_boustrophedon() -> None:
    assert core_order(tiny_chip(grid=(2, 3))) == [0, 2, 4, 5, 3, 1]
    assert place(paper_case("dfa")) == [[0], [1], [1]]


def test_lowest_core_count_follows_the_capacity() -> None:
    case = paper_case("dfa", widths=(40, 30, 2), cores=[[0], [1]], batch=1, microbatch=1)
    assert cores_needed(replace(case, widths=(40, 10, 2)), 1) == 1
    assert cores_needed(case, 1) == 3  # 12 neurons of (40 + 2) words fill 1024 bytes
    assert cores_needed(replace(case, widths=(600, 30, 2)), 1) == 31  # not even one neuron


# --- network and time --------------------------------------------------------------------------------------------


def test_routes_go_along_x_first_and_trees_are_their_union() -> None:
    chip = tiny_chip(grid=(3, 3))
    assert tree(chip, 0, [8]) == ({(0, EAST), (1, EAST), (2, SOUTH), (5, SOUTH)}, {0, 1, 2, 5, 8})
    assert tree(chip, 8, [0, 6])[0] == {(8, WEST), (7, WEST), (6, NORTH), (3, NORTH)}


def test_a_step_on_paper() -> None:
    """Io 3 cycles (33 bits), inputs 4 more, then forward 3, error 3 and update 7 on one core."""
    case = paper_case("bp", widths=(2, 2), cores=[[0]], batch=1, microbatch=1)
    times = simulate(case)
    assert [(each.start, each.end) for each in times.tasks.values()] == [(0, 3), (7, 10), (10, 13), (13, 20)]
    assert [list(sent.delivered.values()) for sent in times.messages] == [[7], [8]]
    assert times.makespan == 20


@pytest.mark.parametrize("hops", [0, 1, 5])
@pytest.mark.parametrize("flits", [1, 4, 8])
def test_zero_load_latency_is_booksims(hops: int, flits: int) -> None:
    """BookSim's config A: 5 H + L + 6 cycles for L flits over H hops."""
    chip = tiny_chip(grid=(6, 1), noc={"hop_cycles": 5, "port_cycles": 1, "header_flits": 0})
    case = paper_case("bp", widths=(flits, 1), chip=chip, cores=[[hops]], batch=1, microbatch=1)
    inputs = simulate(case).messages[0]
    assert inputs.delivered[hops] - inputs.made == 5 * hops + flits + 6


def test_of_two_messages_in_one_cycle_the_one_from_the_lower_link_goes_first() -> None:
    case = paper_case("bp", widths=(2, 2, 1), chip=tiny_chip(grid=(3, 1)), cores=[[2, 0], [1]], batch=1, microbatch=1)
    port_in_the_middle = case.chip.io.model_copy(update={"ports": ((1, 0),)})
    times = simulate(replace(case, chip=case.chip.model_copy(update={"io": port_in_the_middle})))
    from_left, from_right = sorted(
        (sent for sent in times.messages if sent.message.purpose == "activations"), key=lambda sent: sent.message.router
    )
    assert from_left.made == from_right.made
    assert from_left.delivered[1] + 1 == from_right.delivered[1]


def test_an_epoch_without_overlap_is_the_sum_of_its_microbatches_and_barriers() -> None:
    case = paper_case("fa")
    step, short = simulate(case).makespan, simulate(case, [3]).makespan
    assert simulate(case, [4, 4, 3]).makespan == 2 * step + short
    with_barrier = replace(case, chip=tiny_chip(barrier_cycles=9))
    assert simulate(with_barrier, [4, 4, 3]).makespan == 2 * step + short + 6 * 9


def test_a_barrier_refuses_overlap() -> None:
    with pytest.raises(ValueError, match="barrier"):
        simulate(paper_case("fa", overlap="exact", chip=tiny_chip(barrier_cycles=9)))


@MANY
@given(cases())
def test_makespan_lies_between_its_bounds(case: Case) -> None:
    times = simulate(case, [case.batch, case.batch])
    busy: Counter[tuple[bool, int]] = Counter()
    for key, each in times.tasks.items():
        busy[key[2] == "io", key[4]] += each.end - each.start
    latencies = sum(max(sent.delivered.values()) - sent.made for sent in times.messages)
    assert max([*busy.values(), *times.link_busy_cycles.values()]) <= times.makespan <= sum(busy.values()) + latencies


@MANY
@given(cases())
def test_no_core_runs_two_tasks_at_once(case: Case) -> None:
    times = simulate(case, [case.batch, 1])
    spans: dict[tuple[bool, int], list[tuple[int, int]]] = {}
    for key, each in times.tasks.items():
        assert each.ready <= each.start
        spans.setdefault((key[2] == "io", key[4]), []).append((each.start, each.end))
    for own in spans.values():
        own.sort()
        assert all(first[1] <= second[0] for first, second in zip(own, own[1:], strict=False))


@MANY
@given(cases())
def test_no_weight_is_written_before_its_last_read_of_the_step(case: Case) -> None:
    times = simulate(case, [case.batch, case.batch])
    last = len(case.samples()) - 1
    for (step, _, name, layer, core), reads in times.tasks.items():
        owned = layer if name == "forward" else layer + 1
        write = times.tasks.get((step, last, "update", owned, core)) if name in ("forward", "product") else None
        assert write is None or reads.end <= write.start


@MANY
@given(cases())
def test_no_task_starts_before_its_messages(case: Case) -> None:
    times = simulate(case, [case.batch, case.batch])
    for sent in times.messages:
        steps = sent.step + (sent.message.purpose == "weights")
        for core, roles in sent.message.feeds.items():
            for name, layer in roles:
                fed = times.tasks.get((steps, sent.microbatch, name, layer, core))
                assert fed is None or sent.delivered[core] <= fed.start


@MANY
@given(cases())
def test_every_task_of_the_walk_takes_its_duration(case: Case) -> None:
    times = simulate(case)
    for task in walk(case).tasks:
        ran = times.tasks[0, task.microbatch, task.name, task.layer, task.core]
        assert ran.end - ran.start == duration_cycles(case, task) >= 1


def test_links_of_the_network_are_all_that_is_busy() -> None:
    noc: Noc = tiny_chip().noc
    times = simulate(paper_case("dfa"))
    out = sum(cycles for link, cycles in times.link_busy_cycles.items() if link[1] == CORE_OUT)
    flits = sum(traffic(tiny_chip(), sent.message)["flits"] * len(sent.delivered) for sent in times.messages)
    assert out == flits * noc.flit_bits // noc.link_bits
