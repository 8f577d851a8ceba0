"""cli: cost, train, compare and report, as whole commands."""

import json

import numpy as np
import pytest

from neurosim.cli.app import main
from neurosim.counts import COUNT_NAMES
from neurosim.units import human


def run(*arguments):
    """Run the command and return its exit code."""
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    return left.value.code


def test_cost_prints_every_count_as_json(capsys):
    code = run(
        "cost", "--network", "784-800-800-10", "--rule", "dfa", "--chip", "mesh64", "--batch-size", "200", "--json"
    )
    found = json.loads(capsys.readouterr().out)
    assert code == 0
    assert set(found["counts"]) == set(COUNT_NAMES)
    assert found["cores_per_layer"] == [31, 32, 1]


@pytest.mark.parametrize(
    ("rule", "row"),
    [
        ("bp", (639680000, 9121620, 20507200, 0, 11476800, 54299600, 21361100)),
        ("fa", (639680000, 4161620, 14027200, 6480000, 11476800, 50967600, 15825100)),
        ("dfa", (513280000, 4161620, 14027200, 160000, 11476800, 41171600, 10927100)),
        ("drtp", (510080000, 4161620, 14027200, 320000, 11476800, 40932200, 10813700)),
        ("last-layer", (256640000, 664020, 12760000, 0, 72000, 20302000, 10465100)),
    ],
)
def test_cost_gives_the_numbers_counted_by_hand(rule, row, capsys):
    run("cost", "--network", "784-800-800-10", "--rule", rule, "--batch-size", "200", "--microbatch", "20",
        "--optimizer", "sgd", "--json")  # fmt: skip
    counts = json.loads(capsys.readouterr().out)["counts"]
    names = ("macs", "elementwise_ops", "synapse_reads", "", "gradient_reads", "neuron_reads", "neuron_writes")
    found = [counts[name] if name else counts["feedback_reads"] + counts["mirror_reads"] for name in names]
    assert tuple(found) == row


def test_cost_prints_tables_for_people(capsys):
    assert run("cost", "--network", "64-32-10", "--rule", "ssdfa", "--per", "sample", "--fidelity", "analytic") == 0
    shown = capsys.readouterr().out
    assert "not simulated" in shown
    assert "assumptions" in shown
    assert "between chips" not in shown


def test_cost_shows_what_stays_within_chips_and_what_crosses_where_there_are_several(capsys):
    run("cost", "--network", "12-9-7-5", "--rule", "bp", "--chip", "tiny", "--set", "chip.chips=[2,2]")
    rows = {line.split("│")[1].strip(): line.split("│") for line in capsys.readouterr().out.splitlines() if "│" in line}
    run("cost", "--network", "12-9-7-5", "--rule", "bp", "--chip", "tiny", "--set", "chip.chips=[2,2]", "--json")
    found = json.loads(capsys.readouterr().out)
    crossed, total = found["counts"]["border_bit_hops"], found["counts"]["bit_hops"]
    for name, value in (("within", total - crossed), ("between", crossed)):
        assert rows[f"bit_hops {name} chips"][-2].strip() == human(value, "bit_hops")
    assert rows["share between chips"][-2].strip() == f"{100 * crossed / total:.1f} %"
    assert rows["energy of links between chips"][-2].strip() == human(found["energy_pj"]["border"], "pj")


