"""Closed forms: the counts of the slow twin and of the rows that are known, and a bound that holds.

The counts of convolutions are compared with the slow twin's in test_conv_counts.py.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from check_rows import CHECK_ROWS, COLUMNS, conv_paper_case, golden_rows, golden_widths, paper_case
from hypothesis import given
from hypothesis import strategies as st
from naive_case import Case
from naive_strategies import barrier, cases, channel_chip, channel_chips, conv_cases, tiny_chip
from pipelines import Pipeline, counted, examples, modulo_connections

from naive import count
from neurosim.analytic import analyse
from neurosim.analytic.durations import core_cycles
from neurosim.analytic.traffic import flits_of
from neurosim.chips import LinkRates, load_chip
from neurosim.engine import simulate
from neurosim.networks import dense
from neurosim.placement import place, with_connections
from neurosim.recipes import Recipe
from neurosim.rules import RULES
from neurosim.schedules import Plan, schedule
from neurosim.schedules.tasks import task_durations
from neurosim.topology import tree_links
from neurosim.trace import CountTable


@examples(150)
@given(cases())
def test_every_count_is_the_slow_twins(drawn: Case) -> None:
    pipeline = Pipeline(drawn)
    assert counted(pipeline.analysis.counts) == count(pipeline.case)


@examples(60)
@given(cases(chip=channel_chips()))
def test_every_count_behind_a_channel_is_the_slow_twins(drawn: Case) -> None:
    pipeline = Pipeline(drawn)
    assert counted(pipeline.analysis.counts) == count(pipeline.case)


@examples(80)
@given(cases() | conv_cases(), st.integers(1, 30))
def test_an_epoch_counts_what_the_engine_counts(drawn: Case, samples: int) -> None:
    pipeline = Pipeline(drawn)
    closed = pipeline.analysis_of(samples)
    trace = simulate(pipeline.plan, drawn.chip, samples=samples)
    assert closed.counts.work.tolist() == trace.counts.work.tolist()
    assert closed.counts.traffic.tolist() == trace.counts.traffic.tolist()  # by direction of the links too
    assert (closed.barriers, closed.cores_used) == (trace.barriers, trace.cores_used)
    assert closed.bound.bound_cycles <= trace.makespan_cycles


def durations_agree(pipeline: Pipeline) -> None:
    """Compare durations of layers that look alike, asked once, with the plan's table of all tasks."""
    table, layout = pipeline.plan.tasks, pipeline.plan.layout
    for batch in pipeline.plan.microbatches():
        found, expected = task_durations(layout, batch), table.work(batch).durations
        assert list(found) == [(group.kind, group.layer) for group in table.groups]
        assert np.concatenate(list(found.values())).tolist() == expected.tolist()
        everywhere = layout.chip.cores + layout.ports
        on_core = np.bincount(table.core, weights=expected, minlength=everywhere)
        assert core_cycles(layout, found).tolist() == on_core.tolist()


@examples(120)
@given(cases() | conv_cases())
def test_durations_are_those_of_the_table_of_all_tasks(drawn: Case) -> None:
    durations_agree(Pipeline(drawn))


@pytest.mark.parametrize("rule", RULES)
def test_layers_that_look_alike_take_equally_long(rule: str) -> None:
    cores = [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10]]
    case = paper_case(rule, widths=(6, 5, 5, 5, 5, 5, 3), chip=tiny_chip(grid=(11, 1)), cores=cores)
    durations_agree(Pipeline(case))


# --- rows that are known -----------------------------------------------------------------------------------------


def check_row(table: CountTable) -> tuple[int, ...]:
    sums = table.counts()
    sums["feedback_and_mirror_reads"] = sums["feedback_reads"] + sums["mirror_reads"]
    return tuple(sums[name] for name in COLUMNS)


@pytest.mark.parametrize("rule", CHECK_ROWS)
def test_the_contracts_check_rows(rule: str) -> None:
    network = dense([784, 800, 800, 10])
    recipe = Recipe(batch_size=200, microbatch=20, optimizer="sgd")
    placement = modulo_connections(network, place(network, RULES[rule], load_chip("mesh64"), recipe))
    assert check_row(analyse(network, RULES[rule], placement, recipe).counts) == CHECK_ROWS[rule]


@pytest.mark.parametrize(("rule", "row"), [("bp", (276, 111, 300, 148)), ("dfa", (264, 81, 268, 120))])
def test_the_row_on_paper(rule: str, row: tuple[int, ...]) -> None:
    sums = Pipeline(paper_case(rule)).analysis.counts.counts()
    assert tuple(sums[name] for name in ("macs", "synapse_reads", "neuron_reads", "neuron_writes")) == row


@pytest.mark.parametrize("row", golden_rows(), ids=lambda row: f"{row['network']} {row['rule']}")
def test_golden_macs_and_feedback_words_in_closed_form_and_simulated(row: dict[str, str]) -> None:
    network, rule, chip = dense(golden_widths(row["network"])), RULES[row["rule"]], load_chip("mesh64")
    recipe = Recipe(batch_size=1, optimizer="sgd")
    placement = place(network, rule, chip, recipe)
    closed = analyse(network, rule, placement, recipe).counts
    for table in (closed, simulate(schedule(network, rule, placement, recipe), chip).counts):
        macs = {phase: table.count("macs", table.phase_rows(phase)) for phase in ("forward", "error", "update")}
        assert macs == {phase: int(row[f"macs_{phase}"]) for phase in macs}
        assert table.count("macs") == int(row["macs_total"])
        assert table.count("feedback_reads") == int(row["feedback_words_stored"])  # each word once for one sample


