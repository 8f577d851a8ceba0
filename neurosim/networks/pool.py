"""Pool and Flatten: what stands between convolutions and fully connected layers, without weights."""

from __future__ import annotations

from typing import Literal

from neurosim.descriptions import Description
from neurosim.networks.conv import Sides


class Pool(Description):
    """A pool over windows of each channel of the convolution before it, after its activation.

    ``stride`` is the kernel's size unless given; windows may overlap. "same" pads as TensorFlow does: the padding is
    never the largest, and an average is over the units inside the map. Of equal units the first, row by row, counts.
    """

    kind: Literal["max_pool", "average_pool"]
    kernel: Sides
    stride: Sides | None = None
    padding: Literal["same", "valid"] = "valid"


class Flatten(Description):
    """Lays a map flat for a fully connected layer: channel by channel, row by row. It costs nothing."""

    kind: Literal["flatten"] = "flatten"
