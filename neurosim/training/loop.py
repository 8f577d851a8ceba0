"""The training loop: epochs of steps on the cores' memories, with what the chip spends on them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neurosim.datasets import Dataset, augment_batch
from neurosim.numerics import Memories, measure_alignment, single_blas_thread
from neurosim.recipes import Recipe

if TYPE_CHECKING:
    import pandas as pd

PROBE_SAMPLES = 512
ANGLES = ("delta_angle_deg", "gradient_angle_deg", "feedback_angle_deg", "feedback_norm_ratio")


@dataclass(frozen=True)
class EpochCost:
    """What an epoch costs on the chip."""

    seconds: float
    joules: float
    bit_hops: int


def learning_rate(recipe: Recipe, epoch: int) -> float:
    """Return the learning rate of ``epoch``, counted from 0.

    step: lr * factor^(epoch // step_epochs); cosine: lr (1 + cos(pi epoch / epochs)) / 2 (Loshchilov and Hutter 2017,
    without restarts).
    """
    if recipe.lr_schedule == "step":
        return recipe.lr * recipe.lr_step_factor ** (epoch // recipe.lr_step_epochs)
    if recipe.lr_schedule == "cosine":
        return recipe.lr * (1.0 + math.cos(math.pi * epoch / recipe.epochs)) / 2.0
    return recipe.lr


def minibatches(samples: int, recipe: Recipe, generator: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield the sample numbers of an epoch's minibatches: every sample once, or drawn with replacement.

    The last minibatch takes what is left, so an epoch is ``samples`` samples either way.
    """
    if recipe.sampling == "replacement":
        order = generator.integers(0, samples, size=samples)
    else:
        order = generator.permutation(samples)
    for start in range(0, samples, recipe.batch_size):
        yield order[start : start + recipe.batch_size]


def train_epoch(memories: Memories, dataset: Dataset, epoch: int, generator: np.random.Generator) -> None:
    """Run one epoch, counted from 0; images are augmented off the chip's clock, where the data set says so."""
    recipe = memories.model.recipe
    rate = learning_rate(recipe, epoch)
    # The minibatch is gathered into buffers that are used again: no allocation per step.
    inputs = np.empty((recipe.batch_size, dataset.train_x.shape[1]), dtype=dataset.train_x.dtype)
    for picked in minibatches(len(dataset.train_x), recipe, generator):
        batch = inputs[: len(picked)]
        np.take(dataset.train_x, picked, axis=0, out=batch, mode="clip")
        augment_batch(batch, picked, dataset, seed=recipe.seed, epoch=epoch)
        memories.run_step(batch, dataset.train_y[picked], lr=rate)


def run_training(
    memories: Memories,
    dataset: Dataset,
    cost: EpochCost,
    *,
    measure_angles: bool = True,
    after_epoch: Callable[[int], None] = lambda epoch: None,
) -> pd.DataFrame:
    """Train for the recipe's epochs and return the history: a row before training (epoch 0) and one after each epoch.

    Columns: epoch, lr, train/validation/test loss and accuracy (fractions), cumulative seconds, joules and bit_hops of
    the chip, and per layer the measured angles in degrees and norm ratios.
    """
    import pandas as pd

    recipe = memories.model.recipe
    # Philox with a key of its own for the order of samples: the same for every rule with one seed.
    generator = np.random.Generator(np.random.Philox(key=[recipe.seed, 0x6F72646572]))
    rows = []
    # A training that diverges is a result: its losses say so, and no warning of NumPy's is needed.
    with single_blas_thread(), np.errstate(all="ignore"):
        for epoch in range(recipe.epochs + 1):
            if epoch:
                train_epoch(memories, dataset, epoch - 1, generator)
            row: dict[str, Any] = {"epoch": epoch, "lr": learning_rate(recipe, max(epoch - 1, 0))}
            row |= evaluate(memories, dataset)
            row |= spent_after(epoch, cost)
            if measure_angles:
                row |= measure(memories, dataset)
            rows.append(row)
            after_epoch(epoch)
    return pd.DataFrame(rows)


def divergence(history: pd.DataFrame) -> str | None:
    """Return a sentence if the training diverged: from which epoch on its loss is no longer finite."""
    lost = history[~np.isfinite(history["train_loss"].astype(float))]
    if lost.empty:
        return None
    return f"the training loss is not finite from epoch {int(lost['epoch'].iloc[0])} on: it diverged; try a smaller lr"


def spent_after(epochs: int, cost: EpochCost) -> dict[str, float]:
    """Return what the chip has spent after so many epochs; each costs the same."""
    return {"seconds": epochs * cost.seconds, "joules": epochs * cost.joules, "bit_hops": epochs * cost.bit_hops}


def evaluate(memories: Memories, dataset: Dataset) -> dict[str, float]:
    """Return loss and accuracy on every part of the data set; off the clock."""
    parts = {"train": (dataset.train_x, dataset.train_y)}
    if dataset.validation_x is not None and dataset.validation_y is not None:
        parts["validation"] = (dataset.validation_x, dataset.validation_y)
    parts["test"] = (dataset.test_x, dataset.test_y)
    scores = {name: memories.evaluate(x, y) for name, (x, y) in parts.items()}
    # Which output is largest means something for classes only.
    classes = memories.model.recipe.targets == "labels" or memories.model.recipe.loss == "softmax"
    found: dict[str, float] = {}
    for name, score in scores.items():
        found[f"{name}_loss"], found[f"{name}_accuracy"] = score.loss, score.accuracy if classes else math.nan
    return found


def measure(memories: Memories, dataset: Dataset) -> dict[str, float]:
    """Return the angles and ratios per layer on a fixed probe of training samples; never counted as chip work."""
    probe = min(PROBE_SAMPLES, len(dataset.train_x))
    found = measure_alignment(memories, dataset.train_x[:probe], dataset.train_y[:probe])
    return {f"{name}_{layer}": value for name in ANGLES for layer, value in enumerate(getattr(found, name), start=1)}
