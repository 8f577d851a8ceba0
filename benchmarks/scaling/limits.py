"""How large a network and chip can be: seconds and memory of the largest costs, and how time grows with the work.

    OPENBLAS_NUM_THREADS=1 python benchmarks/scaling/limits.py [event] [analytic] [growth] [sweep]

``event``: a training step of 784-8x4096-10 (eight hidden layers of 4096, batch 256), simulated on 64 x 64 cores.
``analytic``: 1000 layers of 1000 neurons on 1000 x 1000 cores, a neuron a core, 10^9 synapses, in closed form.
``growth``: simulations of many sizes under several rules; the exponent of time against crossings, and the constants of
``neurosim/analytic/effort.py`` fitted anew. A *crossing* is one link granted to one message.
``sweep``: what a sweep of 200 points gains by two processes, against a loop that shares nothing.

Every run is a process of its own, from the start of Python to the costs, so that its peak memory is its own. A run must
have done what was predicted, and counted what the closed forms count (``cost`` compares them), before it is printed.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import loky
import numba
import numpy as np

import neurosim as ns
from neurosim.analytic import Effort


@dataclass(frozen=True)
class Run:
    """One cost of a training step: of a network under a rule on a chip of ``grid`` columns and rows of cores."""

    network: str
    rule: str
    grid: tuple[int, int]
    batch_size: int
    fidelity: str = "event"
    delivery: str = "multicast"
    repeats: int = 1


@dataclass(frozen=True)
class Row:
    """What a run did; ``effort`` is what was predicted of it and then found.

    ``process_seconds`` are from the start of Python to the first costs, ``cost_seconds`` processor time of the fastest
    cost alone.
    """

    run: Run
    cores: int
    microbatches: int
    effort: Effort
    process_seconds: float
    cost_seconds: float
    peak_mib: float


RULES = ("bp", "bp-mirrored", "fa", "dfa", "ssdfa")
EVENT = [Run("784-8x4096-10", rule, (64, 64), 256) for rule in RULES]
ANALYTIC = [Run("1000-1000x1000", rule, (1000, 1000), 200, "analytic") for rule in RULES]
SIZES = [
    ("784-256-256-10", (8, 8), 64),
    ("784-800-800-10", (16, 16), 200),
    ("784-800-800-10", (32, 32), 200),
    ("784-8x1024-10", (32, 32), 256),
    ("784-2x4096-10", (48, 48), 256),
    ("784-8x4096-10", (64, 64), 256),
]
GROWTH = [Run(network, rule, grid, batch, repeats=2) for network, grid, batch in SIZES for rule in RULES]
GROWTH += [Run("784-800-800-10", "fa", (32, 32), 200, delivery="unicast", repeats=2)]


def chip(run: Run) -> ns.Chip:
    """mesh1024, whose neuron memories are of 64 KiB, with more or fewer cores."""
    base = ns.load_chip("mesh1024")
    sources = base.sources | {"grid": "assumed: as many cores as this benchmark asks for"}
    return ns.Chip(
        **(base.model_dump() | {"name": f"mesh{run.grid[0] * run.grid[1]}", "grid": run.grid, "sources": sources})
    )


def take(run: Run, started: float) -> Row:
    """Cost a run in a process that was ``started`` for it, and check that it did what was predicted."""
    process_seconds, cost_seconds = [], []
    for _ in range(run.repeats):
        before = time.process_time()
        costs = ns.cost(
            run.network,
            rule=run.rule,
            chip=chip(run),
            batch_size=run.batch_size,
            optimizer="sgd",
            fidelity=run.fidelity,  # type: ignore[arg-type]
            delivery=run.delivery,
        )
        cost_seconds.append(time.process_time() - before)
        process_seconds.append(time.time() - started)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    effort = ns.predict_effort(costs.network, costs.rule, costs.placement, costs.recipe)
    if costs.trace is not None:
        assert effort.crossings == sum(line.crossings for line in costs.trace.timelines)
        assert effort.tasks == sum(len(line.task) for line in costs.trace.timelines)
    assert costs.counts["bit_hops"] > 0
    microbatches = -(-run.batch_size // costs.placement.microbatch)
    return Row(run, costs.chip.cores, microbatches, effort, process_seconds[0], min(cost_seconds), peak_mib)


def measure(run: Run) -> Row:
    """Start a process, and let it take the run."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as executor:
        return executor.submit(take, run, time.time()).result()


def table(runs: Sequence[Run]) -> list[Row]:
    """Measure runs one after the other and print a row of each."""
    print(
        "network         rule        delivery     cores   M    tasks     crossings process_s  cost_s predicted_s   MiB"
    )
    rows = []
    for run in runs:
        row = measure(run)
        rows.append(row)
        predicted = f"{row.effort.seconds:.2f}" if run.fidelity == "event" else "-"
        print(
            f"{run.network:15} {run.rule:11} {run.delivery:9} {row.cores:8} {row.microbatches:3} {row.effort.tasks:8} "
            f"{row.effort.crossings:13} {row.process_seconds:9.2f} {row.cost_seconds:7.2f} {predicted:>11} "
            f"{row.peak_mib:5.0f}",
            flush=True,
        )
    return rows


