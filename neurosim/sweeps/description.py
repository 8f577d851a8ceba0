"""Sweep: what is varied and what is measured, as one description. `sweep.toml` holds it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from neurosim.arguments import checked_count, checked_list
from neurosim.chips import MOST_CORES, Chip, load_chip
from neurosim.descriptions import Description, PositiveCount, read_toml, validate
from neurosim.errors import DescriptionError, nearest_guess
from neurosim.networks import Network, load_network
from neurosim.recipes import Recipe
from neurosim.rules import Rule, load_rule
from neurosim.scaling import MemoryScaling
from neurosim.settings import field_of

CoreCount = Annotated[PositiveCount, Field(le=MOST_CORES)]
DEFAULT_RULES = ("bp", "fa", "dfa", "sdfa", "ssdfa")
DEFAULT_CHIP = "mesh64"
COUNTED = ("cores", "chips")
"""Axes that are counts of parts and no single fields of a description."""


class Axis(Description):
    """A field of network, rule, chip or recipe as ``--set`` names it, and the values it takes, as text."""

    key: str
    values: Annotated[tuple[str, ...], Field(min_length=1)]


class Learning(Description):
    """What every point is trained on: a data set, the folder it lies in, and the fields of ``Preparation``."""

    dataset: str
    scale: str | None = None
    whiten: str | None = None
    whiten_epsilon: float | None = None
    data_dir: str | None = None
    subset: PositiveCount | None = None
    validation: float = 0.0
    augment: str = ""


class Sweep(Description):
    """Networks, rules, a chip and a recipe; what is varied of them; and what is measured of every point.

    ``cores`` scales the chip (``memory`` as ``scaling.with_cores`` has it; by default "scaled", and "fixed" where
    ``weak`` lets the network grow with the cores), ``chips`` tiles it, ``axes`` are single fields. All combinations are
    points, or with ``zip`` the first values of all axes together, then the second ones, each with every rule.
    ``together`` gives all rules of a combination the same slices and microbatch, as ``compare`` does.
    """

    networks: Annotated[tuple[Network, ...], Field(min_length=1)]
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]
    chip: Chip
    recipe: Recipe = Recipe()
    cores: tuple[CoreCount, ...] = ()
    chips: tuple[CoreCount, ...] = ()
    axes: tuple[Axis, ...] = ()
    zip: bool = False
    weak: bool = False
    memory: MemoryScaling | None = None
    together: bool = False
    von_neumann: bool = True
    fidelity: Literal["event", "analytic"] = "event"
    per: Literal["sample", "step", "epoch"] = "step"
    samples: PositiveCount | None = None
    learning: Learning | None = None

    @model_validator(mode="after")
    def _every_value_once(self) -> Sweep:
        for name, values in self.varied().items():
            doubled = next((value for value in values if values.count(value) > 1), None)
            if doubled is not None:
                raise ValueError(f"{name}: {doubled}: is given twice; every value of an axis makes points of its own")
        return self

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> Sweep:
        if not self.cores:
            for name in ("weak", "memory"):
                if getattr(self, name):
                    raise ValueError(f"{name}: {getattr(self, name)}: has no effect without cores; give --cores 1,4,16")
        if self.zip and len([name for name in self.several if name != "rule"]) < 2:
            raise ValueError("zip: true: has no effect with fewer than two axes of several values")
        if self.samples is not None and self.per != "epoch":
            raise ValueError(f"samples: {self.samples}: is the length of an epoch; set per to 'epoch'")
        if self.learning is not None and self.fidelity == "analytic":
            raise ValueError("fidelity: 'analytic': a training needs simulated epochs; use 'event', or no data set")
        return self

    @model_validator(mode="after")
    def _every_field_once(self) -> Sweep:
        fields = [field_of(axis.key) for axis in self.axes]
        given = {f"recipe.{name}" for name in self.recipe.model_fields_set - {"targets"}}
        for axis, found in zip(self.axes, fields, strict=True):
            if fields.count(found) > 1 or found in given:
                raise ValueError(f"{axis.key}: {found} is given twice; give one field its values in one place")
            if found.endswith(".name"):
                raise ValueError(f"{axis.key}: a name is no field to vary; it says what a point is of")
            for name, replaced in (("cores", ("chip.grid", "chip.chips")), ("chips", ("chip.chips",))):
                if getattr(self, name) and found in replaced:
                    raise ValueError(f"{axis.key}: has no effect with {name}, which sets it; leave one of them out")
            if self.together and found.rpartition(":")[2] == "recipe.microbatch" and ":" in found:
                raise ValueError(f"{axis.key}: together: all rules share one microbatch; leave one of them out")
        return self

    @model_validator(mode="after")
    def _zipped_axes_match(self) -> Sweep:
        lengths = {name: len(values) for name, values in self.varied().items() if name != "rule" and len(values) > 1}
        if self.zip and len(set(lengths.values())) > 1:
            shown = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise ValueError(f"zip: true: axes that go together need as many values each, and there are {shown}")
        return self

    def varied(self) -> dict[str, list[Any]]:
        """Return the values of every axis by its name, in the order in which they are combined."""
        found: dict[str, list[Any]] = {
            "network": [network.name for network in self.networks],
            "rule": [rule.name for rule in self.rules],
            "cores": list(self.cores),
            "chips": list(self.chips),
        }
        found |= {axis.key: list(axis.values) for axis in self.axes}
        return {name: values for name, values in found.items() if values}

    @property
    def several(self) -> list[str]:
        """The axes that have several values."""
        return [name for name, values in self.varied().items() if len(values) > 1]

    @property
    def tied(self) -> list[str]:
        """The axes that go side by side with another."""
        return [name for name in self.several if name != "rule"] if self.zip else []

    @property
    def memory_scaling(self) -> MemoryScaling:
        """What becomes of a core's memories when the number of cores changes."""
        return self.memory or ("fixed" if self.weak else "scaled")


