"""The tasks of a microbatch: on which core, what they do, and how many cycles they take."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from neurosim.counts import WORK_INDEX, IntArray, words_per_value, work_matrix
from neurosim.schedules import error_work, pool_work, work
from neurosim.schedules.edges import TaskOf
from neurosim.schedules.layout import Layout
from neurosim.schedules.traffic import sparse_arrivals
from neurosim.schedules.work import Counts, Microbatch

_RANK_OF_KIND = {"io": 0, "forward": 1, "pool": 1, "error": 0, "unpool": 0, "product": 0, "update": 2}
_PHASE_OF_KIND = {"pool": "forward", "unpool": "error", "product": "error"}
_WORK_OF_KIND = {
    "forward": work.forward_work,
    "pool": pool_work.pool_work,
    "error": error_work.hidden_error_work,
    "unpool": pool_work.unpool_work,
    "product": error_work.product_work,
    "update": work.update_work,
}
RESOURCES = ("macs", "elementwise", "generate", "neuron_memory", "synapse_memory", "channel")
"""What a task's duration may be bound by."""


@dataclass(frozen=True)
class TaskGroup:
    """The tasks of one kind and layer: task numbers first .. first + count - 1 in slice order."""

    kind: str
    layer: int
    first: int
    count: int

    @property
    def phase(self) -> str:
        """The phase in which the group's counts are booked."""
        return _PHASE_OF_KIND.get(self.kind, self.kind)


@dataclass(frozen=True)
class Arrivals:
    """What ports do on behalf of a phase and layer: counts [rows, WORK_COLUMNS] on ``cores`` [rows]."""

    phase: str
    layer: int
    cores: IntArray
    counts: IntArray


@dataclass(frozen=True)
class TaskWork:
    """Counts of all tasks [T, WORK_COLUMNS], cycles by RESOURCES [T, 6] and durations [T] of one kind of microbatch."""

    counts: IntArray
    resource_cycles: IntArray
    durations: IntArray
    arrivals: tuple[Arrivals, ...]


class GroupWork(NamedTuple):
    """``TaskWork`` of the tasks of one group [count], what arrives apart."""

    counts: IntArray
    resource_cycles: IntArray
    durations: IntArray


@dataclass(frozen=True)
class TaskTable:
    """All tasks of a microbatch.

    Arrays [T]: ``layer``, ``slice``, ``core`` (io ports are numbered from the chip's cores on), ``rank`` (which goes
    first among tasks that are ready at the same time).
    """

    layout: Layout
    groups: tuple[TaskGroup, ...]
    layer: IntArray
    slice: IntArray
    core: IntArray
    rank: IntArray

    def __len__(self) -> int:
        return len(self.core)

    @cached_property
    def task_of(self) -> TaskOf:
        """Return, by (kind, layer), the task on each core or -1 [cores]; for io the tasks of the ports."""
        cores = self.layout.chip.cores
        none = np.full(cores, -1, dtype=np.int64)
        table: TaskOf = {("error", self.layout.depth): none}
        for group in self.groups:
            numbers = group.first + np.arange(group.count, dtype=np.int64)
            if group.kind == "io":
                table["io", 0] = numbers
                continue
            tasks = none.copy()
            tasks[self.core[numbers]] = numbers
            table[group.kind, group.layer] = tasks
        return table

    def work(self, batch: Microbatch) -> TaskWork:
        """Return what the tasks of ``batch`` do and how long they take."""
        found = zip(*(group_work(self.layout, group, batch) for group in self.groups), strict=True)
        counts, cycles, durations = (np.concatenate(parts) for parts in found)
        return TaskWork(counts, cycles, durations, tuple(self._arrivals(batch)))

    def _arrivals(self, batch: Microbatch) -> list[Arrivals]:
        layout = self.layout
        inputs = batch.samples * layout.partition.inputs(1)
        rows = [self._arrive("io", 0, layout.cores(1), {("neuron_writes", "activation"): inputs})]
        if layout.sends_labels:
            rows.append(self._label_arrivals(batch))
        for layer in range(1, layout.depth + 1):
            rows += self._layer_arrivals(layer, batch)
        kind = "sign" if layout.rule.error == "output-sign" else "error"
        for layer, distinct in self._output_arrivals.items():
            counts: Counts = {("neuron_writes", kind): batch.samples * distinct}
            rows.append(self._arrive("error", layer, layout.cores(layer), counts))
        return rows

    def _layer_arrivals(self, layer: int, batch: Microbatch) -> list[Arrivals]:
        """What the ports of a layer's cores do, and with the last microbatch those that keep copies of its weights."""
        layout, cores = self.layout, self.layout.cores(layer)
        pooled, error = layout.pooled(layer), layout.errors[layer] and layer < layout.depth
        rows = [self._arrive("forward", layer, cores, work.forward_arrivals(layout, layer, batch))]
        if pooled:
            rows.append(self._arrive("forward", layer, cores, pool_work.pool_arrivals(layout, layer, batch)))
        if error:
            rows.append(self._arrive("error", layer, cores, error_work.error_arrivals(layout, layer, batch)))
        if error and pooled:
            rows.append(self._arrive("error", layer, cores, pool_work.unpool_arrivals(layout, layer, batch)))
        if not (layout.trained[layer] and batch.last):
            return rows
        if layout.cut(layer).tiled:
            rows.append(self._arrive("update", layer, cores, work.gradient_arrivals(layout, layer, batch)))
            rows.append(self._arrive("update", layer, cores, work.copy_arrivals(layout, layer)))
        if layout.rule.mirrored and layer > 1 and layout.errors[layer - 1]:
            mirrors = error_work.mirror_arrivals(layout, layer)
            rows.append(self._arrive("update", layer, layout.cores(layer - 1), mirrors))
        return rows

    @cached_property
    def _output_arrivals(self) -> dict[int, IntArray]:
        return sparse_arrivals(self.layout) if self.layout.rule.shares_source else {}

    def _label_arrivals(self, batch: Microbatch) -> Arrivals:
        layout = self.layout
        if not layout.dense_targets:
            return self._arrive("io", 0, layout.target_cores(), {("neuron_writes", "label"): batch.samples})
        if layout.rule.error == "target":
            counts: Counts = {("neuron_writes", "activation"): batch.samples * layout.outputs}
            return self._arrive("io", 0, layout.target_cores(), counts)
        sizes = batch.samples * layout.sizes(layout.depth)
        return self._arrive("io", 0, layout.cores(layout.depth), {("neuron_writes", "activation"): sizes})

    @staticmethod
    def _arrive(phase: str, layer: int, cores: IntArray, counts: Counts) -> Arrivals:
        return Arrivals(phase, layer, cores, work_matrix(len(cores), counts))


