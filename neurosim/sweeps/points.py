"""The points of a sweep: every combination of its axes as complete descriptions, checked before anything runs."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from neurosim.chips import Chip, load_chip, tile_chips
from neurosim.descriptions import override
from neurosim.errors import DescriptionError, NeurosimError
from neurosim.networks import Network
from neurosim.recipes import Recipe
from neurosim.rules import Rule
from neurosim.scaling import with_cores, with_macs
from neurosim.settings import check_rule_names, field_of, parse_settings
from neurosim.sweeps.description import Learning, Sweep

VON_NEUMANN = "von_neumann"
Coordinates = Mapping[str, str | int]


@dataclass(frozen=True)
class Point:
    """One combination of a sweep: what is costed (and trained), and where it stands on the sweep's axes.

    ``beside`` are the rules that share slices and microbatch with ``rule``, itself among them. ``machine`` is "chip",
    or the von Neumann machine's name with its reuse, which stands on no axis of the chip.
    """

    coordinates: Coordinates
    machine: str
    network: Network
    rule: Rule
    chip: Chip
    recipe: Recipe
    beside: tuple[Rule, ...]
    fidelity: str
    per: str
    samples: int | None
    learning: Learning | None
    train_samples: int | None
    data_sha256: str = ""

    @cached_property
    def description(self) -> dict[str, Any]:
        """All that the point's costs are a function of, as plain data."""
        return {
            "network": self.network.model_dump(),
            "rule": self.rule.model_dump(),
            "chip": self.chip.model_dump(exclude={"sources"}),
            "recipe": self.recipe.model_dump(),
            "beside": [rule.model_dump() for rule in self.beside],
            "fidelity": self.fidelity,
            "per": self.per,
            "samples": self.samples,
            "train_samples": self.train_samples,
        }

    @cached_property
    def learning_description(self) -> dict[str, Any]:
        """All that the point's accuracy is a function of: neither the chip nor how a step is cut and delivered.

        BP learns the same wherever its products are computed.
        """
        assert self.learning is not None
        rule = self.rule.model_dump()
        if self.rule.matrix == "weights":
            rule |= {"name": "bp", "transport": "owner"}
        return {
            "network": self.network.model_dump(exclude={"name"}),
            "rule": rule,
            "recipe": self.recipe.model_dump(exclude={"microbatch", "delivery", "overlap", "window"}),
            "learning": self.learning.model_dump(exclude={"data_dir"}),
            "data_sha256": self.data_sha256,
        }

    @cached_property
    def id(self) -> str:
        """A digest of the description: equal points are computed once, and found again in a folder."""
        return digest(self.description)

    @cached_property
    def learning_id(self) -> str:
        """A digest of what is learned, or "" where nothing is."""
        return "" if self.learning is None else digest(self.learning_description)

    @property
    def place(self) -> str:
        """Where the point stands, for messages."""
        return ", ".join(f"{name} {value}" for name, value in self.coordinates.items()) or self.rule.name


@dataclass(frozen=True)
class Job:
    """What is computed in one go and kept in one file: the costs of a point, or (``trains``) what it learns."""

    id: str
    point: Point
    trains: bool


def jobs_of(points: Sequence[Point]) -> list[Job]:
    """Return every different job of some points, trainings first: they take the longest."""
    trainings = {point.learning_id: Job(point.learning_id, point, True) for point in reversed(points)}
    costs = {point.id: Job(point.id, point, False) for point in reversed(points)}
    trainings.pop("", None)
    return [*reversed(trainings.values()), *reversed(costs.values())]


