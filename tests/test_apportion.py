"""Layers that share cores, and the fewest cores a layer needs: fast, and the same as by trying everything."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import naive_placement
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_case import Case
from naive_strategies import tiny_chip
from pipelines import examples

from neurosim.chips import Chip
from neurosim.errors import PlacementError
from neurosim.networks import dense
from neurosim.placement import place, place_on
from neurosim.placement.apportion import least_slices, least_tiles, share_cores
from neurosim.placement.memory import RuleMemory
from neurosim.recipes import Recipe
from neurosim.rules import RULES


def test_the_largest_microbatch_is_found_without_trying_every_one() -> None:
    chip = with_neuron_memory(1 << 20, lanes=(1 << 15, 1), accumulators_per_lane=1 << 15)
    placement = place(dense([9, 9, 9]), RULES["bp"], chip, Recipe(batch_size=10**9, optimizer="sgd"))
    fullest = placement.neuron_bits.max()
    assert 8 * (1 << 20) - fullest < fullest / placement.microbatch


def with_neuron_memory(neuron_bytes: int, **changes: Any) -> Chip:
    memory = tiny_chip().core.neuron_memory.model_copy(update={"capacity_bytes": neuron_bytes})
    large = memory.model_copy(update={"capacity_bytes": 1 << 20})
    return tiny_chip(grid=(9, 9), core={"neuron_memory": memory, "synapse_memory": large}, **changes)


@examples(300)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=10), st.data())
def test_shared_cores_are_the_first_of_the_best_partitions(widths: list[int], data: st.DataObject) -> None:
    cores = data.draw(st.integers(1, len(widths) - 1))
    macs = [before * after for before, after in pairwise(widths)]
    assert share_cores(macs, cores) == naive_placement.share(widths, cores)


def test_equal_maxima_go_to_the_earlier_cut() -> None:
    assert share_cores([1, 1, 1, 3], 3) == [0, 1, 1, 2]
    assert share_cores([5, 1, 1], 2) == [0, 1, 1]


def test_a_thousand_layers_are_shared_at_once() -> None:
    began = time.perf_counter()
    owner = share_cores([400] * 1000, 64)
    assert time.perf_counter() - began < 2.0
    assert max(owner.count(core) for core in range(64)) == 16


@pytest.mark.parametrize("rule", ["bp", "fa", "dfa", "sdfa", "ssdfa", "drtp", "last-layer"])
@pytest.mark.parametrize("neuron_bytes", [75, 90, 110, 140, 400])
def test_a_layer_gets_the_fewest_cores_that_hold_it(rule: str, neuron_bytes: int) -> None:
    widths, chip, recipe = (12, 11, 9, 8), with_neuron_memory(neuron_bytes), Recipe(batch_size=4)
    network = dense(list(widths))
    connections = place_on(network, RULES[rule], chip, recipe, cores=[[0], [1], [2]], microbatch=1).connections
    memory = RuleMemory(network, RULES[rule], chip, recipe, connections)
    case = Case(
        widths=widths, rule=RULES[rule], chip=chip, cores=[[0], [1], [2]], batch=4, microbatch=1, optimizer="adam",
        sparse={layer: index.tolist() for layer, index in connections.items()},
    )  # fmt: skip
    for layer in (1, 2, 3):
        needed = naive_placement.cores_needed(case, layer)
        try:
            found = least_slices(memory, layer, least_tiles(memory, layer))
        except PlacementError:
            found = widths[layer] + 1
        assert found == needed
