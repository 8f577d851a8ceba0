"""Where the jobs of a sweep run: in this process, in processes of this machine, or on a Dask cluster.

Every way yields (job, row) as jobs end, in any order, and leaves nothing running when it is left early.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from neurosim.errors import RunError
from neurosim.sweeps.measure import LOST, run_job
from neurosim.sweeps.points import Job

Row = dict[str, Any]
Finished = Generator[tuple[Job, Row], None, None]

AHEAD = 2
"""Jobs handed to each process beside the one it computes, so that it need not wait for the next."""

IDLE_SECONDS = 300
"""After so long without a job, as when the sweep was killed, its processes end by themselves."""

_CONNECT_SECONDS = 10


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_here(jobs: Sequence[Job], data_dir: str | None) -> Finished:
    """Compute jobs in this process, one after the other."""
    for job in jobs:
        yield job, run_job(job, data_dir)


def run_processes(jobs: Sequence[Job], data_dir: str | None, processes: int) -> Finished:
    """Compute jobs in ``processes`` processes of this machine, each with one BLAS thread.

    A process that is killed (out of memory, say) takes the pool with it: a new one goes on. Jobs that were under way
    are then tried one at a time, and one whose process dies again is lost, and says so.
    """
    suspects: list[Job] = []
    left = deque(jobs)
    while left:
        with _pool(processes) as pool:
            yield from _submit(pool, left, suspects, data_dir, processes + AHEAD)
        while suspects:
            yield from _try_alone(suspects.pop(0), data_dir)


def _submit(pool: Executor, left: deque[Job], suspects: list[Job], data_dir: str | None, most: int) -> Finished:
    """Keep ``most`` jobs in a pool until none is left, or the pool breaks: then those under way are suspects."""
    running: dict[Future[Row], Job] = {}
    while left or running:
        try:
            while left and len(running) < most:
                running[pool.submit(run_job, left[0], data_dir)] = left[0]
                left.popleft()
        except BrokenProcessPool:
            if not running:
                return  # it broke while idle; a new one goes on
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            job = running.pop(future)
            if isinstance(future.exception(), BrokenProcessPool):
                suspects.append(job)
            else:
                yield job, future.result()
        if suspects:
            suspects += running.values()
            return


def _try_alone(job: Job, data_dir: str | None) -> Finished:
    with _pool(1) as pool:
        try:
            yield job, pool.submit(run_job, job, data_dir).result()
        except BrokenProcessPool:
            why = "the process that computed it ended before it was done, twice; memory may have run out"
            yield job, {"status": LOST, "error": why, "wall_seconds": float("nan")}


@contextmanager
def _pool(processes: int) -> Iterator[Executor]:
    """Yield a pool of fresh processes that need no `if __name__ == "__main__"` in the caller's script."""
    from loky import ProcessPoolExecutor

    environment = {"OPENBLAS_NUM_THREADS": "1"}
    pool = ProcessPoolExecutor(processes, initializer=_leave_interrupts, env=environment, timeout=IDLE_SECONDS)
    try:
        try:
            with _interrupts_later():
                pool.submit(_begin).result()
        except BrokenProcessPool as error:
            raise RunError("processes: cannot be started on this machine; see above, or use --processes 1") from error
        yield pool
    finally:
        pool.shutdown(wait=True, kill_workers=True)


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Let processes begin with interrupts ignored, which they inherit: until they have imported all, they would die."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _begin() -> None:
    """Be the first job of a pool: that it ends says that processes start and can import what jobs need."""


def _leave_interrupts() -> None:
    """Let Ctrl-C reach the sweep alone, which then ends its processes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def run_on(jobs: Sequence[Job], data_dir: str | None, executor: Executor) -> Finished:
    """Compute jobs on an executor of the caller's, all of which are handed over at once.

    An executor that loses a job (a worker that was killed too often) makes it a lost one; the others go on.
    """
    running: dict[Future[Row], Job] = {}
    try:
        for job in jobs:
            running[executor.submit(run_job, job, data_dir)] = job
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                job = running.pop(future)
                try:
                    yield job, future.result()
                except (Exception, CancelledError) as problem:  # of the executor: a job's own error is in its row
                    why = f"{type(problem).__name__}: {problem}"
                    yield job, {"status": LOST, "error": why, "wall_seconds": float("nan")}
    except RuntimeError as error:  # shut down
        raise RunError(
            f"executor: takes no more points ({error}); what was finished is kept, go on with --resume"
        ) from error
    finally:
        for future in running:
            future.cancel()


@contextmanager
def connect(scheduler: str) -> Iterator[Executor]:
    """Yield an executor on the Dask cluster whose scheduler has this address.

    Raises:
        RunError: Dask is not installed, or no scheduler answers there.
    """
    try:
        from distributed import Client
    except ImportError:
        raise RunError(
            f"--scheduler {scheduler}: needs Dask, which is not installed; pip install 'neurosim-chip[cluster]'"
        ) from None
    try:
        client = Client(scheduler, timeout=_CONNECT_SECONDS)
    except Exception as error:  # of its own many kinds: no answer, no such protocol, no such port
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunError(
            f"--scheduler {scheduler}: no scheduler answers there ({reason}); give the address that dask scheduler "
            "prints, such as tcp://10.0.0.1:8786"
        ) from None
    with client, client.get_executor(pure=False) as executor:
        yield executor
