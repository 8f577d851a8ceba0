"""Numba kernels: arrays and numbers in, arrays out. The one place that imports Numba."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numpy.typing import NDArray

Array = NDArray[Any]
Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile a module-level function for the types it is first called with, and cache the machine code on disk.

    The only freedom given to the compiler is to fuse a product and a sum (``contract``): one rounding instead of two,
    and never another order of summation, so results do not depend on how loops are vectorised.
    """
    config: Any = numba.config
    chosen = config.CACHE_DIR
    config.CACHE_DIR = cache_folder(chosen)
    try:
        compiled = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})(function)
    finally:
        config.CACHE_DIR = chosen
    return cast(Function, compiled)


@cache
def cache_folder(chosen: str) -> str:
    """Return the folder for machine code: below ``chosen`` (NUMBA_CACHE_DIR), beside the sources, or the user's cache.

    Its name is a digest of all kernels: Numba looks at the file of a function only, and would go on using machine code
    into which another file's function was compiled before it changed.
    """
    here = Path(__file__).parent
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(here.glob("*.py")))).hexdigest()[:16]
    beside = here / "__pycache__"
    if chosen:
        base = Path(chosen)
    elif os.access(beside if beside.exists() else here, os.W_OK):
        base = beside
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "neurosim"
    return str(base / f"kernels-{digest}")


def compiling_is_due() -> bool:
    """Whether nothing has been compiled on this machine yet for these sources: the first run takes a while longer."""
    config: Any = numba.config
    return not any(Path(cache_folder(config.CACHE_DIR)).rglob("*.nbi"))
