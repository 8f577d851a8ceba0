"""The table of a sweep as text: a line for every point, with what a person decides by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from neurosim.reports.sweep_results import SweepResults
from neurosim.units import human

MOST_LINES = 60
"""Lines on a terminal; the table in the folder has every point."""


def _number(text: Callable[[float], str]) -> Callable[[Any], str]:
    return lambda value: "" if pd.isna(value) else text(float(value))


_COLUMNS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "cores": ("cores", _number(lambda v: f"{v:.0f}")),
    "microbatch": ("m", _number(lambda v: f"{v:.0f}")),
    "seconds": ("time", _number(lambda v: human(v, "seconds"))),
    "speedup": ("speed-up", _number(lambda v: f"{v:.2f}")),
    "efficiency": ("efficiency", _number(lambda v: f"{100 * v:.0f} %")),
    "energy_joules": ("energy", _number(lambda v: human(v, "joules"))),
    "bit_hops": ("bit-hops", _number(lambda v: human(v))),
    "border_bit_hops": ("between chips", _number(lambda v: human(v))),
    "macs": ("MACs", _number(lambda v: human(v))),
    "memory_accesses": ("memory accesses", _number(lambda v: human(v))),
    "stored_bits": ("memory", _number(lambda v: human(v / 8, "bytes"))),
    "bound_by": ("bound by", lambda value: "" if pd.isna(value) else str(value)),
    "test_accuracy": ("test accuracy", _number(lambda v: f"{100 * v:.2f} %")),
    "training_joules": ("training energy", _number(lambda v: human(v, "joules"))),
}
"""Columns of the table -> heading and how a value is written; those that are empty or 0 throughout are left out."""


def sweep_rows(results: SweepResults) -> tuple[list[str], list[list[str]]]:
    """Return headings and one row of text for every point."""
    table = results.table
    axes = [str(name) for name in table if str(name).startswith("axis.")]
    axes = [name for name in axes if name not in ("axis.rule", "axis.cores")]
    axes = [name for name in axes if table[name].nunique(dropna=False) > 1]
    if "axis.network" not in axes and table["network"].nunique() > 1:
        axes = ["network", *axes]
    measured = [name for name in _COLUMNS if name in table and (table[name].notna() & (table[name] != 0)).any()]
    headings = ["rule", *(name.removeprefix("axis.") for name in axes), *(_COLUMNS[name][0] for name in measured)]
    several = (table["machine"] != "chip").any()
    failed = (table["status"] != "ok").any()
    rows = []
    for _, row in table.iterrows():
        cells = [str(row["rule"]), *(_axis_value(row[name]) for name in axes)]
        cells += [_COLUMNS[name][1](row[name]) for name in measured]
        cells += ["" if row["machine"] == "chip" else str(row["machine"])] if several else []
        cells += ["" if row["status"] == "ok" else _problem(row)] if failed else []
        rows.append(cells)
    return [*headings, *(["machine"] if several else []), *(["status"] if failed else [])], rows


def _axis_value(value: Any) -> str:
    if pd.isna(value):
        return ""
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _problem(row: pd.Series[Any]) -> str:
    error = "" if pd.isna(row["error"]) else str(row["error"])
    return f"{row['status']}: {error}" if error else str(row["status"])


def sweep_text(results: SweepResults) -> str:
    """Return the table as plain text, columns aligned."""
    headings, rows = sweep_rows(results)
    widths = [max(len(row[column]) for row in (headings, *rows)) for column in range(len(headings))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (headings, *rows)]
    return "\n".join(line.rstrip() for line in lines) + "\n"
