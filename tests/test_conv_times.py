"""Convolutions: every task runs when the slow twin runs it, with microbatches that overlap and without."""

from __future__ import annotations

import pytest
from check_rows import conv_paper_case
from hypothesis import given
from hypothesis import strategies as st
from naive_case import Case
from naive_strategies import ALL_RULES, barrier, channel_chips, conv_cases
from naive_time import simulate as simulate_naively
from pipelines import Pipeline, examples, step_sizes, task_times

from neurosim.engine import simulate
from neurosim.rules import Rule


def check_times(drawn: Case, samples: int) -> None:
    pipeline = Pipeline(drawn)
    case = pipeline.case
    trace = simulate(pipeline.plan, case.chip, samples=samples)
    naive = simulate_naively(case, step_sizes(case.batch, samples))
    expected = {key: (each.start, each.end) for key, each in naive.tasks.items()}
    assert task_times(pipeline, trace, samples) == expected
    assert trace.makespan_cycles == naive.makespan
    waits = sum(delivered - sent.made for sent in naive.messages for delivered in sent.delivered.values())
    assert sum(group.latency_sum_cycles for group in trace.groups) == waits
    assert trace.link_busy_cycles.sum() == sum(naive.link_busy_cycles.values())


@examples(150)
@given(conv_cases(overlap="none"), st.integers(1, 10), st.sampled_from([0, 7]))
def test_every_task_starts_and_ends_when_the_slow_twins_does(drawn: Case, samples: int, barrier_cycles: int) -> None:
    check_times(barrier(drawn, barrier_cycles), samples)


@examples(200)
@given(conv_cases(overlap="exact"), st.integers(1, 12))
def test_every_task_of_an_overlapped_epoch_starts_and_ends_when_the_slow_twins_does(drawn: Case, samples: int) -> None:
    check_times(drawn, min(samples, 4 * drawn.batch))  # fewer steps than replay looks at before it skips any


@examples(30)
@given(conv_cases(chip=channel_chips()), st.integers(1, 9))
def test_times_behind_a_channel_are_the_slow_twins(drawn: Case, samples: int) -> None:
    check_times(drawn, min(samples, 4 * drawn.batch))


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("overlap", ["none", "exact"])
def test_the_case_on_paper_in_two_tiles(rule: Rule, overlap: str) -> None:
    if rule.feedback.connections == 3:
        rule = rule.model_copy(update={"feedback": rule.feedback.model_copy(update={"connections": 2})})
    check_times(conv_paper_case(rule, cores=[[0, 1], [2]], tiles=[2, 1], overlap=overlap, batch=2), samples=5)


@examples(60)
@given(conv_cases(), st.integers(1, 40))
def test_no_epoch_is_faster_than_its_bound(drawn: Case, samples: int) -> None:
    pipeline = Pipeline(drawn)
    trace = simulate(pipeline.plan, drawn.chip, samples=samples)
    assert pipeline.analysis_of(samples).bound.bound_cycles <= trace.makespan_cycles


@examples(40)
@given(conv_cases(overlap="exact"), st.integers(10, 20), st.integers(0, 4))
def test_an_epoch_whose_periods_are_skipped_is_that_of_all_its_steps(drawn: Case, steps: int, more: int) -> None:
    samples = steps * drawn.batch + more % drawn.batch
    pipeline = Pipeline(drawn)
    trace = simulate(pipeline.plan, drawn.chip, samples=samples)
    assert trace.makespan_cycles == simulate_naively(pipeline.case, step_sizes(drawn.batch, samples)).makespan