def digest(description: Mapping[str, Any]) -> str:
    """Return a name for a description, by which equal ones are known."""
    text = json.dumps(description, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def expand(sweep: Sweep, train_samples: int | None = None, data_sha256: str = "") -> list[Point]:
    """Return the points of a sweep in the order of its axes, and behind them those of the von Neumann machine.

    ``train_samples`` is the length of an epoch of the data set, where points are trained, ``data_sha256`` its contents.

    Raises:
        DescriptionError: a value of an axis that its field may not have, or fields that contradict each other in a
            combination; the axes and their values are named.
    """
    for axis in sweep.axes:
        for value in axis.values:
            check_rule_names(parse_settings([f"{axis.key}={value}"]), [rule.name for rule in sweep.rules])
    data = {"train_samples": train_samples, "data_sha256": data_sha256}
    points = [replace(_point(sweep, chosen), **data) for chosen in _combinations(sweep)]  # type: ignore[arg-type]
    if sweep.together:
        points = _share(points)
    if sweep.von_neumann and (sweep.cores or sweep.chips) and not sweep.chip.behind_channel:
        points += _references(sweep, points)
    return points


def _combinations(sweep: Sweep) -> Iterator[dict[str, Any]]:
    """Yield the value of every axis for each point: all combinations, or values side by side."""
    axes: dict[str, list[Any]] = {
        "network": list(sweep.networks),
        "rule": list(sweep.rules),
        "cores": list(sweep.cores) or [None],
        "chips": list(sweep.chips) or [None],
    }
    axes |= {axis.key: list(axis.values) for axis in sweep.axes}
    if sweep.zip:
        rules = axes.pop("rule")
        length = max(len(values) for values in axes.values())
        columns = [values * length if len(values) == 1 else values for values in axes.values()]
        for rule in rules:
            for row in zip(*columns, strict=True):
                yield {"rule": rule, **dict(zip(axes, row, strict=True))}
        return
    for row in itertools.product(*axes.values()):
        yield dict(zip(axes, row, strict=True))


def _point(sweep: Sweep, chosen: Mapping[str, Any]) -> Point:
    """Build the descriptions of one combination; an error names the values that are combined."""
    coordinates = _coordinates(sweep, chosen)
    try:
        return _build(sweep, chosen, coordinates)
    except NeurosimError as error:
        told = {axis.key: chosen[axis.key] for axis in sweep.axes} | coordinates
        values = ", ".join(f"{name} = {value}" for name, value in told.items())
        raise DescriptionError(f"{values}: {error}") from None


def _coordinates(sweep: Sweep, chosen: Mapping[str, Any]) -> dict[str, str | int]:
    """Return where a combination stands on the axes that have several values, and always its rule."""
    named = {"network": chosen["network"].name, "rule": chosen["rule"].name}
    return {
        name: named.get(name, value)
        for name, value in chosen.items()
        if name == "rule" or (value is not None and (name in sweep.several or name in ("cores", "chips")))
    }


def _build(sweep: Sweep, chosen: Mapping[str, Any], coordinates: dict[str, str | int]) -> Point:
    settings = parse_settings([f"{axis.key}={chosen[axis.key]}" for axis in sweep.axes])
    network: Network = settings.network(chosen["network"])
    rule = settings.rule(chosen["rule"])
    recipe = settings.recipe(sweep.recipe)
    own = settings.recipe_of_rule(rule.name, recipe)
    base = settings.chip(sweep.chip)
    chip = _scaled(base, chosen["cores"], chosen["chips"], sweep)
    if sweep.weak:
        least = _scaled(base, min(sweep.cores), min(sweep.chips, default=None), sweep)
        network = with_macs(network, chip.cores / least.cores)
    return Point(
        coordinates=coordinates,
        machine="chip",
        network=network,
        rule=rule,
        chip=chip,
        recipe=Recipe(**(recipe.model_dump(exclude_unset=True) | own)),
        beside=(rule,),
        fidelity=sweep.fidelity,
        per=sweep.per,
        samples=sweep.samples,
        learning=sweep.learning,
        train_samples=None,
    )


def _scaled(chip: Chip, cores: int | None, chips: int | None, sweep: Sweep) -> Chip:
    """Return the chip with so many cores, so many times."""
    found = chip if cores is None else with_cores(chip, cores, sweep.memory_scaling)
    return found if chips is None else tile_chips(found, chips)


def _share(points: list[Point]) -> list[Point]:
    """Let all points that differ in the rule alone be placed together."""
    beside: dict[str, list[Rule]] = {}
    keys = [json.dumps({k: v for k, v in point.coordinates.items() if k != "rule"}) for point in points]
    for key, point in zip(keys, points, strict=True):
        beside.setdefault(key, []).append(point.rule)
    return [replace(point, beside=tuple(beside[key])) for key, point in zip(keys, points, strict=True)]


def _references(sweep: Sweep, points: list[Point]) -> list[Point]:
    """Return every different network, rule and recipe once more, on the von Neumann machine with either reuse.

    It has the widths of the chip and stands on no axis of it; only a network that grows with the cores has a machine
    for each number of them.
    """
    machine = load_chip(VON_NEUMANN)
    of_chip = {"chips", *(axis.key for axis in sweep.axes if _of_chip(axis.key))}
    of_chip |= set() if sweep.weak else {"cores"}
    found: dict[str, Point] = {}
    for reuse in ("layer", "ideal"):
        chip = override(machine, "channel.reuse", reuse)
        for point in points:
            reference = replace(
                point,
                coordinates={name: value for name, value in point.coordinates.items() if name not in of_chip},
                machine=f"{VON_NEUMANN} (reuse {reuse})",
                chip=chip.model_copy(update={"widths": point.chip.widths}),
                recipe=Recipe(**(point.recipe.model_dump(exclude_unset=True) | {"microbatch": "auto"})),
                beside=(point.rule,),
            )
            found.setdefault(f"{reference.machine} {reference.place}", reference)
    return list(found.values())


def _of_chip(key: str) -> bool:
    """Whether an axis means nothing to one processor behind a channel: of the chip, its microbatches or messages."""
    found = field_of(key).rpartition(":")[2]
    of_chip = found.startswith("chip.") and not found.startswith("chip.widths.")
    return of_chip or found in ("recipe.microbatch", "recipe.delivery")
