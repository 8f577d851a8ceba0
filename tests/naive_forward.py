"""Slow twin of a step's way forward: inputs and labels from the ports, sums, pools, the softmax exchange."""

from __future__ import annotations

from collections.abc import Iterable

import naive_channel as channel
from naive_array import array_cycles, folds
from naive_case import blocks
from naive_machine import WEIGHT, Machine, Role, Task, Value, mac_cycles
from naive_maps import Part, cut


class Forward(Machine):
    """The tasks io, forward and pool."""

    # --- io ------------------------------------------------------------------------------------------------------

    def io(self, q: int, samples: range) -> None:
        """Ports carry slices of the inputs, rows of an image for a convolution; port 0 the labels too.

        A port with nothing to carry has no task.
        """
        case, first = self.case, self.case.map(1)
        rows = first.inputs.rows if first.shape.convolves else first.inputs.channels
        for port, own in enumerate(cut(rows, len(self.chip.io.ports))):
            labelled = port == 0 and case.phases == "all"
            if not own and not labelled:
                continue
            task = self.task("io", 0, port, q)
            channels = range(first.inputs.channels)
            carried = first.inputs.units(channels, own) if first.shape.convolves else list(own)
            self._offchip(task, len(carried) * len(samples) * self.chip.widths.input_bits)
            for parts in case.tile_parts(1):
                needed = set(parts[0].needs)
                values: list[Value] = [("activation", "h", 0, i, n) for i in carried if i in needed for n in samples]
                feeds: dict[int, list[Role]] = {part.core: [("forward", 1)] for part in parts}
                self.send(task, "inputs", feeds, values, self.chip.widths.activation_bits)
                for part in parts:
                    self.arrive(part.core, "io", 0, values)
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

    def forward(self, layer: int, q: int, samples: range) -> None:
        """Every core makes the units of its slice, and hands them to the pool, if there is one, or the next layer."""
        case, what = self.case, self.made(layer)
        for part in case.parts(layer):
            inputs: list[Value] = [("activation", "h", layer - 1, i, n) for i in part.needs for n in samples]
            self.arrive(part.core, "forward", layer, inputs)
            task = self.task("forward", layer, part.core, q)
            self._sum(task, part, samples)
            for unit in part.map_units:
                for n in samples:
                    task.add("elementwise_ops")  # bias
                    task.add("elementwise_ops")  # activation
                    self.drop(task)
                    self.write(task, ("activation", what, layer, unit, n))
            if self.chip.behind_channel:
                task.add("channel_bits", times=channel.forward_bits(case, layer))
            if case.map(layer).pooled:
                self._send_halos(task, part, samples)
            else:
                self._send_activations(task, part, samples)
        if case.map(layer).pooled:
            self._pool(layer, q, samples)

    def made(self, layer: int) -> str:
        """Name the units of a layer's map: what it hands on, or what its pool reads."""
        return "map" if self.case.map(layer).pooled else "h"

    def _sum(self, task: Task, part: Part, samples: range) -> None:
        """Take every tap of every filter at every position.

        A value is read once for each group of C channels, however many taps it meets; a fetched weight serves R A
        positions of samples.
        """
        layer, grid = task.layer, self.case.map(task.layer)
        places = [(n, position) for n in samples for position in grid.positions(part)]
        needed = set(part.needs)
        for _, (row, column) in places:
            assert {tap for tap in grid.taps(row, column) if tap is not None} <= needed, "a tap outside of what is held"
        if self.chip.core.systolic:
            self._sum_on_array(task, part, samples)
            return
        for group in blocks(part.channels, self.columns):
            for i in part.needs:
                for n in samples:
                    self.read(task, ("activation", "h", layer - 1, i, n))
            for block in blocks(places, self.samples_per_fetch):
                for _ in group:
                    task.add("neuron_reads", "bias")
                    for _ in grid.kernel:
                        task.add(*WEIGHT)
                        for _ in block:
                            task.add("macs")
        task.mac_cycles += mac_cycles(self.chip, len(places), [len(grid.kernel)] * len(part.channels))

    def _sum_on_array(self, task: Task, part: Part, samples: range) -> None:
        """Places of samples x taps from the left, taps x filters from the right; a bias enters with its weights."""
        layer, grid = task.layer, self.case.map(task.layer)
        places = [(n, position) for n in samples for position in grid.positions(part)]
        entered: dict[int, set[Value]] = {}
        for fold in folds(self.chip, places, list(part.channels), range(len(grid.kernel))):
            under = entered.setdefault(fold.left_pass, set())
            for n, (row, column) in fold.rows:
                taps = grid.taps(row, column)
                self._enter(task, under, [("activation", "h", layer - 1, taps[tap], n) for tap in fold.terms])
            self.enter_matrix(task, fold, [WEIGHT])
            for _ in fold.columns:
                if fold.first:
                    task.add("neuron_reads", "bias")
            self.leave(task, fold, "neuron")
        self._enter_rest(task, part, samples, entered)
        task.mac_cycles += array_cycles(self.chip, len(places), len(part.channels), len(grid.kernel))

    def _enter(self, task: Task, under: set[Value], wanted: Iterable[tuple[str, str, int, int | None, int]]) -> None:
        """Read what a line buffer does not have yet in this pass; padding (None) is made."""
        for kind, what, layer, unit, n in wanted:
            if unit is not None and (kind, what, layer, unit, n) not in under:
                under.add((kind, what, layer, unit, n))
                self.read(task, (kind, what, layer, unit, n))

    def _enter_rest(self, task: Task, part: Part, samples: range, entered: dict[int, set[Value]]) -> None:
        """Read what streams through a line buffer without being under a window, in every pass."""
        for under in entered.values():
            self._enter(task, under, [("activation", "h", task.layer - 1, i, n) for i in part.needs for n in samples])

    def _send_activations(self, task: Task, part: Part, samples: range) -> None:
        """Send every tile of the next layer the units that it needs."""
        case, layer = self.case, task.layer
        if layer == case.depth:
            return
        for parts in case.tile_parts(layer + 1):
            needed = set(parts[0].needs)
            feeds: dict[int, list[Role]] = {each.core: [("forward", layer + 1)] for each in parts}
            values: list[Value] = [("activation", "h", layer, j, n) for j in part.units if j in needed for n in samples]
            self.send(task, "activations", feeds, values, self.chip.widths.activation_bits)

    def drop(self, task: Task) -> None:
        """Draw one unit's mask where the layer drops neurons."""
        if self.case.drops(task.layer):
            task.add("elementwise_ops")
            task.add("dropout_generated")

    # --- pool ----------------------------------------------------------------------------------------------------

    def _send_halos(self, task: Task, part: Part, samples: range) -> None:
        """Send other tiles the units that their windows reach into."""
        grid, layer = self.case.map(task.layer), task.layer
        for other in grid.others_of_channel(part):
            reached = set(grid.pooled_from(other))
            values: list[Value] = [
                ("activation", "map", layer, unit, n) for unit in part.map_units if unit in reached for n in samples
            ]
            feeds: dict[int, list[Role]] = {other.core: [("pool", layer)]}
            self.send(task, "pool halo", feeds, values, self.chip.widths.activation_bits)

    def _pool(self, layer: int, q: int, samples: range) -> None:
        case, grid = self.case, self.case.map(layer)
        for part in case.parts(layer):
            read = grid.pooled_from(part)
            self.arrive(
                part.core, "forward", layer, [("activation", "map", layer, u, n) for u in read for n in samples]
            )
            task = self.task("pool", layer, part.core, q)
            for unit in part.units:
                window = grid.window(*grid.place(unit))
                for n in samples:
                    for under in window:
                        self.read(task, ("activation", "map", layer, under, n))
                        task.add("elementwise_ops")  # comparison or addition
                    if not grid.max_pooled:
                        task.add("elementwise_ops")  # division
                    self.write(task, ("activation", "h", layer, unit, n))
                    if case.remembers_largest(layer):
                        self.write(task, ("argmax", "place", layer, unit, n))
            if self.chip.behind_channel:
                task.add("channel_bits", times=channel.pool_bits(case, layer))
            self._send_activations(task, part, samples)

    def exchange(self, q: int, samples: range) -> None:
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
