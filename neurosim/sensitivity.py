"""vary_assumed(): every assumed number of a chip from half to double, and which conclusions that turns round.

Prices need no simulation: what is counted once is priced again with another energy, power or clock. Numbers on which
counts or cycles hang are counted again, in closed form, where that is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

from neurosim.arguments import checked_list
from neurosim.chips import Chip, assumed_reasons, is_priced, load_chip
from neurosim.costs import COMPONENTS, price
from neurosim.descriptions import Description, override
from neurosim.errors import DescriptionError, NeurosimError
from neurosim.networks import Network, load_network
from neurosim.pipeline import Costs, Fidelity, Per, cost, merge_recipe
from neurosim.recipes import Recipe
from neurosim.rules import Rule, load_rule

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_RULES = ("bp", "bp-mirrored", "fa", "dfa", "ssdfa")
BASELINE = "von_neumann"
FACTORS = (0.5, 2.0)
"""What an assumed number is multiplied with."""

Energies = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Energy in pJ by machine, rule and component ("total" among them)."""

Count = Callable[[str, Chip], Mapping[str, Costs]]
"""Machine's name and chip -> costs by rule, in closed form."""


@dataclass(frozen=True)
class Assumption:
    """A number that is assumed, of one machine or of several that share it: its path, value and reason."""

    path: str
    machines: tuple[str, ...]
    value: float
    reason: str


@dataclass(frozen=True)
class Flip:
    """A conclusion that came out the other way: what was asked, the answer before, and after."""

    question: str
    before: str
    after: str


@dataclass(frozen=True)
class Variation:
    """What an assumed number does: ``ratios`` are, by rule, the chip's energies at each of ``values`` over those now.

    ``flips`` are those of either value. ``notes`` say with which value nothing can be made or placed: its ratio is NaN.
    """

    assumption: Assumption
    values: tuple[float, float]
    ratios: Mapping[str, tuple[float, float]]
    flips: tuple[Flip, ...]
    notes: tuple[str, ...] = ()

    @property
    def swing(self) -> float:
        """The largest change of any rule's energy, as a factor of at least 1."""
        return max((max(ratio, 1 / ratio) for pair in self.ratios.values() for ratio in pair if ratio > 0), default=1.0)


@dataclass(frozen=True)
class Sensitivity:
    """How far conclusions about energy hang on what is assumed.

    ``energies`` in pJ by machine, rule and component; ``conclusions`` answers by question; ``variations`` one assumed
    number at a time; ``together`` the conclusions that turn round where all assumed energies, powers and clocks err at
    once, each to the worse side; ``not_varied`` the assumed numbers that were left as they are, with the reason.
    """

    network: str
    chip: str
    baseline: str | None
    rules: tuple[str, ...]
    per: Per
    energies: Energies
    conclusions: Mapping[str, str]
    variations: tuple[Variation, ...]
    together: tuple[Flip, ...]
    not_varied: Mapping[str, str]

    @property
    def frame(self) -> pd.DataFrame:
        """A row for each assumed number and rule."""
        import pandas as pd

        columns = ["parameter", "machines", "value", "low", "high", "rule", "ratio_low", "ratio_high", "flips"]
        rows = [
            (each.assumption.path, " ".join(each.assumption.machines), each.assumption.value, *each.values, rule, *pair,
             "; ".join(f"{flip.before} -> {flip.after}" for flip in each.flips))
            for each in self.variations
            for rule, pair in each.ratios.items()
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=columns)

    def as_dict(self) -> dict[str, Any]:
        """Return what ``neurosim cost --sensitivity --json`` prints."""
        return {
            "network": self.network,
            "chip": self.chip,
            "baseline": self.baseline,
            "per": self.per,
            "energy_pj": self.energies,
            "conclusions": self.conclusions,
            "parameters": [
                {
                    "parameter": each.assumption.path,
                    "machines": each.assumption.machines,
                    "value": each.assumption.value,
                    "from": each.values[0],
                    "to": each.values[1],
                    "energy_ratio": each.ratios,
                    "flips": [vars(flip) for flip in each.flips],
                    "notes": each.notes,
                    "reason": each.assumption.reason,
                }
                for each in self.variations
            ],
            "flips_together": [vars(flip) for flip in self.together],
            "not_varied": self.not_varied,
        }


