"""Count tables add up exactly, and a trace survives being stored."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from check_rows import paper_case
from hypothesis import given
from naive_case import Case
from naive_strategies import cases
from pipelines import Pipeline, examples

from neurosim.counts import COUNT_NAMES, PHASES, WORK_COLUMNS, WORK_INDEX
from neurosim.errors import RunError
from neurosim.trace import TRAFFIC_INDEX, CountTable, empty_counts, trace_from_arrays


def small_table() -> CountTable:
    table = empty_counts(2)
    table.work[table.row("forward", 1), WORK_INDEX["macs", ""]] = 5
    table.work[table.row("error", 2), WORK_INDEX["neuron_reads", "bias"]] = 2
    table.work[table.row("error", 2), WORK_INDEX["neuron_reads", "error"]] = 3
    table.traffic[table.row("io", 0), TRAFFIC_INDEX["flits"]] = 7
    return table


def test_a_table_has_a_row_for_io_and_for_each_phase_of_each_layer() -> None:
    places = [("io", 0), *((phase, layer) for phase in ("forward", "error", "update") for layer in (1, 2))]
    assert list(empty_counts(2).places) == places
    assert set(empty_counts(2).counts().values()) == {0}


def test_a_count_sums_its_kinds_over_the_rows_asked_for() -> None:
    table = small_table()
    assert (table.count("neuron_reads"), table.count("macs"), table.count("flits")) == (5, 5, 7)
    assert table.count("neuron_reads", table.phase_rows("forward")) == 0
    assert table.count("flits", table.phase_rows("io")) == 7
    assert list(table.counts()) == list(COUNT_NAMES)


def test_scaled_counts_are_exact_beyond_64_bits() -> None:
    assert small_table().scaled(10**30).count("macs") == 5 * 10**30
    assert small_table().scaled(3).plus(small_table()).counts() == small_table().scaled(4).counts()


@examples(40)
@given(cases())
def test_phases_and_cores_add_up_to_the_total(drawn: Case) -> None:
    trace = Pipeline(drawn).trace
    totals = trace.counts.counts()
    phases = [trace.counts.phase_rows(phase) for phase in PHASES]
    for name in COUNT_NAMES:
        assert totals[name] == sum(trace.counts.count(name, rows) for rows in phases)
    on_cores = trace.core_work.sum(axis=0)
    outside = WORK_INDEX["offchip_bits", ""]  # the ports' own
    assert [v for i, v in enumerate(on_cores) if i != outside] == [
        v for i, v in enumerate(trace.counts.work.sum(axis=0)) if i != outside
    ]


@pytest.mark.parametrize("overlap", ["none", "exact"])
def test_a_stored_trace_is_the_same_trace(overlap: str) -> None:
    trace = Pipeline(paper_case("bp-mirrored", overlap=overlap)).trace
    again = trace_from_arrays(trace.as_arrays())
    for column in fields(trace):
        if column.name not in ("counts", "timelines", "deliveries"):
            assert np.array_equal(getattr(again, column.name), getattr(trace, column.name)), column.name
    assert again.counts.counts() == trace.counts.counts()
    for ours, theirs in zip(trace.timelines, again.timelines, strict=True):
        for column in fields(ours):
            assert np.array_equal(getattr(ours, column.name), getattr(theirs, column.name))


def test_a_damaged_trace_is_refused() -> None:
    arrays = Pipeline(paper_case("bp")).trace.as_arrays()
    with pytest.raises(RunError, match="has no 'link_flits'"):
        trace_from_arrays({name: values for name, values in arrays.items() if name != "link_flits"})
    with pytest.raises(RunError, match="written for other counts"):
        trace_from_arrays(arrays | {"work_columns": arrays["work_columns"][: len(WORK_COLUMNS) - 1]})


@pytest.mark.parametrize(
    ("name", "damaged"),
    [
        ("places", np.array(["forward"])),
        ("places", np.array([1, 2])),
        ("timelines", np.array([1, 2])),
        ("samples", np.array("many")),
        ("samples", np.array([])),
        ("critical_path_cycles", np.array([1])),
        ("critical_path", np.array(5)),
        ("group_layer", np.array([1])),
        ("group_layer", np.array(1)),
        ("work_columns", np.array(1)),
        ("work", np.zeros((2, 2), dtype=np.int64)),
        ("traffic", np.array(["a"])),
        ("core_work", np.zeros(3)),
        ("core_cycles", np.zeros((1, 5), dtype=np.int64)),
        ("timeline_0_times", np.array("x")),
    ],
)
def test_damaged_arrays_are_a_run_error(name: str, damaged: np.ndarray) -> None:
    arrays = Pipeline(paper_case("bp")).trace.as_arrays()
    assert name in arrays
    with pytest.raises(RunError, match="trace: "):
        trace_from_arrays(arrays | {name: damaged})
