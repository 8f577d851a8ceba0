"""run_job(): what a point costs, as a flat row. A point is a pure function of its description."""

from __future__ import annotations

import math
import time
from typing import Any

from neurosim.costs import memory_accesses
from neurosim.counts import PHASES
from neurosim.datasets import Dataset, Preparation, prepare
from neurosim.errors import NeurosimError, PlacementError
from neurosim.numerics import Memories
from neurosim.pipeline import Costs, cost_placed
from neurosim.placement import Placement, place_together
from neurosim.recipes import check_recipe
from neurosim.rules import check_rule
from neurosim.sweeps.description import Learning
from neurosim.sweeps.points import Job, Point
from neurosim.training import EpochCost, epoch_cost, run_training, spent_after

OK, UNFIT, REFUSED, FAILED, LOST = "ok", "does not fit", "refused", "failed", "lost"
STATUSES = (OK, UNFIT, REFUSED, FAILED, LOST)
"""What became of a point: measured; too large for its chip; a combination that neurosim refuses; ended by an error
that is none of the user's; ended with the process that computed it."""

RESOURCES_OF_BOUND = {
    "compute": ("macs", "elementwise", "generate"),
    "memory": ("neuron_memory", "synapse_memory", "channel"),
    "network": ("network", "dependency"),
}
"""What may bind a makespan -> the resources of the critical path that count as it; the rest is its serial part."""


def run_job(job: Job, data_dir: str | None = None) -> dict[str, Any]:
    """Return the row of a job: ``status``, ``error``, ``wall_seconds``, and where it ended well all that it measured.

    ``data_dir`` is where its data set lies. No error leaves this function: it is the row's.
    """
    started = time.perf_counter()
    row: dict[str, Any] = {}
    status, error = OK, ""
    try:
        row = measure_learning(job.point, data_dir) if job.trains else measure_costs(job.point)
    except PlacementError as problem:
        status, error = UNFIT, str(problem)
    except NeurosimError as problem:
        status, error = REFUSED, str(problem)
    except Exception as problem:  # whatever it is, the other points go on
        status, error = FAILED, f"{type(problem).__name__}: {problem}".strip()
    return {"status": status, "error": error, "wall_seconds": time.perf_counter() - started, **row}


def place_point(point: Point) -> Placement:
    """Return the placement of a point, shared with the rules beside it.

    Raises:
        NeurosimError: the combination is refused, or does not fit.
    """
    check_rule(point.network, point.rule, point.recipe)
    check_recipe(point.recipe, point.chip)
    placed = place_together(point.network, point.beside, point.chip, point.recipe)
    return placed[point.beside.index(point.rule)]


def measure_costs(point: Point) -> dict[str, Any]:
    """Return what a point costs, as a flat row; where it is trained, an epoch too.

    Raises:
        NeurosimError: the combination is refused, or does not fit.
    """
    placement = place_point(point)
    network, rule, recipe = point.network, point.rule, point.recipe
    costs = cost_placed(
        network,
        rule,
        placement,
        recipe,
        per=point.per,  # type: ignore[arg-type] # checked by the sweep
        samples=point.samples,
        fidelity=point.fidelity,  # type: ignore[arg-type]
    )
    row = cost_row(costs)
    if point.train_samples is not None:
        epoch = epoch_cost(network, rule, placement, recipe, point.train_samples)
        spent = spent_after(recipe.epochs, epoch)
        row |= {f"training_{name}": value for name, value in spent.items()}
    return row


def measure_learning(point: Point, data_dir: str | None) -> dict[str, Any]:
    """Train a point, off any chip, and return its losses and accuracies after the last epoch.

    Raises:
        NeurosimError: the data are not there, or do not fit.
    """
    assert point.learning is not None
    data = prepared(point.learning, data_dir, point.recipe.seed)
    check_rule(point.network, point.rule, point.recipe)
    memories = Memories(point.network, point.rule, point.recipe)
    history = run_training(memories, data, EpochCost(0.0, 0.0, 0), measure_angles=False)
    last = history.iloc[-1]
    return {name: float(last[name]) for name in ("train_loss", "train_accuracy", "test_loss", "test_accuracy")}


