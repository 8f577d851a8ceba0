"""How much a simulation has to do, in closed form, and about how long that takes: known before it begins."""

from __future__ import annotations

from dataclasses import dataclass

from neurosim.analytic.flows import flows
from neurosim.analytic.traffic import flow_crossings
from neurosim.networks import Network
from neurosim.placement import Placement
from neurosim.recipes import Recipe
from neurosim.rules import Rule
from neurosim.schedules import LONGEST_PERIOD, MOST_STEPS, microbatch_slots, microbatch_times, step_microbatches
from neurosim.schedules.layout import Layout
from neurosim.schedules.tasks import task_groups

START_SECONDS = 0.015
TASK_SECONDS = 11e-6
MESSAGE_SECONDS = 1.0e-6
CROSSING_SECONDS = 0.05e-6
FLIT_SECONDS = 0.12e-6
"""Fitted to runs of 4 thousand to 200 million crossings; which, when and on what stands in benchmarks/README.md."""

LONG_SECONDS = 60.0
"""Simulations that are predicted to take longer are announced before they begin."""


@dataclass(frozen=True)
class Effort:
    """What a simulation goes through.

    ``tasks`` that are run, ``messages`` of one microbatch, which are made before anything moves, and ``crossings``,
    each one link granted to one message; at the flit level also ``flits``, each one through one router. Where
    ``repeats``, all are an upper estimate: microbatches overlap, and an epoch is simulated until its steps repeat,
    which they do within MOST_STEPS or it is simulated whole.
    """

    tasks: int
    messages: int
    crossings: int
    repeats: bool
    flits: int = 0

    @property
    def seconds(self) -> float:
        """About how long it takes, kernels compiled, on a machine like the one measured: right to a factor of two."""
        work = self.tasks * TASK_SECONDS + self.messages * MESSAGE_SECONDS
        return START_SECONDS + work + self.crossings * CROSSING_SECONDS + self.flits * FLIT_SECONDS


def predict_effort(
    network: Network,
    rule: Rule,
    placement: Placement,
    recipe: Recipe,
    *,
    samples: int | None = None,
    forward_only: bool = False,
    flit_routers: int = 0,
) -> Effort:
    """Return what simulating an epoch of ``samples`` samples, or one step, takes: exactly, where nothing overlaps.

    Without overlap each distinct microbatch is simulated once, at most four of them, whatever ``samples`` is. For the
    flit level, ``flit_routers`` is that count of all samples; it simulates a share, as if microbatches had equal ones.
    """
    layout = Layout(network, rule, placement, recipe, forward_only)
    messages = every = last = 0  # crossings of each microbatch, and of a step's last one besides
    for flow in flows(layout, layout.grid):
        sent, crossings = flow_crossings(layout.grid, flow)
        messages += sent
        every += 0 if flow.payload.once else crossings
        last += crossings if flow.payload.once else 0
    total = recipe.batch_size if samples is None else samples
    every_one = sum(microbatch_times(placement.microbatch, recipe.batch_size, total).values())
    if recipe.overlap == "exact" and flit_routers:  # what overlaps hardly ever repeats there
        microbatches, ends = every_one, -(-total // recipe.batch_size)
    else:
        microbatches, ends = _simulated(layout, total)
    return Effort(
        tasks=microbatches * sum(group.count for group in task_groups(layout)),
        messages=messages,
        crossings=microbatches * every + ends * last,
        repeats=recipe.overlap == "exact",
        flits=flit_routers * microbatches // every_one,
    )


def _simulated(layout: Layout, samples: int) -> tuple[int, int]:
    """Return how many microbatches are simulated, and how many of them end a step."""
    size, batch = layout.placement.microbatch, layout.recipe.batch_size
    if layout.recipe.overlap == "none":
        distinct = microbatch_times(size, batch, samples)
        return len(distinct), sum(each.last for each in distinct)
    full, short = divmod(samples, batch)
    each, rest = len(step_microbatches(size, batch)), -(-short // size)
    # What repeats is found at the start of a step. Then come the steps that the simulation can see ahead, and what is
    # left when whole periods have been taken out of the others.
    ahead = -(-microbatch_slots(layout.recipe) // each) + 1
    steps = min(full, MOST_STEPS - 1 + ahead + LONGEST_PERIOD - 1)
    return steps * each + rest, steps + bool(short)
