"""``neurosim check``: whether descriptions are valid, and what they assume."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from neurosim.descriptions import Description

OF_SWEEPS = {"network", "networks"}
"""Keys of which a sweep has one, and no other description."""


def check_files(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="TOML files of chips, networks, rules, recipes, sweeps.")
    ],
) -> None:
    """Validate descriptions; say what they assume.

    The kind of each, chip, network, rule, recipe or sweep, is seen from its keys. Of a sweep every point is made.
    """
    from neurosim.errors import NeurosimError

    bad = 0
    for file in files:
        try:
            _check(file)
        except NeurosimError as error:
            bad += 1
            print(f"neurosim: {error}", file=sys.stderr)
    if bad:
        raise typer.Exit(2)


def _loaders() -> dict[str, tuple[type[Description], Callable[[Path], Description], Mapping[str, Any]]]:
    """Return for each kind of description its model, its loader, and the names a file may be based on."""
    from neurosim.chips import Chip, chip_files, load_chip
    from neurosim.networks import Network, load_network
    from neurosim.recipes import Recipe, load_recipe
    from neurosim.rules import RULES, Rule, load_rule

    return {
        "chip": (Chip, load_chip, chip_files()),
        "network": (Network, load_network, {}),
        "rule": (Rule, load_rule, RULES),
        "recipe": (Recipe, load_recipe, {}),
    }


def _check(file: Path) -> None:
    from neurosim.chips import Chip, assumed
    from neurosim.descriptions import read_toml

    if OF_SWEEPS & set(read_toml(file)):
        _check_sweep(file)
        return
    kind = _kind(file)
    description = _loaders()[kind][1](file)
    print(f"{file}: is a valid {kind}")
    for line in assumed(description) if isinstance(description, Chip) else []:
        print(f"  assumed: {line}")


def _check_sweep(file: Path) -> None:
    from neurosim.sweeps import expand, read_sweep

    print(f"{file}: is a valid sweep of {len(expand(read_sweep(file)))} points")


def _kind(file: Path, seen: tuple[Path, ...] = ()) -> str:
    """Return the kind whose keys a file shares most, or the kind of what it is based on."""
    from neurosim.descriptions import read_toml
    from neurosim.errors import DescriptionError

    data = read_toml(file)
    base = data.get("based_on")
    loaders = _loaders()
    for kind, (_, _, shipped) in loaders.items():
        if isinstance(base, str) and base in shipped:
            return kind
    if isinstance(base, str) and file.resolve() not in seen and (file.parent / base).is_file():
        return _kind(file.parent / base, (*seen, file.resolve()))
    shared = {kind: len(_keys(model) & set(data)) for kind, (model, _, _) in loaders.items()}
    best = max(shared, key=lambda kind: shared[kind])
    if not shared[best]:
        raise DescriptionError(
            f"{file}: is no description: a chip has core and noc, a network inputs and layers, "
            "a rule error and matrix, a recipe batch_size and optimizer, a sweep network"
        )
    return best


def _keys(model: type[Description]) -> set[str]:
    """Return the keys by which a kind is known: not ``name``, which most have, but a rule's flat feedback keys."""
    from neurosim.rules import Feedback, Rule

    flat = set(Feedback.model_fields) if model is Rule else set()
    return (set(model.model_fields) | flat) - {"name"}
