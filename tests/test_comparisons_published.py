"""comparisons.published: a known recipe is known, and another is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import neurosim as ns
from neurosim.comparisons.published import PUBLISHED, published_results
from neurosim.datasets import load_dataset
from neurosim.descriptions import override
from neurosim.reports import comparison_table, table_text


@pytest.fixture(scope="module")
def mnist():
    """Return a data set that looks like MNIST as far as published rows ask."""
    digits = load_dataset("digits")
    x = np.zeros((60000, 784), dtype=np.float32)
    return replace(digits, name="mnist", train_x=x, train_y=np.zeros(60000, dtype=digits.train_y.dtype))


def asked(row, rule="dfa", **changes):
    """Return the arguments with which a row is known."""
    recipe = ns.Recipe(**row.recipe, init=row.init[rule])
    chosen = ns.load_rule(rule)
    if chosen.matrix == "random":
        chosen = override(chosen, "feedback.init", row.feedback_init)
    return ns.dense(list(row.widths), row.activation), [chosen], {rule: recipe.model_copy(update=changes)}


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: str(row.widths))
@pytest.mark.parametrize("rule", ["bp", "dfa"])
def test_every_row_is_known_by_its_own_recipe(row, rule, mnist):
    found = published_results(*asked(row, rule), mnist)
    assert found[rule]["test_accuracy_percent"] == row.test_percent[rule]
    assert found[rule]["epochs"] == row.epochs


@pytest.mark.parametrize("change", [{"lr": 2e-4}, {"batch_size": 32}, {"init": "uniform"}, {"weight_decay": 0.1}])
def test_another_recipe_is_not_known(change, mnist):
    assert published_results(*asked(PUBLISHED[1], **change), mnist) == {}


def test_other_data_networks_and_feedback_are_not_known(mnist):
    network, rules, recipes = asked(PUBLISHED[1])
    assert published_results(network, rules, recipes, load_dataset("digits")) == {}
    assert published_results(ns.dense([784, 801, 10]), rules, recipes, mnist) == {}
    assert published_results(network, [override(rules[0], "feedback.scale", "2")], recipes, mnist) == {}


def test_the_published_row_stands_beside_ours_in_the_table_and_is_told(monkeypatch):
    row = replace(PUBLISHED[1], widths=(64, 12, 10), dataset="digits", recipe={"lr": 0.001}, init={"bp": "uniform"})
    monkeypatch.setattr("neurosim.comparisons.published.PUBLISHED", (row,))
    monkeypatch.setattr("neurosim.comparisons.published._TRAIN_SAMPLES", {"digits": 1437})
    found = ns.compare("64-12-10", rules=["bp", "ssdfa"], epochs=1, seeds=1)
    table = comparison_table(found.history, found.costs, found.summary).set_index("rule")
    assert table.loc["bp", "published_test_accuracy_percent"] == row.test_percent["bp"]
    assert np.isnan(table.loc["ssdfa", "published_test_accuracy_percent"])
    text = table_text(found.history, found.costs, found.summary)
    assert "published" in text
    assert f"Published: bp: {row.source}, after 300 epochs; ours after 1 epoch." in " ".join(text.split())
