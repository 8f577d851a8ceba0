"""What a training leaves behind in its run folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurosim import runs
from neurosim.chips import assumed
from neurosim.training.loop import divergence
from neurosim.training.train import Training, describe_weights

if TYPE_CHECKING:
    import pandas as pd


def training_history(training: Training) -> pd.DataFrame:
    """Return the history with rule and seed in front, as history.csv has it."""
    frame = training.history.copy()
    frame.insert(0, "seed", training.recipe.seed)
    frame.insert(0, "rule", training.rule.name)
    return frame


def summarise(training: Training, target_accuracy: float = 0.97) -> dict[str, Any]:
    """Return what summary.json holds: the results and what they hang on."""
    recipe, step = training.recipe, training.step
    last = training.history.iloc[-1]
    reached = training.history[training.history["test_accuracy"] >= target_accuracy]
    names = {"epochs": "epoch", "seconds": "seconds", "joules": "joules", "bit_hops": "bit_hops"}
    target = {name: None if reached.empty else float(reached.iloc[0][column]) for name, column in names.items()}
    return {
        "network": training.network.name,
        "rule": training.rule.name,
        "chip": training.chip.name,
        "dataset": training.dataset.name,
        "delivery": recipe.delivery,
        "overlap": recipe.overlap,
        "batch_size": recipe.batch_size,
        "epochs": recipe.epochs,
        "seeds": [recipe.seed],
        "samples_per_epoch": training.dataset.train_samples,
        "microbatch": step.placement.microbatch,
        "cores_per_layer": step.placement.cores_per_layer,
        "cores_unused": training.chip.cores - step.placement.cores_used,
        "train_accuracy": float(last["train_accuracy"]),
        "test_accuracy": float(last["test_accuracy"]),
        "train_loss": float(last["train_loss"]),
        "test_loss": float(last["test_loss"]),
        "seconds_per_epoch": training.epoch.seconds,
        "joules_per_epoch": training.epoch.joules,
        "target_accuracy": target_accuracy,
        "to_target": {training.rule.name: target},
        "optimizer": recipe.optimizer,
        "lr": recipe.lr,
        "init": recipe.init,
        "waiting_messages_most": {} if step.trace is None else {training.rule.name: step.trace.waiting_messages_most},
        "assumed": assumed(training.chip),
        "notes": [note for note in (*training.warnings, training.dataset.note, divergence(training.history)) if note],
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
