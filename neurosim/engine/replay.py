"""Replay: an epoch whose steps overlap settles into a period; whole periods are skipped, the rest is simulated.

At the start of step k's first task the state is everything that decides what happens next, relative to that cycle and
to the step's first microbatch. When it equals the state of an earlier step, what lies between them repeats exactly.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from neurosim.counts import IntArray
from neurosim.engine.facts import Repeat
from neurosim.engine.plan_network import Network
from neurosim.engine.simulation import Simulation
from neurosim.schedules import LONGEST_PERIOD, MOST_STEPS, Microbatch, Plan

Facts = dict[str, IntArray]


@dataclass(frozen=True)
class Mark:
    """The state at the start of a step, and what the network had counted by then."""

    step: int
    cycle: int
    state: tuple[bytes, ...]
    groups: Facts
    links: Facts


@dataclass
class EpochRun:
    """A simulated epoch: what was simulated, and the window that stands for what was skipped."""

    simulation: Simulation
    repeat: Repeat = Repeat()
    marks: tuple[Mark, Mark] | None = field(default=None)

    def group_facts(self) -> Facts:
        """Return the network's facts by group for the whole epoch."""
        return self._extended(self.simulation.network.group_facts(), "groups")

    def link_facts(self) -> Facts:
        """Return the network's facts by link for the whole epoch."""
        return self._extended(self.simulation.network.link_facts(), "links")

    def _extended(self, facts: Facts, kind: str) -> Facts:
        if self.marks is None:
            return facts
        before, after = (getattr(mark, kind) for mark in self.marks)
        return {
            name: values if name.endswith("_max_cycles") else values + self.repeat.times * (after[name] - before[name])
            for name, values in facts.items()
        }


def simulate_epoch_with_replay(
    plan: Plan, steps: Sequence[Sequence[Microbatch]], log_rows: int, network: Network
) -> EpochRun:
    """Simulate an epoch, skipping whole periods once its steps repeat (at the flit level they never do)."""
    run = EpochRun(Simulation(plan, steps, log_rows=log_rows, network=network))
    lengths = [len(step) for step in steps]
    full = sum(tuple(step) == tuple(steps[0]) for step in steps)
    marks: deque[Mark] = deque(maxlen=LONGEST_PERIOD)
    simulation = run.simulation
    going = True
    while going:
        searching = run.marks is None and simulation.new_steps and simulation.new_steps[0] < min(MOST_STEPS, full)
        if searching:
            mark = _mark(simulation, simulation.new_steps[0])
            earlier = next((other for other in marks if other.state == mark.state), None)
            marks.append(mark)
            if earlier is not None:
                _skip(run, (earlier, mark), lengths, full)
        simulation.new_steps.clear()
        going = simulation.advance()
    return run


def _skip(run: EpochRun, marks: tuple[Mark, Mark], lengths: list[int], full: int) -> None:
    """Take as many whole periods out of the steps to come as leave what has begun, or can see ahead, untouched."""
    earlier, mark = marks
    simulation = run.simulation
    period = mark.step - earlier.step
    ahead = -(-simulation.slots // lengths[mark.step]) + 1
    times = (full - mark.step - ahead) // period
    if times <= 0:
        return
    cut = sum(lengths[: mark.step + ahead])
    gone = times * period * lengths[mark.step]
    del simulation.batches[cut : cut + gone]
    simulation.number_steps(lengths[: mark.step + ahead] + lengths[mark.step + ahead + times * period :])
    run.repeat = Repeat(earlier.cycle, mark.cycle, times)
    run.marks = marks


def _mark(simulation: Simulation, step: int) -> Mark:
    cycle = simulation.step_start[step]
    origin = simulation.step_of.index(step)
    return Mark(
        step,
        cycle,
        _state(simulation, cycle, origin, step),
        simulation.network.group_facts(),
        simulation.network.link_facts(),
    )


def _state(simulation: Simulation, cycle: int, origin: int, step: int) -> tuple[bytes, ...]:
    """Return everything that decides what happens next, relative to ``cycle`` and to microbatch ``origin``."""
    network = simulation.network
    microbatches = simulation.microbatch_of_slot
    relative = np.where(microbatches >= 0, microbatches - origin, -1 << 20)
    order = np.argsort(relative, kind="stable")
    tables = []
    for slot in order:
        if microbatches[slot] < 0 or simulation.is_over(int(slot)):
            continue
        waits = network.remaining[slot] > 0
        ready = np.where(waits, np.maximum(network.ready[slot] - cycle, 0), 0)
        batch = simulation.classes.index(simulation.batches[microbatches[slot]])
        tables.append((int(relative[slot]), batch, network.remaining[slot].tobytes(), ready.tobytes()))
    lists = [
        sorted((key[0] - cycle, key[1] - step, key[2] - origin, *key[3:]) for key in waiting)
        for waiting in simulation.ready_lists
    ]
    running = sorted((core, q - origin, task, end - cycle) for core, (q, task, end) in simulation.running.items())
    scheduled = sorted((q - origin, task, ready - cycle) for (q, task), ready in simulation.scheduled.items())
    gates = sorted((gate, q - origin, left) for (gate, q), left in simulation.gates_left.items())
    transports = sorted(simulation.transports.state(origin).items())
    parts = (tables, lists, running, scheduled, gates, transports)
    return (network.snapshot(cycle, relative), *(repr(part).encode() for part in parts))
