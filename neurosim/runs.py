"""Run folders: where they are made, how files get into them whole, and how they are read again."""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from neurosim.errors import RunError, nearest_guess

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from pandas import DataFrame

DESCRIPTION = "run.toml"
SUMMARY = "summary.json"
RESULTS = (
    DESCRIPTION, SUMMARY, "history.csv", "costs.csv", "table.csv", "table.txt", "table_machines.csv", "trace.npz",
    "trace_*.npz", "weights.npz", "weights_*.npz", "figures",
)  # fmt: skip
"""What a run writes into its folder, as patterns; everything else there is the user's own and is left alone."""

TEXT_COLUMNS = ("chip", "delivery", "per", "rule", "phase", "quantity", "unit")
"""Columns of tables that hold names: they stay text even where a name looks like a number."""

_LOCK = ".lock"
_PREVIOUS = ".previous"
"""Holds the results of the earlier run, whole: what lies beside it is of a run that is not done."""
_MOVING = ".moving"
"""Holds some results of the earlier run on their way out or back: the others lie beside it."""
_DISCARDED = ".discarded"
_UNFINISHED = ".*.[0-9]*.tmp*"
"""Temporary files of ``replacing`` that a killed process left."""
_PACKAGES = ("numpy", "numba", "simpy", "pandas", "pydantic", "threadpoolctl")


class Frame(Protocol):
    """A table that can write itself, such as a pandas DataFrame."""

    def to_csv(self, path_or_buf: str, /, *, index: bool) -> Any:
        """Write the table to a file."""


