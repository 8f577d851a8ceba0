"""The counts of a step in closed form, and a lower bound of its makespan; neither simulates anything."""

from __future__ import annotations

from dataclasses import dataclass

from neurosim.analytic.bound import Bound, bound_step
from neurosim.analytic.counts import count_step
from neurosim.networks import Network
from neurosim.placement import Placement
from neurosim.recipes import Recipe
from neurosim.rules import Rule
from neurosim.schedules.layout import Layout
from neurosim.trace import CountTable

__all__ = ["Analysis", "Bound", "analyse", "bound_step", "count_step"]


@dataclass(frozen=True)
class Analysis:
    """Counts and bound of one step of ``samples`` samples in ``microbatches`` microbatches."""

    counts: CountTable
    bound: Bound
    samples: int
    microbatches: int


def analyse(
    network: Network,
    rule: Rule,
    placement: Placement,
    recipe: Recipe,
    *,
    batch_size: int | None = None,
    forward_only: bool = False,
) -> Analysis:
    """Return the counts of a step (default: of the recipe's batch) in closed form, and its bound."""
    layout = Layout(network, rule, placement, recipe, forward_only)
    samples = recipe.batch_size if batch_size is None else batch_size
    microbatches = -(-samples // placement.microbatch)
    return Analysis(count_step(layout, samples), bound_step(layout, samples), samples, microbatches)
