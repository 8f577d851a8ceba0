"""Figures of one quantity against cores (or another axis), a line for each rule, and the von Neumann machine's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from neurosim.reports.style import BLUE, GREEN, ORANGE, VERMILLION, Look, foot, new_figure, rule_looks
from neurosim.reports.sweep_results import MOST_PANELS, Panel, SweepResults

BOUND_COLOURS = {
    "compute": BLUE, "memory": ORANGE, "network": GREEN, "serial": VERMILLION,
    "busiest core": BLUE, "busiest link": GREEN, "critical path": VERMILLION,
}  # fmt: skip
"""What binds a makespan -> the colour of the ring around its points. The last three are those of closed forms."""

BOUND_WORDS = {"serial": "serial part (Amdahl)"}
_REUSE_DASHES = {"layer": (0, (1, 1)), "ideal": (0, (4, 2, 1, 2))}


@dataclass(frozen=True)
class Quantity:
    """A column of the table and how it is drawn: its unit with SI prefixes or percent, the ideal, and what binds."""

    column: str
    what: str
    unit: str = ""
    percent: bool = False
    ideal: bool = False
    relative: bool = False
    bounds: bool = False


def draw_quantity(results: SweepResults, quantity: Quantity) -> Figure | None:
    """Draw a quantity against the sweep's x axis; None where nothing was measured of it."""
    rows = results.ran
    if quantity.column not in rows or not (rows[quantity.column] > 0).any() or rows[results.x].nunique() < 2:
        return None
    panels = list(results.panels())
    figure, axes = panel_grid(panels)
    looks = rule_looks(results.rules)
    for ax, (name, points, references) in zip(axes, panels, strict=False):
        ax.set_title(fill(name, 48))
        if quantity.bounds:
            _rings(ax, points, results, quantity.column)
        for rule in results.rules:
            _rule_line(ax, points[points["rule"] == rule], results, quantity, looks[rule])
            if not quantity.relative:
                _reference_lines(ax, references[references["rule"] == rule], results, quantity, looks[rule])
        _axes(ax, points, results, quantity)
    y_axis(axes, quantity.unit, from_zero=quantity.percent)
    handles = _handles(results, quantity, looks, panels[:MOST_PANELS])
    foot(figure, handles, columns=6, note=" ".join(_notes(results, quantity, panels)))
    bound = quantity.column == "seconds" and results.constant("fidelity") == "analytic"
    what = f"Lower bound of the {quantity.what.lower()}" if bound else quantity.what
    sweep_title(figure, f"{what}{_per(results, quantity)} against {results.x_name}", results)
    return figure


