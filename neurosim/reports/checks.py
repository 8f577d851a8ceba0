"""Checks of what reports read: tables and summary of a run, which may be damaged, each named by its place and value."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from neurosim.errors import RunError

HISTORY_KEY = ("rule", "seed", "epoch")
COSTS_KEY = ("chip", "delivery", "rule", "phase", "layer", "quantity")
HISTORY_COLUMNS = (*HISTORY_KEY, "train_loss", "train_accuracy", "test_loss", "test_accuracy", "seconds")
COST_COLUMNS = (*COSTS_KEY, "value")
SUMMARY_KEYS = ("network", "chip", "delivery", "batch_size")
TARGET_NAMES = ("epochs", "seconds", "joules", "bit_hops")

_WHOLE = ("seed", "epoch", "layer")
_SPENT = ("seconds", "joules", "bit_hops", "value")
_AGAIN = "make the run again"


def check_history(history: pd.DataFrame) -> None:
    """Raise RunError unless a history has its columns, rows, numbers, and every rule, seed and epoch once.

    Losses, accuracies and angles may be NaN or infinite: they do not apply, or training diverged.
    """
    _check_columns("history.csv", HISTORY_COLUMNS, history)
    if history.empty:
        raise RunError(f"history.csv: has a header and no rows; {_AGAIN}")
    _check_names("history.csv", history, ("rule",))
    for column in history.columns.drop(["rule"]):
        _check_numbers("history.csv", history, str(column))
    _check_once("history.csv", history, HISTORY_KEY)


def check_costs(costs: pd.DataFrame) -> None:
    """Raise RunError unless costs have their columns, names and finite values, and every quantity of a place once."""
    _check_columns("costs.csv", COST_COLUMNS, costs)
    _check_names("costs.csv", costs, ("chip", "delivery", "rule", "phase", "quantity"))
    for column in ("layer", "value"):
        _check_numbers("costs.csv", costs, column)
    _check_once("costs.csv", costs, COSTS_KEY)


def check_summary(summary: Mapping[str, Any]) -> None:
    """Raise RunError unless a summary has its keys and each of them the type that reports read."""
    _check_columns("summary.json", SUMMARY_KEYS, summary)
    for key, (holds, wanted) in _SUMMARY_TYPES.items():
        if key in summary and not holds(summary[key]):
            raise RunError(f"summary.json: {key}: {_shown(summary[key])}: must be {wanted}; {_AGAIN}")


def _check_columns(file: str, wanted: tuple[str, ...], there: Any) -> None:
    absent = [name for name in wanted if name not in there]
    if absent:
        raise RunError(f"{file}: has no {', '.join(absent)}, which a report needs; {_AGAIN}")


def _check_names(file: str, frame: pd.DataFrame, columns: tuple[str, ...]) -> None:
    for column in columns:
        named = frame[column].map(lambda value: isinstance(value, str) and value != "").astype(bool)
        _refuse_first(file, frame, column, ~named.to_numpy(), "a name")


def _check_numbers(file: str, frame: pd.DataFrame, column: str) -> None:
    """Whole numbers where things are numbered, finite ones where something is spent, else any, NaN among them."""
    values = frame[column]
    numbers = pd.to_numeric(values, errors="coerce")
    found = np.full(len(values), np.nan) if values.dtype == bool else numbers.to_numpy(dtype=float)
    finite, wanted = np.isfinite(found), "a number"
    if column in _WHOLE:
        wrong, wanted = ~(finite & (np.floor(found) == found) & (found >= 0)), "a whole number"
    elif column in _SPENT:
        wrong = ~finite
    else:
        wrong = np.isnan(found) & values.notna().to_numpy()
    _refuse_first(file, frame, column, wrong, wanted)


def _refuse_first(file: str, frame: pd.DataFrame, column: str, wrong: np.ndarray[Any, Any], wanted: str) -> None:
    if wrong.any():
        row = int(wrong.argmax())
        value = frame[column].iloc[row]
        told = "nothing" if pd.isna(value) else repr(value.item() if isinstance(value, np.generic) else value)
        raise RunError(f"{file}: line {row + 2}, {column}: {told}: must be {wanted}; {_AGAIN}")


def _check_once(file: str, frame: pd.DataFrame, key: tuple[str, ...]) -> None:
    doubled = frame.duplicated(list(key)).to_numpy()
    if doubled.any():
        row = int(doubled.argmax())
        place = ", ".join(str(frame[name].iloc[row]) for name in key)
        raise RunError(f"{file}: line {row + 2}: {place}: stands there twice; {_AGAIN}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_number_or_none(value: Any) -> bool:
    return value is None or _is_number(value)


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 1 and value % 1 == 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_list_or_none(value: Any) -> bool:
    return value is None or isinstance(value, list | tuple)


def _is_of_targets(value: Any) -> bool:
    """A table by rule of tables by TARGET_NAMES of numbers or None."""
    if value is None:
        return True
    return isinstance(value, Mapping) and all(
        found is None
        or (isinstance(found, Mapping) and all(_is_number_or_none(found.get(name)) for name in TARGET_NAMES))
        for found in value.values()
    )


def _is_published(value: Any) -> bool:
    """A table by rule of published accuracies in percent, epochs and source."""
    if value is None:
        return True
    return isinstance(value, Mapping) and all(
        isinstance(found, Mapping)
        and _is_number(found.get("test_accuracy_percent"))
        and _is_number_or_none(found.get("train_accuracy_percent"))
        and _is_count(found.get("epochs"))
        and _is_text(found.get("source"))
        and isinstance(found.get("confirmed"), bool)
        for found in value.values()
    )


_SUMMARY_TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "network": (lambda value: isinstance(value, str), "a name"),
    "chip": (_is_text, "a name"),
    "delivery": (_is_text, "a name"),
    "batch_size": (_is_count, "a whole number from 1"),
    "target_accuracy": (_is_number_or_none, "a number or null"),
    "to_target": (_is_of_targets, f"a table by rule of {', '.join(TARGET_NAMES)}, each a number or null"),
    "published": (
        _is_published,
        "a table by rule of test_accuracy_percent, train_accuracy_percent (or null), epochs, source and confirmed",
    ),
    "notes": (_is_list_or_none, "a list"),
    "assumed": (_is_list_or_none, "a list"),
}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
