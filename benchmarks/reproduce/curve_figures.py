"""Figures of curves.py: test error and angles to back-propagation over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from neurosim.reports.style import BLUE, VERMILLION, new_figure, rule_looks, settings

ANGLES = {"delta_angle_deg": "errors", "gradient_angle_deg": "gradients"}


def draw_errors(history: pd.DataFrame, published: Mapping[tuple[str, str], float], what: str) -> Figure:
    """Test error against epochs, a panel per network: mean over seeds, band from smallest to largest.

    ``published`` holds test errors in percent by (network, rule), drawn as dotted lines.
    """
    networks = list(dict.fromkeys(history["network"]))
    looks = rule_looks(dict.fromkeys(history["rule"]))
    with settings():
        figure = new_figure(max(7.5, 2.9 * len(networks)), 3.9)
        panels = figure.subplots(1, len(networks), sharey=True, squeeze=False)[0]
        for ax, network in zip(panels, networks, strict=True):
            mine = history[(history["network"] == network) & (history["epoch"] > 0)]
            for rule, look in looks.items():
                curves = mine[mine["rule"] == rule].pivot(index="epoch", columns="seed", values="test_error_percent")
                if curves.empty:
                    continue
                ax.plot(
                    curves.index, curves.mean(axis=1), color=look.colour, linestyle=look.dashes, marker=look.marker,
                    markersize=3, label=rule,
                )  # fmt: skip
                ax.fill_between(
                    curves.index, curves.min(axis=1), curves.max(axis=1), color=look.colour, alpha=0.2, linewidth=0
                )
                if (network, rule) in published:
                    ax.axhline(published[network, rule], color=look.colour, linestyle=":", linewidth=0.9)
            ax.set_title(network)
            _epoch_axis(ax)
            ax.set_yscale("log")
            ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ax.yaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
            ax.minorticks_off()
        panels[0].set_ylabel("test error (%)")
        handles = {line.get_label(): line for ax in panels for line in ax.get_legend_handles_labels()[0]}
        figure.legend(handles=list(handles.values()), loc="outside lower center", ncols=len(handles))
        figure.suptitle(what, fontsize=10.5)
        figure.draw_without_rendering()
    return figure


def draw_angles(history: pd.DataFrame, rules: Sequence[str], what: str) -> Figure:
    """Angles of a rule's errors and gradients to BP's against epochs: mean over seeds, a line per hidden layer."""
    networks = list(dict.fromkeys(history["network"]))
    columns = [(rule, angle) for rule in rules for angle in ANGLES]
    with settings():
        figure = new_figure(1.0 + 2.5 * len(columns), 1.2 + 1.9 * len(networks))
        panels = figure.subplots(len(networks), len(columns), sharex="row", sharey=True, squeeze=False)
        for line, network in zip(panels, networks, strict=True):
            for ax, (rule, angle) in zip(line, columns, strict=True):
                mine = history[(history["network"] == network) & (history["rule"] == rule)]
                _draw_layers(ax, mine, angle)
                ax.set_title(f"{network}, {rule}: {ANGLES[angle]}")
                ax.set_ylim(0, 92)
                ax.set_yticks(range(0, 91, 30))
                ax.grid(visible=True)
            line[0].set_ylabel("angle to BP's (degrees)")
            line[-1].legend(
                title="hidden\nlayer", title_fontsize=7, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5)
            )
        for ax in panels.flat:
            _epoch_axis(ax)
        for ax in panels[:-1].flat:
            ax.set_xlabel("")
        figure.suptitle(what, fontsize=10.5)
        figure.draw_without_rendering()
    return figure


@dataclass(frozen=True)
class Published:
    """A published run from epoch 1 on: test errors in percent by rule, and an angle in degrees."""

    errors_percent: Mapping[str, Sequence[float]]
    angle_deg: Sequence[float]


def draw_beside(history: pd.DataFrame, angles: Mapping[str, pd.Series], published: Published, what: str) -> Figure:
    """Test errors of all rules, and angles by what they are of (rows of ``history``), with the published run dashed."""
    last = int(history["epoch"].max())
    with settings():
        figure = new_figure(9.0, 4.2)
        left, right = figure.subplots(1, 2)
        for rule, look in rule_looks(dict.fromkeys(history["rule"])).items():
            _band(left, history[history["rule"] == rule], "test_error_percent", rule, look.colour)
            if rule in published.errors_percent:
                theirs = published.errors_percent[rule][:last]
                left.plot(
                    range(1, len(theirs) + 1), theirs, color=look.colour, linestyle="--", label=f"{rule}, published"
                )
        for (name, values), colour in zip(angles.items(), (BLUE, VERMILLION), strict=True):
            rows = history.loc[values.index].assign(shown=values)
            _band(right, rows, "shown", f"of {name}", colour)
        theirs = published.angle_deg[:last]
        right.plot(
            range(1, len(theirs) + 1), theirs, color="black", linestyle="--", label="of the first sample, published"
        )
        left.set_ylabel("test error (%)")
        right.set_ylabel("fa: angle of layer 1's errors to BP's (degrees)")
        left.set_ylim(bottom=0)
        right.set_ylim(0, 60)
        for ax in (left, right):
            _epoch_axis(ax)
            ax.legend(loc="upper right", fontsize=7.5)
        figure.suptitle(what, fontsize=10.5)
        figure.draw_without_rendering()
    return figure


def draw_training_errors(history: pd.DataFrame, published: Mapping[str, float], what: str) -> Figure:
    """Error on the training samples against epochs, mean and band over seeds; dotted: published, in percent by rule."""
    with settings():
        figure = new_figure(6.5, 4.2)
        ax = figure.subplots()
        for rule, look in rule_looks(dict.fromkeys(history["rule"])).items():
            _band(ax, history[history["rule"] == rule], "train_error_percent", rule, look.colour)
            if rule in published:
                ax.axhline(published[rule], color=look.colour, linestyle=":", linewidth=0.9)
        ax.set_ylabel("error on the training samples (%)")
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
        ax.minorticks_off()
        _epoch_axis(ax)
        ax.legend()
        figure.suptitle(what, fontsize=10.5)
        figure.draw_without_rendering()
    return figure


def _band(ax: Axes, history: pd.DataFrame, column: str, label: str, colour: str) -> None:
    """Mean over seeds and a band from smallest to largest, from epoch 1 on."""
    curves = history[history["epoch"] > 0].pivot(index="epoch", columns="seed", values=column)
    ax.plot(curves.index, curves.mean(axis=1), color=colour, label=label)
    ax.fill_between(curves.index, curves.min(axis=1), curves.max(axis=1), color=colour, alpha=0.2, linewidth=0)


def hidden_layers(history: pd.DataFrame) -> list[int]:
    """Return the hidden layers that have an angle somewhere; an output layer's is 0 under every rule."""
    numbers = sorted(int(name.rpartition("_")[2]) for name in history if name.startswith("delta_angle_deg_"))
    known = [number for number in numbers if history[f"delta_angle_deg_{number}"].notna().any()]
    return known[:-1]


def _draw_layers(ax: Axes, history: pd.DataFrame, angle: str) -> None:
    layers = hidden_layers(history)
    shades = colormaps["viridis"]
    for number in layers:
        curve = history.groupby("epoch")[f"{angle}_{number}"].mean()
        shade = shades(0.85 * (number - 1) / max(len(layers) - 1, 1))
        ax.plot(curve.index, curve, color=shade, marker="o", markersize=2.5, linewidth=1.2, label=str(number))


def _epoch_axis(ax: Axes) -> None:
    ax.set_xlabel("epochs")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(visible=True)
