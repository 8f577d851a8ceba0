"""Test error and other figures over training: several networks, rules and seeds, taken up again where a run stopped.

What table1.py, nokland.py and akrout.py share. Every epoch ends with a checkpoint, so the same command goes on where it
was stopped, and with more epochs too; a run that is complete is only read. A run is <network>_<rule>_<seed>.csv (its
history, a row per epoch) and .npz (its checkpoint) in the folder.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from table3 import load_checkpoint, order_after, save_checkpoint, state_arrays

from neurosim import runs
from neurosim.datasets import Dataset
from neurosim.errors import RunError
from neurosim.networks import Network
from neurosim.numerics import Memories, single_blas_thread
from neurosim.recipes import Recipe
from neurosim.rules import Rule
from neurosim.training.loop import measure, train_epoch

Measured = Callable[[Memories, Dataset], dict[str, float]]
"""Returns columns of the history at the present weights, such as angles in degrees."""


@dataclass(frozen=True)
class Curve:
    """One training: ``weights`` by name (W1, b1, ...) replace the drawn ones; ``label`` is the network's short name."""

    label: str
    network: Network
    rule: Rule
    recipe: Recipe
    weights: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    measured: Measured = measure

    @property
    def name(self) -> str:
        """The name of its files."""
        return f"{self.label}_{self.rule.name}_{self.recipe.seed}"

    def describe(self) -> dict[str, Any]:
        """Return what its checkpoint hangs on: everything but how far to go."""
        return {
            "network": self.network.model_dump(mode="json"),
            "rule": self.rule.model_dump(mode="json"),
            "recipe": self.recipe.model_dump(mode="json", exclude={"epochs"}),
        }


def train_curve(curve: Curve, data: Dataset, folder: Path) -> pd.DataFrame:
    """Train up to the recipe's epochs, on from the checkpoint, and return the history.

    Columns: network, rule, seed, epoch (0 is before training), test_error_percent, host_seconds, and what the curve
    measures.

    Raises:
        RunError: the checkpoint was made with other settings.
    """
    history_path, checkpoint = folder / f"{curve.name}.csv", folder / f"{curve.name}.npz"
    _check_setting(curve, data, folder / f"{curve.name}.json")
    memories = Memories(curve.network, curve.rule, curve.recipe)
    for name, values in curve.weights.items():
        state_arrays(memories)[name][...] = values
    done = load_checkpoint(checkpoint, memories) if checkpoint.exists() else -1
    rows: list[dict[str, Any]] = []
    if done >= 0:
        # The history is written first: a row beyond the checkpoint is of an epoch that was lost.
        rows = [{**row} for row in pd.read_csv(history_path).to_dict("records") if row["epoch"] <= done]
    generator = order_after(max(done, 0), data.train_samples, curve.recipe)
    with single_blas_thread(), np.errstate(all="ignore"):
        for epoch in range(done + 1, curve.recipe.epochs + 1):
            began = time.perf_counter()
            if epoch:
                train_epoch(memories, data, epoch - 1, generator)
            seconds = time.perf_counter() - began
            error = 100 * (1 - memories.evaluate(data.test_x, data.test_y).accuracy)
            row = {"network": curve.label, "rule": curve.rule.name, "seed": curve.recipe.seed, "epoch": epoch}
            rows.append({**row, "test_error_percent": error, "host_seconds": seconds, **curve.measured(memories, data)})
            runs.write_csv(history_path, pd.DataFrame(rows))
            save_checkpoint(checkpoint, memories, epoch)
            print(f"{curve.name} epoch {epoch}: test error {error:.2f} %, {seconds:.0f} s", flush=True)
    history = pd.DataFrame(rows)
    return history[history["epoch"] <= curve.recipe.epochs]


def _check_setting(curve: Curve, data: Dataset, path: Path) -> None:
    described = json.loads(runs.json_text(curve.describe() | {"dataset": data.describe()}))
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != described:
        raise RunError(f"{path}: this run was made with other settings; give another folder with --out")
    runs.write_json(path, described)


def train_all(curves: Iterable[Curve], data: Dataset, folder: Path) -> pd.DataFrame:
    """Train every curve in turn and return their histories together; also kept as history.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    history = pd.concat([train_curve(curve, data, folder) for curve in curves], ignore_index=True)
    runs.write_csv(folder / "history.csv", history)
    return history


def summarise(history: pd.DataFrame, columns: Sequence[str] = ("test_error_percent",)) -> pd.DataFrame:
    """Return per network and rule the last epoch, the seeds, and mean and spread (largest - smallest) of columns."""
    rows = []
    for (network, rule), mine in history.groupby(["network", "rule"], sort=False):
        last = mine[mine["epoch"] == mine["epoch"].max()]
        row = {"network": network, "rule": rule, "epochs": int(last["epoch"].iloc[0]), "seeds": len(last)}
        for column in columns:
            row |= {column: last[column].mean(), f"{column}_spread": last[column].max() - last[column].min()}
        rows.append(row)
    return pd.DataFrame(rows)


def write_table(folder: Path, found: pd.DataFrame) -> None:
    """Write a table as CSV and in Markdown, and print it."""
    runs.write_csv(folder / "table.csv", found)
    shown = [["-" if pd.isna(cell) else f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row]
             for row in found.itertuples(index=False)]  # fmt: skip
    lines = [list(found.columns), ["---"] * len(found.columns), *shown]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
    runs.write_text(folder / "table.md", text)
    print(text, end="")
