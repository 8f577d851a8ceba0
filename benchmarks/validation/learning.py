"""Learning: single steps against reference values, short trainings against themselves, published tables run again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

import neurosim as ns
from neurosim.comparisons.published import REPORT_MNIST
from neurosim.datasets import Preparation, prepare
from neurosim.feedback import FeedbackMatrix
from neurosim.numerics import Memories
from validation.section import Extent, Row, Section, Table, text_of

sys.path.append(str(Path(__file__).parents[1] / "reproduce"))

GOLDEN = Path(__file__).parents[2] / "tests" / "golden_steps.npz"
GOLDEN_CASES = {
    "A": ((12, 9, 7, 5), "tanh", "softmax"),
    "B": ((12, 9, 7, 5), "sigmoid", "sigmoid"),
    "D": ((12, 9, 5), "tanh", "sigmoid"),
}
GOLDEN_RULES = {
    "bp": "BP", "fa": "FA", "usf": "uSF", "frsf": "frSF", "brsf": "brSF", "dfa": "DFA", "sdfa": "SDFA",
    "ssdfa": "SSDFA", "sign-dfa": "SIGNDFA", "drtp": "DRTP",
}  # fmt: skip
GOLDEN_RATES = {"sgd": 0.1, "momentum": 0.1, "adam": 0.01, "rmsprop": 0.01}
GOLDEN_SOURCE = "PyTorch 2.13.0 and NumPy 2.4 in float64, `tests/golden_steps.npz`"
GOLDEN_LIMIT = 1e-10

DIGITS = {"bp": 96.67, "fa": 94.44, "dfa": 95.00, "ssdfa": 93.61, "last-layer": 86.30}
"""Test accuracy in percent on the embedded digits, the mean of three seeds, as it was on 25 November 2026."""

DIGITS_ANGLES = {"fa": 59.1, "dfa": 54.8, "ssdfa": 69.2}
"""The angle of layer 1's gradient to BP's after those 10 epochs, in degrees."""

NOKLAND_EPOCHS, AKROUT_EPOCHS, SEEDS = 5, 10, 3
"""How far the full run goes: as far as an hour of one core takes it with the 100 epochs of the report's table."""

RECORDED = Path(__file__).parents[1] / "reproduce" / "recorded"
RECORDED_ON = "25 November 2026"


def validate(extent: Extent) -> Section:
    """Compare steps and short trainings, and show the kept runs; in a full run train on MNIST as well."""
    rows = [*_golden_rows(), *_optimizer_rows(), *_digit_rows()]
    section = Section("Learning", text_of("learning"), rows)
    if not extent.quick:
        _train_report(section, extent.folder)
        _train_nokland(section, extent.folder)
        _train_akrout(section, extent.folder)
    _show_nokland(section)
    _show_akrout(section)
    return section


# One step of each rule, three of each optimizer.


def _golden_memories(golden, case: str, rule: str, **fields) -> Memories:
    widths, activation, loss = GOLDEN_CASES[case]
    recipe = ns.Recipe(**{"batch_size": 4, "loss": loss, "optimizer": "sgd", "dtype": "float64"} | fields)
    memories = Memories(ns.dense(widths, activation), ns.load_rule(rule), recipe)
    layers = range(1, len(widths))
    memories.set_weights([golden[f"{case}_W{i}"] for i in layers], [golden[f"{case}_b{i}"] for i in layers])
    memories.set_feedback([_golden_feedback(golden, case, rule, layer) for layer in layers[:-1]])
    return memories


def _golden_feedback(golden, case: str, rule: str, layer: int) -> FeedbackMatrix | None:
    name = GOLDEN_RULES[rule]
    if rule in ("sdfa", "ssdfa"):
        dense = golden[f"{case}_{name}_B{layer}"]
        index = golden[f"{case}_{name}_idx{layer}"].reshape(len(dense), -1)
        return FeedbackMatrix(index=index, value=np.take_along_axis(dense, index, axis=1))
    keys = {"fa": f"FA_B{layer + 1}", "frsf": f"frSF_M{layer + 1}", "brsf": f"brSF_M{layer + 1}"}
    keys |= dict.fromkeys(("dfa", "sign-dfa", "drtp"), f"DFA_B{layer}")
    return FeedbackMatrix(dense=golden[f"{case}_{keys[rule]}"]) if rule in keys else None


def _golden_rows() -> Iterator[Row]:
    """The largest difference of a layer's delta, dW or db over its largest value, over three small networks."""
    golden = np.load(GOLDEN)
    for rule, name in GOLDEN_RULES.items():
        errors = []
        for case in GOLDEN_CASES:
            memories = _golden_memories(golden, case, rule)
            memories.run_step(golden[f"{case}_x"], golden[f"{case}_labels"])
            for layer in memories.layers:
                found = {"delta": memories.batch.delta[layer.number], "dW": layer.gradient, "db": layer.bias_gradient}
                errors += [_distance(golden[f"{case}_{name}_{key}{layer.number}"], found[key]) for key in found]
        yield Row(f"one step of {rule}: largest relative difference", 0.0, max(errors), GOLDEN_SOURCE, "",
                  GOLDEN_LIMIT, points=True)  # fmt: skip


