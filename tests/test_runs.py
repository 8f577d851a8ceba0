"""Run folders: made where asked, written whole or not at all, read again as they were."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurosim import runs
from neurosim.errors import RunError
from neurosim.networks.network import dense


def listing(folder: Path) -> list[str]:
    """Return the names of everything in a folder, without the lock file."""
    return sorted(found.name for found in folder.iterdir() if found.name != ".lock")


def make_run(folder: Path, rule: str = "bp") -> Path:
    """Leave a small finished run in ``folder``."""
    with runs.open_run(folder, "compare") as path:
        runs.write_description(path, {"rule": rule})
        runs.write_csv(path / "costs.csv", pd.DataFrame({"rule": [rule], "value": [1.5]}))
        runs.write_json(path / "summary.json", {"rule": rule})
    return folder


def test_default_folders_are_numbered_by_what_was_run(workplace: Path) -> None:
    made = [runs.create_run(None, what) for what in ("train", "compare", "compare")]
    assert [str(path) for path in made] == ["runs/train-1", "runs/compare-1", "runs/compare-2"]


def test_the_next_number_is_above_all_that_were_used(workplace: Path) -> None:
    (workplace / "runs" / "train-7").mkdir(parents=True)
    (workplace / "runs" / "train-x").mkdir()
    assert runs.create_run(None, "train").name == "train-8"


def test_a_named_folder_is_made_with_its_parents_or_taken_empty(tmp_path: Path) -> None:
    assert runs.create_run(tmp_path / "a" / "b", "train").is_dir()
    assert runs.create_run(tmp_path / "a" / "b", "train") == tmp_path / "a" / "b"


def test_a_folder_that_holds_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with (
        pytest.raises(RunError, match="holds files but no run.toml.*name a new folder with --out"),
        runs.open_run(tmp_path, "train"),
    ):
        pass
    assert listing(tmp_path) == ["thesis.tex"]
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize("place", ["file", "file/run", "/proc/absent/run"])
def test_a_folder_that_cannot_be_made_is_refused_in_one_sentence(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="--out") as refusal, runs.open_run(tmp_path / place, "train"):
        pass
    assert "\n" not in str(refusal.value)
    assert str(tmp_path / place) in str(refusal.value)


def test_a_finished_run_is_read_again_as_it_was(tmp_path: Path) -> None:
    with runs.open_run(tmp_path / "run", "train") as path:
        runs.write_description(path, {"network": dense([4, 3, 2]), "lr": 0.1, "clip_norm": None, "seeds": (0, 1)})
        runs.write_csv(path / "history.csv", pd.DataFrame({"epoch": [1, 2], "loss": [0.5, 0.1 + 0.2]}))
        runs.write_npz(path / "weights.npz", {"W1": np.eye(3, dtype=np.float32)})
        runs.write_json(
            path / "summary.json", {"accuracy": np.float32(0.5), "loss": float("nan"), "steps": np.arange(2)}
        )
    run = runs.load_run(tmp_path / "run")
    assert run.description["network"]["layers"][0]["units"] == 3
    assert run.description["seeds"] == [0, 1]
    assert "clip_norm" not in run.description
    assert run.summary == {"accuracy": 0.5, "loss": None, "steps": [0, 1]}
    assert run.history["loss"].tolist() == [0.5, 0.1 + 0.2]
    assert np.array_equal(run.arrays("weights.npz")["W1"], np.eye(3))


def test_the_description_names_the_versions_that_computed_the_run(tmp_path: Path) -> None:
    runs.write_description(tmp_path, {})
    versions = runs.load_run(tmp_path).description["versions"]
    assert versions["numpy"] == np.__version__
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"neurosim", "numba", "simpy"} <= versions.keys()


def test_a_run_that_fails_before_its_first_result_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), runs.open_run(tmp_path / "made" / "run", "train") as path:
        runs.write_description(path, {"rule": "bp"})
        raise ZeroDivisionError
    assert listing(tmp_path) == []


def test_a_numbered_run_that_fails_gives_its_number_back(workplace: Path) -> None:
    runs.create_run(None, "train")
    with pytest.raises(KeyboardInterrupt), runs.open_run(None, "train"):
        raise KeyboardInterrupt
    assert listing(workplace / "runs") == ["train-1"]


def test_an_empty_folder_of_the_user_stays_when_a_run_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), runs.open_run(tmp_path, "train"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def write_half(path: Path) -> None:
    """Write some of a run's results, as one that is interrupted does."""
    runs.write_description(path, {"rule": "dfa"})
    runs.write_text(path / "history.csv", "epoch\n1\n")
    runs.write_text(path / "figures" / "macs.svg", "<svg>")
    (path / ".weights_dfa.99.tmp.npz").write_bytes(b"PK")


