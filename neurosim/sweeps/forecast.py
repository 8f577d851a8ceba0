"""Which points of a sweep will take long to simulate: known in closed form, before anything runs."""

from __future__ import annotations

from collections.abc import Sequence

from neurosim.analytic import LONG_SECONDS, Effort, predict_effort
from neurosim.errors import NeurosimError
from neurosim.schedules import MOST_STEPS
from neurosim.sweeps.measure import place_point
from neurosim.sweeps.points import Job, Point


def long_points(jobs: Sequence[Job]) -> list[tuple[Point, Effort]]:
    """Return the points whose simulation is predicted to take more than a minute, the longest first.

    Only points that could take so long by their sizes alone are placed and counted.
    """
    found = []
    for job in jobs:
        if job.trains or job.point.fidelity != "event" or _at_most(job.point) < LONG_SECONDS:
            continue
        try:
            effort = _effort(job.point)
        except NeurosimError:
            continue  # it will not be simulated, and its row says why
        if effort.seconds > LONG_SECONDS:
            found.append((job.point, effort))
    return sorted(found, key=lambda one: -one[1].seconds)


def _effort(point: Point) -> Effort:
    samples = None if point.per != "epoch" else point.samples
    return predict_effort(point.network, point.rule, place_point(point), point.recipe, samples=samples)


def _at_most(point: Point) -> float:
    """Seconds that simulating a point can take at the most, generously, from its sizes alone.

    A few messages between any two cores, and some of each core for every layer and output, each along two sides of the
    grid.
    """
    chip, recipe = point.chip, point.recipe
    microbatches = 4 if recipe.overlap == "none" else 2 * MOST_STEPS * recipe.batch_size
    pairs = 3 * chip.cores**2 + chip.cores * (8 * point.network.depth + point.network.widths[-1])
    tasks = 5 * point.network.depth * chip.cores * microbatches
    crossings = pairs * (chip.columns + chip.rows + 2) * microbatches
    return Effort(tasks=tasks, messages=pairs, crossings=crossings, repeats=False).seconds
