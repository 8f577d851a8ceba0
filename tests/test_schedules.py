"""Plans: tasks with their durations, messages with their routes, and edges that close no circle."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from check_rows import paper_case
from hypothesis import given
from hypothesis import strategies as st
from naive_case import Case
from naive_channel import tile
from naive_duration import duration_cycles
from naive_machine import traffic
from naive_routes import EAST, NORTH, SOUTH, WEST, crosses_border, router_of, tree
from naive_strategies import cases, channel_chip, channel_chips, conv_cases, tiny_chip
from pipelines import Pipeline, examples, planned_messages, role_of

from naive import walk
from neurosim.chips import Channel
from neurosim.engine.facts import microbatch_counts
from neurosim.errors import DescriptionError
from neurosim.schedules import RESOURCES, largest_count
from neurosim.schedules.channel import Product, tiled_operand_bits
from neurosim.schedules.edges import FROM_LAST, INTO_LAST
from neurosim.trace import TRAFFIC_INDEX, WAY_COLUMNS


def durations(pipeline: Pipeline) -> dict[tuple[int, str, int, int], int]:
    """Return {(microbatch, task, layer, core or port): cycles} of a step's plan."""
    found = {}
    for number, batch in enumerate(pipeline.plan.microbatches()):
        for task, cycles in enumerate(pipeline.plan.tasks.work(batch).durations.tolist()):
            found[number, *role_of(pipeline.plan.tasks, pipeline.drawn.chip.cores, task)] = cycles
    return found


@examples(120)
@given(cases() | cases(chip=channel_chips()))
def test_every_task_takes_as_long_as_the_slow_twins(drawn: Case) -> None:
    pipeline = Pipeline(drawn)
    case = pipeline.case
    expected = {(t.microbatch, t.name, t.layer, t.core): duration_cycles(case, t) for t in walk(case).tasks}
    assert durations(pipeline) == expected


@examples(80)
@given(cases() | conv_cases())
def test_nothing_that_is_counted_passes_the_largest_count(drawn: Case) -> None:
    pipeline = Pipeline(drawn)
    most, closed = largest_count(pipeline.plan.layout, drawn.batch), pipeline.analysis
    assert closed.counts.work.sum(axis=0).max() <= most
    assert closed.counts.traffic.sum(axis=0).max() <= most
    assert closed.bound.busiest_link_cycles <= most


@examples(120)
@given(cases())
def test_every_message_of_the_slow_twin_is_planned(drawn: Case) -> None:
    pipeline = Pipeline(drawn)
    expected: Counter[tuple[int | str, ...]] = Counter()
    for sent in walk(pipeline.case).messages:
        role = (sent.sender.microbatch, sent.sender.name, sent.sender.layer, sent.sender.core)
        expected[*role, sent.payload_bits, len(sent.destinations)] += 1
    assert planned_messages(pipeline) == expected


@examples(80)
@given(cases())
def test_links_by_direction_within_chips_and_between_are_those_of_the_slow_twins_trees(drawn: Case) -> None:
    pipeline = Pipeline(drawn)
    walked = walk(pipeline.case).messages
    crossed: Counter[str] = Counter()
    names = {EAST: "flit_hops_east", WEST: "flit_hops_west", NORTH: "flit_hops_north", SOUTH: "flit_hops_south"}
    for sent in walked:
        flits = traffic(drawn.chip, sent)["flits"]
        links, _ = tree(drawn.chip, sent.router, [router_of(drawn.chip, core) for core in sent.destinations])
        for link in links:
            crossed[("border_" if crosses_border(drawn.chip, link) else "") + names[link[1]]] += flits
    tables = [microbatch_counts(pipeline.plan, b, pipeline.plan.tasks.work(b)) for b in pipeline.plan.microbatches()]
    for name in WAY_COLUMNS:
        assert crossed[name] == sum(int(table.traffic[:, TRAFFIC_INDEX[name]].sum()) for table in tables)


@examples(100)
@given(cases())
def test_edges_and_messages_of_a_microbatch_close_no_circle(drawn: Case) -> None:
    plan = Pipeline(drawn).plan
    after: dict[int, set[int]] = {task: set() for task in range(len(plan.tasks))}
    here = plan.edges.offset == 0
    for source, target in zip(plan.edges.source[here].tolist(), plan.edges.target[here].tolist(), strict=True):
        after[source].add(target)
    messages = plan.messages
    for source, group, core, index in zip(
        messages.source_task, messages.group, messages.destination, messages.set_index, strict=True
    ):
        for row, offset in zip(messages.targets[group], messages.target_offsets[group], strict=True):
            if offset == 0:
                reached = row[[core]] if core >= 0 else row[messages.sets[index]]
                after[int(source)] |= set(reached[reached >= 0].tolist()) - {int(source)}
    waiting = Counter(target for targets in after.values() for target in targets)
    ready = [task for task in after if not waiting[task]]
    for task in ready:
        waiting.subtract(after[task])
        ready += [target for target in after[task] if not waiting[target]]
    assert len(ready) == len(plan.tasks)


@examples(60)
@given(cases(overlap="exact"))
def test_edges_between_microbatches_lead_forward_in_time_within_the_window(drawn: Case) -> None:
    edges = Pipeline(drawn).plan.edges
    assert ((edges.offset >= 0) & (edges.offset <= max(1, drawn.window))).all()
    assert (edges.offset[edges.condition == FROM_LAST] > 0).all()
    assert set(np.unique(edges.condition)) <= {0, FROM_LAST, INTO_LAST}
    assert all(gate.offset == drawn.window for gate in edges.gates)


