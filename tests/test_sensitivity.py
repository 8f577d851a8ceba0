"""sensitivity: assumed numbers from half to double, priced without counting again, and what that turns round."""

from __future__ import annotations

import math

import pytest

import neurosim as ns
from neurosim.chips import assumed_reasons, is_priced, load_chip
from neurosim.descriptions import override
from neurosim.errors import DescriptionError
from neurosim.pipeline import cost
from neurosim.sensitivity import (
    Flip,
    Outcome,
    Sensitivity,
    assumptions,
    conclude,
    margins,
    vary_assumed,
)

NETWORK, RULES = "24-12-12-5", ["bp", "dfa", "ssdfa"]


@pytest.fixture(scope="module")
def found() -> Sensitivity:
    return vary_assumed(NETWORK, rules=RULES, batch_size=8, fidelity="analytic")


def machines_of(found: Sensitivity):
    return {name: load_chip(name.partition(" ")[0]) for name in (found.chip, *found.baselines)}


def energies(chip, rule, **settings):
    return cost(NETWORK, rule=rule, chip=chip, batch_size=8, fidelity="analytic", **settings).energy_joules


def test_every_assumed_price_is_varied_from_half_to_double(found):
    machines = machines_of(found)
    wanted = {
        (path, name)
        for name, chip in machines.items()
        for path, (value, _) in assumed_reasons(chip).items()
        if is_priced(path) and value and not path.startswith("memory_energy")
    }
    varied = {(each.assumption.path, name) for each in found.variations for name in each.assumption.machines}
    assert varied == wanted
    assert all(each.values == (each.assumption.value / 2, each.assumption.value * 2) for each in found.variations)


def test_an_assumed_number_is_either_varied_or_listed_with_the_reason(found):
    varied = {f"{name}.{each.assumption.path}" for each in found.variations for name in each.assumption.machines}
    everything = {f"{name}.{path}" for name, chip in machines_of(found).items() for path in assumed_reasons(chip)}
    assert varied | set(found.not_varied) == everything
    assert not varied & set(found.not_varied)
    assert found.not_varied["mesh64.grid"] == "counts or cycles hang on it"
    assert found.not_varied["mesh64.io.ports"] == "a list of numbers"
    assert found.not_varied["mesh64.noc.flit_bits"] == "counts or cycles hang on it"
    assert found.not_varied["mesh64.noc.router.vc_buffer_flits"] == "only fidelity flit looks at it"


@pytest.mark.parametrize("path", ["core.mac_pj", "clock_mhz", "static_w_core", "noc.router_pj_per_flit"])
def test_ratios_are_those_of_costs_on_a_chip_with_that_number(found, path):
    variation = next(
        each for each in found.variations
        if each.assumption.path == path and each.assumption.machines[0] == "mesh64"
    )  # fmt: skip
    mesh64 = load_chip("mesh64")
    for rule in RULES:
        for value, ratio in zip(variation.values, variation.ratios[rule], strict=True):
            changed = energies(override(mesh64, path, str(value)), rule)
            assert ratio == pytest.approx(changed / energies(mesh64, rule), rel=1e-12)
        assert variation.time_ratios[rule] == ((2.0, 0.5) if path == "clock_mhz" else (1.0, 1.0))


def test_a_number_that_the_chip_has_not_shows_what_it_does_to_the_other_machine(found):
    shown = [each for each in found.variations if each.assumption.machines[0] == "von_neumann"]
    power = next(each for each in shown if each.assumption.path == "static_w_core")
    for value, ratio in zip(power.values, power.ratios["dfa"], strict=True):
        changed = override(load_chip("von_neumann"), "static_w_core", str(value))
        auto = {"rule": "dfa", "microbatch": "auto"}
        assert ratio == pytest.approx(energies(changed, **auto) / energies("von_neumann", **auto), rel=1e-12)
    assert power.ratios["dfa"][0] < 1 < power.ratios["dfa"][1]


def test_a_number_that_both_machines_share_is_varied_in_both():
    machines = {name: load_chip(name) for name in ("mesh64", "von_neumann")}
    by_path = {}
    for each in assumptions(machines):
        by_path.setdefault(each.path, []).append(each.machines)
    assert by_path["core.mac_pj"] == [("mesh64", "von_neumann")]
    assert by_path["static_w_core"] == [("mesh64",), ("von_neumann",)]


def test_conclusions_are_answers_about_energy_and_time():
    parts = dict.fromkeys(("elementwise", "generate", "neuron_memory", "synapse_memory", "link", "border"), 0.0)
    parts |= dict.fromkeys(("router", "offchip", "channel", "barrier"), 0.0)
    costs = {
        "a": Outcome({**parts, "mac": 2.0, "static": 1.0, "total": 3.0}, seconds=0.5),
        "b": Outcome({**parts, "mac": 1.0, "static": 3.0, "total": 4.0}, seconds=0.25),
    }
    answers = conclude({"chip": costs, "other": {"a": costs["b"], "b": costs["b"]}})
    assert answers == {
        "energy: a or b": "a < b",
        "energy: a on chip or other": "chip < other",
        "energy: b on chip or other": "chip = other",
        "time: a or b": "b < a",
        "time: a on chip or other": "other < chip",
        "time: b on chip or other": "chip = other",
        "energy: largest component of a": "mac",
        "energy: largest component of b": "static",
    }
    factors = margins({"chip": costs, "other": {"a": costs["b"], "b": costs["b"]}})
    assert list(factors) == list(answers)
    assert factors["energy: a or b"] == pytest.approx(4 / 3)
    assert factors["time: b on chip or other"] == 1
    assert factors["energy: largest component of b"] == 3


