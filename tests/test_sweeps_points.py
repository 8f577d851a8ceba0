"""sweeps.points: the points of a sweep, and what they are a function of."""

from __future__ import annotations

import pytest
from sweep_cases import planned

from neurosim.errors import DescriptionError
from neurosim.sweeps.points import jobs_of


def on_chip(plan):
    return [point for point in plan.points if point.machine == "chip"]


def test_all_combinations_of_the_axes_are_points():
    plan = planned(set={"microbatch": [1, 8], "delivery": ["unicast", "multicast"]})
    found = {(p.rule.name, p.chip.cores, p.recipe.microbatch, p.recipe.delivery) for p in on_chip(plan)}
    assert len(found) == len(on_chip(plan)) == 2 * 2 * 2 * 2


def test_zipped_axes_go_side_by_side_for_every_rule():
    plan = planned(set={"microbatch": [1, 8]}, zip=True)
    found = [(p.rule.name, p.chip.cores, p.recipe.microbatch) for p in on_chip(plan)]
    assert found == [("bp", 1, 1), ("bp", 4, 8), ("dfa", 1, 1), ("dfa", 4, 8)]


def test_a_field_of_network_rule_chip_and_recipe_can_be_an_axis():
    plan = planned(
        set={"chip.noc.flit_bits": [32, 64], "layers.1.units": [6, 12], "dfa:feedback.storage": ["stored", "generated"]}
        | {"lr": [0.1, 0.2]},
        cores=[4],
    )
    assert {p.chip.noc.flit_bits for p in on_chip(plan)} == {32, 64}
    assert {p.network.widths[1] for p in on_chip(plan)} == {6, 12}
    assert {p.rule.feedback.storage for p in on_chip(plan) if p.rule.name == "dfa"} == {"stored", "generated"}
    assert {p.recipe.lr for p in on_chip(plan)} == {0.1, 0.2}


def test_equal_descriptions_are_one_job():
    plan = planned(set={"dfa:feedback.storage": ["stored", "generated"]}, rules=["bp", "dfa"], cores=[4])
    assert len([p for p in on_chip(plan) if p.rule.name == "bp"]) == 2
    assert len({p.id for p in on_chip(plan) if p.rule.name == "bp"}) == 1
    assert len(jobs_of(on_chip(plan))) == 3


def test_the_digest_of_a_point_hangs_on_everything_that_changes_it():
    ids = {p.id for p in planned().points}
    assert ids == {p.id for p in planned().points}
    assert ids.isdisjoint({p.id for p in planned(recipe={"batch_size": 9}).points})


def test_the_von_neumann_machine_is_a_point_for_every_rule_and_reuse():
    found = [(p.machine, p.rule.name) for p in planned().points if p.machine != "chip"]
    assert found == [(f"von_neumann (reuse {r})", rule) for r in ("layer", "ideal") for rule in ("bp", "dfa")]
    assert len(planned(von_neumann=False).points) == 4


def test_what_is_learned_does_not_hang_on_the_chip():
    plan = planned(learning={"dataset": "digits"}, rules=["bp", "bp-mirrored", "dfa"], set={"microbatch": [1, 8]})
    trainings = [job for job in plan.jobs if job.trains]
    assert len(trainings) == 2  # bp learns the same with mirrored weights


def test_rules_together_share_their_placement():
    alone, together = planned(), planned(together=True)
    assert {len(p.beside) for p in on_chip(alone)} == {1}
    assert {tuple(r.name for r in p.beside) for p in on_chip(together)} == {("bp", "dfa")}


def test_a_network_grows_with_the_cores():
    widths = {p.chip.cores: p.network.widths[1] for p in on_chip(planned(weak=True, cores=[1, 16]))}
    assert widths[1] == 12
    assert widths[16] > 40


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"set": {"chip.noc.flit_bit": [4]}}, "chip.noc.flit_bit.*did you mean 'flit_bits'"),
        ({"set": {"chip.noc.flit_bits": [64, 0]}}, "chip.noc.flit_bits = 0, .*must be at least 1"),
        ({"set": {"flavour": [1]}}, "no field 'flavour'"),
        ({"set": {"microbatch": [4, 16]}}, "microbatch = 16, .*at most batch_size, which is 8"),
        ({"set": {"fa:lr": [1]}}, "rule 'fa' is not in use"),
        ({"chip": "von_neumann"}, "cores = 1: .*has no cores to scale"),
        ({"network": "64-10", "weak": True}, "cores = 4: .*no hidden layer"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_axis_before_anything_runs(change, sentence):
    with pytest.raises(DescriptionError, match=sentence):
        planned(**change)