def _optimizer_rows() -> Iterator[Row]:
    golden = np.load(GOLDEN)
    for optimizer, rate in GOLDEN_RATES.items():
        errors = []
        for case in GOLDEN_CASES:
            memories = _golden_memories(golden, case, "bp", optimizer=optimizer, lr=rate)
            for _ in range(3):
                memories.run_step(golden[f"{case}_x"], golden[f"{case}_labels"])
            wanted = {n: golden[f"{case}_OPT_{optimizer}_W{n}"] for n in range(1, len(memories.layers) + 1)}
            errors += [_distance(wanted[layer.number], layer.weights) for layer in memories.layers]
        yield Row(f"three steps of {optimizer}: largest relative difference", 0.0, max(errors), GOLDEN_SOURCE, "",
                  GOLDEN_LIMIT, points=True)  # fmt: skip


def _distance(wanted, found) -> float:
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


# Ten epochs on the digits.


def _digit_rows() -> Iterator[Row]:
    found = ns.compare("64-100-100-10", rules=list(DIGITS), dataset="digits", epochs=10, seeds=3)
    last = found.history[found.history["epoch"] == 10].groupby("rule").mean()
    source = f"neurosim itself, {RECORDED_ON}"
    for rule, percent in DIGITS.items():
        ours = 100 * float(last.loc[rule, "test_accuracy"])
        yield Row(f"digits, 10 epochs, {rule}: test accuracy", percent, ours, source, "%", 1.5, points=True)
    for rule, degrees in DIGITS_ANGLES.items():
        ours = float(last.loc[rule, "gradient_angle_deg_1"])
        yield Row(f"digits, 10 epochs, {rule}: angle of layer 1's gradient to BP's", degrees, ours, source, "degrees",
                  4.0, points=True)  # fmt: skip


# The report's MNIST table.


def _train_report(section: Section, folder: Path) -> None:
    import table1
    from curves import train_all

    data = prepare("mnist", None, Preparation(), 0)
    history = train_all(table1.curves(SEEDS, REPORT_MNIST.epochs, data), data, folder / "table1")
    caption = "Error on the training samples over epochs, the report's table; dotted: published"
    section.figures["learning-report"] = (caption, table1.draw(history))
    lines = []
    for row in table1.table(history).to_dict("records"):
        rule, part, ours = _shown(str(row["rule"])), str(row["part"]), row["ours_percent"]
        known = [f"{row['published_percent']:.2f}", f"{row['difference_points']:+.2f}"]
        if row["rule"] in table1.PUBLISHED:
            what = f"MNIST, 784-800-10, the report's table, {rule}: {part} accuracy"
            source = f"the report that neurosim follows; mean of {SEEDS} seeds, {REPORT_MNIST.epochs} epochs"
            limit = table1.TOLERANCE_POINTS
            section.rows.append(Row(what, row["published_percent"], ours, source, "%", limit, points=True))
        else:
            known = ["-", "-"]
        lines.append((rule, part, known[0], f"{ours:.2f}", f"{row['spread_points']:.2f}", known[1]))
    headings = ("rule", "part", "published", "ours", "spread", "difference")
    section.tables.append(Table("The report's MNIST table, accuracy in percent", headings, lines))


# Nokland's table.


def _train_nokland(section: Section, folder: Path) -> None:
    import nokland
    from curves import train_all

    data = prepare("mnist", None, Preparation(), 0)
    curves = nokland.curves(nokland.NETWORKS, SEEDS, NOKLAND_EPOCHS, data)
    short = train_all(curves, data, folder / "nokland")
    recorded, published = pd.read_csv(RECORDED / "nokland.csv"), nokland.published_errors()
    before = nokland.table(recorded[recorded["epoch"] <= NOKLAND_EPOCHS], {}).set_index(["network", "rule"])
    now = nokland.table(short, published)
    for row in now.to_dict("records"):
        place = (row["network"], row["rule"])
        if place in before.index:
            what = f"MNIST, {row['network']}, {row['rule']}, {NOKLAND_EPOCHS} epochs: test error"
            then, source = (
                before.loc[place, "test_error_percent"],
                f"neurosim itself, {RECORDED_ON}, mean of {SEEDS} seeds",
            )
            section.rows.append(Row(what, then, row["test_error_percent"], source, "%", 1.0, points=True))
    section.tables.append(_nokland_table(now, "in this run"))


def _show_nokland(section: Section) -> None:
    import nokland

    recorded, published = pd.read_csv(RECORDED / "nokland.csv"), nokland.published_errors()
    section.tables.append(_nokland_table(nokland.table(recorded, published), f"run on {RECORDED_ON}"))
    section.tables.append(_angle_table(nokland.with_fa(recorded)))
    drawn = nokland.draw(recorded, published)
    section.figures["learning-nokland-error"] = (
        "Test error over epochs, Nokland's recipe: mean and band of three seeds; dotted: published after 300 epochs",
        drawn["test_error"],
    )
    section.figures["learning-nokland-angles"] = (
        "Angles of errors and of gradients to back-propagation's over epochs, mean of three seeds", drawn["angles"]
    )  # fmt: skip


