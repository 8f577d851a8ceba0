"""Numba kernels: arrays and numbers in, arrays out. The one place that imports Numba."""

from __future__ import annotations

from collections.abc import Callable
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
    compiled = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})(function)
    return cast(Function, compiled)
