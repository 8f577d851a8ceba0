"""Products on a core: how often they read their matrices, what sums they leave behind, and how long they take.

A product of p ``rows``, q ``columns`` and r ``terms`` is [p x r] times [r x q]: inputs times a matrix. A core's lanes
are fed side by side; on a systolic array (``core.dataflow``) one of the three matrices stays in the R x C places and
the others stream through, fold by fold. The forms are those of SCALE-Sim (Samajdar et al., arXiv 1811.02883). Sums that
a fold of terms leaves unfinished are written to memory and read again by the next, which SCALE-Sim does not count.
"""

from __future__ import annotations

import numpy as np

from neurosim.counts import IntArray
from neurosim.schedules.layout import Layout


def folds(values: IntArray | int, size: int) -> IntArray:
    """ceil(values / size)."""
    return np.asarray(-(-np.asarray(values, dtype=np.int64) // size))


def sweeps(layout: Layout, rows: IntArray | int) -> IntArray:
    """How often lanes that work on so many rows fetch each value of the matrix: ceil(p / (R A))."""
    core = layout.chip.core
    return folds(rows, core.lanes[0] * core.accumulators_per_lane)


def groups_of(layout: Layout, columns: IntArray | int) -> IntArray:
    """ceil(q / C): groups of columns that C lanes compute one after the other."""
    return folds(columns, layout.chip.core.lanes[1])


def matrix_reads(layout: Layout, rows: IntArray | int) -> IntArray:
    """How often a product of so many rows reads each value of its matrix [r x q].

    lanes ceil(p / (R A)), output ceil(p / R), weight 1, input ceil(p / C).
    """
    core = layout.chip.core
    if core.dataflow == "weight":
        return np.asarray(np.minimum(np.asarray(rows, dtype=np.int64), 1))
    return folds(rows, core.lanes[1]) if core.dataflow == "input" else sweeps(layout, rows)


def input_reads(layout: Layout, columns: IntArray | int) -> IntArray:
    """How often a product of so many columns reads each of its inputs [p x r]: ceil(q / C), or once where they stay."""
    if layout.chip.core.dataflow == "input":
        return np.ones_like(np.asarray(columns, dtype=np.int64))
    return groups_of(layout, columns)


def unfinished_sums(layout: Layout, terms: IntArray | int) -> IntArray:
    """How often a product of so many terms writes each of its sums [p x q] unfinished, and reads it again.

    0 where sums stay in the lanes or the array until they are complete; else ceil(r / R) - 1, one for each fold of
    terms but the last.
    """
    if layout.chip.core.dataflow in ("lanes", "output"):
        return np.zeros_like(np.asarray(terms, dtype=np.int64))
    return np.maximum(folds(terms, layout.chip.core.lanes[0]) - 1, 0)


def product_cycles(layout: Layout, rows: IntArray | int, columns: IntArray | int, terms: IntArray | int) -> IntArray:
    """Cycles of a product of p ``rows``, q ``columns`` and r ``terms``.

    ========  ==================================================
    lanes     ceil(p/R) ceil(q/C) r
    output    ceil(p/R) ceil(q/C) (r + R + C - 2) - 1
    weight    ceil(r/R) ceil(q/C) (R + p + R + C - 2) - 1
    input     ceil(r/R) ceil(p/C) (R + q + R + C - 2) - 1
    ========  ==================================================

    Arrays fill with what stays, R cycles (weight, input), and let the rest stream through, skewed.
    """
    lanes_r, lanes_c = layout.chip.core.lanes
    p, q, r = np.broadcast_arrays(*(np.asarray(size, dtype=np.int64) for size in (rows, columns, terms)))
    skew = lanes_r + lanes_c - 2
    match layout.chip.core.dataflow:
        case "lanes":
            return np.asarray(folds(p, lanes_r) * folds(q, lanes_c) * r)
        case "output":
            cycles = folds(p, lanes_r) * folds(q, lanes_c) * (r + skew)
        case "weight":
            cycles = folds(r, lanes_r) * folds(q, lanes_c) * (lanes_r + p + skew)
        case "input":
            cycles = folds(r, lanes_r) * folds(p, lanes_c) * (lanes_r + q + skew)
    return np.asarray(np.where((p > 0) & (q > 0) & (r > 0), cycles - 1, 0))