def test_cost_at_the_flit_level_prints_how_far_the_event_level_is_off(capsys):
    assert run("cost", "--network", "64-32-10", "--rule", "bp", "--fidelity", "flit") == 0
    assert " % against the flit level's" in capsys.readouterr().out
    run("cost", "--network", "64-32-10", "--rule", "bp", "--fidelity", "flit", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["fidelity"] == "flit"
    assert found["event_error_percent"] <= 0
    assert run("cost", "--network", "4-3-2", "--fidelity", "flit", "--chip", "tiny", "--batch-size", "2") == 2
    assert "set it in noc (or its direction or border) to 5 or more" in capsys.readouterr().err


def test_set_reaches_chip_network_rule_and_recipe(capsys):
    run("cost", "--network", "64-32-10", "--rule", "dfa", "--json", "--set", "chip.noc.flit_bits=32", "--set",
        "layers.1.trainable=false", "--set", "batch_size=8", "--set", "dfa:feedback.storage=generated")  # fmt: skip
    found = json.loads(capsys.readouterr().out)
    assert found["batch_size"] == 8
    assert found["phases"]["update"]["macs"] == 8 * 32 * 10
    assert found["counts"]["feedback_reads"] == 0


def test_a_rule_file_of_the_user_s_own_is_accepted(tmp_path, capsys):
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\nerror = "output"\nmatrix = "random"\nfeedback = {connections = 3}\n'
    )
    assert run("cost", "--network", "64-32-10", "--rule", str(tmp_path / "mine.toml"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["rule"] == "mine"


def test_train_leaves_a_run_folder_and_says_where(tmp_path, capsys):
    out = tmp_path / "run"
    code = run("train", "--hidden", "16", "--rule", "dfa", "--epochs", "1", "--out", str(out), "--json")
    found = json.loads(capsys.readouterr().out)
    assert code == 0
    assert found["out"] == str(out)
    assert (out / "weights.npz").exists()
    assert run("train", "--hidden", "16", "--epochs", "1", "--out", str(tmp_path / "again"), "--weights",
               str(out / "weights.npz")) == 0  # fmt: skip
    assert "accuracy" in capsys.readouterr().out


def test_compare_writes_tables_and_figures_and_report_draws_them_again(tmp_path, capsys):
    out = tmp_path / "run"
    code = run(
        "compare", "--network", "64-16-16-10", "--rules", "bp,dfa", "--epochs", "1", "--seeds", "1", "--out", str(out)
    )
    assert code == 0
    assert "ssdfa" not in capsys.readouterr().out
    figures = sorted(path.name for path in (out / "figures").iterdir())
    assert any(name.endswith(".png") for name in figures)
    (out / "figures" / figures[0]).unlink()
    assert run("report", str(out)) == 0
    said = capsys.readouterr().out
    assert said.startswith((out / "table.txt").read_text(encoding="utf-8"))
    assert said.endswith(f"{len(figures) + 3} files written to {out}\n")
    assert sorted(path.name for path in (out / "figures").iterdir()) == figures


def _save(path, **changes):
    generator = np.random.default_rng(0)
    arrays = {"x_train": generator.random((20, 6)), "y_train": generator.integers(0, 3, 20),
              "x_test": generator.random((6, 6)), "y_test": generator.integers(0, 3, 6)}  # fmt: skip
    np.savez(path, **(arrays | changes))
    return str(path)


def test_data_of_the_user_s_own_are_trained_on(tmp_path):
    mine = _save(tmp_path / "mine.npz")
    assert run("train", "--hidden", "8", "--dataset", mine, "--epochs", "1", "--out", str(tmp_path / "run")) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["cost", "--network", "784-800-10", "--rule", "dfaa"], "did you mean 'dfa'"),
        (["cost"], "--network"),
        (["cost", "--network", "9-9-9", "--batch-size", "-1"], "batch_size"),
        (["train", "--hidden", "8", "--epochs", "0"], "epochs"),
        (["train", "--hidden", "8", "--lr", "nan"], "lr"),
        (["cost", "--network", "9-9-9", "--phases", "back"], "forward"),
        (["cost", "--network", "9-9-9", "--samples", "5"], "--per epoch"),
        (["cost", "--network", "9-9-9", "--optimizer", "adam", "--set", "optimizer=sgd"], "as well"),
        (["cost", "--network", "784-800-800-10", "--chip", "tiny"], "neuron memory"),
        (["train", "--network", "99-32-10"], "--hidden"),
        (["train"], "--hidden"),
        (["train", "--hidden", "8", "--dataset", "mnost"], "mnist"),
        (["train", "--hidden", "8", "--weights", "absent.npz"], "absent.npz"),
        (["compare", "--hidden", "8", "--rules", "bp,bp"], "once"),
        (["compare", "--hidden", "8", "--set", "fa:lr=1", "--rules", "bp"], "not in use"),
        (["report", "absent"], "absent"),
    ],
)
def test_what_the_user_got_wrong_is_one_sentence_and_exit_code_2(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y_train": np.full(20, -1)}, "-1"),
        ({"x_train": np.full((20, 6), np.nan)}, "nan"),
        ({"x_train": np.zeros((0, 6))}, "x_train"),
        ({"y_train": np.zeros(19, dtype=int)}, "19"),
        ({"x_test": np.zeros((6, 5))}, "5"),
    ],
)
def test_bad_data_are_refused_with_place_and_value(changes, words, capsys, tmp_path, monkeypatch):
    path = _save(tmp_path / "mine.npz", **changes)
    monkeypatch.chdir(tmp_path)
    assert run("train", "--hidden", "8", "--dataset", path, "--epochs", "1", "--out", "run") == 2
    error = capsys.readouterr().err
    assert words.lower() in error.lower()
    assert not (tmp_path / "run").exists()


