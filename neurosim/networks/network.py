"""Network and Dense: layers of neurons as plain data, read from TOML or from a shorthand such as 784-800-10."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from neurosim.descriptions import Description, NeuronCount, is_path, load, validate
from neurosim.errors import DescriptionError, nearest_guess

Activation = Literal["tanh", "sigmoid", "relu", "linear"]


class Dense(Description):
    """A fully connected layer. The last layer's activation is set by the loss and is not used."""

    units: NeuronCount
    activation: Activation = "tanh"
    trainable: bool = True
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0


class Network(Description):
    """An input of ``inputs`` values and layers 1..L."""

    name: str = ""
    inputs: NeuronCount
    layers: Annotated[tuple[Dense, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _outputs_are_kept(self) -> Network:
        last = self.layers[-1]
        if last.dropout > 0.0:
            raise ValueError(
                f"layers.{len(self.layers)}.dropout: {last.dropout:g}: is refused on the last layer, whose outputs "
                "the loss compares with the targets; set it to 0, or drop hidden neurons"
            )
        return self

    @property
    def widths(self) -> tuple[int, ...]:
        """n_0, n_1, ..., n_L: values of the input and neurons of each layer."""
        return (self.inputs, *(layer.units for layer in self.layers))

    @property
    def depth(self) -> int:
        """L, the number of layers with weights."""
        return len(self.layers)

    def layer(self, number: int) -> Dense:
        """Return layer ``number``, counted from 1 as in the equations."""
        return self.layers[number - 1]


NETWORKS: dict[str, str] = {
    "64-100-100-10": "the embedded digits, in seconds",
    "784-800-10": "one hidden layer on MNIST, as in the published comparisons of DFA",
    "784-800-800-10": "two hidden layers on MNIST: the smallest on which the rules differ in work",
    "784-3x800-10": "three hidden layers on MNIST",
    "784-7x240-10": "seven narrow hidden layers on MNIST, where depth tells",
}
"""Networks to start from, by their shorthand, and what each is for."""

_LONGEST_REPEAT = 1000
_PART = re.compile(r"(?:(\d{1,9})x)?(\d{1,9})", re.ASCII)
_HOW = "write widths such as 784-800-10, 784-7x240-10 for seven layers of 240, or the path of a TOML file"


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
    """Return the network of a shorthand (``784-800-10``, ``784-7x240-10``) or a TOML file; a Network as it is.

    ``activation``, where given, is that of every layer in place of the description's own.

    Raises:
        DescriptionError: a shorthand that cannot be read, or a value a network may not have.
    """
    if isinstance(source, str) and not is_path(source):
        network = dense(_widths(source, "-", f"network '{source}'", _HOW), name=source)
    else:
        network = load(Network, source, {}, "network")
    if activation is None:
        return network
    if activation not in (allowed := get_args(Activation)):
        guess = nearest_guess(activation, allowed)
        raise DescriptionError(f"activation: '{activation}': must be one of {', '.join(allowed)}{guess}")
    layers = [{**layer.model_dump(), "activation": activation} for layer in network.layers]
    return validate(Network, {**network.model_dump(), "layers": layers}, network.name)
