"""Style: what every figure shares: colours that the colour-blind tell apart, titles, SI axes, and how it is saved."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, MaxNLocator

from neurosim.reports.results import Results, listed
from neurosim.runs import replacing

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
"""Okabe and Ito's palette (2008), which stays apart under every common colour blindness."""

GREY = "#999999"
FORMATS = ("svg", "png")
NARROW, WIDE = 7.0, 11.0
"""Widths of figures in inches."""

_SETTINGS: dict[Any, Any] = {
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": "#DDDDDD",
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "svg.hashsalt": "neurosim",  # the same results give the same file
}


@dataclass(frozen=True)
class Look:
    """How one thing is drawn: in a line by colour, dashes and marker, in a bar by colour and hatch."""

    colour: str
    dashes: str | tuple[int, tuple[int, ...]] = "-"
    marker: str = "o"
    hatch: str = ""

    @property
    def edge(self) -> str:
        """The colour of the hatch and of the gap to the next part: one that is seen on this colour."""
        return "#555555" if self.colour == YELLOW else "white"


RULE_LOOKS = {
    "bp": Look(BLACK, "-", "o"),
    "bp-mirrored": Look(BLACK, "--", "s"),
    "fa": Look(ORANGE, "-", "^"),
    "usf": Look(VERMILLION, "-", "X"),
    "brsf": Look(VERMILLION, "--", "<"),
    "frsf": Look(VERMILLION, ":", ">"),
    "dfa": Look(BLUE, "-", "D"),
    "sign-dfa": Look(BLUE, "--", "d"),
    "sdfa": Look(SKY, "-", "v"),
    "ssdfa": Look(GREEN, "-", "P"),
    "drtp": Look(PURPLE, "-", "*"),
    "last-layer": Look(GREY, ":", "h"),
}
"""A rule looks the same in every run; rules of the user's own take OWN_LOOKS in turn."""

OWN_LOOKS = tuple(
    Look(colour, dashes, marker)
    for dashes, marker in (("-.", "p"), ((0, (5, 1, 1, 1, 1, 1)), "H"))
    for colour in (PURPLE, GREEN, ORANGE, SKY, BLACK, GREY)
)

PHASE_LOOKS = {
    "io": Look(GREY),
    "forward": Look(SKY, hatch=""),
    "error": Look(VERMILLION, hatch="///"),
    "update": Look(BLUE, hatch="..."),
}


def rule_looks(rules: Iterable[str]) -> dict[str, Look]:
    """Return how to draw each rule."""
    own = cycle(OWN_LOOKS)
    return {rule: RULE_LOOKS[rule] if rule in RULE_LOOKS else next(own) for rule in rules}


def looks_of(names: Sequence[str], known: Mapping[str, Look]) -> dict[str, Look]:
    """Return how to draw each part of a bar; one that ``known`` does not name takes a hatched look in turn."""
    spare = cycle(Look(colour, hatch="xx") for colour in (YELLOW, SKY, ORANGE, PURPLE, GREEN))
    return {name: known[name] if name in known else next(spare) for name in names}


@contextmanager
def settings() -> Iterator[None]:
    """Draw with the reports' own settings, whatever the user's are, and leave the user's as they were."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def rows_height(rows: int, *, each: float = 0.26, more: float = 1.0) -> float:
    """Return the height in inches of a panel with a bar for each of ``rows``, and ``more`` around them."""
    return each * max(rows, 3) + more


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, whose layout keeps everything inside and apart."""
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08))


def title(figure: Figure, what: str, results: Results) -> None:
    """Write what a figure shows, and of which chip, network and delivery."""
    columns = int(figure.get_figwidth() * 13)
    chip, delivery = results.machine
    told = [chip, str(results.summary["network"]), delivery]
    if results.summary.get("overlap") not in (None, "none"):
        told.append(f"overlap {results.summary['overlap']}")
    for name, key in (("microbatch", "microbatch"), ("cores", "cores_per_layer")):
        if results.summary.get(key) is not None:
            told.append(f"{name} {listed(results.summary[key])}")
    where = fill(" | ".join(told), columns, break_on_hyphens=False)
    figure.suptitle(f"{fill(what, columns)}\n{where}", fontsize=10.5)


def foot(figure: Figure, handles: Sequence[Artist], *, columns: int = 5, note: str = "") -> None:
    """Put the legend of all panels below them, under a note in small print."""
    if not handles:
        return
    longest = max(len(str(handle.get_label())) for handle in handles)
    room = int(figure.get_figwidth() / (0.6 + 0.06 * longest))  # inches of a sample line and of a letter
    legend = figure.legend(
        handles=list(handles), loc="outside lower center", handlelength=3.0,
        ncols=max(1, min(columns, room, len(handles))),
        title=fill(note, int(figure.get_figwidth() * 18)) or None, title_fontsize=7.5,
    )  # fmt: skip
    legend.get_title().set_multialignment("center")


def part_handles(names: Sequence[str], looks: Mapping[str, Look]) -> list[Patch]:
    """Return the legend's entries of the parts of bars."""
    return [
        Patch(facecolor=looks[n].colour, hatch=looks[n].hatch, edgecolor=looks[n].edge, linewidth=0.4, label=spoken(n))
        for n in names
    ]


def si_axis(axis: Axis, unit: str = "", *, ticks: int = 5) -> None:
    """Write the numbers of a linear axis with SI prefixes: ``200 k``, ``5 mJ``."""
    axis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(EngFormatter(unit=unit))


def stacked(ax: Axes, rules: Sequence[str], parts: Mapping[str, Sequence[float]], looks: Mapping[str, Look]) -> None:
    """Draw a horizontal bar for each rule, of its parts one after the other; NaN counts as nothing."""
    left = [0.0] * len(rules)
    for name, values in parts.items():
        look = looks[name]
        # Bars of no length are not drawn: their hatches would fill the file.
        rows = [row for row, value in enumerate(values) if value > 0]
        ax.barh(
            rows, [values[row] for row in rows], left=[left[row] for row in rows], height=0.72,
            color=look.colour, hatch=look.hatch, edgecolor=look.edge, linewidth=0.4,
        )  # fmt: skip
        for row in rows:
            left[row] += values[row]
    ax.set_xlim(0, max(left) * 1.04 if max(left) > 0 else 1)
    rule_axis(ax, rules)


def rule_axis(ax: Axes, rules: Sequence[str]) -> None:
    """Name the rows of a panel, the first one on top."""
    ax.set_yticks(range(len(rules)), rules)
    ax.set_ylim(len(rules) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x")


def spoken(name: str) -> str:
    """Write a name of the tables as words."""
    return name.replace("_", " ")


def present(names: Sequence[str], panels: Iterable[Mapping[str, Sequence[float]]]) -> list[str]:
    """Return the names that are more than nothing in some panel."""
    drawn = list(panels)
    return [name for name in names if any(value > 0 for parts in drawn for value in parts.get(name, ()))]


def save(figure: Figure, path: Path) -> list[Path]:
    """Write a figure as SVG and PNG beside each other, each whole or not at all; return their paths."""
    metadata: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "png": {"Software": None}}
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # it is laid out; every format would do it again
    paths = [path.with_suffix(f".{kind}") for kind in FORMATS]
    for kind, target in zip(FORMATS, paths, strict=True):
        with replacing(target) as temporary:
            figure.savefig(os.fspath(temporary), format=kind, dpi=150, metadata=metadata[kind])
    figure.clear()
    return paths
