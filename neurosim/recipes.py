"""Recipe: how a network is trained and how its traffic is delivered."""

from __future__ import annotations

import os
from typing import Annotated, Literal, Protocol

from pydantic import BeforeValidator, Field, model_validator

from neurosim.descriptions import Amount, Description, PositiveAmount, PositiveCount, Seed, load, whole
from neurosim.errors import DescriptionError

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Microbatch = Annotated[Literal["auto"] | Annotated[int, Field(ge=1)], BeforeValidator(whole)]


_USED_BY = {
    "momentum": ("optimizer", ("momentum",)),
    "beta1": ("optimizer", ("adam",)),
    "beta2": ("optimizer", ("adam",)),
    "rms_decay": ("optimizer", ("rmsprop",)),
    "epsilon": ("optimizer", ("rmsprop", "adam")),
    "lr_step_epochs": ("lr_schedule", ("step",)),
    "lr_step_factor": ("lr_schedule", ("step",)),
    "init_scale": ("init", ("uniform", "normal")),
    "window": ("overlap", ("exact",)),
}
"""Numbers that only some choices use: set to another value than the default under another choice, they are refused."""


class Recipe(Description):
    """Batch, loss, optimizer, schedule, initialisation, seed; and microbatch, delivery and overlap on the chip."""

    batch_size: PositiveCount = 64
    loss: Literal["softmax", "sigmoid", "squared"] = "softmax"
    reduction: Literal["mean", "sum"] = "mean"
    targets: Literal["labels", "dense"] = "labels"
    optimizer: Literal["sgd", "momentum", "rmsprop", "adam"] = "adam"
    lr: PositiveAmount = 1e-3
    momentum: Fraction = 0.9
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    rms_decay: Fraction = 0.99
    epsilon: PositiveAmount = 1e-8
    weight_decay: Amount = 0.0
    clip_value: PositiveAmount | None = None
    clip_norm: PositiveAmount | None = None
    lr_schedule: Literal["constant", "step", "cosine"] = "constant"
    lr_step_epochs: PositiveCount = 10
    lr_step_factor: PositiveAmount = 0.1
    epochs: PositiveCount = 10
    init: Literal["uniform", "normal", "zero"] = "uniform"
    init_scale: PositiveAmount = 1.0
    sampling: Literal["shuffle", "replacement"] = "shuffle"
    seed: Seed = 0
    dtype: Literal["float32", "float64"] = "float32"
    microbatch: Microbatch = "auto"
    delivery: Literal["unicast", "multicast"] = "multicast"
    overlap: Literal["none", "exact"] = "none"
    window: Annotated[int, Field(ge=1, le=8)] = 2

    @model_validator(mode="after")
    def _microbatch_fits_the_batch(self) -> Recipe:
        if self.microbatch != "auto" and self.microbatch > self.batch_size:
            raise ValueError(
                f"microbatch: {self.microbatch}: must be at most batch_size, which is {self.batch_size}, or 'auto'"
            )
        return self

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> Recipe:
        for name, (choice, users) in _USED_BY.items():
            if getattr(self, choice) not in users and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(
                    f"{name}: {getattr(self, name)}: has no effect with {choice} {getattr(self, choice)!r}; leave it "
                    f"away, or choose {choice} {' or '.join(repr(user) for user in users)}"
                )
        return self

    @property
    def microbatches_in_flight(self) -> int:
        """Microbatches for which a core keeps room: 1 without overlap, else the window."""
        return 1 if self.overlap == "none" else self.window


class Machine(Protocol):
    """What a recipe needs to know of a chip."""

    @property
    def name(self) -> str:
        """Its name, for messages."""
        ...

    @property
    def barrier_cycles(self) -> int:
        """Cycles of its barrier."""
        ...

    @property
    def barrier_pj(self) -> float:
        """Energy of its barrier."""
        ...


def load_recipe(source: str | os.PathLike[str] | Recipe) -> Recipe:
    """Return the recipe of a TOML file (what it leaves out keeps its default), or a Recipe as it is.

    Raises:
        DescriptionError: no such file, or a value a recipe may not have.
    """
    return load(Recipe, source, {}, "recipe")


def check_recipe(recipe: Recipe, chip: Machine) -> None:
    """Refuse what this chip cannot do.

    Raises:
        DescriptionError: clipping by norm, or exact overlap on a chip with a barrier.
    """
    if recipe.clip_norm is not None:
        raise DescriptionError(
            f"clip_norm: {recipe.clip_norm:g}: is refused on a chip: the norm is a sum over all cores before any may "
            "update; use clip_value"
        )
    if recipe.overlap == "exact" and (chip.barrier_cycles or chip.barrier_pj):
        raise DescriptionError(
            f"overlap: 'exact': chip {chip.name} stops at a barrier after every microbatch, so none overlap; "
            "use overlap = 'none' or set barrier_cycles and barrier_pj to 0"
        )
