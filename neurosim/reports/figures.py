"""The table of figures: a new figure is one function and one row; ``report`` draws them all and tests loop over it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from neurosim.reports.borders import draw_borders
from neurosim.reports.bounds import draw_core_states, draw_critical_path, draw_stored_bits
from neurosim.reports.layers import draw_layer_movement
from neurosim.reports.learning import (
    draw_alignment,
    draw_learning_epochs,
    draw_learning_joules,
    draw_learning_seconds,
)
from neurosim.reports.movement import draw_error_movement
from neurosim.reports.results import Results
from neurosim.reports.style import FORMATS, save, settings
from neurosim.reports.work import draw_energy, draw_machines, draw_macs, draw_memory_accesses

FIGURES: dict[str, Callable[[Results], Figure | None]] = {
    "learning_epochs": draw_learning_epochs,
    "learning_seconds": draw_learning_seconds,
    "learning_joules": draw_learning_joules,
    "error_movement": draw_error_movement,
    "layer_movement": draw_layer_movement,
    "borders": draw_borders,
    "macs": draw_macs,
    "memory_accesses": draw_memory_accesses,
    "energy": draw_energy,
    "machines": draw_machines,
    "stored_bits": draw_stored_bits,
    "core_states": draw_core_states,
    "critical_path": draw_critical_path,
    "alignment": draw_alignment,
}
"""File name -> function from results to a figure, or to None where the run holds nothing for it."""


def draw_figures(folder: Path, results: Results) -> list[Path]:
    """Draw every figure of FIGURES into ``folder`` as SVG and PNG; return the files.

    A figure for which these results hold nothing is left out, and an earlier one by its name removed.

    Raises:
        RunError: a file cannot be written.
    """
    paths: list[Path] = []
    for name, draw in FIGURES.items():
        with settings():
            figure = draw(results)
            if figure is not None:
                paths += save(figure, folder / name)
                continue
        for kind in FORMATS:
            (folder / f"{name}.{kind}").unlink(missing_ok=True)
    return paths
