"""Products on lanes and systolic arrays: SCALE-Sim's closed forms, in plans, closed forms and folds one by one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from check_rows import conv_paper_case, paper_case
from hypothesis import given
from hypothesis import strategies as st
from naive_array import array_cycles, folds
from naive_case import Case
from naive_strategies import cases, channel_chip, chips, conv_cases, tiny_chip
from pipelines import Pipeline, counted, examples

import neurosim as ns
from naive import count
from neurosim.chips import Chip
from neurosim.descriptions import override
from neurosim.errors import DescriptionError
from neurosim.rules import RULES
from neurosim.schedules import RESOURCES
from neurosim.schedules.products import input_reads, matrix_reads, product_cycles, unfinished_sums

ARRAYS = ("output", "weight", "input")
MACS = RESOURCES.index("macs")
ELEMENTWISE = RESOURCES.index("elementwise")


def with_array(chip: Chip, dataflow: str, lanes: tuple[int, int] = (32, 32)) -> Chip:
    """Return the chip with an array in place of its lanes."""
    update = {"dataflow": dataflow, "lanes": lanes, "accumulators_per_lane": 1}
    return chip.model_copy(update={"core": chip.core.model_copy(update=update)})


def layout_on(dataflow: str, lanes: tuple[int, int]) -> Any:
    chip = with_array(channel_chip(4096), dataflow, lanes)
    return Pipeline(paper_case("bp", chip=chip, cores=[[0]] * 3, microbatch=4)).plan.layout


def cycles_of(costs: Any, kind: str, layer: int) -> int:
    """Cycles that the only task of a kind and layer multiplies."""
    (group,) = (each for each in costs.plan.tasks.groups if (each.kind, each.layer) == (kind, layer))
    return int(costs.plan.tasks.work(costs.plan.microbatches()[0]).resource_cycles[group.first, MACS])


# --- a layer that SCALE-Sim 3.0.0 has costed -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dataflow", "cycles", "reads", "unfinished"),
    [
        ("output", (148_049, 150_849, 163_749), (3_920_000, 4_390_400), 0),
        ("weight", (183_749, 183_749, 156_449), (3_920_000, 627_200), 24 * 160_000),
        ("input", (156_449, 153_649, 153_649), (156_800, 4_390_400), 24 * 160_000),
    ],
)
def test_a_layers_three_products_are_scale_sims(dataflow, cycles, reads, unfinished):
    chip = with_array(ns.load_chip("von_neumann"), dataflow)
    found = ns.cost("784-784-800-10", rule="bp", chip=chip, batch_size=200)
    assert tuple(cycles_of(found, *each) for each in (("forward", 2), ("product", 1), ("update", 2))) == cycles
    forward = {key[2:]: value for key, value in counted(found.trace.counts).items() if key[:2] == ("forward", 2)}
    assert (forward["neuron_reads", "activation"], forward["synapse_reads", "weight"]) == reads
    assert forward.get(("neuron_reads", "accumulator"), 0) == unfinished
    assert forward["neuron_writes", "activation"] + unfinished == {"output": 160_000}.get(dataflow, 4_000_000)


def test_with_a_large_cache_every_operand_crosses_once():
    chip = with_array(ns.load_chip("von_neumann"), "output")
    for name in ("weight_bits", "activation_bits"):
        chip = override(chip, f"widths.{name}", "8")
    table = ns.cost("784-800-10", chip=chip, batch_size=200, forward_only=True).trace.counts
    assert table.count("channel_bits", [table.row("forward", 1)]) == 8 * (156_800 + 627_200 + 160_000)


# --- closed forms of any product -------------------------------------------------------------------------------------

SIZES = st.integers(0, 9)


@examples(200)
@given(st.sampled_from(ARRAYS), st.tuples(st.integers(1, 4), st.integers(1, 4)), SIZES, SIZES, SIZES)
def test_cycles_reads_and_unfinished_sums_are_those_of_all_folds(dataflow, lanes, p, q, r):
    layout, chip = layout_on(dataflow, lanes), with_array(tiny_chip(), dataflow, lanes)
    assert product_cycles(layout, p, q, r) == array_cycles(chip, p, q, r)
    found: Counter[str] = Counter()
    for fold in folds(chip, range(p), range(q), range(r)):
        found["inputs"] += len(fold.rows) * len(fold.terms)
        found["matrix"] += len(fold.terms) * len(fold.columns)
        found["unfinished"] += (not fold.last) * len(fold.rows) * len(fold.columns)
        found["macs"] += len(fold.rows) * len(fold.terms) * len(fold.columns)
    assert found["macs"] == p * q * r
    if p * q * r:
        assert found["inputs"] == p * r * input_reads(layout, q)
        assert found["matrix"] == q * r * matrix_reads(layout, p)
        assert found["unfinished"] == p * q * unfinished_sums(layout, r)


@st.composite
def array_chips(draw: st.DrawFn) -> Chip:
    """Draw a chip of cores, or one behind a channel, whose cores are arrays."""
    chip = draw(chips() | st.sampled_from([channel_chip(200), channel_chip(4096, "ideal")]))
    return with_array(chip, draw(st.sampled_from(ARRAYS)), (draw(st.integers(1, 3)), draw(st.integers(1, 3))))


@examples(150)
@given(cases(chip=array_chips()) | conv_cases(chip=array_chips()))
def test_every_count_on_arrays_is_the_slow_twins_simulated_and_in_closed_form(drawn: Case):
    pipeline = Pipeline(drawn)
    expected = count(pipeline.case)
    assert counted(pipeline.analysis.counts) == expected
    assert counted(pipeline.trace.counts) == expected


@examples(60)
@given(cases(chip=array_chips()) | conv_cases(chip=array_chips()))
def test_macs_do_not_depend_on_the_dataflow(drawn: Case):
    macs = set()
    for dataflow in ARRAYS:
        chip = with_array(drawn.chip, dataflow, drawn.chip.core.lanes)
        macs.add(Pipeline(replace(drawn, chip=chip)).trace.counts.count("macs"))
    assert len(macs) == 1


# --- on paper --------------------------------------------------------------------------------------------------------


def on_paper(case: Case, kind: str, layer: int) -> tuple[int, dict[tuple[str, str], int]]:
    """Cycles of the MACs of a task, and its memory accesses."""
    pipeline = Pipeline(case)
    groups = pipeline.plan.tasks.groups
    task = next(each.first for each in groups if (each.kind, each.layer) == (kind, layer))
    work = pipeline.plan.tasks.work(pipeline.plan.microbatches()[0])
    table = counted(pipeline.analysis.counts)
    phase = {"product": "error"}.get(kind, kind)
    return int(work.resource_cycles[task, MACS]), {key[2:]: n for key, n in table.items() if key[:2] == (phase, layer)}


def test_a_weight_stationary_layer_on_paper():
    """Two samples, four inputs, three neurons on 2 x 2 places: two blocks of terms by two of neurons."""
    case = paper_case("bp", chip=with_array(tiny_chip(), "weight", (2, 2)), batch=2)
    cycles, counts = on_paper(case, "forward", 1)
    assert cycles == 4 * (2 + 2 + 2) - 1  # filled in 2 cycles, 2 samples, 2 of skew
    assert counts["synapse_reads", "weight"] == 12
    assert counts["neuron_reads", "activation"] == 2 * 2 * 4  # each input for two blocks of neurons
    assert counts["neuron_reads", "accumulator"] == counts["neuron_writes", "accumulator"] == 2 * 3
    assert counts["neuron_reads", "bias"] == 3


def test_gradients_of_samples_that_do_not_fit_an_array_are_summed_in_memory():
    """Three samples on two rows: two folds a microbatch, of which the step's very last does not write."""
    case = paper_case("bp", chip=with_array(tiny_chip(), "input", (2, 2)), batch=6, microbatch=3)
    cycles, counts = on_paper(case, "update", 1)
    assert cycles == 2 * 2 * (2 + 4 + 2) - 1
    assert counts["gradient_writes", "accumulator"] == counts["gradient_reads", "accumulator"] == 3 * 12


