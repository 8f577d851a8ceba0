"""sweeps.measure: a point's row is what cost() and train() say, and no error leaves it."""

from __future__ import annotations

import pytest
from sweep_cases import planned, without_clock

import neurosim as ns
from neurosim.scaling import with_cores
from neurosim.sweeps.measure import run_job
from neurosim.sweeps.points import Job


def row_of(plan, number=0):
    return run_job(Job("", plan.points[number], False))


def test_a_row_is_what_cost_says_of_the_same_descriptions():
    row = row_of(planned(), 1)
    costs = ns.cost("64-12-12-10", rule="bp", chip=with_cores(ns.load_chip("mesh64"), 4), batch_size=8)
    assert {name: row[name] for name in costs.counts} == costs.counts
    assert (row["makespan_cycles"], row["energy_joules"]) == (costs.makespan_cycles, costs.energy_joules)
    assert row["stored_bits"] == sum(costs.stored_bits.values())


def test_a_point_is_a_pure_function_of_its_description():
    assert without_clock(row_of(planned())) == without_clock(row_of(planned()))


def test_what_learns_is_what_train_says():
    plan = planned(learning={"dataset": "digits"}, recipe={"batch_size": 8, "epochs": 1})
    (job, *_) = [job for job in plan.jobs if job.trains]
    row, costs = run_job(job), run_job(next(j for j in plan.jobs if not j.trains))
    chip = with_cores(ns.load_chip("mesh64"), 1)
    done = ns.train("64-12-12-10", rule="bp", chip=chip, dataset="digits", batch_size=8, epochs=1)
    assert row["test_accuracy"] == done.test_accuracy
    assert costs["training_joules"] == done.history["joules"].iloc[-1]


def test_the_shares_of_the_critical_path_add_up():
    row = row_of(planned())
    assert sum(row[f"path_{part}_share"] for part in ("compute", "memory", "network", "serial")) == pytest.approx(1)
    assert row["bound_by"] in ("compute", "memory", "network", "serial")


def test_closed_forms_name_the_largest_part_of_the_bound():
    row = row_of(planned(fidelity="analytic"))
    assert row["makespan_cycles"] is None
    assert row["bound_by"] in ("critical path", "busiest core", "busiest link")


def test_a_network_that_does_not_fit_is_a_row_that_says_so():
    row = row_of(planned(network="64-4000-4000-10", chip="tiny", cores=[1], memory="fixed"))
    assert row["status"] == "does not fit"
    assert "need" in row["error"]


def test_a_combination_that_is_refused_is_a_row_that_says_so():
    row = row_of(planned(recipe={"batch_size": 8, "init": "zero"}))
    assert row["status"] == "refused"
    assert "zero" in row["error"]


def test_an_error_of_the_program_is_a_row_that_says_so(monkeypatch):
    monkeypatch.setattr("neurosim.sweeps.measure.cost_placed", lambda *a, **k: 1 / 0)
    row = row_of(planned())
    assert (row["status"], row["error"]) == ("failed", "ZeroDivisionError: division by zero")


def test_rules_together_have_one_microbatch():
    chip = {
        "chip": "mesh64",
        "network": "64-200-200-10",
        "cores": [64],
        "memory": "scaled",
        "recipe": {"batch_size": 32},
    }
    chip |= {"set": {"chip.core.neuron_memory.capacity_bytes": 2200}}
    alone = {p.rule.name: run_job(Job("", p, False))["microbatch"] for p in planned(**chip).points[:2]}
    shared = {p.rule.name: run_job(Job("", p, False))["microbatch"] for p in planned(**chip, together=True).points[:2]}
    assert alone["bp"] < alone["dfa"]
    assert shared["bp"] == shared["dfa"] == alone["bp"]
