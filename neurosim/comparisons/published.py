"""Published results of known recipes, to stand beside one's own: a new one is a row of PUBLISHED."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neurosim.datasets import Dataset
from neurosim.networks import Network
from neurosim.recipes import Recipe
from neurosim.rules import Rule


@dataclass(frozen=True)
class Published:
    """A published row: accuracies in percent by rule after ``epochs``, of a network under a recipe on a data set.

    ``recipe`` are the fields that must be equal, ``init`` the initial weights by rule and ``feedback_init`` how its
    random matrices are drawn. What the source does not say is not asked for.
    """

    source: str
    widths: tuple[int, ...]
    activation: str
    dataset: str
    epochs: int
    recipe: Mapping[str, Any]
    init: Mapping[str, str]
    test_percent: Mapping[str, float]
    train_percent: Mapping[str, float] = field(default_factory=dict)
    feedback_init: str = "uniform"


_NOTEBOOK = "notebook of github.com/iacolippo/Direct-Feedback-Alignment"
_NOKLAND = "A. Nokland, NeurIPS 2016, arXiv 1609.01596 (remembered, not confirmed)"
_NOKLAND_RECIPE = {"optimizer": "rmsprop", "lr": 1e-4, "batch_size": 64, "loss": "sigmoid"}
_NOKLAND_INIT = {"bp": "uniform", "fa": "zero", "dfa": "zero"}


def _nokland(hidden: Sequence[int], bp: float, fa: float, dfa: float) -> Published:
    """Return a row of Nokland's MNIST table from its test errors in percent."""
    accuracies = {rule: round(100 - error, 2) for rule, error in (("bp", bp), ("fa", fa), ("dfa", dfa))}
    widths = (784, *hidden, 10)
    return Published(_NOKLAND, widths, "tanh", "mnist", 300, _NOKLAND_RECIPE, _NOKLAND_INIT, accuracies)


PUBLISHED = (
    Published(
        source=_NOTEBOOK,
        widths=(784, 800, 10),
        activation="tanh",
        dataset="mnist",
        epochs=100,
        recipe={"optimizer": "sgd", "lr": 1e-4, "batch_size": 200, "loss": "sigmoid", "reduction": "sum"},
        init={"bp": "normal", "dfa": "normal"},
        test_percent={"bp": 92.29, "dfa": 92.30},
        train_percent={"bp": 97.54, "dfa": 94.96},
        feedback_init="normal",
    ),
    _nokland([800], 1.59, 1.68, 1.68),
    _nokland([800] * 2, 1.60, 1.64, 1.74),
    _nokland([800] * 3, 1.75, 1.66, 1.70),
    _nokland([240] * 7, 2.16, 2.20, 2.32),
)


def published_results(
    network: Network, rules: Sequence[Rule], recipes: Mapping[str, Recipe], data: Dataset
) -> dict[str, dict[str, Any]]:
    """Return what was published for each rule under its recipe: accuracies in percent, epochs and source.

    A rule is left out where network, data or recipe differ in anything but the epochs, which are told.
    """
    found = {}
    for rule in rules:
        for row in PUBLISHED:
            if rule.name in row.test_percent and _matches(row, network, rule, recipes[rule.name], data):
                found[rule.name] = {
                    "test_accuracy_percent": row.test_percent[rule.name],
                    "train_accuracy_percent": row.train_percent.get(rule.name),
                    "epochs": row.epochs,
                    "source": row.source,
                }
    return found


def _matches(row: Published, network: Network, rule: Rule, recipe: Recipe, data: Dataset) -> bool:
    activations = {layer.activation for layer in network.weighted[:-1]}
    plain = all(layer.dropout == 0 and layer.trainable for layer in network.weighted)
    whole = data.train_samples == _TRAIN_SAMPLES[row.dataset] and not data.augment
    as_given = (data.scale, data.whiten) == ("unit", "none")
    return bool(
        network.widths == row.widths
        and activations == {row.activation}
        and plain
        and data.name == row.dataset
        and whole
        and as_given
        and recipe.init == row.init[rule.name]
        and all(getattr(recipe, name) == value for name, value in row.recipe.items())
        and (recipe.weight_decay, recipe.clip_value, recipe.lr_schedule) == (0.0, None, "constant")
        and (rule.matrix != "random" or (rule.feedback.init, rule.feedback.scale) == (row.feedback_init, 1.0))
    )


_TRAIN_SAMPLES = {"mnist": 60000}
