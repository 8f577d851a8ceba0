"""The figure of the chips: predicted against measured."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from neurosim.reports.style import BLUE, GREEN, GREY, PURPLE, RULE_LOOKS, VERMILLION, new_figure, settings

COLOURS = {"loihi": BLUE, "loihi_silicon": VERMILLION, "spoon_like": GREEN, "park_like": PURPLE}


def draw_prediction(points) -> Figure:
    """Points (measured, model, predicted mJ, predicted ms): colour by model, marker by rule, open for inference."""
    with settings():
        figure = new_figure(9.5, 5.2)
        axes = figure.subplots(1, 2)
        for ax, unit, place in zip(axes, ("mJ", "ms"), ("energy", "time"), strict=True):
            pairs = [(each.energy_mj, mj) if unit == "mJ" else (each.time_ms, ms) for each, _, mj, ms in points]
            for (each, model, *_), (measured, predicted) in zip(points, pairs, strict=True):
                ax.plot(
                    measured, predicted, linestyle="", marker=RULE_LOOKS[each.rule].marker, markersize=8,
                    color=COLOURS[model], markerfacecolor="white" if each.inference else COLOURS[model],
                    markeredgewidth=1.4,
                )  # fmt: skip
            ends = min(min(pair) for pair in pairs) / 3, max(max(pair) for pair in pairs) * 3
            for factor, style in ((1, "-"), (10, ":"), (0.1, ":")):
                ax.plot(ends, [end * factor for end in ends], color=GREY, linewidth=0.9, linestyle=style, zorder=0)
            ax.set(xscale="log", yscale="log", xlim=ends, ylim=ends, aspect="equal")
            ax.set_xlabel(f"measured {place} of a sample ({unit})")
            ax.set_ylabel(f"predicted {place} of a sample ({unit})")
            ax.grid()
        figure.legend(handles=_handles(points), loc="outside lower center", ncols=5)
        figure.suptitle("A sample on chips that exist (filled: training, open: inference; dotted: a factor of 10)")
        figure.draw_without_rendering()
    return figure


def _handles(points) -> list[Line2D]:
    models = dict.fromkeys(model for _, model, *_ in points)
    rules = dict.fromkeys(each.rule for each, *_ in points)
    shown = [(model, "o", COLOURS[model]) for model in models]
    shown += [(rule, RULE_LOOKS[rule].marker, GREY) for rule in rules]
    return [
        Line2D([], [], linestyle="", marker=marker, color=colour, markersize=7, label=label)
        for label, marker, colour in shown
    ]
