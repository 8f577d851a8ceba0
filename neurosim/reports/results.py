"""Results: the tables of a run as reports read them, with the sums and shares that several of them show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from neurosim.errors import RunError
from neurosim.reports.checks import COST_COLUMNS, TARGET_NAMES, check_costs, check_history, check_summary

_LEARNED = ["seed", "epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy"]

Machine = tuple[str, str]


@dataclass(frozen=True)
class Results:
    """What a run found: ``history`` by rule, seed and epoch, ``costs`` of a step (tidy), and its ``summary``.

    Raises:
        RunError: a column or a key that every report needs is absent, a value is none of its kind, or a row stands
            there twice.
    """

    history: pd.DataFrame
    costs: pd.DataFrame
    summary: Mapping[str, Any]

    def __post_init__(self) -> None:
        check_summary(self.summary)
        check_history(self.history)
        check_costs(self.costs)
        if self.machine not in self.machines:
            raise RunError(f"costs.csv: has no costs of {self.machine[0]} with {self.machine[1]}; make the run again")

    @property
    def machine(self) -> Machine:
        """The chip and delivery of the run."""
        return str(self.summary["chip"]), str(self.summary["delivery"])

    @cached_property
    def machines(self) -> list[Machine]:
        """Every (chip, delivery) that was costed, in order of appearance."""
        pairs = self.costs[["chip", "delivery"]].astype(str).drop_duplicates()
        return list(pairs.itertuples(index=False, name=None))

    @property
    def compared(self) -> list[Machine]:
        """The run's own machine, then one of each other chip."""
        others = {chip: (chip, delivery) for chip, delivery in reversed(self.machines) if chip != self.machine[0]}
        return [self.machine, *reversed(others.values())]

    @property
    def deliveries(self) -> list[str]:
        """The deliveries in which the run's chip was costed, in alphabetical order."""
        return sorted(delivery for chip, delivery in self.machines if chip == self.machine[0])

    @cached_property
    def rules(self) -> list[str]:
        """The rules that were costed, in order of appearance."""
        return list(dict.fromkeys(self.costs["rule"]))

    @cached_property
    def learned_as(self) -> dict[str, str]:
        """Rule -> the first rule of the history that learned the same, to the bit: bp-mirrored as bp."""
        first: dict[bytes, str] = {}
        same: dict[str, str] = {}
        for rule, rows in self.history.groupby("rule", sort=False):
            learned = rows[_LEARNED].sort_values(["seed", "epoch"]).to_numpy(dtype=float).tobytes()
            same[str(rule)] = first.setdefault(learned, str(rule))
        return {rule: other for rule, other in same.items() if rule != other}

    @cached_property
    def learned(self) -> pd.DataFrame:
        """The history of the rules that learned something of their own: without those of ``learned_as``."""
        return self.history[~self.history["rule"].isin(list(self.learned_as))]

    @property
    def batch_size(self) -> int:
        """Samples of a step."""
        return int(self.summary["batch_size"])

    @property
    def quantities(self) -> list[str]:
        """The names of all quantities, in order of appearance."""
        return list(dict.fromkeys(self.costs["quantity"]))

    @cached_property
    def _places(self) -> dict[tuple[Machine, str, str], list[tuple[str, int, float]]]:
        places: dict[tuple[Machine, str, str], list[tuple[str, int, float]]] = {}
        for chip, delivery, rule, phase, layer, quantity, value in self.costs[list(COST_COLUMNS)].to_numpy().tolist():
            places.setdefault(((chip, delivery), rule, quantity), []).append((phase, int(layer), float(value)))
        return places

    def of_layers(self, rule: str, quantity: str, *, phase: str, machine: Machine | None = None) -> dict[int, float]:
        """Return a quantity of a step by layer."""
        found = self._places.get((machine or self.machine, rule, quantity), [])
        return {layer: value for place, layer, value in found if place == phase}

    def of_step(self, rule: str, quantity: str, *, phase: str | None = None, machine: Machine | None = None) -> float:
        """Return a quantity of a step, summed over layers and, without ``phase``, phases; NaN where nothing is."""
        found = self._places.get((machine or self.machine, rule, quantity), [])
        values = [value for place, _, value in found if phase in (None, place)]
        return math.fsum(values) if values else math.nan

    def of_sample(self, rule: str, quantity: str, *, phase: str | None = None, machine: Machine | None = None) -> float:
        """Return a quantity per sample: that of a step over its samples."""
        return self.of_step(rule, quantity, phase=phase, machine=machine) / self.batch_size

    def has(self, rule: str, machine: Machine) -> bool:
        """Return whether a rule was costed on a machine."""
        return (machine, rule, "total_energy_pj") in self._places

    @cached_property
    def energy_components(self) -> list[str]:
        """The components of energy, without the total."""
        return [
            name.removesuffix("_energy_pj")
            for name in self.quantities
            if name.endswith("_energy_pj") and name != "total_energy_pj"
        ]

    @cached_property
    def has_borders(self) -> bool:
        """Whether some rule sends something from one chip to another on the run's machine."""
        return any(self.of_step(rule, "border_bit_hops") > 0 for rule in self.rules)

    def named(self, prefix: str, suffix: str) -> list[str]:
        """Return what stands between a prefix and a suffix in the names of quantities."""
        return [
            name.removeprefix(prefix).removesuffix(suffix)
            for name in self.quantities
            if name.startswith(prefix) and name.endswith(suffix)
        ]

    def last_epochs(self, rule: str) -> pd.DataFrame:
        """Return the row of the last epoch of every seed of a rule."""
        mine = self.history[self.history["rule"] == rule]
        return mine.sort_values("epoch", kind="stable").groupby("seed", sort=True).tail(1)

    def to_target(self, rule: str) -> dict[str, float]:
        """Return epochs, seconds, joules and bit_hops until the target accuracy; NaN where it was never reached."""
        found = (self.summary.get("to_target") or {}).get(rule) or {}
        return {name: number_of(found.get(name)) for name in TARGET_NAMES}

    @property
    def published(self) -> Mapping[str, Mapping[str, Any]]:
        """Rule -> its published result, of the rules whose recipe is a known one."""
        found: Mapping[str, Mapping[str, Any]] = self.summary.get("published") or {}
        return found

    def setting(self, key: str, rule: str) -> Any:
        """Return a setting of the summary that may be one for all rules or one for each."""
        value = self.summary.get(key)
        return value.get(rule) if isinstance(value, Mapping) else value


def number_of(value: Any) -> float:
    """Return a number of the summary, NaN where it has none."""
    return math.nan if value is None else float(value)


def listed(values: Any) -> str:
    """Write a sequence as ``31/32/1``, anything else as it is."""
    if isinstance(values, Sequence) and not isinstance(values, str):
        return "/".join(str(value) for value in values)
    return str(values)
