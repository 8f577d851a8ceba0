"""The table of what is counted: names, kinds, memories, and words of a value."""

from __future__ import annotations

import numpy as np
import pytest
from naive_strategies import tiny_chip

from neurosim.counts import (
    COUNT_NAMES,
    MEMORY_ACCESS_COUNTS,
    WORK_COLUMNS,
    WORK_INDEX,
    index_bits,
    kind_bits,
    label_bits,
    memory_of,
    words_per_value,
    work_matrix,
)


def test_every_count_of_the_contract_has_a_name() -> None:
    memories = ("synapse", "neuron", "gradient", "optimizer")
    pairs = [f"{memory}_{way}" for memory in memories for way in ("reads", "writes")]
    feedback = ["feedback_reads", "feedback_index_reads", "mirror_reads", "mirror_writes"]
    generated = ["feedback_generated", "feedback_index_generated", "dropout_generated"]
    traffic = ["messages", "payload_bits", "delivered_bits", "bit_hops", "flits", "flit_hops", "flit_routers"]
    traffic += ["border_bit_hops", "border_flit_hops"]
    rest = ["macs", "elementwise_ops", "offchip_bits", "channel_bits"]
    assert sorted(COUNT_NAMES) == sorted([*pairs, *feedback, *generated, *traffic, *rest])


def test_biases_live_in_the_neuron_memory_and_all_else_that_is_learned_in_the_synapse_memory() -> None:
    assert {name: memory_of(name) for name in MEMORY_ACCESS_COUNTS if name.startswith("neuron")} == {
        "neuron_reads": "neuron_memory",
        "neuron_writes": "neuron_memory",
    }
    others = [name for name in MEMORY_ACCESS_COUNTS if not name.startswith("neuron")]
    assert {memory_of(name) for name in others} == {"synapse_memory"}
    assert memory_of("macs") == memory_of("flits") == ""


@pytest.mark.parametrize(("outputs", "label", "index"), [(1, 1, 0), (2, 1, 1), (3, 2, 2), (10, 4, 4), (17, 5, 5)])
def test_bits_of_labels_and_indices(outputs: int, label: int, index: int) -> None:
    assert (label_bits(outputs), index_bits(outputs)) == (label, index)


def test_a_value_takes_whole_words_and_nothing_is_packed() -> None:
    bits = kind_bits(tiny_chip().widths.model_dump() | {"accumulator_bits": 17}, 10)
    words = words_per_value("neuron_memory", 16, bits)
    assert words[WORK_INDEX["neuron_reads", "accumulator"]] == 2
    assert words[WORK_INDEX["neuron_reads", "sign"]] == words[WORK_INDEX["neuron_reads", "label"]] == 1
    assert words[WORK_INDEX["synapse_reads", "weight"]] == words[WORK_INDEX["macs", ""]] == 0


def test_every_memory_access_is_words_of_exactly_one_memory() -> None:
    bits = kind_bits(tiny_chip().widths.model_dump(), 10, argmax=4)
    both = [words_per_value(memory, 16, bits) > 0 for memory in ("neuron_memory", "synapse_memory")]
    accesses = [name in MEMORY_ACCESS_COUNTS for name, _ in WORK_COLUMNS]
    assert (both[0] ^ both[1]).tolist() == accesses


def test_a_work_matrix_adds_scalars_and_columns() -> None:
    matrix = work_matrix(3, {("macs", ""): np.array([1, 2, 3]), ("neuron_reads", "bias"): 5})
    assert matrix[:, WORK_INDEX["macs", ""]].tolist() == [1, 2, 3]
    assert matrix[:, WORK_INDEX["neuron_reads", "bias"]].tolist() == [5, 5, 5]
    assert matrix.sum() == 21
