"""Figure of data movement: what the error phase of each rule moves, in each of the three meanings in use."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from neurosim.reports.results import Machine, Results
from neurosim.reports.style import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    VERMILLION,
    WIDE,
    Look,
    new_figure,
    rows_height,
    rule_axis,
    title,
)
from neurosim.reports.transports import has_transport, transport_count

_DELIVERY_LOOKS = {"multicast": Look(BLUE, marker="o"), "unicast": Look(VERMILLION, marker="D")}
_MACHINE_LOOKS = (Look(BLUE, marker="o"), Look(PURPLE, marker="s"), Look(GREEN, marker="^"))
_LAYER_LOOKS = (Look(GREEN, marker="^"), Look(ORANGE, marker="v"))
_TITLE_PAD = 22.0
"""Points between a panel and its title: the panel's legend stands there."""

Points = Mapping[str, Sequence[float]]


def draw_error_movement(results: Results) -> Figure | None:
    """Values that a neuron needs, bits and bit-hops on the chip in both deliveries, and bits that leave it."""
    rules = results.rules
    figure = new_figure(WIDE, 2 * rows_height(len(rules), each=0.22) + 1.2)
    axes = figure.subplots(2, 2, sharey=True)
    needed = _values_needed(results)
    _panel(axes[0][0], rules, needed, _of_layers(list(needed)))
    axes[0][0].set_title("needed: by one hidden neuron, on any chip", pad=_TITLE_PAD)
    axes[0][0].set_xlabel("values per neuron and sample (values)")
    for ax, name, meaning, label, unit in (
        (axes[0][1], "payload_bits", "sent: bits that enter the network", "payload bits", "bits"),
        (axes[1][0], "bit_hops", "moved: bits times the links that they cross", "bits x links", "bit-hops"),
    ):
        deliveries = {delivery: _moved(results, name, delivery) for delivery in results.deliveries}
        _panel(ax, rules, deliveries, _DELIVERY_LOOKS)
        ax.set_title(f"{meaning}, {results.machine[0]}", pad=_TITLE_PAD)
        ax.set_xlabel(f"{label} per sample ({unit})")
    outside = {machine[0]: _leaving(results, machine) for machine in results.compared}
    _panel(axes[1][1], rules, outside, dict(zip(outside, _MACHINE_LOOKS, strict=False)))
    axes[1][1].set_title("off chip: from outside, or to its DRAM", pad=_TITLE_PAD)
    axes[1][1].set_xlabel("offchip bits + channel bits per sample (bits)")
    mirrored = [rule for rule in rules if has_transport(results, rule)]
    note = f"{', '.join(mirrored)}: with the new weights that are sent to the mirrors. " if mirrored else ""
    note += "Logarithmic axes; a row whose mark stands at 0 moves nothing."
    figure.supxlabel(note, fontsize=7.5)
    title(figure, "What the error phase moves, in three meanings of data movement", results)
    return figure


def _values_needed(results: Results) -> dict[str, list[float]]:
    """Return the least and the most over hidden layers, or the layers one by one where there are at most two."""
    by_rule = [results.of_layers(rule, "values_needed", phase="error") for rule in results.rules]
    layers = sorted({layer for values in by_rule for layer in values})
    if len(layers) <= 2:
        return {f"layer {layer}": [values.get(layer, math.nan) for values in by_rule] for layer in layers}
    return {
        f"{name} of {len(layers)} layers": [pick(values.values(), default=math.nan) for values in by_rule]
        for name, pick in (("most", max), ("least", min))
    }


def _of_layers(names: Sequence[str]) -> dict[str, Look]:
    return dict(zip(names, _LAYER_LOOKS, strict=False))


def _moved(results: Results, name: str, delivery: str) -> list[float]:
    machine = (results.machine[0], delivery)
    return [
        (
            results.of_step(rule, name, phase="error", machine=machine)
            + transport_count(results, rule, name, machine=machine)
        )
        / results.batch_size
        for rule in results.rules
    ]


def _leaving(results: Results, machine: Machine) -> list[float]:
    return [
        (
            results.of_step(rule, "offchip_bits", phase="error", machine=machine)
            + results.of_step(rule, "channel_bits", phase="error", machine=machine)
            + transport_count(results, rule, "channel_bits", machine=machine)
        )
        / results.batch_size
        for rule in results.rules
    ]


def _panel(ax: Axes, rules: Sequence[str], series: Points, looks: Mapping[str, Look]) -> None:
    """Mark every value of every rule on a logarithmic axis, zeros on a line of their own at its left end."""
    positive = [value for values in series.values() for value in values if value > 0]
    low = 10 ** math.floor(math.log10(min(positive))) if positive else 1.0
    high = max(positive, default=1.0)
    decades = max(math.log10(high / low), 1.0)
    zero = low / 10 ** (0.12 * decades)
    has_zeros = any(value == 0 for values in series.values() for value in values)
    start = zero / 10 ** (0.05 * decades) if has_zeros else low / 10 ** (0.04 * decades)
    ax.set_xscale("log")
    ax.set_xlim(start, max(high, low * 10) * 10 ** (0.06 * decades))
    marks = _marks(list(series), looks)
    for name, values in series.items():
        ax.plot([zero if value == 0 else value for value in values], range(len(rules)), clip_on=False, **marks[name])
    rule_axis(ax, rules)
    ax.xaxis.set_major_locator(LogLocator(numticks=7))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(EngFormatter())
    if has_zeros:
        _mark_zero(ax, zero, low)
    handles = [Line2D([], [], label=name, **mark) for name, mark in marks.items()]
    ax.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, handletextpad=0.1, borderpad=0.2)


def _marks(names: Sequence[str], looks: Mapping[str, Look]) -> dict[str, dict[str, Any]]:
    """Return how each series is marked: the first large and open, so that it is seen around those at the same place."""
    return {
        name: {
            "linestyle": "",
            "marker": looks[name].marker,
            "color": looks[name].colour,
            "fillstyle": "full" if number else "none",
            "markersize": 5.0 if number else 8.5,
            "markeredgewidth": 0.0 if number else 1.4,
            "zorder": 3 + number,
        }
        for number, name in enumerate(names)
    }


def _mark_zero(ax: Axes, zero: float, low: float) -> None:
    """Set 0 off from the logarithmic axis."""
    ax.axvline(low / (low / zero) ** 0.5, color="#444444", linewidth=0.8, linestyle=(0, (1, 2)))
    ax.annotate(
        "0", (zero, 0), xycoords=("data", "axes fraction"), xytext=(0, -4), textcoords="offset points",
        ha="center", va="top",
    )  # fmt: skip
