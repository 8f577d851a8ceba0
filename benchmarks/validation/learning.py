"""Learning: the embedded digits against recorded values, and Nokland's recipe on MNIST beside his table."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

import neurosim as ns
from validation.section import Row, Section, Table, text_of

sys.path.insert(0, str(Path(__file__).parents[1] / "reproduce"))
import nokland

DIGITS = {"bp": 94.17, "fa": 86.94, "dfa": 86.94, "ssdfa": 90.28, "last-layer": 83.61}
"""Test accuracy in percent of 64-100-100-10, default recipe, 5 epochs, seed 0, as recorded when this was written."""

RECORDED = Path(__file__).parent / "nokland.csv"
EPOCHS = 3
NETWORKS = ("1x800", "7x240")
RECIPE_SOURCE = "A. Nokland, NeurIPS 2016, arXiv 1609.01596"


def validate(quick: bool) -> Section:
    """Train the digits; in a full run MNIST under Nokland's recipe, and FA on 784-500-10, too."""
    rows = list(digits_rows())
    text = text_of("learning").format(epochs=EPOCHS)
    if quick:
        return Section("Learning", text, rows)
    with TemporaryDirectory() as folder:
        histories = [
            nokland.trained(Path(folder), network, rule, seed, EPOCHS, None)
            for network in NETWORKS
            for rule in nokland.RULES
            for seed in range(3)
        ]
        angles = nokland.trained(Path(folder), nokland.AKROUT, "fa", 0, 10, None)
    found = nokland.table(pd.concat(histories, ignore_index=True))
    rows += [*nokland_rows(found), angle_row(angles)]
    return Section("Learning", text, rows, [baseline_table(found), recorded_table()])


def digits_rows():
    """Yield the accuracy on the digits of every rule; within 1.5 points, as another processor rounds otherwise."""
    for rule, recorded in DIGITS.items():
        trained = ns.train("64-100-100-10", rule=rule, dataset="digits", epochs=5, measure_angles=False)
        yield Row(
            f"test accuracy on digits after 5 epochs, {rule}", recorded, round(100 * trained.test_accuracy, 2),
            "recorded, this program", unit="%", limit=1.5, points=True,
        )  # fmt: skip


def nokland_rows(found: pd.DataFrame):
    """Yield our test errors beside the published ones, where there are any."""
    for network, rule, seeds, error, spread, published in found.itertuples(index=False):
        if pd.notna(published):
            note = f"{seeds} seeds, spread {spread:.2f} points, after {EPOCHS} of 300 epochs"
            source = f"{RECIPE_SOURCE}, remembered"
            yield Row(f"test error, {network}, {rule}", published, error, source, "%", points=True, note=note)


def angle_row(history: pd.DataFrame) -> Row:
    """Return the smallest angle of FA's errors to BP's in the hidden layer of 784-500-10."""
    least = history.loc[history["epoch"] > 0, "delta_angle_deg_1"]
    note = f"smallest of 10 epochs, at epoch {int(history.loc[least.idxmin(), 'epoch'])}; no bar: another recipe"
    source = "M. Akrout et al., NeurIPS 2019, read off a plot, near epoch 8"
    what = "angle of FA's errors to BP's, layer 1 of 784-500-10"
    return Row(what, 26.0, round(float(least.min()), 1), source, "degrees", points=True, note=note)


def baseline_table(found: pd.DataFrame) -> Table:
    """Return the test errors of training the last layer alone, in this run, for which nothing was published."""
    own = found[found["rule"] == "last-layer"]
    lines = [[row["network"], str(row["seeds"]), f"{row['test error %']:.2f}"] for _, row in own.iterrows()]
    title = f"Training the last layer alone for {EPOCHS} epochs, the baseline of the rows above"
    return Table(title, ("network", "seeds", "test error %"), lines)


def recorded_table() -> Table:
    """Return the longest run of Nokland's table, which is not repeated here."""
    with RECORDED.open(encoding="utf-8") as file:
        headings, *lines = csv.reader(file)
    script = "python benchmarks/reproduce/nokland.py --networks 1x800,2x800 --epochs 8"
    title = f"Nokland's recipe on MNIST, run once: `{script}`, DFA on 2x800 with one seed, 25 November 2026"
    return Table(title, headings, lines)
