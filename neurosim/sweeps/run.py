"""From a sweep to its result: planned and checked first, then run, every finished job kept at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurosim.arguments import checked_count, checked_path
from neurosim.datasets import check_fits
from neurosim.errors import DescriptionError
from neurosim.runs import lock_run
from neurosim.sweeps.description import Learning, Sweep
from neurosim.sweeps.executors import Finished, Row, connect, processors, run_here, run_on, run_processes
from neurosim.sweeps.folder import Shard, missing, open_sweep, read_rows, write_row
from neurosim.sweeps.measure import prepared
from neurosim.sweeps.points import Job, Point, expand, jobs_of
from neurosim.sweeps.result import SweepResult, write_table
from neurosim.sweeps.table import make_table
from neurosim.training import with_targets

Progress = Callable[[str, int, int], None]
"""Called with a label, how much is done and how much is wanted."""

Start = Callable[[Sequence[Job]], Finished]


def no_progress(label: str, done: int, wanted: int) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Planned:
    """A sweep that was checked: its points, and the different jobs they are made of."""

    sweep: Sweep
    points: list[Point]
    jobs: list[Job]
    data_dir: str | None

    def result(self, rows: dict[str, Row], folder: Path | None = None) -> SweepResult:
        """Return the result as far as its jobs have rows."""
        return SweepResult(self.sweep, make_table(self.points, rows, self.sweep), folder)


@dataclass(frozen=True)
class Run:
    """Where and how much of a sweep is run: on an executor, a Dask scheduler, or ``processes`` of this machine.

    ``shard`` takes a part of it; ``resume`` goes on in a folder that holds it, with ``retry`` where points failed too.
    """

    executor: Executor | None = None
    scheduler: str = ""
    processes: int | None = None
    shard: Shard | None = None
    resume: bool = False
    retry: bool = False
    progress: Progress = no_progress


def plan_sweep(asked: Sweep, data_dir: str | os.PathLike[str] | None = None) -> Planned:
    """Return the checked points of a sweep; nothing runs.

    Raises:
        NeurosimError: an axis, a value or a combination of them cannot be, or the data are not there or do not fit.
    """
    if asked.learning is None:
        points = expand(asked)
        return Planned(asked, points, jobs_of(points), None)
    learning = _located(asked.learning, data_dir)
    data = prepared(learning, learning.data_dir, asked.recipe.seed)
    changes: dict[str, Any] = {"learning": learning, "recipe": with_targets(asked.recipe, data, asked.recipe, {})}
    if asked.per == "epoch" and asked.samples is None:
        changes["samples"] = data.train_samples
    asked = asked.model_copy(update=changes)
    points = expand(asked, data.train_samples, str(data.describe()["sha256"]))
    for network in {point.network.name: point.network for point in points}.values():
        check_fits(data, network)
    return Planned(asked, points, jobs_of(points), learning.data_dir)


def _located(learning: Learning, data_dir: str | os.PathLike[str] | None) -> Learning:
    """Return what is trained on with whole paths, so that a sweep can go on from another folder."""
    folder = data_dir if data_dir is not None else learning.data_dir
    found = {"data_dir": None if folder is None else os.path.abspath(Path(folder).expanduser())}
    if learning.dataset.endswith(".npz"):
        found["dataset"] = os.path.abspath(Path(learning.dataset).expanduser())
    return learning.model_copy(update=found)


class SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C during a sweep that is kept in ``folder``: ``done`` of the ``wanted`` jobs are there."""

    def __init__(self, folder: Path, done: int, wanted: int) -> None:
        self.folder, self.done, self.wanted = folder, done, wanted
        super().__init__(f"{done} of {wanted} are done and kept in {folder}")


def run_sweep(
    planned: Planned, run: Run, *, out: str | os.PathLike[str] | None = None, keep: bool = False
) -> SweepResult:
    """Run what is missing of a planned sweep and return its result.

    It is kept in the folder ``out``, or with ``keep`` in a new one below ``runs/``. Left early, the folder has
    everything that was finished, and its table.

    Raises:
        RunError: the folder or the scheduler cannot be used; nothing has run or was written then.
        SweepInterrupted: by the user, where the sweep is kept.
    """
    _check_run(run, out, keep)
    with _backend(planned.data_dir, run) as start:
        if out is None and not keep:
            rows: dict[str, Row] = {}
            _collect(planned.jobs, start, run.progress, lambda job, row: rows.update({job.id: row}))
            return planned.result(rows)
        with open_sweep(out, planned.sweep, resume=run.resume, shard=run.shard) as folder:
            return _run_in(folder, planned, run, start)


def _check_run(run: Run, out: object, keep: bool) -> None:
    if run.processes is not None:
        checked_count("processes", run.processes)
        if run.executor is not None or run.scheduler:
            raise DescriptionError("processes: are of this machine; leave them out where an executor is given")
    if run.executor is not None and not hasattr(run.executor, "submit"):
        raise DescriptionError(f"executor: {run.executor!r}: must speak concurrent.futures, and has no submit")
    if (run.resume or run.shard is not None) and out is None:
        raise DescriptionError("out: name the folder of the sweep that goes on, or that shards share")
    if out is not None:
        checked_path("out", out)


def _run_in(folder: Path, planned: Planned, run: Run, start: Start) -> SweepResult:
    """Run what is missing in a folder; whatever happens, its table then has what is there."""
    mine = [job for place, job in enumerate(planned.jobs) if run.shard is None or run.shard.takes(place)]
    left = missing(mine, read_rows(folder), retry=run.retry)
    try:
        _collect(left, start, run.progress, lambda job, row: write_row(folder, job, row))
    except KeyboardInterrupt:
        done = len(mine) - len(missing(mine, read_rows(folder), retry=False))
        raise SweepInterrupted(folder, done, len(mine)) from None
    finally:
        # Shards that end together must not write an older table over a newer one.
        with lock_run(folder, ".lock-table", wait_seconds=60):
            result = planned.result(read_rows(folder), folder)
            write_table(folder, result.table)
    return result


def _collect(jobs: Sequence[Job], start: Start, progress: Progress, keep: Callable[[Job, Row], None]) -> None:
    """Run jobs, and keep every row as soon as it is there."""
    if not jobs:
        return
    progress("points", 0, len(jobs))
    with closing(start(jobs)) as finished:  # leaving early ends what runs
        for done, (job, row) in enumerate(finished, start=1):
            keep(job, row)
            progress("points", done, len(jobs))


@contextmanager
def _backend(data_dir: str | None, run: Run) -> Iterator[Start]:
    """Yield what starts jobs where they are to run."""
    if run.scheduler:
        with connect(run.scheduler) as executor:
            yield lambda jobs: run_on(jobs, data_dir, executor)
    elif run.executor is not None:
        given = run.executor
        yield lambda jobs: run_on(jobs, data_dir, given)
    else:
        most = run.processes or processors()
        yield lambda jobs: (
            run_here(jobs, data_dir) if min(most, len(jobs)) == 1
            else run_processes(jobs, data_dir, min(most, len(jobs)))
        )  # fmt: skip
