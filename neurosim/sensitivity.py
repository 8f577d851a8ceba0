"""vary_assumed(): every assumed number of a chip from half to double, and which conclusions that turns round.

Prices need no simulation: what is counted once is priced again with another energy, power or clock. Numbers on which
counts or cycles hang are counted again, at the same fidelity, where that is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

from neurosim.analytic import Effort
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
IDEAL = " (reuse ideal)"
"""What the name of the same machine with a cache that keeps all it can ends with: the truth lies between the two."""

FACTORS = (0.5, 2.0)
"""What an assumed number is multiplied with."""

FLIT_ONLY = "noc.router."
"""What fidelity flit alone looks at."""

ONE_PROCESSOR = ("grid", "chips", "noc.cores_per_router")
"""What cannot be but 1 in a machine behind a channel."""

Value = int | float | tuple[int, ...]
"""A number, or a list of them, of which the last one is varied."""


class Outcome(NamedTuple):
    """What a rule costs on a machine: energy in pJ by component and in total, and seconds."""

    energy_pj: Mapping[str, float]
    seconds: float


Outcomes = Mapping[str, Mapping[str, Outcome]]
"""By machine and rule."""

Count = Callable[[str, Chip], Mapping[str, Costs]]
"""Machine's name and chip -> costs by rule."""

Progress = Callable[[str, int, int], None]
"""What is being done, how much of it is, and of how much."""


@dataclass(frozen=True)
class Assumption:
    """A number that is assumed, of one machine or of several that share it: its path, value and reason."""

    path: str
    machines: tuple[str, ...]
    value: Value
    reason: str


@dataclass(frozen=True)
class Flip:
    """A conclusion that came out the other way: what was asked, the answer before, and after."""

    question: str
    before: str
    after: str


@dataclass(frozen=True)
class Variation:
    """What an assumed number does: ``ratios`` are, by rule, energies at each of ``values`` over those now.

    They are those of the first machine that has the number, and ``time_ratios`` those of its seconds; ``flips`` are
    those of either value. ``notes`` say with which value nothing can be made or placed: its ratio is NaN.
    """

    assumption: Assumption
    values: tuple[Value, Value]
    ratios: Mapping[str, tuple[float, float]]
    time_ratios: Mapping[str, tuple[float, float]]
    flips: tuple[Flip, ...]
    notes: tuple[str, ...] = ()

    @property
    def swing(self) -> float:
        """The largest change of any rule's energy, as a factor of at least 1."""
        return max((max(ratio, 1 / ratio) for pair in self.ratios.values() for ratio in pair if ratio > 0), default=1.0)


