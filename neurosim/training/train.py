"""train(): one rule on one chip: costs once, then the training loop."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurosim.arguments import checked_path
from neurosim.chips import Chip, load_chip
from neurosim.datasets import Dataset, Preparation, check_fits, prepare
from neurosim.errors import DescriptionError
from neurosim.networks import Network, hidden, load_network
from neurosim.numerics import Memories
from neurosim.pipeline import Costs, cost_placed, merge_recipe
from neurosim.placement import Placement, place
from neurosim.recipes import Recipe, check_recipe
from neurosim.rules import Rule, check_rule, load_rule
from neurosim.training.loop import EpochCost, run_training

if TYPE_CHECKING:
    import pandas as pd

FIRST_DELIVERIES = 10_000
"""Single deliveries that a trace keeps of each kind of microbatch of a step, unless all are wanted."""

TUNING_FACTORS = (0.1, 0.3, 1.0, 3.0, 10.0)
TUNING_EPOCHS = 3


@dataclass(frozen=True)
class Training:
    """A finished training: its history, the costs of a step and of an epoch, and the trained memories."""

    network: Network
    rule: Rule
    chip: Chip
    recipe: Recipe
    dataset: Dataset
    step: Costs
    epoch: EpochCost
    history: pd.DataFrame
    memories: Memories
    warnings: tuple[str, ...]
    initial_weights: str | os.PathLike[str] | None = None

    def __repr__(self) -> str:
        epochs, accuracy = self.recipe.epochs, self.test_accuracy
        return f"<Training under {self.rule.name}: {epochs} epochs, test accuracy {accuracy:.2%}; {self.step!r}>"

    @property
    def costs(self) -> pd.DataFrame:
        """The costs of a step as a tidy table: rule, phase, layer, quantity, unit, value."""
        return self.step.frame

    @property
    def test_accuracy(self) -> float:
        """Fraction of the test samples classified rightly after the last epoch."""
        return float(self.history["test_accuracy"].iloc[-1])

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Write the trained weights and biases to an .npz file."""
        self.memories.save_weights(path)


def train(
    network: str | os.PathLike[str] | Network | None = None,
    *,
    rule: str | os.PathLike[str] | Rule = "bp",
    chip: str | os.PathLike[str] | Chip = "mesh64",
    dataset: Any = "digits",
    recipe: Recipe | None = None,
    hidden_layers: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    scale: str | None = None,
    whiten: str | None = None,
    whiten_epsilon: float | None = None,
    subset: int | None = None,
    validation: float = 0.0,
    augment: str | Sequence[str] = (),
    weights: str | os.PathLike[str] | None = None,
    full_trace: bool = False,
    measure_angles: bool = True,
    after_epoch: Callable[[int], None] = lambda epoch: None,
    **settings: Any,
) -> Training:
    """Train ``network`` under ``rule`` on ``chip`` and return accuracy beside cycles, energy and traffic.

    ``dataset`` is a name, an .npz path or arrays; ``hidden_layers`` ("800,800") takes both ends of the network from it.
    ``scale`` to ``augment`` are the fields of ``neurosim.datasets.Preparation``, ``settings`` fields of the recipe
    (``epochs=5``, ``lr=0.1``). ``weights`` is a file to start from.
    ``full_trace`` keeps every delivery of the simulated step, not only the first 10 000.

    Raises:
        NeurosimError: what was asked for does not exist, fit or match.
    """
    if weights is not None:
        checked_path("weights", weights)
    asked = recipe
    recipe = merge_recipe(recipe, settings)
    chosen, machine = load_rule(rule), load_chip(chip)
    preparation = Preparation(scale, whiten, whiten_epsilon, subset, validation, augment)
    data = prepare(dataset, data_dir, preparation, recipe.seed)
    recipe = with_targets(recipe, data, asked, settings)
    found = prepare_network(network, hidden_layers, data)
    check_fits(data, found)
    warnings = check_rule(found, chosen, recipe)
    check_recipe(recipe, machine)
    placement = place(found, chosen, machine, recipe)
    step = cost_placed(found, chosen, placement, recipe, log_rows=None if full_trace else FIRST_DELIVERIES)
    epoch = epoch_cost(found, chosen, placement, recipe, data.train_samples)
    memories = _start(found, chosen, recipe, weights)
    history = run_training(memories, data, epoch, measure_angles=measure_angles, after_epoch=after_epoch)
    return Training(found, chosen, machine, recipe, data, step, epoch, history, memories, tuple(warnings), weights)


