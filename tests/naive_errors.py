"""Slow twin of a step's way back: the output's error, hidden errors of every rule, and pools undone."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import naive_channel as channel
from naive_array import array_cycles, folds
from naive_case import blocks
from naive_forward import Forward
from naive_machine import WEIGHT, Role, Task, Value, mac_cycles
from naive_maps import Part


class Errors(Forward):
    """The tasks error, product and unpool."""

    def output_error(self, q: int, samples: range) -> None:
        """Compare the outputs with the targets."""
        case, layer = self.case, self.case.depth
        for part in case.parts(layer):
            task = self.task("error", layer, part.core, q)
            for n in samples:
                if case.targets == "labels":
                    self.read(task, ("label", "label", n))
                for j in part.units:
                    if case.targets == "dense":
                        self.read(task, ("activation", "target", j, n))
                    self.read(task, ("activation", "h", layer, j, n))
                    task.add("elementwise_ops")
                    self.drop(task)
                    self.write(task, ("error", "delta", layer, j, n))
            if self.chip.behind_channel:
                task.add("channel_bits", times=channel.output_error_bits(case))
            self._send_error(task, part, samples)

    def hidden_error(self, layer: int, q: int, samples: range) -> None:
        """Sum what reaches each unit that the layer hands on, and, without a pool, finish its error."""
        case = self.case
        if case.rule.partial_sums:
            self._products(layer, q, samples)
        for part in case.parts(layer):
            task = self.task("error", layer, part.core, q)
            if case.rule.partial_sums:
                self._combine(task, part, samples)
            elif case.one_hot_target:
                self._select_column(task, part, samples)
            elif case.rule.error == "next" and case.map(layer + 1).shape.convolves:
                self._convolve_back(task, part, samples)
            else:
                terms = {j: case.terms(layer, j) for j in part.units}
                self.product(task, samples, terms, self._source(task, terms, samples), self._connection())
            if self.chip.behind_channel:
                task.add("channel_bits", times=channel.around_bits(case, layer))
                if not case.rule.partial_sums:
                    task.add("channel_bits", times=channel.product_bits(case, layer))
            if case.map(layer).pooled:
                for unit in part.units:
                    for n in samples:
                        self.write(task, ("error", "pooled", layer, unit, n))
                self._send_window_halos(task, part, samples)
            else:
                self._finish(task, part, samples)
        if case.map(layer).pooled:
            self._unpool(layer, q, samples)

    def _finish(self, task: Task, part: Part, samples: range) -> None:
        """Multiply the sums with f' and send the error to where it is a source."""
        layer = task.layer
        for unit in part.map_units:
            for n in samples:
                self.read(task, ("activation", self.made(layer), layer, unit, n))
                task.add("elementwise_ops")  # f' from h
                task.add("elementwise_ops")  # product
                self.drop(task)
                self.write(task, ("error", "delta", layer, unit, n))
        self._send_error(task, part, samples)

    # --- who needs an error --------------------------------------------------------------------------------------

    def _consumers(self, source_layer: int) -> dict[int, dict[Role, set[int]]]:
        """Return, for each core, the hidden error tasks there that read a layer's delta, and which values of it."""
        case, consumers = self.case, dict[int, dict[Role, set[int]]]()
        if case.rule.error not in ("next", "output", "output-sign") or case.rule.partial_sums:
            return consumers
        for layer in range(1, case.depth):
            if case.has_error(layer) and case.source_layer(layer) == source_layer:
                for part in case.parts(layer):
                    consumers.setdefault(part.core, {})["error", layer] = case.error_values(layer, part)
        return consumers

    def _send_error(self, task: Task, part: Part, samples: range) -> None:
        """Send a slice of a delta: whole if dense, by tile if convolved; element by element or core if sparse."""
        rule, layer, case = self.case.rule, task.layer, self.case
        kind, bits = ("sign", 2) if rule.error == "output-sign" else ("error", self.chip.widths.error_bits)
        consumers = self._consumers(layer)

        def deliver(indices: Iterable[int], cores: Iterable[int]) -> None:
            kept = list(indices)
            feeds = {core: [role for role, used in consumers[core].items() if used & set(kept)] for core in cores}
            values: list[Value] = [(kind, "delta", layer, k, n) for k in kept for n in samples]
            self.send(task, "errors", feeds, values, bits)

        if not consumers:
            return
        if case.map(layer).shape.convolves:
            for parts in case.tile_parts(layer - 1):
                needed = case.error_values(layer - 1, parts[0])
                deliver([k for k in part.map_units if k in needed], [each.core for each in parts])
        elif not rule.sparse:
            deliver(part.units, consumers)
        elif case.delivery == "multicast":
            for k in part.units:
                deliver([k], [core for core, tasks in consumers.items() if any(k in used for used in tasks.values())])
        else:
            for core in sorted(consumers):
                deliver([k for k in part.units if any(k in used for used in consumers[core].values())], [core])

    # --- sums at the layer itself --------------------------------------------------------------------------------

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

    def _fetch(self, task: Task) -> None:
        for name, kind in self._connection():
            task.add(name, kind)

    def _select_column(self, task: Task, part: Part, samples: range) -> None:
        """One-hot targets select a column of B: another for each sample, no multiplication."""
        for n in samples:
            self.read(task, ("label", "label", n))
            for _ in part.units:
                task.add(*self._connection()[0])

    def _convolve_back(self, task: Task, part: Part, samples: range) -> None:
        """Go through all taps of the next layer that belong to own rows, with a matrix that is kept here.

        An error is read once for each group of C channels; a fetched connection serves R A positions of samples.
        """
        layer, after, own = task.layer, self.case.map(task.layer + 1), self.case.map(task.layer).handed
        needed = after.errors_for(part)
        errors: list[Value] = [("error", "delta", layer + 1, k, n) for k in needed for n in samples]
        self.arrive(task.core, "error", layer, errors)
        if self.chip.core.systolic:
            self._convolve_back_on_array(task, part, samples)
            return
        rows, columns = after.rows_tapped_at(part.rows), range(after.map.columns)
        kernel_rows, kernel_columns = (range(axis.kernel) for axis in (after.shape.rows, after.shape.columns))
        pairs = [(n, y, x, tap, w) for n in samples for y, tap in rows for x in columns for w in kernel_columns]
        places = [(n, y, x) for n in samples for y in part.rows for x in range(own.columns)]
        for group in blocks(part.channels, self.columns):
            for value in errors:
                self.read(task, value)
            for k in range(after.map.channels):
                for _, y, x, _, _ in pairs:
                    assert after.map.unit(k, y, x) in needed, "a tap of an error that is not held"
                    for _ in group:
                        task.add("macs")
            for _ in blocks(places, self.samples_per_fetch):
                for _ in group:
                    for _ in range(after.map.channels * len(kernel_rows) * len(kernel_columns)):
                        self._fetch(task)
        task.mac_cycles += mac_cycles(self.chip, len(pairs), [after.map.channels] * len(part.channels))

    def _convolve_back_on_array(self, task: Task, part: Part, samples: range) -> None:
        """All positions whose errors are here x filters from the left, filters x (own channels' taps) from the right.

        What comes out for other tiles' rows is nobody's: it is not counted as a MAC.
        """
        after = self.case.map(task.layer + 1)
        kernel = [(v, w) for v in range(after.shape.rows.kernel) for w in range(after.shape.columns.kernel)]
        own, rows = set(after.rows_tapped_at(part.rows)), sorted({at[0] for at in after.rows_tapped_at(part.rows)})
        span = range(rows[0], rows[-1] + 1) if rows else range(0)
        places = [(n, y, x) for n in samples for y in span for x in range(after.map.columns)]
        columns = [(channel, v, w) for channel in part.channels for v, w in kernel]
        for fold in folds(self.chip, places, columns, range(after.map.channels)):
            for n, y, x in fold.rows:
                for k in fold.terms:
                    self.read(task, ("error", "delta", task.layer + 1, after.map.unit(k, y, x), n))
                    for _, v, _ in fold.columns:
                        if (y, v) in own:
                            task.add("macs")
            for _ in fold.terms:
                for _ in fold.columns:
                    self._fetch(task)
        if places:
            self._leave_sums(task, after.map.channels, len(part.units) * len(samples))
        task.mac_cycles += array_cycles(self.chip, len(places), len(columns), after.map.channels)

    def _leave_sums(self, task: Task, terms: int, sums: int) -> None:
        """Write the sums of all folds of terms but the last, and read them again; taps are added beneath the array."""
        if self.chip.core.dataflow != "output":
            for _ in list(blocks(range(terms), self.chip.core.lanes[0]))[1:]:
                task.add("neuron_writes", "accumulator", sums)
                task.add("neuron_reads", "accumulator", sums)

    # --- sums at the owners of the weights -----------------------------------------------------------------------

    def _products(self, layer: int, q: int, samples: range) -> None:
        """BP at the owner: each core of C_(l+1) multiplies back along its taps and sends sums to the cores of C_l."""
        case = self.case
        for part in case.parts(layer + 1):
            task = self.task("product", layer, part.core, q)
            self._multiply_back(task, part, samples)
            for i in part.needs:
                for n in samples:
                    self.write(task, ("accumulator", "sum", layer, i, n, part.core))
            if self.chip.behind_channel:
                task.add("channel_bits", times=channel.product_bits(case, layer))
            needed = set(part.needs)
            for target in sorted(case.parts(layer), key=lambda each: each.core):
                shared = [i for i in target.units if i in needed]
                values: list[Value] = [("accumulator", "sum", layer, i, n, part.core) for i in shared for n in samples]
                self.send(task, "sums", {target.core: [("error", layer)]}, values, self.chip.widths.accumulator_bits)

    def _multiply_back(self, task: Task, part: Part, samples: range) -> None:
        """An error is read once for each group of C input channels; a weight serves R A input positions of samples."""
        if self.chip.core.systolic:
            self._multiply_back_on_array(task, part, samples)
            return
        after = self.case.map(task.layer + 1)
        kernel = [(v, w) for v in range(after.shape.rows.kernel) for w in range(after.shape.columns.kernel)]
        rows = [(n, y, x, v, w) for n in samples for y, x in after.positions(part) for v, w in kernel]
        places = [(n, y, x) for n in samples for y in part.need_rows for x in range(after.inputs.columns)]
        for group in blocks(range(after.inputs.channels), self.columns):
            for unit in part.map_units:
                for n in samples:
                    self.read(task, ("error", "delta", task.layer + 1, unit, n))
            for _ in group:
                for _ in part.channels:
                    for _ in blocks(places, self.samples_per_fetch):
                        for _ in kernel:
                            self._fetch(task)
                    for _ in rows:
                        task.add("macs")
        task.mac_cycles += mac_cycles(self.chip, len(rows), [len(part.channels)] * after.inputs.channels)

    def _multiply_back_on_array(self, task: Task, part: Part, samples: range) -> None:
        """Own positions x own filters from the left, filters x (taps of all input channels) from the right."""
        after = self.case.map(task.layer + 1)
        places = [(n, position) for n in samples for position in after.positions(part)]
        for fold in folds(self.chip, places, after.kernel, list(part.channels)):
            for n, position in fold.rows:
                for own in fold.terms:
                    self.read(task, ("error", "delta", task.layer + 1, after.map.unit(own, *position), n))
            self.enter_matrix(task, fold, self._connection())
        self._leave_sums(task, len(part.channels), len(part.needs) * len(samples))
        task.mac_cycles += array_cycles(self.chip, len(places), len(after.kernel), len(part.channels))

    def _combine(self, task: Task, part: Part, samples: range) -> None:
        """Add the partial sums: all but the last read of each, and every addition, are the port's.

        A unit that no window of the next layer reaches gets no sum: its error is 0.
        """
        layer = task.layer
        senders: dict[int, list[int]] = {unit: [] for unit in part.units}
        for source in self.case.parts(layer + 1):
            for unit in set(source.needs) & senders.keys():
                senders[unit].append(source.core)
        for unit, cores in senders.items():
            for n in samples:
                self.arrive(part.core, "error", layer, [("accumulator", "sum", layer, unit, n, core) for core in cores])
                for _ in cores[1:]:
                    self.by_port(part.core, "error", layer, "neuron_reads", "accumulator")
                    self.by_port(part.core, "error", layer, "elementwise_ops")
                if cores:
                    self.read(task, ("accumulator", "sum", layer, unit, n, cores[0]))

    # --- pools undone --------------------------------------------------------------------------------------------

    def _send_window_halos(self, task: Task, part: Part, samples: range) -> None:
        """Send other tiles the errors of the windows that reach into them, of max pools with their places."""
        grid, layer = self.case.map(task.layer), task.layer
        bits = {"error": self.chip.widths.error_bits, "argmax": self.case.argmax_bits}
        for other in grid.others_of_channel(part):
            reaching = set(grid.windows_over(other))
            shared = [(unit, n) for unit in part.units if unit in reaching for n in samples]
            values: list[Value] = [("error", "pooled", layer, *each) for each in shared]
            if grid.max_pooled:
                places: list[Value] = [("argmax", "place", layer, *each) for each in shared]
                for place in places:
                    self.read(task, place)
                values += places
            self.send(task, "unpool halo", {other.core: [("unpool", layer)]}, values, bits)

    def _unpool(self, layer: int, q: int, samples: range) -> None:
        case, grid = self.case, self.case.map(layer)
        for part in case.parts(layer):
            windows, own = grid.windows_over(part), set(part.map_units)
            for window in windows:
                for n in samples:
                    self.arrive(part.core, "error", layer, [("error", "pooled", layer, window, n)])
                    if grid.max_pooled:
                        self.arrive(part.core, "error", layer, [("argmax", "place", layer, window, n)])
            task = self.task("unpool", layer, part.core, q)
            for window in windows:
                under = [unit for unit in grid.window(*grid.place(window)) if unit in own]
                for n in samples:
                    self.read(task, ("error", "pooled", layer, window, n))
                    task.add("elementwise_ops")  # comparison of the place, or division
                    if grid.max_pooled:
                        self.read(task, ("argmax", "place", layer, window, n))
                    else:
                        task.add("elementwise_ops", times=len(under))  # an addition for each unit under the window
            if self.chip.behind_channel:
                task.add("channel_bits", times=channel.unpool_bits(case, layer))
            self._finish(task, part, samples)
