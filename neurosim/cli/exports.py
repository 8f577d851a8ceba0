"""``neurosim cost --export KIND:FILE``: files for other tools."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neurosim.pipeline import Costs


def read_exports(texts: Sequence[str], per: str) -> list[tuple[str, Path]]:
    """Return the kind and path of each ``KIND:FILE``, before anything is counted.

    Raises:
        DescriptionError: there is no such kind, the file cannot be made or is there already, or costs are per sample.
    """
    from neurosim.errors import DescriptionError
    from neurosim.exports import check_kind

    found: list[tuple[str, Path]] = []
    for text in texts:
        kind, colon, path = text.partition(":")
        if not colon or not path:
            raise DescriptionError(f"--export {text}: write KIND:FILE, such as accelergy:counts.yaml")
        check_kind(kind)
        if per == "sample":
            raise DescriptionError(f"--export {text}: a sample's share of a step is no whole count; take --per step")
        file = _new_file(text, path)
        if any(file == other for _, other in found):
            raise DescriptionError(f"--export {text}: {path} is named twice")
        found.append((kind, file))
    return found


def _new_file(text: str, path: str) -> Path:
    """Return where a file can be made that is not there yet."""
    from neurosim.errors import DescriptionError

    try:
        file = Path(path).expanduser().resolve()
        there, writable = file.exists(), file.parent.is_dir() and os.access(file.parent, os.W_OK)
    except (OSError, RuntimeError) as error:  # a name that is too long, or the folder of nobody
        raise DescriptionError(f"--export {text}: {path} is no name for a file: {error}") from error
    if there:
        raise DescriptionError(f"--export {text}: {path} is there already; name a new file")
    if not writable:
        raise DescriptionError(f"--export {text}: {file.parent} is no folder that can be written")
    return file


def write_exports(costs: Costs, wanted: Sequence[tuple[str, Path]]) -> None:
    """Write the files that were asked for, all of them or none.

    Raises:
        DescriptionError: a tool has no way to say it.
    """
    from neurosim.exports import EXPORTS
    from neurosim.runs import write_text

    texts = [EXPORTS[kind](costs) for kind, _ in wanted]
    for (_, path), text in zip(wanted, texts, strict=True):
        write_text(path, text)