@dataclass(frozen=True)
class Run:
    """A run folder that was read: its description (run.toml) and its summary (empty while it has not finished)."""

    path: Path
    description: dict[str, Any]
    summary: dict[str, Any]

    @property
    def history(self) -> DataFrame:
        """The table of history.csv: one row per rule, seed and epoch."""
        return self.frame("history.csv")

    @property
    def costs(self) -> DataFrame:
        """The table of costs.csv: rule, phase, layer, quantity, unit, value."""
        return self.frame("costs.csv")

    def frame(self, name: str) -> DataFrame:
        """Return a CSV file of the run; raise RunError when it is absent or damaged."""
        return read_csv(self.file(name), TEXT_COLUMNS)

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Return the arrays of an .npz file of the run; raise RunError when it is absent or damaged."""
        import zipfile

        import numpy as np

        with _naming(self.file(name), ""):
            try:
                with self.file(name).open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
                    return {key: arrays[key] for key in arrays.files}
            except (ValueError, EOFError, zipfile.BadZipFile) as error:
                raise RunError(f"{self.file(name)}: not a whole .npz file ({error})") from error

    def file(self, name: str) -> Path:
        """Return the path of a file of the run; raise RunError when it is not there."""
        path = self.path / name
        if not path.is_file():
            raise RunError(f"{self.path}: has no {name}; the run left none or did not finish")
        return path


@contextmanager
def open_run(out: str | os.PathLike[str] | None, what: str) -> Iterator[Path]:
    """Make a run folder, hold its lock while the block runs, and leave nothing half-written behind.

    Results that an earlier run left in the folder give way to the new ones. When the block fails or is interrupted,
    the folder is what it was: absent, empty, or with the earlier results. Files of the user's own stay in any case.
    After a process was killed, the next run in the folder puts the earlier results back before it begins.

    Raises:
        RunError: the folder cannot be made or written, is no run folder, or is being written by another process.
    """
    absent = _first_absent(Path("runs") if out is None else Path(out))
    path = create_run(out, what)
    made = absent or (path if out is None else None)
    with lock_run(path):
        try:
            with _naming(path):
                _set_aside(path)
            yield path
        except BaseException:
            with suppress(OSError):  # the failure that led here is what the user must hear of
                _put_back(path)
            raise
        else:
            with _naming(path):
                _discard_previous(path)
        finally:
            if not _entries(path):
                _remove_made(path, made)


def create_run(out: str | os.PathLike[str] | None, what: str) -> Path:
    """Return the folder ``out``, made if need be; or, for None, a new ``runs/<what>-<n>`` with the next free n.

    Raises:
        RunError: it cannot be made, is a file, or holds something that is not a run.
    """
    return make_folder(out, what, DESCRIPTION, _PREVIOUS, _MOVING)


def make_folder(out: str | os.PathLike[str] | None, what: str, *marks: str) -> Path:
    """Return a folder as ``create_run`` does, in which there is nothing yet, or one of the names ``marks``.

    Raises:
        RunError: it cannot be made, is a file, or holds something without a mark.
    """
    if out is None:
        return _create_numbered(Path("runs"), what)
    path = Path(out).expanduser()
    with _naming(path):
        path.mkdir(parents=True, exist_ok=True)
        entries = _entries(path)
    if entries and not set(marks) & set(entries):
        raise RunError(
            f"{path}: holds files but no {marks[0]}, so it is no {'run' if marks[0] == DESCRIPTION else what} folder "
            "and nothing is written there; name a new folder with --out"
        )
    return path


@contextmanager
def lock_run(path: Path, name: str = _LOCK, wait_seconds: float = 0) -> Iterator[None]:
    """Hold a lock of a run folder while the block runs; raise RunError when another process holds it for so long."""
    from filelock import FileLock, Timeout

    lock = FileLock(path / name, timeout=wait_seconds)
    with _naming(path):
        try:
            lock.acquire()
        except Timeout as error:
            raise RunError(f"{path}: another process is writing there; wait for it, or name another folder") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path`` with the same suffix; what the block writes there replaces ``path``.

    A reader sees the old file or the new one, never half of it; a block that fails leaves the old one.
    """
    # Processes of other machines, with other process numbers, may write into the same folder.
    temporary = path.parent / f".{path.stem}.{os.getpid()}-{secrets.token_hex(4)}.tmp{path.suffix}"
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def json_text(value: object) -> str:
    """Return a value as standard JSON; NumPy numbers and arrays become plain ones, NaN and infinities null."""
    return json.dumps(_plain(value), indent=2, allow_nan=False)


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON, as ``json_text`` has it."""
    write_text(path, json_text(value) + "\n")


def write_csv(path: Path, frame: Frame) -> None:
    """Write a table as CSV, without its index."""
    with replacing(path) as temporary:
        frame.to_csv(str(temporary), index=False)


def read_csv(path: Path, text_columns: Sequence[str]) -> DataFrame:
    """Return a table that ``write_csv`` wrote, some columns as text; raise RunError when it is damaged."""
    import pandas as pd

    with _naming(path, ""):
        try:
            # Names such as NA are names; only nothing is nothing.
            frame = pd.read_csv(path, dtype=dict.fromkeys(text_columns, str), keep_default_na=False, na_values=[""])
            if not path.read_bytes().endswith(b"\n"):
                raise RunError(f"{path}: not a whole table (its last line is cut off)")
            return frame
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise RunError(f"{path}: not a whole table ({error})") from error


def write_npz(path: Path, arrays: Mapping[str, ArrayLike]) -> None:
    """Write arrays as a compressed .npz file."""
    import numpy as np

    with replacing(path) as temporary:
        np.savez_compressed(
            temporary, allow_pickle=False, **{key: np.asarray(values) for key, values in arrays.items()}
        )


def write_toml(path: Path, table: Mapping[str, object]) -> None:
    """Write a table as TOML; None values are left out."""
    import tomli_w

    write_text(path, tomli_w.dumps(_without_none(_plain(table))))


def write_description(folder: Path, description: Mapping[str, object]) -> None:
    """Write run.toml: what the run is a function of, and the versions of the programs that computed it."""
    write_toml(folder / DESCRIPTION, {**description, "versions": collect_versions()})


def collect_versions() -> dict[str, str]:
    """Return the versions of neurosim, Python and the packages that a result depends on, without importing them."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    versions = {"python": platform.python_version()}
    for key, distribution in (("neurosim", "neurosim-chip"), *((name, name) for name in _PACKAGES)):
        try:
            versions[key] = version(distribution)
        except PackageNotFoundError:
            versions[key] = "not installed"  # a tree that is used where it lies
    return versions