def test_an_unwritable_folder_is_refused_before_training(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert run("train", "--hidden", "8", "--epochs", "1", "--out", str(tmp_path / "file" / "run")) == 2
    assert "--out" in capsys.readouterr().err


def test_compare_names_the_default_rules_of_the_python_function():
    from neurosim.cli.compare import DEFAULT_RULES
    from neurosim.comparisons import DEFAULT_RULES as RULES

    assert DEFAULT_RULES.split(",") == list(RULES)


def test_cost_says_what_hangs_on_assumptions(capsys):
    call = ("cost", "--network", "24-12-5", "--batch-size", "8", "--fidelity", "analytic", "--sensitivity")
    assert run(*call, "--rules", "bp,dfa") == 0
    out = capsys.readouterr().out
    assert "core.mac_pj" in out
    assert "bp or dfa" in out
    assert "not varied, counts or cycles hang on it: grid, chips, widths.weight_bits" in out
    assert run(*call, "--json", "--recount") == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["energy_pj"]["mesh64"]) == ["bp", "bp-mirrored", "fa", "dfa", "ssdfa"]
    assert found["conclusions"]["energy: fa or dfa"] == "fa = dfa"  # one hidden layer
    assert "noc.flit_bits" in {each["parameter"] for each in found["parameters"]}


def test_cost_writes_files_for_other_tools(tmp_path, capsys):
    files = {kind: tmp_path / f"{kind}.txt" for kind in ("accelergy", "booksim", "noxim")}
    options = [text for kind, path in files.items() for text in ("--export", f"{kind}:{path}")]
    assert run("cost", "--network", "24-12-5", "--batch-size", "8", "--fidelity", "analytic", *options) == 0
    assert "Energy by component" in capsys.readouterr().out
    for path in files.values():
        assert "24-12-5 under bp on mesh64" in path.read_text(encoding="utf-8").partition("\n")[0]
    for wrong, why in (
        (files["noxim"], "there already"), (tmp_path / "no" / "t.txt", "no folder that can be written")
    ):  # fmt: skip
        assert run("cost", "--network", "24-12-5", "--export", f"noxim:{wrong}") == 2
        assert why in capsys.readouterr().err


def test_a_refused_export_writes_nothing_and_shows_the_costs_all_the_same(tmp_path, capsys):
    call = ("cost", "--network", "784-10", "--set", "chip.core.lanes=[16,512]", "--set", "noc.max_packet_flits=1")
    files = ("--export", f"accelergy:{tmp_path / 'a'}", "--export", f"noxim:{tmp_path / 'b'}")
    assert run(*call, *files) == 2
    said = capsys.readouterr()
    assert "Energy by component" in said.out
    assert "a node of Noxim's at most 1" in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "why"), [("~nobody_at_all/x", "is no name"), ("x" * 300, "is no name")])
def test_an_export_to_no_name_for_a_file_is_refused(name, why, capsys):
    assert run("cost", "--network", "24-12-5", "--export", f"noxim:{name}") == 2
    assert why in capsys.readouterr().err


def test_one_file_by_two_names_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("cost", "--network", "24-12-5", "--export", "noxim:x", "--export", f"booksim:{tmp_path / 'x'}") == 2
    assert "is named twice" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--sensitivity", "--rule", "dfa"), "--rule dfa: --sensitivity compares rules; give --rules dfa"),
        (("--rules", "dfa"), "--rules dfa: is for --sensitivity; give --rule, or use neurosim compare"),
        (("--recount",), "--recount: is for --sensitivity; add it"),
        (("--sensitivity", "--export", "noxim:t.txt"), "--export noxim:t.txt: is of one rule's costs"),
        (("--sensitivity", "--set", "dfa:lr=1"), "the rules of a sensitivity share one recipe; set lr for all"),
        (("--export", "noxim:t.txt", "--export", "booksim:t.txt"), "--export booksim:t.txt: t.txt is named twice"),
        (("--export", "noxim"), "--export noxim: write KIND:FILE, such as accelergy:counts.yaml"),
        (("--export", "boksim:t.txt"), "allowed are accelergy, booksim, noxim; did you mean 'booksim'?"),
        (("--export", "noxim:t.txt", "--per", "sample"), "a sample's share of a step is no whole count"),
    ],
)
def test_options_of_cost_that_would_be_ignored_are_refused(options, sentence, capsys):
    assert run("cost", "--network", "24-12-5", *options) == 2
    assert sentence in capsys.readouterr().err
