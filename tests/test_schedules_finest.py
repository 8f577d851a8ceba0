"""schedules.finest: what more cores would not shorten."""

from __future__ import annotations

import pytest

import neurosim as ns
from neurosim.scaling import with_cores
from neurosim.schedules import finest_cycles


def cost(chip, rule="bp", network="64-48-48-10"):
    return ns.cost(network, rule=rule, chip=chip, batch_size=32, optimizer="sgd")


@pytest.mark.parametrize("rule", ["bp", "bp-mirrored", "fa", "ssdfa", "last-layer"])
def test_with_a_neuron_on_every_core_all_work_is_serial(rule):
    found = cost(with_cores(ns.load_chip("mesh64"), 106, "fixed"), rule)
    assert set(found.placement.cuts[1].channels) == {1}
    work = {key: cycles for key, cycles in found.trace.critical_path.items() if key[1] not in ("network", "dependency")}
    assert found.trace.serial_path == work


def test_the_serial_part_does_not_depend_on_how_the_network_is_cut():
    one, many = (cost(with_cores(ns.load_chip("mesh64"), cores, "fixed")) for cores in (1, 106))
    batch = one.plan.microbatches()[-1]
    assert batch == many.plan.microbatches()[-1]
    assert finest_cycles(one.plan.layout, batch) == finest_cycles(many.plan.layout, batch)
    # 48 neurons take three turns on 16 lanes, and one turn where each has a core.
    assert one.trace.critical_path["forward", "macs"] == pytest.approx(3 * 32 * (64 + 48) + 32 * 48, rel=0.01)
    assert one.trace.serial_path["forward", "macs"] == pytest.approx(32 * (64 + 48 + 48), rel=0.01)


def test_cores_with_fewer_neurons_than_lanes_are_no_faster():
    found = cost(with_cores(ns.load_chip("mesh64"), 16, "fixed"), network="64-96-96-10")
    slices = found.placement.cuts[2].channels
    assert slices.max() <= 16  # as many as lanes
    durations = found.plan.tasks.work(found.plan.microbatches()[0]).resource_cycles[:, 0]
    forward = next(group for group in found.plan.tasks.groups if (group.kind, group.layer) == ("forward", 2))
    finest = finest_cycles(found.plan.layout, found.plan.microbatches()[0])
    assert durations[forward.first] + found.chip.core.pipeline_cycles == finest["forward", 2]


def test_one_processor_behind_a_channel_has_no_cores_to_add():
    found = cost("von_neumann")
    assert set(finest_cycles(found.plan.layout, found.plan.microbatches()[0])) == {("io", 0)}
