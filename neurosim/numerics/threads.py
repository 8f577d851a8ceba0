"""BLAS on one thread: on a busy machine two can be ten times slower, and results then depend on their number."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]


@contextmanager
def single_blas_thread() -> Iterator[None]:
    """Run the block's matrix products on one thread, whatever the environment says, and restore the limit after."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield
