"""reports.sweeps: every figure of a sweep is drawn whole, of any mixture of points."""

from __future__ import annotations

import itertools
import math

import pandas as pd
import pytest
from sweep_cases import planned
from test_reports_figures import text_boxes

from neurosim.errors import RunError
from neurosim.reports.sweep_pareto import pareto_front
from neurosim.reports.sweep_text import sweep_text
from neurosim.reports.sweeps import SWEEP_FIGURES, draw_sweep_figure, draw_sweep_figures
from neurosim.sweeps import Run, run_sweep


def result_of(**changes):
    return run_sweep(planned(**changes), Run(processes=1))


CASES = {
    "cores": {"rules": ["bp", "fa", "dfa", "ssdfa"], "cores": [1, 4, 16, 64]},
    "weak": {"cores": [1, 4, 16], "weak": True},
    "panels": {"cores": [1, 4], "set": {"microbatch": [1, 2, 4, 8], "delivery": ["unicast", "multicast"]}},
    "another axis": {"cores": [4], "set": {"chip.noc.link_bits": [16, 64, 256]}, "von_neumann": False},
    "words": {"cores": [4], "set": {"delivery": ["unicast", "multicast"]}},
    "closed forms": {"cores": [1, 4, 16], "fidelity": "analytic"},
    "trained": {
        "cores": [1, 4], "learning": {"dataset": "digits", "subset": 200}, "recipe": {"batch_size": 8, "epochs": 1},
    },
    "unfit": {"chip": "tiny", "network": "64-20-20-10", "cores": [2, 16, 64], "memory": "fixed"},
}  # fmt: skip


@pytest.fixture(scope="module", params=CASES)
def result(request):
    return result_of(**CASES[request.param])


def test_no_text_of_a_figure_overlaps_another_or_leaves_it(result):
    drawn = 0
    for name in SWEEP_FIGURES:
        try:
            figure = draw_sweep_figure(name, result.results)
        except RunError:
            continue
        drawn += 1
        boxes = list(text_boxes(figure))
        for text, box in boxes:
            assert figure.bbox.x0 - 1 <= box.x0 <= box.x1 <= figure.bbox.x1 + 1, (name, text)
            assert figure.bbox.y0 - 1 <= box.y0 <= box.y1 <= figure.bbox.y1 + 1, (name, text)
        for (first, a), (second, b) in itertools.combinations(boxes, 2):
            width, height = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
            assert min(width, height) < 1, (name, first, second)
    assert drawn >= 4


def test_the_text_has_a_line_for_every_point(result):
    assert len(sweep_text(result.results).splitlines()) == 1 + len(result.table)


def test_a_speed_up_names_the_smallest_count_that_ran():
    figure = draw_sweep_figure("speedup", result_of(**CASES["cores"]).results)
    assert "Relative to 1 core, the smallest that ran." in figure.legends[0].get_title().get_text()


def test_speed_up_and_efficiency_are_relative_to_it():
    table = result_of(**CASES["cores"]).table.query("rule == 'dfa' and machine == 'chip'")
    wanted = table["seconds"].iloc[0] / table["seconds"]
    assert table["speedup"].tolist() == pytest.approx(wanted.tolist())
    assert table["efficiency"].tolist() == pytest.approx((wanted / table["cores"]).tolist())


def test_under_weak_scaling_a_speed_up_is_of_equal_work_and_efficiency_of_the_cores_there_are():
    found = result_of(network="64-40-40-10", cores=[4, 5, 16], weak=True).table
    table = found.query("rule == 'bp' and machine == 'chip'")
    assert table["cores"].tolist() == [4, 6, 16]
    work = table["forward_macs"] / table["forward_macs"].iloc[0]
    wanted = table["seconds"].iloc[0] / table["seconds"] * work
    assert table["speedup"].tolist() == pytest.approx(wanted.tolist())
    assert table["efficiency"].tolist() == pytest.approx((wanted * 4 / table["cores"]).tolist())


def test_points_of_unequal_work_are_in_no_pareto_figure():
    found = result_of(cores=[4], set={"batch_size": [4, 8]}, recipe={})
    with pytest.raises(RunError, match="measured nothing for it"):
        draw_sweep_figure("pareto_time", found.results)


def test_points_that_did_not_fit_are_counted_under_the_figure():
    found = result_of(**CASES["unfit"])
    assert set(found.failures["status"]) == {"does not fit"}
    notes = draw_sweep_figure("energy", found.results).legends[0].get_title().get_text()
    assert f"Not drawn: {len(found.failures)} points, does not fit." in notes.replace("\n", " ")


def test_a_line_has_a_gap_where_a_point_was_lost_and_the_von_neumann_line_has_none():
    counts = [1, 4, 16, 64, 256]
    found = result_of(
        chip="mesh64", network="784-60-60-10", rules=["dfa"], cores=counts, weak=True, fidelity="analytic",
        recipe={"batch_size": 100},
    )  # fmt: skip
    lost = found.failures.query("machine == 'chip'")["cores"].tolist()
    assert lost == [4, 16, 64]
    lines = draw_sweep_figure("makespan", found.results).axes[0].get_lines()
    marked = next(line for line in lines if line.get_marker() not in ("o", "None"))
    heights = dict(zip(marked.get_xdata(), marked.get_ydata(), strict=True))
    assert sorted(heights) == counts
    assert [x for x in sorted(heights) if math.isnan(heights[x])] == lost
    across = [line for line in lines if line.get_marker() == "None" and len(line.get_xdata()) == 5]
    assert [sorted(line.get_xdata()) for line in across] == [counts] * 2


def test_there_is_no_efficiency_where_something_else_changes_with_the_cores():
    table = result_of(cores=[1, 4], set={"chip.noc.flit_bits": [32, 64]}, zip=True).table
    assert "efficiency" not in table
    assert table["speedup"].notna().any()


@pytest.mark.parametrize(("case", "what"), [("cores", "Makespan"), ("closed forms", "Lower bound of the makespan")])
def test_a_bound_is_called_one(case, what):
    figure = draw_sweep_figure("makespan", result_of(**CASES[case]).results)
    assert figure.get_suptitle().startswith(f"{what} of a step against cores")


def test_a_pareto_front_is_what_no_point_beats_in_both():
    rows = pd.DataFrame({"seconds": [1, 2, 2, 3, 4], "energy": [9, 5, 6, 5, 1]})
    assert pareto_front(rows, "seconds", "energy").to_numpy().tolist() == [[1, 9], [2, 5], [4, 1]]


def test_figures_are_written_and_those_without_points_removed(tmp_path):
    (tmp_path / "pareto_accuracy.svg").write_text("of an earlier sweep")
    paths = draw_sweep_figures(tmp_path, result_of(**CASES["weak"]).results)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in paths}
    assert "makespan.png" in {path.name for path in paths}


def test_a_figure_that_is_not_there_is_refused_with_a_guess():
    with pytest.raises(RunError, match="figure 'speedups': there are .*did you mean 'speedup'"):
        draw_sweep_figure("speedups", result_of(cores=[1]).results)
