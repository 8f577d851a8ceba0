"""The part of each task that more cores would not shorten: what it would take if every layer had all it can use."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from neurosim.counts import IntArray
from neurosim.placement import LayerCut, Partition
from neurosim.schedules.layout import Layout
from neurosim.schedules.tasks import task_durations
from neurosim.schedules.work import Microbatch


def finest_cycles(layout: Layout, batch: Microbatch) -> dict[tuple[str, int], int]:
    """Return, by kind and layer, the longest duration of a task with one neuron (a row of a channel) on each core.

    Lanes beside each other work on the neurons of one core, so a core with fewer neurons than lanes is no faster. The
    input port takes what it takes. A machine behind a channel has no cores to add: it has only its port here.
    """
    durations = task_durations(layout if layout.chip.behind_channel else _finest(layout), batch)
    longest = {task: int(cycles.max()) for task, cycles in durations.items()}
    return {("io", 0): longest["io", 0]} if layout.chip.behind_channel else longest


def _finest(layout: Layout) -> Layout:
    """Return the layout on a chip with as many cores as all layers together can use, in no special order."""
    old = layout.partition
    cuts, cores, first = [old.cuts[0]], [old.cores[0]], 0
    for shape in layout.network.shapes:
        cut = LayerCut(shape, shape.channels, shape.outputs.rows)
        cuts.append(cut)
        cores.append(np.arange(first, first + cut.slices, dtype=np.int64))
        first += cut.slices
    chip = layout.chip.model_copy(update={"grid": (first, 1), "chips": (1, 1)})
    partition = Partition(layout.network, tuple(cores), tuple(cuts))
    none: IntArray = np.zeros(0, dtype=np.int64)  # nothing asks how full these cores are
    placement = replace(layout.placement, chip=chip, partition=partition, neuron_bits=none, synapse_bits=none)
    return replace(layout, placement=placement)
