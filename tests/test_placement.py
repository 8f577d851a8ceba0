"""Placement: slices, quotas, order of cores, memory of every core, and the microbatch that fits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from check_rows import paper_case
from hypothesis import given
from hypothesis import strategies as st
from naive_case import Case, cut
from naive_placement import auto_microbatch, cores_needed, fits, sizes
from naive_placement import place as place_naively
from naive_strategies import cases, channel_chips, chips, tiny_chip, with_memory
from pipelines import Pipeline, examples, network_of, recipe_of

from neurosim.chips import load_chip, tile_chips
from neurosim.errors import PlacementError
from neurosim.networks import dense
from neurosim.placement import Placement, core_order, place, place_on, place_together, slice_starts, stored_bits
from neurosim.recipes import Recipe
from neurosim.rules import RULES, Feedback, Rule


@st.composite
def tight_cases(draw: st.DrawFn) -> Case:
    """Draw a case on a chip with memories of any size."""
    chip = with_memory(draw(chips()), draw(st.integers(2, 150)), draw(st.integers(2, 150)))
    return draw(cases(chip=chip, phases="all"))


# --- memory ------------------------------------------------------------------------------------------------------


@examples(200)
@given(cases(phases="all"))
def test_every_core_stores_what_the_slow_twin_lists(drawn: Case) -> None:
    pipeline = Pipeline(drawn)
    expected = sizes(pipeline.case)
    stored = zip(pipeline.placement.neuron_bits.tolist(), pipeline.placement.synapse_bits.tolist(), strict=True)
    assert dict(enumerate(stored)) == {core: expected.get(core, (0, 0)) for core in range(drawn.chip.cores)}


@examples(60)
@given(cases(phases="all"))
def test_what_is_stored_adds_up_to_all_memories(drawn: Case) -> None:
    pipeline = Pipeline(drawn)
    placement = pipeline.placement
    parts = stored_bits(pipeline.network, drawn.rule, placement, pipeline.recipe)
    assert sum(parts.values()) == placement.neuron_bits.sum() + placement.synapse_bits.sum()
    assert min(parts.values()) >= 0
    owned = sum(after * before for before, after in zip(drawn.widths, drawn.widths[1:], strict=False))
    assert parts["weights"] == owned * drawn.chip.widths.weight_bits  # every synapse once; copies are listed apart


def test_sizes_on_paper() -> None:
    placement = Pipeline(paper_case("bp")).placement
    biases, samples = 3 * (16 + 16), 2 * (4 + 3 + 3 + 3) * 16
    assert (placement.neuron_bits[0], placement.synapse_bits[0]) == (biases + samples, 12 * 32)


# --- place() -----------------------------------------------------------------------------------------------------


def placed(case: Case) -> Placement | None:
    try:
        return place(network_of(case), case.rule, case.chip, recipe_of(case))
    except PlacementError:
        return None


def placed_naively(case: Case) -> Case | None:
    try:
        cores = place_naively(case)
        found = replace(case, cores=cores)
        return replace(found, microbatch=auto_microbatch(found))
    except PlacementError:
        return None


@examples(150)
@given(tight_cases())
def test_cores_and_microbatch_are_the_slow_twins(drawn: Case) -> None:
    case = Pipeline(drawn).case  # with the connections that are drawn for it
    ours, naive = placed(case), placed_naively(case)
    assert (ours is None) == (naive is None)
    if ours is not None and naive is not None:
        assert [own.tolist() for own in ours.cores[1:]] == [list(own) for own in naive.cores]
        assert ours.microbatch == naive.microbatch


@examples(100)
@given(tight_cases())
def test_memory_is_never_exceeded_and_one_more_sample_would_exceed_it(drawn: Case) -> None:
    found = placed(drawn)
    if found is None:
        return
    core = drawn.chip.core
    assert found.neuron_bits.max() <= 8 * core.neuron_memory.capacity_bytes
    assert found.synapse_bits.max() <= 8 * core.synapse_memory.capacity_bytes
    held = drawn.batch if core.systolic else core.lanes[0] * core.accumulators_per_lane
    if found.microbatch < min(drawn.batch, held):
        own = [cores.tolist() for cores in found.cores[1:]]
        assert not fits(replace(Pipeline(drawn).case, cores=own, microbatch=found.microbatch + 1))


@examples(40)
@given(cases(chip=channel_chips(), phases="all"))
def test_behind_a_channel_one_core_holds_everything_and_the_microbatch_is_the_batch(drawn: Case) -> None:
    found = placed(drawn)
    assert found is not None
    assert found.microbatch == drawn.batch
    assert [own.tolist() for own in found.cores[1:]] == [[0]] * drawn.depth


@examples(60)
@given(tight_cases(), st.sampled_from(list(RULES)))
def test_rules_placed_together_share_slices_and_the_smallest_microbatch(drawn: Case, other: str) -> None:
    network, recipe = network_of(drawn), recipe_of(drawn)
    rules = [drawn.rule, RULES["dfa"] if RULES[other].sparse else RULES[other]]
    try:
        together = place_together(network, rules, drawn.chip, recipe)
    except PlacementError:
        return
    assert all(np.array_equal(a, b) for a, b in zip(together[0].cores, together[1].cores, strict=True))
    assert together[0].microbatch == together[1].microbatch
    core = drawn.chip.core
    for each in together:
        assert each.neuron_bits.max() <= 8 * core.neuron_memory.capacity_bytes
        assert each.synapse_bits.max() <= 8 * core.synapse_memory.capacity_bytes


@examples(60)
@given(tight_cases())
def test_slices_are_one_neuron_apart_and_every_neuron_has_one_core(drawn: Case) -> None:
    found = placed(drawn)
    for layer in range(1, drawn.depth + 1) if found else ():
        assert found is not None
        slices = cut(drawn.widths[layer], len(found.cores[layer]))
        assert found.cuts[layer].channels.tolist() == [len(own) for own in slices]
        assert found.cuts[layer].channel_starts[-1] == drawn.widths[layer]
        assert len(set(found.cores[layer].tolist())) == len(found.cores[layer])


def test_quotas_follow_forward_macs() -> None:
    network, recipe = dense([784, 800, 800, 10]), Recipe(batch_size=200)
    assert place(network, RULES["bp"], load_chip("mesh64"), recipe).cores_per_layer == [31, 32, 1]


def test_a_layer_has_no_more_cores_than_neurons() -> None:
    found = place(dense([4, 2, 2]), RULES["bp"], load_chip("mesh64"), Recipe())
    assert (found.cores_per_layer, found.cores_used) == ([2, 2], 4)


def test_cores_run_up_and_down_the_columns() -> None:
    assert core_order(tiny_chip(grid=(2, 3))).tolist() == [0, 2, 4, 5, 3, 1]
    two = tiny_chip(grid=(2, 2), noc={"cores_per_router": 2})
    assert core_order(two).tolist() == [0, 1, 4, 5, 6, 7, 2, 3]


def test_cores_run_through_one_row_of_chips_and_back_through_the_next() -> None:
    assert core_order(tiny_chip(grid=(1, 2), chips=(2, 1))).tolist() == core_order(tiny_chip(grid=(2, 2))).tolist()
    four = tiny_chip(grid=(1, 2), chips=(3, 2))
    assert core_order(four).tolist() == [0, 3, 4, 1, 2, 5, 8, 11, 10, 7, 6, 9]


def test_with_fewer_cores_than_layers_consecutive_layers_share() -> None:
    found = place(dense([4, 3, 3, 2]), RULES["dfa"], tiny_chip(), Recipe(batch_size=4))
    assert [own.tolist() for own in found.cores[1:]] == [[0], [1], [1]]


def test_slices_are_cut_larger_first() -> None:
    assert slice_starts(7, 3).tolist() == [0, 3, 5, 7]


@pytest.mark.parametrize("storage", ["stored", "generated"])
def test_feedback_connections_do_not_depend_on_the_number_of_cores(storage: Any) -> None:
    rule = Rule("sparse", error="output", feedback=Feedback(connections=2, storage=storage))
    network, recipe = dense([9, 8, 7, 5]), Recipe(batch_size=4, seed=3)
    chips_ = [load_chip("mesh64"), load_chip("mesh1024"), load_chip("von_neumann")]
    found = [place(network, rule, chip, recipe).connections for chip in chips_]
    stored = place(network, RULES["ssdfa"].model_copy(update={"feedback": Feedback(connections=2)}), chips_[0], recipe)
    for each in [*found, stored.connections]:
        assert {layer: rows.tolist() for layer, rows in each.items()} == {k: v.tolist() for k, v in found[0].items()}


# --- refusals ----------------------------------------------------------------------------------------------------


def test_a_network_that_does_not_fit_is_refused_with_the_layer_and_the_way_out() -> None:
    with pytest.raises(PlacementError, match=r"layer 1 of '40-30-2'.*one neuron needs .* bytes of synapse memory"):
        place(dense([40, 30, 2]), RULES["bp"], with_memory(tiny_chip(), 10**6, 100), Recipe(batch_size=4))
    with pytest.raises(PlacementError, match=r"the layers need \[10, 1\] cores .* and the chip has 2; use a chip"):
        place(dense([40, 30, 2]), RULES["bp"], with_memory(tiny_chip(), 10**6, 1000), Recipe(batch_size=4))


def test_adding_chips_adds_neurons_and_synapses() -> None:
    """A network that is refused on one mesh64 runs on as many as the refusal asks for."""
    network, recipe, chip = dense([784, 2000, 2000, 10]), Recipe(batch_size=32), load_chip("mesh64")
    with pytest.raises(
        PlacementError, match=r"and the chip has 64; .* or at least \d+ of these chips, such as"
    ) as found:
        place(network, RULES["bp"], chip, recipe)
    count = int(str(found.value).partition("at least ")[2].split()[0])
    placement = place(network, RULES["bp"], tile_chips(chip, count), recipe)
    assert 64 < placement.cores_used <= 64 * count
    assert stored_bits(network, RULES["bp"], placement, recipe)["weights"] == 16 * 2000 * (784 + 2000 + 10)


def test_a_microbatch_that_does_not_fit_is_refused() -> None:
    with pytest.raises(PlacementError, match=r"microbatch = 4: chip 'tiny' holds at most 2 samples"):
        place(dense([4, 3, 3, 2]), RULES["bp"], tiny_chip(), Recipe(batch_size=4, microbatch=4))
    small = with_memory(tiny_chip(accumulators_per_lane=8), 110, 1024)
    assert place(dense([4, 3, 3, 2]), RULES["bp"], small, Recipe(batch_size=4)).microbatch < 4
    with pytest.raises(PlacementError, match=r"microbatch = 4: core 1 \(layer 2, 3 of .* use a smaller microbatch"):
        place(dense([4, 3, 3, 2]), RULES["bp"], small, Recipe(batch_size=4, microbatch=4))


def test_the_cores_of_a_layer_follow_the_capacity() -> None:
    chip = with_memory(tiny_chip(grid=(8, 8)), 1024, 1024)
    network, recipe = dense([40, 30, 2]), Recipe(batch_size=1, optimizer="sgd")
    case = paper_case("dfa", widths=(40, 30, 2), chip=chip, cores=[[0], [1]], batch=1, microbatch=1)
    assert cores_needed(case, 1) == 3  # 12 neurons of (40 + 2) words fill 1024 bytes
    few = place(network, RULES["dfa"], chip.model_copy(update={"grid": (4, 1)}), recipe)
    assert few.cores_per_layer == [3, 1]


def test_a_placement_on_given_cores_says_what_would_be_stored() -> None:
    network, recipe = dense([4, 3, 3, 2]), Recipe(batch_size=4, optimizer="sgd")
    chip = with_memory(tiny_chip(), 1, 1)
    found = place_on(network, RULES["bp"], chip, recipe, cores=[[1], [0, 1], [0]], microbatch=2)
    assert [own.tolist() for own in found.cores[1:]] == [[1], [0, 1], [0]]
    assert found.cuts[2].channel_starts.tolist() == [0, 2, 3]
    assert (found.synapse_bits > 8).all()
