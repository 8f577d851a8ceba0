"""Layout: the numbers of one network, rule, placement and recipe that every part of a plan needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from neurosim.chips import Chip
from neurosim.counts import IntArray, kind_bits
from neurosim.networks import Network
from neurosim.networks.optimizers import OPTIMIZERS
from neurosim.placement import Placement, error_layers, trained_layers
from neurosim.recipes import Recipe
from neurosim.rules import Rule


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

    @property
    def ports(self) -> int:
        """io ports in use: one that would carry no input has nothing to do."""
        return min(len(self.chip.io.ports), self.widths[0])

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
        return kind_bits(self.chip.widths.model_dump(), self.outputs)

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

    def sizes(self, layer: int) -> IntArray:
        """Neurons a of each slice of layer l [c_l]."""
        return self.placement.sizes(layer)

    def held(self, layer: int) -> IntArray:
        """Neurons of layer l on each core of the chip [cores]; the input layer is on none."""
        held = np.zeros(self.chip.cores, dtype=np.int64)
        if layer > 0:
            held[self.cores(layer)] = self.sizes(layer)
        return held

    def target_cores(self) -> IntArray:
        """Sorted cores that receive labels: C_L, and under a target rule every layer's cores."""
        if self.rule.error == "target":
            return np.unique(np.concatenate(self.placement.cores[1:]))
        return np.unique(self.cores(self.depth))

    def hidden_errors(self) -> list[int]:
        """Hidden layers whose error is computed, last first."""
        return [layer for layer in range(self.depth - 1, 0, -1) if self.errors[layer]]
