"""Finding the files of a data set on this computer, and downloading them when they are not there."""

from __future__ import annotations

import os
from pathlib import Path

from neurosim.datasets.catalogue import DataFile, DatasetInfo
from neurosim.errors import DatasetError

DATA_VARIABLE = "NEUROSIM_DATA"
_TIMEOUT_S = 20.0


def locate(info: DatasetInfo, data_dir: str | os.PathLike[str] | None = None) -> Path | None:
    """Return the folder that holds the files of ``info``, or None when they would have to be downloaded.

    Looked at in this order: ``data_dir``, or without it the folder that ``NEUROSIM_DATA`` names, each with the folder
    of the data set in it; then the user's cache.

    Raises:
        DatasetError: the folder named does not exist, or holds only some of the files.
    """
    parent, place = _named_folder(data_dir)
    folders = [_cache() / _folder(info)]
    if parent is not None:
        if not parent.is_dir():
            raise DatasetError(f"{place}: {parent} is not a folder; {_expected(info)}")
        folders.insert(0, parent / _folder(info))
    for folder in folders:
        missing = [name for name in info.contents if not (folder / name).is_file()]
        if not missing:
            return folder
        if folder != folders[-1] and len(missing) < len(info.contents):
            raise DatasetError(f"{folder}: {', '.join(missing)} missing; {_expected(info)}")
    return None


def fetch(info: DatasetInfo) -> Path:
    """Download the files of ``info`` into the user's cache, check their SHA-256, unpack them, and return the folder.

    Raises:
        DatasetError: no mirror served a file, or what came is not the file expected.
    """
    folder = _cache() / _folder(info)
    for file in info.files:
        if info.members:
            _fetch_file(info, file, folder.parent)
            # What was packed has been checked as a whole, and takes as much room again.
            (folder.parent / file.name).unlink(missing_ok=True)
        else:
            _fetch_file(info, file, folder)
    return folder


def _fetch_file(info: DatasetInfo, file: DataFile, folder: Path) -> None:
    import pooch

    packed = [f"{_folder(info)}/{name}" for name in info.members]
    logger = pooch.get_logger()
    level = logger.level
    # pooch announces every attempt on stderr; the user gets one sentence, and only if all of them fail.
    logger.setLevel("ERROR")
    reasons = []
    try:
        for mirror in info.mirrors:
            try:
                pooch.retrieve(
                    mirror + file.name,
                    known_hash=f"sha256:{file.sha256}",
                    fname=file.name,
                    path=folder,
                    processor=pooch.Untar(members=packed, extract_dir=".") if packed else None,
                    downloader=pooch.HTTPDownloader(timeout=_TIMEOUT_S),
                )
                return
            except (OSError, ValueError) as error:
                reasons.append(_reason(error))
    finally:
        logger.setLevel(level)
    raise DatasetError(
        f"dataset '{info.name}': {file.name} could not be downloaded ({'; '.join(dict.fromkeys(reasons))}); "
        + _expected(info)
    )


def _reason(error: Exception) -> str:
    if isinstance(error, ValueError):
        return "wrong checksum"
    return str(getattr(error, "strerror", None) or type(error).__name__)


def _named_folder(data_dir: str | os.PathLike[str] | None) -> tuple[Path | None, str]:
    if data_dir is not None:
        return Path(data_dir).expanduser(), "--data-dir"
    named = os.environ.get(DATA_VARIABLE)
    return (Path(named).expanduser() if named else None), DATA_VARIABLE


def _cache() -> Path:
    import pooch

    return Path(pooch.os_cache("neurosim"))


def _folder(info: DatasetInfo) -> str:
    return info.folder or info.name


def _expected(info: DatasetInfo) -> str:
    names = ", ".join(info.contents)
    packed = f" (unpacked from {', '.join(file.name for file in info.files)})" if info.members else ""
    return (
        f"put {names}{packed} in a folder {_folder(info)}/ and name the folder around it with --data-dir or "
        f"{DATA_VARIABLE}"
    )
