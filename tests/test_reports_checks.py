"""Damaged tables and summaries are refused with file, place and value before anything is drawn."""

from __future__ import annotations

import math
import re
from typing import Any

import pandas as pd
import pytest
from reports_case import costs, history, summary

from neurosim.errors import RunError
from neurosim.reports.results import Results


def refusal(frame: pd.DataFrame | None = None, priced: pd.DataFrame | None = None, **changes: Any) -> str:
    """Return what is said about results of which one part was changed."""
    with pytest.raises(RunError) as refused:
        Results(history() if frame is None else frame, costs() if priced is None else priced, summary(**changes))
    assert "\n" not in str(refused.value)
    return str(refused.value)


def changed(frame: pd.DataFrame, row: int, column: str, value: Any) -> pd.DataFrame:
    """Return a table with one value changed."""
    values = frame[column].astype(object).tolist()
    values[row] = value
    return frame.assign(**{column: pd.Series(values, dtype=object)})


@pytest.mark.parametrize(
    ("frame", "priced", "key", "named"),
    [
        (history().drop(columns="seed"), None, {}, "history.csv: has no seed"),
        (None, costs().drop(columns="delivery"), {}, "costs.csv: has no delivery"),
        (None, None, {"chip": "mesh64"}, "costs.csv: has no costs of mesh64 with multicast"),
        (history().iloc[:0], None, {}, "history.csv: has a header and no rows; make the run again"),
    ],
)
def test_what_is_missing_is_named(
    frame: pd.DataFrame | None, priced: pd.DataFrame | None, key: dict[str, Any], named: str
) -> None:
    assert named in refusal(frame, priced, **key)


def test_a_summary_that_lacks_keys_is_told_which() -> None:
    with pytest.raises(RunError, match=r"summary.json: has no network, delivery, batch_size, which a report needs"):
        Results(history(), costs(), {"chip": "tiny"})
    with pytest.raises(RunError, match=r"summary.json: has no network, chip, delivery, batch_size"):
        Results(history(), costs(), {})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"batch_size": "x"}, "batch_size: 'x': must be a whole number from 1"),
        ({"batch_size": None}, "batch_size: None: must be a whole number"),
        ({"batch_size": 0}, "batch_size: 0: must be a whole number from 1"),
        ({"batch_size": math.nan}, "batch_size: nan: must be a whole number"),
        ({"batch_size": True}, "batch_size: True: must be a whole number"),
        ({"to_target": [1, 2]}, "to_target: [1, 2]: must be a table by rule"),
        ({"to_target": {"bp": {"epochs": "soon"}}}, "to_target: {'bp': {'epochs': 'soon'}}: must be a table"),
        ({"chip": 3}, "chip: 3: must be a name"),
        ({"target_accuracy": "high"}, "target_accuracy: 'high': must be a number or null"),
        ({"notes": 5}, "notes: 5: must be a list"),
        ({"assumed": {"a": 1}}, "assumed: {'a': 1}: must be a list"),
    ],
)
def test_a_value_of_the_summary_of_another_type_is_named(changes: dict[str, Any], said: str) -> None:
    assert refusal(**changes).startswith(f"summary.json: {said}")


@pytest.mark.parametrize(
    ("row", "column", "value", "said"),
    [
        (2, "train_loss", "oops", "line 4, train_loss: 'oops': must be a number"),
        (0, "epoch", 0.5, "line 2, epoch: 0.5: must be a whole number"),
        (1, "seed", None, "line 3, seed: nothing: must be a whole number"),
        (1, "seconds", math.inf, "line 3, seconds: inf: must be a number"),
        (1, "delta_angle_deg_1", "x", "line 3, delta_angle_deg_1: 'x': must be a number"),
        (5, "rule", None, "line 7, rule: nothing: must be a name"),
        (1, "epoch", 0, "line 3: bp, 0, 0: stands there twice"),
    ],
)
def test_a_wrong_value_of_the_history_is_named(row: int, column: str, value: Any, said: str) -> None:
    assert refusal(changed(history(), row, column, value)).startswith(f"history.csv: {said}")


@pytest.mark.parametrize(
    ("row", "column", "value", "said"),
    [
        (3, "value", "many", "line 5, value: 'many': must be a number"),
        (3, "value", math.nan, "line 5, value: nothing: must be a number"),
        (3, "layer", "first", "line 5, layer: 'first': must be a whole number"),
        (3, "quantity", None, "line 5, quantity: nothing: must be a name"),
    ],
)
def test_a_wrong_value_of_the_costs_is_named(row: int, column: str, value: Any, said: str) -> None:
    assert refusal(priced=changed(costs(), row, column, value)).startswith(f"costs.csv: {said}")


def test_a_quantity_that_stands_twice_is_refused_and_not_summed() -> None:
    doubled = pd.concat([costs(), costs().iloc[[7]].assign(value=1.0)], ignore_index=True)
    said = refusal(priced=doubled)
    assert re.match(rf"costs.csv: line {len(doubled) + 1}: tiny, multicast, bp, \w+, \d, \w+: stands there twice", said)


def test_losses_and_accuracies_may_be_absent_or_infinite() -> None:
    lost = history().assign(train_accuracy=math.nan, test_accuracy=math.nan, train_loss=math.inf)
    assert Results(lost, costs(), summary()).rules == ["bp", "bp-mirrored", "ssdfa"]
