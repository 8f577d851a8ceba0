"""The table of a sweep: a row for every point, with where it stands, what became of it, and what it is."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from neurosim.descriptions import parse_value
from neurosim.sweeps.description import Sweep
from neurosim.sweeps.executors import Row
from neurosim.sweeps.measure import OK
from neurosim.sweeps.points import Point

if TYPE_CHECKING:
    import pandas as pd

WAITING = "not run"
"""Status of a point that nobody has computed yet."""

AXIS = "axis."
"""Before the names of the columns that say where a point stands on an axis."""


def make_table(points: Sequence[Point], rows: Mapping[str, Row], sweep: Sweep) -> pd.DataFrame:
    """Return a row for every point in order: coordinates, status, what was measured, and the full description."""
    import pandas as pd

    found = [_row(point, rows) for point in points]
    columns = dict.fromkeys(name for row in found for name in row)
    order = sorted(columns, key=_section)
    frame = pd.DataFrame(found, columns=order)
    for name in order:
        kinds = {type(value) for value in frame[name].dropna()}
        if kinds == {int} and max(abs(value) for value in frame[name].dropna()) >= 1 << 63:
            frame[name] = frame[name].astype(float)  # no file holds larger whole numbers
        elif len(kinds) > 1 and not kinds <= {int, float}:
            # "auto" among numbers: a column of a file has one kind.
            frame[name] = [None if pd.isna(value) else str(value) for value in frame[name]]
    return with_speedup(frame, along(sweep), [f"{AXIS}{name}" for name in sweep.tied])


def along(sweep: Sweep) -> str:
    """Return the column that figures have on their x axis: cores where they are varied, else the first other axis."""
    if {"cores", "chips"} & set(sweep.several):
        return "cores"
    others = [name for name in sweep.several if name != "rule"]
    return f"{AXIS}{others[0]}" if others else "rule"


def with_speedup(frame: pd.DataFrame, x: str, tied: Sequence[str] = ()) -> pd.DataFrame:
    """Return the table with ``speedup``, ``speedup_from`` and, along cores, ``efficiency`` of every point.

    A speed-up is the seconds of the series' first point that ran, the one with the least ``x``, over those of the
    point; ``speedup_from`` is that x. A series has one rule, and one value of every other axis that is not ``tied`` to
    x because they go side by side. Where the network grows with the cores (weak scaling), it is times the ratio of
    their forward MACs. There is no efficiency where other axes are tied to the cores: what they change is not theirs.
    """
    frame = frame.assign(speedup=math.nan, speedup_from=math.nan)
    if "seconds" not in frame or x not in frame or not _numeric(frame[x]):
        return frame
    fixed = [str(name) for name in frame if str(name).startswith(AXIS) and name not in (x, *tied)]
    if x == "cores":
        fixed = [name for name in fixed if name not in _COUNTED]
    ran = frame[(frame["status"] == OK) & (frame["machine"] == "chip")]
    for _, series in ran.groupby(fixed, dropna=False, sort=False) if fixed else [("", ran)]:
        if series.empty:
            continue
        first = series.sort_values(x, kind="stable").iloc[0]
        work = series["forward_macs"] / first["forward_macs"]
        frame.loc[series.index, "speedup"] = first["seconds"] / series["seconds"] * work
        frame.loc[series.index, "speedup_from"] = first[x]
    if x == "cores" and set(tied) <= set(_COUNTED):
        frame["efficiency"] = frame["speedup"] * frame["speedup_from"] / frame["cores"]
    return frame


_COUNTED = (f"{AXIS}cores", f"{AXIS}chips")


def _numeric(column: pd.Series[Any]) -> bool:
    import pandas as pd

    return bool(pd.api.types.is_numeric_dtype(column))


def _section(name: str) -> int:
    """Order columns by what they are: coordinates, status, measured, described."""
    if name.startswith(AXIS) or name in ("machine", "id"):
        return 0
    if name in ("status", "error", "wall_seconds"):
        return 1
    return 3 if name.partition(".")[0] in ("network", "rule", "chip", "recipe", "learning") and "." in name else 2


def _row(point: Point, rows: Mapping[str, Row]) -> Row:
    """Return what is known of a point, flat."""
    measured = rows.get(point.id, {"status": WAITING, "error": ""})
    learned = rows.get(point.learning_id, {"status": WAITING, "error": ""}) if point.learning_id else {}
    row: Row = {"id": point.id, "machine": point.machine}
    row |= {f"{AXIS}{name}": _value(value) for name, value in point.coordinates.items()}
    row |= {"network": point.network.name, "rule": point.rule.name, "chip": point.chip.name}
    row["cores"] = point.chip.cores
    row |= {**learned, **measured}
    if learned and measured["status"] == OK and learned["status"] != OK:
        row |= {"status": learned["status"], "error": learned["error"]}
    return row | dict(_described(point))


def _value(value: Any) -> Any:
    """Return a coordinate as the number it is, else as its text."""
    found = parse_value(value) if isinstance(value, str) else value
    return found if isinstance(found, int | float) and not isinstance(found, bool) else str(value)


def _described(point: Point) -> Iterator[tuple[str, Any]]:
    """Yield every single value of the point's descriptions by its dotted name."""
    for part, model in (
        ("network", point.network),
        ("rule", point.rule),
        ("chip", point.chip),
        ("recipe", point.recipe),
    ):
        yield from _leaves(model.model_dump(exclude={"sources"}), f"{part}.")
    for name in ("fidelity", "per", "samples"):
        yield name, getattr(point, name)
    if point.learning is not None:
        yield from _leaves(point.learning.model_dump(), "learning.")


def _leaves(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, json.dumps(value) if isinstance(value, list | tuple) else value
