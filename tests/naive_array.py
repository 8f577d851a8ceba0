"""Slow twin of a systolic array: a product is cut into folds, each of which reads what enters and writes what leaves.

Of a product [p x r] times [r x q] an array holds, in R rows and C columns of places, sums (``output``), a block of the
right matrix (``weight``) or of the left one (``input``), and the rest passes through.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from naive_case import blocks

from neurosim.chips import Chip

P = TypeVar("P")
Q = TypeVar("Q")
R = TypeVar("R")


@dataclass(frozen=True)
class Fold(Generic[P, Q, R]):
    """What passes through an array at a time: rows x terms from the left meet terms x columns.

    ``first`` and ``last`` of the folds that add to the same sums. While folds have the same ``left_pass`` (or
    ``right_pass``) no value of that side has to enter twice.
    """

    rows: Sequence[P]
    terms: Sequence[R]
    columns: Sequence[Q]
    first: bool
    last: bool
    left_pass: int
    right_pass: int
    cycles: int


def folds(chip: Chip, rows: Sequence[P], columns: Sequence[Q], terms: Sequence[R]) -> Iterator[Fold[P, Q, R]]:
    """Go through the folds of a product in their order; none where there is nothing to multiply."""
    high, wide = chip.core.lanes
    across = high + wide - 2  # from the first value that enters a corner to the last that leaves the other
    if not rows or not columns or not terms:
        return
    if chip.core.dataflow == "output":
        for i, some_rows in enumerate(blocks(rows, high)):
            for j, some in enumerate(blocks(columns, wide)):
                yield Fold(some_rows, terms, some, True, True, j, i, len(terms) + across)
        return
    stays = columns if chip.core.dataflow == "weight" else rows
    for number, held in enumerate(blocks(range(len(stays)), wide)):
        for start in range(0, len(terms), high):
            ends = start == 0, start + high >= len(terms)
            part = terms[start : start + high]
            if chip.core.dataflow == "weight":
                some = [columns[at] for at in held]
                yield Fold(rows, part, some, *ends, number, 0, high + len(rows) + across)
            else:
                some_left = [rows[at] for at in held]
                yield Fold(some_left, part, columns, *ends, 0, number, high + len(columns) + across)


def array_cycles(chip: Chip, rows: int, columns: int, terms: int) -> int:
    """Add up the cycles of all folds; the first cycle is number 0."""
    total = sum(fold.cycles for fold in folds(chip, range(rows), range(columns), range(terms)))
    return total - 1 if total else 0
