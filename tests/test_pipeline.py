"""pipeline: cost() from descriptions to costs."""

import json
import tracemalloc

import pytest

import neurosim as ns
from neurosim.chips import load_chip, tile_chips
from neurosim.costs import price
from neurosim.counts import COUNT_NAMES
from neurosim.descriptions import override
from neurosim.errors import DescriptionError, PlacementError
from neurosim.pipeline import check_agreement, cost
from neurosim.trace import TRAFFIC_INDEX, trace_from_arrays

NETWORK = "12-9-7-5"


@pytest.fixture(scope="module")
def costs():
    return cost(NETWORK, rule="dfa", chip="mesh64", batch_size=6)


def test_json_has_every_count_phase_and_setting(costs):
    found = json.loads(json.dumps(costs.as_dict()))
    assert set(found["counts"]) == set(COUNT_NAMES)
    assert set(found["phases"]) == {"forward", "error", "update", "io"}
    assert {"per", "makespan_cycles", "bound_cycles", "seconds", "energy_pj", "microbatch"} <= set(found)
    assert {"cores_per_layer", "delivery", "overlap", "assumed"} <= set(found)
    assert found["per"] == "step"


def test_phases_add_up_to_the_counts_and_the_energy(costs):
    found = costs.as_dict()
    for name, value in found["counts"].items():
        assert sum(phase[name] for phase in found["phases"].values()) == value
    placed = sum(phase["energy_pj"]["total"] for phase in found["phases"].values())
    rest = found["energy_pj"]["static"] + found["energy_pj"]["barrier"]
    assert placed + rest == pytest.approx(found["energy_pj"]["total"])


def test_energy_components_add_up_to_the_total(costs):
    energy = dict(costs.energy_pj)
    assert energy.pop("total") == pytest.approx(sum(energy.values()))
    assert costs.energy_joules == pytest.approx(costs.energy_pj["total"] * 1e-12)


def test_frame_and_json_say_the_same(costs):
    frame = costs.frame
    for name, value in costs.counts.items():
        assert frame[frame["quantity"] == name]["value"].sum() == value
    total = frame[frame["quantity"] == "total_energy_pj"]["value"].item()
    assert total == pytest.approx(costs.energy_pj["total"])


def test_costs_per_sample_are_those_of_a_step_shared_out(costs):
    per_sample = cost(NETWORK, rule="dfa", chip="mesh64", batch_size=6, per="sample")
    assert per_sample.counts["macs"] * 6 == costs.counts["macs"]
    assert per_sample.seconds * 6 == pytest.approx(costs.seconds)


@pytest.mark.parametrize("overlap", ["none", "exact"])
def test_an_epoch_counts_full_steps_and_the_short_one(overlap):
    epoch = cost(NETWORK, rule="ssdfa", batch_size=6, per="epoch", samples=20, overlap=overlap)
    full = cost(NETWORK, rule="ssdfa", batch_size=6, overlap=overlap)
    short = cost(NETWORK, rule="ssdfa", batch_size=2, overlap=overlap, microbatch=2)
    assert epoch.counts["macs"] == 3 * full.counts["macs"] + short.counts["macs"]
    if overlap == "none":
        assert epoch.makespan_cycles == 3 * full.makespan_cycles + short.makespan_cycles


def test_analytic_fidelity_simulates_nothing_and_counts_the_same(costs):
    closed = cost(NETWORK, rule="dfa", chip="mesh64", batch_size=6, fidelity="analytic")
    assert closed.trace is None
    assert closed.makespan_cycles is None
    assert closed.counts == costs.counts
    assert closed.bound_cycles == costs.bound_cycles <= costs.makespan_cycles


def test_inference_has_no_errors_updates_or_labels():
    found = cost(NETWORK, rule="bp", batch_size=4, forward_only=True)
    assert found.phases["error"]["energy_pj"]["total"] == 0.0
    assert found.phases["update"]["macs"] == 0
    assert found.counts["offchip_bits"] == 4 * 12 * 8


def test_a_saved_trace_is_priced_again_under_another_technology(costs):
    trace = trace_from_arrays(costs.trace.as_arrays())
    chip = load_chip("mesh64")
    assert price(trace, chip).energy_pj == dict(costs.prices.energy_pj)
    dearer = ns.load_chip("mesh64").model_copy(update={"clock_mhz": 250.0})
    assert price(trace, dearer).seconds == pytest.approx(2 * costs.seconds)


