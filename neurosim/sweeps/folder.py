"""The folder of a sweep: its description, one file for every finished job, and the table made of them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurosim.descriptions import read_toml
from neurosim.errors import RunError
from neurosim.runs import collect_versions, lock_run, make_folder, write_json, write_toml
from neurosim.sweeps.description import Sweep, read_sweep, sweep_table
from neurosim.sweeps.executors import Row
from neurosim.sweeps.measure import FAILED, LOST, STATUSES
from neurosim.sweeps.points import Job

DESCRIPTION = "sweep.toml"
POINTS = "points"
_POINT_FILE = re.compile(r"[0-9a-f]{20}\.json")


@dataclass(frozen=True)
class Shard:
    """Part ``number`` of ``count`` parts of a sweep, counted from 1: every count-th job."""

    number: int
    count: int

    def takes(self, place: int) -> bool:
        """Return whether the job in this place of all jobs is the shard's."""
        return place % self.count == self.number - 1


def parse_shard(text: str) -> Shard:
    """Return the shard of ``2/8``.

    Raises:
        RunError: it is no such text, or beyond the number of parts.
    """
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise RunError(f"--shard {text}: write i/n, part i of n counted from 1, such as 2/8")
    return Shard(int(match[1]), int(match[2]))


def is_sweep(path: str | os.PathLike[str]) -> bool:
    """Return whether a folder is a sweep's."""
    return (Path(path).expanduser() / DESCRIPTION).is_file()


def sweep_file(folder: str | os.PathLike[str]) -> Path:
    """Return the description that a folder of a sweep holds.

    Raises:
        RunError: it is no such folder.
    """
    path = Path(folder).expanduser() / DESCRIPTION
    if not path.is_file():
        raise RunError(f"{folder}: has no {DESCRIPTION}, so it is no folder of a sweep")
    return path


@contextmanager
def open_sweep(
    out: str | os.PathLike[str] | None, sweep: Sweep, *, resume: bool, shard: Shard | None
) -> Iterator[Path]:
    """Make the folder ``out`` (for None ``runs/sweep-<n>``), or open one that holds the same sweep, and lock it.

    A shard has a lock of its own.

    Raises:
        RunError: the folder holds something else, another sweep, or this one and neither ``resume`` nor ``shard`` is
            given; it cannot be written; another process writes there.
    """
    path = make_folder(out, "sweep", DESCRIPTION)
    lock = ".lock" if shard is None else f".lock-{shard.number}-of-{shard.count}"
    with lock_run(path, lock):
        with lock_run(path, ".lock-description", wait_seconds=60):  # the first shard writes it, the others must agree
            if (path / DESCRIPTION).is_file():
                _check_same(path, sweep, resume or shard is not None)
            else:
                write_toml(path / DESCRIPTION, {**sweep_table(sweep), "versions": collect_versions()})
        yield path


def _check_same(path: Path, sweep: Sweep, may_go_on: bool) -> None:
    if not may_go_on:
        raise RunError(f"{path}: holds a sweep already; go on with --resume, or name a new folder with --out")
    begun, version = (found.get("neurosim") for found in (kept_versions(path / DESCRIPTION), collect_versions()))
    if begun != version:
        raise RunError(
            f"{path}: was begun by neurosim {begun} and this is {version}, whose points may differ; name a new folder "
            "with --out"
        )
    before, now = (_compared(one) for one in (read_sweep(path / DESCRIPTION), sweep))
    for key in sorted({*before, *now}):
        if before.get(key) != now.get(key):
            raise RunError(
                f"{path}: holds another sweep ({key} differs); name a new folder with --out, or go on with that one: "
                f"neurosim sweep --out {path} --resume"
            )


def _compared(sweep: Sweep) -> dict[str, Any]:
    """Return what must be equal for a sweep to go on; data may have moved: their contents are in points' digests."""
    table: dict[str, Any] = json.loads(json.dumps(sweep_table(sweep)))
    for name in ("data_dir", "dataset"):
        table.get("learning", {}).pop(name, None)
    return table


def kept_versions(path: Path) -> dict[str, str]:
    """Return the versions of the programs with which a sweep.toml was written."""
    return dict(read_toml(path).get("versions", {}))


def write_row(folder: Path, job: Job, row: Row) -> None:
    """Keep what a job measured: a file of its own, whole or not there at all."""
    described = job.point.learning_description if job.trains else job.point.description
    write_json(folder / POINTS / f"{job.id}.json", {"id": job.id, "description": described, "row": row})


def read_rows(folder: Path) -> dict[str, Row]:
    """Return the rows of all finished jobs by id; a damaged file is none."""
    rows: dict[str, Row] = {}
    for path in sorted((folder / POINTS).glob("*.json")):
        if _POINT_FILE.fullmatch(path.name):
            with suppress(OSError, ValueError, KeyError, TypeError):
                row = dict(json.loads(path.read_text(encoding="utf-8"))["row"])
                if row["status"] in STATUSES:
                    rows[path.stem] = row
    return rows


def missing(jobs: Sequence[Job], rows: Mapping[str, Row], *, retry: bool) -> list[Job]:
    """Return the jobs that have no row; those that were lost count as missing, and with ``retry`` those that failed."""
    again = {LOST, FAILED} if retry else {LOST}
    return [job for job in jobs if job.id not in rows or rows[job.id]["status"] in again]
