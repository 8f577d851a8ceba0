"""A report: written whole into a run folder, and again from what lies there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from reports_case import costs, history, summary

from neurosim import runs
from neurosim.errors import RunError
from neurosim.reports import figures
from neurosim.reports.report import report_run, write_report


@pytest.fixture
def two_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw only two figures: the others have tests of their own."""
    few = {name: figures.FIGURES[name] for name in ("macs", "alignment")}
    monkeypatch.setattr(figures, "FIGURES", few)


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """Leave a finished run of a comparison in a folder."""
    with runs.open_run(tmp_path / "run", "compare") as folder:
        runs.write_description(folder, {"what": "compare"})
        runs.write_csv(folder / "history.csv", history())
        runs.write_csv(folder / "costs.csv", costs())
        runs.write_json(folder / "summary.json", summary())
    return folder


@pytest.mark.usefixtures("two_figures")
def test_a_report_leaves_tables_and_figures(tmp_path: Path) -> None:
    paths = write_report(tmp_path, history(), costs(), summary())
    names = {str(path.relative_to(tmp_path)) for path in paths}
    pictures = {f"figures/{name}.{kind}" for name in ("macs", "alignment") for kind in ("svg", "png")}
    assert names == {"table.csv", "table_machines.csv", "table.txt"} | pictures
    assert all(path.stat().st_size > 100 for path in paths)
    assert list(pd.read_csv(tmp_path / "table.csv")["rule"]) == ["bp", "bp-mirrored", "ssdfa"]


@pytest.mark.usefixtures("two_figures")
def test_a_report_is_made_again_from_the_run_folder_alone(tmp_path: Path, finished: Path) -> None:
    first = write_report(tmp_path, history(), costs(), summary())
    again = report_run(finished)
    for one, other in zip(first, again, strict=True):
        assert one.name == other.name
        assert one.read_bytes() == other.read_bytes()


def test_everything_a_report_writes_is_known_as_a_result(tmp_path: Path) -> None:
    for name in ("table.csv", "table_machines.csv", "table.txt", "figures"):
        (tmp_path / name).mkdir()
    assert {found.name for pattern in runs.RESULTS for found in tmp_path.glob(pattern)} == {
        found.name for found in tmp_path.iterdir()
    }


def test_a_run_that_did_not_finish_is_refused(finished: Path) -> None:
    (finished / "summary.json").unlink()
    with pytest.raises(RunError, match=r"has no summary.json, so the run did not finish"):
        report_run(finished)


def test_a_damaged_table_is_named_with_its_folder(finished: Path) -> None:
    runs.write_csv(finished / "costs.csv", costs().drop(columns="chip"))
    with pytest.raises(RunError, match=r"run/costs.csv: has no chip, which a report needs"):
        report_run(finished)


@pytest.mark.parametrize("name", ["c", "costs", "costs.csv", "a b"])
def test_the_folder_of_a_damaged_table_is_named_whatever_it_is_called(
    tmp_path: Path, finished: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    finished.rename(name)
    runs.write_csv(Path(name, "costs.csv"), costs().drop(columns="chip"))
    with pytest.raises(RunError) as refusal:
        report_run(name)
    assert str(refusal.value).startswith(f"{name}/costs.csv: has no chip")
    Path(name, "costs.csv").unlink()
    with pytest.raises(RunError) as refusal:
        report_run(name)
    assert str(refusal.value).startswith(f"{name}: has no costs.csv")


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("summary.json", "{}", "run/summary.json: has no network, chip, delivery, batch_size"),
        ("summary.json", "[]", "run/summary.json: damaged (it holds a list"),
        ("history.csv", "rule,seed,epoch,train_loss,train_accuracy,test_loss,test_accuracy,seconds\n", "no rows"),
        ("history.csv", "rule\n", "run/history.csv: has no seed"),
        ("costs.csv", "", "run/costs.csv: not a whole table"),
    ],
)
def test_a_damaged_file_is_one_sentence(finished: Path, file: str, content: str, said: str) -> None:
    (finished / file).write_text(content)
    with pytest.raises(RunError) as refusal:
        report_run(finished)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("left", [0.1, 0.5, 0.77, 0.9, 0.99])
def test_costs_that_are_cut_off_are_refused(finished: Path, left: float) -> None:
    whole = (finished / "costs.csv").read_bytes()
    (finished / "costs.csv").write_bytes(whole[: int(left * len(whole))].rstrip(b"\n"))
    with pytest.raises(RunError, match=r"run/costs.csv: "):
        report_run(finished)


def test_reports_draw_without_a_display_or_pyplot() -> None:
    code = "import sys, neurosim.reports.report; print('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
