"""The chip the slow twins walk on: memories that know what they hold, messages that know what they carry.

A core may only read a value that was written on it, a message may only carry what its sender has, and whatever is
delivered must be used, so a wrong rule of the contract stops the walk instead of changing a number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from naive_array import Fold, array_cycles, folds
from naive_case import Case, blocks
from naive_routes import crosses_border, flits_of, port_router, router_of, tree

from neurosim.chips import Chip

Value = tuple[str | int, ...]  # (kind, what, layer, index, sample, ...)
Role = tuple[str, int]  # a task's name and layer, on the core in question
WEIGHT = ("synapse_reads", "weight")
SENT = ("activations", "pool halo", "errors", "unpool halo", "sums")  # purposes whose values a sender must hold


@dataclass
class Task:
    """One phase of one layer on one core for one microbatch; ``core`` is the port's number for io."""

    name: str  # io, forward, pool, product, error, unpool, update
    layer: int
    core: int
    microbatch: int
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    mac_cycles: int = 0
    gathered_macs: int = 0  # those that the element-wise unit does, because an array cannot gather

    @property
    def phase(self) -> str:
        """The phase the task's counts belong to: a product is part of its layer's error, a pool of its forward."""
        return {"product": "error", "unpool": "error", "pool": "forward"}.get(self.name, self.name)

    def add(self, name: str, kind: str = "", times: int = 1) -> None:
        """Count one operation or access (``times`` for bits and operations that come as a number)."""
        self.counts[name, kind] += times


@dataclass
class Message:
    """A payload from one router to a set of cores, with what it carries and the tasks on each that wait for it."""

    purpose: str  # see SENT for what is checked; also inputs, labels, exchange, gradients, copies, weights
    sender: Task
    router: int
    destinations: list[int]
    values: list[Value]
    payload_bits: int
    feeds: dict[int, list[Role]]


