"""Section: one topic of the validation: what was compared, reference and source, our value, the error and its limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

EXACT = 0.0
"""Limit of the error of what must agree to the integer."""


@dataclass(frozen=True)
class Row:
    """One comparison. ``error`` is relative, ours / reference - 1, unless ``points`` (a difference in ``unit``).

    A difference of two percentages is shown in points.

    ``limit`` is the largest error (its absolute value) that passes; None where a reference is shown for comparison and
    nothing is claimed, with the reason in ``note``.
    """

    what: str
    reference: float
    ours: float
    source: str
    unit: str = ""
    limit: float | None = None
    points: bool = False
    note: str = ""

    @property
    def error(self) -> float:
        """Our value against the reference."""
        if self.points or self.reference == 0:
            return self.ours - self.reference
        return self.ours / self.reference - 1

    @property
    def passes(self) -> bool:
        """Whether the error is within its limit."""
        return self.limit is None or (not math.isnan(self.error) and abs(self.error) <= self.limit + 1e-12)


@dataclass(frozen=True)
class Table:
    """A table of the page beside the rows: headings and cells as text."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Extent:
    """How much of a section is run: what takes seconds, or all; trainings are kept in ``folder`` and go on there."""

    quick: bool
    folder: Path


@dataclass(frozen=True)
class Section:
    """What a topic's ``validate(extent)`` returns. ``figures`` go by file name."""

    title: str
    text: str
    rows: list[Row]
    tables: list[Table] = field(default_factory=list)
    figures: dict[str, tuple[str, Figure]] = field(default_factory=dict)


def text_of(name: str) -> str:
    """Return the prose of a section, which lies beside its module."""
    return (Path(__file__).parent / f"{name}.md").read_text(encoding="utf-8")


def shown_error(row: Row) -> str:
    """Return an error as text."""
    if row.points:
        error = round(row.error, 9) + 0.0 if row.unit else row.error  # no rounding errors of means
        return f"{error:+.3g} {_unit_of_difference(row)}".strip()
    return "exact" if row.error == 0 else f"{100 * row.error:+.3g} %"


def shown_limit(row: Row) -> str:
    """Return a limit as text."""
    if row.limit is None:
        return "none"
    if row.limit == EXACT:
        return "exact"
    return f"{row.limit:g} {_unit_of_difference(row)}".strip() if row.points else f"{100 * row.limit:g} %"


def _unit_of_difference(row: Row) -> str:
    return "points" if row.unit == "%" else row.unit


def markdown(section: Section, folder: str) -> str:
    """Return a section as Markdown; its figures lie in ``folder``."""
    parts = [f"## {section.title}", section.text.strip()]
    if section.rows:
        lines = [
            (row.what, _number(row.reference, row), _number(row.ours, row), shown_error(row), shown_limit(row),
             "; ".join(text for text in (row.source, row.note) if text))
            for row in section.rows
        ]  # fmt: skip
        parts.append(_table(("what", "reference", "ours", "error", "limit", "source"), lines))
    for table in section.tables:
        parts += [f"**{table.title}**", _table(table.headings, table.rows)]
    parts += [f"![{caption}]({folder}/{name}.png)\n\n{caption}" for name, (caption, _) in section.figures.items()]
    return "\n\n".join(parts) + "\n"


def _number(value: float, row: Row) -> str:
    text = f"{value:,.0f}".replace(",", " ") if float(value).is_integer() and abs(value) < 1e15 else f"{value:.4g}"
    return f"{text} {row.unit}".strip()


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
