"""cli: sweep, as a whole command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from neurosim.cli.app import main

SMALL = ("sweep", "--network", "64-12-12-10", "--rules", "bp,dfa", "--cores", "1,4", "--batch-size", "8")


def run(*arguments):
    """Run the command and return its exit code."""
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    return left.value.code


def test_a_sweep_prints_its_table_and_leaves_table_and_figures(workplace, capsys):
    assert run(*SMALL, "--processes", "1", "--out", "s") == 0
    shown = capsys.readouterr()
    assert "cores -> grid: 1 -> 1 x 1, 4 -> 2 x 2" in shown.err
    assert "speed-up" in shown.out
    names = {path.stem for path in (workplace / "s" / "figures").glob("*.png")}
    assert {"makespan", "speedup", "efficiency", "energy", "bit_hops", "memory", "pareto_time"} <= names
    assert (workplace / "s" / "table.txt").read_text().startswith("rule")


def test_values_joined_by_commas_are_axes(workplace, capsys):
    code = run(
        "sweep", "--network", "64-12-10", "--rules", "dfa", "--cores", "4", "--processes", "1",
        "--set", "chip.noc.flit_bits=32,64", "--set", "microbatch=1,8", "--set", "delivery=unicast,multicast",
        "--json", "--fidelity", "analytic", "--no-von-neumann",
    )  # fmt: skip
    found = json.loads(capsys.readouterr().out)
    assert code == 0
    assert found["statuses"] == {"ok": 2 * 2 * 2}
    assert found["out"] == os.path.join("runs", "sweep-1")
    assert {point["axis.microbatch"] for point in found["points"]} == {1, 8}


def test_a_file_and_options_over_it(workplace, capsys):
    (workplace / "mine.toml").write_text(
        'network = "64-12-12-10"\nrules = ["bp"]\ncores = [1, 4]\n[recipe]\nbatch_size = 8\n'
        "[set]\nmicrobatch = [1, 8]\n"
    )
    assert run("sweep", "mine.toml", "--rules", "dfa", "--processes", "1", "--json", "--out", "s", "--lr", "0.5") == 0
    points = json.loads(capsys.readouterr().out)["points"]
    assert {point["rule"] for point in points} == {"dfa"}
    assert {point["recipe.lr"] for point in points} == {0.5}
    assert {point["recipe.batch_size"] for point in points} == {8}
    assert run("sweep", "--out", "s", "--resume") == 0


def test_chips_beside_each_other_are_an_axis_and_what_crosses_is_told(workplace, capsys):
    code = run(
        "sweep", "--network", "64-40-40-10", "--rules", "bp,dfa", "--chip", "tiny", "--chips", "1,16,32",
        "--set", "core.synapse_memory.capacity_bytes=4096", "--batch-size", "4", "--optimizer", "sgd",
        "--out", "s", "--processes", "1", "--json", "--no-von-neumann",
    )  # fmt: skip
    points = json.loads(capsys.readouterr().out)["points"]
    assert code == 0
    assert [(p["axis.chips"], p["cores"]) for p in points if p["status"] == "ok"] == [(16, 32), (32, 64)] * 2
    assert {p["status"] for p in points if p["axis.chips"] == 1} == {"does not fit"}
    assert all(p["border_bit_hops"] > 0 for p in points if p["status"] == "ok")
    assert (workplace / "s" / "figures" / "border_bit_hops.png").is_file()


def test_reports_of_a_sweep_are_drawn_again(workplace, capsys):
    run(*SMALL, "--processes", "1", "--out", "s")
    (workplace / "s" / "figures" / "energy.png").unlink()
    assert run("report", "s") == 0
    assert (workplace / "s" / "figures" / "energy.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--cores", "4,x"), "'x' is no number"),
        (("--cores", "0"), "must be a whole number from 1 on"),
        (("--set", "chip.noc.flit_bits="), "an axis needs values"),
        (("--set", "flit_bits=32,,64"), "none of them empty"),
        (("--set", "batch_size=8,16"), "is given by --batch-size 8 as well"),
        (("--set", "flit_bits"), "write KEY=VALUE,VALUE"),
        (("--shard", "3/2", "--out", "s"), "write i/n"),
        (("--shard", "1/2"), "name the folder"),
        (("--resume",), "name the folder"),
        (("--retry-failed",), "goes with --resume"),
        (("--scheduler", "tcp://127.0.0.1:1", "--processes", "2"), "leave it away with --scheduler"),
        (("--processes", "0"), "processes = 0"),
        (("--memory", "huge"), "must be 'scaled', 'fixed' or 'unlimited'"),
    ],
)
def test_a_bad_sweep_is_one_sentence_and_leaves_nothing(workplace, capsys, arguments, sentence):
    assert run(*SMALL, *arguments) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("neurosim: ")
    assert sentence in said
    assert not list(workplace.iterdir())


def test_ctrl_c_keeps_what_was_finished_and_says_how_to_go_on(workplace):
    command = [sys.executable, "-m", "neurosim", "sweep", "--network", "64-60-60-10", "--rules", "bp,fa,dfa,ssdfa"]
    command += ["--cores", "1,4,16,64,256", "--set", "microbatch=1,2,4,8,16", "--set", "batch_size=64,128,256"]
    process = subprocess.Popen(
        [*command, "--processes", "2", "--out", "s"], stderr=subprocess.PIPE, text=True,
        # What a shell starts in the background inherits that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    points = workplace / "s" / "points"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (points.is_dir() and len(list(points.glob("*.json"))) > 3):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "go on with neurosim sweep --out s --resume" in said
    assert "Traceback" not in said
    kept = len(list(points.glob("[0-9a-f]*.json")))
    assert 3 < kept < 300
    assert (workplace / "s" / "sweep.csv").is_file()
