"""The engine counts what the slow twin counts and runs every task when the slow twin runs it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from check_rows import CHECK_ROWS, COLUMNS, paper_case
from hypothesis import given
from hypothesis import strategies as st
from naive_case import Case
from naive_strategies import barrier, cases, channel_chips, tiny_chip
from naive_time import Times
from naive_time import simulate as simulate_naively
from pipelines import Pipeline, core_counted, counted, examples, modulo_connections, step_sizes, task_times

from naive import by_core, count
from neurosim.chips import load_chip
from neurosim.engine import simulate
from neurosim.errors import SimulationError
from neurosim.networks import dense
from neurosim.placement import place
from neurosim.recipes import Recipe
from neurosim.rules import RULES
from neurosim.schedules import Microbatch, schedule
from neurosim.trace import CountTable, Trace

# --- counts ----------------------------------------------------------------------------------------------------------


@examples(120)
@given(cases())
def test_every_count_is_the_slow_twins(drawn: Case) -> None:
    pipeline = Pipeline(drawn)
    assert counted(pipeline.trace.counts) == count(pipeline.case)


@examples(60)
@given(cases(chip=channel_chips()))
def test_every_count_behind_a_channel_is_the_slow_twins(drawn: Case) -> None:
    pipeline = Pipeline(drawn)
    assert counted(pipeline.trace.counts) == count(pipeline.case)


@examples(60)
@given(cases())
def test_every_core_counts_what_the_slow_twin_counts_there(drawn: Case) -> None:
    pipeline = Pipeline(drawn)
    cores: Counter[tuple[int, str, str]] = Counter()
    for (core, _, _, name, kind), times in by_core(pipeline.case).items():
        cores[core, name, kind] += times
    assert core_counted(pipeline.trace) == {key: times for key, times in cores.items() if times}


def check_row(table: CountTable) -> tuple[int, ...]:
    sums = table.counts()
    sums["feedback_and_mirror_reads"] = sums["feedback_reads"] + sums["mirror_reads"]
    return tuple(sums[name] for name in COLUMNS)


@pytest.mark.parametrize("rule", CHECK_ROWS)
def test_the_contracts_check_rows(rule: str) -> None:
    network, chip = dense([784, 800, 800, 10]), load_chip("mesh64")
    recipe = Recipe(batch_size=200, microbatch=20, optimizer="sgd")
    placement = modulo_connections(network, place(network, RULES[rule], chip, recipe))
    assert placement.cores_per_layer == [31, 32, 1]
    plan = schedule(network, RULES[rule], placement, recipe)
    assert check_row(simulate(plan, chip).counts) == CHECK_ROWS[rule]


@pytest.mark.parametrize(("rule", "row"), [("bp", (276, 111, 300, 148)), ("dfa", (264, 81, 268, 120))])
def test_the_row_on_paper(rule: str, row: tuple[int, ...]) -> None:
    sums = Pipeline(paper_case(rule)).trace.counts.counts()
    assert tuple(sums[name] for name in ("macs", "synapse_reads", "neuron_reads", "neuron_writes")) == row


# --- time ------------------------------------------------------------------------------------------------------------


def both(pipeline: Pipeline, samples: int) -> tuple[Trace, Times]:
    """Simulate an epoch with the engine and naively."""
    case = pipeline.case
    trace = simulate(pipeline.plan, case.chip, samples=samples)
    return trace, simulate_naively(case, step_sizes(case.batch, samples))


def check_times(drawn: Case, samples: int) -> None:
    pipeline = Pipeline(drawn)
    trace, naive = both(pipeline, samples)
    expected = {key: (each.start, each.end) for key, each in naive.tasks.items()}
    assert task_times(pipeline, trace, samples) == expected
    assert trace.makespan_cycles == naive.makespan


@examples(120)
@given(cases(overlap="none"), st.integers(1, 12), st.sampled_from([0, 7]))
def test_every_task_starts_and_ends_when_the_slow_twins_does(drawn: Case, samples: int, barrier_cycles: int) -> None:
    check_times(barrier(drawn, barrier_cycles), samples)


@examples(150)
@given(cases(overlap="exact"), st.integers(1, 12))
def test_every_task_of_an_overlapped_epoch_starts_and_ends_when_the_slow_twins_does(drawn: Case, samples: int) -> None:
    steps = min(samples, 4 * drawn.batch)  # fewer than replay looks at before it skips any
    check_times(drawn, steps)


@examples(30)
@given(cases(chip=channel_chips()), st.integers(1, 9))
def test_times_behind_a_channel_are_the_slow_twins(drawn: Case, samples: int) -> None:
    check_times(drawn, samples)


def latencies(naive: Times) -> list[int]:
    return [delivered - sent.made for sent in naive.messages for delivered in sent.delivered.values()]


def check_facts(pipeline: Pipeline, samples: int) -> bool:
    """Hold the sums of an epoch against the slow twin's; return whether periods were skipped."""
    trace, naive = both(pipeline, samples)
    assert trace.makespan_cycles == naive.makespan
    assert sum(group.latency_sum_cycles for group in trace.groups) == sum(latencies(naive))
    assert max(group.latency_max_cycles for group in trace.groups) == max(latencies(naive))
    assert trace.link_busy_cycles.sum() == sum(naive.link_busy_cycles.values())
    busy = np.zeros(trace.cores, dtype=np.int64)
    for key, each in naive.tasks.items():
        if key[2] != "io":
            busy[key[4]] += each.end - each.start
    assert trace.core_cycles[:, :2].sum(axis=1).tolist() == busy.tolist()
    return len(trace.timelines[0].task) < len(naive.tasks)


