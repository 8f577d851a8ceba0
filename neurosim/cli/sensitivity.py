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
    from neurosim.cli.waiting import announce_compilation, progress_bars
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
        found = vary_assumed(network, rules=chosen, chip=chip, recipe=recipe, progress=progress, **counted)
    if json:
        print_json(found.as_dict())
    else:
        print_sensitivity(found)


def print_sensitivity(found: Sensitivity) -> None:
    """Print what each assumed number does to energies, which conclusions turn round, and what was left as it is."""
    from neurosim.cli.output import print_table
    from neurosim.sensitivity import shown_value

    rows = [
        (
            each.assumption.path,
            " ".join(each.assumption.machines),
            f"{shown_value(each.values[0])} to {shown_value(each.values[1])}",
            *(f"{pair[0]:.3f} to {pair[1]:.3f}" for pair in each.ratios.values()),
            "; ".join((*_told(each.flips), *each.notes)),
        )
        for each in found.variations
    ]
    title = f"{found.network} on {found.chip}: energy with half and with double of what is assumed, over what it is"
    print_table(title, ["assumed", "of", "half to double", *found.rules, "turns round"], rows)
    together = {flip.question: flip.after for flip in found.together}
    alone: dict[str, list[str]] = {}
    for each in found.variations:
        for flip in each.flips:
            alone.setdefault(flip.question, []).append(each.assumption.path)
    lines = [
        (question, answer, ", ".join(dict.fromkeys(alone.get(question, ()))) or "none", together.get(question, "holds"))
        for question, answer in found.conclusions.items()
    ]
    heads = ["question", "conclusion", "turned round by one of", "all prices wrong at once"]
    print_table("Conclusions", heads, lines)
    reasons: dict[str, dict[str, None]] = {}
    for path, why in found.not_varied.items():
        reasons.setdefault(why, {})[path.partition(".")[2]] = None
    for why, paths in reasons.items():
        print(f"not varied, {why}: {', '.join(paths)}")


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
