"""Time the engine: a training step of 784-800-800-10, batch 200, on mesh1024, simulated and not replayed.

    OPENBLAS_NUM_THREADS=1 python benchmarks/speed/engine.py [--repeats 5]

DFA with multicast is timed in seconds per step, BP at the owner of the weights (partial sums travel from each core to
each) in microseconds per link crossing: a message that takes a link, injections and ejections included. Without overlap
a step is its distinct microbatches (first, middle, last), each simulated once, which is all its timing there is; with
exact overlap every microbatch of the step is simulated. What is timed is ``simulate`` from plan to trace, after one run
to load the kernels; placing and scheduling are timed beside it. Each run must carry the flits of the plan and end with
the same makespan before any time is printed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import Any

from neurosim.chips import Chip, load_chip
from neurosim.engine import simulate
from neurosim.engine.simulation import Simulation
from neurosim.networks import dense
from neurosim.placement import place
from neurosim.recipes import Recipe
from neurosim.rules import RULES
from neurosim.schedules import Microbatch, Plan, schedule

WIDTHS = (784, 800, 800, 10)
BATCH = 200
BAR_DFA_SECONDS = 1.0
BAR_BP_MICROSECONDS = 0.25
MICROBATCHES: dict[str, Any] = {"dfa": 25, "bp": "auto"}  # 25 samples make 8 microbatches; under bp fewer fit
CASES = (("dfa", "none"), ("dfa", "exact"), ("bp", "none"), ("bp", "exact"))


def make_plan(rule: str, overlap: str, chip: Chip) -> Plan:
    """Return the plan of a step with plain SGD; a window of one, for there is no room for two microbatches."""
    network = dense(WIDTHS)
    recipe = Recipe(
        batch_size=BATCH,
        microbatch=MICROBATCHES[rule],
        optimizer="sgd",
        delivery="multicast",
        overlap=overlap,  # type: ignore[arg-type]
        **({"window": 1} if overlap == "exact" else {}),
    )
    return schedule(network, RULES[rule], place(network, RULES[rule], chip, recipe), recipe)


def stretches(plan: Plan) -> list[list[Microbatch]]:
    """Return what is simulated in one go: each distinct microbatch, or with overlap the whole step."""
    batches = plan.microbatches()
    return [batches] if plan.layout.recipe.overlap == "exact" else [[batch] for batch in dict.fromkeys(batches)]


def work_of(plan: Plan) -> tuple[int, int]:
    """Return the tasks and the link crossings that are simulated for a step."""
    tasks = crossings = 0
    for batches in stretches(plan):
        simulation = Simulation(plan, [batches])
        while simulation.advance():
            pass
        tasks += len(simulation.log.task)
        crossings += simulation.network.crossings_total
    assert tasks == len(plan.tasks) * sum(map(len, stretches(plan)))
    return tasks, crossings


def time_steps(plan: Plan, chip: Chip, repeats: int) -> float:
    """Return the median seconds of simulating a step; ``simulate`` itself checks that all flits of the plan moved."""
    expected = simulate(plan, chip).makespan_cycles
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        trace = simulate(plan, chip)
        seconds.append(time.perf_counter() - started)
        assert trace.makespan_cycles == expected
    return statistics.median(seconds)


def main() -> int:
    """Time the cases and return 1 if one is slower than its bar."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    chip, missed = load_chip("mesh1024"), False
    print("rule  overlap  microbatches  simulated  tasks  crossings  plan_s  step_s  us_per_crossing  bar")
    for rule, overlap in CASES:
        started = time.perf_counter()
        plan = make_plan(rule, overlap, chip)
        planned = time.perf_counter() - started
        tasks, crossings = work_of(plan)
        seconds = time_steps(plan, chip, options.repeats)
        microseconds = seconds / crossings * 1e6
        held = seconds < BAR_DFA_SECONDS if rule == "dfa" else microseconds < BAR_BP_MICROSECONDS
        missed = missed or not held
        simulated, bar = sum(map(len, stretches(plan))), "1 s" if rule == "dfa" else "0.25 us"
        print(
            f"{rule:5} {overlap:8} {len(plan.microbatches()):12} {simulated:10} {tasks:6} {crossings:10} "
            f"{planned:7.2f} {seconds:7.3f} {microseconds:16.3f}  {bar} {'held' if held else 'MISSED'}"
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