def panel_grid(panels: Sequence[object]) -> tuple[Figure, list[Axes]]:
    """Return a figure with a place for each of up to MOST_PANELS panels, up to three beside each other."""
    count = min(len(panels), MOST_PANELS)
    columns = 2 if count == 4 else min(count, 3)
    rows = -(-count // columns)
    figure = new_figure(max(7.4, 1.2 + 4.0 * columns), 1.9 + 3.4 * rows)
    axes = [ax for row in figure.subplots(rows, columns, squeeze=False, sharey=True) for ax in row]
    for ax in axes[count:]:
        ax.set_visible(False)
    return figure, axes[:count]


def sweep_title(figure: Figure, what: str, results: SweepResults) -> None:
    """Write what a figure shows, and what all its points have in common."""
    columns = int(figure.get_figwidth() * 13)
    told = [results.chip]
    for label, column in (
        ("", "network"), ("", "recipe.delivery"), ("batch", "recipe.batch_size"),
        ("microbatch", "microbatch"), ("overlap", "recipe.overlap"), ("", "fidelity"),
    ):  # fmt: skip
        value = results.constant(column)
        if value is not None and not (label == "overlap" and value == "none"):
            told.append(f"{label} {value}".strip())
    where = fill(" | ".join(told), columns, break_on_hyphens=False)
    figure.suptitle(f"{fill(what, columns)}\n{where}", fontsize=10.5)


def positions(results: SweepResults, values: pd.Series) -> pd.Series:
    """Return where values stand on the x axis: numbers themselves, names by their order in the table."""
    if results.numeric:
        return values.astype(float)
    order = {value: place for place, value in enumerate(results.ticks)}
    return values.map(order)


def bound_handles(bounds: Sequence[str]) -> list[Line2D]:
    """Return the legend's entries of what binds points."""
    return [
        Line2D([], [], linestyle="", marker="o", markersize=10, markerfacecolor="none", markeredgewidth=1.8,
               markeredgecolor=BOUND_COLOURS[name], label=f"bound by {BOUND_WORDS.get(name, name)}")
        for name in BOUND_COLOURS if name in bounds
    ]  # fmt: skip


def _shown(rows: pd.DataFrame, quantity: Quantity) -> pd.Series:
    return rows[quantity.column] * (100 if quantity.percent else 1)


def _rule_line(ax: Axes, rows: pd.DataFrame, results: SweepResults, quantity: Quantity, look: Look) -> None:
    """Draw a rule's points, joined where no value of the x axis between them went unmeasured."""
    if rows.empty:
        return
    lost = positions(results, results.unmeasured(rows))
    rows = rows[rows[quantity.column] > 0]  # nothing moves on one core: no place for it on a logarithmic axis
    rows = rows.sort_values(results.x, kind="stable") if results.numeric else rows
    x, y = positions(results, rows[results.x]), _shown(rows, quantity)
    if x.empty:
        return
    ax.plot(
        *_with_gaps(x, y, lost), color=look.colour, linestyle=look.dashes, marker=look.marker, markersize=5,
        linewidth=1.4, markeredgecolor="white", markeredgewidth=0.5, zorder=3,
    )  # fmt: skip
    same_work = rows["forward_macs"].nunique() == 1
    if quantity.ideal and results.x == "cores" and not quantity.relative and same_work:
        first = float(x.iloc[0])
        ax.plot(x, [y.iloc[0] * first / at for at in x], color=look.colour, linewidth=0.7, alpha=0.55, zorder=1)


def _with_gaps(x: pd.Series, y: pd.Series, lost: pd.Series) -> tuple[list[float], list[float]]:
    """Return a line's places and heights with a gap wherever a point was lost, so that none is read off the line."""
    points = [*zip(x, y, strict=True), *((at, math.nan) for at in lost)]
    points.sort(key=lambda point: float(point[0]))
    return [at for at, _ in points], [height for _, height in points]


def _reference_lines(ax: Axes, rows: pd.DataFrame, results: SweepResults, quantity: Quantity, look: Look) -> None:
    """Draw what the von Neumann machine takes: a line across, or along the cores with which the network grew."""
    for reuse, dashes in _REUSE_DASHES.items():
        mine = _of_reuse(rows, reuse, quantity)
        values = _shown(mine, quantity)
        if len(mine) == 1:
            ax.axhline(values.iloc[0], color=look.colour, linestyle=dashes, linewidth=1.0, alpha=0.8, zorder=1)
        elif results.weak and len(mine):
            ax.plot(
                _grown(results, mine), values, color=look.colour, linestyle=dashes, linewidth=1.0, alpha=0.8, zorder=1
            )


def _grown(results: SweepResults, references: pd.DataFrame) -> pd.Series:
    """Return the cores of the chip with which the network of each von Neumann point grew."""
    chip = results.on_chip.drop_duplicates("axis.cores").set_index("axis.cores")["cores"]
    return references["axis.cores"].map(chip)


def _rings(ax: Axes, points: pd.DataFrame, results: SweepResults, column: str) -> None:
    """Mark what binds each point by a ring around it."""
    for bound, rows in points.groupby("bound_by", sort=False):
        ax.plot(
            positions(results, rows[results.x]), rows[column], linestyle="", marker="o", markersize=11,
            markerfacecolor="none", markeredgewidth=1.8, markeredgecolor=BOUND_COLOURS[str(bound)], zorder=2,
        )  # fmt: skip


def _axes(ax: Axes, points: pd.DataFrame, results: SweepResults, quantity: Quantity) -> None:
    """Set scales, ticks and labels; draw the ideal of relative quantities."""
    x_axis(ax, results)
    dashed: dict[str, Any] = {"color": "#444444", "linewidth": 0.9, "linestyle": "--", "zorder": 1}
    if quantity.relative and quantity.ideal and results.x == "cores" and not points.empty:
        counts = sorted(points["cores"].unique())
        for base in sorted(points["speedup_from"].dropna().unique()):
            ax.plot(counts, [count / base for count in counts], **dashed)
    if quantity.percent:
        ax.axhline(100, **dashed)
    place = ax.get_subplotspec()
    if place is not None and place.is_first_col():
        ax.set_ylabel("%" if quantity.percent else _Y_LABELS.get(quantity.unit, quantity.what.lower()))


_Y_LABELS = {"s": "time (s)", "J": "energy (J)", "B": "memory (B)", "bit": "memory (bits)"}
_NARROW, _FEW_DECADES = 4.0, 200.0


def y_axis(axes: Sequence[Axes], unit: str, *, from_zero: bool = False) -> None:
    """Make the shared axis linear where all values lie close together, else logarithmic with numbers to read it by."""
    lines = [np.asarray(line.get_ydata(), dtype=float) for ax in axes for line in ax.get_lines()]
    values = [value for line in lines for value in line if value > 0]
    least, most = min(values, default=1.0), max(values, default=1.0)
    for ax in axes:
        if from_zero or most / least < _NARROW:
            ax.set_ylim(0, 1.08 * most)
        else:
            ax.set_yscale("log")
            few = most / least < _FEW_DECADES
            ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
            ax.yaxis.set_minor_formatter(NullFormatter())
        ax.yaxis.set_major_formatter(EngFormatter(unit=unit))


def x_axis(ax: Axes, results: SweepResults) -> None:
    """Put the values that were swept on the x axis: logarithmic where they span more than a decade."""
    ax.set_xlabel(results.x_name)
    ax.grid()
    values = list(results.ticks)
    if not results.numeric:
        ax.set_xticks(range(len(values)), [fill(str(value), 14) for value in values])
        return
    numbers = sorted(float(value) for value in values)
    if numbers[0] > 0 and numbers[-1] / numbers[0] > 3:
        ax.set_xscale("log", base=2)
    shown = numbers if len(numbers) <= 8 else numbers[:: -(-len(numbers) // 8)]
    ax.xaxis.set_major_locator(FixedLocator(shown))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))


def _handles(
    results: SweepResults, quantity: Quantity, looks: dict[str, Look], panels: Sequence[Panel]
) -> list[Artist]:
    """Return the legend's entries of what is drawn."""
    drawn = [rule for rule in results.rules if any((points["rule"] == rule).any() for _, points, _ in panels)]
    handles: list[Artist] = [
        _sample(r, linestyle=looks[r].dashes, color=looks[r].colour, marker=looks[r].marker, markersize=5)
        for r in drawn
    ]
    if quantity.ideal and results.x == "cores" and quantity.relative:
        handles.append(_sample("ideal", linestyle="--", linewidth=0.9))
    elif quantity.ideal and results.x == "cores" and results.ran["forward_macs"].nunique() == 1:
        handles.append(_sample("ideal", linewidth=0.7))
    for reuse, dashes in () if quantity.relative else _REUSE_DASHES.items():
        if any(_has_lines(results, references, reuse, quantity) for _, _, references in panels):
            handles.append(_sample(f"von_neumann, reuse {reuse}", linestyle=dashes, linewidth=1.0))
    if quantity.bounds:
        handles += bound_handles([str(b) for _, points, _ in panels for b in points["bound_by"].dropna().unique()])
    return handles


def _has_lines(results: SweepResults, references: pd.DataFrame, reuse: str, quantity: Quantity) -> bool:
    """Whether some rule has a line of the von Neumann machine in a panel: one point, or a network that grew."""
    found = _of_reuse(references, reuse, quantity)
    return bool(len(found)) and (results.weak or bool((found["rule"].value_counts() == 1).any()))


def _sample(label: str, **style: Any) -> Line2D:
    return Line2D([], [], label=label, **{"color": "#444444", **style})


def _of_reuse(rows: pd.DataFrame, reuse: str, quantity: Quantity) -> pd.DataFrame:
    """Return the rows of the von Neumann machine with this reuse that have something to draw."""
    if quantity.column not in rows:
        return rows.iloc[:0]
    return rows[rows["machine"].str.contains(f"reuse {reuse}", regex=False) & (rows[quantity.column] > 0)]


def _per(results: SweepResults, quantity: Quantity) -> str:
    per = results.constant("per")
    return (
        f" of a {per}"
        if per and quantity.column in ("seconds", "energy_joules")
        else (f", a {per}" if per and quantity.column.endswith("bit_hops") else "")
    )


def _notes(results: SweepResults, quantity: Quantity, panels: Sequence[Panel]) -> list[str]:
    """Return what a reader must know: to what speed-ups are relative, what is missing, what differs between rules."""
    notes = []
    if results.weak:
        notes.append("The network grows with the cores.")
    if quantity.relative:
        notes.append(_relative_to(results))
        if results.ran["forward_macs"].nunique() > 1:
            notes.append("Times are for equal work: times the ratio of the MACs of a forward pass.")
    if results.x == "cores" and results.constant("microbatch") is None and not results.varies("microbatch"):
        notes.append("The microbatch is the largest that fits each point: the table has it.")
    if (results.ran[quantity.column] == 0).any():
        notes.append("Points of 0 are not drawn.")
    lost = results.on_chip[results.on_chip["status"] != "ok"]
    if len(lost):
        counts = lost["status"].value_counts()
        notes.append("Not drawn: " + ", ".join(f"{number} points, {status}" for status, number in counts.items()) + ".")
    if len(panels) > MOST_PANELS:
        notes.append(f"{len(panels) - MOST_PANELS} more panels are left out; the table has all points.")
    return notes


def _relative_to(results: SweepResults) -> str:
    """Say to what speed-ups are relative: the smallest count that ran, of each rule where these differ."""
    first = results.ran.groupby("rule", sort=False)["speedup_from"].agg(["min", "max"])
    what = "number of cores" if results.x == "cores" else results.x_name
    if first["min"].min() == first["max"].max():
        least = first["min"].min()
        counted = "core" if (results.x, least) == ("cores", 1) else results.x_name
        return f"Relative to {least:g} {counted}, the smallest that ran."
    told = ", ".join(
        f"{rule} {low:g}" + (f" to {high:g}" if high != low else "")
        for rule, low, high in first.itertuples()
        if not math.isnan(low)
    )
    return f"Relative to the smallest {what} that ran: {told}."
