"""Figures of the claims: ratios by definition, backward time against depth, makespan against cores."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from neurosim.reports.style import new_figure, rule_looks, settings

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000")


def draw_movement(ratios) -> Figure:
    """A point for every network: what BP moves over what SSDFA moves, a line for each definition."""
    rows = list(dict.fromkeys((definition, machine, variant) for _, machine, variant, definition, _ in ratios))
    networks = list(dict.fromkeys(network for network, *_ in ratios))
    marks = dict(zip(networks, "osD^v", strict=False))
    colours = dict(zip(networks, PALETTE, strict=False))
    with settings():
        figure = new_figure(9.5, 1.6 + 0.27 * len(rows))
        ax = figure.subplots()
        for number, network in enumerate(networks):
            apart = 0.13 * (number - (len(networks) - 1) / 2)  # or equal ones would hide each other
            found = {(d, m, v): ratio for name, m, v, d, ratio in ratios if name == network}
            ax.plot(
                [found[row] for row in rows], [place + apart for place in range(len(rows))], linestyle="",
                marker=marks[network], markersize=4.5,
                color=colours[network], alpha=0.85, label=network,
            )  # fmt: skip
        ax.set_xscale("log")
        for factor, style in ((1, "-"), (10, ":"), (100, "--")):
            ax.axvline(factor, color="#666666", linewidth=0.9, linestyle=style, zorder=0)
        ax.set_yticks(range(len(rows)), [f"{d}, {m}, BP {v}" for d, m, v in rows])
        ax.set_ylim(len(rows) - 0.4, -0.6)
        for place in range(0, len(rows), 2):
            ax.axhspan(place - 0.5, place + 0.5, color="#F3F3F3", zorder=-1)
        ax.set_xlabel('BP / SSDFA (line: 1; dotted: 10; dashed: 100, from where "orders of magnitude" holds)')
        figure.legend(loc="outside lower center", ncols=5)
        figure.suptitle("What BP moves for each bit that SSDFA moves", fontsize=10.5)
        figure.draw_without_rendering()
    return figure


def draw_grid(panels, networks, title) -> Figure:
    """Ratios by network in a grid of panels: ``panels`` is {(line, column): {series: ratios}}, lines and columns texts.

    Series of one name look alike in all panels; a line at 1 is where BP and SSDFA are equal. The scale is logarithmic
    where ratios span more than a factor of ten.
    """
    lines, columns = ([*dict.fromkeys(key[place] for key in panels)] for place in (0, 1))
    names = list(dict.fromkeys(name for series in panels.values() for name in series))
    looks = dict(zip(names, zip("osD^v", PALETTE, strict=True), strict=False))
    everything = [ratio for series in panels.values() for ratios in series.values() for ratio in ratios]
    scale = "log" if max(everything) > 10 * min(everything) else "linear"
    with settings():
        figure = new_figure(max(8.0, 1.0 + 2.5 * len(columns)), 1.7 + 2.5 * len(lines))
        axes = figure.subplots(len(lines), len(columns), sharex=True, sharey="row", squeeze=False)
        for (line, column), series in panels.items():
            ax = axes[lines.index(line)][columns.index(column)]
            for name, ratios in series.items():
                apart = 0.12 * (names.index(name) - (len(names) - 1) / 2)
                places = [place + apart for place in range(len(networks))]
                marker, colour = looks[name]
                ax.plot(places, ratios, linestyle="", marker=marker, markersize=5, color=colour, label=name)
            ax.axhline(1, color="#666666", linewidth=0.9, zorder=0)
            ax.set_title(f"{column}\n{line}")
            ax.set_yscale(scale)
            ax.grid(axis="y")
            ax.set_xticks(range(len(networks)), networks, rotation=35, ha="right")
        for ax in axes[:, 0]:
            ax.set_ylabel("BP / SSDFA")
        found = {
            label: handle for ax in axes.flat for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
        }
        figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=len(found))
        figure.suptitle(title, fontsize=10.5)
        figure.draw_without_rendering()
    return figure


def draw_depth(times) -> Figure:
    """Backward time of both forms of BP over DFA's against the number of layers, and the claim."""
    with settings():
        figure = new_figure(8.5, 4.4)
        axes = figure.subplots(1, 2, sharey=True)
        looks = rule_looks(["bp", "bp-mirrored"])
        for ax, chip in zip(axes, dict.fromkeys(row["chip"] for row in times), strict=True):
            mine = [row for row in times if row["chip"] == chip]
            layers = [row["layers"] for row in mine]
            for rule, look in looks.items():
                ax.plot(
                    layers, [row[rule] / row["dfa"] for row in mine], color=look.colour, linestyle=look.dashes,
                    marker=look.marker, label=f"{rule} / dfa",
                )  # fmt: skip
            ax.plot(layers, layers, color="#666666", linewidth=0.9, linestyle=":", label="number of layers (the claim)")
            ax.set_title(chip)
            ax.set_xlabel("layers with weights")
            ax.grid()
        axes[0].set_ylabel("backward time over DFA's (ratio)")
        figure.legend(handles=axes[0].get_legend_handles_labels()[0], loc="outside lower center", ncols=3)
        figure.suptitle("Backward time against depth: hidden layers of 240, batch 64, multicast", fontsize=10.5)
        figure.draw_without_rendering()
    return figure


def draw_scaling(frames) -> Figure:
    """Makespan against cores for each rule, delivery and kind of core; a ring where a rule is fastest."""
    with settings():
        figure = new_figure(9.5, 1.4 + 3.0 * len(frames))
        axes = figure.subplots(len(frames), 2, sharex=True, sharey=True)
        for line, (variant, frame) in zip(axes, frames.items(), strict=True):
            for ax, (delivery, rows) in zip(line, frame.groupby("axis.delivery", sort=False), strict=True):
                rows = rows[rows["status"] == "ok"]
                looks = rule_looks(dict.fromkeys(rows["rule"]))
                for rule, mine in rows.groupby("rule", sort=False):
                    look = looks[rule]
                    ax.plot(
                        mine["cores"], mine["seconds"] * 1e3, color=look.colour, linestyle=look.dashes,
                        marker=look.marker, label=rule,
                    )  # fmt: skip
                    best = mine.loc[mine["seconds"].idxmin()]
                    ax.plot(
                        best["cores"], best["seconds"] * 1e3, marker="o", markersize=13, markerfacecolor="none",
                        markeredgecolor=look.colour, linestyle="",
                    )  # fmt: skip
                ax.set_title(f"{variant}, {delivery}")
                ax.set_xscale("log", base=2)
                ax.set_yscale("log")
                ax.xaxis.set_major_locator(FixedLocator([4**power for power in range(6)]))
                ax.xaxis.set_minor_locator(NullLocator())
                ax.xaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
                ax.grid()
        for ax in axes[-1]:
            ax.set_xlabel("cores")
        for ax in axes[:, 0]:
            ax.set_ylabel("makespan of a step (ms)")
        figure.legend(handles=axes[0][0].get_legend_handles_labels()[0], loc="outside lower center", ncols=4)
        figure.suptitle(
            "784-800-800-10, batch 64: where each rule is fastest (rings; dfa lies beneath ssdfa)", fontsize=10.5
        )
        figure.draw_without_rendering()
    return figure