def test_a_count_that_is_not_the_closed_form_s_is_never_shown(costs):
    other = cost(NETWORK, rule="bp", chip="mesh64", batch_size=6)
    with pytest.raises(ns.NeurosimError, match="closed form"):
        check_agreement(costs.trace, other.analysis)


def test_power_gating_takes_static_power_of_used_cores_only():
    gated = load_chip("mesh64").model_copy(update={"power_gating": True})
    found = cost("4-3-2", rule="bp", chip=gated, batch_size=2)
    watts = gated.static_w_chip + gated.static_w_core * found.placement.cores_used
    assert found.energy_pj["static"] == pytest.approx(watts * found.seconds * 1e12)


def test_a_phase_may_have_a_price_and_rate_of_its_own(costs):
    chip = override(load_chip("mesh64"), "core.update.mac_pj", "0.0")
    found = cost(NETWORK, rule="dfa", chip=chip, batch_size=6)
    assert found.phases["update"]["energy_pj"]["mac"] == 0.0
    assert found.phases["forward"]["energy_pj"]["mac"] == costs.phases["forward"]["energy_pj"]["mac"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"per": "week"}, "sample, step, epoch"),
        ({"fidelity": "events"}, "did you mean 'event'"),
        ({"batchsize": 3}, "did you mean 'batch_size'"),
        ({"per": "epoch", "samples": 0}, "from 1 to"),
    ],
)
def test_what_does_not_exist_is_refused_in_one_sentence(settings, words):
    with pytest.raises(DescriptionError, match=words):
        cost(NETWORK, **settings)


@pytest.mark.parametrize("rule", ["bp-mirrored", "bp"])
def test_new_weights_of_mirrors_are_told_from_the_copies_of_filters(rule):
    found = cost("lenet", rule=rule, chip="mesh64", batch_size=64, microbatch=25)
    rows = found.frame[found.frame["phase"] == "update"]
    apart = rows[rows["quantity"].str.startswith("new_weights_")].groupby("quantity")["value"].sum()
    groups = [group for group in found.trace.groups if group.payload == "new weights"]
    copies = [group for group in found.trace.groups if group.payload in ("partial gradients", "new copies")]
    assert sum(group.messages for group in copies) > 0
    if rule == "bp":
        assert apart.empty
        return
    for name in ("messages", "payload_bits", "flit_hops"):
        assert apart[f"new_weights_{name}"] == sum(getattr(group, name) for group in groups)
    assert apart["new_weights_mirror_writes"] == found.counts["mirror_writes"]
    flits, routers = apart["new_weights_flit_hops"], apart["new_weights_flit_routers"]
    noc, memory = found.chip.noc, found.chip.core.synapse_memory
    moved = flits * noc.link_pj_per_flit + routers * noc.router_pj_per_flit
    written = apart["new_weights_mirror_writes"] * memory.write_pj_per_word
    assert apart["new_weights_pj"] == pytest.approx(moved + written)


@pytest.fixture(scope="module")
def tiled():
    """A mirrored rule on eight chips of two cores: [4, 2]."""
    return cost(NETWORK, rule="bp-mirrored", chip=tile_chips(load_chip("tiny"), 8), batch_size=6)


def test_what_crosses_from_chip_to_chip_is_told_apart_and_priced_by_itself(tiled):
    counts, energy, noc = tiled.counts, tiled.energy_pj, tiled.chip.noc
    assert 0 < counts["border_bit_hops"] < counts["bit_hops"]
    assert energy["border"] == counts["border_flit_hops"] * noc.border.link_pj_per_flit
    assert energy["link"] == (counts["flit_hops"] - counts["border_flit_hops"]) * noc.link_pj_per_flit
    assert all(phase["border_bit_hops"] <= phase["bit_hops"] for phase in tiled.phases.values())
    rows = tiled.frame.groupby("quantity")["value"].sum()
    assert rows["border_energy_pj"] == energy["border"]
    assert 0 < rows["new_weights_border_flit_hops"] <= tiled.phases["update"]["border_flit_hops"]


def test_a_larger_chip_counts_what_several_chips_count_but_for_borders(tiled):
    large = cost(NETWORK, rule="bp-mirrored", chip=override(load_chip("tiny"), "grid", "[8, 1]"), batch_size=6)
    row = cost(NETWORK, rule="bp-mirrored", chip=override(load_chip("tiny"), "chips", "[4, 1]"), batch_size=6)
    without = {name: value for name, value in row.counts.items() if not name.startswith("border_")}
    assert without == {name: value for name, value in large.counts.items() if not name.startswith("border_")}
    assert large.counts["border_bit_hops"] == large.counts["border_flit_hops"] == large.energy_pj["border"] == 0
    assert row.makespan_cycles > large.makespan_cycles


