"""``neurosim report``: tables and figures again from what runs left behind."""

from __future__ import annotations

from typing import Annotated

import typer


def write_reports(
    folders: Annotated[list[str], typer.Argument(metavar="RUN...", help="Run folders.")],
) -> None:
    """Draw the figures and print the tables of finished runs, and of sweeps, again."""
    from neurosim.reports import print_table, report_run
    from neurosim.runs import load_run
    from neurosim.sweeps import is_sweep, load_sweep

    for folder in folders:
        if is_sweep(folder):
            print(f"{len(load_sweep(folder).report())} files written to {folder}")
            continue
        written = report_run(folder)
        run = load_run(folder)
        print_table(run.history, run.costs, run.summary)
        print(f"{len(written)} files written to {folder}")
