"""Figures of what bounds a chip: what its memories hold, what its cores wait for, and the critical path."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from neurosim.counts import PHASES
from neurosim.reports.results import Results
from neurosim.reports.style import (
    BLUE,
    GREEN,
    GREY,
    NARROW,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    YELLOW,
    Look,
    foot,
    looks_of,
    new_figure,
    part_handles,
    present,
    rows_height,
    rule_axis,
    si_axis,
    spoken,
    stacked,
    title,
)
from neurosim.reports.work import draw_shares

_STORED_LOOKS = {
    "weights": Look(BLUE),
    "gradient_accumulators": Look(ORANGE, hatch="///"),
    "optimizer_state": Look(YELLOW, hatch="..."),
    "feedback": Look(VERMILLION),
    "mirror": Look(PURPLE, hatch="xxx"),
    "biases": Look(GREY),
    "copies": Look(BLUE, hatch="xxx"),
    "activations_and_errors": Look(SKY, hatch="\\\\\\"),
}
_STATE_LOOKS = {
    "computing": Look(BLUE),
    "memory": Look(ORANGE, hatch="///"),
    "network": Look(GREEN, hatch="xxx"),
    "dependency": Look(VERMILLION, hatch="..."),
    "idle": Look(GREY),
}
_RESOURCE_LOOKS = {
    "macs": Look(BLUE),
    "elementwise": Look(ORANGE),
    "generate": Look(YELLOW),
    "neuron_memory": Look(SKY),
    "synapse_memory": Look(VERMILLION),
    "network": Look(GREEN),
    "channel": Look(PURPLE),
    "io": Look(GREY),
}
_PHASE_HATCHES = {"io": "", "forward": "", "error": "////", "update": "...."}


def draw_stored_bits(results: Results) -> Figure | None:
    """What the cores' memories hold for each rule."""
    names = results.named("stored_", "_bits")
    parts = {name: [results.of_step(rule, f"stored_{name}_bits") for rule in results.rules] for name in names}
    if not names:
        return None
    looks = looks_of(names, _STORED_LOOKS)
    figure = new_figure(NARROW, rows_height(len(results.rules), more=2.1))
    ax = figure.subplots()
    stacked(ax, results.rules, parts, looks)
    ax.set_xlabel("memory used, all cores together (bits)")
    si_axis(ax.xaxis)
    foot(figure, part_handles(present(names, [parts]), looks), columns=4)
    title(figure, "Memory by what it holds", results)
    return figure


def draw_core_states(results: Results) -> Figure | None:
    """What the cores did with their cycles, as shares of all cores' cycles until the end of the step."""
    names = results.named("core_", "_cycles")
    if not names:
        return None
    parts = {name: [results.of_step(rule, f"core_{name}_cycles") for rule in results.rules] for name in names}
    looks = looks_of(names, _STATE_LOOKS)
    figure = new_figure(NARROW, rows_height(len(results.rules), more=2.1))
    ax = figure.subplots()
    draw_shares(ax, results.rules, parts, looks)
    ax.set_xlabel("share of the cycles of all cores (%)")
    note = (
        "Computing; held up by a memory; waiting for a message; waiting for a task elsewhere to end; "
        "idle: nothing left to do, or no part of the network."
    )
    foot(figure, part_handles(present(names, [parts]), looks), note=note)
    title(figure, "What bound the cores", results)
    return figure


def draw_critical_path(results: Results) -> Figure | None:
    """The chain of tasks and messages that made the step last as long as it did, by phase and resource."""
    names = results.named("critical_path_", "_cycles")
    if not names:
        return None
    resources = [name for name in (*_RESOURCE_LOOKS, *names) if name in names]
    base = looks_of(list(dict.fromkeys(resources)), _RESOURCE_LOOKS)
    looks = {f"{p} {r}": Look(look.colour, hatch=_PHASE_HATCHES[p]) for p in PHASES for r, look in base.items()}
    parts = {
        f"{phase} {name}": [
            results.of_step(rule, f"critical_path_{name}_cycles", phase=phase) for rule in results.rules
        ]
        for phase in ("io", "forward", "error", "update")
        for name in base
    }
    figure = new_figure(NARROW, rows_height(len(results.rules), more=2.3))
    ax = figure.subplots()
    stacked(ax, results.rules, parts, looks)
    ax.set_xlabel("critical path of a step (cycles)")
    si_axis(ax.xaxis)
    rule_axis(ax, results.rules)
    drawn = present(list(looks), [parts])
    handles = [Patch(facecolor=look.colour, label=spoken(r)) for r, look in base.items() if _any(drawn, r)]
    handles += [
        Patch(facecolor="white", edgecolor="#444444", hatch=_PHASE_HATCHES[p], label=f"{p} phase")
        for p in ("forward", "error", "update")
        if any(name.startswith(p) for name in drawn)
    ]
    foot(figure, handles, columns=4)
    title(figure, "The critical path: colour for the resource, hatch for the phase", results)
    return figure


def _any(drawn: list[str], resource: str) -> bool:
    return any(name.split(" ", 1)[1] == resource for name in drawn)
