"""A table of counts to book closed forms in, and the numbers that all of them need."""

from __future__ import annotations

import numpy as np

from neurosim.counts import WORK_INDEX, IntArray
from neurosim.schedules.channel import product_channel_bits
from neurosim.schedules.layout import Layout
from neurosim.trace import empty_counts

Counts = dict[tuple[str, str], int]
"""Values by (count, kind)."""


class Ledger:
    """The counts of one step of ``samples`` samples: N samples in M ``microbatches``."""

    def __init__(self, layout: Layout, samples: int) -> None:
        self.layout, self.samples = layout, samples
        self.table = empty_counts(layout.depth)
        size = layout.placement.microbatch
        self.microbatches = -(-samples // size)
        self.sizes = [(size, self.microbatches - 1), (samples - (self.microbatches - 1) * size, 1)]
        """Samples of a microbatch, and how many there are of it."""

    def add(self, phase: str, layer: int, counts: Counts) -> None:
        """Add ``counts`` to a phase and layer."""
        row = self.table.row(phase, layer)
        for column, value in counts.items():
            self.table.work[row, WORK_INDEX[column]] += int(value)

    def groups(self, columns: IntArray | int) -> IntArray:
        """ceil(q / C): groups of columns that C lanes compute one after the other."""
        return np.asarray(-(-np.asarray(columns, dtype=np.int64) // self.layout.chip.core.lanes[1]))

    def channel_groups(self, layer: int) -> int:
        """Sum over the channel slices of a layer of ceil(a / C): rho_l of a dense layer."""
        return int(self.groups(np.diff(self.layout.cut(layer).channel_starts)).sum())

    def unit_groups(self, layer: int) -> int:
        """Sum over the slices of a layer of ceil(u / C), u being what each hands on."""
        return int(self.groups(self.layout.units(layer)).sum())

    def sweeps(self, positions: IntArray | int) -> int:
        """How often a step sweeps stored matrices, each at so many ``positions`` of every sample, summed over them."""
        lanes, _ = self.layout.chip.core.lanes
        return self.passes(positions, lanes * self.layout.chip.core.accumulators_per_lane)

    def passes(self, positions: IntArray | int, held: int) -> int:
        """Passes over so many ``positions`` of every sample, ``held`` of them at a time, of all microbatches."""
        return sum(times * int((-(-p * np.asarray(positions) // held)).sum()) for p, times in self.sizes)

    def channel(self, layer: int, task: str) -> Counts:
        """channel_bits of a task where memories lie behind a channel."""
        if not self.layout.chip.behind_channel:
            return {}
        return {("channel_bits", ""): product_channel_bits(self.layout, layer, task, self.samples)}

    def dropout(self, layer: int) -> int:
        """Values of a dropout mask drawn for ``layer``, each an operation too."""
        drops = self.layout.network.layer(layer).dropout > 0 and not self.layout.forward_only
        return self.samples * self.layout.widths[layer] if drops else 0

    @property
    def feedback(self) -> tuple[str, str]:
        """The count under which a stored or a generated feedback value is booked."""
        stored = self.layout.rule.feedback.storage == "stored"
        return ("feedback_reads", "feedback") if stored else ("feedback_generated", "")