def with_targets(recipe: Recipe, data: Dataset, asked: Recipe | None, settings: dict[str, Any]) -> Recipe:
    """Return the recipe with the targets that the data have.

    Raises:
        DescriptionError: other targets were asked for.
    """
    set_before = asked is not None and "targets" in asked.model_fields_set
    if (set_before or "targets" in settings) and recipe.targets != data.targets:
        raise DescriptionError(
            f"targets = {recipe.targets!r}: dataset {data.name!r} has {data.targets!r}; leave targets away, or give "
            "data with other targets"
        )
    return merge_recipe(recipe, {"targets": data.targets})


def describe_weights(path: str | os.PathLike[str] | None) -> dict[str, str] | None:
    """Return path and SHA-256 of a weights file to start from, for run.toml."""
    if path is None:
        return None
    return {"path": os.fspath(path), "sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest()}


def epoch_cost(network: Network, rule: Rule, placement: Placement, recipe: Recipe, samples: int) -> EpochCost:
    """Return what an epoch of ``samples`` samples costs, by simulation; every epoch costs the same."""
    found = cost_placed(network, rule, placement, recipe, per="epoch", samples=samples)
    return EpochCost(found.seconds, found.energy_joules, int(found.counts["bit_hops"]))


def prepare_network(
    network: str | os.PathLike[str] | Network | None, hidden_layers: str | None, data: Dataset
) -> Network:
    """Return the network, or the one that ``hidden_layers`` makes between the two ends of the data set.

    Raises:
        DescriptionError: neither or both are given.
    """
    if (network is None) == (hidden_layers is None):
        raise DescriptionError(
            "network: give either a network (784-800-10 or a TOML file) or hidden layers (--hidden 800,800), not both"
        )
    if hidden_layers is not None:
        return hidden(data.inputs, data.outputs, hidden_layers)
    assert network is not None
    return load_network(network)


def _start(network: Network, rule: Rule, recipe: Recipe, weights: str | os.PathLike[str] | None) -> Memories:
    """Return memories with drawn weights, or with those of a file."""
    memories = Memories(network, rule, recipe)
    if weights is not None:
        memories.load_weights(weights)
    return memories


def tune_learning_rate(
    network: Network,
    rule: Rule,
    recipe: Recipe,
    data: Dataset,
    *,
    weights: str | os.PathLike[str] | None = None,
) -> tuple[float, dict[float, float]]:
    """Return the best of a small grid of learning rates, and the validation accuracy of each.

    The grid is the recipe's rate times TUNING_FACTORS, each trained for up to TUNING_EPOCHS epochs on the training
    samples, from ``weights`` where given, and judged on the validation samples; no test sample is seen. Ties go to the
    smaller rate.
    """
    short = min(recipe.epochs, TUNING_EPOCHS)
    accuracies = {}
    for factor in TUNING_FACTORS:
        trial = merge_recipe(recipe, {"lr": recipe.lr * factor, "epochs": short})
        nothing = EpochCost(0.0, 0.0, 0)
        memories = _start(network, rule, trial, weights)
        history = run_training(memories, data.for_tuning, nothing, measure_angles=False)
        accuracies[trial.lr] = float(history["test_accuracy"].iloc[-1])
    best = max(accuracies, key=lambda rate: (accuracies[rate], -rate))
    return best, accuracies
