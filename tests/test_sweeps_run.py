"""sweeps.run: what is finished is kept at once, and a sweep goes on where it stopped."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sweep_cases import planned, without_clock

import neurosim as ns
from neurosim.errors import DescriptionError, RunError
from neurosim.sweeps import Run, SweepInterrupted, load_sweep, parse_shard, run_sweep
from neurosim.sweeps import executors as where
from neurosim.sweeps.measure import run_job

HERE = Run(processes=1)


def measured(result):
    return result.table.drop(columns="wall_seconds").to_json(orient="records")


@pytest.fixture
def counted(monkeypatch):
    """Yield the ids of the jobs that are computed."""
    ids = []

    def run(job, data_dir=None):
        ids.append(job.id)
        return run_job(job, data_dir)

    monkeypatch.setattr(where, "run_job", run)
    return ids


def test_every_point_is_a_file_and_the_table_is_made_of_them(tmp_path):
    result = run_sweep(planned(), HERE, out=tmp_path / "s")
    files = sorted((tmp_path / "s" / "points").iterdir())
    assert [path.stem for path in files] == sorted(result.table["id"].unique())
    record = json.loads(files[0].read_text())
    assert set(record) == {"id", "description", "row"}
    assert record["row"]["status"] == "ok"


def test_the_table_has_coordinates_status_what_was_measured_and_the_full_description(tmp_path):
    run_sweep(planned(), HERE, out=tmp_path / "s")
    for frame in (pd.read_csv(tmp_path / "s" / "sweep.csv"), pd.read_parquet(tmp_path / "s" / "sweep.parquet")):
        row = frame.iloc[1]
        assert (row["axis.rule"], row["axis.cores"], row["status"]) == ("bp", 4, "ok")
        assert row["macs"] == 8 * (2 * (64 * 12 + 12 * 12 + 12 * 10) + 12 * 10 + 12 * 12)
        assert row["chip.noc.flit_bits"] == 64
        assert row["recipe.batch_size"] == 8
        assert row["network.inputs"] == 64
        assert row["rule.error"] == "next"
        assert row["speedup_from"] == 1


def test_a_stopped_sweep_goes_on_with_what_is_missing(tmp_path, counted):
    whole = run_sweep(planned(), HERE)
    first = run_sweep(planned(), Run(processes=1, shard=parse_shard("1/4")), out=tmp_path / "s")
    assert first.statuses == {"not run": 6, "ok": 2}
    counted.clear()
    result = run_sweep(planned(), Run(processes=1, resume=True), out=tmp_path / "s")
    assert len(counted) == 6
    assert measured(result) == measured(whole)


def test_shards_are_disjoint_and_complete(tmp_path, counted):
    for number in (1, 2, 3):
        run_sweep(planned(), Run(processes=1, shard=parse_shard(f"{number}/3")), out=tmp_path / "s")
    assert len(counted) == len(set(counted)) == len(planned().jobs)
    assert load_sweep(tmp_path / "s").statuses == {"ok": 8}


def test_a_damaged_point_is_computed_again(tmp_path, counted):
    result = run_sweep(planned(), HERE, out=tmp_path / "s")
    broken = tmp_path / "s" / "points" / f"{result.table['id'][0]}.json"
    broken.write_text(broken.read_text()[:50])
    counted.clear()
    run_sweep(planned(), Run(processes=1, resume=True), out=tmp_path / "s")
    assert counted == [result.table["id"][0]]


def test_failed_points_are_tried_again_only_when_asked(tmp_path, monkeypatch):
    monkeypatch.setattr("neurosim.sweeps.measure.cost_placed", lambda *a, **k: 1 / 0)
    assert run_sweep(planned(), HERE, out=tmp_path / "s").statuses == {"failed": 8}
    monkeypatch.undo()
    assert run_sweep(planned(), Run(processes=1, resume=True), out=tmp_path / "s").statuses == {"failed": 8}
    again = run_sweep(planned(), Run(processes=1, resume=True, retry=True), out=tmp_path / "s")
    assert again.statuses == {"ok": 8}


def test_lost_points_are_tried_again(tmp_path, monkeypatch):
    lost = {"status": "lost", "error": "killed", "wall_seconds": 0.0}
    monkeypatch.setattr(where, "run_job", lambda job, data_dir=None: lost)
    assert run_sweep(planned(), HERE, out=tmp_path / "s").statuses == {"lost": 8}
    monkeypatch.undo()
    assert run_sweep(planned(), Run(processes=1, resume=True), out=tmp_path / "s").statuses == {"ok": 8}


def test_a_shard_that_reports_late_does_not_put_its_older_table_back(tmp_path):
    first = run_sweep(planned(), Run(processes=1, shard=parse_shard("1/2")), out=tmp_path / "s")
    run_sweep(planned(), Run(processes=1, shard=parse_shard("2/2")), out=tmp_path / "s")
    first.report()
    assert load_sweep(tmp_path / "s").statuses == {"ok": 8}


def test_another_sweep_as_a_shard_of_this_folder_is_refused(tmp_path):
    run_sweep(planned(), Run(processes=1, shard=parse_shard("1/2")), out=tmp_path / "s")
    with pytest.raises(RunError, match="holds another sweep"):
        run_sweep(planned(cores=[1, 16]), Run(processes=1, shard=parse_shard("2/2")), out=tmp_path / "s")


def test_what_a_killed_process_left_of_a_description_does_not_block_the_folder(tmp_path):
    (tmp_path / ".sweep.123-abcd.tmp.toml").write_text("half")
    assert run_sweep(planned(), HERE, out=tmp_path).statuses == {"ok": 8}


def test_a_damaged_table_is_told(tmp_path):
    run_sweep(planned(), HERE, out=tmp_path / "s")
    (tmp_path / "s" / "sweep.csv").write_text("a,b\n1,2\n")
    with pytest.raises(RunError, match="has no column 'machine'"):
        load_sweep(tmp_path / "s")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"resume": True}, "name the folder of the sweep"),
        ({"executor": 3}, "has no submit"),
        ({"out": 3}, "must be the path"),
        ({"data_dir": "x"}, "data_dir: has no effect without a dataset"),
    ],
)
def test_arguments_that_would_do_nothing_are_refused(arguments, sentence):
    with pytest.raises(DescriptionError, match=sentence):
        ns.sweep("8-4-2", rules=["bp"], cores=[1], **arguments)


def test_whole_numbers_of_any_kind_are_counts():
    result = ns.sweep("8-4-2", rules=["bp"], cores=np.array([1, 4]), batch_size=4, processes=1, von_neumann=False)
    assert result.table["cores"].tolist() == [1, 4]


def test_an_interrupt_keeps_what_was_finished_and_says_how_much(tmp_path, monkeypatch):
    def stop_at_three(label, done, wanted):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(SweepInterrupted) as stop:
        run_sweep(planned(), Run(processes=1, progress=stop_at_three), out=tmp_path / "s")
    assert (stop.value.done, stop.value.wanted) == (3, 8)
    assert load_sweep(tmp_path / "s").statuses == {"not run": 5, "ok": 3}


def test_a_folder_with_a_sweep_is_not_taken_over(tmp_path):
    run_sweep(planned(), HERE, out=tmp_path / "s")
    with pytest.raises(RunError, match="holds a sweep already; go on with --resume"):
        run_sweep(planned(), HERE, out=tmp_path / "s")
    with pytest.raises(RunError, match="holds another sweep \\(cores differs\\)"):
        run_sweep(planned(cores=[1, 16]), Run(processes=1, resume=True), out=tmp_path / "s")


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="holds files but no sweep.toml"):
        run_sweep(planned(), HERE, out=tmp_path)


def test_points_of_another_version_are_not_mixed(tmp_path):
    run_sweep(planned(), HERE, out=tmp_path / "s")
    file = tmp_path / "s" / "sweep.toml"
    file.write_text(file.read_text().replace('neurosim = "', 'neurosim = "0.0.'))
    with pytest.raises(RunError, match="was begun by neurosim 0.0."):
        run_sweep(planned(), Run(processes=1, resume=True), out=tmp_path / "s")


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0"])
def test_a_shard_that_cannot_be_is_refused(text):
    with pytest.raises(RunError, match="write i/n"):
        parse_shard(text)


def test_a_sweep_needs_no_main_guard_in_a_script(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        'import neurosim as ns\nprint("once")\n'
        'mine = ns.Rule("mine", error="output", feedback=ns.Feedback(connections=2))\n'
        'r = ns.sweep("8-4-4-2", rules=["bp", mine], cores=[1, 4], processes=2, batch_size=4)\n'
        'r.figure("speedup")\nprint(r)\n'
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.stdout.split("\n") == ["once", "<SweepResult of 8 points: 8 ok>", ""], done.stderr
    assert not list(tmp_path.glob("runs"))


def test_data_that_do_not_fit_are_refused_before_anything_runs():
    with pytest.raises(ns.NeurosimError, match="digits"):
        planned(learning={"dataset": "digits"}, network="63-12-10")


def test_preparation_without_data_is_refused():
    with pytest.raises(DescriptionError, match="no effect without a dataset"):
        ns.sweep("4-3-2", preparation={"subset": 5})


def test_the_same_sweep_gives_the_same_table_in_processes(tmp_path):
    one, two = run_sweep(planned(), HERE), run_sweep(planned(), Run(processes=2))
    assert measured(one) == measured(two)
    assert without_clock(one.table.iloc[0].to_dict())["id"] == two.table["id"][0]