def task_durations(layout: Layout, batch: Microbatch) -> dict[tuple[str, int], IntArray]:
    """Return how long the tasks of every group take in one microbatch [count], by kind and layer.

    Layers that look alike are asked once: groups may share an array.
    """
    known: dict[tuple[str, int], IntArray] = {}
    durations: dict[tuple[str, int], IntArray] = {}
    for group in task_groups(layout):
        key = group.kind, layout.alike[group.layer]
        if key not in known:
            known[key] = group_work(layout, group, batch).durations
        durations[group.kind, group.layer] = known[key]
    return durations


def group_work(layout: Layout, group: TaskGroup, batch: Microbatch) -> GroupWork:
    """Return what the tasks of one group do and how long they take in one microbatch."""
    counts, mac_cycles, gathered = _group_counts(layout, group, batch)
    cycles = _resource_cycles(layout, group.phase, counts, mac_cycles, gathered)
    if group.kind == "io":
        durations = np.maximum(1, -(-_io_bits(layout, batch) // layout.chip.io.io_bits_per_cycle))
        return GroupWork(counts, cycles, durations)
    inside, channel = cycles[:, : RESOURCES.index("channel")], cycles[:, RESOURCES.index("channel")]
    durations = np.maximum(np.maximum(1, inside.max(axis=1) + layout.chip.core.pipeline_cycles), channel)
    return GroupWork(counts, cycles, durations)


def _group_counts(layout: Layout, group: TaskGroup, batch: Microbatch) -> tuple[IntArray, IntArray, IntArray | int]:
    """Return the counts of a group's tasks, the cycles of MACs in their lanes, and MACs of the element-wise unit."""
    if group.kind == "io":
        offchip = 0 if layout.chip.behind_channel else _io_bits(layout, batch)
        counts: Counts = {("offchip_bits", ""): offchip}
        return work_matrix(group.count, counts), np.zeros(group.count, dtype=np.int64), 0
    if group.kind == "error" and group.layer == layout.depth:
        found = work.output_error_work(layout, batch)
    else:
        found = _WORK_OF_KIND[group.kind](layout, group.layer, batch)
    return work_matrix(group.count, found.counts), found.mac_cycles, found.gathered_macs


def _resource_cycles(
    layout: Layout, phase: str, counts: IntArray, mac_cycles: IntArray, gathered_macs: IntArray | int
) -> IntArray:
    """Cycles that each of RESOURCES needs for the tasks of a phase [count, 6]."""
    core, channel = layout.chip.core, layout.chip.channel
    columns = {name: i for i, name in enumerate(RESOURCES)}
    cycles = np.zeros((len(counts), len(RESOURCES)), dtype=np.int64)
    cycles[:, columns["macs"]] = mac_cycles * _rate(layout, phase, "mac_cycles")
    operations = total(counts, "elementwise_ops") + gathered_macs
    turns = -(-operations // _rate(layout, phase, "elementwise_per_cycle"))
    cycles[:, columns["elementwise"]] = turns * _rate(layout, phase, "elementwise_cycles")
    drawn = sum(total(counts, name) for name in ("feedback_generated", "feedback_index_generated", "dropout_generated"))
    cycles[:, columns["generate"]] = -(-np.asarray(drawn) // core.generate_per_cycle)
    for name in ("neuron_memory", "synapse_memory"):
        memory = getattr(core, name)
        words = counts @ words_per_value(name, memory.word_bits, layout.bits)
        cycles[:, columns[name]] = -(-words // memory.words_per_cycle)
    if channel is not None and layout.chip.behind_channel:
        crossing = total(counts, "channel_bits")
        cycles[:, columns["channel"]] = -(-crossing // channel.channel_bits_per_cycle)
    return cycles


def _rate(layout: Layout, phase: str, name: str) -> int:
    """Return a number of the core, or of a phase where that has its own."""
    core = layout.chip.core
    own = getattr(getattr(core, phase), name) if phase != "io" else None
    return int(getattr(core, name) if own is None else own)


def _io_bits(layout: Layout, batch: Microbatch) -> IntArray:
    """Bits that each port takes from outside for one microbatch [ports]; none where a channel brings them."""
    bits = batch.samples * layout.port_inputs() * layout.chip.widths.input_bits
    if layout.sends_labels:
        width = layout.outputs * layout.chip.widths.activation_bits
        bits[0] += batch.samples * (width if layout.dense_targets else layout.bits["label"])
    return bits * (not layout.chip.behind_channel)


def total(counts: IntArray, name: str) -> IntArray:
    """Return the column of a count that has no kinds [T]."""
    return np.asarray(counts[:, WORK_INDEX[name, ""]])


def build_tasks(layout: Layout) -> TaskTable:
    """Return the task table of a training step's microbatches."""
    groups = task_groups(layout)
    return TaskTable(
        layout=layout,
        groups=groups,
        layer=np.concatenate([np.full(g.count, g.layer, dtype=np.int64) for g in groups]),
        slice=np.concatenate([np.arange(g.count, dtype=np.int64) for g in groups]),
        core=np.concatenate([_group_cores(layout, g) for g in groups]),
        rank=np.concatenate([np.full(g.count, _RANK_OF_KIND[g.kind], dtype=np.int64) for g in groups]),
    )


def task_groups(layout: Layout) -> tuple[TaskGroup, ...]:
    """Return the groups of tasks of a microbatch, numbered one after the other."""
    depth = layout.depth
    wanted = [("io", 0, layout.ports)]
    for layer in range(1, depth + 1):
        wanted.append(("forward", layer, len(layout.cores(layer))))
        if layout.pooled(layer):
            wanted.append(("pool", layer, len(layout.cores(layer))))
    if layout.errors[depth]:
        wanted.append(("error", depth, len(layout.cores(depth))))
    for layer in layout.hidden_errors():
        if layout.rule.partial_sums:
            wanted.append(("product", layer, len(layout.cores(layer + 1))))
        wanted.append(("error", layer, len(layout.cores(layer))))
        if layout.pooled(layer):
            wanted.append(("unpool", layer, len(layout.cores(layer))))
    wanted += [("update", l, len(layout.cores(l))) for l in range(depth, 0, -1) if layout.trained[l]]
    firsts = np.cumsum([0, *(count for _, _, count in wanted)])
    return tuple(
        TaskGroup(kind, layer, int(first), count) for (kind, layer, count), first in zip(wanted, firsts, strict=False)
    )


def _group_cores(layout: Layout, group: TaskGroup) -> IntArray:
    if group.kind == "io":
        return layout.chip.cores + np.arange(group.count, dtype=np.int64)
    return layout.cores(group.layer + 1 if group.kind == "product" else group.layer)
