"""Figures of energy against time and against accuracy: which points no other point beats in both."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter

from neurosim.reports.style import NARROW, foot, new_figure, rule_looks, si_axis
from neurosim.reports.sweep_lines import sweep_title
from neurosim.reports.sweep_results import SweepResults


def draw_pareto_time(results: SweepResults) -> Figure | None:
    """Energy against the makespan of every point; the front of those that no other beats in both."""
    per = results.constant("per")
    return _draw(results, "seconds", "energy_joules", f"time of a {per}", f"energy of a {per} (J)")


def draw_pareto_accuracy(results: SweepResults) -> Figure | None:
    """Energy of a whole training against the test error it ends with."""
    if "test_accuracy" not in results.ran:
        return None
    rows = results.ran.assign(test_error=100 * (1 - results.ran["test_accuracy"]))
    return _draw(
        replace(results, table=rows), "test_error", "training_joules", "test error (%)",
        "energy of the training (J)",
    )  # fmt: skip


def _draw(results: SweepResults, cost: str, energy: str, cost_name: str, energy_name: str) -> Figure | None:
    table = pd.concat([results.ran, results.references]) if cost == "seconds" else results.ran
    if energy not in table or cost not in table:
        return None
    rows = table.dropna(subset=[cost, energy])
    # A step of a smaller network or batch would win, for doing less.
    if len(rows) < 2 or (cost == "seconds" and rows["forward_macs"].nunique() > 1):
        return None
    figure = new_figure(NARROW + 1, 5.6)
    ax = figure.subplots()
    looks = rule_looks(results.rules)
    for rule, mine in rows.groupby("rule", sort=False):
        look = looks[str(rule)]
        on_chip = mine["machine"] == "chip"
        for chosen, face in ((on_chip, look.colour), (~on_chip, "none")):
            ax.plot(
                mine.loc[chosen, cost], mine.loc[chosen, energy], linestyle="", marker=look.marker, markersize=6,
                markeredgecolor=look.colour, markerfacecolor=face,
            )  # fmt: skip
    front = pareto_front(rows, cost, energy)
    ax.step(front[cost], front[energy], where="post", color="#444444", linewidth=0.9, linestyle="--", zorder=0)
    _name_front(ax, front, results, cost, energy)
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(EngFormatter(unit="J"))
    ax.set_ylabel(energy_name)
    ax.set_xlabel(cost_name)
    if cost == "seconds":
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(EngFormatter(unit="s"))
    else:
        si_axis(ax.xaxis)
    ax.margins(0.12)
    ax.grid()
    foot(figure, _handles(results, rows), columns=6, note=f"Numbers: {results.x_name} of the points on the front.")
    sweep_title(
        figure, f"{energy_name.partition(' (')[0].capitalize()} against {cost_name.partition(' (')[0]}", results
    )
    return figure


def pareto_front(rows: pd.DataFrame, cost: str, energy: str) -> pd.DataFrame:
    """Return the rows that no other row is below in one of two columns and not above in the other, by ``cost``."""
    ordered = rows.sort_values([cost, energy], kind="stable")
    best = ordered[energy].astype(float).cummin()
    earlier = best.shift(fill_value=float("inf"))
    return ordered[ordered[energy] < earlier]


def _name_front(ax: Axes, front: pd.DataFrame, results: SweepResults, cost: str, energy: str) -> None:
    for at, height, value in front[[cost, energy, results.x]].itertuples(index=False):
        if pd.notna(value):
            text = f"{value:g}" if results.numeric else str(value)
            ax.annotate(text, (at, height), xytext=(5, 5), textcoords="offset points", fontsize=7.5)


def _handles(results: SweepResults, rows: pd.DataFrame) -> list[Artist]:
    looks = rule_looks(results.rules)
    handles: list[Artist] = [
        Line2D([], [], linestyle="", marker=looks[r].marker, color=looks[r].colour, label=r)
        for r in results.rules if (rows["rule"] == r).any()
    ]  # fmt: skip
    if (rows["machine"] != "chip").any():
        handles.append(
            Line2D([], [], linestyle="", marker="o", markerfacecolor="none", color="#444444", label="von_neumann")
        )
    return [*handles, Line2D([], [], color="#444444", linewidth=0.9, linestyle="--", label="Pareto front")]