# --- the bound ---------------------------------------------------------------------------------------------------


@examples(300)
@given(cases() | conv_cases(), st.sampled_from([0, 7]))
def test_no_simulation_is_faster_than_the_bound(drawn: Case, barrier_cycles: int) -> None:
    pipeline = Pipeline(barrier(drawn, barrier_cycles) if barrier_cycles else drawn)
    assert pipeline.analysis.makespan_cycles <= pipeline.trace.makespan_cycles


@examples(100)
@given(cases(overlap="none") | conv_cases(overlap="none"))
def test_the_bound_knows_the_busiest_core(drawn: Case) -> None:
    pipeline = Pipeline(drawn)
    durations: Counter[int] = Counter()
    for line in pipeline.trace.timelines:
        for task, start, end in zip(line.task, line.start_cycle, line.end_cycle, strict=True):
            durations[int(pipeline.plan.tasks.core[task])] += line.times * int(end - start)
    assert pipeline.analysis.bound.busiest_core_cycles == max(durations.values())


def least_link_cycles(plan: Plan) -> Counter[int]:
    """Return for how many cycles the flits of a step's messages must hold each link."""
    layout, grid, sent, cycles = plan.layout, plan.grid, plan.messages, Counter[int]()
    for batch in plan.microbatches():
        bits = sent.payload_bits(batch.samples).tolist()
        for i in np.flatnonzero(~(sent.last_only | sent.triggered) | batch.last).tolist():
            source, to = int(sent.source_link[i]), int(sent.destination[i])
            cores = sent.sets[sent.set_index[i]].tolist() if to < 0 else [to]
            for link in tree_links(grid, source, cores):
                cycles[link] += -(-flits_of(layout, bits[i]) * grid.flit_bits // int(grid.link_bits[link]))
    return cycles


@examples(150)
@given(cases() | conv_cases())
def test_the_bound_knows_the_busiest_link(drawn: Case) -> None:
    pipeline = Pipeline(drawn)
    assert pipeline.analysis.bound.busiest_link_cycles == max(least_link_cycles(pipeline.plan).values())


@pytest.mark.parametrize(("slow", "ways"), [("west", 1), ("east", 2)])
def test_an_owner_waits_for_the_gradients_of_its_copies_and_they_get_new_weights(slow: str, ways: int) -> None:
    paths, spans = [], []
    for hop_cycles in (1, 500):
        chip = tiny_chip(grid=(3, 1), noc={"link_bits": 4096, slow: LinkRates(hop_cycles=hop_cycles)})
        # The copy is to the east of its owner: inputs and new weights go there, and gradients go to the west.
        pipeline = Pipeline(conv_paper_case("drtp", chip=chip, cores=[[0, 1], [2]], tiles=[2, 1]))
        paths.append(pipeline.analysis.bound.critical_path_cycles)
        spans.append(pipeline.trace.makespan_cycles)
    assert paths[1] - paths[0] == ways * 499
    assert [span - path for span, path in zip(spans, paths, strict=True)] == [1, 1]  # two inputs leave one port


@pytest.mark.parametrize("delivery", ["unicast", "multicast"])
def test_a_layer_waits_only_for_the_outputs_that_feed_it_however_late_its_cores_get_others(delivery: str) -> None:
    chip = tiny_chip(grid=(4, 1), noc={"west": LinkRates(hop_cycles=500)})
    late = {"chip": chip, "cores": [[0], [0], [0, 3]], "loss": "sigmoid", "batch": 2, "delivery": delivery}
    drawn = Pipeline(paper_case("ssdfa", widths=(1, 1, 8, 2), **late))
    far_then_own = {1: np.array([[1]]), 2: np.zeros((8, 1), dtype=np.int64)}
    placement = with_connections(drawn.placement, far_then_own)
    parts = (drawn.network, drawn.drawn.rule, placement, drawn.recipe)
    assert analyse(*parts).makespan_cycles <= simulate(schedule(*parts), chip).makespan_cycles


def test_on_one_core_without_contention_the_bound_is_the_makespan() -> None:
    pipeline = Pipeline(paper_case("bp", widths=(2, 2), cores=[[0]], batch=1, microbatch=1))
    assert pipeline.analysis.bound.critical_path_cycles == pipeline.trace.makespan_cycles == 20


def test_ideal_reuse_moves_each_weight_once_a_step() -> None:
    case = paper_case("dfa", chip=channel_chip(4096, "ideal"), cores=[[0]] * 3, microbatch=4)
    table = Pipeline(case).analysis.counts
    forward = table.count("channel_bits", table.phase_rows("forward"))
    assert forward == 16 * (4 * 4 + 12 + 9 + 6)  # inputs once, weights once
    assert Pipeline(paper_case("dfa", chip=tiny_chip())).analysis.counts.count("channel_bits") == 0