def load_run(path: str | os.PathLike[str]) -> Run:
    """Return what a run left in its folder; tables and arrays are read when asked for.

    Raises:
        RunError: the folder is not there, is no run folder, its run is not done, or its description or summary is
            damaged.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        siblings = [p.name for p in folder.parent.iterdir() if p.is_dir()] if folder.parent.is_dir() else []
        raise RunError(f"{folder}: no such run folder{nearest_guess(folder.name, siblings)}")
    if (folder / _PREVIOUS).is_dir() or (folder / _MOVING).is_dir():
        raise RunError(f"{folder}: the run that writes there is not done, or was killed; wait for it, or make it again")
    if not (folder / DESCRIPTION).is_file():
        raise RunError(f"{folder}: has no {DESCRIPTION}, so it is no run folder")
    description = _parse(folder / DESCRIPTION, tomllib.loads)
    summary = _parse(folder / SUMMARY, json.loads) if (folder / SUMMARY).is_file() else {}
    return Run(folder, description, summary)


def _parse(path: Path, parse: Callable[[str], Any]) -> dict[str, Any]:
    with _naming(path, ""):
        try:
            found = parse(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:  # of TOML, of JSON, or of UTF-8; brackets a thousand deep
            raise RunError(f"{path}: damaged ({error})") from error
    if not isinstance(found, dict):
        raise RunError(f"{path}: damaged (it holds a {type(found).__name__}, not a table of keys)")
    return found


def _create_numbered(parent: Path, what: str) -> Path:
    pattern = re.compile(re.escape(what) + r"-(\d+)")
    with _naming(parent):
        parent.mkdir(parents=True, exist_ok=True)
        taken = [int(found[1]) for found in map(pattern.fullmatch, os.listdir(parent)) if found]
        number = max(taken, default=0) + 1
        while True:
            try:
                (parent / f"{what}-{number}").mkdir()
                return parent / f"{what}-{number}"
            except FileExistsError:  # another process took the number in the meantime
                number += 1


def _entries(path: Path) -> list[str]:
    if not path.is_dir():
        return []
    return [name for name in os.listdir(path) if not name.startswith(_LOCK) and not fnmatch(name, _UNFINISHED)]


def _results(path: Path) -> list[Path]:
    return [found for pattern in RESULTS for found in path.glob(pattern)]


def _set_aside(path: Path) -> None:
    """Move the earlier results into _PREVIOUS, which is there as long as the run is not done."""
    _put_back(path)  # of a run that was killed
    (path / _MOVING).mkdir()
    for found in _results(path):
        found.rename(path / _MOVING / found.name)
    (path / _MOVING).rename(path / _PREVIOUS)


def _put_back(path: Path) -> None:
    """Remove what a run left that is not done, and put the earlier results back; at any moment it can be taken up."""
    if (path / _PREVIOUS).is_dir():
        for found in (*_results(path), *path.glob(_UNFINISHED)):
            _remove(found)
        (path / _PREVIOUS).rename(path / _MOVING)
    if (path / _MOVING).is_dir():
        for found in (path / _MOVING).iterdir():
            found.rename(path / found.name)
        (path / _MOVING).rmdir()


def _discard_previous(path: Path) -> None:
    """Remove the earlier results; from the first moment on they are none, even if removing them takes time or fails."""
    shutil.rmtree(path / _DISCARDED, ignore_errors=True)
    (path / _PREVIOUS).rename(path / _DISCARDED)
    shutil.rmtree(path / _DISCARDED, ignore_errors=True)


def _remove(found: Path) -> None:
    if found.is_dir() and not found.is_symlink():
        shutil.rmtree(found)
    else:
        found.unlink(missing_ok=True)


def _first_absent(path: Path) -> Path | None:
    absent = [folder for folder in (path.expanduser(), *path.expanduser().parents) if not folder.exists()]
    return absent[-1] if absent else None


def _remove_made(path: Path, absent: Path | None) -> None:
    """Remove the empty folder ``path``, and the empty folders made around it from ``absent`` down."""
    with suppress(OSError):
        (path / _LOCK).unlink(missing_ok=True)
        if absent is None:
            return
        for folder in (path, *path.parents):
            folder.rmdir()
            if folder == absent:
                return


@contextmanager
def _naming(path: Path, way_out: str = "; name a folder that can be written with --out") -> Iterator[None]:
    """Turn an OSError of the block into a RunError that names ``path``."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{path}: {(error.strerror or str(error)).lower()}{way_out}") from error


def _plain(value: Any) -> Any:
    """Return ``value`` as dicts, lists, strings, numbers and None, for JSON and TOML."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, Path):
        return str(value)
    for conversion in ("model_dump", "tolist"):  # pydantic models; NumPy scalars and arrays
        if hasattr(value, conversion):
            return _plain(getattr(value, conversion)())
    raise TypeError(f"a run file cannot hold a {type(value).__name__}")


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value
