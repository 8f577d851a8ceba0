"""Figure of several chips: what each rule moves within chips and across their borders, and what the network costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neurosim.reports.results import Results
from neurosim.reports.style import (
    ORANGE,
    SKY,
    WIDE,
    Look,
    foot,
    new_figure,
    part_handles,
    rows_height,
    si_axis,
    stacked,
    title,
)
from neurosim.reports.work import COMPONENT_LOOKS

_WAY_LOOKS = {"within_chips": Look(SKY), "between_chips": Look(ORANGE, hatch="///")}
_NETWORK = ("router", "link", "border")
_NOTE = (
    "Whole step. Percent: the share that crosses from chip to chip, of the bit-hops and of the network's energy. Link: "
    "within chips; border: between them."
)


def draw_borders(results: Results) -> Figure | None:
    """Bit-hops within and between chips, and the energy of routers and both kinds of link, per sample and rule."""
    if not results.has_borders:
        return None
    rules = results.rules
    crossed = [results.of_sample(rule, "border_bit_hops") for rule in rules]
    within = [results.of_sample(rule, "bit_hops") - bits for rule, bits in zip(rules, crossed, strict=True)]
    joules = {part: [results.of_sample(rule, f"{part}_energy_pj") * 1e-12 for rule in rules] for part in _NETWORK}
    figure = new_figure(WIDE, rows_height(len(rules), more=1.9))
    moved, spent = figure.subplots(1, 2, sharey=True)
    _panel(moved, rules, {"within_chips": within, "between_chips": crossed}, _WAY_LOOKS)
    moved.set_xlabel("bits x links per sample (bit-hops)")
    si_axis(moved.xaxis)
    _panel(spent, rules, joules, COMPONENT_LOOKS)
    spent.set_xlabel("energy of the network per sample (J)")
    si_axis(spent.xaxis, "J")
    handles = part_handles(list(_WAY_LOOKS), _WAY_LOOKS) + part_handles(_NETWORK, COMPONENT_LOOKS)
    foot(figure, handles, note=_NOTE)
    title(figure, "What moves within chips and between them, and what the network costs", results)
    return figure


def _panel(ax: Axes, rules: Sequence[str], parts: Mapping[str, Sequence[float]], looks: Mapping[str, Look]) -> None:
    """Draw the parts of every rule, and behind each bar the share of the last part, which crosses."""
    stacked(ax, rules, parts, looks)
    totals = [sum(values) for values in zip(*parts.values(), strict=True)]
    crossing = list(parts.values())[-1]
    for row, (part, total) in enumerate(zip(crossing, totals, strict=True)):
        if total > 0:
            ax.annotate(
                f"{100 * part / total:.1f} %", (total, row), xytext=(4, 0), textcoords="offset points", va="center",
                fontsize=8,
            )  # fmt: skip
    ax.set_xlim(0, max(totals) * 1.16)
