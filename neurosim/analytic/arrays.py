"""How often a step reads the operands of its products, and the sums that arrays leave unfinished, in closed form.

Lanes, and the three systolic arrays of SCALE-Sim (Samajdar et al., arXiv 1811.02883), summed over microbatches and
slices.
"""

from __future__ import annotations

import numpy as np

from neurosim.analytic import maps
from neurosim.analytic.ledger import Counts, Ledger
from neurosim.counts import IntArray


def matrix_reads(ledger: Ledger, positions: IntArray | int) -> int:
    """How often a step reads a matrix from the left of which come so many ``positions`` of every sample.

    ``positions`` may be those of several tiles, of which each reads its own copy.
    """
    core = ledger.layout.chip.core
    if core.dataflow == "weight":
        return ledger.microbatches * int(np.count_nonzero(positions))
    if core.dataflow == "input":
        return ledger.passes(positions, core.lanes[1])
    return ledger.sweeps(positions)


def input_reads(ledger: Ledger, starts: IntArray) -> int:
    """How often each input of a product is read, over slices whose columns begin at ``starts``."""
    if ledger.layout.chip.core.dataflow == "input":
        return len(starts) - 1
    return int(ledger.groups(np.diff(starts)).sum())


def unit_reads(ledger: Ledger, layer: int) -> int:
    """How often each input of the product of a layer's whole slices is read, over all slices."""
    if ledger.layout.chip.core.dataflow == "input":
        return len(ledger.layout.cores(layer))
    return ledger.unit_groups(layer)


def update_activation_reads(ledger: Ledger, layer: int) -> int:
    """How often an update reads what the layer read, over slices of channels: the matrix of its product in an array."""
    core, starts = ledger.layout.chip.core, ledger.layout.cut(layer).channel_starts
    if not core.systolic:
        return ledger.channel_groups(layer)
    if core.dataflow == "weight":
        return len(starts) - 1
    side = core.lanes[0] if core.dataflow == "output" else core.lanes[1]
    return int((-(-np.diff(starts) // side)).sum())


def update_error_reads(ledger: Ledger, taps: int) -> int:
    """How often an update reads its errors: once, or in an array once for each group of C taps."""
    return int(ledger.groups(taps)) if ledger.layout.chip.core.dataflow in ("output", "weight") else 1


def unfinished_sums(ledger: Ledger, sums: int, terms: IntArray | int) -> Counts:
    """Reads and writes of sums before they are complete, of products of so many terms, each with as many ``sums``."""
    times = _folds_but_one(ledger, terms)
    return {("neuron_reads", "accumulator"): times * sums, ("neuron_writes", "accumulator"): times * sums}


def unfinished_gradients(ledger: Ledger, layer: int) -> Counts:
    """Reads and writes of gradients within a microbatch, whose positions are the terms of an update."""
    positions = maps.lengths(maps.own_map_rows(ledger.layout, layer)) * ledger.layout.shape(layer).map.columns
    times = sum(repeats * _folds_but_one(ledger, samples * positions) for samples, repeats in ledger.sizes)
    values = times * ledger.layout.shape(layer).weights
    return {("gradient_reads", "accumulator"): values, ("gradient_writes", "accumulator"): values}


def _folds_but_one(ledger: Ledger, terms: IntArray | int) -> int:
    """Sum over products of their folds of terms, without the last of each."""
    core = ledger.layout.chip.core
    if core.dataflow in ("lanes", "output"):
        return 0
    return int(((np.maximum(terms, 1) - 1) // core.lanes[0]).sum())
