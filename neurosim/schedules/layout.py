"""Layout: the numbers of one network, rule, placement and recipe that every part of a plan needs."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from neurosim.chips import Chip
from neurosim.counts import IntArray, distinct, kind_bits
from neurosim.networks import LayerShape, Map, Network
from neurosim.networks.optimizers import OPTIMIZERS
from neurosim.placement import (
    LayerCut,
    Partition,
    Placement,
    error_layers,
    row_ranges,
    slice_starts,
    trained_layers,
)
from neurosim.recipes import Recipe
from neurosim.rules import Rule
from neurosim.topology import Mesh, mesh


@dataclass(frozen=True)
class Layout:
    """Widths n_0..n_L, slices, lanes and flags, indexed by layer number (entry 0 is the input)."""

    network: Network
    rule: Rule
    placement: Placement
    recipe: Recipe
    forward_only: bool

    @property
    def chip(self) -> Chip:
        """The chip of the placement."""
        return self.placement.chip

    @cached_property
    def grid(self) -> Mesh:
        """The mesh of the chip."""
        return mesh(self.chip)

    @property
    def ports(self) -> int:
        """io ports in use: one that would carry no input has nothing to do. Images enter by rows."""
        inputs = self.map(0).rows if self.shape(1).convolves else self.widths[0]
        return min(len(self.chip.io.ports), inputs)

    def port_rows(self) -> IntArray:
        """Rows of the image that each port in use carries, first and behind [ports, 2]."""
        return row_ranges(slice_starts(self.map(0).rows, self.ports))

    def port_inputs(self) -> IntArray:
        """Values of a sample that each port in use takes from outside [ports]."""
        if not self.shape(1).convolves:
            return np.diff(slice_starts(self.widths[0], self.ports))
        rows, image = self.port_rows(), self.map(0)
        return np.asarray((rows[:, 1] - rows[:, 0]) * image.columns * image.channels)

    @property
    def depth(self) -> int:
        """L."""
        return self.network.depth

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """n_0..n_L."""
        return self.network.widths

    @property
    def outputs(self) -> int:
        """n_L."""
        return self.widths[-1]

    @cached_property
    def trained(self) -> list[bool]:
        """Whether layer l is updated in this run."""
        return trained_layers(self.network, self.rule) if not self.forward_only else [False] * (self.depth + 1)

    @cached_property
    def errors(self) -> list[bool]:
        """Whether layer l's error is computed in this run."""
        return error_layers(self.network, self.rule) if not self.forward_only else [False] * (self.depth + 1)

    @property
    def state_words(self) -> int:
        """s, optimizer state words per weight."""
        return OPTIMIZERS[self.recipe.optimizer].state_words

    @property
    def update_operations(self) -> int:
        """w, operations of an update per weight or bias, clipping included (weight decay is for weights only)."""
        clipping = 2 if self.recipe.clip_value is not None else 0
        return OPTIMIZERS[self.recipe.optimizer].operations + clipping

    @cached_property
    def bits(self) -> dict[str, int]:
        """Bits of each kind of value."""
        return kind_bits(self.chip.widths.model_dump(), self.outputs, self.network.argmax_bits)

    @property
    def exchanges_softmax(self) -> bool:
        """Whether the cores of C_L exchange maxima and sums."""
        return self.recipe.loss == "softmax" and len(self.placement.cores[self.depth]) > 1

    @property
    def dense_targets(self) -> bool:
        """Whether the targets are n_L values and not a class label."""
        return self.recipe.targets == "dense"

    @property
    def sends_labels(self) -> bool:
        """Whether labels enter the chip: inference has none."""
        return not self.forward_only

    def cores(self, layer: int) -> IntArray:
        """C_l in slice order."""
        return self.placement.cores[layer]

    @property
    def partition(self) -> Partition:
        """What each slice needs of the layers around it."""
        return self.placement.partition

    def cut(self, layer: int) -> LayerCut:
        """How layer l is cut over its cores."""
        return self.placement.cuts[layer]

    def shape(self, layer: int) -> LayerShape:
        """The shape of layer l."""
        return self.network.shape(layer)

    def map(self, layer: int) -> Map:
        """What layer l hands on; 0 is the input."""
        return self.network.map(layer)

    def sizes(self, layer: int) -> IntArray:
        """a, channels (neurons of a dense layer) of each slice of layer l [c_l]."""
        return self.cut(layer).channels

    def units(self, layer: int) -> IntArray:
        """u, values that each slice of layer l hands on [c_l]."""
        return self.cut(layer).units

    def needs(self, layer: int, tile: int) -> tuple[int, int]:
        """Return the rows lo .. hi - 1 of the map before layer l that a tile of it reads."""
        return self.cut(layer).needed_rows(tile, self.map(layer - 1).rows)

    def pooled(self, layer: int) -> bool:
        """Whether a pool follows layer l."""
        return self.shape(layer).pool is not None

    def forward_end(self, layer: int) -> str:
        """The kind of task after which layer l hands on: pool or forward."""
        return "pool" if self.pooled(layer) else "forward"

    def error_end(self, layer: int) -> str:
        """The kind of task after which the delta of layer l is there: unpool or error."""
        return "unpool" if self.pooled(layer) else "error"

    def target_cores(self) -> IntArray:
        """Sorted cores that receive labels: C_L, and under a target rule every layer's cores."""
        if self.rule.error == "target":
            return distinct(np.concatenate(self.placement.cores[1:]))
        return distinct(self.cores(self.depth))

    @cached_property
    def alike(self) -> list[int]:
        """Return, for l = 0..L, the first layer whose tasks take the same, one by one; 0 for the input."""
        first: dict[Hashable, int] = {}
        return [0, *(first.setdefault(self._work_of(layer), layer) for layer in range(1, self.depth + 1))]

    def _work_of(self, layer: int) -> Hashable:
        """Return all that the work of a layer's tasks hangs on, but for what it shares with every other layer.

        That is the layer, what lies before and behind it, how the two are cut, and which errors are computed.
        """
        with_next = range(layer, min(layer + 1, self.depth) + 1)
        cuts = [(self.shape(l), self.cut(l).channel_slices, self.cut(l).tiles) for l in with_next]
        errors = layer == 1, self.errors[layer - 1], self.errors[layer]
        return self.network.layer(layer), self.map(layer - 1), tuple(cuts), errors

    def hidden_errors(self) -> list[int]:
        """Hidden layers whose error is computed, last first."""
        return [layer for layer in range(self.depth - 1, 0, -1) if self.errors[layer]]
