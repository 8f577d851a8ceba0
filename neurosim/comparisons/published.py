"""Published results on known recipes, and which of them a comparison runs again: data, each with its source."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neurosim.datasets import DATASETS, Dataset
from neurosim.networks import Network, load_network
from neurosim.recipes import Recipe
from neurosim.rules import RULES, Feedback, Rule


@dataclass(frozen=True)
class PublishedResult:
    """What one rule reached, accuracies in percent; ``init`` is the recipe's under this rule."""

    rule: Rule
    test_accuracy_percent: float
    train_accuracy_percent: float | None = None
    init: str = "uniform"


@dataclass(frozen=True)
class PublishedTable:
    """Results of several rules on one network and recipe.

    ``recipe`` holds the fields that differ from Recipe's defaults; ``unstated`` those that the source leaves open,
    which match anything. ``confirmed``: the figures were read in the source; else they are remembered.
    """

    source: str
    network: str
    dataset: str
    epochs: int
    recipe: Mapping[str, Any]
    results: tuple[PublishedResult, ...]
    confirmed: bool
    unstated: tuple[str, ...] = ()


REPORT = "the report that neurosim follows"

REPORT_MNIST = PublishedTable(
    source=f"{REPORT}; it gives neither initialisation nor loss scaling, which are those of a public notebook of the "
    "same table (github.com/iacolippo/Direct-Feedback-Alignment: BP 97.54 / 92.29, DFA 94.96 / 92.30)",
    network="784-800-10",
    dataset="mnist",
    epochs=100,
    recipe={"batch_size": 200, "optimizer": "sgd", "lr": 1e-4, "loss": "sigmoid", "reduction": "sum"},
    results=(
        PublishedResult(RULES["bp"], 92.10, 97.48, init="normal"),
        PublishedResult(Rule("dfa", error="output", feedback=Feedback(init="normal")), 92.46, 95.00, init="normal"),
    ),
    confirmed=True,
)

REPORT_CIFAR10 = PublishedTable(
    source=f"{REPORT}; it does not give optimizer, loss and initialisation, so any match",
    network="cifar10-cnn",
    dataset="cifar10",
    epochs=50,
    recipe={"batch_size": 64, "lr": 1e-4},
    results=(
        PublishedResult(RULES["bp"], 73.53, 99.12),
        PublishedResult(RULES["dfa"], 79.97, 99.38),
        PublishedResult(RULES["ssdfa"], 78.94, 99.26),
    ),
    confirmed=True,
    unstated=(
        "optimizer",
        "momentum",
        "beta1",
        "beta2",
        "rms_decay",
        "epsilon",
        "loss",
        "reduction",
        "init",
        "init_scale",
    ),
)

NOKLAND_RECIPE = {"batch_size": 64, "optimizer": "rmsprop", "lr": 1e-4, "loss": "sigmoid", "reduction": "sum"}
"""A. Nokland's code, github.com/anokland/dfa-torch: RMSprop, the error yhat - y not divided by the batch.

RMSprop divides by the gradient's own size, so a mean over the batch learns the same, and matches.
"""


def _nokland(network: str, bp: float, fa: float, dfa: float) -> PublishedTable:
    """Return a row of his table, given as test errors in percent; zero weights at first under FA and DFA."""
    return PublishedTable(
        source="A. Nokland, NeurIPS 2016, arXiv 1609.01596",
        network=network,
        dataset="mnist",
        epochs=300,
        recipe=NOKLAND_RECIPE,
        results=(
            PublishedResult(RULES["bp"], _accuracy(bp)),
            PublishedResult(RULES["fa"], _accuracy(fa), init="zero"),
            PublishedResult(RULES["dfa"], _accuracy(dfa), init="zero"),
        ),
        confirmed=False,
        unstated=("reduction",),
    )


def _accuracy(error_percent: float) -> float:
    return round(100 - error_percent, 2)


NOKLAND = (
    _nokland("784-800-10", 1.59, 1.68, 1.68),
    _nokland("784-800-800-10", 1.60, 1.64, 1.74),
    _nokland("784-3x800-10", 1.75, 1.66, 1.70),
    _nokland("784-7x240-10", 2.16, 2.20, 2.32),
)

PUBLISHED: tuple[PublishedTable, ...] = (REPORT_MNIST, REPORT_CIFAR10, *NOKLAND)
"""A new table is matched once it stands here."""

