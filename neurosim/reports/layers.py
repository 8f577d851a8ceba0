"""Figure of data movement by layer: where convolutions and dense layers differ."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, NullLocator

from neurosim.reports.results import Results
from neurosim.reports.style import WIDE, foot, new_figure, rule_looks, title

_PHASES = ("forward", "error", "update")
_NOTE = (
    "Bits times the links that they cross, booked at the layer that sends: direct rules send hidden errors from the "
    "last layer, and what pools of one layer share between cores is that layer's. No mark: nothing is sent. Update: "
    "sums and new weights of filters that several cores hold, and of mirrors."
)


def draw_layer_movement(results: Results) -> Figure | None:
    """Bit-hops per sample by layer, phase and rule; None where nothing moves between cores."""
    moved = {phase: {rule: _bit_hops(results, rule, phase) for rule in results.rules} for phase in _PHASES}
    shown = [phase for phase in _PHASES if any(map(_moves, moved[phase].values()))]
    if not shown:
        return None
    figure = new_figure(WIDE, 4.2)
    axes = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for ax, phase in zip(axes, shown, strict=True):
        _panel(ax, results.rules, moved[phase])
        ax.set_title(f"{phase} phase")
    axes[0].set_ylabel("bits x links per sample (bit-hops)")
    foot(figure, axes[0].get_legend_handles_labels()[0], columns=7, note=_NOTE)
    title(figure, "What each layer moves on the chip", results)
    return figure


def _bit_hops(results: Results, rule: str, phase: str) -> dict[int, float]:
    found = results.of_layers(rule, "bit_hops", phase=phase)
    return {layer: value / results.batch_size for layer, value in sorted(found.items())}


def _moves(by_layer: dict[int, float]) -> bool:
    return any(value > 0 for value in by_layer.values())


def _panel(ax: Axes, rules: Sequence[str], moved: dict[str, dict[int, float]]) -> None:
    """Mark every layer of every rule, side by side within a layer so that equal values are all seen."""
    looks = rule_looks(rules)
    for number, rule in enumerate(rules):
        shift = 0.5 * ((number + 0.5) / len(rules) - 0.5)
        layers = list(moved[rule])
        values = [value if value > 0 else math.nan for value in moved[rule].values()]
        ax.plot(
            [layer + shift for layer in layers], values, color=looks[rule].colour, linestyle=looks[rule].dashes,
            marker=looks[rule].marker, label=rule, markersize=6, linewidth=0.8,
        )  # fmt: skip
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(EngFormatter())
    ax.yaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set_xlabel("layer (number)")
    ax.grid(axis="y", color="#dddddd")
