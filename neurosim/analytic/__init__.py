"""In closed form: the counts of a step, a lower bound of its makespan, and the effort of simulating it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from neurosim.analytic.bound import Bound, bound_run
from neurosim.analytic.counts import count_step
from neurosim.analytic.effort import LONG_SECONDS, Effort, predict_effort
from neurosim.analytic.flows import flows
from neurosim.analytic.new_weights import count_new_weights
from neurosim.networks import Network
from neurosim.placement import Placement
from neurosim.recipes import Recipe
from neurosim.rules import Rule
from neurosim.schedules import check_countable, microbatch_times
from neurosim.schedules.layout import Layout
from neurosim.trace import CountTable

__all__ = ["LONG_SECONDS", "Analysis", "Bound", "Effort", "analyse", "bound_run", "count_step", "predict_effort"]


@dataclass(frozen=True)
class Analysis:
    """Counts and bound of a run of ``samples`` samples on a chip of this ``structure``.

    ``new_weights`` is the part of the counts that keeps mirrors up to date. Where a makespan is asked for, the bound
    stands for it.
    """

    counts: CountTable
    new_weights: CountTable
    bound: Bound
    samples: int
    barriers: int
    cores: int
    cores_used: int
    outputs: int
    argmax_bits: int
    structure: dict[str, str]

    @property
    def makespan_cycles(self) -> int:
        """The bound: no closed form knows how long tasks and messages wait for each other."""
        return self.bound.bound_cycles


def analyse(
    network: Network,
    rule: Rule,
    placement: Placement,
    recipe: Recipe,
    *,
    samples: int | None = None,
    forward_only: bool = False,
) -> Analysis:
    """Return the counts of an epoch of ``samples`` samples, or of one step, in closed form, and their bound."""
    layout = Layout(network, rule, placement, recipe, forward_only)
    check_countable(layout, recipe.batch_size)
    total = recipe.batch_size if samples is None else samples
    full, short = divmod(total, recipe.batch_size)
    steps = [(recipe.batch_size, full), (short, 1)]
    traffic = list(flows(layout, layout.grid))
    tables = [count_step(layout, size, traffic).scaled(times) for size, times in steps if size and times]
    microbatches = microbatch_times(placement.microbatch, recipe.batch_size, total)
    return Analysis(
        counts=reduce(CountTable.plus, tables),
        new_weights=count_new_weights(layout).scaled(full + bool(short)),
        bound=bound_run(layout, microbatches, traffic),
        samples=total,
        barriers=0 if recipe.overlap == "exact" else sum(microbatches.values()),
        cores=placement.chip.cores,
        cores_used=placement.cores_used,
        outputs=layout.outputs,
        argmax_bits=network.argmax_bits,
        structure=placement.chip.structure,
    )
