"""``neurosim cost``: counts, cycles and energy of a step, without data or training."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosim.cli import options as o

if TYPE_CHECKING:
    from neurosim.pipeline import Costs


def show_cost(
    network: o.NetworkOption = "",
    rule: o.RuleOption = "",
    rules: Annotated[str, typer.Option("--rules", metavar="RULES", help="With --sensitivity: joined by commas.")] = "",
    chip: o.ChipOption = "mesh64",
    per: Annotated[str, typer.Option("--per", metavar="WHAT", help="sample, step or epoch.")] = "step",
    samples: Annotated[int | None, typer.Option("--samples", metavar="N", help="Samples of an epoch (60000).")] = None,
    phases: Annotated[str, typer.Option("--phases", metavar="WHICH", help="all, or forward (inference).")] = "all",
    fidelity: Annotated[str, typer.Option("--fidelity", metavar="LEVEL", help="event, flit or analytic.")] = "event",
    batch_size: o.BatchSizeOption = None,
    optimizer: o.OptimizerOption = "",
    activation: o.ActivationOption = "",
    loss: o.LossOption = "",
    reduction: o.ReductionOption = "",
    init: o.InitOption = "",
    microbatch: o.MicrobatchOption = "",
    delivery: o.DeliveryOption = "",
    overlap: o.OverlapOption = "",
    seed: o.SeedOption = None,
    settings: o.SetOption = [],  # noqa: B006 - typer copies it
    sensitivity: Annotated[
        bool, typer.Option("--sensitivity", help="Vary what is assumed from half to double, and say what turns round.")
    ] = False,
    recount: Annotated[
        bool, typer.Option("--recount", help="With --sensitivity: also what counts and cycles hang on.")
    ] = False,
    exports: Annotated[
        list[str], typer.Option("--export", metavar="KIND:FILE", help="Write accelergy, booksim or noxim files.")
    ] = [],  # noqa: B006 - typer copies it
    json: o.JsonOption = False,
) -> None:
    """Say what a training step (a sample, an epoch) costs: counts, cycles, seconds, energy."""
    from neurosim.chips import load_chip
    from neurosim.cli.exports import read_exports, write_exports
    from neurosim.cli.output import print_json
    from neurosim.cli.sensitivity import check_together, show_sensitivity
    from neurosim.cli.waiting import announce_compilation, effort_announcer
    from neurosim.errors import DescriptionError
    from neurosim.rules import load_rule
    from neurosim.settings import check_rule_names

    if phases not in ("all", "forward"):
        raise DescriptionError(f"--phases {phases}: allowed are all and forward")
    if samples is not None and per != "epoch":
        raise DescriptionError(f"--samples {samples}: is the length of an epoch; add --per epoch")
    found = o.read_settings(
        settings,
        batch_size=batch_size,
        optimizer=optimizer,
        loss=loss,
        reduction=reduction,
        init=init,
        microbatch=microbatch,
        delivery=delivery,
        overlap=overlap,
        seed=seed,
    )
    check_together(sensitivity=sensitivity, recount=recount, rule=rule, rules=rules, exports=exports)
    files = read_exports(exports, per)
    built = o.make_network(network, activation, found)
    machine = found.chip(load_chip(chip))
    recipe = o.make_recipe(found)
    counted: dict[str, Any] = {
        "per": per, "samples": samples, "fidelity": fidelity, "forward_only": phases == "forward",
    }  # fmt: skip
    if sensitivity:
        show_sensitivity(found, (built, rules, machine, recipe), counted | {"recount": recount}, json=json)
        return
    chosen = found.rule(load_rule(rule or "bp"))
    check_rule_names(found, [chosen.name])
    recipe = recipe.model_copy(update=found.recipe_of_rule(chosen.name, recipe))
    if fidelity in ("event", "flit"):
        announce_compilation()
    from neurosim.pipeline import cost

    costs = cost(
        built,
        rule=chosen,
        chip=machine,
        recipe=recipe,
        before_simulating=effort_announcer(),
        **counted,
    )
    if json:
        print_json(costs.as_dict())
    else:
        print_costs(costs)
    write_exports(costs, files)  # a tool may have no way to say it, and costs are shown all the same
    if not json:
        for text in exports:
            print("{} file: {}".format(*text.split(":", 1)))


def _shown(value: float, unit: str) -> str:
    """A count as text; a share of one (per sample) without an SI prefix, which would read as metres or thousandths."""
    from neurosim.units import human

    return f"{value:.3g}" if not unit and 0 < value < 1 else human(value, unit)


def print_costs(costs: Costs) -> None:
    """Print costs as two tables: by phase, and of the whole."""
    from neurosim.cli.output import print_table
    from neurosim.counts import COUNT_NAMES, PHASES
    from neurosim.units import human

    recipe, phases = costs.recipe, costs.phases
    total = costs.counts
    where = f"{costs.network.name} under {costs.rule.name} on {costs.chip.name}, per {costs.per}"
    how = f"batch {recipe.batch_size}, microbatch {costs.placement.microbatch}, cores {costs.placement.cores_per_layer}"
    title = f"{where}: {how}, {recipe.delivery}, overlap {recipe.overlap}"
    rows = []
    for name in COUNT_NAMES:
        if total[name]:
            unit = "bits" if name.endswith("_bits") else "bit_hops" if name.endswith("bit_hops") else ""
            rows.append((name, *(_shown(phases[phase][name], unit) for phase in PHASES), _shown(total[name], unit)))
    energy = [phases[phase]["energy_pj"]["total"] for phase in PHASES]
    rows.append(
        (
            "energy (without static)",
            *(human(pj * 1e-12, "joules") for pj in energy),
            human(sum(energy) * 1e-12, "joules"),
        )
    )
    print_table(title, ["", *PHASES, "total"], rows)
    if costs.chip.several_chips:
        print_borders(costs)
    whole = [(name, human(pj * 1e-12, "joules")) for name, pj in costs.energy_pj.items() if pj]
    print_table("Energy by component", ["component", "energy"], whole)
    cycles = "not simulated" if costs.makespan_cycles is None else f"{costs.makespan_cycles:,.0f}"
    time = f"{'at least ' if costs.trace is None else ''}{human(costs.seconds, 'seconds')}"
    print(f"makespan_cycles {cycles}, bound_cycles {costs.bound_cycles:,.0f}, time {time}")
    if costs.trace is not None:
        print(f"waiting_messages_most {costs.trace.waiting_messages_most:,.0f}")
    if costs.event_error_percent is not None:
        off = f"{costs.event_error_percent:+.3g} % against" if costs.event_error_percent else "the same as"
        print(f"makespan_cycles at the event level {costs.event_makespan_cycles:,.0f}: {off} the flit level's")
    unused = costs.chip.cores - costs.placement.cores_used
    if unused:
        print(f"{unused} of {costs.chip.cores} cores are not used")
    print(f"{len(costs.as_dict()['assumed'])} assumptions stand behind these numbers: --json lists them")
    sys.stdout.flush()


def print_borders(costs: Costs) -> None:
    """Print what moves within chips and what crosses from one to another, and what the crossing costs."""
    from neurosim.cli.output import print_table
    from neurosim.counts import PHASES
    from neurosim.units import human

    places = [costs.phases[phase] for phase in PHASES] + [{**costs.counts, "energy_pj": costs.energy_pj}]
    moved = [(place["bit_hops"], place["border_bit_hops"]) for place in places]
    energy = [place["energy_pj"] for place in places]
    rows = [
        ("bit_hops within chips", *(_shown(total - crossed, "bit_hops") for total, crossed in moved)),
        ("bit_hops between chips", *(_shown(crossed, "bit_hops") for _, crossed in moved)),
        ("share between chips", *(f"{100 * crossed / total:.1f} %" if total else "-" for total, crossed in moved)),
        ("energy of links within chips", *(human(part["link"] * 1e-12, "joules") for part in energy)),
        ("energy of links between chips", *(human(part["border"] * 1e-12, "joules") for part in energy)),
    ]
    across, down = costs.chip.chips
    print_table(f"Traffic of {across} x {down} chips", ["", *PHASES, "total"], rows)
