"""Slow twin of the counts of a training step: loops over samples, neurons and inputs that add one at a time.

Nothing here is a closed form; ``naive_machine`` refuses a read of what is not there and a delivery nobody needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import naive_channel as channel
from naive_case import OPERATIONS, Case, blocks, cut
from naive_machine import WEIGHT, Machine, Role, Task, Value, mac_cycles, traffic

__all__ = ["Case", "Step", "by_core", "count", "walk"]


class Step(Machine):
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
        self._io(q, samples)
        for layer in range(1, case.depth + 1):
            self._forward(layer, q, samples)
        if case.loss == "softmax":
            self._exchange(q, samples)
        if case.phases == "forward":
            return
        if case.has_error(case.depth):
            self._output_error(q, samples)
        for layer in range(case.depth - 1, 0, -1):
            if case.has_error(layer):
                self._hidden_error(layer, q, samples)
        for layer in range(case.depth, 0, -1):
            if case.trained(layer):
                self._update(layer, q, samples)

    # --- io ------------------------------------------------------------------------------------------------------

    def _io(self, q: int, samples: range) -> None:
        """Ports carry slices of the inputs to C_1; port 0 the labels too. A port with nothing to carry has no task."""
        case, widths = self.case, self.chip.widths
        first = {core: [("forward", 1)] for core in case.cores[0]}
        for port, inputs in enumerate(cut(case.widths[0], len(self.chip.io.ports))):
            labelled = port == 0 and case.phases == "all"
            if not inputs and not labelled:
                continue
            task = self.task("io", 0, port, q)
            values: list[Value] = [("activation", "h", 0, i, n) for i in inputs for n in samples]
            self._offchip(task, len(values) * widths.input_bits)
            self.send(task, "inputs", first, values, widths.activation_bits)
            for core in case.cores[0]:
                self.arrive(core, "io", 0, values)
            if labelled:
                self._offchip(task, len(samples) * case.label_bits)
                self._labels(task, samples)

    def _offchip(self, task: Task, bits: int) -> None:
        if not self.chip.behind_channel:  # there inputs and labels cross the channel instead
            task.add("offchip_bits", times=bits)

    def _labels(self, task: Task, samples: range) -> None:
        case = self.case
        everywhere = case.rule.error == "target"
        feeds: dict[int, list[Role]] = {}
        for layer in range(1, case.depth + 1):
            for core in case.cores[layer - 1]:
                if everywhere or layer == case.depth:
                    feeds.setdefault(core, []).append(("error", layer))
        parcels: list[tuple[dict[int, list[Role]], list[Value]]]
        if case.targets == "labels":
            parcels = [(feeds, [("label", "label", n) for n in samples])]
        elif everywhere:
            parcels = [(feeds, [("activation", "target", k, n) for k in range(case.widths[-1]) for n in samples])]
        else:
            owned = sorted(case.slices(case.depth).items())
            parcels = [
                ({core: feeds[core]}, [("activation", "target", k, n) for k in own for n in samples])
                for core, own in owned
            ]
        bits_each = case.label_bits if case.targets == "labels" else self.chip.widths.activation_bits
        for roles, values in parcels:
            self.send(task, "labels", roles, values, bits_each)
            for core in roles:
                self.arrive(core, "io", 0, values)

    # --- forward -------------------------------------------------------------------------------------------------

    def _forward(self, layer: int, q: int, samples: range) -> None:
        case, fan_in = self.case, range(self.case.widths[layer - 1])
        for core, own in case.slices(layer).items():
            self.arrive(core, "forward", layer, [("activation", "h", layer - 1, i, n) for i in fan_in for n in samples])
            task = self.task("forward", layer, core, q)
            terms = {j: list(fan_in) for j in own}
            self.product(task, samples, terms, lambda i, n: ("activation", "h", layer - 1, i, n), [WEIGHT])
            for _ in blocks(samples, self.samples_per_fetch):
                for _ in own:
                    task.add("neuron_reads", "bias")
            for j in own:
                for n in samples:
                    task.add("elementwise_ops")  # bias
                    task.add("elementwise_ops")  # activation
                    self._drop(task)
                    self.write(task, ("activation", "h", layer, j, n))
            if self.chip.behind_channel:
                task.add("channel_bits", times=channel.forward_bits(case, layer))
            if layer < case.depth:
                feeds: dict[int, list[Role]] = {each: [("forward", layer + 1)] for each in case.cores[layer]}
                values: list[Value] = [("activation", "h", layer, j, n) for j in own for n in samples]
                self.send(task, "activations", feeds, values, self.chip.widths.activation_bits)

    def _drop(self, task: Task) -> None:
        if self.case.drops(task.layer):
            task.add("elementwise_ops")
            task.add("dropout_generated")

    def _exchange(self, q: int, samples: range) -> None:
        """Softmax over several cores: each sends its maximum and sum of each sample to each other core's port."""
        case = self.case
        feeds: dict[int, list[Role]] = {core: [("error", case.depth)] for core in case.cores[-1]}
        role = ("forward", case.depth, q)
        for task in [each for each in self.tasks if (each.name, each.layer, each.microbatch) == role]:
            values: list[Value] = [("accumulator", what, task.core, n) for what in ("max", "sum") for n in samples]
            self.send(task, "exchange", feeds, values, self.chip.widths.accumulator_bits)
            for core in case.cores[-1]:
                if core != task.core:
                    self.arrive(core, "forward", case.depth, values)
                    for _ in values:
                        self.by_port(core, "forward", case.depth, "neuron_reads", "accumulator")
                        self.by_port(core, "forward", case.depth, "elementwise_ops")

    # --- error ---------------------------------------------------------------------------------------------------

    def _output_error(self, q: int, samples: range) -> None:
        case, layer = self.case, self.case.depth
        for core, own in case.slices(layer).items():
            task = self.task("error", layer, core, q)
            for n in samples:
                if case.targets == "labels":
                    self.read(task, ("label", "label", n))
                for j in own:
                    if case.targets == "dense":
                        self.read(task, ("activation", "target", j, n))
                    self.read(task, ("activation", "h", layer, j, n))
                    task.add("elementwise_ops")
                    self._drop(task)
                    self.write(task, ("error", "delta", layer, j, n))
            if self.chip.behind_channel:
                task.add("channel_bits", times=channel.output_error_bits(case))
            self._send_error(task, own, samples)

    def _consumers(self, source_layer: int) -> dict[int, dict[Role, set[int]]]:
        """Return, for each core, the hidden error tasks there that read a layer's delta, and which values of it."""
        case, consumers = self.case, dict[int, dict[Role, set[int]]]()
        if case.rule.error not in ("next", "output", "output-sign") or case.rule.partial_sums:
            return consumers
        for layer in range(1, case.depth):
            if case.has_error(layer) and case.source_layer(layer) == source_layer:
                for core, own in case.slices(layer).items():
                    used = {term for j in own for term in case.terms(layer, j)}
                    consumers.setdefault(core, {})["error", layer] = used
        return consumers

    def _send_error(self, task: Task, own: range, samples: range) -> None:
        """Send a slice of a delta: whole if dense; one message per output, or what each core uses, if sparse."""
        rule, layer = self.case.rule, task.layer
        kind, bits = ("sign", 2) if rule.error == "output-sign" else ("error", self.chip.widths.error_bits)
        consumers = self._consumers(layer)

        def deliver(indices: Iterable[int], cores: Iterable[int]) -> None:
            kept = list(indices)
            feeds = {core: [role for role, used in consumers[core].items() if used & set(kept)] for core in cores}
            values: list[Value] = [(kind, "delta", layer, k, n) for k in kept for n in samples]
            self.send(task, "errors", feeds, values, bits)

        if not rule.sparse:
            deliver(own, consumers)
        elif self.case.delivery == "multicast":
            for k in own:
                deliver([k], [core for core, tasks in consumers.items() if any(k in used for used in tasks.values())])
        else:
            for core in sorted(consumers):
                deliver([k for k in own if any(k in used for used in consumers[core].values())], [core])

    def _hidden_error(self, layer: int, q: int, samples: range) -> None:
        case = self.case
        if case.rule.partial_sums:
            self._products(layer, q, samples)
        for core, own in case.slices(layer).items():
            task = self.task("error", layer, core, q)
            if case.rule.partial_sums:
                self._combine(task, own, samples)
            elif case.one_hot_target:
                self._select_column(task, own, samples)
            else:
                terms = {j: case.terms(layer, j) for j in own}
                source = self._source(task, terms, samples)
                self.product(task, samples, terms, source, self._connection())
            for j in own:
                for n in samples:
                    self.read(task, ("activation", "h", layer, j, n))
                    task.add("elementwise_ops")  # f' from h
                    task.add("elementwise_ops")  # product
                    self._drop(task)
                    self.write(task, ("error", "delta", layer, j, n))
            if self.chip.behind_channel:
                task.add("channel_bits", times=channel.combine_bits(case, layer))
                if not case.rule.partial_sums:
                    task.add("channel_bits", times=channel.product_bits(case, layer))
            self._send_error(task, own, samples)

    def _source(self, task: Task, terms: dict[int, list[int]], samples: range) -> Callable[[int, int], Value]:
        """Write what arrived for a hidden error and return how its values are found: own deltas, signs, targets."""
        case = self.case
        if case.rule.error == "target":
            return lambda k, n: ("activation", "target", k, n)
        layer, memory = case.source_layer(task.layer), self.memory[task.core]

        signs = case.rule.error == "output-sign"
        if signs:  # the product is with signs, those of the core's own deltas too: nothing is written for them
            memory |= {("sign", *value[1:]) for value in memory if value[:3] == ("error", "delta", layer)}

        def find(k: int, n: int) -> Value:
            return ("sign" if signs else "error", "delta", layer, k, n)

        needed = sorted({k for each in terms.values() for k in each})
        self.arrive(task.core, "error", task.layer, [find(k, n) for k in needed for n in samples])
        return find

    def _connection(self) -> list[tuple[str, str]]:
        """List what one fetch of a connection of a hidden error reads or generates."""
        rule, fetches = self.case.rule, list[tuple[str, str]]()
        if rule.partial_sums:
            fetches.append(WEIGHT)
        if rule.mirrored:
            fetches.append(("mirror_reads", "sign" if rule.matrix == "sign" else "weight"))
        if self.case.magnitudes():
            if self.case.generated:
                fetches.append(("feedback_generated", ""))
                fetches += [("feedback_index_generated", "")] if rule.sparse else []
            else:
                fetches.append(("feedback_reads", "feedback"))
                fetches += [("feedback_index_reads", "index")] if rule.sparse else []
        return fetches

    def _select_column(self, task: Task, own: range, samples: range) -> None:
        """One-hot targets select a column of B: another for each sample, no multiplication."""
        for n in samples:
            self.read(task, ("label", "label", n))
            for _ in own:
                task.add(*self._connection()[0])

    def _products(self, layer: int, q: int, samples: range) -> None:
        """BP at the owner: each core of C_(l+1) multiplies its rows and sends partial sums to the cores of C_l."""
        case = self.case
        for core, rows in case.slices(layer + 1).items():
            task = self.task("product", layer, core, q)
            terms = {i: list(rows) for i in range(case.widths[layer])}
            source: Callable[[int, int], Value] = lambda k, n: ("error", "delta", layer + 1, k, n)  # noqa: E731
            self.product(task, samples, terms, source, self._connection())
            for i in terms:
                for n in samples:
                    self.write(task, ("accumulator", "sum", layer, i, n, core))
            if self.chip.behind_channel:
                task.add("channel_bits", times=channel.product_bits(case, layer))
            for target, own in sorted(case.slices(layer).items()):
                values: list[Value] = [("accumulator", "sum", layer, i, n, core) for i in own for n in samples]
                self.send(task, "sums", {target: [("error", layer)]}, values, self.chip.widths.accumulator_bits)

    def _combine(self, task: Task, own: range, samples: range) -> None:
        """Add the partial sums: all but the last read of each, and every addition, are the port's."""
        layer, senders = task.layer, self.case.cores[task.layer]
        for sender in senders:
            sums: list[Value] = [("accumulator", "sum", layer, j, n, sender) for j in own for n in samples]
            self.arrive(task.core, "error", layer, sums)
        for j in own:
            for n in samples:
                for _ in senders[1:]:
                    self.by_port(task.core, "error", layer, "neuron_reads", "accumulator")
                    self.by_port(task.core, "error", layer, "elementwise_ops")
                self.read(task, ("accumulator", "sum", layer, j, n, senders[0]))

    # --- update --------------------------------------------------------------------------------------------------

    def _update(self, layer: int, q: int, samples: range) -> None:
        case, fan_in = self.case, range(self.case.widths[layer - 1])
        for core, own in case.slices(layer).items():
            task = self.task("update", layer, core, q)
            for group in blocks(own, self.columns):
                for j in group:
                    for n in samples:
                        self.read(task, ("error", "delta", layer, j, n))
                        task.add("elementwise_ops")  # the bias's gradient
                    self._gradient(task, "neuron_reads", "neuron_writes")
                    self._apply(task, "neuron_reads", "neuron_writes", "bias")
                for i in fan_in:
                    for n in samples:
                        self.read(task, ("activation", "h", layer - 1, i, n))
                        for _ in group:
                            task.add("macs")
                    for _ in group:
                        self._gradient(task, "gradient_reads", "gradient_writes")
                        self._apply(task, "synapse_reads", "synapse_writes", "weight")
            rows_first = self.chip.core.lanes[0] > 1
            p, q_, r = (len(own), len(fan_in), len(samples)) if rows_first else (len(samples), len(own), len(fan_in))
            task.mac_cycles += mac_cycles(self.chip, p, [r] * q_)
            if self.chip.behind_channel:
                task.add("channel_bits", times=channel.update_bits(case, layer))
            if task.microbatch == self.last:
                self._transport(task, own)

    def _gradient(self, task: Task, reads: str, writes: str) -> None:
        """Gradients outside the lanes: the first microbatch only writes, the last only reads."""
        if task.microbatch > 0:
            task.add(reads, "accumulator")
        if task.microbatch < self.last:
            task.add(writes, "accumulator")

    def _apply(self, task: Task, reads: str, writes: str, kind: str) -> None:
        """Apply one value's optimizer, with the last microbatch."""
        case = self.case
        if task.microbatch < self.last:
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

    def _transport(self, task: Task, own: range) -> None:
        """Mirrored: send each core of C_(l-1) its block of the new weights; the port there writes it, task free."""
        case, layer = self.case, task.layer - 1
        if not (case.rule.mirrored and layer > 0 and case.has_error(layer)):
            return
        kind = "sign" if case.rule.matrix == "sign" else "weight"
        for core, columns in sorted(case.slices(layer).items()):
            values: list[Value] = [(kind, "mirror", task.layer, j, i) for j in own for i in columns]
            self.send(task, "weights", {core: [("error", layer)]}, values, channel.mirror_bits(case))
            self.mail[core].difference_update(values)  # a mirror lives in synapse memory, not in this one
            for _ in values:
                self.by_port(core, "update", task.layer, "mirror_writes", kind)


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
