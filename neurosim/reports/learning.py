"""Figures of learning: error and accuracy against epochs, simulated seconds and joules; and angles to BP."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from neurosim.reports.results import Results
from neurosim.reports.style import NARROW, WIDE, Look, foot, new_figure, rule_looks, si_axis, title

_LEAST_PERCENT = 0.1
"""Below this the axis of the training error is linear, so that it reaches 0."""

_X_LABELS = {
    "epoch": "epochs",
    "seconds": "simulated time (s)",
    "joules": "simulated energy (J)",
}
_X_UNITS = {"seconds": "s", "joules": "J"}

_ANGLES = {
    "delta_angle_deg": "errors to BP's (degrees)",
    "gradient_angle_deg": "gradients to BP's (degrees)",
    "feedback_angle_deg": "feedback to weights (degrees)",
    "feedback_norm_ratio": "|feedback| / |weights| (ratio)",
}


def draw_learning_epochs(results: Results) -> Figure | None:
    """Training error and test accuracy against epochs."""
    return _draw_learning(results, "epoch")


def draw_learning_seconds(results: Results) -> Figure | None:
    """Training error and test accuracy against the simulated time of training."""
    return _draw_learning(results, "seconds")


def draw_learning_joules(results: Results) -> Figure | None:
    """Training error and test accuracy against the simulated energy of training."""
    return _draw_learning(results, "joules")


def _draw_learning(results: Results, against: str) -> Figure | None:
    curves = results.learned if against == "epoch" else results.history
    if against not in curves or not curves[against].max() > 0:
        return None
    classes = bool(np.isfinite(curves[["train_accuracy", "test_accuracy"]]).any(axis=None))
    rules = [rule for rule in results.rules if rule in set(curves["rule"])]
    rules += [rule for rule in dict.fromkeys(curves["rule"]) if rule not in rules]
    looks = rule_looks(rules)
    figure = new_figure(WIDE, 4.6 + 0.16 * ((len(rules) - 1) // 6))
    left, right = figure.subplots(1, 2)
    if classes:
        _lines(left, _percent_error(curves), against, "training error", looks)
        _lines(right, curves.assign(shown=curves["test_accuracy"] * 100), against, "test accuracy", looks)
        _error_axis(left, _percent_error(curves)["shown"])
        _accuracy_axis(right, curves, results)
    else:
        for ax, column in ((left, "train_loss"), (right, "test_loss")):
            name = "training loss" if column == "train_loss" else "test loss"
            _lines(ax, curves.assign(shown=curves[column]), against, name, looks)
            ax.set_ylabel(f"{name} (mean per sample)")
    for ax in (left, right):
        _x_axis(ax, against)
    handles = [*left.get_legend_handles_labels()[0], *_target_line(right, results if classes else None)]
    starts = 100 * curves.loc[curves["epoch"] == 0, "test_accuracy"]
    hidden = classes and len(starts) > 0 and bool((starts < right.get_ylim()[0]).all())
    foot(figure, handles, columns=7, note=_note(results, against, hidden))
    what = f"{'Training error and test accuracy' if classes else 'Loss'} against {_X_LABELS[against].split(' (')[0]}"
    title(figure, f"{what}: {_seeds(curves)}", results)
    return figure


def _seeds(curves: pd.DataFrame) -> str:
    count = curves["seed"].nunique()
    return f"mean of {count} seeds, band from least to most" if count > 1 else "one seed"


def _note(results: Results, against: str, hidden_start: bool) -> str:
    notes = []
    if hidden_start:
        notes.append("Before training (epoch 0) the accuracy is below the axis.")
    for rule, other in results.learned_as.items():
        drawn_once = against == "epoch"
        notes.append(f"{rule}'s curve is {other}'s." if drawn_once else f"{rule} learns as {other}, at its own cost.")
    return " ".join(notes)


def _percent_error(curves: pd.DataFrame) -> pd.DataFrame:
    return curves.assign(shown=(1 - curves["train_accuracy"]) * 100)


def _lines(ax: Axes, curves: pd.DataFrame, against: str, what: str, looks: dict[str, Look]) -> None:
    """Draw column ``shown`` of every rule: the mean over seeds, and a band from the least to the most."""
    for rule, look in looks.items():
        mine = curves[curves["rule"] == rule].groupby("epoch")
        y = mine["shown"].agg(["mean", "min", "max"])
        x = y.index.to_numpy(dtype=float) if against == "epoch" else mine[against].mean().to_numpy()
        ax.plot(
            x, y["mean"], color=look.colour, linestyle=look.dashes, marker=look.marker, label=rule,
            markersize=5, markevery=max(1, len(x) // 12), linewidth=1.4, markeredgecolor="white", markeredgewidth=0.5,
        )  # fmt: skip
        if curves["seed"].nunique() > 1:
            ax.fill_between(x, y["min"], y["max"], color=look.colour, alpha=0.15, linewidth=0)
    ax.grid()
    ax.set_title(what)


def _x_axis(ax: Axes, against: str) -> None:
    ax.set_xlabel(_X_LABELS[against])
    ax.set_xlim(left=0)
    if against == "epoch":
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    else:
        si_axis(ax.xaxis, _X_UNITS[against])


def _error_axis(ax: Axes, shown: pd.Series[float]) -> None:
    """Make the training error logarithmic, so that small errors can be told apart, and linear down to 0."""
    least, most = shown.min(), shown.max()
    if shown.isna().all():
        least, most = 1.0, 100.0
    ax.set_yscale("symlog", linthresh=_LEAST_PERCENT)
    ticks = [0, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100]
    bottom = 0.0 if least < _LEAST_PERCENT else max(tick for tick in ticks if tick <= least)
    ax.set_ylim(bottom, min((tick for tick in ticks if tick >= most * 1.05), default=100.0))
    ax.yaxis.set_major_locator(FixedLocator(ticks))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_ylabel("training error (%)" + (f", linear below {_LEAST_PERCENT} %" if bottom == 0 else ""))


def _accuracy_axis(ax: Axes, curves: pd.DataFrame, results: Results) -> None:
    """Show the accuracies of trained networks, and the target where there is one."""
    ax.set_ylabel("test accuracy (%)")
    several = curves["epoch"].max() > 1
    shown = 100 * (curves[curves["epoch"] > 0] if several else curves)["test_accuracy"]
    target = results.summary.get("target_accuracy")
    if np.isfinite(shown).any():
        goal = [] if target is None else [100 * float(target)]
        least, most = min([shown.min(), *goal]), max([shown.max(), *goal])
        room = 0.06 * max(most - least, 0.1)
        ax.set_ylim(max(0.0, least - room), min(most + room, 100.0 + room))


def _target_line(ax: Axes, results: Results | None) -> list[Line2D]:
    """Draw the target accuracy where there is one."""
    target = None if results is None else results.summary.get("target_accuracy")
    if target is None:
        return []
    percent = 100 * float(target)
    return [ax.axhline(percent, color="#444444", linewidth=1.0, linestyle=(0, (1, 2)), label=f"target {percent:.4g} %")]


def draw_alignment(results: Results) -> Figure | None:
    """Angles of errors, gradients and feedback to back-propagation's over epochs, by layer."""
    history = results.learned
    panels = _angle_columns(history)
    if not panels:
        return None
    names = [name for name in _ANGLES if any(name == of for of, _ in panels)]
    layers = sorted({layer for _, layer in panels})
    rules = [
        rule for rule in dict.fromkeys(history["rule"])
        if any(_is_drawn(history, rule, f"{name}_{layer}") for name, layer in panels)
    ]  # fmt: skip
    looks = rule_looks(rules)
    figure = new_figure(max(NARROW, 1.2 + 2.7 * len(layers)), 1.5 + 2.3 * len(names))
    axes = figure.subplots(len(names), len(layers), squeeze=False, sharex=True, sharey="row")
    for row, name in enumerate(names):
        for column, layer in enumerate(layers):
            ax = axes[row][column]
            if (name, layer) not in panels:
                ax.set_visible(False)
                continue
            curves = history.assign(shown=history[f"{name}_{layer}"])
            _lines(ax, curves, "epoch", f"layer {layer}", looks)
            ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            ax.set_xlabel("epochs" if _is_lowest(panels, names, row, layer) else "")
            ax.tick_params(labelbottom=_is_lowest(panels, names, row, layer))
            if column == 0 or (name, layers[column - 1]) not in panels:
                ax.set_ylabel(_ANGLES[name])
    note = "Measured on a fixed batch of training samples; no work of the chip. 90 degrees: nothing in common."
    foot(figure, axes[0][0].get_legend_handles_labels()[0], note=note)
    title(figure, f"Alignment with back-propagation: {_seeds(history)}", results)
    return figure


def _angle_columns(history: pd.DataFrame) -> list[tuple[str, int]]:
    """Return (quantity, layer) of every angle that some rule other than by definition has: not all NaN, not all 0."""
    found: Iterable[re.Match[str] | None] = (
        re.fullmatch(rf"({'|'.join(_ANGLES)})_(\d+)", str(column)) for column in history.columns
    )
    pairs = [(match[1], int(match[2])) for match in found if match]
    return [(name, layer) for name, layer in pairs if history[f"{name}_{layer}"].abs().max() > 1e-3]


def _is_drawn(history: pd.DataFrame, rule: str, column: str) -> bool:
    return bool(history.loc[history["rule"] == rule, column].notna().any())


def _is_lowest(panels: list[tuple[str, int]], names: list[str], row: int, layer: int) -> bool:
    return not any((name, layer) in panels for name in names[row + 1 :])