def test_a_conclusion_that_hangs_on_one_number_turns_round():
    def with_power(watts):
        return override(load_chip("mesh64"), "static_w_core", str(watts))

    idle = energies(with_power(0.0), "dfa")
    per_watt = energies(with_power(1.0), "dfa") - idle
    equal_w = (energies("von_neumann", "dfa") - idle) / per_watt
    found = vary_assumed(NETWORK, rules="dfa", chip=with_power(0.8 * equal_w), batch_size=8, fidelity="analytic")
    question = "energy: dfa on mesh64 or von_neumann"
    assert found.conclusions[question] == "mesh64 < von_neumann"
    variation = next(each for each in found.variations if each.assumption.value == 0.8 * equal_w)
    turned = Flip(question, "mesh64 < von_neumann", "von_neumann < mesh64")
    assert turned in variation.flips
    assert turned in found.together


def test_what_one_number_turns_round_all_together_turn_round_too(found):
    alone = {flip.question for each in found.variations for flip in each.flips}
    assert alone
    assert alone <= {flip.question for flip in found.together}


def test_structure_is_counted_again_in_closed_form_where_asked_for():
    chip = override(load_chip("tiny"), "core.synapse_memory.capacity_bytes", "900")
    found = vary_assumed("12-8-8-4", rules=["dfa"], chip=chip, batch_size=4, recount=True, fidelity="analytic")
    by_path = {(each.assumption.path, each.assumption.machines[0]): each for each in found.variations}
    flits = by_path["noc.flit_bits", chip.name]
    assert flits.values == (8, 32)
    before = cost("12-8-8-4", rule="dfa", chip=chip, batch_size=4, fidelity="analytic").energy_joules
    for value, ratio in zip(flits.values, flits.ratios["dfa"], strict=True):
        other = override(chip, "noc.flit_bits", str(value))
        after = cost("12-8-8-4", rule="dfa", chip=other, batch_size=4, fidelity="analytic").energy_joules
        assert ratio == pytest.approx(after / before, rel=1e-12)
    lanes = by_path["core.lanes", chip.name]
    assert lanes.values == ((1, 1), (1, 4))
    slow, fast = lanes.time_ratios["dfa"]
    assert fast < 1 < slow
    small = by_path["core.synapse_memory.capacity_bytes", chip.name]
    assert math.isnan(small.ratios["dfa"][0])
    assert small.notes[0].startswith("450: ")


def test_a_sample_has_the_ratios_of_a_step_and_its_share_of_the_energy(found):
    sample = vary_assumed(NETWORK, rules=RULES, batch_size=8, fidelity="analytic", per="sample")
    step, one = (each.energies["mesh64"]["dfa"]["total"] for each in (found, sample))
    assert one == pytest.approx(step / 8)
    for whole, share in zip(found.variations, sample.variations, strict=True):
        assert share.ratios == {rule: pytest.approx(pair) for rule, pair in whole.ratios.items()}


def test_the_table_has_a_row_for_each_number_and_rule(found):
    assert len(found.frame) == len(found.variations) * len(RULES)
    assert found.as_dict()["parameters"][0]["parameter"] == found.variations[0].assumption.path


def test_a_machine_behind_a_channel_has_no_other_to_be_held_against():
    found = vary_assumed(NETWORK, rules="dfa", chip="von_neumann", batch_size=8, fidelity="analytic")
    assert found.baselines == ()
    assert set(found.conclusions) == {"energy: largest component of dfa"}


def test_what_makes_one_processor_several_is_not_counted_again():
    found = vary_assumed(NETWORK, rules="dfa", batch_size=8, fidelity="analytic", recount=True)
    assert not [each for each in found.variations if each.notes]
    assert found.not_varied["von_neumann.noc.cores_per_router"] == "it is one processor"


def test_the_chip_is_held_against_both_bounds_of_a_cache(found):
    ideal = override(load_chip("von_neumann"), "channel.reuse", "ideal")
    assert found.baselines == ("von_neumann", "von_neumann (reuse ideal)")
    for rule in RULES:
        joules = energies(ideal, rule, microbatch="auto")
        assert found.energies[found.baselines[1]][rule]["total"] == pytest.approx(1e12 * joules, rel=1e-12)
        assert f"energy: {rule} on mesh64 or von_neumann (reuse ideal)" in found.conclusions


def test_a_chip_of_ones_own_keeps_its_name_beside_the_shipped_machine():
    mine = load_chip("mesh64").model_copy(update={"name": "von_neumann"})
    found = vary_assumed(NETWORK, rules="dfa", chip=mine, batch_size=8, fidelity="analytic")
    assert found.baselines == ("von_neumann (as shipped)", "von_neumann (as shipped) (reuse ideal)")
    assert found.energies["von_neumann"]["dfa"]["total"] == pytest.approx(1e12 * energies("mesh64", "dfa"))


def test_efforts_are_told_of_what_is_counted_first():
    told = []
    vary_assumed("12-8-4", rules=["bp", "dfa"], batch_size=4, recount=True, before_simulating=told.append)
    assert len(told) == 3 * 2  # machines and rules


def test_routers_are_varied_where_flits_are_simulated():
    chip = override(load_chip("mesh64"), "grid", "[2, 2]")
    found = vary_assumed("12-8-4", rules="dfa", chip=chip, batch_size=4, recount=True, fidelity="flit")
    assert "noc.router.vc_buffer_flits" in {each.assumption.path for each in found.variations}


def test_rules_that_are_named_twice_are_refused():
    with pytest.raises(DescriptionError, match=r"^rules: dfa, dfa: names a rule twice"):
        ns.vary_assumed(NETWORK, rules=["dfa", "dfa"])