@examples(20)
@given(cases(overlap="exact"), st.integers(10, 20), st.integers(0, 4))
def test_an_epoch_whose_periods_are_skipped_is_that_of_all_its_steps(drawn: Case, steps: int, more: int) -> None:
    check_facts(Pipeline(drawn), steps * drawn.batch + more % drawn.batch)  # a short last minibatch


@pytest.mark.parametrize("rule", ["bp", "dfa", "bp-mirrored", "drtp"])
def test_periods_are_skipped(rule: str) -> None:
    case = paper_case(rule, chip=tiny_chip(grid=(2, 2)), cores=[[0, 1], [2, 3], [1]], overlap="exact")
    assert check_facts(Pipeline(case), samples=4 * 24 + 3)


@examples(40)
@given(cases(overlap="none"), st.integers(1, 12))
def test_microbatches_add_up_to_latencies_and_busy_cycles(drawn: Case, samples: int) -> None:
    pipeline = Pipeline(drawn)
    trace, naive = both(pipeline, samples)
    assert sum(group.latency_sum_cycles for group in trace.groups) == sum(latencies(naive))
    assert trace.link_busy_cycles.sum() == sum(naive.link_busy_cycles.values())


def test_inference_of_a_slow_network_keeps_to_its_window() -> None:
    """Nothing waits for the softmax sums but the ports: else any number of microbatches would pile up."""
    noc = {"flit_bits": 1, "link_bits": 1}
    case = paper_case("bp", widths=(1, 3), cores=[[0, 1, 2]], chip=tiny_chip(grid=(3, 1), noc=noc), phases="forward")
    check_facts(Pipeline(replace(case, overlap="exact", window=1, batch=2, microbatch=1)), samples=32)


# --- facts -----------------------------------------------------------------------------------------------------------


def test_each_distinct_microbatch_is_simulated_once() -> None:
    trace = simulate(Pipeline(paper_case("fa", batch=6)).plan, tiny_chip(), samples=6 * 5 + 5)
    samples = {int(line.samples[0]): line.times for line in trace.timelines if len(set(line.samples)) == 1}
    assert [line.times for line in trace.timelines] == [6, 6, 5, 1]  # first, middle, last, short last
    assert samples == {2: 5, 1: 1}


def test_counts_of_an_epoch_do_not_wrap_around() -> None:
    plan = Pipeline(paper_case("dfa")).plan
    step = simulate(plan, tiny_chip()).counts.count("macs")
    assert simulate(plan, tiny_chip(), samples=4 * 10**6).counts.count("macs") == 10**6 * step


def test_single_deliveries_are_kept_up_to_a_limit() -> None:
    plan = Pipeline(paper_case("bp")).plan
    everything = simulate(plan, tiny_chip(), log_rows=None).deliveries
    first = simulate(plan, tiny_chip(), log_rows=3).deliveries
    assert (everything["delivered_cycle"] > everything["entered_cycle"]).all()
    for timeline in range(2):
        kept = first["timeline"] == timeline
        assert kept.sum() == 3
        assert (first["to_core"][kept] == everything["to_core"][everything["timeline"] == timeline][:3]).all()


def test_a_plan_is_simulated_on_its_own_chip_only() -> None:
    plan = Pipeline(paper_case("bp")).plan
    simulate(plan, tiny_chip(name="renamed"))
    with pytest.raises(SimulationError, match="the plan was made for chip 'tiny'"):
        simulate(plan, tiny_chip(grid=(3, 1)))


def test_a_full_log_has_a_limit() -> None:
    plan = Pipeline(paper_case("bp", overlap="exact")).plan
    with pytest.raises(SimulationError, match="simulate fewer samples"):
        simulate(plan, tiny_chip(), samples=10**8, log_rows=None)


def test_microbatches_know_their_place_in_the_step() -> None:
    plan = Pipeline(paper_case("bp", batch=5)).plan
    assert plan.microbatches() == [Microbatch(2, True, False), Microbatch(2, False, False), Microbatch(1, False, True)]
    assert plan.microbatches(2) == [Microbatch(2, True, True)]
