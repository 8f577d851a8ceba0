"""SweepResult: the table of a sweep, its figures, and the files they are kept in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from neurosim.errors import RunError
from neurosim.runs import read_csv, replacing, write_csv, write_text
from neurosim.sweeps.description import Sweep, read_sweep
from neurosim.sweeps.folder import sweep_file
from neurosim.sweeps.measure import OK
from neurosim.sweeps.table import along

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from neurosim.reports.sweep_results import SweepResults

TABLE = "sweep.csv"
TEXT_COLUMNS = ("id", "machine", "status", "error", "network", "rule", "chip", "cores_per_layer")


@dataclass(frozen=True)
class SweepResult:
    """What a sweep found: ``table`` has a row for every point; ``folder`` is where it is kept, if anywhere."""

    sweep: Sweep
    table: pd.DataFrame
    folder: Path | None = None

    def __repr__(self) -> str:
        counts = ", ".join(f"{number} {status}" for status, number in self.statuses.items())
        return f"<SweepResult of {len(self.table)} points: {counts}>"

    @property
    def statuses(self) -> dict[str, int]:
        """How many points there are of each status."""
        return {str(status): int(number) for status, number in self.table["status"].value_counts().items()}

    @property
    def failures(self) -> pd.DataFrame:
        """The points that were not measured, with status and error."""
        return self.table[self.table["status"] != OK]

    @property
    def results(self) -> SweepResults:
        """The table as its figures read it."""
        from neurosim.reports.sweep_results import SweepResults

        tied = tuple(self.sweep.tied)
        return SweepResults(self.table, along(self.sweep), self.sweep.chip.name, weak=self.sweep.weak, tied=tied)

    @property
    def text(self) -> str:
        """The table with what a person decides by, as text."""
        from neurosim.reports.sweep_text import sweep_text

        return sweep_text(self.results)

    def figure(self, name: str) -> Figure:
        """Return one of the figures that ``report`` draws: "makespan", "speedup", "efficiency", "energy", ...

        Raises:
            RunError: there is no such figure, or this sweep has nothing for it.
        """
        from neurosim.reports.sweeps import draw_sweep_figure

        return draw_sweep_figure(name, self.results)

    def report(self, out: str | os.PathLike[str] | None = None) -> list[Path]:
        """Write the table and all figures into ``out`` (default: the sweep's folder); return the files.

        Raises:
            RunError: no folder was given and the sweep is kept in none, or a file cannot be written.
        """
        from neurosim.reports.sweeps import draw_sweep_figures

        if out is None and self.folder is None:
            raise RunError("report: this sweep is kept in no folder; name one")
        folder = self.folder if out is None else Path(out)
        assert folder is not None
        # The sweep's own folder has its table, which another shard may have made newer.
        written = [] if folder == self.folder else write_table(folder, self.table)
        write_text(folder / "table.txt", self.text)
        return [*written, folder / "table.txt", *draw_sweep_figures(folder / "figures", self.results)]


def write_table(folder: Path, table: pd.DataFrame) -> list[Path]:
    """Write sweep.csv, and sweep.parquet where pyarrow is installed."""
    write_csv(folder / TABLE, table)
    if find_spec("pyarrow") is None:
        return [folder / TABLE]
    path = folder / "sweep.parquet"
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False)
    return [folder / TABLE, path]


def load_sweep(path: str | os.PathLike[str]) -> SweepResult:
    """Return what a sweep left in its folder, as its table has it.

    Raises:
        RunError: it is no folder of a sweep, or its table is absent or damaged.
    """
    folder = Path(path).expanduser()
    description = sweep_file(folder)
    if not (folder / TABLE).is_file():
        raise RunError(f"{folder}: has no {TABLE}; go on with neurosim sweep --out {folder} --resume")
    table = read_csv(folder / TABLE, TEXT_COLUMNS)
    absent = {"machine", "status", "network", "rule"} - set(table)
    if absent:
        raise RunError(
            f"{folder / TABLE}: has no column '{min(absent)}', so it is damaged; make it again with --resume"
        )
    return SweepResult(read_sweep(description), table, folder)
