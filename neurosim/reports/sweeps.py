"""Figures and table of a sweep: a figure is a row of SWEEP_FIGURES; what is measured against cores, or another axis."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from neurosim.errors import RunError, nearest_guess
from neurosim.reports.style import FORMATS, save, settings
from neurosim.reports.sweep_lines import Quantity, draw_quantity
from neurosim.reports.sweep_pareto import draw_pareto_accuracy, draw_pareto_time
from neurosim.reports.sweep_results import SweepResults
from neurosim.reports.sweep_shares import draw_path_shares


def _line(quantity: Quantity) -> Callable[[SweepResults], Figure | None]:
    def draw(results: SweepResults) -> Figure | None:
        return draw_quantity(results, quantity)

    return draw


SWEEP_FIGURES: dict[str, Callable[[SweepResults], Figure | None]] = {
    "makespan": _line(Quantity("seconds", "Makespan", unit="s", ideal=True, bounds=True)),
    "speedup": _line(Quantity("speedup", "Speed-up", ideal=True, relative=True, bounds=True)),
    "efficiency": _line(Quantity("efficiency", "Parallel efficiency", percent=True, relative=True)),
    "energy": _line(Quantity("energy_joules", "Energy", unit="J")),
    "bit_hops": _line(Quantity("bit_hops", "Bit-hops on the network")),
    "border_bit_hops": _line(Quantity("border_bit_hops", "Bit-hops between chips")),
    "memory": _line(Quantity("stored_bits", "Memory used by all cores together", unit="bit")),
    "core_memory": _line(Quantity("core_memory_most_bytes", "Memory used on the fullest core", unit="B")),
    "path_shares": draw_path_shares,
    "pareto_time": draw_pareto_time,
    "pareto_accuracy": draw_pareto_accuracy,
}
"""File name -> function from a sweep's results to a figure, or to None where the sweep holds nothing for it."""


def draw_sweep_figure(name: str, results: SweepResults) -> Figure:
    """Return one of SWEEP_FIGURES.

    Raises:
        RunError: there is none of that name, or the sweep has nothing for it.
    """
    if name not in SWEEP_FIGURES:
        raise RunError(f"figure '{name}': there are {', '.join(SWEEP_FIGURES)}{nearest_guess(name, SWEEP_FIGURES)}")
    with settings():
        figure = None if results.ran.empty else SWEEP_FIGURES[name](results)
        if figure is None:
            raise RunError(f"figure '{name}': this sweep measured nothing for it")
        figure.draw_without_rendering()
    return figure


def draw_sweep_figures(folder: Path, results: SweepResults) -> list[Path]:
    """Draw every figure for which there is something into ``folder`` as SVG and PNG; return the files.

    Raises:
        RunError: a file cannot be written.
    """
    paths: list[Path] = []
    for name, draw in SWEEP_FIGURES.items():
        with settings():
            figure = None if results.ran.empty else draw(results)
            if figure is not None:
                paths += save(figure, folder / name)
                continue
        for kind in FORMATS:
            (folder / f"{name}.{kind}").unlink(missing_ok=True)
    return paths
