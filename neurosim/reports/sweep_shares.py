"""Figure of what the critical path consists of at every point: compute, memory, network, and the serial part."""

from __future__ import annotations

from textwrap import fill

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from neurosim.reports.style import foot, new_figure
from neurosim.reports.sweep_lines import BOUND_COLOURS, BOUND_WORDS, sweep_title
from neurosim.reports.sweep_results import SweepResults

PARTS = ("compute", "memory", "network", "serial")
_MOST_RULES = 6


def draw_path_shares(results: SweepResults) -> Figure | None:
    """Bars of shares against the x axis: a row of panels for each combination of other axes, a column for each rule."""
    names = [f"path_{part}_share" for part in PARTS]
    if names[0] not in results.ran or results.ran[names[0]].isna().all() or results.ran[results.x].nunique() < 2:
        return None
    panels = list(results.panels())[:3]
    rules = results.rules[:_MOST_RULES]
    figure = new_figure(1.4 + 2.1 * max(len(rules), 3), 1.6 + 2.2 * len(panels))
    axes = figure.subplots(len(panels), len(rules), squeeze=False, sharey=True)
    values = sorted(results.ran[results.x].unique()) if results.numeric else list(results.ran[results.x].unique())
    for row, (name, points, _) in enumerate(panels):
        for column, rule in enumerate(rules):
            ax = axes[row][column]
            mine = points[points["rule"] == rule].drop_duplicates(results.x).set_index(results.x)
            bottom = [0.0] * len(values)
            for part in PARTS:
                shares = [100 * float(mine[f"path_{part}_share"].get(value, 0.0)) for value in values]
                ax.bar(range(len(values)), shares, bottom=bottom, color=BOUND_COLOURS[part], width=0.8)
                bottom = [low + share for low, share in zip(bottom, shares, strict=True)]
            ax.set_title(rule if row == 0 else "")
            ax.set_xticks(range(len(values)), [f"{v:g}" if results.numeric else str(v) for v in values], rotation=60)
            ax.set_ylim(0, 100)
            if column == 0:
                ax.set_ylabel(f"{fill(name, 26)}\n% of critical path" if name else "% of the critical path")
            if row == len(panels) - 1:
                ax.set_xlabel(results.x_name)
    handles = [Patch(facecolor=BOUND_COLOURS[p], label=BOUND_WORDS.get(p, p)) for p in PARTS]
    left = len(results.rules) - len(rules), max(0, len(list(results.panels())) - 3)
    note = (
        "Serial: what would be left with one neuron on each core, and the input port; more cores do not shorten it. "
        "Network: messages under way, and waiting for tasks elsewhere."
    )
    told = [f"{n} {what}" for n, what in zip(left, ("rules", "combinations of other axes"), strict=True) if n]
    note += f" Left out: {', '.join(told)}." if told else ""
    foot(figure, handles, note=note)
    sweep_title(figure, f"What the makespan consists of, against {results.x_name}", results)
    return figure