def test_a_convolutions_way_back_is_one_product_with_all_taps_as_columns():
    chip = with_array(channel_chip(4096), "output", (2, 2))
    case = conv_paper_case("bp", chip=chip, cores=[[0]] * 2)
    assert on_paper(case, "product", 1)[0] == 1 * 4 * (3 + 2) - 1  # one sample, 8 units, 3 terms


def test_what_an_array_cannot_gather_the_element_wise_unit_multiplies():
    chip = with_array(tiny_chip(), "weight", (2, 2))
    work = Pipeline(paper_case("ssdfa", chip=chip, batch=2)).plan.tasks
    error = next(each.first for each in work.groups if (each.kind, each.layer) == ("error", 1))
    found = work.work(Pipeline(paper_case("ssdfa", chip=chip, batch=2)).plan.microbatches()[0])
    assert found.resource_cycles[error, ELEMENTWISE] == (2 * 3 + 2 * 2 * 3) // 2  # products, then slopes, two a cycle


# --- machines --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_runs_on_the_tpu_like_machine(rule):
    costs = ns.cost("64-48-48-10", rule=rule, chip="tpu_like", batch_size=32)  # compares both ways to count
    assert 0 < costs.bound_cycles <= costs.makespan_cycles


def test_a_convolutional_network_runs_on_the_tpu_like_machine():
    assert ns.cost("lenet", rule="bp-mirrored", chip="tpu_like", batch_size=16).makespan_cycles > 0


def test_an_array_takes_more_samples_than_it_has_rows():
    chip = with_array(ns.load_chip("mesh64"), "weight", (4, 4))
    assert ns.cost("64-48-10", rule="dfa", chip=chip, batch_size=64).placement.microbatch == 64


@pytest.mark.parametrize(
    ("key", "text", "sentence"),
    [
        ("core.dataflow", "outptu", r"dataflow: 'outptu': must be 'lanes', .* or 'input'; did you mean 'output'"),
        (
            "core.dataflow",
            "weight",
            r"accumulators_per_lane: 32: must be 1 where dataflow = 'weight'.* set it to 1 first",
        ),
        ("core.systolic", "true", r"core\.systolic: true: has become dataflow: write dataflow = \"output\""),
    ],
)
def test_what_no_array_can_be_is_refused_with_a_way_out(key, text, sentence):
    with pytest.raises(DescriptionError, match=sentence):
        override(ns.load_chip("von_neumann"), key, text)
