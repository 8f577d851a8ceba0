"""Edges between tasks of different microbatches, and the one edge that only a step's last microbatch has.

An edge says: task ``target`` of microbatch q + ``offset`` waits for task ``source`` of microbatch q. Its condition:
ALWAYS; FROM_LAST (q is the last microbatch of its step); INTO_LAST (q + offset is the last of the step that q is in).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from neurosim.counts import IntArray
from neurosim.schedules.layout import Layout

ALWAYS, FROM_LAST, INTO_LAST = 0, 1, 2

TaskOf = dict[tuple[str, int], IntArray]


class Gate(NamedTuple):
    """All ``targets`` of microbatch q + ``offset`` wait for all ``sources`` of microbatch q."""

    sources: IntArray
    targets: IntArray
    offset: int


class Edges(NamedTuple):
    """Edges [E]: source and target task, offset in microbatches, condition; and gates, which stand for many."""

    source: IntArray
    target: IntArray
    offset: IntArray
    condition: IntArray
    gates: tuple[Gate, ...]


def build_edges(layout: Layout, task_of: TaskOf, local: list[IntArray]) -> Edges:
    """Return all edges of the plan; ``local`` holds the pairs [., 2] that stand for messages a core need not send."""
    parts = [(pairs, 0, ALWAYS) for pairs in (*local, *_within_microbatch(layout, task_of))]
    parts += [(pairs, offset, INTO_LAST) for pairs, offset in _last_reads(layout, task_of)]
    gates: list[Gate] = []
    if layout.recipe.overlap == "exact":
        parts += _between_microbatches(layout, task_of)
        gates = _window_gates(layout, task_of)
    pairs = np.concatenate([np.zeros((0, 2), dtype=np.int64), *(part[0] for part in parts)])
    counts = [len(part[0]) for part in parts]
    offset = np.repeat(np.array([part[1] for part in parts], dtype=np.int64), counts)
    condition = np.repeat(np.array([part[2] for part in parts], dtype=np.int64), counts)
    return Edges(pairs[:, 0], pairs[:, 1], offset, condition, tuple(gates))


def _within_microbatch(layout: Layout, task_of: TaskOf) -> Iterator[IntArray]:
    for layer in range(1, layout.depth + 1):
        cores = layout.cores(layer)

        def on(kind: str, of: int, cores: IntArray = cores) -> IntArray:
            return task_of[kind, of][cores]

        if layout.pooled(layer):
            yield _pairs(on("forward", layer), on("pool", layer))
        if not layout.errors[layer]:
            continue
        yield _pairs(on(layout.forward_end(layer), layer), on("error", layer))
        ended = on(layout.error_end(layer), layer)
        if layout.pooled(layer):
            yield _pairs(on("error", layer), ended)
        if layout.trained[layer]:
            yield _pairs(ended, on("update", layer))
        if ("product", layer - 1) in task_of:
            yield _pairs(ended, on("product", layer - 1))


def _last_reads(layout: Layout, task_of: TaskOf) -> Iterator[tuple[IntArray, int]]:
    """W_l is written with the last microbatch only after every product of the step has read it.

    Products of microbatches further back than the window ended before the last microbatch began.
    """
    for layer in range(2, layout.depth + 1):
        if layout.trained[layer] and ("product", layer - 1) in task_of:
            cores = layout.cores(layer)
            pairs = _pairs(task_of["product", layer - 1][cores], task_of["update", layer][cores])
            for offset in range(layout.recipe.microbatches_in_flight):
                yield pairs, offset


def _between_microbatches(layout: Layout, task_of: TaskOf) -> list[tuple[IntArray, int, int]]:
    window = layout.recipe.microbatches_in_flight
    ports = task_of["io", 0]
    parts = [(_pairs(ports, ports), 1, ALWAYS)]
    for layer in range(1, layout.depth + 1):
        cores = layout.cores(layer)
        forward = task_of["forward", layer][cores]
        ended = _last_task(layout, task_of, layer)[cores]
        parts.append((_pairs(ended, forward), window, ALWAYS))
        if layout.trained[layer]:
            update = task_of["update", layer][cores]
            parts.append((_pairs(update, update), 1, ALWAYS))
            parts += [(_pairs(update, forward), offset, FROM_LAST) for offset in range(1, window)]
    return parts + _own_mirrors(layout, task_of)


def _window_gates(layout: Layout, task_of: TaskOf) -> list[Gate]:
    """A port and a layer begin a microbatch when those who receive from them have room for it."""
    window, depth = layout.recipe.microbatches_in_flight, layout.depth
    done = [_last_task(layout, task_of, layer)[layout.cores(layer)] for layer in range(1, depth + 1)]
    output = task_of["error" if layout.errors[depth] else "forward", depth][layout.cores(depth)]
    gates = [Gate(ended, task_of["io", 0], window) for ended in (done[0], output)]
    for layer in range(1, depth):
        gates.append(Gate(done[layer], task_of["forward", layer][layout.cores(layer)], window))
    return gates


def _own_mirrors(layout: Layout, task_of: TaskOf) -> list[tuple[IntArray, int, int]]:
    """A core that owns both W_(l+1) and its mirror writes the mirror itself, without a message."""
    if not layout.rule.mirrored:
        return []
    parts = []
    for layer in layout.hidden_errors():
        if layout.trained[layer + 1]:
            owners = layout.cores(layer + 1)[layout.cut(layer + 1).owners]
            both = np.intersect1d(layout.cores(layer), owners)
            pairs = _pairs(task_of["update", layer + 1][both], task_of["error", layer][both])
            parts += [(pairs, offset, FROM_LAST) for offset in range(1, layout.recipe.window + 1)]
    return parts


def _last_task(layout: Layout, task_of: TaskOf, layer: int) -> IntArray:
    """The update of ``layer`` on each core [cores], or the last task of a microbatch that it has."""
    if layout.trained[layer]:
        return task_of["update", layer]
    return task_of[layout.error_end(layer) if layout.errors[layer] else layout.forward_end(layer), layer]


def _pairs(sources: IntArray, targets: IntArray) -> IntArray:
    return np.stack([sources, targets], axis=1)
