"""The script behind the CIFAR-10 table: it trains as neurosim.train does, goes on where it stopped, mixes nothing."""

from __future__ import annotations

import runpy

import numpy as np
import pandas as pd
import pytest

import neurosim as ns

TINY = """
inputs = [1, 8, 8]
layers = [
    {kind = "conv", channels = 2, kernel = 3}, {kind = "max_pool", kernel = 2, stride = 2}, {kind = "flatten"},
    {units = 8}, {units = 10},
]
"""


@pytest.fixture
def table3(tree, workplace):
    (workplace / "tiny.toml").write_text(TINY, encoding="utf-8")
    run = runpy.run_path(str(tree / "benchmarks" / "reproduce" / "table3.py"))["main"]
    small = ["--network", "tiny.toml", "--dataset", "digits", "--subset", "200", "--lr", "0.01"]

    def call(folder, epochs, *more):
        run([*small, "--fidelity", "analytic", "--folder", folder, "--epochs", str(epochs), *more])

    return call


def accuracies(folder, rule):
    return pd.read_csv(f"{folder}/{rule}.csv")[["epoch", "train_loss", "train_accuracy", "test_accuracy"]]


def test_a_table_taken_up_again_is_the_one_never_stopped_and_that_of_train(table3):
    table3("whole", 3)
    table3("parts", 1)
    table3("parts", 3)
    for rule in ("bp", "dfa", "ssdfa"):
        history = ns.train("tiny.toml", rule=rule, dataset="digits", subset=200, lr=0.01, epochs=3).history
        expected = history.iloc[1:].reset_index(drop=True)
        for folder in ("whole", "parts"):
            found = accuracies(folder, rule)
            pd.testing.assert_frame_equal(found, expected[found.columns], check_exact=True, check_dtype=False)
        with np.load(f"whole/{rule}.npz") as whole, np.load(f"parts/{rule}.npz") as parts:
            assert all(np.array_equal(whole[name], parts[name]) for name in whole.files)


def test_the_table_shows_our_accuracy_beside_the_published(table3):
    table3("out", 1, "--rules", "dfa", "fa")
    rows = pd.read_csv("out/table.csv").set_index("rule")
    assert rows.loc["dfa", "test_percent"] == 100 * accuracies("out", "dfa")["test_accuracy"].iloc[-1]
    assert (rows.loc["dfa", ["epochs", "samples", "published_test_percent"]] == [1, 200, 79.97]).all()
    assert np.isnan(rows.loc["fa", "published_test_percent"])
    assert (rows[["seconds_per_epoch", "joules_per_epoch", "bit_hops_per_epoch"]] > 0).all(axis=None)


def test_checkpoints_of_other_settings_are_not_gone_on_with(table3, capsys):
    table3("out", 1, "--rules", "bp")
    with pytest.raises(SystemExit):
        table3("out", 2, "--rules", "bp", "--batch-size", "32")
    assert "other settings" in capsys.readouterr().err
