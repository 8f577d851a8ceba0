"""sweeps.points: the points of a sweep, and what they are a function of."""

from __future__ import annotations

import numpy as np
import pytest
from sweep_cases import planned

from neurosim.errors import DescriptionError
from neurosim.sweeps.measure import _PREPARED as prepared_sets
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


CHANGES = [
    {"recipe": {"batch_size": 9}}, {"recipe": {"batch_size": 8, "seed": 1}}, {"recipe": {"batch_size": 8, "lr": 0.5}},
    {"fidelity": "analytic"}, {"per": "sample"}, {"network": "64-12-13-10"}, {"von_neumann": False, "chip": "mesh1024"},
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_the_digest_of_a_point_hangs_on_everything_that_changes_it(change):
    ids = {p.id for p in planned().points}
    assert ids == {p.id for p in planned().points}
    assert ids.isdisjoint({p.id for p in planned(**change).points})


def test_what_is_learned_hangs_on_the_contents_of_the_data(tmp_path):
    def trained(value):
        x = np.full((40, 64), value, dtype=np.float32)
        x[:, 0] = np.arange(40) / 40
        np.savez(tmp_path / "my.npz", x_train=x, y_train=np.arange(40) % 10)
        plan = planned(learning={"dataset": str(tmp_path / "my.npz")})
        return {job.id for job in plan.jobs if job.trains}

    prepared_sets.clear()
    first = trained(0.5)
    prepared_sets.clear()
    assert first.isdisjoint(trained(1.0))


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
    points = on_chip(planned(weak=True, cores=[4, 5, 9], network="64-40-40-10"))
    macs = {p.chip.cores: sum(shape.macs for shape in p.network.shapes) for p in points}
    assert set(macs) == {4, 6, 9}  # 5 are asked for, and 3 x 2 there
    for cores, found in macs.items():
        assert found == pytest.approx(macs[4] * cores / 4, rel=0.05)


def test_a_width_that_is_swept_is_where_the_growth_begins():
    points = on_chip(planned(weak=True, cores=[1, 16], set={"layers.1.units": [24]}))
    assert {p.chip.cores: p.network.widths[1] > 24 for p in points} == {1: False, 16: True}


def test_the_von_neumann_machine_has_the_widths_of_the_chip():
    plan = planned(set={"chip.widths.weight_bits": [8, 16]})
    assert {p.chip.widths.weight_bits for p in plan.points if p.machine != "chip"} == {8, 16}


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
