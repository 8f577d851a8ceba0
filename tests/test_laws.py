"""The laws of counts and time, over random networks, chips, rules, batches, microbatches and deliveries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from check_rows import paper_case
from hypothesis import given
from hypothesis import strategies as st
from naive_case import Case
from naive_strategies import ALL_RULES, barrier, cases, channel_chips, tiny_chip
from pipelines import Pipeline, counted, examples, step_sizes, task_times

from neurosim.analytic import analyse
from neurosim.chips import Chip
from neurosim.counts import MESSAGE_COUNTS
from neurosim.engine import simulate
from neurosim.engine.plan_network import flits_by_class
from neurosim.engine.simulation import Simulation
from neurosim.rules import RULES
from neurosim.trace import Trace

TRAFFIC_AND_TIME = set(MESSAGE_COUNTS) - {"delivered_bits"}


def simulated(pipeline: Pipeline, samples: int) -> Trace:
    return simulate(pipeline.plan, pipeline.drawn.chip, samples=samples)


# --- bounds of time ----------------------------------------------------------------------------------------------


@examples(120)
@given(cases(), st.integers(1, 12), st.sampled_from([0, 5]))
def test_the_makespan_lies_between_the_bound_and_everything_in_a_row(drawn: Case, samples: int, barriers: int) -> None:
    drawn = barrier(drawn, barriers) if barriers else drawn
    pipeline = Pipeline(drawn)
    trace = simulated(pipeline, samples)
    parts = (pipeline.network, drawn.rule, pipeline.placement, pipeline.recipe)
    bound = analyse(*parts, samples=samples, forward_only=drawn.phases == "forward").bound
    assert bound.bound_cycles >= max(bound.critical_path_cycles, bound.busiest_core_cycles, bound.busiest_link_cycles)
    assert bound.bound_cycles <= trace.makespan_cycles
    durations = sum(line.times * int((line.end_cycle - line.start_cycle).sum()) for line in trace.timelines)
    if drawn.overlap == "none" or samples <= 4 * drawn.batch:  # else periods may be skipped
        waits = sum(group.latency_sum_cycles for group in trace.groups)
        assert trace.makespan_cycles <= durations + waits + trace.barriers * drawn.chip.barrier_cycles


@examples(80)
@given(cases(), st.integers(1, 40))
def test_what_cores_do_and_the_critical_path_add_up_to_the_makespan(drawn: Case, samples: int) -> None:
    trace = simulated(Pipeline(drawn), samples)
    assert (trace.core_cycles >= 0).all()
    assert trace.core_cycles.sum(axis=1).tolist() == [trace.makespan_cycles] * drawn.chip.cores
    assert sum(trace.critical_path.values()) == trace.makespan_cycles
    assert min(trace.critical_path.values()) > 0


# --- one at a time, after its inputs -----------------------------------------------------------------------------


def do_not_overlap(spans: Iterable[tuple[int, int]]) -> bool:
    ordered = sorted(spans)
    return all(before[1] <= after[0] for before, after in zip(ordered, ordered[1:], strict=False))


@examples(80)
@given(cases(), st.integers(1, 3))
def test_every_task_runs_once_and_no_core_runs_two_at_once(drawn: Case, steps: int) -> None:
    pipeline = Pipeline(drawn)
    trace = simulated(pipeline, steps * drawn.batch)
    table, used = pipeline.plan.tasks, Counter[tuple[int, int]]()
    for line in trace.timelines:
        used.update(zip(line.microbatch.tolist(), line.task.tolist(), strict=True))
        for core in range(drawn.chip.cores + pipeline.plan.layout.ports):
            here = table.core[line.task] == core
            assert do_not_overlap(zip(line.start_cycle[here].tolist(), line.end_cycle[here].tolist(), strict=True))
        assert set(used.values()) == {1}
        assert len(used) == len(table) * len(set(line.microbatch.tolist()))
        used.clear()


@examples(80)
@given(cases(), st.integers(1, 3))
def test_no_link_carries_two_messages_at_once(drawn: Case, steps: int) -> None:
    pipeline = Pipeline(drawn)
    step = pipeline.plan.microbatches()
    stretch = [step] * steps if drawn.overlap == "exact" else [step[-1:]]
    simulation = Simulation(pipeline.plan, stretch, log_rows=20000)
    while simulation.advance():
        pass
    crossings = simulation.network.crossings
    assert 0 < len(crossings) < 20000
    for link in np.unique(crossings["link"]):
        here = crossings[crossings["link"] == link]
        assert do_not_overlap(zip(here["granted"].tolist(), here["released"].tolist(), strict=True))
        assert (here["granted"] < here["released"]).all()


@examples(80)
@given(cases(overlap="none"))
def test_no_task_starts_before_its_messages_and_the_tasks_before_it(drawn: Case) -> None:
    pipeline = Pipeline(drawn)
    plan, trace = pipeline.plan, simulate(pipeline.plan, drawn.chip, log_rows=None)
    for number, line in enumerate(trace.timelines):
        start, end = (np.zeros(len(plan.tasks), dtype=np.int64) for _ in range(2))
        start[line.task], end[line.task] = line.start_cycle, line.end_cycle
        mine = trace.deliveries["timeline"] == number
        rows = zip(*(trace.deliveries[name][mine] for name in ("group", "to_core", "delivered_cycle")), strict=True)
        for group, core, delivered in rows:
            fed = plan.messages.targets[group][:, core]
            assert (start[fed[fed >= 0]] >= delivered).all()
        here = plan.edges.offset == 0
        if plan.microbatches()[0].last:  # the only microbatch has all edges
            assert (start[plan.edges.target[here]] >= end[plan.edges.source[here]]).all()


@examples(80)
@given(cases(phases="all"), st.integers(1, 4))
def test_no_weight_is_written_before_its_last_read_of_the_step(drawn: Case, steps: int) -> None:
    pipeline, samples = Pipeline(drawn), steps * drawn.batch
    times = task_times(pipeline, simulated(pipeline, samples), samples)
    last = len(pipeline.plan.microbatches()) - 1
    for (step, _, name, layer, core), (_, end) in times.items():
        if name in ("forward", "product"):
            write = (step, last, "update", layer if name == "forward" else layer + 1, core)
            assert write not in times or end <= times[write][0]


@examples(60)
@given(cases(phases="all", overlap="exact"), st.integers(2, 4))
def test_the_next_step_reads_weights_after_they_are_written(drawn: Case, steps: int) -> None:
    pipeline, samples = Pipeline(drawn), steps * drawn.batch
    times = task_times(pipeline, simulated(pipeline, samples), samples)
    last = len(pipeline.plan.microbatches()) - 1
    for (step, _, name, layer, core), (start, _) in times.items():
        write = (step - 1, last, "update", layer, core)
        if name == "forward" and write in times:
            assert times[write][1] <= start
    assert len(step_sizes(drawn.batch, samples)) == steps


# --- traffic -----------------------------------------------------------------------------------------------------


@examples(100)
@given(cases())
def test_delivered_bits_are_payloads_times_destinations(drawn: Case) -> None:
    plan = Pipeline(drawn).plan
    for batch in set(plan.microbatches()):
        simulation = Simulation(plan, [[batch]], log_rows=int(plan.messages.copies.sum()) + 1)
        while simulation.advance():
            pass
        seen = plan.messages.payload_bits(batch.samples)[simulation.network.deliveries["message"]].sum()
        planned = plan.messages.payload_bits(batch.samples) * plan.messages.copies
        assert seen == planned[~plan.messages.last_only | batch.last].sum()
    total = sum(
        int((plan.messages.payload_bits(b.samples) * plan.messages.copies)[~plan.messages.last_only | b.last].sum())
        for b in plan.microbatches()
    )
    assert Pipeline(drawn).trace.counts.count("delivered_bits") == total


@examples(100)
@given(cases())
def test_delivery_changes_only_traffic_and_time(drawn: Case) -> None:
    both = [counted(Pipeline(replace(drawn, delivery=how)).trace.counts) for how in ("unicast", "multicast")]
    kept = [{key: times for key, times in each.items() if key[2] not in TRAFFIC_AND_TIME} for each in both]
    assert kept[0] == kept[1]


@examples(60)
@given(cases())
def test_multicast_never_sends_more_bits_over_more_links(drawn: Case) -> None:
    once, copies = (Pipeline(replace(drawn, delivery=how)).analysis.counts for how in ("multicast", "unicast"))
    if not drawn.rule.sparse:  # elements of a sparse error are sent alone, but shared
        assert once.count("payload_bits") <= copies.count("payload_bits")
    assert once.count("bit_hops") <= copies.count("bit_hops")


@examples(60)
@given(cases(chip=tiny_chip(grid=(1, 1))))
def test_one_core_sends_nothing_to_a_core(drawn: Case) -> None:
    table = Pipeline(drawn).trace.counts
    others = [row for row, (phase, _) in enumerate(table.places) if phase != "io"]
    assert all(table.count(name, others) == 0 for name in TRAFFIC_AND_TIME)
    assert table.count("messages") > 0


@pytest.mark.parametrize("rule", [rule for rule in ALL_RULES if not rule.sparse], ids=lambda rule: rule.name)
def test_without_a_hidden_layer_every_rule_costs_the_same(rule: Any) -> None:
    case = paper_case(rule, widths=(4, 3), cores=[[0, 1]])
    trace, bp = Pipeline(case).trace, Pipeline(replace(case, rule=RULES["bp"])).trace
    assert counted(trace.counts) == counted(bp.counts)
    assert trace.makespan_cycles == bp.makespan_cycles


# --- more lanes, wider links, fewer bits -------------------------------------------------------------------------


@st.composite
def improvements(draw: st.DrawFn, chip: Chip) -> Chip:
    """Draw a chip that is nowhere worse: more lanes, wider links, fewer bits."""
    more, core, noc = st.integers(0, 3), chip.core, chip.noc
    rows, columns = core.lanes
    if rows > 1:  # at R = 1 updates run in another order, see test_update_order_changes_at_one_row
        rows += draw(more)
    lanes = (rows, columns + draw(more))
    directions = {
        name: rates.model_copy(update={"link_bits": rates.link_bits + draw(more)})
        for name in ("east", "west", "north", "south", "border")
        if (rates := getattr(noc, name)).link_bits is not None
    }
    # A direction without a width of its own has the network's, and a border its direction's, so all may only grow.
    wider = noc.model_copy(update={"link_bits": noc.link_bits + draw(more), **directions})
    bits = chip.widths.model_dump()
    fewer = {name: draw(st.integers(max(1, value - 9), value)) for name, value in bits.items()}
    update = {
        "core": core.model_copy(update={"lanes": lanes}),
        "noc": wider,
        "widths": chip.widths.model_copy(update=fewer),
    }
    return chip.model_copy(update=update)


@st.composite
def improved_cases(draw: st.DrawFn) -> tuple[Pipeline, Pipeline]:
    """Draw a case on a chip without skew, and the same on a better one."""
    drawn = (cases() | cases(chip=channel_chips())).filter(lambda one: one.chip.core.dataflow == "lanes")
    case = draw(drawn)
    return Pipeline(case), Pipeline(replace(case, chip=draw(improvements(case.chip))))


@examples(150)
@given(improved_cases())
def test_no_duration_and_no_messages_flits_grow_on_a_better_chip(pair: tuple[Pipeline, Pipeline]) -> None:
    worse, better = pair
    for before, after in zip(worse.plan.microbatches(), better.plan.microbatches(), strict=True):
        assert (better.plan.tasks.work(after).durations <= worse.plan.tasks.work(before).durations).all()
        assert (flits_by_class(better.plan, [after]) <= flits_by_class(worse.plan, [before])).all()


@examples(100)
@given(improved_cases())
def test_busy_cores_and_links_and_the_critical_path_never_grow_on_a_better_chip(
    pair: tuple[Pipeline, Pipeline],
) -> None:
    worse, better = (pipeline.analysis.bound for pipeline in pair)
    assert better.critical_path_cycles <= worse.critical_path_cycles
    assert better.busiest_core_cycles <= worse.busiest_core_cycles
    assert better.busiest_link_cycles <= worse.busiest_link_cycles
    busy = [pipeline.trace.core_cycles[:, :2].sum(axis=1) for pipeline in pair]
    assert (busy[1] <= busy[0]).all()


def even_links(pipeline: Pipeline) -> bool:
    """Whether all links are equally wide: then none is held by a tail that comes over a narrower one."""
    noc = pipeline.drawn.chip.noc
    own = [getattr(noc, name).link_bits for name in ("east", "west", "north", "south", "border")]
    return all(bits in (None, noc.link_bits) for bits in own)


@examples(100)
@given(improved_cases().filter(lambda pair: all(map(even_links, pair))))
def test_each_links_busy_cycles_never_grow_on_a_better_chip(pair: tuple[Pipeline, Pipeline]) -> None:
    worse, better = (pipeline.trace.link_busy_cycles for pipeline in pair)
    assert (better <= worse).all()


def test_update_order_changes_at_one_row() -> None:
    """At R = 1 samples are the rows of an update's product, above it the layer's neurons: no order is always best."""
    slices = {"widths": (1, 8), "cores": [[0]], "batch": 4, "microbatch": 4}
    one, two = (
        Pipeline(paper_case("bp", chip=tiny_chip(lanes=lanes, accumulators_per_lane=4), **slices))
        for lanes in ((1, 8), (2, 8))
    )
    macs = [p.plan.tasks.work(p.plan.microbatches()[0]).resource_cycles[-1, 0] for p in (one, two)]
    assert macs == [4 * 1 * 1, 4 * 1 * 4]
