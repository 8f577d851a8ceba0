"""scaling: grids for any number of cores, memories that share what the chip had, networks that grow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosim.chips import assumed, load_chip
from neurosim.descriptions import override
from neurosim.errors import DescriptionError
from neurosim.networks import load_network
from neurosim.scaling import UNCHECKED_BYTES, near_square, with_cores, with_macs

MESH64 = load_chip("mesh64")


def macs(network):
    return sum(shape.macs for shape in network.shapes)


@given(st.integers(1, 5000))
def test_a_grid_is_the_smallest_near_square_one_with_room(count):
    columns, rows = near_square(count)
    assert columns - rows in (0, 1)
    others = [(n + more) * n for n in range(1, 80) for more in (0, 1) if (n + more) * n >= count]
    assert columns * rows == min(others)


def test_the_memory_of_all_cores_together_stays_what_it_was():
    chip = with_cores(MESH64, 256)
    assert chip.cores == 256
    for part in ("neuron_memory", "synapse_memory"):
        before, after = getattr(MESH64.core, part), getattr(chip.core, part)
        assert 256 * after.capacity_bytes == 64 * before.capacity_bytes


def test_energy_follows_capacity_by_the_table_of_the_chip():
    chip = with_cores(MESH64, 1024)  # 8 KiB and 32 KiB a core: Horowitz' own sizes, 10 and 20 pJ for 64 bits
    assert chip.core.neuron_memory.read_pj_per_word == pytest.approx(2.5, rel=2e-3)
    assert chip.core.synapse_memory.write_pj_per_word == pytest.approx(5.0, rel=2e-3)
    assert with_cores(MESH64, 1).core.synapse_memory.read_pj_per_word == pytest.approx(37.8, rel=2e-3)


def test_the_table_gives_the_energies_that_the_shipped_chips_state():
    table = MESH64.memory_energy
    for name in ("mesh64", "mesh1024"):
        core = load_chip(name).core
        for memory in (core.neuron_memory, core.synapse_memory):
            assert 16 * table.pj_per_bit(memory.capacity_bytes) == pytest.approx(memory.read_pj_per_word, rel=6e-3)


def test_fixed_memories_keep_their_capacity_and_energy():
    assert with_cores(MESH64, 1024, "fixed").core == MESH64.core


def test_unlimited_memories_hold_anything_at_the_energies_of_the_chip():
    core = with_cores(MESH64, 16, "unlimited").core
    assert core.synapse_memory.capacity_bytes == UNCHECKED_BYTES
    assert core.synapse_memory.read_pj_per_word == MESH64.core.synapse_memory.read_pj_per_word


def test_the_chips_own_number_of_cores_is_the_chip_but_for_its_name():
    same = with_cores(MESH64, 64)
    assert same.model_copy(update={"name": "mesh64", "sources": {}}) == MESH64.model_copy(update={"sources": {}})


def test_what_scaling_changed_is_marked_assumed():
    lines = [line for line in assumed(with_cores(MESH64, 256)) if "as memory_energy grows" in line]
    assert "core.neuron_memory.read_pj_per_word" in lines[0]


@pytest.mark.parametrize(
    ("chip", "cores", "memory", "sentence"),
    [
        ("von_neumann", 4, "scaled", "has no cores to scale"),
        ("mesh64", 0, "scaled", "cores = 0"),
        ("mesh64", 2**20 + 1, "scaled", "1 to 1048576"),
        ("mesh64", 16, "big", "allowed are scaled, fixed, unlimited"),
        ("tiny", 2**20, "scaled", "leave none for so many"),
    ],
)
def test_what_cannot_be_scaled_is_refused(chip, cores, memory, sentence):
    with pytest.raises(DescriptionError, match=sentence):
        with_cores(load_chip(chip), cores, memory)


def test_a_chip_without_a_table_of_energies_is_not_scaled_in_silence():
    bare = override(MESH64, "memory_energy", "none")
    with pytest.raises(DescriptionError, match="no \\[memory_energy\\]"):
        with_cores(bare, 16)
    assert with_cores(bare, 16, "fixed").cores == 16


@pytest.mark.parametrize(("name", "within"), [("784-800-800-10", 0.01), ("64-100-100-10", 0.05), ("lenet", 0.2)])
@pytest.mark.parametrize("factor", [0.25, 1, 4, 64])
def test_a_network_grows_to_so_many_times_its_macs_as_whole_neurons_allow(name, within, factor):
    network = load_network(name)
    grown = with_macs(network, factor)
    assert macs(grown) == pytest.approx(factor * macs(network), rel=within)
    assert (grown.inputs, grown.widths[-1]) == (network.inputs, network.widths[-1])


def test_a_network_without_hidden_layers_cannot_grow():
    with pytest.raises(DescriptionError, match="no hidden layer"):
        with_macs(load_network("64-10"), 4)
