"""sweeps.executors: every way to run jobs gives the same rows, and losing a process loses no job."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from sweep_cases import always_killed, killed_once, planned, without_clock

from neurosim.errors import RunError
from neurosim.sweeps import executors
from neurosim.sweeps.executors import connect, run_here, run_on, run_processes

JOBS = planned().jobs


def rows(finished):
    return {job.id: without_clock(row) for job, row in finished}


@pytest.fixture(scope="module")
def expected():
    return rows(run_here(JOBS, None))


def test_processes_give_the_rows_that_this_process_gives(expected):
    assert rows(run_processes(JOBS, None, 2)) == expected


def test_any_executor_of_the_callers_will_do(expected):
    with ThreadPoolExecutor(2) as threads:
        assert rows(run_on(JOBS, None, threads)) == expected


def test_a_job_whose_process_was_killed_is_computed_again(expected, tmp_path, monkeypatch):
    monkeypatch.setattr(executors, "run_job", killed_once)
    (tmp_path / "trap").write_text(JOBS[2].id)
    assert rows(run_processes(JOBS, str(tmp_path), 2)) == expected
    assert not (tmp_path / "trap").exists()


def test_a_job_that_kills_its_process_again_is_lost_and_the_others_go_on(expected, tmp_path, monkeypatch):
    monkeypatch.setattr(executors, "run_job", always_killed)
    (tmp_path / "trap").write_text(JOBS[2].id)
    found = rows(run_processes(JOBS, str(tmp_path), 2))
    assert found[JOBS[2].id]["status"] == "lost"
    assert {i: row for i, row in found.items() if i != JOBS[2].id} == {
        i: row for i, row in expected.items() if i != JOBS[2].id
    }


def test_processes_that_cannot_start_are_an_error_and_not_lost_jobs(monkeypatch):
    monkeypatch.setattr(executors, "_begin", _die)
    with pytest.raises(RunError, match="cannot be started"):
        list(run_processes(JOBS, None, 2))


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def cluster():
    """Yield a Dask cluster of two worker processes on this machine."""
    from distributed import LocalCluster

    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0", "processes": True}
    with LocalCluster(**options) as found:
        yield found


def test_a_dask_cluster_gives_the_rows_that_this_process_gives(expected, cluster):
    with connect(cluster.scheduler_address) as executor:
        assert rows(run_on(JOBS, None, executor)) == expected


def test_a_dask_worker_that_is_killed_loses_no_job(expected, cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(executors, "run_job", killed_once)
    (tmp_path / "trap").write_text(JOBS[3].id)
    with connect(cluster.scheduler_address) as executor:
        assert rows(run_on(JOBS, str(tmp_path), executor)) == expected
    assert not (tmp_path / "trap").exists()


def test_a_scheduler_that_does_not_answer_is_refused(monkeypatch):
    monkeypatch.setattr(executors, "_CONNECT_SECONDS", 0.5)
    with pytest.raises(RunError, match="no scheduler answers there"), connect("tcp://127.0.0.1:9"):
        pass


def test_an_executor_that_gives_up_on_a_job_makes_it_a_lost_one(monkeypatch):
    def refuse(job, data_dir):
        raise RuntimeError("gone")

    monkeypatch.setattr(executors, "run_job", refuse)
    with ThreadPoolExecutor(1) as threads:
        found = {job.id: row for job, row in run_on(JOBS[:1], None, threads)}
    assert found[JOBS[0].id]["status"] == "lost"
    assert "gone" in found[JOBS[0].id]["error"]