def make_sweep(data: Mapping[str, Any], place: str = "sweep") -> Sweep:
    """Return the sweep of plain data, in which networks, rules and the chip may be names, files or tables.

    ``network`` may stand for ``networks``; ``set`` holds the axes: a field's key and its value or list of values.
    Without ``rules`` and ``chip`` it has the default ones.

    Raises:
        DescriptionError: an unknown key or value, with its place; an axis without values.
    """
    known = {*Sweep.model_fields, "network", "set", "versions"} - {"axes"}
    for key in data:
        if key not in known:
            raise DescriptionError(f"{place}.{key}: unknown key{nearest_guess(key, known)}")
    found: dict[str, Any] = {"rules": DEFAULT_RULES, "chip": DEFAULT_CHIP}
    found |= {key: value for key, value in data.items() if key != "versions"}
    if "network" in found:
        if "networks" in found:
            raise DescriptionError(f"{place}: network and networks: give one of them")
        found["networks"] = found.pop("network")
    loaders: dict[str, tuple[type[Description], Any]] = {
        "networks": (Network, load_network),
        "rules": (Rule, load_rule),
    }
    for key, (model, load) in loaders.items():
        if key in found:
            items = [found[key]] if isinstance(found[key], Mapping) else checked_list(key, found[key])
            found[key] = tuple(_resolved(model, load, item, f"{place}.{key}") for item in items)
    if "chip" in found:
        found["chip"] = _resolved(Chip, load_chip, found["chip"], f"{place}.chip")
    if "set" in found:
        found["axes"] = _axes(found.pop("set"), place)
    for key in COUNTED:
        if key in found:
            found[key] = tuple(
                checked_count(f"{place}.{key}", one) for one in checked_list(f"{place}.{key}", found[key])
            )
    return validate(Sweep, found, place)


def read_sweep(path: str | os.PathLike[str]) -> Sweep:
    """Return the sweep of a TOML file: one of the user's own, or the sweep.toml of a folder.

    Raises:
        DescriptionError: no such file, or a value that a sweep may not have.
    """
    file = Path(path)
    return make_sweep(read_toml(file), file.stem)


def sweep_table(sweep: Sweep) -> dict[str, Any]:
    """Return a sweep as tables for TOML, from which ``make_sweep`` makes the same again."""
    data = sweep.model_dump(exclude={"axes", "recipe"}, exclude_none=True)
    data["recipe"] = sweep.recipe.model_dump(exclude_unset=True)
    data["set"] = {axis.key: list(axis.values) for axis in sweep.axes}
    return {key: value for key, value in data.items() if value not in ((), {}, [])}


def split_values(text: str) -> list[str]:
    """Return the values of ``32,64,[8,8]``, cut at the commas outside brackets and quotes.

    >>> split_values("[[0,0]],[[0,0],[7,7]]")
    ['[[0,0]]', '[[0,0],[7,7]]']
    """
    values, start, depth, quote = [], 0, 0, ""
    for place, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "[]{}":
            depth += 1 if letter in "[{" else -1
        elif letter == "," and depth == 0:
            values.append(text[start:place].strip())
            start = place + 1
    return [*values, text[start:].strip()]


def value_text(value: Any) -> str:
    """Return a value of an axis as the text that ``--set KEY=TEXT`` would have."""
    if isinstance(value, str):
        return value.strip()
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(json.dumps(item) if isinstance(item, str) else value_text(item) for item in value) + "]"
    if hasattr(value, "tolist"):
        return value_text(value.tolist())
    return json.dumps(value) if isinstance(value, bool) else repr(value)


def _axes(found: Any, place: str) -> tuple[Axis, ...]:
    if not isinstance(found, Mapping):
        raise DescriptionError(f"{place}.set: must be a table of keys, each with its value or a list of values")
    axes = []
    for key, values in flat_axes(found).items():
        plain = values.tolist() if hasattr(values, "tolist") else values
        texts = [value_text(value) for value in (plain if _is_list(plain) else [plain])]
        if not texts or "" in texts:
            raise DescriptionError(f"{place}.set.{key}: {list(values)!r}: an axis needs values, none of them empty")
        axes.append(Axis(key=key, values=tuple(texts)))
    return tuple(axes)


def _is_list(values: Any) -> bool:
    return isinstance(values, Sequence) and not isinstance(values, str)


def flat_axes(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the keys of nested tables as dotted ones: ``chip.noc.flit_bits = [32, 64]`` needs no quotes."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        if not isinstance(key, str):
            raise DescriptionError(f"axes: {key!r}: must be the key of a field, as text")
        found |= flat_axes(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return found


def _resolved(model: type[Description], load: Any, item: Any, place: str) -> Any:
    """Return the description that a name, a path, a table or a model stands for."""
    if isinstance(item, Mapping):
        return validate(model, item, place)
    return load(item)
