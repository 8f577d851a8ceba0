"""sweeps.forecast: points that will take long are known before anything runs."""

from __future__ import annotations

from sweep_cases import planned

from neurosim.sweeps import forecast, long_points
from neurosim.sweeps.forecast import _at_most, _effort


def test_small_points_are_not_even_placed(monkeypatch):
    monkeypatch.setattr(forecast, "place_point", lambda point: 1 / 0)
    assert long_points(planned().jobs) == []


def test_a_large_simulation_is_told_by_its_crossings():
    recipe = {"batch_size": 256, "overlap": "exact"}  # every microbatch is simulated
    plan = planned(network="784-4x4096-10", chip="mesh1024", cores=[4096], memory="fixed", recipe=recipe)
    (point, effort), *rest = long_points(plan.jobs)
    assert (point.rule.name, rest) == ("bp", [])  # dfa takes seconds
    assert effort.seconds > 60
    assert effort.crossings > 10**9


def test_points_that_do_not_fit_are_left_to_their_rows():
    plan = planned(network="784-4x4096-10", chip="tiny", cores=[4096], memory="fixed")
    assert long_points(plan.jobs) == []


def test_what_a_point_can_take_at_most_is_never_less_than_what_it_is_predicted_to():
    for point in planned(cores=[1, 4, 64], set={"delivery": ["unicast", "multicast"]}, rules=["bp", "dfa"]).points:
        assert _effort(point).seconds <= _at_most(point)


def test_closed_forms_take_no_time():
    plan = planned(network="784-4x4096-10", chip="mesh1024", cores=[4096], memory="fixed", fidelity="analytic")
    assert long_points(plan.jobs) == []
