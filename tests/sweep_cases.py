"""Small sweeps that the tests of sweeps share, and jobs that misbehave."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from neurosim.sweeps import make_sweep, plan_sweep
from neurosim.sweeps.measure import run_job

SMALL = {
    "network": "64-12-12-10",
    "rules": ["bp", "dfa"],
    "chip": "mesh64",
    "cores": [1, 4],
    "recipe": {"batch_size": 8},
}


def planned(**changes):
    """Return a small planned sweep: eight jobs, four of them on the von Neumann machine."""
    return plan_sweep(make_sweep({**SMALL, **changes}))


def without_clock(row):
    """Return a row without the seconds that it took to compute."""
    return {name: value for name, value in row.items() if name != "wall_seconds"}


def killed_once(job, data_dir):
    """Compute a job, but kill the process at the first try of one of them: data_dir/trap says which."""
    trap = Path(data_dir) / "trap"
    if trap.exists() and trap.read_text() == job.id:
        trap.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return run_job(job)


def always_killed(job, data_dir):
    """Compute a job, but kill the process at every try of the one that data_dir/trap names."""
    if (Path(data_dir) / "trap").read_text() == job.id:
        os.kill(os.getpid(), signal.SIGKILL)
    return run_job(job)


def slow(job, data_dir):
    """Take a while, and say that it began."""
    (Path(data_dir) / f"began-{job.id}").touch()
    time.sleep(0.3)
    return run_job(job)