def test_border_links_cost_what_their_direction_does_where_no_price_is_given():
    chip = tile_chips(load_chip("tiny"), 2)
    for direction, pj in (("border", "none"), ("east", "3"), ("west", "5")):
        chip = override(chip, f"noc.{direction}.link_pj_per_flit", pj)
    found = cost(NETWORK, rule="bp", chip=chip, batch_size=2)
    table = found.prices.counts.traffic.sum(axis=0)
    crossed = {way: int(table[TRAFFIC_INDEX[f"border_flit_hops_{way}"]]) for way in ("east", "west")}
    assert min(crossed.values()) > 0
    assert found.energy_pj["border"] == 3 * crossed["east"] + 5 * crossed["west"]


def test_what_borders_do_changes_nothing_on_one_chip(costs):
    chip = load_chip("mesh64")
    for key, value in (("link_bits", "1"), ("hop_cycles", "999"), ("link_pj_per_flit", "1e6")):
        chip = override(chip, f"noc.border.{key}", value)
    assert cost(NETWORK, rule="dfa", chip=chip, batch_size=6).as_dict() == costs.as_dict()
    assert price(costs.trace, chip).energy_pj == dict(costs.prices.energy_pj)


def test_a_network_too_large_for_one_chip_runs_on_several():
    network, tiny = "40-30-2", load_chip("tiny")
    with pytest.raises(PlacementError, match="or at least 6 of these chips, such as chips = "):
        cost(network, rule="bp", chip=tiny, batch_size=4)
    found = cost(network, rule="bp", chip=tile_chips(tiny, 6), batch_size=4)
    assert found.counts["macs"] == 4 * (2 * 30 * (40 + 2) + 2 * 30)
    assert found.energy_pj["border"] > 0


def test_new_weights_of_filters_cross_a_channel_once():
    found = cost("lenet", rule="bp-mirrored", chip="von_neumann", batch_size=64).frame
    mirrored = sum(shape.weights for shape in ns.load_network("lenet").shapes[1:])
    assert found[found["quantity"] == "new_weights_channel_bits"]["value"].sum() == 16 * mirrored


def test_closed_forms_make_no_plan_until_it_is_asked_for(costs):
    closed = cost(NETWORK, rule="dfa", chip="mesh64", batch_size=6, fidelity="analytic")
    assert closed.scheduled is None
    assert closed.plan is closed.plan
    assert costs.plan is costs.scheduled
    assert closed.plan.tasks.core.tolist() == costs.plan.tasks.core.tolist()
    assert closed.plan.messages.destination.tolist() == costs.plan.messages.destination.tolist()


@pytest.mark.parametrize("rule", ["bp", "bp-mirrored", "fa", "dfa", "ssdfa"])
def test_closed_forms_keep_no_table_of_layers_by_cores_or_of_all_tasks(rule):
    """200 layers on 20 000 cores: bits of layers x cores x outputs are 400 MB, counts of all tasks 30 MB."""
    chip = load_chip("mesh1024").model_copy(update={"grid": (100, 200)})
    network = ns.dense([100] * 201)
    cost(network, rule=rule, chip=chip, batch_size=8, fidelity="analytic")  # what is imported and cached is not counted
    tracemalloc.start()
    try:
        cost(network, rule=rule, chip=chip, batch_size=8, fidelity="analytic")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20e6


def test_flit_fidelity_says_how_far_the_event_level_is_off(costs):
    found = cost(NETWORK, rule="dfa", chip="mesh64", batch_size=6, fidelity="flit")
    assert (found.fidelity, costs.fidelity) == ("flit", "event")
    assert found.counts == costs.counts
    assert found.event_makespan_cycles == costs.makespan_cycles == costs.event_makespan_cycles
    assert found.event_error_percent == pytest.approx(100 * (costs.makespan_cycles / found.makespan_cycles - 1))
    assert costs.event_error_percent is None
    assert found.seconds == pytest.approx(costs.seconds * found.makespan_cycles / costs.makespan_cycles)
    quantities = set(found.frame["quantity"])
    assert {"makespan_cycles", "event_makespan_cycles"} <= quantities
    shares = cost(NETWORK, rule="dfa", chip="mesh64", batch_size=6, fidelity="flit", per="sample")
    assert shares.event_makespan_cycles == found.event_makespan_cycles / 6
