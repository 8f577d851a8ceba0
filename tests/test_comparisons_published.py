"""comparisons.published: which results of others stand beside ours, and that only the same recipe matches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import neurosim as ns
from neurosim.comparisons import compare, published
from neurosim.comparisons.published import (
    NOKLAND,
    PUBLISHED,
    REPORT_MNIST,
    PublishedResult,
    Trained,
    find_published,
    near_published,
)
from neurosim.datasets import Dataset
from neurosim.descriptions import override
from neurosim.recipes import Recipe
from neurosim.reports.terminal import table_text
from neurosim.rules import RULES


def blank(name, train, test=10_000):
    """Return a data set of the right size that takes no memory."""
    x = [np.broadcast_to(np.float32(0), (samples, 784)) for samples in (train, test)]
    y = [np.broadcast_to(np.int64(0), samples) for samples in (train, test)]
    return Dataset(name, x[0], y[0], x[1], y[1], 10, scale="unit")


MNIST, CIFAR10 = blank("mnist", 60_000), blank("cifar10", 50_000)
TWO = Trained(ns.load_network("784-800-800-10"), MNIST)
NOKLAND_DFA = Recipe(**published.NOKLAND_RECIPE, init="zero")


@pytest.mark.parametrize("table", PUBLISHED, ids=lambda table: f"{table.dataset} {table.network}")
def test_every_table_is_found_by_its_own_recipe(table):
    network = ns.load_network(table.network)
    trained = Trained(network, {"mnist": MNIST, "cifar10": CIFAR10}[table.dataset])
    for result in table.results:
        found = find_published(trained, result.rule, Recipe(**table.recipe, init=result.init))
        assert found is not None
        assert found.table is table
        assert found.result is result
        assert 0 < found.describe()["test_accuracy_percent"] < 100


def test_nokland_s_errors_are_stored_as_accuracies():
    found = find_published(TWO, RULES["dfa"], NOKLAND_DFA)
    assert found.describe() == {
        "test_accuracy_percent": 98.26, "train_accuracy_percent": None, "epochs": 300,
        "source": "A. Nokland, NeurIPS 2016, arXiv 1609.01596", "confirmed": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [{"lr": 1e-3}, {"batch_size": 32}, {"init": "uniform"}, {"loss": "softmax"}, {"clip_value": 1.0},
     {"weight_decay": 0.1}, {"sampling": "replacement"}],
)  # fmt: skip
def test_a_recipe_that_differs_in_one_field_is_another(change):
    assert find_published(TWO, RULES["dfa"], NOKLAND_DFA.model_copy(update=change)) is None


@pytest.mark.parametrize(
    "change", [{"epochs": 3}, {"seed": 7}, {"reduction": "mean"}, {"microbatch": 4}, {"delivery": "unicast"}]
)
def test_epochs_seed_delivery_and_what_the_source_leaves_open_do_not_make_another_recipe(change):
    assert find_published(TWO, RULES["dfa"], NOKLAND_DFA.model_copy(update=change)) is not None


def test_what_a_recipe_lacks_is_told_for_the_nearest_result():
    one = Trained(ns.load_network("784-800-10"), MNIST)
    report = Recipe(**REPORT_MNIST.recipe, init="normal")
    assert near_published(one, RULES["dfa"], report).startswith("feedback.init = normal (the report")
    nearly = NOKLAND_DFA.model_copy(update={"lr": 1e-3})
    assert near_published(one, RULES["fa"], nearly) == "lr = 0.0001 (A. Nokland, NeurIPS 2016, arXiv 1609.01596)"
    assert near_published(one, RULES["ssdfa"], report) is None
    assert near_published(replace(one, dataset=CIFAR10), RULES["fa"], nearly) is None


@pytest.mark.parametrize(
    "trained",
    [
        replace(TWO, network=ns.load_network("784-400-400-10")),
        replace(TWO, network=ns.dense([784, 800, 800, 10], "relu")),
        replace(TWO, network=override(TWO.network, "layers.1.dropout", "0.1")),
        replace(TWO, dataset=replace(MNIST, name="fashion-mnist")),
        replace(TWO, dataset=replace(MNIST, scale="standard")),
        replace(TWO, dataset=blank("mnist", 50_000)),
        replace(TWO, dataset=blank("mnist", 60_000, test=1000)),
        replace(TWO, dataset=replace(MNIST, augment=("crop",))),
        replace(TWO, dataset=replace(MNIST, whiten="zca")),
        replace(TWO, weights="before.npz"),
    ],
)
def test_another_network_or_other_data_match_nothing(trained):
    assert find_published(trained, RULES["dfa"], NOKLAND_DFA) is None


def test_rules_match_by_what_they_learn():
    uniform, zero = Recipe(**published.NOKLAND_RECIPE), NOKLAND_DFA
    assert find_published(TWO, RULES["bp-mirrored"], uniform) is not None
    generated = ns.Rule("mine", error="output", feedback=ns.Feedback(storage="generated"))
    assert find_published(TWO, generated, zero) is not None
    assert find_published(TWO, ns.Rule("dfa", error="output", feedback=ns.Feedback(scale=2.0)), zero) is None
    assert find_published(TWO, RULES["ssdfa"], zero) is None


def test_what_the_report_leaves_open_matches_anything():
    trained = Trained(ns.load_network("cifar10-cnn"), CIFAR10)
    for recipe in (Recipe(lr=1e-4), Recipe(lr=1e-4, optimizer="sgd", loss="sigmoid", init="normal")):
        assert find_published(trained, RULES["dfa"], recipe) is not None
    assert find_published(trained, RULES["dfa"], Recipe(lr=1e-3)) is None


def test_the_report_s_table_needs_normal_weights_and_feedback():
    one = Trained(ns.load_network("784-800-10"), MNIST)
    recipe = Recipe(**REPORT_MNIST.recipe, init="normal")
    assert find_published(one, RULES["bp"], recipe).result.train_accuracy_percent == 97.48
    assert find_published(one, RULES["dfa"], recipe) is None
    assert find_published(one, RULES["bp"], recipe.model_copy(update={"init": "uniform"})) is None


@pytest.fixture
def known_digits(monkeypatch):
    """Make believe that a recipe on the digits was published, for bp and dfa."""
    results = (PublishedResult(RULES["bp"], 95.5, 99.25), PublishedResult(RULES["dfa"], 94.5, init="zero"))
    table = replace(
        NOKLAND[0], source="Nobody 2001", network="64-12-12-10", dataset="digits", epochs=40, results=results,
        recipe={"lr": 0.01},
    )  # fmt: skip
    monkeypatch.setattr(published, "PUBLISHED", (table,))


def digits(**settings):
    arguments = {"rules": "bp,dfa,ssdfa", "dataset": "digits", "epochs": 2, "seeds": 1, "lr": 0.01, "init": "zero"}
    return compare("64-12-12-10", **(arguments | settings))


def test_compare_shows_the_published_accuracy_beside_ours_with_its_source(known_digits, tmp_path):
    found = digits()
    table = found.full_table.set_index("rule")
    assert table["published_test_accuracy_percent"].dropna().to_dict() == {
        "bp": 95.5, "bp-mirrored": 95.5, "dfa": 94.5
    }  # fmt: skip
    assert table["published_train_accuracy_percent"].dropna().to_dict() == {"bp": 99.25, "bp-mirrored": 99.25}
    assert table.loc["dfa", ["published_epochs", "published_source"]].tolist() == [40, "Nobody 2001"]
    assert found.table.loc["dfa", "published_test_accuracy_percent"] == 94.5
    text = " ".join(table_text(found.history, found.costs, found.summary).split())
    assert (
        "Published accuracy of this recipe (bp, bp-mirrored, dfa), after 40 epochs, 2 epochs here, remembered and not "
        "confirmed: Nobody 2001." in text
    )
    assert "published test %" not in text  # a heading has two lines
    assert "published" in text
    assert "published_test_accuracy_percent" in (found.report(tmp_path / "run") / "table.csv").read_text()
    assert (tmp_path / "run" / "table.txt").read_text().count("95.50") == 2


def test_a_comparison_of_an_unknown_recipe_shows_nothing_published(known_digits):
    found = digits(lr=0.02)
    assert found.summary["published"] == {}
    assert "bp, dfa: published accuracies are of lr = 0.01 (Nobody 2001)." in found.summary["notes"]
    assert not [name for name in found.full_table if name.startswith("published")]
    assert "Published" not in table_text(found.history, found.costs, found.summary)
