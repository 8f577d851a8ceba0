"""costs: what was counted can be priced again where it would be counted alike, and epochs of any length are summed."""

from __future__ import annotations

import numpy as np
import pytest

import neurosim as ns
from neurosim.chips import load_chip
from neurosim.costs import price
from neurosim.counts import weighted_sum
from neurosim.descriptions import override
from neurosim.errors import RunError, SimulationError
from neurosim.pipeline import Costs, cost
from neurosim.schedules import Microbatch, check_countable, microbatch_times, step_microbatches
from neurosim.schedules.layout import Layout
from neurosim.trace import trace_from_arrays


@pytest.fixture(scope="module")
def costs() -> Costs:
    return cost("12-9-5", rule="dfa", batch_size=6)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("clock_mhz", "250"),
        ("core.mac_pj", "3.6"),
        ("noc.router_pj_per_flit", "9"),
        ("noc.injection_pj_per_flit", "9"),
        ("static_w_chip", "2"),
    ],
)
def test_counts_are_priced_again_with_other_energies_powers_and_clock(costs: Costs, key: str, value: str) -> None:
    chip = override(load_chip("mesh64"), key, value)
    assert costs.trace is not None
    for facts in (costs.trace, trace_from_arrays(costs.trace.as_arrays()), costs.analysis):
        found, old = price(facts, chip), price(facts, load_chip("mesh64"))
        assert (found.energy_joules, found.seconds) != (old.energy_joules, old.seconds)


@pytest.mark.parametrize(
    ("key", "value", "old"),
    [
        ("widths.weight_bits", "8", "16"),
        ("core.synapse_memory.word_bits", "32", "16"),
        ("grid", "[8, 16]", r"\[8, 8\]"),
        ("noc.hop_cycles", "9", "[0-9]+"),
    ],
)
def test_counts_are_not_priced_on_a_chip_that_would_count_otherwise(
    costs: Costs, key: str, value: str, old: str
) -> None:
    chip = override(load_chip("mesh64"), key, value)
    assert costs.trace is not None
    for facts in (trace_from_arrays(costs.trace.as_arrays()), costs.analysis):
        with pytest.raises(SimulationError, match=rf"^mesh64\.{key}: .+ were made with {old};"):
            price(facts, chip)


def test_making_a_message_costs_what_a_chip_says_for_each_flit(costs: Costs) -> None:
    assert costs.trace is not None
    chip = override(load_chip("mesh64"), "noc.injection_pj_per_flit", "100")
    more = price(costs.trace, chip).energy_pj["router"] - costs.energy_pj["router"]
    assert more == pytest.approx(100 * costs.counts["flits"])


def test_slower_lanes_take_as_many_times_the_cycles(costs: Costs) -> None:
    chip = override(load_chip("mesh64"), "core.pipeline_cycles", "0")
    slow = override(override(chip, "core.mac_cycles", "1000"), "core.update.mac_cycles", "3000")
    one, many = (cost("12-9-5", rule="dfa", batch_size=6, chip=each).plan.tasks for each in (chip, slow))
    for group, times in (("forward", 1000), ("update", 3000)):
        tasks = next(each for each in one.groups if each.kind == group)
        rows = slice(tasks.first, tasks.first + tasks.count)
        before, after = (plan.work(costs.plan.microbatches()[0]) for plan in (one, many))
        assert (after.durations[rows] == times * before.resource_cycles[rows, 0]).all()


def test_a_machine_behind_a_channel_is_not_one_without() -> None:
    chip = load_chip("von_neumann")
    found = cost("12-9-5", chip=chip, batch_size=6, fidelity="analytic")
    with pytest.raises(SimulationError, match=r"channel.behind: absent: .* were made with \"channel\""):
        price(found.analysis, override(chip, "channel.behind", "none"))


@pytest.mark.parametrize("samples", [1, 5, 6, 18, 47])
@pytest.mark.parametrize("microbatch", [1, 2, 4, 6])
def test_microbatches_are_counted_without_listing_them(samples: int, microbatch: int) -> None:
    sizes = [6] * (samples // 6) + [samples % 6] * (samples % 6 > 0)
    listed: dict[Microbatch, int] = {}
    for batch in (batch for size in sizes for batch in step_microbatches(microbatch, size)):
        listed[batch] = listed.get(batch, 0) + 1
    assert list(microbatch_times(microbatch, 6, samples).items()) == list(listed.items())


@pytest.mark.parametrize("fidelity", ["event", "analytic"])
def test_an_epoch_of_any_length_is_exact_and_immediate(fidelity: str) -> None:
    step = cost("9-9-9", rule="bp", batch_size=10)
    epoch = cost("9-9-9", rule="bp", batch_size=10, per="epoch", samples=10**12, fidelity=fidelity)  # type: ignore[arg-type]
    assert epoch.counts["bit_hops"] == 10**11 * step.counts["bit_hops"]
    assert epoch.bound_cycles == 10**11 * step.bound_cycles
    assert epoch.makespan_cycles in (None, 10**11 * (step.makespan_cycles or 0))


def test_a_batch_of_any_size_is_counted_without_listing_its_microbatches() -> None:
    found = cost("9-9-9", batch_size=2**31 - 1)
    assert found.counts["macs"] == (2**31 - 1) * 5 * 81


def test_an_epoch_that_overlaps_is_refused_where_it_is_too_long_to_list() -> None:
    with pytest.raises(ns.NeurosimError, match=r"samples = 10+: an epoch under overlap 'exact' is listed"):
        cost("9-9-9", per="epoch", samples=10**12, overlap="exact")


def test_a_total_beyond_64_bits_is_kept_and_not_stored() -> None:
    chip = override(override(load_chip("tiny"), "barrier_cycles", str(2**31 - 1)), "grid", "[3, 3]")
    trace = cost("9-9-9", chip=chip, per="epoch", samples=10**12).trace
    assert trace is not None
    assert trace.core_cycles.sum() == trace.makespan_cycles * chip.cores > 1 << 64
    with pytest.raises(RunError, match="cannot be stored"):
        trace.as_arrays()


def test_counts_that_could_pass_64_bits_within_a_step_are_refused() -> None:
    with pytest.raises(SimulationError, match="could pass 64 bits"):
        cost("100000-100000-10", chip="von_neumann", batch_size=2**31 - 1, fidelity="analytic")


def test_a_million_cores_are_countable() -> None:
    chip = override(load_chip("mesh1024"), "grid", "[1000, 1000]")
    network, recipe = ns.dense([1000] * 1001), ns.Recipe(batch_size=200)
    for rule in (ns.RULES["bp"], ns.RULES["dfa"]):
        layout = Layout(network, rule, ns.place(network, rule, chip, recipe), recipe, forward_only=False)
        check_countable(layout, 200)
        with pytest.raises(SimulationError, match="could pass 64 bits"):
            check_countable(layout, 200_000)


def test_weighted_sums_are_python_integers_where_64_bits_would_wrap() -> None:
    ones = np.ones(2, dtype=np.int64)
    assert weighted_sum([(ones, 3), (2 * ones, 1)]).tolist() == [5, 5]
    assert weighted_sum([(ones, 3)]).dtype == np.int64
    assert weighted_sum([(ones, 10**30), (ones, 1)]).tolist() == [10**30 + 1] * 2