def event() -> None:
    """A training step on 4096 cores, simulated."""
    table(EVENT)


def analytic() -> None:
    """A training step on a million cores, in closed form; tasks and crossings are those that nobody simulates."""
    table(ANALYTIC)


def growth() -> None:
    """How simulated time grows with crossings, and the constants that predict it."""
    rows = table(GROWTH)
    for least in (0, 10**6):
        for rule in (*RULES, "all"):
            chosen = [row for row in rows if rule in ("all", row.run.rule) and row.effort.crossings >= least]
            print(f"time ~ crossings^{exponent(chosen):.2f}: {rule}, {len(chosen)} runs of {least} crossings or more")
    efforts = [(1, row.effort.tasks, row.effort.messages, row.effort.crossings) for row in rows]
    share = np.array(efforts) / np.array([[row.cost_seconds] for row in rows])
    constants = np.linalg.lstsq(share, np.ones(len(rows)), rcond=None)[0]  # least squares of relative errors
    print("start {:.3f} s, a task {:.2g} s, a message {:.2g} s, a crossing {:.2g} s".format(*constants))
    for who, ratios in (
        ("with these", share @ constants),
        ("by neurosim", np.array([row.effort.seconds / row.cost_seconds for row in rows])),
    ):
        print(f"predicted {who} / measured: {ratios.min():.2f} to {ratios.max():.2f}")


def exponent(rows: Sequence[Row]) -> float:
    """Return the slope of log seconds against log crossings."""
    logs = np.log([[row.effort.crossings, row.cost_seconds] for row in rows])
    return float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0])


SWEEP = {
    "network": "784-800-800-10",
    "rules": ["bp", "fa", "dfa", "ssdfa"],
    "cores": [49, 64, 81, 100, 121],
    "axes": {"batch_size": list(range(100, 200, 10))},
    "von_neumann": False,
}
LOOPS = 200


@numba.njit(cache=True)
def spin(turns: int) -> int:
    """Compute something that needs no memory, for about as long as a point of the sweep takes."""
    state = 1
    for _ in range(turns):
        state = (state * 1103515245 + 12345) % 2147483648
    return state


def sweep() -> None:
    """A 200-point cost sweep in one process and in two, in turn with a Numba loop in as many."""
    spent: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], object]) -> object:
        started = time.perf_counter()
        result = work()
        spent.setdefault(name, []).append(time.perf_counter() - started)
        return result

    def swept(processes: int) -> object:
        table = ns.sweep(**SWEEP, processes=processes).table  # type: ignore[arg-type]
        assert (table["status"] == "ok").all()
        assert len(table) == LOOPS
        return table.drop(columns="wall_seconds").to_json()

    turns = _turns(swept)
    for _ in range(3):
        assert timed("sweep 1", lambda: swept(1)) == timed("sweep 2", lambda: swept(2))
        assert timed("loop 1", lambda: [spin(turns) for _ in range(LOOPS)]) == timed("loop 2", lambda: looped(turns))
    medians = {name: float(np.median(seconds)) for name, seconds in spent.items()}
    gains = {what: medians[f"{what} 1"] / medians[f"{what} 2"] for what in ("sweep", "loop")}
    print(", ".join(f"{name} {seconds:.2f} s" for name, seconds in medians.items()))
    print(f"two processes gain {gains['sweep']:.2f} (sweep) and {gains['loop']:.2f} (loop): ", end="")
    print(f"ratio {gains['sweep'] / gains['loop']:.2f}")


def _turns(swept: Callable[[int], object]) -> int:
    """Return the turns of the loop that take as long as a point of the sweep."""
    swept(1)
    spin(1)
    started = time.perf_counter()
    swept(1)
    point_seconds = (time.perf_counter() - started) / LOOPS
    started = time.perf_counter()
    spin(10**8)
    return round(10**8 * point_seconds / (time.perf_counter() - started))


def looped(turns: int) -> list[int]:
    """Run the loop in two fresh processes, as many times as the sweep has points."""
    with loky.ProcessPoolExecutor(2) as pool:
        return list(pool.map(spin, [turns] * LOOPS))


PARTS: dict[str, Callable[[], None]] = {"event": event, "analytic": analytic, "growth": growth, "sweep": sweep}


def main() -> None:
    """Run the parts that are asked for, after one small run that compiles the kernels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)} (default: all)")
    parts = parser.parse_args().parts or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    measure(Run("784-100-10", "dfa", (8, 8), 64))
    for part in parts:
        print(f"\n{part}: {PARTS[part].__doc__}")
        PARTS[part]()


if __name__ == "__main__":
    main()