def vary_assumed(
    network: str | os.PathLike[str] | Network,
    *,
    rules: str | Rule | Iterable[str | Rule] = DEFAULT_RULES,
    chip: str | os.PathLike[str] | Chip = "mesh64",
    recipe: Recipe | None = None,
    recount: bool = False,
    per: Per = "step",
    samples: int | None = None,
    fidelity: Fidelity = "event",
    forward_only: bool = False,
    **settings: Any,
) -> Sensitivity:
    """Return what becomes of energies and conclusions where each assumed number is half or double what it is.

    Conclusions are which of two rules needs less energy, whether the chip or ``von_neumann`` does, and which component
    is the largest. A number that both machines share, with the same reason, is varied in both. ``recount`` varies the
    assumed whole numbers of structure too, with counts and the bound of the makespan in closed form. The rest is as in
    ``cost``.

    Raises:
        DescriptionError, PlacementError, SimulationError: what was asked for does not exist, fit or end.
    """
    machine, found = load_chip(chip), load_network(network)
    chosen = [load_rule(rule) for rule in checked_list("rules", rules)]
    names = [rule.name for rule in chosen]
    if len(set(names)) < len(names):
        raise DescriptionError(f"rules: {', '.join(names)}: names a rule twice")
    used = merge_recipe(recipe, settings)
    machines = {machine.name: machine}
    if not machine.behind_channel:
        machines[BASELINE] = load_chip(BASELINE)

    def costs(name: str, other: Chip, level: Fidelity = "analytic") -> dict[str, Costs]:
        own = used if name == machine.name else merge_recipe(used, {"microbatch": "auto"})
        what: dict[str, Any] = {"per": per, "samples": samples, "fidelity": level, "forward_only": forward_only}
        return {rule.name: cost(found, rule=rule, chip=other, recipe=own, **what) for rule in chosen}

    study = _Study(machines, {name: costs(name, other, fidelity) for name, other in machines.items()})
    shared = assumptions(machines)
    priced = [study.vary(each) for each in shared if _is_varied(each)]
    recounted = []
    if recount:
        closed = _Study(machines, {name: costs(name, other) for name, other in machines.items()})
        recounted = [closed.recount(each, costs) for each in shared if _is_whole(each) and not is_priced(each.path)]
    varied = tuple(sorted([*priced, *recounted], key=lambda each: -each.swing))
    return Sensitivity(
        network=found.name,
        chip=machine.name,
        baseline=BASELINE if len(machines) > 1 else None,
        rules=tuple(names),
        per=per,
        energies=study.energies(),
        conclusions=conclude(study.energies()),
        variations=varied,
        together=tuple(study.together(priced)),
        not_varied=_not_varied(machines, varied),
    )


def assumptions(machines: Mapping[str, Chip]) -> list[Assumption]:
    """Return the assumed numbers of some machines; what several share, value and reason alike, once."""
    found: dict[tuple[str, str, str], list[str]] = {}
    values: dict[tuple[str, str, str], Any] = {}
    for name, chip in machines.items():
        for path, (value, reason) in assumed_reasons(chip).items():
            key = path, repr(value), reason
            found.setdefault(key, []).append(name)
            values[key] = value
    return [
        Assumption(path, tuple(names), values[path, text, reason], reason)
        for (path, text, reason), names in found.items()
        if isinstance(values[path, text, reason], int | float)
    ]


def conclude(energies: Energies) -> dict[str, str]:
    """Return the conclusions that a user would draw from energies; the first machine is the chip."""
    chip, *others = energies
    answers = {f"{a} or {b}": _less(a, b, energies[chip]) for a, b in combinations(energies[chip], 2)}
    for baseline in others:
        for rule in energies[chip]:
            pair = {name: energies[name][rule] for name in (chip, baseline)}
            answers[f"{rule} on {chip} or {baseline}"] = _less(chip, baseline, pair)
    for rule, parts in energies[chip].items():
        answers[f"largest component of {rule}"] = max(COMPONENTS, key=lambda name: parts[name])
    return answers


def _less(a: str, b: str, energies: Mapping[str, Mapping[str, float]]) -> str:
    first, second = energies[a]["total"], energies[b]["total"]
    if abs(first - second) <= 1e-9 * max(first, second):
        return f"{a} = {b}"
    return f"{a} < {b}" if first < second else f"{b} < {a}"


def _is_varied(each: Assumption) -> bool:
    return is_priced(each.path) and not each.path.startswith("memory_energy.") and each.value > 0


def _is_whole(each: Assumption) -> bool:
    return float(each.value).is_integer() and each.value > 0


def _not_varied(machines: Mapping[str, Chip], varied: Iterable[Variation]) -> dict[str, str]:
    """Return why each other assumed number was left as it is."""
    done = {(each.assumption.path, name) for each in varied for name in each.assumption.machines}
    left: dict[str, str] = {}
    for name, chip in machines.items():
        for path, (value, _) in assumed_reasons(chip).items():
            if (path, name) not in done:
                left[f"{name}.{path}"] = _why_left(path, value)
    return left


def _why_left(path: str, value: Any) -> str:
    if path.startswith("memory_energy."):
        return "only a sweep that changes memories uses it"
    if not isinstance(value, int | float):
        return "a list of numbers"
    if value == 0:
        return "half and double of 0 are 0"
    return "counts or cycles hang on it"


