"""Network: layers of neurons as plain data, read from TOML or from a shorthand such as 784-800-10."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import Discriminator, Field, Tag, model_validator

from neurosim.descriptions import Description, NeuronCount, is_path, load, validate
from neurosim.errors import DescriptionError, nearest_guess
from neurosim.networks.conv import Conv
from neurosim.networks.dense import Activation, Dense
from neurosim.networks.geometry import LayerShape, Map
from neurosim.networks.pool import Flatten, Pool
from neurosim.networks.shapes import layer_shapes


def _kind_of(layer: Any) -> Any:
    """Return what kind of layer is described; one without a kind is dense."""
    return layer.get("kind", "dense") if isinstance(layer, Mapping) else getattr(layer, "kind", "dense")


AnyLayer = Annotated[
    Annotated[Dense, Tag("dense")]
    | Annotated[Conv, Tag("conv")]
    | Annotated[Pool, Tag("max_pool")]
    | Annotated[Pool, Tag("average_pool")]
    | Annotated[Flatten, Tag("flatten")],
    Discriminator(_kind_of),
]


class Network(Description):
    """An input of ``inputs`` values, or of [channels, rows, columns], and the layers that follow.

    Layers 1..L are those with weights, dense or conv; a pool belongs to the convolution before it.
    """

    name: str = ""
    inputs: NeuronCount | tuple[NeuronCount, NeuronCount, NeuronCount]
    layers: Annotated[tuple[AnyLayer, ...], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _maps_are_meant(cls, data: Any) -> Any:
        """Refuse inputs that are half a map, and a layer that would be dense by default and is meant to be another."""
        inputs = data.get("inputs") if isinstance(data, Mapping) else None
        if isinstance(inputs, list | tuple) and len(inputs) != 3:
            raise ValueError(f"inputs: {list(inputs)}: must be a number of values, or [channels, rows, columns]")
        layers = data.get("layers") if isinstance(data, Mapping) else None
        for number, layer in enumerate(layers if isinstance(layers, list | tuple) else (), start=1):
            if isinstance(layer, Mapping) and "kind" not in layer and {"channels", "kernel"} & set(layer):
                raise ValueError(
                    f"layers.{number}.kind: is missing: a layer with channels or a kernel is no dense one; write "
                    "kind = 'conv', 'max_pool' or 'average_pool'"
                )
        return data

    @model_validator(mode="after")
    def _fits_together(self) -> Network:
        shapes = self.shapes
        last = self.weighted[-1]
        if last.dropout > 0.0:
            raise ValueError(
                f"layers.{len(self.layers)}.dropout: {last.dropout:g}: is refused on the last layer, whose outputs "
                "the loss compares with the targets; set it to 0, or drop hidden neurons"
            )
        largest = max((one for shape in shapes for one in (shape.inputs, shape.map)), key=lambda one: one.units)
        if largest.units > MOST_UNITS:
            raise ValueError(f"layers: a map of {largest}: must be of at most {MOST_UNITS} units")
        return self

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Network:
        """Return a copy; what was worked out from the layers before is worked out again."""
        copy = super().model_copy(update=update, deep=deep)
        for name in ("weighted", "shapes", "widths"):
            copy.__dict__.pop(name, None)
        return copy

    @cached_property
    def weighted(self) -> tuple[Dense | Conv, ...]:
        """Layers 1..L, those with weights."""
        return tuple(layer for layer in self.layers if isinstance(layer, Dense | Conv))

    @cached_property
    def shapes(self) -> tuple[LayerShape, ...]:
        """The shapes of layers 1..L."""
        return layer_shapes(self.inputs, self.layers)

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """n_0, n_1, ..., n_L: values of the input and of what each layer hands on (after its pool)."""
        return (self.map(0).units, *(shape.outputs.units for shape in self.shapes))

    def map(self, number: int) -> Map:
        """Return what layer ``number`` hands on to the next one; 0 is the input."""
        if number > 0:
            return self.shape(number).outputs
        return Map(self.inputs) if isinstance(self.inputs, int) else Map(*self.inputs)

    @property
    def depth(self) -> int:
        """L, the number of layers with weights."""
        return len(self.weighted)

    @property
    def argmax_bits(self) -> int:
        """Bits of the place of the largest unit in a window, enough for every max pool; 0 without one."""
        return max((shape.pool.index_bits for shape in self.shapes if shape.pool is not None), default=0)

    @property
    def convolves(self) -> bool:
        """Whether some layer is a convolution."""
        return any(shape.convolves for shape in self.shapes)

    def layer(self, number: int) -> Dense | Conv:
        """Return layer ``number`` of those with weights, counted from 1 as in the equations."""
        return self.weighted[number - 1]

    def shape(self, number: int) -> LayerShape:
        """Return the shape of layer ``number``, counted from 1."""
        return self.shapes[number - 1]


MOST_UNITS = 2**24
"""Units of a map, as many as a layer may have neurons."""

NETWORKS: dict[str, str] = {
    "64-100-100-10": "the embedded digits, in seconds",
    "784-800-10": "one hidden layer on MNIST, as in the published comparisons of DFA",
    "784-800-800-10": "two hidden layers on MNIST: the smallest on which the rules differ in work",
    "784-3x800-10": "three hidden layers on MNIST",
    "784-7x240-10": "seven narrow hidden layers on MNIST, where depth tells",
    "lenet": "two convolutions with average pools and three dense layers on MNIST",
    "cifar10-cnn-small": "two convolutions on CIFAR-10, trained on two processor cores in minutes",
    "cifar10-cnn": "three convolutions and two dense layers of 2048 on CIFAR-10, every window padded to 'same'",
    "cifar10-cnn-valid": "the same with pools that are not padded, as Nokland's has them",
}
"""Networks to start from, by shorthand or shipped file, and what each is for."""


def _shipped() -> dict[str, Path]:
    """Return the files of networks that lie beside this one, by name."""
    here = Path(str(resources.files("neurosim.networks")))
    return {path.stem: path for path in sorted(here.glob("*.toml"))}


_LONGEST_REPEAT = 1000
_PART = re.compile(r"(?:(\d{1,9})x)?(\d{1,9})", re.ASCII)
_HOW = (
    "write widths such as 784-800-10, 784-7x240-10 for seven layers of 240, a name that 'neurosim networks' lists, or "
    "the path of a TOML file"
)


def dense(widths: Sequence[int], activation: Activation = "tanh", name: str = "") -> Network:
    """Return the fully connected network of the given widths [n_0, ..., n_L].

    Raises:
        DescriptionError: fewer than two widths, a width below 1, or no such activation.
    """
    shown = name or "-".join(str(width) for width in widths)
    if len(widths) < 2:
        raise DescriptionError(f"network '{shown}': needs an input and at least one layer; {_HOW}")
    layers = [{"units": units, "activation": activation} for units in widths[1:]]
    return validate(Network, {"name": shown, "inputs": widths[0], "layers": layers}, shown)


def _widths(text: str, separator: str, place: str, how: str) -> list[int]:
    """Return the widths of a shorthand; ``7x240`` stands for seven times 240."""
    widths: list[int] = []
    for part in text.replace(" ", "").split(separator):
        match = _PART.fullmatch(part)
        if match is None:
            raise DescriptionError(f"{place}: '{part}' is not a width; {how}")
        repeat, width = int(match[1] or 1), int(match[2])
        if width < 1:
            raise DescriptionError(f"{place}: '{part}' is a layer without neurons; every width must be at least 1")
        if not 1 <= repeat <= _LONGEST_REPEAT:
            raise DescriptionError(f"{place}: '{part}' repeats {repeat} times; allowed are 1 to {_LONGEST_REPEAT}")
        widths += [width] * repeat
    return widths


def hidden(inputs: int, outputs: int, text: str, activation: Activation = "tanh") -> Network:
    """Return the network whose hidden layers ``text`` gives, such as ``800,800`` or ``7x240``, between two given ends.

    Raises:
        DescriptionError: a hidden width that is no number of at least 1.
    """
    how = "write widths joined by ',', such as 800,800 or 7x240"
    return dense([inputs, *_widths(text, ",", f"--hidden {text}", how), outputs], activation)


def load_network(source: str | os.PathLike[str] | Network, *, activation: str | None = None) -> Network:
    """Return the network of a shorthand (``784-7x240-10``), a shipped name or a TOML file; a Network as it is.

    ``activation``, where given, is that of every layer in place of the description's own.

    Raises:
        DescriptionError: a shorthand that cannot be read, or a value a network may not have.
    """
    shipped = _shipped()
    if isinstance(source, str) and source not in shipped and not is_path(source):
        if source and not source[0].isdecimal() and (guess := nearest_guess(source, shipped)):
            raise DescriptionError(f"network '{source}': is not there{guess}; {_HOW}")
        network = dense(_widths(source, "-", f"network '{source}'", _HOW), name=source)
    else:
        network = load(Network, source, shipped, "network")
    if activation is None:
        return network
    if activation not in (allowed := get_args(Activation)):
        guess = nearest_guess(activation, allowed)
        raise DescriptionError(f"activation: '{activation}': must be one of {', '.join(allowed)}{guess}")
    layers = [
        {**layer.model_dump(), "activation": activation} if isinstance(layer, Dense | Conv) else layer.model_dump()
        for layer in network.layers
    ]
    return validate(Network, {**network.model_dump(), "layers": layers}, network.name)
