"""The scripts behind the published curves on MNIST: they train as neurosim.train does and go on where they stopped."""

from __future__ import annotations

import importlib

import numpy as np
import pandas as pd
import pytest

import neurosim as ns
from neurosim.errors import RunError
from neurosim.feedback import draw_feedback


@pytest.fixture
def nokland(tree, monkeypatch):
    monkeypatch.syspath_prepend(str(tree / "benchmarks" / "reproduce"))
    return importlib.import_module("nokland")


@pytest.fixture
def akrout(nokland):
    return importlib.import_module("akrout")


def run(script, folder, epochs, *more):
    script.main(["--dataset", "digits", "--out", str(folder), "--epochs", str(epochs), "--seeds", "1", *more])
    return pd.read_csv(folder / "history.csv")


def test_curves_taken_up_again_are_those_never_stopped(nokland, workplace):
    small = ("--networks", "1x12", "2x12")
    whole = run(nokland, workplace / "whole", 3, *small)
    run(nokland, workplace / "parts", 1, *small)
    parts = run(nokland, workplace / "parts", 3, *small)
    pd.testing.assert_frame_equal(parts.drop(columns="host_seconds"), whole.drop(columns="host_seconds"))
    fewer = run(nokland, workplace / "parts", 2, *small)
    assert fewer["epoch"].max() == 2
    assert {"history.csv", "table.csv", "table.md", "test_error.png", "angles.png"} <= {
        path.name for path in (workplace / "parts").iterdir()
    }


def test_a_curve_is_that_of_train(nokland, workplace):
    found = run(nokland, workplace / "run", 2, "--networks", "2x12")
    recipe = {"batch_size": 64, "optimizer": "rmsprop", "lr": 1e-4, "loss": "sigmoid", "reduction": "sum"}
    trained = ns.train("64-12-12-10", rule="dfa", dataset="digits", init="zero", epochs=2, **recipe).history
    mine = found[found["rule"] == "dfa"].reset_index(drop=True)
    np.testing.assert_allclose(mine["test_error_percent"], 100 * (1 - trained["test_accuracy"]))
    for angle in ("delta_angle_deg_1", "gradient_angle_deg_2"):
        np.testing.assert_allclose(mine[angle], trained[angle])


def test_runs_with_other_settings_are_not_mixed(nokland, workplace):
    small = ("--networks", "1x12")
    run(nokland, workplace, 1, *small)
    (workplace / "1x12_bp_0.json").write_text("{}")
    with pytest.raises(RunError, match=r"1x12_bp_0\.json: this run was made with other settings"):
        run(nokland, workplace, 2, *small)


def test_with_one_hidden_layer_fa_is_dfa_to_the_bit(nokland, workplace):
    found = nokland.with_fa(run(nokland, workplace, 1, "--networks", "1x12"))
    assert list(dict.fromkeys(found["rule"])) == list(nokland.RULES)
    recipe = ns.Recipe(
        init="zero", batch_size=64, optimizer="rmsprop", lr=1e-4, loss="sigmoid", reduction="sum", epochs=1
    )
    trained = ns.train("64-12-10", rule="fa", dataset="digits", recipe=recipe).history
    mine = found[found["rule"] == "fa"]
    np.testing.assert_allclose(mine["test_error_percent"], 100 * (1 - trained["test_accuracy"]))


def test_the_published_errors_are_those_of_four_networks_and_three_rules(nokland):
    errors = nokland.published_errors()
    assert len(errors) == 12
    assert errors["7x240", "dfa"] == pytest.approx(2.32)
    assert errors["1x800", "bp"] == pytest.approx(1.59)


def test_the_curve_of_an_angle_has_the_first_sample_beside_the_probe(akrout, workplace):
    found = run(akrout, workplace, 1)
    of_fa = found[found["rule"] == "fa"]
    assert of_fa[["first_sample_angle_deg", "delta_angle_deg_1"]].notna().all(axis=None)
    table = pd.read_csv(workplace / "table.csv")
    assert table["epoch"].tolist() == [1]
    assert table["published_angle_deg"].isna().all()  # the digits are not what was published
    assert (workplace / "angles.png").exists()


def test_weights_and_feedback_of_the_published_run_have_its_variance(akrout):
    weights = akrout.first_weights((784, 500, 10), seed=0)
    assert weights["W1"].std() == pytest.approx((1 / 1284) ** 0.5, rel=0.01)
    assert weights["W2"].shape == (10, 500)
    (feedback,) = draw_feedback(ns.dense([784, 500, 10]), akrout.rule_of("fa", 10), seed=0)
    assert feedback.dense.shape == (10, 500)
    assert feedback.dense.std() == pytest.approx((1 / 510) ** 0.5, rel=0.03)
    assert all(len(values) == 20 for values in (*akrout.PUBLISHED.errors_percent.values(), akrout.PUBLISHED.angle_deg))


def test_the_reports_table_trains_as_neurosim_does_and_has_a_baseline(nokland, workplace):
    table1 = importlib.import_module("table1")
    found = run(table1, workplace, 2)
    assert list(dict.fromkeys(found["rule"])) == ["bp", "dfa", "last-layer"]
    dfa = ns.Rule("dfa", error="output", feedback=ns.Feedback(init="normal"))
    trained = ns.train("64-800-10", rule=dfa, dataset="digits", epochs=2, **table1.RECIPE).history
    mine = found[found["rule"] == "dfa"]
    np.testing.assert_allclose(mine["train_error_percent"], 100 * (1 - trained["train_accuracy"]))
    np.testing.assert_allclose(mine["test_error_percent"], 100 * (1 - trained["test_accuracy"]))
    table = pd.read_csv(workplace / "table.csv")
    assert list(table["part"]) == ["train", "test"] * 3
    assert table["published_percent"].notna().tolist() == [True] * 4 + [False] * 2
