"""Figures of work and energy: MACs, memory accesses by kind, and energy by component, by phase and rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neurosim.counts import MEMORY_ACCESS_COUNTS, PHASES
from neurosim.reports.results import Machine, Results
from neurosim.reports.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    NARROW,
    ORANGE,
    PHASE_LOOKS,
    PURPLE,
    SKY,
    VERMILLION,
    WIDE,
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
    stacked,
    title,
)
from neurosim.reports.transports import has_transport

_ACCESS_COLOURS = {
    "neuron": SKY,
    "synapse": BLUE,
    "gradient": ORANGE,
    "optimizer": YELLOW,
    "feedback": VERMILLION,
    "feedback_index": GREEN,
    "mirror": PURPLE,
}
_ACCESS_LOOKS = {
    name: Look(_ACCESS_COLOURS[name.rpartition("_")[0]], hatch="" if name.endswith("reads") else "////")
    for name in MEMORY_ACCESS_COUNTS
}
COMPONENT_LOOKS = {
    "mac": Look(VERMILLION),
    "elementwise": Look(ORANGE, hatch="///"),
    "generate": Look(YELLOW, hatch="..."),
    "neuron_memory": Look(SKY),
    "synapse_memory": Look(BLUE, hatch="..."),
    "link": Look(GREEN),
    "border": Look(GREEN, hatch="///"),
    "router": Look(GREEN, hatch="xxx"),
    "offchip": Look(PURPLE),
    "channel": Look(PURPLE, hatch="///"),
    "barrier": Look(BLACK, hatch="..."),
    "static": Look(GREY),
}
_WORK_PHASES = ("forward", "error", "update")

Parts = Mapping[str, Sequence[float]]


def draw_macs(results: Results) -> Figure | None:
    """Multiply-accumulates per sample, by phase and rule."""
    parts = {phase: [results.of_sample(rule, "macs", phase=phase) for rule in results.rules] for phase in PHASES}
    figure = new_figure(NARROW, rows_height(len(results.rules), more=1.9))
    ax = figure.subplots()
    stacked(ax, results.rules, parts, PHASE_LOOKS)
    ax.set_xlabel("multiply-accumulates per sample (MACs)")
    si_axis(ax.xaxis)
    foot(figure, part_handles(present(PHASES, [parts]), PHASE_LOOKS))
    title(figure, "MACs by phase", results)
    return figure


def draw_memory_accesses(results: Results) -> Figure | None:
    """Values read from and written to the cores' memories per sample, by kind, phase and rule."""

    def parts(phase: str | None) -> Parts:
        return {
            name: [results.of_sample(rule, name, phase=phase) for rule in results.rules]
            for name in MEMORY_ACCESS_COUNTS
        }

    panels = {"whole step": parts(None), **{f"{phase} phase": parts(phase) for phase in _WORK_PHASES}}
    note = "Each panel has an axis of its own. Whole step: with the arrival of inputs and labels."
    figure = _draw_panels(results, panels, _ACCESS_LOOKS, note)
    for ax in figure.axes:
        ax.set_xlabel("memory accesses per sample (values)")
        si_axis(ax.xaxis)
    title(figure, "Memory accesses by kind and phase", results)
    return figure


def draw_energy(results: Results) -> Figure | None:
    """Energy per sample by component, phase and rule."""
    panels = {
        "whole step": _joules(results, results.machine, None),
        **{f"{phase} phase": _joules(results, results.machine, phase) for phase in _WORK_PHASES},
    }
    note = (
        "Each panel has an axis of its own. Whole step: with static power, barriers and arriving inputs, which belong "
        "to no phase of work."
    )
    figure = _draw_panels(results, panels, looks_of(results.energy_components, COMPONENT_LOOKS), note)
    for ax in figure.axes:
        ax.set_xlabel("energy per sample (J)")
        si_axis(ax.xaxis, "J")
    title(figure, "Energy by component and phase", results)
    return figure


def _joules(results: Results, machine: Machine, phase: str | None) -> dict[str, list[float]]:
    return {
        name: [
            results.of_sample(rule, f"{name}_energy_pj", phase=phase, machine=machine) * 1e-12 for rule in results.rules
        ]
        for name in results.energy_components
    }


def _draw_panels(results: Results, panels: Mapping[str, Parts], looks: Mapping[str, Look], note: str) -> Figure:
    """Draw four panels of stacked bars with one legend."""
    figure = new_figure(WIDE, 2 * rows_height(len(results.rules), each=0.21) + 1.6)
    for ax, (name, parts) in zip(figure.subplots(2, 2, sharey=True).flat, panels.items(), strict=True):
        stacked(ax, results.rules, parts, looks)
        ax.set_title(name)
    mirrored = [rule for rule in results.rules if has_transport(results, rule)]
    if mirrored:
        note += f" The new weights of {', '.join(mirrored)} are sent in the update phase."
    foot(figure, part_handles(present(list(looks), panels.values()), looks), columns=6, note=note)
    return figure


def draw_machines(results: Results) -> Figure | None:
    """Where the energy goes on the run's chip and on the other machines, per sample and as shares."""
    if len(results.compared) < 2:
        return None
    looks = looks_of(results.energy_components, COMPONENT_LOOKS)
    panels = {machine[0]: _joules(results, machine, None) for machine in results.compared}
    figure = new_figure(max(WIDE, 4.5 * len(panels)), 2 * rows_height(len(results.rules), each=0.21) + 1.8)
    axes = figure.subplots(2, len(panels), sharey=True, squeeze=False)
    most = max(sum(_column(parts, n)) for parts in panels.values() for n in range(len(results.rules)))
    for column, (name, parts) in enumerate(panels.items()):
        absolute, shares = axes[0][column], axes[1][column]
        stacked(absolute, results.rules, parts, looks)
        absolute.set_xlim(0, most * 1.04 if most > 0 else 1)
        absolute.set_title(name)
        absolute.set_xlabel("energy per sample (J)")
        si_axis(absolute.xaxis, "J")
        draw_shares(shares, results.rules, parts, looks)
        shares.set_title(f"{name}, shares")
        shares.set_xlabel("share of the energy (%)")
    note = "Above, one axis for all machines."
    foot(figure, part_handles(present(list(looks), panels.values()), looks), columns=6, note=note)
    title(figure, f"Where the energy goes: {', '.join(panels)}", results)
    return figure


def draw_shares(ax: Axes, rules: Sequence[str], parts: Parts, looks: Mapping[str, Look]) -> None:
    """Draw the parts of every rule as percent of their sum."""
    whole = [sum(_column(parts, n)) for n in range(len(rules))]
    shares = {
        name: [100 * value / total if total > 0 else 0.0 for value, total in zip(values, whole, strict=True)]
        for name, values in parts.items()
    }
    stacked(ax, rules, shares, looks)
    ax.set_xlim(0, 100)
    rule_axis(ax, rules)


def _column(parts: Parts, number: int) -> list[float]:
    return [values[number] for values in parts.values() if values[number] == values[number]]