def _nokland_table(found: pd.DataFrame, when: str) -> Table:
    """Our errors beside the published ones, on which so few epochs can have no limit."""
    lines = [
        (
            row["network"], _shown(row["rule"]), row["epochs"], f"{row['test_error_percent']:.2f}",
            f"{row['test_error_percent_spread']:.2f}",
            *("-" if np.isnan(row[name]) else f"{row[name]:{form}}"
              for name, form in (("published_percent", ".2f"), ("difference_points", "+.2f"))),
        )
        for row in found.to_dict("records")
    ]  # fmt: skip
    headings = (
        "hidden layers",
        "rule",
        "epochs",
        "ours",
        "spread",
        "published, 300 epochs (not confirmed)",
        "difference",
    )
    return Table(f"Nokland's recipe on MNIST, test error in percent, {when}", headings, lines)


def _shown(rule: str) -> str:
    return rule if rule == "last-layer" else rule.upper()


def _angle_table(history: pd.DataFrame) -> Table:
    """Angles after the last epoch, of the hidden layers from first to last."""
    from curve_figures import hidden_layers

    lines = []
    last = history[history["epoch"] == history.groupby("network")["epoch"].transform("max")]
    for (network, rule), mine in last[last["rule"].isin(["fa", "dfa"])].groupby(["network", "rule"], sort=False):
        layers = hidden_layers(mine)
        shown = [
            ", ".join(f"{mine[f'{name}_{layer}'].mean():.0f}" for layer in layers)
            for name in ("delta_angle_deg", "gradient_angle_deg")
        ]
        lines.append((network, _shown(str(rule)), int(mine["epoch"].iloc[0]), *shown))
    headings = ("hidden layers", "rule", "epochs", "errors, first to last hidden layer", "gradients")
    return Table("Angles to back-propagation in the same run, degrees, mean of three seeds", headings, lines)


# Akrout's angle.


_AKROUT_VALUES = (
    ("bp_test_error_percent", "bp: test error", "%", 0.5),
    ("fa_test_error_percent", "fa: test error", "%", 0.7),
    ("first_sample_angle_deg", "fa: angle of layer 1's errors to BP's, first sample", "degrees", 3.0),
    ("delta_angle_deg", "fa: angle of layer 1's errors to BP's, 512 samples", "degrees", 2.0),
)


def _train_akrout(section: Section, folder: Path) -> None:
    import akrout
    from curves import train_all

    data = prepare("mnist", None, Preparation(), 0)
    found = akrout.table(
        train_all(akrout.curves(SEEDS, AKROUT_EPOCHS, data), data, folder / "akrout"), akrout.PUBLISHED
    )
    now = found.set_index("epoch").loc[AKROUT_EPOCHS]
    recorded = akrout.table(pd.read_csv(RECORDED / "akrout.csv"), akrout.PUBLISHED)
    then = recorded.set_index("epoch").loc[AKROUT_EPOCHS]
    where = f"MNIST, 784-500-10 sigmoid, {AKROUT_EPOCHS} epochs"
    for column, what, unit, limit in _AKROUT_VALUES:
        itself = f"neurosim itself, {RECORDED_ON}, mean of {SEEDS} seeds"
        section.rows.append(Row(f"{where}, {what}", then[column], now[column], itself, unit, limit, points=True))
        published = now["published_angle_deg" if unit == "degrees" else f"{column.partition('_')[0]}_published_percent"]
        source, note = "code of Akrout and others, one seed", "its biases hardly move, so no limit"
        section.rows.append(Row(f"{where}, {what}", published, now[column], source, unit, points=True, note=note))


def _show_akrout(section: Section) -> None:
    import akrout

    recorded = pd.read_csv(RECORDED / "akrout.csv")
    section.tables.append(_akrout_table(akrout.table(recorded, akrout.PUBLISHED)))
    section.figures["learning-akrout"] = (
        "Test error and angle of FA's errors on 784-500-10, beside the run that the authors kept",
        akrout.draw(recorded, akrout.PUBLISHED),
    )


def _akrout_table(found: pd.DataFrame) -> Table:
    lines = []
    for row in found[found["epoch"].isin([1, 2, 5, 9, 10, 15, 20])].to_dict("records"):
        cells = [int(row["epoch"])]
        for rule in ("bp", "fa"):
            cells.append(f"{row[f'{rule}_test_error_percent']:.2f} / {row[f'{rule}_published_percent']:.2f}")
        cells.append(f"{row['last-layer_test_error_percent']:.2f}")
        for name in ("first_sample_angle_deg", "delta_angle_deg"):
            cells.append(f"{row[name]:.1f} ({row[f'{name}_spread']:.1f})")
        lines.append((*cells, f"{row['published_angle_deg']:.1f}"))
    headings = ("epochs", "BP test error, ours / published", "FA test error, ours / published", "last-layer test error",
                "FA's angle, first sample (spread)", "of 512 samples (spread)", "published, first sample")  # fmt: skip
    return Table(
        f"784-500-10: errors in percent, angles in degrees, three seeds (run on {RECORDED_ON})", headings, lines
    )
