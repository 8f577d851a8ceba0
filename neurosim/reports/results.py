"""Results: the tables of a run as reports read them, with the sums and shares that several of them show."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from neurosim.errors import RunError

TRAINED_AS = {"bp-mirrored": "bp"}
"""A rule that costs differently but learns the same, to the bit -> the rule whose training stands for both."""

HISTORY_COLUMNS = ("rule", "seed", "epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "seconds")
COST_COLUMNS = ("chip", "delivery", "rule", "phase", "layer", "quantity", "value")
SUMMARY_KEYS = ("network", "chip", "delivery", "batch_size")
CUMULATIVE = {"seconds": "seconds", "joules": "total_energy_pj", "bit_hops": "bit_hops"}
"""Cumulative column of the history -> the quantity of a step that it grows with."""

Machine = tuple[str, str]


@dataclass(frozen=True)
class Results:
    """What a run found: ``history`` by rule, seed and epoch, ``costs`` of a step (tidy), and its ``summary``.

    Raises:
        RunError: a column or a key that every report needs is absent.
    """

    history: pd.DataFrame
    costs: pd.DataFrame
    summary: Mapping[str, Any]

    def __post_init__(self) -> None:
        for name, wanted, there in (
            ("history.csv", HISTORY_COLUMNS, self.history.columns),
            ("costs.csv", COST_COLUMNS, self.costs.columns),
            ("summary.json", SUMMARY_KEYS, self.summary),
        ):
            absent = [column for column in wanted if column not in there]
            if absent:
                raise RunError(f"{name}: has no {', '.join(absent)}, which a report needs; make the run again")
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
        """The rules that were costed, in order of appearance; what is trained as another rule follows it."""
        names = list(dict.fromkeys(self.costs["rule"]))
        first = [name for name in names if TRAINED_AS.get(name) not in names]
        return [name for one in first for name in (one, *(n for n in names if TRAINED_AS.get(n) == one))]

    @property
    def batch_size(self) -> int:
        """Samples of a step."""
        return int(self.summary["batch_size"])

    @property
    def quantities(self) -> list[str]:
        """The names of all quantities, in order of appearance."""
        return list(dict.fromkeys(self.costs["quantity"]))

    @cached_property
    def _sums(self) -> dict[tuple[Any, ...], float]:
        keys = ["chip", "delivery", "rule", "phase", "layer", "quantity"]
        sums = self.costs.groupby(keys, sort=False)["value"].sum(min_count=1)
        return dict(zip(sums.index.to_flat_index(), sums.to_list(), strict=True))

    @cached_property
    def _places(self) -> dict[tuple[Machine, str, str], list[tuple[str, int, float]]]:
        places: dict[tuple[Machine, str, str], list[tuple[str, int, float]]] = {}
        for (chip, delivery, rule, phase, layer, quantity), value in self._sums.items():
            key = ((str(chip), str(delivery)), str(rule), str(quantity))
            places.setdefault(key, []).append((str(phase), int(layer), float(value)))
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

    def named(self, prefix: str, suffix: str) -> list[str]:
        """Return what stands between a prefix and a suffix in the names of quantities."""
        return [
            name.removeprefix(prefix).removesuffix(suffix)
            for name in self.quantities
            if name.startswith(prefix) and name.endswith(suffix)
        ]

    @cached_property
    def curves(self) -> pd.DataFrame:
        """The history, with a rule that was costed but trained as another one (TRAINED_AS) added with its own costs.

        Its cumulative seconds, joules and bit-hops are the other rule's times the ratio of their steps' costs.
        """
        frames = [self.history]
        for rule in self._borrowers():
            lent = self.history[self.history["rule"] == TRAINED_AS[rule]].assign(rule=rule)
            for column in CUMULATIVE:
                if column in lent:
                    lent[column] = lent[column] * self._cost_ratio(rule, column)
            frames.append(lent)
        whole = pd.concat(frames, ignore_index=True) if len(frames) > 1 else self.history
        order = {rule: number for number, rule in enumerate(self.rules)}
        return whole.sort_values(
            ["rule", "seed", "epoch"], key=lambda of: of.map(order) if of.name == "rule" else of, kind="stable"
        )

    def _borrowers(self) -> Iterator[str]:
        trained = set(self.history["rule"])
        yield from (rule for rule in self.rules if rule not in trained and TRAINED_AS.get(rule) in trained)

    def _cost_ratio(self, rule: str, column: str) -> float:
        other = self.of_step(TRAINED_AS[rule], CUMULATIVE[column])
        return self.of_step(rule, CUMULATIVE[column]) / other if other else math.nan

    def last_epochs(self, rule: str) -> pd.DataFrame:
        """Return the row of the last epoch of every seed of a rule."""
        mine = self.curves[self.curves["rule"] == rule]
        return mine.sort_values("epoch", kind="stable").groupby("seed", sort=True).tail(1)

    def to_target(self, rule: str) -> dict[str, float]:
        """Return epochs, seconds, joules and bit_hops until the target accuracy; NaN where it was never reached."""
        known = self.summary.get("to_target") or {}
        found = known.get(rule) or {}
        lent = (known.get(TRAINED_AS.get(rule, "")) or {}) if rule not in known else {}
        values = {name: _number(found.get(name, lent.get(name))) for name in ("epochs", *CUMULATIVE)}
        if lent:
            values |= {name: values[name] * self._cost_ratio(rule, name) for name in CUMULATIVE}
        return values

    def setting(self, key: str, rule: str) -> Any:
        """Return a setting of the summary that may be one for all rules or one for each."""
        value = self.summary.get(key)
        if isinstance(value, Mapping):
            return value.get(rule, value.get(TRAINED_AS.get(rule, "")))
        return value


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def listed(values: Any) -> str:
    """Write a sequence as ``31/32/1``, anything else as it is."""
    if isinstance(values, Sequence) and not isinstance(values, str):
        return "/".join(str(value) for value in values)
    return str(values)