@examples(60)
@given(cases(overlap="none"))
def test_without_overlap_no_edge_leaves_its_microbatch(drawn: Case) -> None:
    plan = Pipeline(drawn).plan
    assert not plan.edges.offset.any()
    assert not plan.edges.gates
    assert not plan.expected_transports.any()
    assert not plan.expected_drains.any()


# --- what is in a plan -------------------------------------------------------------------------------------------


def kinds(case: Case) -> list[tuple[str, int]]:
    return [(group.kind, group.layer) for group in Pipeline(case).plan.tasks.groups]


def test_bp_at_the_owner_has_two_error_tasks_per_hidden_layer() -> None:
    errors = [("error", 3), ("product", 2), ("error", 2), ("product", 1), ("error", 1)]
    assert kinds(paper_case("bp"))[4:] == [*errors, ("update", 3), ("update", 2), ("update", 1)]


def test_last_layer_trains_only_the_last_layer() -> None:
    assert kinds(paper_case("last-layer"))[4:] == [("error", 3), ("update", 3)]


def test_a_frozen_layer_passes_errors_on_only_where_one_is_needed() -> None:
    assert ("error", 2) in kinds(paper_case("fa", trainable=[True, False, True]))
    assert ("error", 1) not in kinds(paper_case("fa", trainable=[False, True, True]))
    assert ("error", 2) not in kinds(paper_case("dfa", trainable=[True, False, True]))


def test_inference_has_no_labels_errors_or_updates() -> None:
    plan = Pipeline(paper_case("bp", phases="forward")).plan
    assert {group.kind for group in plan.tasks.groups} == {"io", "forward"}
    assert "labels" not in {group.payload for group in plan.messages.groups}


def test_one_message_of_an_output_serves_all_hidden_layers_of_a_direct_rule() -> None:
    plan = Pipeline(paper_case("dfa", chip=tiny_chip(grid=(3, 1)), cores=[[0], [1], [2]])).plan
    (group,) = (i for i, each in enumerate(plan.messages.groups) if each.phase == "error")
    assert plan.messages.copies[plan.messages.group == group].tolist() == [2]


def test_unicast_copies_leave_in_order_of_their_destination() -> None:
    case = paper_case("fa", chip=tiny_chip(grid=(4, 1)), cores=[[0], [3, 1, 2], [0]], delivery="unicast")
    messages = Pipeline(case).plan.messages
    from_first = messages.source_task == Pipeline(case).plan.tasks.task_of["forward", 1][0]
    assert messages.destination[from_first].tolist() == [1, 2, 3]


def test_a_channel_bounds_a_task_from_outside_its_pipeline() -> None:
    """A task takes its slowest resource and the pipeline, and at least what crosses the channel."""
    chip = channel_chip(4096, core={"pipeline_cycles": 50})
    assert chip.channel is not None
    slow = chip.model_copy(update={"channel": chip.channel.model_copy(update={"channel_bits_per_cycle": 9})})
    case = paper_case("dfa", chip=slow, cores=[[0]] * 3, microbatch=4)
    work = Pipeline(case).plan.tasks.work(Pipeline(case).plan.microbatches()[0])
    inside = work.resource_cycles[:, : RESOURCES.index("channel")].max(axis=1)
    channel = work.resource_cycles[:, RESOURCES.index("channel")]
    on_core = Pipeline(case).plan.tasks.core == 0
    assert (work.durations == np.maximum(inside + 50, channel))[on_core].all()
    assert set((channel > inside + 50)[on_core]) == {True, False}


# --- tiles -------------------------------------------------------------------------------------------------------


def channel_of(cache_bytes: int) -> Channel:
    return Channel(cache_bytes=cache_bytes, channel_bits_per_cycle=8, channel_pj_per_bit=1.0)


@examples(150)
@given(*(st.integers(1, 9) for _ in range(3)), *(st.sampled_from([0, 1, 16]) for _ in range(2)), st.integers(6, 80))
def test_tiles_are_those_found_by_trying_all(p: int, r: int, q: int, left: int, right: int, cache_bytes: int) -> None:
    found = tiled_operand_bits(Product(p, r, q, p * r, r * q), left, right, 16, channel_of(cache_bytes))
    assert found == tile((p, r, q), (left, right, 16), 8 * cache_bytes)[0]


@pytest.mark.parametrize(("cache_kilobytes", "megabytes"), [(32, 5.64), (256, 2.20), (1024, 1.57), (40960, 1.57)])
def test_tiles_of_the_contracts_layer(cache_kilobytes: int, megabytes: float) -> None:
    bits = tiled_operand_bits(
        Product(200, 784, 800, 200 * 784, 784 * 800), 16, 16, 32, channel_of(1024 * cache_kilobytes)
    )
    assert bits / 8e6 == pytest.approx(megabytes, abs=0.005)


def test_a_cache_too_small_for_one_product_is_refused() -> None:
    with pytest.raises(DescriptionError, match=r"channel\.cache_bytes = 5: too small"):
        tiled_operand_bits(Product(2, 2, 2, 4, 4), 16, 16, 16, channel_of(5))
