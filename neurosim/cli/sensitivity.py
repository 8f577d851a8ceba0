"""``neurosim cost --sensitivity``: which conclusions hang on what is assumed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurosim.chips import Chip
    from neurosim.networks import Network
    from neurosim.recipes import Recipe
    from neurosim.sensitivity import Flip, Sensitivity
    from neurosim.settings import Settings


def check_together(*, sensitivity: bool, recount: bool, rule: str, rules: str, exports: Sequence[str]) -> None:
    """Refuse options of ``neurosim cost`` that mean nothing beside each other.

    Raises:
        DescriptionError: an option would be ignored.
    """
    from neurosim.errors import DescriptionError

    if sensitivity and rule:
        raise DescriptionError(f"--rule {rule}: --sensitivity compares rules; give --rules {rule}")
    if sensitivity and exports:
        raise DescriptionError(f"--export {exports[0]}: is of one rule's costs; leave --sensitivity out")
    if not sensitivity and rules:
        raise DescriptionError(f"--rules {rules}: is for --sensitivity; give --rule, or use neurosim compare")
    if not sensitivity and recount:
        raise DescriptionError("--recount: is for --sensitivity; add it")


def show_sensitivity(
    settings: Settings, what: tuple[Network, str, Chip, Recipe], counted: dict[str, Any], *, json: bool
) -> None:
    """Vary what is assumed of a chip, for a network, rules (joined by commas) and a recipe, and print what follows."""
    from neurosim.cli.output import print_json
    from neurosim.cli.waiting import announce_compilation, effort_announcer, progress_bars
    from neurosim.errors import DescriptionError
    from neurosim.rules import load_rule
    from neurosim.sensitivity import DEFAULT_RULES, vary_assumed
    from neurosim.settings import check_rule_names

    network, rules, chip, recipe = what
    chosen = [settings.rule(load_rule(name.strip())) for name in (rules.split(",") if rules else DEFAULT_RULES)]
    check_rule_names(settings, [rule.name for rule in chosen])
    for name, parts in settings.rules.items():
        for key, _ in parts.get("recipe", ()):
            raise DescriptionError(
                f"--set {name}:{key}: the rules of a sensitivity share one recipe; set {key} for all"
            )
    if counted["fidelity"] != "analytic":
        announce_compilation()
    with progress_bars() as progress:
        counted |= {"progress": progress, "before_simulating": effort_announcer()}
        found = vary_assumed(network, rules=chosen, chip=chip, recipe=recipe, **counted)
    if json:
        print_json(found.as_dict())
    else:
        print_sensitivity(found)


def print_sensitivity(found: Sensitivity) -> None:
    """Print what rules cost, what each assumed number does to it, which conclusions turn round, and what was left."""
    _print_costs(found)
    _print_variations(found)
    _print_conclusions(found)
    reasons: dict[str, dict[str, list[str]]] = {}
    for path, why in found.not_varied.items():
        machine, _, field = path.partition(".")
        reasons.setdefault(why, {}).setdefault(field, []).append(machine)
    for why, fields in reasons.items():
        left = [
            field if found.chip in machines else f"{field} ({_machines(machines, found)})"
            for field, machines in fields.items()
        ]
        print(f"not varied, {why}: {', '.join(left)}")
    if not found.baselines:
        print(f"{found.chip} is behind a channel itself, so no other machine stands beside it")


def _print_costs(found: Sensitivity) -> None:
    from neurosim.cli.output import print_table
    from neurosim.units import human

    machines = (found.chip, *found.baselines)
    rows = [
        (rule, *(f"{human(found.energies[name][rule]['total'] * 1e-12, 'joules')}, "
                 f"{human(found.seconds[name][rule], 'seconds')}" for name in machines))
        for rule in found.rules
    ]  # fmt: skip
    time = "the bound of the time" if found.fidelity == "analytic" else "time"
    print_table(f"{found.network}, per {found.per}: energy and {time}", ["rule", *machines], rows)


def _print_variations(found: Sensitivity) -> None:
    from neurosim.cli.output import print_table
    from neurosim.sensitivity import shown_value

    rows = [
        (
            each.assumption.path,
            _machines(each.assumption.machines, found),
            f"{shown_value(each.values[0])} to {shown_value(each.values[1])}",
            *(f"{pair[0]:.2f} to {pair[1]:.2f}" for pair in each.ratios.values()),
            "; ".join((*_told(each.flips), *each.notes)),
        )
        for each in found.variations
    ]
    title = f"{found.network} on {found.chip}: energy with half and with double of what is assumed, over what it is"
    print_table(title, ["assumed", "of", "half to double", *found.rules, "turns round"], rows)


def _print_conclusions(found: Sensitivity) -> None:
    from neurosim.cli.output import print_table

    together = {flip.question: flip.after for flip in found.together}
    alone: dict[str, list[str]] = {}
    for each in found.variations:
        for flip in each.flips:
            alone.setdefault(flip.question, []).append(each.assumption.path)
    lines = [
        (
            question, answer, f"{found.margins[question]:.3f}",
            ", ".join(dict.fromkeys(alone.get(question, ()))) or "none", together.get(question, "holds"),
        )
        for question, answer in found.conclusions.items()
    ]  # fmt: skip
    heads = ["question", "conclusion", "by a factor of", "turned round by one of", "all prices wrong at once"]
    print_table("Conclusions", heads, lines)


def _machines(names: Sequence[str], found: Sensitivity) -> str:
    """Return machines as text, both forms of the von Neumann machine as one."""
    if found.baselines and set(found.baselines) <= set(names):
        names = [*(name for name in names if name not in found.baselines), f"both {found.baselines[0]}"]
    return ", ".join(names)


def _told(flips: Iterable[Flip]) -> list[str]:
    """Return what turned round in energy or time, each change once with the rules that it happened to."""
    changes: dict[tuple[str, str], list[str]] = {}
    for flip in flips:
        what, _, about = flip.question.partition(": ")
        rules = changes.setdefault((what, f"{flip.before} -> {flip.after}"), [])
        rule = about.removeprefix("largest component of ").partition(" on ")[0]
        rules += [] if rule == about else [rule]
    return [
        f"{'time, ' if what == 'time' else ''}{', '.join(rules)}: {change}" if rules else f"{what}: {change}"
        for (what, change), rules in changes.items()
    ]
