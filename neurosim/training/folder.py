"""What a training leaves behind in its run folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurosim import runs
from neurosim.arguments import checked_fraction
from neurosim.chips import assumed
from neurosim.datasets import Dataset
from neurosim.pipeline import Costs
from neurosim.training.loop import divergence
from neurosim.training.train import Training, describe_weights

if TYPE_CHECKING:
    import pandas as pd


TARGET_COLUMNS = ("epochs", "seconds", "joules", "bit_hops")


def training_history(training: Training) -> pd.DataFrame:
    """Return the history with rule and seed in front, as history.csv has it."""
    frame = training.history.copy()
    frame.insert(0, "seed", training.recipe.seed)
    frame.insert(0, "rule", training.rule.name)
    return frame


def summarise(training: Training, target_accuracy: float = 0.97) -> dict[str, Any]:
    """Return what summary.json holds: the results and what they hang on."""
    recipe, last = training.recipe, training.history.iloc[-1]
    results = {name: float(last[name]) for name in ("train_accuracy", "test_accuracy", "train_loss", "test_loss")}
    steps = {training.rule.name: training.step}
    return summarise_steps(steps, training.dataset, training_history(training), target_accuracy) | {
        "rule": training.rule.name,
        **results,
        "seconds_per_epoch": training.epoch.seconds,
        "joules_per_epoch": training.epoch.joules,
        "lr": recipe.lr,
        "init": recipe.init,
        "notes": [note for note in (*training.warnings, training.dataset.note, divergence(training.history)) if note],
    }


def summarise_steps(
    steps: Mapping[str, Costs], data: Dataset, history: pd.DataFrame, target_accuracy: float
) -> dict[str, Any]:
    """Return what the summaries of a training and of a comparison have in common.

    ``steps`` are the costs of a step by rule, on one placement; ``history`` has rule and seed.
    """
    first = next(iter(steps.values()))
    placement, recipe = first.placement, first.recipe
    traces = {name: step.trace for name, step in steps.items() if step.trace is not None}
    return {
        "network": first.network.name,
        "chip": first.chip.name,
        "dataset": data.name,
        "delivery": recipe.delivery,
        "overlap": recipe.overlap,
        "batch_size": recipe.batch_size,
        "epochs": recipe.epochs,
        "seeds": [int(seed) for seed in history["seed"].unique()],
        "samples_per_epoch": data.train_samples,
        "microbatch": placement.microbatch,
        "cores_per_layer": placement.cores_per_layer,
        "cores_unused": first.chip.cores - placement.cores_used,
        "target_accuracy": target_accuracy if history["test_accuracy"].notna().any() else None,
        "to_target": reach_target(history, target_accuracy),
        "optimizer": recipe.optimizer,
        "waiting_messages_most": {name: trace.waiting_messages_most for name, trace in traces.items()},
        "assumed": assumed(first.chip),
    }


def write_training(folder: Path, training: Training, target_accuracy: float = 0.97) -> dict[str, Any]:
    """Write description, history, costs, summary, trace and weights into a run folder, and return the summary."""
    summary = summarise(training, target_accuracy)
    runs.write_description(
        folder,
        {
            "what": "train",
            "network": training.network.model_dump(),
            "rule": training.rule.model_dump(),
            "chip": training.chip.model_dump(),
            "recipe": training.recipe.model_dump(),
            "dataset": training.dataset.describe(),
            "weights": describe_weights(training.initial_weights),
            "target_accuracy": target_accuracy,
        },
    )
    runs.write_csv(folder / "history.csv", training_history(training))
    runs.write_csv(folder / "costs.csv", training.step.labelled_frame)
    runs.write_json(folder / "summary.json", summary)
    if training.step.trace is not None:
        runs.write_npz(folder / "trace.npz", training.step.trace.as_arrays())
    with runs.replacing(folder / "weights.npz") as path:
        training.save_weights(path)
    return summary


def reach_target(history: pd.DataFrame, target: float) -> dict[str, dict[str, float | None]]:
    """Return, per rule, when the mean over seeds of the test accuracy first reaches ``target``, or None throughout."""
    check_target(target)
    found: dict[str, dict[str, float | None]] = {}
    columns = ["test_accuracy", "seconds", "joules", "bit_hops"]
    for rule, rows in history.groupby("rule", sort=False):
        means = rows.groupby("epoch")[columns].mean()
        reached = means[means["test_accuracy"] >= target]
        if reached.empty:
            found[str(rule)] = dict.fromkeys(TARGET_COLUMNS)
        else:
            first = reached.iloc[0]
            found[str(rule)] = {"epochs": int(reached.index[0])} | {
                name: float(first[name]) for name in ("seconds", "joules", "bit_hops")
            }
    return found


def check_target(target: float) -> None:
    """Refuse a target that is no fraction."""
    checked_fraction("target_accuracy", target, above_0=True)
