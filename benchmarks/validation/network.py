"""Network: latency and throughput of both simulated levels beside BookSim 2 on an 8 x 8 mesh."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from neurosim.engine.flit_tables import FlitRouter
from neurosim.reports.style import BLUE, GREEN, VERMILLION, new_figure, settings
from validation.section import EXACT, Extent, Row, Section, text_of

sys.path.insert(0, str(Path(__file__).parents[1] / "speed"))
import network as event_level
import network_flit as flit_level

SOURCE = "BookSim 2, tests/booksim_mesh8x8.csv"
ARRIVALS = Path(__file__).parents[2] / "tests" / "booksim_arrivals.npz"
LATENCY_LIMIT, LATENCY_LOAD = 0.03, 0.35
ACCEPTED_LIMIT, ACCEPTED_LOAD = 0.05, 0.5
EVENT_LIMITS, EVENT_LOAD = {"A": 0.05, "E": 0.10}, 0.2
CYCLES = 24_000
QUICK = (("A", 1, 0.2), ("A", 4, 0.3), ("E", 4, 0.5))
"""Configuration, flits of a packet and load of what is compared in a quick run, with half the cycles."""


def validate(extent: Extent) -> Section:
    """Run every point of BookSim's table at the flit level, and those without saturation at the event level."""
    with event_level.BOOKSIM.open(encoding="utf-8") as file:
        points = list(csv.DictReader(file))
    if extent.quick:
        points = [point for point in points if _key(point) in QUICK]
        assert len(points) == len(QUICK)
    rows = [row for point in points for row in point_rows(point, CYCLES // 2 if extent.quick else CYCLES)]
    rows += arrival_rows()
    section = Section("The network on chip", text_of("network").format(cycles=CYCLES), rows)
    if not extent.quick:
        caption = "Latency of packets under uniform traffic, configuration A: BookSim 2 and both levels"
        section.figures["network_latency"] = (caption, draw(points, rows))
    return section


def point_rows(point: dict[str, str], cycles: int) -> Iterator[Row]:
    """Yield the rows of one point: latency at both levels, or the accepted rate where BookSim is saturated."""
    config, flits, load = _key(point)
    saturated = point["saturated"] == "1"
    measured = flit_level.Point(flit_level.router_of(point), flits=flits, load=load)
    found = flit_level.average(measured, cycles, 1, not saturated)
    if saturated:
        limit = ACCEPTED_LIMIT if load == ACCEPTED_LOAD else None
        expected = float(point["accepted_flit_rate"])
        yield Row(_what("accepted rate, flit", config, flits, load), expected, found.accepted, SOURCE, limit=limit)
        return
    expected = float(point["avg_packet_latency"])
    limit, note = (LATENCY_LIMIT, "") if load <= LATENCY_LOAD else (None, "near saturation both depend on the seed")
    what = _what("latency, flit", config, flits, load)
    yield Row(what, expected, found.latency_cycles, SOURCE, "cycles", limit, note=note)
    latency = event_level.average_latency(load, flits, event_level.HOP_CYCLES[config], cycles)
    limit, note = (EVENT_LIMITS[config], "") if load <= EVENT_LOAD else (None, "queues without limit: see the text")
    what = _what("latency, event", config, flits, load)
    yield Row(what, expected, latency, SOURCE, "cycles", limit, note=note)


def arrival_rows() -> Iterator[Row]:
    """Yield for each routing delay how many packets of all other routers arrive in another cycle."""
    with np.load(ARRIVALS) as kept:
        cases, packets = kept["cases"], np.split(kept["packets"], np.cumsum(kept["cases"][:-1, -1]))
    for delay in np.unique(cases[:, 3]).tolist():
        late = count = 0
        for (side, channels, buffer, routing, credit, _), mine in zip(cases.tolist(), packets, strict=True):
            if routing == delay:
                router = FlitRouter(channels, buffer, routing, credit, packet_flits=1 << 20, multicast_packet_flits=1)
                late += int((flit_level.arrivals(side, router, mine[:, :4]) != mine[:, 4]).sum())
                count += len(mine)
        what = f"packets of {count} that arrive in another cycle, other routers and traffic, routing delay {delay}"
        yield Row(what, 0, late, "from BookSim 2's source, tests/booksim_arrivals.npz", limit=EXACT)


def _key(point: dict[str, str]) -> tuple[str, int, float]:
    return point["config"][0], int(point["packet_size_flits"]), float(point["offered_flits_per_node_cycle"])


def _what(what: str, config: str, flits: int, load: float) -> str:
    return f"{what} level: {config}, {flits}-flit packets, load {load:.2f}"


def draw(points: list[dict[str, str]], rows: list[Row]) -> Figure:
    """Draw latency over load of configuration A, one panel per packet length, without the saturated points."""
    value = {row.what: row.ours for row in rows}
    lengths = sorted({_key(point)[1] for point in points})
    with settings():
        figure = new_figure(9.5, 3.6)
        axes = figure.subplots(1, len(lengths), sharey=True)
        for ax, flits in zip(axes, lengths, strict=True):
            mine = [point for point in points if _key(point)[:2] == ("A", flits) and point["saturated"] == "0"]
            loads = [_key(point)[2] for point in mine]
            booksim = [float(point["avg_packet_latency"]) for point in mine]
            ax.plot(loads, booksim, "o", color=BLUE, markerfacecolor="white", label="BookSim 2")
            for level, colour, style in (("flit", VERMILLION, "-"), ("event", GREEN, "--")):
                latency = [value[_what(f"latency, {level}", "A", flits, load)] for load in loads]
                ax.plot(loads, latency, style, color=colour, label=f"{level} level")
            ax.set_title(f"{flits}-flit packets" if flits > 1 else "single flits")
            ax.set_xlabel("load (flits per node and cycle)")
            ax.set_ylim(0, 110)
            ax.grid()
        axes[0].set_ylabel("packet latency (cycles)")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        figure.draw_without_rendering()
    return figure