def cost_row(costs: Costs) -> dict[str, Any]:
    """Return costs as one flat row: sizes, counts, cycles, energy by component and phase, memory, and what binds."""
    placement, recipe, phases = costs.placement, costs.recipe, costs.phases
    stored = costs.stored_bits
    row: dict[str, Any] = {
        "cores": costs.chip.cores,
        "cores_used": placement.cores_used,
        "cores_per_layer": "/".join(str(count) for count in placement.cores_per_layer),
        "weights": sum(shape.weights for shape in costs.network.shapes),
        "microbatch": placement.microbatch,
        "microbatches": math.ceil(recipe.batch_size / placement.microbatch),
        "makespan_cycles": costs.makespan_cycles,
        "bound_cycles": costs.bound_cycles,
        "seconds": costs.seconds,
        "energy_joules": costs.energy_joules,
        "memory_accesses": memory_accesses(costs.counts),
        **costs.counts,
        **{f"{name}_energy_pj": pj for name, pj in costs.energy_pj.items()},
    }
    for phase in PHASES:
        row |= {f"{phase}_{name}": phases[phase][name] for name in ("macs", "bit_hops", "payload_bits")}
        row[f"{phase}_energy_pj"] = phases[phase]["energy_pj"]["total"]
    row |= {f"stored_{name}_bits": bits for name, bits in stored.items()}
    row["stored_bits"] = sum(stored.values())
    row["core_memory_most_bytes"] = -(-int((placement.neuron_bits + placement.synapse_bits).max()) // 8)
    return row | _bound_row(costs)


def _bound_row(costs: Costs) -> dict[str, Any]:
    """Return what held the makespan up: shares of the critical path, or which part of the bound is the largest."""
    bound = costs.analysis.bound
    if costs.trace is None:
        parts = {
            "critical path": bound.critical_path_cycles,
            "busiest core": bound.busiest_core_cycles,
            "busiest link": bound.busiest_link_cycles,
        }
        return {"bound_by": max(parts, key=lambda name: parts[name])}
    shares = path_shares(costs.trace.critical_path, costs.trace.serial_path)
    return {
        "bound_by": max(shares, key=lambda name: shares[name]),
        **{f"path_{name}_share": share for name, share in shares.items()},
        **{f"core_{state}_cycles": cycles for state, cycles in costs.as_dict()["core_cycles"].items()},
        "waiting_messages_most": costs.trace.waiting_messages_most,
    }


def path_shares(path: dict[tuple[str, str], int], serial: dict[tuple[str, str], int]) -> dict[str, float]:
    """Return which fractions of the critical path are compute, memory, network, and serial.

    ``serial`` is the part of ``path`` (cycles by phase and resource) that more cores would not shorten: Amdahl's.
    """
    total = sum(path.values())
    left = {key: cycles - serial.get(key, 0) for key, cycles in path.items()}
    shares = {
        name: sum(cycles for (_, resource), cycles in left.items() if resource in resources) / total
        for name, resources in RESOURCES_OF_BOUND.items()
    }
    return shares | {"serial": sum(serial.values()) / total}


_PREPARED: dict[tuple[Learning, str | None, int], Dataset] = {}


def prepared(learning: Learning, data_dir: str | None, seed: int) -> Dataset:
    """Return a data set as the points of a sweep share it; each process reads it once.

    Raises:
        NeurosimError: it is absent, damaged, or cannot be prepared so.
    """
    key = learning, data_dir, seed
    if key not in _PREPARED:
        _PREPARED.clear()  # one at a time: a sweep of seeds would keep a copy for each
        fields = learning.model_dump(exclude={"dataset", "data_dir"})
        _PREPARED[key] = prepare(learning.dataset, data_dir, Preparation(**fields), seed)
    return _PREPARED[key]
