"""exports: files for other tools, read back and added up as these tools would."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from neurosim.chips import load_chip, tile_chips
from neurosim.descriptions import override
from neurosim.errors import DescriptionError
from neurosim.exports import EXPORTS, actions, check_kind, export, traffic_matrix
from neurosim.pipeline import cost

CHIPS = ("mesh64", "von_neumann", "loihi", "loihi_silicon", "seneca")


def costs_on(chip, **more):
    return cost("24-12-12-5", rule="bp", chip=chip, batch_size=6, **more)


def accelergy_total(text):
    """Multiply action counts with the energy reference table as Accelergy does, by component, action and arguments."""
    found = yaml.safe_load(text)
    table = {entry["name"]: {action["name"]: action for action in entry["actions"]} for entry in found["ERT"]["tables"]}
    assert {found["ERT"]["version"], found["action_counts"]["version"]} == {0.3}
    total = 0.0
    for component in found["action_counts"]["local"]:
        for action in component["action_counts"]:
            assert isinstance(action["counts"], int)
            reference = table[component["name"]][action["name"]]
            assert reference["arguments"] == {}
            total += action["counts"] * reference["energy"]
    return total


@pytest.mark.parametrize("chip", CHIPS)
def test_accelergys_counts_times_energies_are_the_energy_priced(chip, tmp_path):
    for more in ({}, {"fidelity": "analytic"}, {"per": "epoch", "samples": 10**9, "fidelity": "analytic"}):
        costs = costs_on(chip, **more)
        export(costs, "accelergy", tmp_path / "counts.yaml")
        total = accelergy_total((tmp_path / "counts.yaml").read_text(encoding="utf-8"))
        assert total == pytest.approx(costs.energy_pj["total"], rel=1e-12)


def test_accelergy_is_told_of_borders_gates_and_phases_too():
    chip = override(override(tile_chips(load_chip("tiny"), 8), "static_w_core", "0.5"), "power_gating", "true")
    chip = override(override(chip, "core.update.mac_pj", "1e-7"), "noc.east.link_pj_per_flit", "3")
    costs = costs_on(chip)
    assert costs.energy_pj["border"] > 0
    assert accelergy_total(EXPORTS["accelergy"](costs)) == pytest.approx(costs.energy_pj["total"], rel=1e-12)
    assert sum(each.times * each.energy_pj for each in actions(costs)) == pytest.approx(costs.energy_pj["total"])


def read_matrix(text):
    return np.array([line.split() for line in text.splitlines() if not line.startswith("#")], dtype=np.int64)


@pytest.mark.parametrize("per_router", [1, 2])
def test_the_matrix_routed_link_by_link_has_the_flit_hops_of_unicast(per_router):
    chip = override(override(load_chip("tiny"), "grid", "[3, 2]"), "noc.cores_per_router", str(per_router))
    costs = costs_on(chip, delivery="unicast", microbatch=2)
    matrix = read_matrix(EXPORTS["booksim"](costs))
    inputs = costs.phases["io"]  # which are multicast: their copies are routed one by one here
    y, x = np.divmod(np.arange(6), 3)
    hops = abs(x[:, None] - x) + abs(y[:, None] - y)
    routed = int((matrix * hops).sum())
    assert routed >= costs.counts["flit_hops"]
    assert routed - costs.counts["flit_hops"] == copies_of_inputs(costs, hops) - inputs["flit_hops"]


def copies_of_inputs(costs, hops):
    """Return the flit-hops of inputs and labels if each destination got a copy of its own."""
    plan, chip = costs.plan, costs.chip
    total = 0
    for batch in plan.microbatches():
        bits = plan.messages.payload_bits(batch.samples)
        for message in np.flatnonzero(plan.messages.source_core >= chip.cores):
            flits = -(-int(bits[message]) // chip.noc.flit_bits)
            cores = plan.messages.sets[plan.messages.set_index[message]]
            source = plan.messages.source_link[message] // plan.grid.stride
            total += flits * int(hops[source, cores // chip.noc.cores_per_router].sum())
    return total


def test_a_files_head_says_what_copies_of_multicasts_add():
    costs = costs_on("mesh64", delivery="unicast")
    traffic = traffic_matrix(costs)
    assert traffic.run_flit_hops == costs.counts["flit_hops"] < traffic.flit_hops
    between = traffic.flits.sum() - traffic.flits.trace()
    for kind, flits in (("booksim", traffic.flits.sum()), ("noxim", between)):
        assert f"{flits} flits over {traffic.flit_hops} links, where" in EXPORTS[kind](costs)
    one_lane = override(load_chip("mesh64"), "core.lanes", "[16, 512]")
    busy = cost("784-10", chip=one_lane, batch_size=64)
    assert traffic_matrix(busy).busiest[1] > 1
    assert "more than the 1 that a node can" in EXPORTS["booksim"](busy)


@pytest.mark.parametrize("delivery", ["unicast", "multicast"])
def test_a_multicast_is_a_copy_to_each_destination(delivery):
    costs = costs_on(override(load_chip("tiny"), "grid", "[3, 2]"), delivery=delivery, microbatch=2)
    # Flits of tiny have no headers and carry one value, so what is delivered is in whole flits.
    flits = traffic_matrix(costs).flits.sum()
    label_bits = costs.phases["io"]["delivered_bits"]
    assert flits * 16 == pytest.approx(costs.counts["delivered_bits"], abs=16 * 6 + label_bits % 16)


def test_noxims_table_has_the_packets_of_the_run():
    costs = costs_on("mesh64")
    traffic = traffic_matrix(costs)
    lines = [line for line in EXPORTS["noxim"](costs).splitlines() if not line.startswith("%")]
    found = np.zeros_like(traffic.packets, dtype=float)
    for line in lines:
        source, destination, pir, por = line.split()
        assert pir == por
        found[int(source), int(destination)] = float(pir)
    wanted = traffic.packets * (1 - np.eye(64))
    assert found * traffic.cycles == pytest.approx(wanted, rel=1e-8)
    assert 0 < found.max() <= 1


def test_an_epoch_has_the_traffic_of_its_steps():
    chip = override(load_chip("tiny"), "grid", "[3, 2]")
    step, epoch = costs_on(chip), costs_on(chip, per="epoch", samples=18)
    assert (traffic_matrix(epoch).flits == 3 * traffic_matrix(step).flits).all()


def test_what_cannot_be_exported_is_refused(tmp_path):
    with pytest.raises(DescriptionError, match=r"allowed are accelergy, booksim, noxim; did you mean 'noxim'"):
        check_kind("noxin")
    with pytest.raises(DescriptionError, match="no whole count; take --per step"):
        export(costs_on("mesh64", per="sample"), "noxim", tmp_path / "table.txt")
    with pytest.raises(DescriptionError, match=r"4225 routers: a traffic matrix .* at most 4096"):
        traffic_matrix(costs_on(override(load_chip("mesh64"), "grid", "[65, 65]"), fidelity="analytic"))
    assert list(tmp_path.iterdir()) == []
