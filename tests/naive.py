"""Slow twin of the counts of a training step: loops over samples, units and taps that add one at a time.

Nothing here is a closed form; ``naive_machine`` refuses a read of what is not there and a delivery nobody needs.
"""

from __future__ import annotations

from collections import Counter

import naive_channel as channel
from naive_array import array_cycles, folds
from naive_case import OPERATIONS, Case, blocks
from naive_errors import Errors
from naive_machine import Role, Task, Value, mac_cycles, traffic
from naive_maps import Part

__all__ = ["Case", "Step", "by_core", "count", "walk"]


class Step(Errors):
    """One training step, walked task by task in an order in which every input is there."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self.microbatches = case.samples()
        if case.chip.behind_channel and (len({c for owners in case.cores for c in owners}) > 1 or self.last > 0):
            raise ValueError("behind a channel there is one core and one microbatch")
        for microbatch, samples in enumerate(self.microbatches):
            self.empty()
            self._microbatch(microbatch, samples)
        self.empty()

    @property
    def last(self) -> int:
        """Number of the last microbatch."""
        return len(self.microbatches) - 1

    def _microbatch(self, q: int, samples: range) -> None:
        case = self.case
        self.io(q, samples)
        for layer in range(1, case.depth + 1):
            self.forward(layer, q, samples)
        if case.loss == "softmax":
            self.exchange(q, samples)
        if case.phases == "forward":
            return
        if case.has_error(case.depth):
            self.output_error(q, samples)
        for layer in range(case.depth - 1, 0, -1):
            if case.has_error(layer):
                self.hidden_error(layer, q, samples)
        for layer in range(case.depth, 0, -1):
            if case.trained(layer):
                parts = case.parts(layer)
                for part in [*(each for each in parts if each.tile > 0), *(each for each in parts if each.tile == 0)]:
                    self._update(layer, part, q, samples)

    # --- update --------------------------------------------------------------------------------------------------

    def _update(self, layer: int, part: Part, q: int, samples: range) -> None:
        case, grid = self.case, self.case.map(layer)
        task = self.task("update", layer, part.core, q)
        if self.chip.core.systolic:
            self._update_on_array(task, part, samples)
        else:
            self._update_on_lanes(task, part, samples)
        for _ in part.map_units:
            for _ in samples:
                task.add("elementwise_ops")  # the bias's gradient
        if part.tile == 0 and case.tiled(layer) and q == self.last:
            self._add_partial_gradients(part, layer)
        for _ in part.channels:
            self._gradient(task, part, "neuron_reads", "neuron_writes")
            self._apply(task, part, "neuron_reads", "neuron_writes", "bias")
            for _ in grid.kernel:
                self._gradient(task, part, "gradient_reads", "gradient_writes")
                self._apply(task, part, "synapse_reads", "synapse_writes", "weight")
        if self.chip.behind_channel:
            task.add("channel_bits", times=channel.update_bits(case, layer))
        if q == self.last:
            self._send_updates(task, part)

    def _update_on_lanes(self, task: Task, part: Part, samples: range) -> None:
        layer, grid = task.layer, self.case.map(task.layer)
        places = [(n, position) for n in samples for position in grid.positions(part)]
        for group in blocks(part.channels, self.columns):
            for i in part.needs:
                for n in samples:
                    self.read(task, ("activation", "h", layer - 1, i, n))
            for _ in places:
                for _ in group:
                    for _ in grid.kernel:
                        task.add("macs")
        for unit in part.map_units:
            for n in samples:
                self.read(task, ("error", "delta", layer, unit, n))
        a, taps = len(part.channels), len(grid.kernel)
        rows_first = self.chip.core.lanes[0] > 1
        p, columns, r = (a, taps, len(places)) if rows_first else (len(places), a, taps)
        task.mac_cycles += mac_cycles(self.chip, p, [r] * columns)

    def _update_on_array(self, task: Task, part: Part, samples: range) -> None:
        """Channels x places of errors from the left, places x taps of what the layer read from the right."""
        layer, grid = task.layer, self.case.map(task.layer)
        places = [(n, position) for n in samples for position in grid.positions(part)]
        entered: dict[int, set[Value]] = {}
        for fold in folds(self.chip, list(part.channels), range(len(grid.kernel)), places):
            for n, position in fold.terms:
                for own in fold.rows:
                    self.read(task, ("error", "delta", layer, grid.map.unit(own, *position), n))
                taps, under = grid.taps(*position), entered.setdefault(fold.right_pass, set())
                self._enter(task, under, [("activation", "h", layer - 1, taps[tap], n) for tap in fold.columns])
            self.enter_matrix(task, fold, [])
            self.leave(task, fold, "gradient")
        self._enter_rest(task, part, samples, entered)
        task.mac_cycles += array_cycles(self.chip, len(part.channels), len(grid.kernel), len(places))

    def _gradient(self, task: Task, part: Part, reads: str, writes: str) -> None:
        """Gradients outside the lanes: the first microbatch only writes, the last only reads.

        Where filters have copies these write with the last too, to send what they have, and the owner reads what has
        arrived.
        """
        copied = self.case.tiled(task.layer)
        last = task.microbatch == self.last
        if task.microbatch > 0 or (copied and last and part.tile == 0):
            task.add(reads, "accumulator")
        if not last or part.tile > 0:
            task.add(writes, "accumulator")

    def _apply(self, task: Task, part: Part, reads: str, writes: str, kind: str) -> None:
        """Apply one value's optimizer, with the last microbatch, where the value is owned."""
        case = self.case
        if task.microbatch < self.last or part.tile > 0:
            return
        task.add(reads, kind)
        task.add(writes, kind)
        for _ in range(case.state_words):
            task.add("optimizer_reads" if kind == "weight" else reads, "state")
            task.add("optimizer_writes" if kind == "weight" else writes, "state")
        task.add("elementwise_ops", times=OPERATIONS[case.optimizer])
        if case.clip_value:
            task.add("elementwise_ops", times=2)
        if case.weight_decay and kind == "weight":
            task.add("elementwise_ops", times=2)

    def _sums(self, part: Part, layer: int) -> list[tuple[str, int, int]]:
        """List the gradients of a slice's weights and biases."""
        taps = range(len(self.case.map(layer).kernel))
        weights = [("weight", j, tap) for j in part.channels for tap in taps]
        return weights + [("bias", j, 0) for j in part.channels]

    def _send_updates(self, task: Task, part: Part) -> None:
        """Send what a step's end sends: gradients of copies to their owner, new weights to copies and mirrors."""
        layer, widths = task.layer, self.chip.widths
        same = list(self.case.map(layer).others_of_channel(part))
        if part.tile > 0:
            (owner,) = (each for each in same if each.tile == 0)
            sums: list[Value] = [
                ("accumulator", "gradient", part.core, layer, *each) for each in self._sums(part, layer)
            ]
            self.send(task, "gradients", {owner.core: [("update", layer)]}, sums, widths.accumulator_bits)
            return
        feeds: dict[int, list[Role]] = {each.core: [("forward", layer)] for each in same}
        values: list[Value] = [(kind, "copy", layer, *which) for kind, *which in self._sums(part, layer)]
        self.send(task, "copies", feeds, values, {"weight": widths.weight_bits, "bias": widths.bias_bits})
        for core in feeds:
            self.mail[core].difference_update(values)  # copies stay from microbatch to microbatch
            for kind, *_ in values:
                self.by_port(core, "update", layer, f"{'synapse' if kind == 'weight' else 'neuron'}_writes", str(kind))
        self._transport(task, part)

    def _add_partial_gradients(self, part: Part, layer: int) -> None:
        """Write and add what the copies of an owner have sent; the first sums are only written if it has none yet."""
        there = set(self._sums(part, layer)) if self.last > 0 else set()
        for copy in self.case.map(layer).others_of_channel(part):
            for gradient in self._sums(part, layer):
                self.mail[part.core].remove(("accumulator", "gradient", copy.core, layer, *gradient))
                memory = "gradient" if gradient[0] == "weight" else "neuron"
                self.by_port(part.core, "update", layer, f"{memory}_writes", "accumulator")
                if gradient in there:
                    self.by_port(part.core, "update", layer, f"{memory}_reads", "accumulator")
                    self.by_port(part.core, "update", layer, "elementwise_ops")
                there.add(gradient)

    def _transport(self, task: Task, part: Part) -> None:
        """Mirrored: send each core of C_(l-1) its block of the new weights; the port there writes it, task free."""
        case, layer, grid = self.case, task.layer - 1, self.case.map(task.layer)
        if not (case.rule.mirrored and layer > 0 and case.has_error(layer)):
            return
        kind = "sign" if case.rule.matrix == "sign" else "weight"
        for target in sorted(case.parts(layer), key=lambda each: each.core):
            columns = target.channels if grid.shape.convolves else target.units
            positions = range(grid.shape.rows.kernel * grid.shape.columns.kernel)
            block = [(j, i, at) for j in part.channels for i in columns for at in positions]
            values: list[Value] = [(kind, "mirror", task.layer, *each) for each in block]
            self.send(task, "weights", {target.core: [("error", layer)]}, values, channel.mirror_bits(case))
            self.mail[target.core].difference_update(values)  # a mirror lives in synapse memory, not in this one
            for _ in values:
                self.by_port(target.core, "update", task.layer, "mirror_writes", kind)


def walk(case: Case) -> Step:
    """Walk one step and return it with its tasks and messages."""
    return Step(case)


def by_core(case: Case) -> dict[tuple[int, str, int, str, str], int]:
    """Return {(core, phase, layer, count name, kind): values or operations of the step} of all cores."""
    step = walk(case)
    ledger = Counter(step.port)
    for task in step.tasks:
        for (name, kind), times in task.counts.items():
            if task.name != "io":
                ledger[task.core, task.phase, task.layer, name, kind] += times
    return dict(ledger)


def count(case: Case) -> dict[tuple[str, int, str, str], int]:
    """Return {(phase, layer, count name, kind): count of the step}; a count of zero has no entry."""
    step = walk(case)
    ledger: Counter[tuple[str, int, str, str]] = Counter()
    for (_, phase, layer, name, kind), times in step.port.items():
        ledger[phase, layer, name, kind] += times
    for task in step.tasks:
        for (name, kind), times in task.counts.items():
            ledger[task.phase, task.layer, name, kind] += times
    for message in step.messages:
        for name, times in traffic(case.chip, message).items():
            ledger[message.sender.phase, message.sender.layer, name, ""] += times
    return {key: times for key, times in ledger.items() if times}
