"""Write what a run found into its folder, and draw it again from what lies there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from neurosim.errors import RunError
from neurosim.reports.figures import draw_figures
from neurosim.reports.results import Results
from neurosim.reports.tables import comparison_table, von_neumann_table
from neurosim.reports.terminal import table_text
from neurosim.runs import SUMMARY, load_run, lock_run, write_csv, write_text


def write_report(folder: Path, history: pd.DataFrame, costs: pd.DataFrame, summary: Mapping[str, Any]) -> list[Path]:
    """Write table.csv, table_machines.csv, table.txt and figures/ (SVG, PNG) into a run folder; return the files.

    Each file is replaced whole or not at all.

    Raises:
        RunError: the tables lack what a report needs, are damaged, or a file cannot be written.
    """
    results = Results(history, costs, summary)
    table, machines, text = (folder / name for name in ("table.csv", "table_machines.csv", "table.txt"))
    write_csv(table, comparison_table(history, costs, summary))
    write_csv(machines, von_neumann_table(history, costs, summary))
    write_text(text, table_text(history, costs, summary))
    return [table, machines, text, *draw_figures(folder / "figures", results)]


def report_run(path: str | os.PathLike[str]) -> list[Path]:
    """Write the report of a run folder again, from the tables that lie in it; return the files.

    Raises:
        RunError: the folder is no run, did not finish, is damaged, or is being written by another process.
    """
    run = load_run(path)
    if not (run.path / SUMMARY).is_file():
        raise RunError(f"{run.path}: has no {SUMMARY}, so the run did not finish; make it again")
    with lock_run(run.path):
        history, costs = run.history, run.costs
        try:
            Results(history, costs, run.summary)
        except RunError as error:  # names the file; the folder is known here
            raise RunError(f"{run.path}/{error}") from None
        return write_report(run.path, history, costs, run.summary)
