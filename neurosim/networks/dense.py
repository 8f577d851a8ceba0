"""Dense: a fully connected layer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from neurosim.descriptions import Description, NeuronCount

Activation = Literal["tanh", "sigmoid", "relu", "linear"]


class Dense(Description):
    """A fully connected layer. The last layer's activation is set by the loss and is not used."""

    kind: Literal["dense"] = "dense"
    units: NeuronCount
    activation: Activation = "tanh"
    trainable: bool = True
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