@dataclass(frozen=True)
class Sensitivity:
    """How far conclusions about energy and time hang on what is assumed.

    ``energies`` in pJ by machine, rule and component; ``seconds`` by machine and rule (of the bound, where nothing was
    simulated); ``conclusions`` answers by question, and ``margins`` what is more over what is less; ``variations`` one
    assumed number at a time; ``together`` the conclusions that turn round where all assumed energies, powers and clocks
    err at once, each to the worse side; ``not_varied`` the assumed numbers that were left as they are, with the reason.
    """

    network: str
    chip: str
    baselines: tuple[str, ...]
    rules: tuple[str, ...]
    per: Per
    fidelity: Fidelity
    energies: Mapping[str, Mapping[str, Mapping[str, float]]]
    seconds: Mapping[str, Mapping[str, float]]
    conclusions: Mapping[str, str]
    margins: Mapping[str, float]
    variations: tuple[Variation, ...]
    together: tuple[Flip, ...]
    not_varied: Mapping[str, str]

    @property
    def frame(self) -> pd.DataFrame:
        """A row for each assumed number and rule."""
        import pandas as pd

        columns = ["parameter", "machines", "value", "low", "high", "rule", "ratio_low", "ratio_high"]
        columns += ["time_ratio_low", "time_ratio_high", "flips"]
        rows = [
            (each.assumption.path, " ".join(each.assumption.machines), each.assumption.value, *each.values, rule, *pair,
             *each.time_ratios[rule], "; ".join(f"{flip.before} -> {flip.after}" for flip in each.flips))
            for each in self.variations
            for rule, pair in each.ratios.items()
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=columns)

    def as_dict(self) -> dict[str, Any]:
        """Return what ``neurosim cost --sensitivity --json`` prints."""
        return {
            "network": self.network,
            "chip": self.chip,
            "baselines": self.baselines,
            "per": self.per,
            "fidelity": self.fidelity,
            "energy_pj": self.energies,
            "seconds": self.seconds,
            "conclusions": self.conclusions,
            "margins": self.margins,
            "parameters": [
                {
                    "parameter": each.assumption.path,
                    "machines": each.assumption.machines,
                    "value": each.assumption.value,
                    "from": each.values[0],
                    "to": each.values[1],
                    "energy_ratio": each.ratios,
                    "time_ratio": each.time_ratios,
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
    before_simulating: Callable[[Effort], None] | None = None,
    progress: Progress = lambda what, done, wanted: None,
    **settings: Any,
) -> Sensitivity:
    """Return what becomes of energies and conclusions where each assumed number is half or double what it is.

    Conclusions are which of two rules needs less energy or time, whether the chip or ``von_neumann`` does (with either
    reuse of its cache), and which component is the largest. A number that machines share, with the same reason, is
    varied in all of them. ``recount`` varies the assumed whole numbers of structure too (of a list, such as the lanes,
    the last one), and counts again for each value: simulated, or in closed form, as ``fidelity`` says. The rest is as
    in ``cost``.

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
        machines |= _baselines(machine.name)

    what: dict[str, Any] = {"per": per, "samples": samples, "fidelity": fidelity, "forward_only": forward_only}

    def costs(name: str, other: Chip, **more: Any) -> dict[str, Costs]:
        own = used if name == machine.name else merge_recipe(used, {"microbatch": "auto"})
        return {rule.name: cost(found, rule=rule, chip=other, recipe=own, **what, **more) for rule in chosen}

    # Efforts are told of what is counted first; all that is counted again takes as long each time.
    told = {"before_simulating": before_simulating}
    study = _Study(machines, {name: costs(name, other, **told) for name, other in machines.items()})
    shared = assumptions(machines)
    priced = [study.vary(each) for each in shared if _is_varied(each)]
    recounted = []
    if recount:
        structure = [_without_single(each, machines) for each in shared if _is_structure(each, fidelity)]
        structure = [each for each in structure if each.machines]
        for done, each in enumerate(structure):
            progress("counted again", done, len(structure))
            recounted.append(study.recount(each, costs))
        progress("counted again", len(structure), len(structure))
    varied = tuple(sorted([*priced, *recounted], key=lambda each: -each.swing))
    return Sensitivity(
        network=found.name,
        chip=machine.name,
        baselines=tuple(machines)[1:],
        rules=tuple(names),
        per=per,
        fidelity=fidelity,
        energies={name: {rule: one.energy_pj for rule, one in own.items()} for name, own in study.found().items()},
        seconds={name: {rule: one.seconds for rule, one in own.items()} for name, own in study.found().items()},
        conclusions=conclude(study.found()),
        margins=margins(study.found()),
        variations=varied,
        together=tuple(study.together(priced)),
        not_varied=_not_varied(machines, varied, fidelity),
    )


def _baselines(taken: str) -> dict[str, Chip]:
    """Return the von Neumann machine with either reuse, under names that the chip has not."""
    machine = load_chip(BASELINE)
    name = BASELINE if taken != BASELINE else f"{BASELINE} (as shipped)"
    chips = {name: machine, f"{name}{IDEAL}": override(machine, "channel.reuse", "ideal")}
    return {name: chip.model_copy(update={"name": name}) for name, chip in chips.items()}


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
        Assumption(path, tuple(names), value, reason)
        for (path, text, reason), names in found.items()
        if (value := _as_value(values[path, text, reason])) is not None
    ]


def _as_value(value: Any) -> Value | None:
    """Return a number, or a list of whole numbers as a tuple; None for lists of lists and the like."""
    if isinstance(value, int | float):
        return value
    return tuple(value) if value and all(isinstance(item, int) for item in value) else None


def _without_single(each: Assumption, machines: Mapping[str, Chip]) -> Assumption:
    """Return an assumption without the machines in which its number cannot be but 1."""
    kept = [name for name in each.machines if not (machines[name].behind_channel and each.path in ONE_PROCESSOR)]
    return replace(each, machines=tuple(kept))


MEASURES: dict[str, Callable[[Outcome], float]] = {
    "energy": lambda one: one.energy_pj["total"],
    "time": lambda one: one.seconds,
}
"""What conclusions are about."""

COMPONENT = "energy: largest component of "


def _asked(found: Outcomes) -> dict[str, dict[str, float]]:
    """Return what each question weighs against each other; the first machine is the chip."""
    chip, *others = found
    asked = {}
    for what, measure in MEASURES.items():
        for a, b in combinations(found[chip], 2):
            asked[f"{what}: {a} or {b}"] = {name: measure(found[chip][name]) for name in (a, b)}
        for baseline in others:
            for rule in found[chip]:
                weighed = {name: measure(found[name][rule]) for name in (chip, baseline)}
                asked[f"{what}: {rule} on {chip} or {baseline}"] = weighed
    for rule, one in found[chip].items():
        asked[f"{COMPONENT}{rule}"] = {part: one.energy_pj[part] for part in COMPONENTS}
    return asked


def conclude(found: Outcomes) -> dict[str, str]:
    """Return the conclusions that a user would draw from energies and seconds, by question."""
    return {
        question: max(weighed, key=weighed.__getitem__) if question.startswith(COMPONENT) else _less(*weighed.items())
        for question, weighed in _asked(found).items()
    }


def margins(found: Outcomes) -> dict[str, float]:
    """Return by question the largest of what is weighed over the next; infinite where that is nothing."""
    margins = {}
    for question, weighed in _asked(found).items():
        most, next_to = sorted(weighed.values())[-1:-3:-1]
        margins[question] = most / next_to if next_to else float("inf")
    return margins


def _less(one: tuple[str, float], other: tuple[str, float]) -> str:
    (a, first), (b, second) = one, other
    if abs(first - second) <= 1e-9 * max(first, second):
        return f"{a} = {b}"
    return f"{a} < {b}" if first < second else f"{b} < {a}"


def _is_varied(each: Assumption) -> bool:
    return is_priced(each.path) and not each.path.startswith("memory_energy.") and _last(each.value) > 0


def _is_structure(each: Assumption, fidelity: Fidelity) -> bool:
    """Whether counts or cycles of this fidelity hang on an assumed whole number."""
    whole = float(_last(each.value)).is_integer() and _last(each.value) > 0
    return whole and not is_priced(each.path) and (fidelity == "flit" or not each.path.startswith(FLIT_ONLY))


def _last(value: Value) -> float:
    return value[-1] if isinstance(value, tuple) else value


def _whole_values(value: Value) -> tuple[Value, Value]:
    """Return half (rounded down, at least 1) and double of a whole number, or of the last one of a list."""
    pair = max(1, int(_last(value)) // 2), int(_last(value)) * 2
    return ((*value[:-1], pair[0]), (*value[:-1], pair[1])) if isinstance(value, tuple) else pair


def _not_varied(machines: Mapping[str, Chip], varied: Iterable[Variation], fidelity: Fidelity) -> dict[str, str]:
    """Return why each other assumed number was left as it is."""
    done = {(each.assumption.path, name) for each in varied for name in each.assumption.machines}
    left: dict[str, str] = {}
    for name, chip in machines.items():
        for path, (value, _) in assumed_reasons(chip).items():
            if (path, name) not in done:
                single = machines[name].behind_channel and path in ONE_PROCESSOR
                left[f"{name}.{path}"] = "it is one processor" if single else _why_left(path, value, fidelity)
    return left


def _why_left(path: str, value: Any, fidelity: Fidelity) -> str:
    if path.startswith("memory_energy."):
        return "only a sweep that changes memories uses it"
    if path.startswith(FLIT_ONLY) and fidelity != "flit":
        return "only fidelity flit looks at it"
    if _as_value(value) is None:
        return "a list of numbers"
    if value == 0:
        return "half and double of 0 are 0"
    return "counts or cycles hang on it"


@dataclass(frozen=True)
class _Study:
    """Machines and what was counted on them, by name and rule."""

    machines: Mapping[str, Chip]
    counted: Mapping[str, Mapping[str, Costs]]

    def found(self) -> dict[str, dict[str, Outcome]]:
        """Return energies and seconds as they are."""
        return {
            name: {rule: Outcome(costs.energy_pj, costs.seconds) for rule, costs in own.items()}
            for name, own in self.counted.items()
        }

    def priced(self, chips: Mapping[str, Chip]) -> dict[str, dict[str, Outcome]]:
        """Return what was counted on machines with other energies, powers or clocks."""
        found = self.found()
        for name, chip in chips.items():
            for rule, costs in self.counted[name].items():
                facts = costs.analysis if costs.trace is None else costs.trace
                prices = price(facts, chip)
                energy = {part: pj / costs.divisor for part, pj in prices.energy_pj.items()}
                found[name][rule] = Outcome(energy, prices.seconds / costs.divisor)
        return found

    def vary(self, each: Assumption) -> Variation:
        """Price half and double of an assumed energy, power or clock."""
        assert not isinstance(each.value, tuple)
        values = each.value * FACTORS[0], each.value * FACTORS[1]
        found = [self.priced(self._changed([(each, value)])) for value in values]
        return self._variation(each, values, found, ())

    def _changed(self, values: Iterable[tuple[Assumption, Value]]) -> dict[str, Chip]:
        """Return the machines that have other values of some assumed numbers."""
        chips: dict[str, Chip] = {}
        for each, value in values:
            for name in each.machines:
                chips[name] = _with_number(chips.get(name, self.machines[name]), each.path.split("."), value)
        return chips

    def recount(self, each: Assumption, count: Count) -> Variation:
        """Count again with half and double of an assumed whole number."""
        values = _whole_values(each.value)
        found: list[Outcomes | None] = []
        notes = []
        for value in values:
            try:
                chips = {name: override(self.machines[name], each.path, shown_value(value)) for name in each.machines}
                renamed = {name: chip.model_copy(update={"name": name}) for name, chip in chips.items()}
                again = {name: count(name, chip) for name, chip in renamed.items()}
            except NeurosimError as error:
                found.append(None)
                notes.append(f"{shown_value(value)}: {error}")
            else:
                found.append(replace(self, counted={**self.counted, **again}).found())
        return self._variation(each, values, found, tuple(notes))

    def _variation(
        self, each: Assumption, values: tuple[Value, Value], found: Sequence[Outcomes | None], notes: tuple[str, ...]
    ) -> Variation:
        before, machine = self.found(), each.machines[0]

        def ratios(what: str) -> dict[str, tuple[float, float]]:
            old, new = before[machine], [None if one is None else one[machine] for one in found]
            low, high = (_ratios(MEASURES[what], old, one) for one in new)
            return {rule: (low[rule], high[rule]) for rule in old}

        flips = dict.fromkeys(flip for after in found if after is not None for flip in _flips(before, after))
        return Variation(each, values, ratios("energy"), ratios("time"), tuple(flips), notes)

    def together(self, variations: Iterable[Variation]) -> list[Flip]:
        """Return the conclusions that turn round where every assumed number errs at once, each to the worse side.

        The worse side of a number is found with the others as they are. An energy is a sum of terms with one unit
        energy each, so it does not hang on the others but for power and clock, whose ratio is static energy.
        """
        sides = []
        for each in variations:
            pairs = [(value, self.priced(self._changed([(each.assumption, value)]))) for value in each.values]
            sides.append((each.assumption, pairs))
        before, flips = self.found(), []
        for question, answer in conclude(before).items():
            for margin in _margins(question, answer, before):
                worst = [(each, _worse(pairs, margin)) for each, pairs in sides]
                after = conclude(self.priced(self._changed(worst)))[question]
                if after != answer:
                    flips.append(Flip(question, answer, after))
                    break
        return flips


def _ratios(
    measure: Callable[[Outcome], float], before: Mapping[str, Outcome], after: Mapping[str, Outcome] | None
) -> dict[str, float]:
    """Return by rule what is measured over what it was; NaN where nothing could be."""
    none = float("nan")
    return {rule: none if after is None else measure(after[rule]) / measure(one) for rule, one in before.items()}


def _worse(pairs: Sequence[tuple[Value, Outcomes]], margin: Callable[[Outcomes], float]) -> Value:
    """Return the value under which a margin is the largest."""
    return max(pairs, key=lambda pair: margin(pair[1]))[0]


def _flips(before: Outcomes, after: Outcomes) -> list[Flip]:
    old, new = conclude(before), conclude(after)
    return [Flip(question, old[question], new[question]) for question in old if new[question] != old[question]]


def _margins(question: str, answer: str, found: Outcomes) -> list[Callable[[Outcomes], float]]:
    """Return what must rise above 0 for a conclusion to turn round: one difference, or one for each other component."""
    chip = next(iter(found))
    if question.startswith(COMPONENT):
        rule = question.removeprefix(COMPONENT)
        parts = found[chip][rule].energy_pj
        others = [name for name in COMPONENTS if name != answer and parts[name] > 0]
        return [
            lambda now, name=name: now[chip][rule].energy_pj[name] - now[chip][rule].energy_pj[answer]  # type: ignore[misc]
            for name in others
        ]
    if " = " in answer:
        return []
    less, more = answer.split(" < ")
    what, _, about = question.partition(": ")
    measure = MEASURES[what]
    if " on " in about:
        rule = about.partition(" on ")[0]
        return [lambda now: measure(now[less][rule]) - measure(now[more][rule])]
    return [lambda now: measure(now[chip][less]) - measure(now[chip][more])]


def shown_value(value: Value) -> str:
    """Return a value as ``--set`` takes it."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _with_number(model: Any, steps: list[str], value: Value) -> Any:
    """Return a description with one number changed, by its path."""
    assert isinstance(model, Description)
    name, *rest = steps
    return model.model_copy(update={name: _with_number(getattr(model, name), rest, value) if rest else value})