class Machine:
    """The cores' memories during one step, and everything that was counted."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.chip: Chip = case.chip
        self.tasks: list[Task] = []
        self.messages: list[Message] = []
        self.port: Counter[tuple[int, str, int, str, str]] = Counter()
        self.memory: dict[int, set[Value]] = {}
        self.mail: dict[int, set[Value]] = {}
        rows, self.columns = case.chip.core.lanes
        self.samples_per_fetch = rows * case.chip.core.accumulators_per_lane

    def empty(self) -> None:
        """Forget the values of a microbatch; all that was delivered must have been used."""
        assert not any(self.mail.values()), "something was delivered that nobody needed"
        self.memory = {core: set() for owners in self.case.cores for core in owners}
        self.mail = {core: set() for core in self.memory}

    def task(self, name: str, layer: int, core: int, q: int) -> Task:
        """Open a task for microbatch ``q``."""
        task = Task(name, layer, core, q)
        self.tasks.append(task)
        return task

    def read(self, task: Task, value: Value) -> None:
        """Read one value of the neuron memory of the task's core."""
        assert value in self.memory[task.core], f"{task} reads {value}, which is not there"
        task.add("neuron_reads", str(value[0]))

    def write(self, task: Task, value: Value) -> None:
        """Write one value that the task has made."""
        assert value not in self.memory[task.core], f"{task} writes {value} twice"
        self.memory[task.core].add(value)
        task.add("neuron_writes", str(value[0]))

    def by_port(self, core: int, phase: str, layer: int, name: str, kind: str = "") -> None:
        """Count one access or operation of a core's port: no task spends time on it."""
        self.port[core, phase, layer, name, kind] += 1

    def arrive(self, core: int, phase: str, layer: int, values: Iterable[Value]) -> None:
        """Write what was delivered to a core, unless it is there already."""
        for value in values:
            if value in self.memory[core]:
                continue
            self.mail[core].remove(value)
            self.memory[core].add(value)
            self.by_port(core, phase, layer, "neuron_writes", str(value[0]))

    def send(
        self,
        task: Task,
        purpose: str,
        feeds: dict[int, list[Role]],
        values: list[Value],
        bits_each: int | Mapping[str, int],
    ) -> None:
        """Inject one message to all cores of ``feeds`` but the sender's, or one copy to each in order of core.

        ``bits_each`` are the bits of a value, or of each kind of value.
        """
        targets = sorted(core for core in feeds if task.name == "io" or core != task.core)
        if not targets or not values:
            return
        assert self._held(task, purpose, values), f"{task} sends what it does not have"
        payload_bits = sum(bits_each if isinstance(bits_each, int) else bits_each[str(value[0])] for value in values)
        together = self.case.delivery == "multicast" or task.name == "io"
        for destinations in [targets] if together else [[core] for core in targets]:
            router = port_router(self.chip, task.core) if task.name == "io" else router_of(self.chip, task.core)
            roles = {core: feeds[core] for core in destinations}
            self.messages.append(Message(purpose, task, router, destinations, values, payload_bits, roles))
            for core in destinations:
                assert not self.mail[core] & set(values), "a core gets one copy"
                self.mail[core].update(values)

    def _held(self, task: Task, purpose: str, values: Iterable[Value]) -> bool:
        if purpose not in SENT:
            return True  # inputs and labels come from outside, exchange words and weights are not in this memory
        memory = self.memory[task.core]  # a sign is its error's
        return all(("error" if value[0] == "sign" else value[0], *value[1:]) in memory for value in values)

    def product(
        self,
        task: Task,
        samples: range,
        terms: dict[int, list[int]],
        source: Callable[[int, int], Value],
        fetches: Sequence[tuple[str, str]],
    ) -> None:
        """Walk a core's fixed loop order: each group of C neurons, each R A samples, each input.

        ``terms`` are the inputs of each output, ``source(term, sample)`` the value read, ``fetches`` what one
        connection costs each time it is fetched (a fetched connection serves R A samples).
        """
        additions = self.case.rule.error == "output-sign" and task.phase == "error"
        if self.chip.core.systolic and not additions and not self.case.rule.sparse:
            self._product_on_array(task, list(samples), terms, source, fetches)
            return
        for group in blocks(list(terms), self.columns):
            for block in blocks(samples, self.samples_per_fetch):
                self._broadcast(task, block, {j: terms[j] for j in group}, source)
                for j in group:
                    for _ in terms[j]:
                        for name, kind in fetches:
                            task.add(name, kind)
                        for _ in block:
                            task.add("elementwise_ops" if additions else "macs")
        if not additions and self.chip.core.systolic:
            task.gathered_macs += sum(len(each) for each in terms.values()) * len(samples)
        elif not additions:
            task.mac_cycles += mac_cycles(self.chip, len(samples), [len(each) for each in terms.values()])

    def _product_on_array(
        self,
        task: Task,
        samples: Sequence[int],
        terms: dict[int, list[int]],
        source: Callable[[int, int], Value],
        fetches: Sequence[tuple[str, str]],
    ) -> None:
        """Every output has all terms: samples x terms from the left, a matrix of terms x outputs from the right."""
        for fold in folds(self.chip, samples, list(terms), next(iter(terms.values()))):
            for n in fold.rows:
                for term in fold.terms:
                    self.read(task, source(term, n))
            self.enter_matrix(task, fold, fetches)
            self.leave(task, fold, "neuron")
        shape = len(samples), len(terms), len(next(iter(terms.values())))
        task.mac_cycles += array_cycles(self.chip, *shape)

    def enter_matrix(self, task: Task, fold: Fold[Any, Any, Any], fetches: Sequence[tuple[str, str]]) -> None:
        """Fetch the values of a matrix that enter an array with a fold, and multiply."""
        for _ in fold.terms:
            for _ in fold.columns:
                for name, kind in fetches:
                    task.add(name, kind)
                for _ in fold.rows:
                    task.add("macs")

    def leave(self, task: Task, fold: Fold[Any, Any, Any], memory: str) -> None:
        """Write the sums that leave an array with a fold, if they are not complete, and read those they go on from."""
        for _ in fold.rows:
            for _ in fold.columns:
                if not fold.first:
                    task.add(f"{memory}_reads", "accumulator")
                if not fold.last:
                    task.add(f"{memory}_writes", "accumulator")

    def _broadcast(
        self, task: Task, block: Sequence[int], terms: dict[int, list[int]], source: Callable[[int, int], Value]
    ) -> None:
        """Read inputs for a group of neurons: one read serves all of them, but a sparse neuron gathers its own."""
        if task.phase == "error" and self.case.rule.sparse:
            wanted = [term for each in terms.values() for term in each]
        else:
            wanted = next(iter(terms.values()))
        for term in wanted:
            for n in block:
                self.read(task, source(term, n))


def mac_cycles(chip: Chip, samples: int, lengths: Sequence[int]) -> int:
    """Step through a product of ``samples`` rows whose outputs have the given numbers of terms; return its cycles."""
    assert not chip.core.systolic
    rows, columns = chip.core.lanes
    cycles = 0
    for group in blocks(lengths, columns):
        for _ in blocks(range(samples), rows):
            cycles += max(group)
    return cycles


def traffic(chip: Chip, message: Message) -> dict[str, int]:
    """Return what one message adds to each network count."""
    links, routers = tree(chip, message.router, [router_of(chip, core) for core in message.destinations])
    flits = flits_of(chip, message.payload_bits)
    return {
        "messages": 1,
        "payload_bits": message.payload_bits,
        "delivered_bits": sum(message.payload_bits for _ in message.destinations),
        "bit_hops": sum(message.payload_bits for _ in links),
        "border_bit_hops": sum(message.payload_bits for link in links if crosses_border(chip, link)),
        "flits": flits,
        "flit_hops": sum(flits for _ in links),
        "border_flit_hops": sum(flits for link in links if crosses_border(chip, link)),
        "flit_routers": sum(flits for _ in routers),
    }