ON_THE_CHIP = ("microbatch", "delivery", "overlap", "window")
NOT_COMPARED = {*ON_THE_CHIP, "epochs", "seed", "dtype"}
"""Fields of a recipe on which no published accuracy hangs; other epochs are told beside it."""


@dataclass(frozen=True)
class Trained:
    """What a comparison trained: everything on which an accuracy hangs but rule and recipe."""

    network: Network
    dataset: Dataset
    weights: str | os.PathLike[str] | None = None

    def matches(self, table: PublishedTable) -> bool:
        """Whether network, data and their preparation are those of a table."""
        if self.weights is not None or not _same_data(self.dataset, table.dataset):
            return False
        return _same_network(self.network, load_network(table.network))


@dataclass(frozen=True)
class Match:
    """A published result and the table that it stands in."""

    table: PublishedTable
    result: PublishedResult

    def describe(self) -> dict[str, Any]:
        """Return what a summary keeps of it."""
        return {
            "test_accuracy_percent": self.result.test_accuracy_percent,
            "train_accuracy_percent": self.result.train_accuracy_percent,
            "epochs": self.table.epochs,
            "source": self.table.source,
            "confirmed": self.table.confirmed,
        }


def find_published(trained: Trained, rule: Rule, recipe: Recipe) -> Match | None:
    """Return the published result of this network, data, rule and recipe, whatever the epochs; None without one.

    Two rules are the same if they learn the same: transport and storage do not matter, nor does the name.
    """
    for table in PUBLISHED:
        if trained.matches(table):
            for result in table.results:
                if _same_rule(rule, result.rule) and _same_recipe(recipe, table, result):
                    return Match(table, result)
    return None


def near_published(trained: Trained, rule: Rule, recipe: Recipe) -> str | None:
    """Return what a recipe lacks to be that of a published result of this network, data and kind of rule; None without.

    Where several have been published it is the one of which the least is lacking; fields are those of ``--set``.
    """
    lacking = [
        (len(fields), f"{', '.join(fields)} ({table.source.partition(';')[0]})")
        for table in PUBLISHED
        if trained.matches(table)
        for result in table.results
        if (rule.error, rule.matrix, rule.sparse) == (result.rule.error, result.rule.matrix, result.rule.sparse)
        for fields in [[*_other_fields(recipe, table, result), *_other_feedback(rule, result.rule)]]
    ]
    return min(lacking)[1] if lacking else None


def _same_data(mine: Dataset, name: str) -> bool:
    """Whether these are all samples of a data set, as they are; a file of one's own may go by its name."""
    whole = (mine.train_samples, mine.test_samples) == (DATASETS[name].train_samples, DATASETS[name].test_samples)
    changed = mine.augment or mine.whiten != "none" or mine.scale != "unit"
    return mine.name == name and whole and not changed


def _same_network(mine: Network, theirs: Network) -> bool:
    """Compare inputs and layers; what the last layer's activation says is the loss's business."""
    if mine.widths != theirs.widths or mine.inputs != theirs.inputs:
        return False
    return mine.layers[:-1] == theirs.layers[:-1] and _without_activation(mine) == _without_activation(theirs)


def _without_activation(network: Network) -> dict[str, Any]:
    return network.layers[-1].model_dump(exclude={"activation"})


def _same_rule(mine: Rule, theirs: Rule) -> bool:
    return (mine.error, mine.matrix) == (theirs.error, theirs.matrix) and not _other_feedback(mine, theirs)


def _other_feedback(mine: Rule, theirs: Rule) -> list[str]:
    """Return the feedback's fields that are not as in another rule, as there."""
    own, other = (rule.feedback.model_dump(exclude={"storage"}) for rule in (mine, theirs))
    return [f"feedback.{name} = {value}" for name, value in other.items() if own[name] != value]


def _same_recipe(mine: Recipe, table: PublishedTable, result: PublishedResult) -> bool:
    return not _other_fields(mine, table, result)


def _other_fields(mine: Recipe, table: PublishedTable, result: PublishedResult) -> list[str]:
    """Return the fields that are not those of a published result, as there."""
    theirs = Recipe(**{**table.recipe, "init": result.init})
    fields = [name for name in Recipe.model_fields if name not in {*NOT_COMPARED, *table.unstated}]
    return [f"{name} = {getattr(theirs, name)}" for name in fields if getattr(mine, name) != getattr(theirs, name)]