@dataclass(frozen=True)
class _Study:
    """Machines and what was counted on them, by name and rule."""

    machines: Mapping[str, Chip]
    counted: Mapping[str, Mapping[str, Costs]]

    def energies(self) -> dict[str, dict[str, dict[str, float]]]:
        """Return the energies as they are."""
        return {name: {rule: costs.energy_pj for rule, costs in own.items()} for name, own in self.counted.items()}

    def priced(self, chips: Mapping[str, Chip]) -> dict[str, dict[str, dict[str, float]]]:
        """Return the energies of what was counted, on machines with other energies, powers or clocks."""
        found = self.energies()
        for name, chip in chips.items():
            for rule, costs in self.counted[name].items():
                facts = costs.analysis if costs.trace is None else costs.trace
                energy = price(facts, chip).energy_pj
                found[name][rule] = {part: pj / costs.divisor for part, pj in energy.items()}
        return found

    def vary(self, each: Assumption) -> Variation:
        """Price half and double of an assumed energy, power or clock."""
        values = tuple(each.value * factor for factor in FACTORS)
        found = [self.priced(self._changed([(each, value)])) for value in values]
        return self._variation(each, (values[0], values[1]), found, ())

    def _changed(self, values: Iterable[tuple[Assumption, float]]) -> dict[str, Chip]:
        """Return the machines that have other values of some assumed numbers."""
        chips: dict[str, Chip] = {}
        for each, value in values:
            for name in each.machines:
                chips[name] = _with_number(chips.get(name, self.machines[name]), each.path.split("."), value)
        return chips

    def recount(self, each: Assumption, count: Count) -> Variation:
        """Count half (rounded down, at least 1) and double of an assumed whole number in closed form."""
        values = max(1, int(each.value) // 2), int(each.value) * 2
        found: list[Energies | None] = []
        notes = []
        for value in values:
            try:
                chips = {name: override(self.machines[name], each.path, str(value)) for name in each.machines}
                renamed = {name: chip.model_copy(update={"name": name}) for name, chip in chips.items()}
                again = {name: count(name, chip) for name, chip in renamed.items()}
            except NeurosimError as error:
                found.append(None)
                notes.append(f"{value}: {error}")
            else:
                found.append(replace(self, counted={**self.counted, **again}).energies())
        return self._variation(each, values, found, tuple(notes))

    def _variation(
        self, each: Assumption, values: tuple[float, float], found: list[Any], notes: tuple[str, ...]
    ) -> Variation:
        before = self.energies()
        chip = next(iter(self.machines))
        none = float("nan")
        ratios = {
            rule: tuple(none if after is None else after[chip][rule]["total"] / parts["total"] for after in found)
            for rule, parts in before[chip].items()
        }
        flips = dict.fromkeys(flip for after in found if after is not None for flip in _flips(before, after))
        return Variation(each, values, ratios, tuple(flips), notes)  # type: ignore[arg-type] # two values, two ratios

    def together(self, variations: Iterable[Variation]) -> list[Flip]:
        """Return the conclusions that turn round where every assumed number errs at once, each to the worse side.

        The worse side of a number is found with the others as they are. An energy is a sum of terms with one unit
        energy each, so it does not hang on the others but for power and clock, whose ratio is static energy.
        """
        sides = []
        for each in variations:
            pairs = [(value, self.priced(self._changed([(each.assumption, value)]))) for value in each.values]
            sides.append((each.assumption, pairs))
        before, flips = self.energies(), []
        for question, answer in conclude(before).items():
            for margin in _margins(question, answer, before):
                worst = [(each, _worse(pairs, margin)) for each, pairs in sides]
                after = conclude(self.priced(self._changed(worst)))[question]
                if after != answer:
                    flips.append(Flip(question, answer, after))
                    break
        return flips


def _worse(pairs: Sequence[tuple[float, Energies]], margin: Callable[[Energies], float]) -> float:
    """Return the value under which a margin is the largest."""
    return max(pairs, key=lambda pair: margin(pair[1]))[0]


def _flips(before: Energies, after: Energies) -> list[Flip]:
    old, new = conclude(before), conclude(after)
    return [Flip(question, old[question], new[question]) for question in old if new[question] != old[question]]


def _margins(question: str, answer: str, energies: Energies) -> list[Callable[[Energies], float]]:
    """Return what must rise above 0 for a conclusion to turn round: one difference, or one for each other component."""
    chip = next(iter(energies))
    if question.startswith("largest component of "):
        rule = question.removeprefix("largest component of ")
        others = [name for name in COMPONENTS if name != answer and energies[chip][rule][name] > 0]
        return [lambda e, name=name: e[chip][rule][name] - e[chip][rule][answer] for name in others]  # type: ignore[misc]
    if " = " in answer:
        return []
    less, more = answer.split(" < ")
    if " on " in question:
        rule = question.partition(" on ")[0]
        return [lambda e: e[less][rule]["total"] - e[more][rule]["total"]]
    return [lambda e: e[chip][less]["total"] - e[chip][more]["total"]]


def _with_number(model: Any, steps: list[str], value: float) -> Any:
    """Return a description with one number changed, by its path."""
    assert isinstance(model, Description)
    name, *rest = steps
    return model.model_copy(update={name: _with_number(getattr(model, name), rest, value) if rest else value})
