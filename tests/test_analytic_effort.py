"""effort: what a simulation will go through is known before it begins."""

from __future__ import annotations

from typing import Any

import pytest
from check_rows import paper_case
from hypothesis import given
from naive_case import Case
from naive_strategies import cases, conv_cases
from pipelines import Pipeline, examples

from neurosim.analytic import Effort, predict_effort
from neurosim.cli import app, waiting
from neurosim.engine import simulate
from neurosim.engine.simulation import Simulation
from neurosim.pipeline import cost
from neurosim.schedules import microbatch_times
from neurosim.trace import Trace


def predicted(pipeline: Pipeline, samples: int) -> Effort:
    drawn = pipeline.drawn
    what = (pipeline.network, drawn.rule, pipeline.placement, pipeline.recipe)
    return predict_effort(*what, samples=samples, forward_only=drawn.phases == "forward")


def tasks_of_all(pipeline: Pipeline, samples: int) -> int:
    """Return the tasks of an epoch of which nothing is skipped."""
    times = microbatch_times(pipeline.drawn.microbatch, pipeline.drawn.batch, samples)
    return sum(times.values()) * len(pipeline.plan.tasks)


def simulated(trace: Trace) -> tuple[int, int]:
    return sum(len(line.task) for line in trace.timelines), sum(line.crossings for line in trace.timelines)


@examples(80)
@given(cases(overlap="none") | conv_cases(overlap="none"))
def test_tasks_and_crossings_are_those_of_the_simulation(drawn: Case) -> None:
    pipeline, samples = Pipeline(drawn), 3 * drawn.batch + 1
    found = predicted(pipeline, samples)
    assert (found.tasks, found.crossings) == simulated(simulate(pipeline.plan, drawn.chip, samples=samples))
    assert (found.messages, found.repeats) == (len(pipeline.plan.messages.group), False)


@examples(40)
@given(cases(overlap="none") | conv_cases(overlap="none"))
def test_a_crossing_is_a_link_granted_to_a_message(drawn: Case) -> None:
    pipeline, granted = Pipeline(drawn), 0
    for batch in microbatch_times(drawn.microbatch, drawn.batch, drawn.batch):
        simulation = Simulation(pipeline.plan, [[batch]])
        while simulation.advance():
            pass
        granted += int(simulation.network.link_facts()["messages"].sum())
    assert predicted(pipeline, drawn.batch).crossings == granted


@examples(40)
@given(cases(overlap="exact") | conv_cases(overlap="exact"))
def test_a_step_that_overlaps_is_simulated_whole(drawn: Case) -> None:
    pipeline = Pipeline(drawn)
    found = predicted(pipeline, drawn.batch)
    assert (found.tasks, found.crossings) == simulated(simulate(pipeline.plan, drawn.chip))
    assert found.repeats


@examples(15)
@given(cases(overlap="exact"))
def test_an_epoch_that_repeats_is_simulated_in_no_more_than_predicted(drawn: Case) -> None:
    pipeline, samples = Pipeline(drawn), 60 * drawn.batch + 1
    found = predicted(pipeline, samples)
    trace = simulate(pipeline.plan, drawn.chip, samples=samples)
    tasks, crossings = simulated(trace)
    whole = tasks_of_all(pipeline, samples)
    # Steps that have not repeated within MOST_STEPS are rare, and then every one is simulated.
    assert tasks <= found.tasks < whole or tasks == whole
    assert crossings <= found.crossings or tasks == whole


def test_at_the_flit_level_an_epoch_that_overlaps_is_simulated_whole() -> None:
    pipeline = Pipeline(paper_case("bp", overlap="exact"))
    samples = 60 * pipeline.drawn.batch + 1
    what = (pipeline.network, pipeline.drawn.rule, pipeline.placement, pipeline.recipe)
    found = predict_effort(*what, samples=samples, flit_routers=10**6)
    assert (found.tasks, found.flits) == (tasks_of_all(pipeline, samples), 10**6)


def test_more_work_takes_longer() -> None:
    least = Effort(tasks=10, messages=10, crossings=10, repeats=False)
    for more in (Effort(10**6, 10, 10, False), Effort(10, 10**6, 10, False), Effort(10, 10, 10**6, False)):
        assert more.seconds > least.seconds > 0


@pytest.mark.parametrize(("terminal", "crossings"), [(True, 10**12), (True, 10**6), (False, 10**12)])
def test_a_long_simulation_is_announced_on_a_terminal(
    terminal: bool, crossings: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    announce = waiting.effort_announcer()
    assert (announce is not None) == terminal
    if announce is not None:
        announce(Effort(1000, 1000, crossings, False))
    said = capsys.readouterr()
    assert said.out == ""
    if terminal and crossings == 10**12:
        assert "1 T link crossings, about 14 hours; --fidelity analytic gives" in said.err
    else:
        assert said.err == ""


@pytest.mark.parametrize(("fidelity", "announced"), [("event", True), ("flit", True), ("analytic", False)])
def test_the_command_announces_what_it_will_simulate(
    fidelity: str, announced: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("neurosim.analytic.LONG_SECONDS", 0.0)
    with pytest.raises(SystemExit, match="0"):
        app.main(["cost", "--network", "4-3-3-2", "--chip", "mesh64", "--fidelity", fidelity])
    said = capsys.readouterr().err
    assert ("link crossings" in said and "about 0 seconds" in said) == announced
    assert ("flits through routers" in said) == (fidelity == "flit")


def test_flits_are_those_of_the_microbatches_that_are_simulated() -> None:
    told: list[Effort] = []
    wanted: dict[str, Any] = {"chip": "mesh64", "fidelity": "flit", "batch_size": 8, "before_simulating": told.append}
    once = cost("24-12-5", microbatch=8, **wanted)
    cost("24-12-5", microbatch=8, per="epoch", samples=800, **wanted)
    alone, of_a_hundred = told
    assert alone.flits == of_a_hundred.flits == once.counts["flit_routers"]
    assert alone.seconds > Effort(alone.tasks, alone.messages, alone.crossings, False).seconds


@pytest.mark.parametrize("fidelity", ["event", "flit", "analytic"])
def test_cost_tells_the_effort_before_it_simulates(fidelity: str) -> None:
    told: list[Effort] = []
    costs = cost("4-3-3-2", chip="mesh64", batch_size=4, fidelity=fidelity, before_simulating=told.append)  # type: ignore[arg-type]
    assert len(told) == (costs.trace is not None)
    if costs.trace is not None:
        assert (told[0].tasks, told[0].crossings) == simulated(costs.trace)