def files(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with what it holds."""
    return {str(found.relative_to(folder)): found.read_bytes() for found in folder.rglob("*") if found.is_file()}


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RunError, SystemExit])
def test_a_run_that_fails_amid_its_results_leaves_nothing(tmp_path: Path, failure: type[BaseException]) -> None:
    with pytest.raises(failure), runs.open_run(tmp_path / "made" / "run", "train") as path:
        write_half(path)
        raise failure
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_amid_its_results_gives_the_earlier_ones_back(tmp_path: Path) -> None:
    make_run(tmp_path)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "energy.svg").write_text("<svg/>")
    (tmp_path / "table of mine.md").write_text("mine")
    before = files(tmp_path)
    with pytest.raises(KeyboardInterrupt), runs.open_run(tmp_path, "train") as path:
        write_half(path)
        raise KeyboardInterrupt
    assert files(tmp_path) == before


def test_what_the_user_put_beside_a_failing_run_stays(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), runs.open_run(tmp_path / "run", "train") as path:
        write_half(path)
        (path / "report-draft.md").write_text("mine")
        raise ZeroDivisionError
    assert listing(tmp_path / "run") == ["report-draft.md"]


def test_an_earlier_run_comes_back_wherever_setting_it_aside_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path)
    before, rename, left = files(tmp_path), Path.rename, iter([True, False])

    def interrupted(found: Path, target: Path) -> Path:
        if not next(left, True):
            raise KeyboardInterrupt
        return rename(found, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), runs.open_run(tmp_path, "train"):
        pass
    assert files(tmp_path) == before


def test_a_second_run_in_the_folder_leaves_no_result_of_the_first(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    (tmp_path / "run" / "notes.md").write_text("mine")
    with runs.open_run(tmp_path / "run", "compare") as path:
        runs.write_description(path, {"rule": "dfa"})
        runs.write_json(path / "summary.json", {})
    assert listing(tmp_path / "run") == ["notes.md", "run.toml", "summary.json"]


def test_a_second_run_that_fails_at_once_gives_the_first_back(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    before = {found.name: found.read_bytes() for found in (tmp_path / "run").iterdir()}
    with pytest.raises(ZeroDivisionError), runs.open_run(tmp_path / "run", "compare") as path:
        runs.write_description(path, {"rule": "dfa"})
        raise ZeroDivisionError
    assert {found.name: found.read_bytes() for found in (tmp_path / "run").iterdir()} == before


def test_the_results_that_a_killed_run_had_set_aside_come_back(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    runs._set_aside(tmp_path / "run")  # and here the process is killed
    runs.write_description(tmp_path / "run", {"rule": "dfa"})
    write_half(tmp_path / "run")
    with pytest.raises(RunError, match="is not done, or was killed"):
        runs.load_run(tmp_path / "run")
    with pytest.raises(ZeroDivisionError), runs.open_run(tmp_path / "run", "compare"):
        raise ZeroDivisionError
    assert runs.load_run(tmp_path / "run").description["rule"] == "bp"
    assert listing(tmp_path / "run") == ["costs.csv", "run.toml", "summary.json"]


def test_a_killed_first_run_leaves_nothing_to_the_next(tmp_path: Path) -> None:
    runs.create_run(tmp_path / "run", "compare")
    runs._set_aside(tmp_path / "run")
    write_half(tmp_path / "run")  # and here the process is killed
    assert listing(make_run(tmp_path / "run")) == ["costs.csv", "run.toml", "summary.json"]


def test_two_processes_cannot_write_one_run(tmp_path: Path) -> None:
    script = (
        "import sys; from neurosim import errors, runs\n"
        "try:\n    with runs.open_run(sys.argv[1], 'train'): pass\nexcept errors.RunError as e: print(e)"
    )
    with runs.open_run(tmp_path / "run", "train") as path:
        runs.write_description(path, {})
        command = [sys.executable, "-c", script, str(path)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert "another process is writing there" in said
        assert listing(path) == [".previous", "run.toml"]


def test_a_failed_write_keeps_the_old_file_and_no_rest(tmp_path: Path) -> None:
    runs.write_text(tmp_path / "table.csv", "old")
    with pytest.raises(ValueError, match="half way"), runs.replacing(tmp_path / "table.csv") as temporary:
        temporary.write_text("half")
        raise ValueError("half way")
    assert (tmp_path / "table.csv").read_text() == "old"
    assert listing(tmp_path) == ["table.csv"]


def test_a_file_that_cannot_be_written_is_a_run_error(tmp_path: Path) -> None:
    (tmp_path / "costs.csv").mkdir()
    with pytest.raises(RunError, match="costs.csv: "):
        runs.write_csv(tmp_path / "costs.csv", pd.DataFrame({"a": [1]}))
    assert listing(tmp_path) == ["costs.csv"]


def test_json_is_standard_json(tmp_path: Path) -> None:
    runs.write_json(tmp_path / "s.json", {"a": [np.int64(3), np.nan, np.inf, True, np.bool_(False)], "b": Path("x")})
    assert json.loads((tmp_path / "s.json").read_text()) == {"a": [3, None, None, True, False], "b": "x"}
    with pytest.raises(TypeError, match="cannot hold a set"):
        runs.write_json(tmp_path / "s.json", {1, 2})


def test_a_folder_that_is_no_run_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    make_run(tmp_path / "compare-1")
    with pytest.raises(RunError, match="compare-l: no such run folder; did you mean 'compare-1'"):
        runs.load_run(tmp_path / "compare-l")
    with pytest.raises(RunError, match="has no run.toml, so it is no run folder"):
        runs.load_run(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.toml", b"a = "), ("run.toml", b"\xff"), ("summary.json", b"{"), ("summary.json", b"[]"),
        ("summary.json", b"[" * 100_000),
    ],
)  # fmt: skip
def test_damaged_run_files_are_named(tmp_path: Path, name: str, content: bytes) -> None:
    (make_run(tmp_path / "run") / name).write_bytes(content)
    with pytest.raises(RunError, match=f"{name}: damaged"):
        runs.load_run(tmp_path / "run")


def test_absent_and_damaged_results_are_named_when_asked_for(tmp_path: Path) -> None:
    run = runs.load_run(make_run(tmp_path / "run"))
    with pytest.raises(RunError, match="has no history.csv; the run left none or did not finish"):
        _ = run.history
    (run.path / "costs.csv").write_text("")
    (run.path / "trace.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(RunError, match="costs.csv: not a whole table"):
        _ = run.costs
    with pytest.raises(RunError, match="trace.npz: not a whole .npz file"):
        run.arrays("trace.npz")


def test_a_table_that_ends_amid_a_line_is_refused(tmp_path: Path) -> None:
    run = runs.load_run(make_run(tmp_path / "run"))
    whole = run.file("costs.csv").read_bytes()
    run.file("costs.csv").write_bytes(whole[:-2])
    with pytest.raises(RunError, match="costs.csv: not a whole table"):
        _ = run.costs


@pytest.mark.parametrize("name", ["NA", "null", "007", "1e3"])
def test_names_in_tables_stay_as_they_were_written(tmp_path: Path, name: str) -> None:
    assert runs.load_run(make_run(tmp_path / "run", name)).costs["rule"].tolist() == [name]


def test_importing_runs_imports_neither_pandas_nor_numpy() -> None:
    script = "import sys, neurosim.runs; print([m for m in ('pandas', 'numpy', 'filelock') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip() == "[]"
