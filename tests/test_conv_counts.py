"""Convolutions: simulated, closed and slow counts are the same, and so are sizes, durations, messages, placements."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from check_rows import conv_paper_case
from hypothesis import given
from hypothesis import strategies as st
from naive_case import Case
from naive_duration import duration_cycles
from naive_machine import traffic
from naive_placement import auto_microbatch, placed, sizes
from naive_strategies import ALL_RULES, channel_chips, chips, conv_cases, with_memory
from pipelines import Pipeline, core_counted, counted, examples, network_of, planned_messages, recipe_of, role_of

from naive import by_core, count, walk
from neurosim.engine.facts import microbatch_counts
from neurosim.errors import PlacementError
from neurosim.pipeline import cost
from neurosim.placement import Placement, place
from neurosim.rules import Rule
from neurosim.trace import TRAFFIC_INDEX

# --- placement -------------------------------------------------------------------------------------------------------


@examples(200)
@given(conv_cases(phases="all"))
def test_every_core_stores_what_the_slow_twin_lists(drawn: Case) -> None:
    placement = Pipeline(drawn).placement
    expected = sizes(Pipeline(drawn).case)
    stored = zip(placement.neuron_bits.tolist(), placement.synapse_bits.tolist(), strict=True)
    assert dict(enumerate(stored)) == {core: expected.get(core, (0, 0)) for core in range(drawn.chip.cores)}


@st.composite
def tight_cases(draw: st.DrawFn) -> Case:
    """Draw a case on a chip with memories of any size, of a rule whose connections are not drawn."""
    chip = with_memory(draw(chips()), draw(st.integers(10, 1500)), draw(st.integers(10, 400)))
    rule = draw(st.sampled_from([rule for rule in ALL_RULES if not rule.sparse]))
    return draw(conv_cases(chip=chip, rule=rule, phases="all"))


def placed_naively(case: Case) -> tuple[list[list[int]], list[int], int] | None:
    try:
        found = placed(case)
        return [list(cores) for cores in found.cores], list(found.tiles) or [1] * case.depth, auto_microbatch(found)
    except PlacementError:
        return None


def placed_really(case: Case) -> tuple[list[list[int]], list[int], int] | None:
    try:
        found: Placement = place(network_of(case), case.rule, case.chip, recipe_of(case))
    except PlacementError:
        return None
    tiles = [found.partition.cut(layer).tiles for layer in range(1, case.depth + 1)]
    return [cores.tolist() for cores in found.cores[1:]], tiles, found.microbatch


@examples(150)
@given(tight_cases())
def test_cores_tiles_and_microbatch_are_the_slow_twins(drawn: Case) -> None:
    assert placed_really(drawn) == placed_naively(drawn)


# --- counts ----------------------------------------------------------------------------------------------------------


@examples(150)
@given(conv_cases())
def test_every_count_in_closed_form_is_the_slow_twins(drawn: Case) -> None:
    pipeline = Pipeline(drawn)
    assert counted(pipeline.analysis.counts) == count(pipeline.case)


@examples(150)
@given(conv_cases())
def test_every_simulated_count_is_the_slow_twins(drawn: Case) -> None:
    pipeline = Pipeline(drawn)
    assert counted(pipeline.trace.counts) == count(pipeline.case)


@examples(60)
@given(conv_cases(chip=channel_chips()))
def test_every_count_behind_a_channel_is_the_slow_twins(drawn: Case) -> None:
    pipeline = Pipeline(drawn)
    expected = count(pipeline.case)
    assert counted(pipeline.analysis.counts) == expected
    assert counted(pipeline.trace.counts) == expected


@examples(80)
@given(conv_cases())
def test_every_core_counts_what_the_slow_twin_counts_there(drawn: Case) -> None:
    pipeline = Pipeline(drawn)
    cores: Counter[tuple[int, str, str]] = Counter()
    for (core, _, _, name, kind), times in by_core(pipeline.case).items():
        cores[core, name, kind] += times
    assert core_counted(pipeline.trace) == {key: times for key, times in cores.items() if times}


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("tiles", [1, 2])
def test_the_case_on_paper(rule: Rule, tiles: int) -> None:
    if rule.feedback.connections == 3:
        rule = rule.model_copy(update={"feedback": rule.feedback.model_copy(update={"connections": 2})})
    pipeline = Pipeline(conv_paper_case(rule, cores=[list(range(tiles)), [2]], tiles=[tiles, 1]))
    expected = count(pipeline.case)
    assert counted(pipeline.analysis.counts) == expected
    assert counted(pipeline.trace.counts) == expected


# --- plans -----------------------------------------------------------------------------------------------------------


@examples(120)
@given(conv_cases() | conv_cases(chip=channel_chips()))
def test_every_task_takes_as_long_as_the_slow_twins(drawn: Case) -> None:
    pipeline = Pipeline(drawn)
    table = pipeline.plan.tasks
    found = {
        (number, *role_of(table, drawn.chip.cores, task)): cycles
        for number, batch in enumerate(pipeline.plan.microbatches())
        for task, cycles in enumerate(table.work(batch).durations.tolist())
    }
    case = pipeline.case
    assert found == {(t.microbatch, t.name, t.layer, t.core): duration_cycles(case, t) for t in walk(case).tasks}


@examples(120)
@given(conv_cases())
def test_every_message_of_the_slow_twin_is_planned(drawn: Case) -> None:
    pipeline = Pipeline(drawn)
    expected: Counter[tuple[int | str, ...]] = Counter()
    hops: Counter[str] = Counter()
    for sent in walk(pipeline.case).messages:
        sender = sent.sender
        expected[
            sender.microbatch, sender.name, sender.layer, sender.core, sent.payload_bits, len(sent.destinations)
        ] += 1
        hops.update(traffic(drawn.chip, sent))
    assert planned_messages(pipeline) == expected
    plan = pipeline.plan
    tables = [microbatch_counts(plan, batch, plan.tasks.work(batch)) for batch in plan.microbatches()]
    flits = sum(int(table.traffic[:, TRAFFIC_INDEX["flits"]].sum()) for table in tables)
    assert flits == hops["flits"]


def golden_conv_rows() -> list[dict[str, str]]:
    with (Path(__file__).parent / "golden_counts.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["network"] == "cifar10-cnn-same"]


@pytest.mark.parametrize("row", golden_conv_rows(), ids=lambda row: row["rule"])
def test_the_cifar10_network_has_its_golden_macs_on_cores_that_share_filters_too(row: dict[str, str]) -> None:
    found = cost("cifar10-cnn", rule=row["rule"], chip="mesh1024-large", batch_size=2, optimizer="sgd")
    assert any(cut.tiled for cut in found.placement.cuts)
    for phase in ("forward", "error", "update"):
        assert found.phases[phase]["macs"] == 2 * int(row[f"macs_{phase}"])
    assert found.counts["macs"] == 2 * int(row["macs_total"])


@pytest.mark.parametrize("row", golden_conv_rows(), ids=lambda row: row["rule"])
def test_the_cifar10_network_stores_its_golden_weights_and_feedback(row: dict[str, str]) -> None:
    found = cost("cifar10-cnn", rule=row["rule"], chip="von_neumann", batch_size=1, optimizer="sgd").stored_bits
    feedback_bits = 16 + (4 if row["rule"] == "ssdfa" else 0)  # with the index of one of ten outputs
    assert found["weights"] == 16 * int(row["weights"])
    assert found["feedback"] == feedback_bits * int(row["feedback_words_stored"])
    assert found["copies"] == 0
