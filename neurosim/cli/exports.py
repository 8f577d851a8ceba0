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
        file = Path(path).expanduser()
        if file.exists():
            raise DescriptionError(f"--export {text}: {path} is there already; name a new file")
        if not (file.parent.is_dir() and os.access(file.parent, os.W_OK)):
            raise DescriptionError(f"--export {text}: {file.parent} is no folder that can be written")
        if any(file == other for _, other in found):
            raise DescriptionError(f"--export {text}: {path} is named twice")
        found.append((kind, file))
    return found


def write_exports(costs: Costs, wanted: Sequence[tuple[str, Path]]) -> None:
    """Write the files that were asked for."""
    from neurosim.exports import export

    for kind, path in wanted:
        export(costs, kind, path)
