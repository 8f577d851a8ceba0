"""cost(): the whole way from descriptions to costs in one call, without data or training."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from neurosim.analytic import Analysis, Effort, analyse, predict_effort
from neurosim.arguments import checked_choice, checked_count
from neurosim.chips import Chip, assumed, load_chip
from neurosim.costs import PLACED_COMPONENTS, Prices, price
from neurosim.counts import COUNT_NAMES, MESSAGE_COUNTS, PHASES, WORK_COLUMNS
from neurosim.errors import DescriptionError, SimulationError, nearest_guess
from neurosim.networks import Network, load_network
from neurosim.placement import Placement, error_layers, place, stored_bits
from neurosim.recipes import Recipe, check_recipe
from neurosim.rules import Rule, check_rule, load_rule, values_needed
from neurosim.schedules import Plan, schedule
from neurosim.trace import CORE_STATES, TRAFFIC_COLUMNS, Trace

if TYPE_CHECKING:
    import pandas as pd

Per = Literal["sample", "step", "epoch"]
Fidelity = Literal["analytic", "event", "flit"]
SIMULATED_LEVELS: dict[Fidelity, tuple[Literal["event", "flit"], ...]] = {
    "analytic": (),
    "event": ("event",),
    "flit": ("event", "flit"),  # the one beside the other says how far the event level is off
}
DEFAULT_EPOCH_SAMPLES = 60000
MOST_SAMPLES = 10**12


@dataclass(frozen=True)
class Costs:
    """What a step or an epoch costs: counts, cycles, seconds and energy, per phase and layer.

    ``per`` "sample" divides a step by its samples. ``trace`` is None where only closed forms were asked for
    (``fidelity = "analytic"``): then seconds and static energy are those of the bound, and makespan_cycles is None.
    ``scheduled`` is the plan that was simulated, None where nothing was.
    ``event_trace`` is the event level's, beside a ``trace`` of the flit level (``fidelity = "flit"``).
    """

    network: Network
    rule: Rule
    chip: Chip
    recipe: Recipe
    placement: Placement
    per: Per
    analysis: Analysis
    trace: Trace | None
    prices: Prices
    forward_only: bool = False
    scheduled: Plan | None = field(default=None, repr=False)
    event_trace: Trace | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        what = f"{self.network.name} under {self.rule.name} on {self.chip.name}, per {self.per}"
        return (
            f"<Costs of {what}: {self.bound_cycles} cycles at least, {self.seconds:.3g} s, {self.energy_joules:.3g} J>"
        )

    @cached_property
    def plan(self) -> Plan:
        """The tasks, messages and edges of a step; made when it is first asked for where nothing was simulated."""
        if self.scheduled is not None:
            return self.scheduled
        return schedule(self.network, self.rule, self.placement, self.recipe, forward_only=self.forward_only)

    @property
    def divisor(self) -> int:
        """What every total is divided by: the samples of the step where costs are per sample."""
        return self.prices.samples if self.per == "sample" else 1

    @property
    def counts(self) -> dict[str, int | float]:
        """Every count by its name."""
        return self._scaled(self.prices.counts.counts())

    @property
    def makespan_cycles(self) -> int | float | None:
        """Simulated cycles; None where nothing was simulated."""
        return None if self.trace is None else self._share(self.trace.makespan_cycles)

    @property
    def fidelity(self) -> str:
        """The level of the times: analytic, event or flit."""
        return "analytic" if self.trace is None else self.trace.network

    @property
    def event_makespan_cycles(self) -> int | float | None:
        """Simulated cycles of the event level; None where nothing was simulated."""
        trace = self.trace if self.event_trace is None else self.event_trace
        return None if trace is None else self._share(trace.makespan_cycles)

    @property
    def event_error_percent(self) -> float | None:
        """By how much the event level's makespan is off from the flit level's; None where that was not simulated."""
        if self.trace is None or self.event_trace is None:
            return None
        return 100 * (self.event_trace.makespan_cycles / self.trace.makespan_cycles - 1)

    @property
    def bound_cycles(self) -> int | float:
        """max(critical path, busiest core, busiest link): no schedule on this placement is faster."""
        return self._share(self.analysis.bound.bound_cycles)

    @property
    def serial_path_cycles(self) -> int | float | None:
        """Cycles of the critical path that more cores would not shorten (Amdahl's part); None without simulation."""
        return None if self.trace is None else self._share(sum(self.trace.serial_path.values()))

    @property
    def seconds(self) -> float:
        """Seconds of the makespan (of the bound where nothing was simulated) at the chip's clock."""
        return self.prices.seconds / self.divisor

    @property
    def energy_pj(self) -> dict[str, float]:
        """Energy by component and in total, in pJ."""
        return {name: value / self.divisor for name, value in self.prices.energy_pj.items()}

    @property
    def energy_joules(self) -> float:
        """All energy, static power included."""
        return self.prices.energy_joules / self.divisor

    @property
    def phases(self) -> dict[str, dict[str, Any]]:
        """Counts and energy of every phase."""
        table = self.prices.counts
        return {
            phase: self._scaled(table.counts(table.phase_rows(phase)))
            | {"energy_pj": {k: v / self.divisor for k, v in self.prices.phase_energy_pj(phase).items()}}
            for phase in PHASES
        }

    @property
    def stored_bits(self) -> dict[str, int]:
        """Bits kept in all cores' memories, by what they are."""
        return stored_bits(self.network, self.rule, self.placement, self.recipe)

    @property
    def frame(self) -> pd.DataFrame:
        """All costs as a tidy table: rule, phase, layer, quantity, unit, value."""
        import pandas as pd

        columns = ["rule", "phase", "layer", "quantity", "unit", "value"]
        return pd.DataFrame([(self.rule.name, *row) for row in self._rows()], columns=columns)

    @property
    def labelled_frame(self) -> pd.DataFrame:
        """The tidy table with chip, delivery and per in front, and values_needed per hidden layer, as costs.csv has."""
        import pandas as pd

        computed = error_layers(self.network, self.rule)
        needed = {layer: n for layer, n in values_needed(self.network, self.rule).items() if computed[layer]}
        rows = [(self.rule.name, "error", layer, "values_needed", "count", value) for layer, value in needed.items()]
        frame = self.frame
        frame = pd.concat([frame, pd.DataFrame(rows, columns=frame.columns)], ignore_index=True)
        for name, value in (("per", self.per), ("delivery", self.recipe.delivery), ("chip", self.chip.name)):
            frame.insert(0, name, value)
        return frame

    def as_dict(self) -> dict[str, Any]:
        """Return what ``neurosim cost --json`` prints."""
        recipe = self.recipe
        return {
            "per": self.per,
            "network": self.network.name,
            "rule": self.rule.name,
            "chip": self.chip.name,
            "batch_size": recipe.batch_size,
            "samples": self.prices.samples,
            "fidelity": self.fidelity,
            "counts": self.counts,
            "phases": self.phases,
            "makespan_cycles": self.makespan_cycles,
            "event_makespan_cycles": self.event_makespan_cycles,
            "event_error_percent": self.event_error_percent,
            "bound_cycles": self.bound_cycles,
            "seconds": self.seconds,
            "energy_pj": self.energy_pj,
            "microbatch": self.placement.microbatch,
            "cores_per_layer": self.placement.cores_per_layer,
            "cores_unused": self.chip.cores - self.placement.cores_used,
            "delivery": recipe.delivery,
            "overlap": recipe.overlap,
            "stored_bits": self.stored_bits,
            "critical_path_cycles": self._critical_path(),
            "serial_path_cycles": self.serial_path_cycles,
            "core_cycles": self._core_states(),
            "waiting_messages_most": None if self.trace is None else self.trace.waiting_messages_most,
            "assumed": assumed(self.chip),
        }

    def _share(self, value: int) -> int | float:
        return value if self.divisor == 1 else value / self.divisor

    def _scaled(self, counts: dict[str, int]) -> dict[str, Any]:
        return {name: self._share(value) for name, value in counts.items()}

    def _critical_path(self) -> dict[str, dict[str, int | float]]:
        """Cycles of the critical path by phase and resource."""
        path: dict[str, dict[str, int | float]] = {}
        for (phase, resource), cycles in (self.trace.critical_path if self.trace else {}).items():
            path.setdefault(phase, {})[resource] = self._share(cycles)
        return path

    def _core_states(self) -> dict[str, int | float]:
        """Cycles of all cores together, by what they did with them."""
        if self.trace is None:
            return {}
        sums = self.trace.core_cycles.sum(axis=0)
        return {state: self._share(int(total)) for state, total in zip(CORE_STATES, sums, strict=True)}

    def _new_weight_rows(self) -> list[tuple[str, int, str, str, int | float]]:
        """What of each layer's update keeps mirrors of its weights up to date."""
        table, rows = self.analysis.new_weights, []
        priced = price(replace(self.analysis, counts=table), self.chip).placed_pj
        for number, (phase, layer) in enumerate(table.places):
            if phase == "update":
                for name in (*MESSAGE_COUNTS, "mirror_writes", "channel_bits"):
                    value = self._share(table.count(name, [number]))
                    rows.append((phase, layer, f"new_weights_{name}", _unit_of(name), value))
                rows.append((phase, layer, "new_weights_pj", "pJ", float(priced[number].sum()) / self.divisor))
        return rows

    def _rows(self) -> list[tuple[str, int, str, str, int | float]]:
        table, rows = self.prices.counts, []
        for number, (phase, layer) in enumerate(table.places):
            for name in COUNT_NAMES:
                rows.append((phase, layer, name, _unit_of(name), self._share(table.count(name, [number]))))
            for component, pj in zip(PLACED_COMPONENTS, self.prices.placed_pj[number], strict=True):
                rows.append((phase, layer, f"{component}_energy_pj", "pJ", float(pj) / self.divisor))
        rows += self._new_weight_rows() if self.rule.mirrored else []
        whole: list[tuple[str, str, Any]] = [
            ("bound_cycles", "cycle", self.bound_cycles),
            ("seconds", "s", self.seconds),
            *((f"{name}_energy_pj", "pJ", self.energy_pj[name]) for name in ("barrier", "static", "total")),
            *((f"stored_{name}_bits", "bit", bits) for name, bits in self.stored_bits.items()),
            *((f"core_{state}_cycles", "cycle", cycles) for state, cycles in self._core_states().items()),
        ]
        if self.trace is not None:
            whole.insert(0, ("makespan_cycles", "cycle", self.makespan_cycles))
            whole.append(("serial_path_cycles", "cycle", self.serial_path_cycles))
            whole.append(("waiting_messages_most", "count", self.trace.waiting_messages_most))
        if self.event_trace is not None:
            whole.insert(1, ("event_makespan_cycles", "cycle", self.event_makespan_cycles))
        rows += [("all", 0, name, unit, value) for name, unit, value in whole]
        for phase, resources in self._critical_path().items():
            rows += [(phase, 0, f"critical_path_{name}_cycles", "cycle", value) for name, value in resources.items()]
        return rows


def _unit_of(count: str) -> str:
    return "bit" if count.endswith(("_bits", "_hops")) and "flit" not in count else "count"


def cost(
    network: str | os.PathLike[str] | Network,
    *,
    rule: str | os.PathLike[str] | Rule = "bp",
    chip: str | os.PathLike[str] | Chip = "mesh64",
    recipe: Recipe | None = None,
    per: Per = "step",
    samples: int | None = None,
    fidelity: Fidelity = "event",
    forward_only: bool = False,
    before_simulating: Callable[[Effort], None] | None = None,
    **settings: Any,
) -> Costs:
    """Return what training ``network`` costs per sample, step or epoch.

    ``settings`` are fields of the recipe (``batch_size=200``, ``delivery="unicast"``). ``samples`` is the length of an
    epoch (default 60000). ``fidelity`` "event" simulates messages, "flit" also every flit in the routers' buffers;
    "analytic" takes counts and the bound in closed form. ``forward_only`` is inference on a network that is placed,
    with room, for training. ``before_simulating`` is told what an event simulation has to do before it begins.

    Raises:
        DescriptionError, PlacementError, SimulationError: what was asked for does not exist, fit or end.
    """
    _check_arguments(per, samples, fidelity)
    recipe = merge_recipe(recipe, settings)
    found, chosen = load_network(network), load_rule(rule)
    machine = load_chip(chip)
    check_rule(found, chosen, recipe)
    check_recipe(recipe, machine)
    return cost_placed(
        found,
        chosen,
        place(found, chosen, machine, recipe),
        recipe,
        per=per,
        samples=samples,
        fidelity=fidelity,
        forward_only=forward_only,
        before_simulating=before_simulating,
    )


def cost_placed(
    network: Network,
    rule: Rule,
    placement: Placement,
    recipe: Recipe,
    *,
    per: Per = "step",
    samples: int | None = None,
    fidelity: Fidelity = "event",
    forward_only: bool = False,
    log_rows: int | None = 0,
    before_simulating: Callable[[Effort], None] | None = None,
) -> Costs:
    """Return the costs of a network that has its place already (see ``cost``).

    ``log_rows`` is how many single deliveries the trace keeps of each simulated stretch, None for all.
    """
    _check_arguments(per, samples, fidelity)
    total = int(samples or DEFAULT_EPOCH_SAMPLES) if per == "epoch" else recipe.batch_size
    analysis = analyse(network, rule, placement, recipe, samples=total, forward_only=forward_only)
    plan, traces = None, []
    if SIMULATED_LEVELS[fidelity]:
        from neurosim.engine import simulate  # closed forms need neither SimPy nor a compiler

        if before_simulating is not None:
            what = (network, rule, placement, recipe)
            flits = analysis.counts.count("flit_routers") if fidelity == "flit" else 0
            before_simulating(predict_effort(*what, samples=total, forward_only=forward_only, flit_routers=flits))
        plan = schedule(network, rule, placement, recipe, forward_only=forward_only)
        for level in SIMULATED_LEVELS[fidelity]:
            traces.append(simulate(plan, placement.chip, samples=total, log_rows=log_rows, network=level))
            check_agreement(traces[-1], analysis)
    prices = price(traces[-1] if traces else analysis, placement.chip)
    described = (network, rule, placement.chip, recipe, placement, per)
    return Costs(
        *described,
        analysis,
        traces[-1] if traces else None,
        prices,
        forward_only=forward_only,
        scheduled=plan,
        event_trace=traces[0] if fidelity == "flit" else None,
    )


def check_agreement(trace: Trace, analysis: Analysis) -> None:
    """Hold the simulated counts against the closed forms: two ways to each number, or none is shown.

    Raises:
        SimulationError: they differ, which is an error of neurosim's.
    """
    columns = [" ".join(column).strip() for column in WORK_COLUMNS], TRAFFIC_COLUMNS
    for table, names in zip(("work", "traffic"), columns, strict=True):
        simulated, closed = getattr(trace.counts, table), getattr(analysis.counts, table)
        for row, column in np.argwhere(simulated != closed):
            phase, layer = trace.counts.places[row]
            raise SimulationError(
                f"{names[column]} of {phase}, layer {layer}: simulated {simulated[row, column]}, in closed form "
                f"{closed[row, column]}; please report this"
            )
    if trace.makespan_cycles < analysis.bound.bound_cycles:
        raise SimulationError(
            f"makespan_cycles: {trace.makespan_cycles} is below the bound {analysis.bound.bound_cycles}; "
            "please report this"
        )


def merge_recipe(recipe: Recipe | None, settings: dict[str, Any]) -> Recipe:
    """Return the recipe with some fields set, checked like a description."""
    known = Recipe.model_fields
    for name in settings:
        if name not in known:
            raise DescriptionError(f"recipe.{name}: no such setting{nearest_guess(name, known)}")
    return Recipe(**((recipe or Recipe()).model_dump(exclude_unset=True) | settings))


def _check_arguments(per: Any, samples: Any, fidelity: Any) -> None:
    checked_choice("per", per, get_args(Per))
    checked_choice("fidelity", fidelity, get_args(Fidelity))
    if samples is not None:
        checked_count("samples", samples, most=MOST_SAMPLES)
