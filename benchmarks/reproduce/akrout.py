"""A published curve: the angle of FA's errors to back-propagation's over training, on MNIST, 784-500-10.

M. Akrout, C. Wilson, P. C. Humphreys, T. Lillicrap, D. Tweed, "Deep Learning without Weight Transport", NeurIPS 2019,
arXiv 1904.05391. The angle falls to 26 degrees near epoch 8 of its figure and rises to 40. The authors' code
(github.com/makrout/Deep-Learning-without-Weight-Transport) keeps the results of the run behind it, one seed; PUBLISHED
below are from its experiments/mnist/fa-V0/results.json and bp-V0/results.json. Its recipe: sigmoid units, sigmoid
outputs with binary cross-entropy, SGD at 0.2, batches of 128, inputs in [0, 1], 400 epochs; weights, biases and B
normal with variance 1/(n_(l-1) + n_l). The angle there is of one sample, the first of the training set.

    python benchmarks/reproduce/akrout.py [--epochs 20] [--seeds 3] [--out FOLDER] [--data-dir FOLDER]

It differs from the original in two things. That code divides the gradient of the biases by the batch once more, so its
biases hardly move; and it takes the samples in the same order in every epoch. Both angles are shown: of the first
sample, as published, and of 512 training samples (``delta_angle_deg``). Takes about 4 minutes on one core; goes on
where it stopped, as nokland.py does. Writes history.csv, table.csv, table.md and angles.png.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from math import sqrt
from pathlib import Path

import numpy as np
import pandas as pd
from curve_figures import Published, draw_beside
from curves import Curve, train_all, write_table
from matplotlib.figure import Figure
from numpy.typing import NDArray

import neurosim as ns
from neurosim.datasets import Dataset, Preparation, prepare
from neurosim.numerics import Memories, measure_alignment
from neurosim.recipes import Recipe
from neurosim.training.loop import measure

HIDDEN = 500
RULES = ("bp", "fa", "last-layer")
RECIPE = {"batch_size": 128, "optimizer": "sgd", "lr": 0.2, "loss": "sigmoid", "reduction": "mean"}

PUBLISHED_ANGLE_DEG = (
    42.08, 33.23, 29.93, 28.21, 27.20, 26.59, 26.23, 26.05, 26.02, 26.09,
    26.27, 26.51, 26.82, 27.18, 27.57, 27.97, 28.38, 28.79, 29.19, 29.57,
)  # fmt: skip
"""FA's angle on one sample after epochs 1 to 20; 37.12 after 51, 40.07 after 81, 34.91 after 400."""

PUBLISHED_ERROR_PERCENT = {
    "bp": (12.00, 10.31, 9.42, 8.72, 8.16, 7.61, 7.07, 6.62, 6.22, 5.88,
           5.59, 5.31, 5.10, 4.93, 4.76, 4.44, 4.25, 4.08, 3.91, 3.77),
    "fa": (14.51, 11.96, 10.99, 10.49, 10.12, 9.85, 9.59, 9.43, 9.32, 9.14,
           8.94, 8.84, 8.77, 8.52, 8.37, 8.16, 8.06, 7.98, 7.85, 7.75),
}  # fmt: skip
"""Test error after epochs 1 to 20; after 400 epochs 1.50 (BP) and 2.20 (FA)."""


def first_weights(widths: Sequence[int], seed: int) -> dict[str, NDArray[np.float64]]:
    """Draw weights and biases of every layer, normal with variance 1/(n_(l-1) + n_l)."""
    generator = np.random.default_rng(seed)
    drawn = {}
    for number, (before, after) in enumerate(zip(widths[:-1], widths[1:], strict=True), start=1):
        spread = sqrt(1 / (before + after))
        drawn[f"W{number}"] = spread * generator.standard_normal((after, before))
        drawn[f"b{number}"] = spread * generator.standard_normal(after)
    return drawn


def angles(memories: Memories, data: Dataset) -> dict[str, float]:
    """Return the angles of every layer on the probe, and that of layer 1's errors on the first training sample."""
    first = measure_alignment(memories, data.train_x[:1], data.train_y[:1])
    return measure(memories, data) | {"first_sample_angle_deg": first.delta_angle_deg[0]}


def rule_of(name: str, outputs: int) -> ns.Rule:
    """Return a rule; FA's B has the variance of the weights."""
    if name != "fa":
        return ns.load_rule(name)
    return ns.Rule("fa", error="next", feedback=ns.Feedback(init="normal", scale=sqrt(1 / (HIDDEN + outputs))))


def curves(seeds: int, epochs: int, data: Dataset) -> Iterator[Curve]:
    """Yield what is trained: all rules of every seed."""
    network = ns.dense([data.inputs, HIDDEN, data.outputs], "sigmoid")
    for seed in range(seeds):
        for rule in RULES:
            recipe = Recipe(**RECIPE, epochs=epochs, seed=seed)
            weights = first_weights(network.widths, seed)
            yield Curve(network.name, network, rule_of(rule, data.outputs), recipe, weights, angles)


PUBLISHED = Published(PUBLISHED_ERROR_PERCENT, PUBLISHED_ANGLE_DEG)
NOTHING_PUBLISHED = Published({}, ())


def table(history: pd.DataFrame, published: Published) -> pd.DataFrame:
    """Return test error and FA's angles by epoch, mean and spread over the seeds, beside the published ones."""
    rows = []
    for epoch in sorted(set(history["epoch"]) - {0}):
        now = history[history["epoch"] == epoch]
        row: dict[str, float] = {"epoch": int(epoch)}
        for rule in RULES:
            row |= _spread(now[now["rule"] == rule]["test_error_percent"], f"{rule}_test_error_percent")
            if rule in published.errors_percent:
                row[f"{rule}_published_percent"] = _published(published.errors_percent[rule], epoch)
        of_fa = now[now["rule"] == "fa"]
        row |= _spread(of_fa["delta_angle_deg_1"], "delta_angle_deg")
        row |= _spread(of_fa["first_sample_angle_deg"], "first_sample_angle_deg")
        row["published_angle_deg"] = _published(published.angle_deg, epoch)
        rows.append(row)
    return pd.DataFrame(rows)


def draw(history: pd.DataFrame, published: Published) -> Figure:
    """Draw test error and FA's angles over the epochs beside the published run."""
    fa = history[history["rule"] == "fa"]
    angled = {"512 samples": fa["delta_angle_deg_1"], "the first sample": fa["first_sample_angle_deg"]}
    network, seeds = history["network"].iloc[0], history["seed"].nunique()
    dashed = " (dashed: the authors' run, one seed)" if published.angle_deg else ""
    return draw_beside(history, angled, published, f"{network}: mean and band of {seeds} seeds{dashed}")


def _spread(values: pd.Series, name: str) -> dict[str, float]:
    return {name: values.mean(), f"{name}_spread": values.max() - values.min()}


def _published(values: Sequence[float], epoch: int) -> float:
    return values[epoch - 1] if epoch <= len(values) else float("nan")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--dataset", default="mnist", help="a name or an .npz file")
    parser.add_argument("--data-dir")
    parser.add_argument("--out", type=Path, default=Path("runs/akrout"))
    options = parser.parse_args(arguments)
    data = prepare(options.dataset, options.data_dir, Preparation(), 0)
    history = train_all(curves(options.seeds, options.epochs, data), data, options.out)
    published = PUBLISHED if data.name == "mnist" else NOTHING_PUBLISHED
    write_table(options.out, table(history, published))
    draw(history, published).savefig(options.out / "angles.png", dpi=110)


if __name__ == "__main__":
    main()
