"""Settings: ``--set KEY=VALUE`` reaches every field of network, rule, chip and recipe."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from neurosim.chips import Chip
from neurosim.descriptions import Description, override, parse_value, resolved_key, validate
from neurosim.errors import DescriptionError, nearest_guess
from neurosim.explanations import key_paths
from neurosim.networks import Conv, Dense, Network, Pool
from neurosim.recipes import Recipe
from neurosim.rules import Rule

Model = TypeVar("Model", bound=Description)

PARTS: dict[str, type[Description]] = {"network": Network, "rule": Rule, "chip": Chip, "recipe": Recipe}
ALIASES = {"training": "recipe"}


@dataclass
class Settings:
    """Overrides by part: (key, text) in the order given; those of one rule by its name."""

    parts: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: {part: [] for part in PARTS})
    rules: dict[str, dict[str, list[tuple[str, str]]]] = field(default_factory=dict)

    def network(self, network: Network) -> Network:
        """Return the network with its overrides; its name says so."""
        overrides = self.parts["network"]
        changed = _apply(network, overrides)
        if network.name == _shorthand(network):
            # A shorthand names the widths, which may be others now.
            changed = changed.model_copy(update={"name": _shorthand(changed)})
            overrides = [(key, text) for key, text in overrides if not _WIDTH.fullmatch(key)]
        return changed.model_copy(update={"name": _name(changed.name, overrides)})

    def chip(self, chip: Chip) -> Chip:
        """Return the chip with its overrides; its name says so."""
        overrides = self.parts["chip"]
        changed = _apply(chip, overrides)
        return changed.model_copy(update={"name": _name(changed.name, overrides)})

    def recipe(self, recipe: Recipe) -> Recipe:
        """Return the recipe with its overrides."""
        return _apply_together(recipe, self.parts["recipe"])

    def rule(self, rule: Rule) -> Rule:
        """Return a rule with the overrides of all rules and its own."""
        own = self.rules.get(rule.name, {}).get("rule", [])
        return _apply(rule, self.parts["rule"] + own)

    def recipe_of_rule(self, name: str, recipe: Recipe) -> dict[str, Any]:
        """Return the recipe fields that only the rule ``name`` sets."""
        own = self.rules.get(name, {}).get("recipe", [])
        changed = _apply_together(recipe, own)
        return {key.partition(".")[0]: getattr(changed, key.partition(".")[0]) for key, _ in own}


def parse_settings(texts: Sequence[str]) -> Settings:
    """Return the settings of ``KEY=VALUE`` and ``RULE:KEY=VALUE`` texts.

    A key may begin with its part (``chip.noc.flit_bits``, ``recipe.lr``; ``training.`` is the recipe too); without, it
    is looked up in the recipe, then in rule, chip and network.

    Raises:
        DescriptionError: no '=', or no such field, with the nearest guess.
    """
    settings = Settings()
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise DescriptionError(f"--set {text}: write KEY=VALUE, such as lr=0.1 or chip.noc.flit_bits=32")
        rule, colon, inner = key.strip().rpartition(":")
        part, path = _locate(inner.strip(), text)
        if not colon:
            settings.parts[part].append((path, value.strip()))
        elif part in ("recipe", "rule"):
            settings.rules.setdefault(rule.strip(), {}).setdefault(part, []).append((path, value.strip()))
        else:
            raise DescriptionError(f"--set {text}: one rule can have its own recipe or feedback, not its own {part}")
    return settings


def check_rule_names(settings: Settings, names: Sequence[str]) -> None:
    """Refuse settings for a rule that is not in use."""
    for name in settings.rules:
        if name not in names:
            raise DescriptionError(
                f"--set {name}:...: rule {name!r} is not in use; in use are {', '.join(names)}"
                f"{nearest_guess(name, names)}"
            )


def field_of(key: str) -> str:
    """Return the one full name of a field that a key of ``--set`` may name in several ways: ``chip.noc.flit_bits``.

    Raises:
        DescriptionError: no such field, or several tables have it.
    """
    rule, colon, inner = key.strip().rpartition(":")
    part, path = _locate(inner.strip(), key)
    return f"{rule.strip()}{colon}{part}.{resolved_key(PARTS[part], path)}"


def _locate(key: str, text: str) -> tuple[str, str]:
    """Return the part a key belongs to and its path there."""
    first, _, rest = key.partition(".")
    part = ALIASES.get(first, first)
    if part in PARTS and rest:
        return part, rest
    for name in ("recipe", "rule", "chip", "network"):
        model = PARTS[name]
        if first in model.model_fields and first not in ("name", "sources"):
            return name, key
    for name in ("rule", "chip"):
        if any(path.rpartition(".")[2] == key for path in key_paths(PARTS[name])):
            return name, key
    if any(first in kind.model_fields for kind in (Dense, Conv, Pool)):
        raise DescriptionError(
            f"--set {text}: '{first}' belongs to a layer: write layers.N.{key}=... with its number N"
        )
    known = [*(f for model in PARTS.values() for f in model.model_fields), *PARTS]
    raise DescriptionError(
        f"--set {text}: no field '{key}' in recipe, rule, chip or network{nearest_guess(first, known)}"
    )


_WIDTH = re.compile(r"inputs|layers\.\d+\.units")


def _shorthand(network: Network) -> str:
    return "-".join(str(width) for width in network.widths)


def _name(name: str, overrides: Sequence[tuple[str, str]]) -> str:
    """A description that was changed does not go by its old name alone."""
    changes = [f"{key}={text}" for key, text in overrides if key != "name"]
    return f"{name} ({', '.join(changes)})" if changes else name


def _apply_together(recipe: Recipe, overrides: Sequence[tuple[str, str]]) -> Recipe:
    """Set fields that hang on each other (batch_size and microbatch, optimizer and momentum) together, in any order."""
    optional = {name for name, known in Recipe.model_fields.items() if known.default is None}
    values = {key: None if text == "none" and key in optional else parse_value(text) for key, text in overrides}
    return validate(Recipe, recipe.model_dump(exclude_unset=True) | values, "recipe")


def _apply(model: Model, overrides: Sequence[tuple[str, str]]) -> Model:
    for key, text in overrides:
        model = override(model, key, text)
    return model
