"""SweepResults: the table of a sweep as its figures read it: what is on the x axis, series of points, and panels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

OK = "ok"
CHIP = "chip"
MOST_PANELS = 6
_AXIS = "axis."

Panel = tuple[str, pd.DataFrame, pd.DataFrame]
"""A title, the points on the chip, and those of the von Neumann machine."""


@dataclass(frozen=True)
class SweepResults:
    """The rows of a sweep's table, drawn against column ``x``.

    ``weak`` where the network grows with the cores; the axes ``tied`` go side by side and count as one.
    """

    table: pd.DataFrame
    x: str
    chip: str
    weak: bool = False
    tied: tuple[str, ...] = ()

    @cached_property
    def ran(self) -> pd.DataFrame:
        """The points on the chip that were measured."""
        return self._measured[self._measured["machine"] == CHIP]

    @cached_property
    def references(self) -> pd.DataFrame:
        """The points on the von Neumann machine that were measured."""
        return self._measured[self._measured["machine"] != CHIP]

    @property
    def _measured(self) -> pd.DataFrame:
        return self.table[self.table["status"] == OK]

    @cached_property
    def rules(self) -> list[str]:
        """The rules of the sweep, in order."""
        return [str(rule) for rule in dict.fromkeys(self.table["rule"])]

    @cached_property
    def ticks(self) -> pd.Series:
        """The different values of the x axis in the order of the table, with those where nothing was measured."""
        return self.on_chip[self.x].dropna().drop_duplicates()

    def unmeasured(self, rows: pd.DataFrame) -> pd.Series:
        """Return where on the x axis the series of ``rows``, all of one rule and panel, has points without a result."""
        lost = self.on_chip[self.on_chip["status"] != OK]
        for name in ("rule", *self.others):
            value = rows[name].iloc[0]
            lost = lost[lost[name].isna() if pd.isna(value) else lost[name] == value]
        return lost[self.x].dropna()

    @property
    def on_chip(self) -> pd.DataFrame:
        """All points on the chip, measured or not."""
        return self.table[self.table["machine"] == CHIP]

    def varies(self, field: str) -> bool:
        """Whether an axis of the sweep is this field."""
        names = [str(name) for name in self.table]
        return any(name.startswith(_AXIS) and name.rpartition(".")[2] == field for name in names)

    @property
    def numeric(self) -> bool:
        """Whether the x axis is one of numbers."""
        return bool(pd.api.types.is_numeric_dtype(self.table[self.x]))

    @property
    def x_name(self) -> str:
        """What stands on the x axis, in words."""
        beside = [name for name in self.tied if f"{_AXIS}{name}" != self.x and name not in ("cores", "chips")]
        more = f" (and {', '.join(name.rpartition('.')[2] for name in beside)})" if beside else ""
        return self.x.removeprefix(_AXIS) + more

    @cached_property
    def others(self) -> list[str]:
        """Axes with several values that are neither the rule nor on the x axis."""
        apart = {self.x, "axis.rule", *(f"{_AXIS}{name}" for name in self.tied)}
        if self.x == "cores":
            apart |= set(self._varied(["axis.cores", "axis.chips"])[:1])
        names = [str(name) for name in self.table if str(name).startswith(_AXIS)]
        return self._varied([name for name in names if name not in apart])

    def _varied(self, names: Sequence[str]) -> list[str]:
        on_chip = self.on_chip
        return [name for name in names if name in on_chip and on_chip[name].nunique(dropna=False) > 1]

    def panels(self) -> Iterator[Panel]:
        """Yield (title, points on the chip, points of the von Neumann machine) for every value of the other axes."""
        if not self.others:
            yield "", self.ran, self.references
            return
        for values, rows in self.ran.groupby(self.others, sort=False, dropna=False):
            each: tuple[Any, ...] = values if isinstance(values, tuple) else (values,)
            named = {name: value for name, value in zip(self.others, each, strict=True) if pd.notna(value)}
            title = ", ".join(f"{name.removeprefix(_AXIS)} {_plain(value)}" for name, value in named.items())
            yield title, rows, self._reference_of(named)

    def _reference_of(self, named: dict[str, Any]) -> pd.DataFrame:
        """The von Neumann rows of a panel: those with its values, on axes on which that machine stands at all."""
        rows = self.references
        for name, value in named.items():
            if name in rows:
                rows = rows[rows[name].isna() | (rows[name] == value)]
        return rows

    def constant(self, column: str) -> Any:
        """Return the one value that a column has in all points on the chip, or None."""
        values: list[Any] = self.ran[column].dropna().unique().tolist() if column in self.ran else []
        return values[0] if len(values) == 1 else None


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
