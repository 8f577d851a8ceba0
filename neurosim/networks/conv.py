"""Conv: a two-dimensional convolution (a cross-correlation: filters are not flipped), and its way over a map."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from neurosim.descriptions import Description, NeuronCount, whole
from neurosim.networks.dense import Activation

Side = Annotated[int, BeforeValidator(whole), Field(ge=1, le=1024)]
Sides = Side | tuple[Side, Side]
"""One number for rows and columns, or [rows, columns]."""

Border = Annotated[int, BeforeValidator(whole), Field(ge=0, le=1023)]


def both(sides: int | tuple[int, int]) -> tuple[int, int]:
    """Return (rows, columns)."""
    return (sides, sides) if isinstance(sides, int) else sides


class Conv(Description):
    """A convolution of ``channels`` filters and an activation.

    ``padding`` is "same" as TensorFlow defines it (the odd row and column at the bottom and right), "valid", a number
    of zeros on every side, or [top, bottom, left, right].
    """

    kind: Literal["conv"] = "conv"
    channels: NeuronCount
    kernel: Sides
    stride: Sides = 1
    padding: Literal["same", "valid"] | Border | tuple[Border, Border, Border, Border] = "same"
    activation: Activation = "tanh"
    trainable: bool = True

    @property
    def dropout(self) -> float:
        """The share of neurons dropped while training: filters drop none."""
        return 0.0

    @model_validator(mode="after")
    def _padding_is_less_than_the_kernel(self) -> Conv:
        sides = self.borders
        for name, border, length in zip(("rows", "columns"), sides, both(self.kernel), strict=True):
            if not isinstance(border, str) and max(border) >= length:
                raise ValueError(
                    f"padding: {max(border)}: a window of {length} {name} would lie outside of the map; must be less "
                    "than the kernel"
                )
        return self

    @property
    def borders(self) -> tuple[Literal["same", "valid"] | tuple[int, int], Literal["same", "valid"] | tuple[int, int]]:
        """The padding of rows and of columns."""
        if isinstance(self.padding, str):
            return self.padding, self.padding
        if isinstance(self.padding, int):
            return (self.padding, self.padding), (self.padding, self.padding)
        return self.padding[:2], self.padding[2:]
