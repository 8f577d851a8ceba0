import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import neurosim.chips
from neurosim.chips import Chip, assumed, chip_files, chip_names, load_chip, tile_chips
from neurosim.descriptions import override
from neurosim.errors import DescriptionError
from neurosim.pipeline import cost
from neurosim.settings import parse_settings
from neurosim.sources import flat_sources, number_paths, source_of

PACKAGE = Path(neurosim.chips.__file__).parent


def write(folder, text):
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_there_are_machines_to_start_from():
    wanted = {"tiny", "mesh64", "mesh1024", "von_neumann", "tpu_like", "loihi", "loihi_silicon", "df_lnpu"}
    assert wanted <= set(chip_names())


@pytest.mark.parametrize("name", chip_names())
def test_every_number_of_a_machine_has_a_source_or_says_that_it_is_assumed(name):
    data = tomllib.loads(chip_files()[name].read_text(encoding="utf-8"))
    sources = flat_sources(data["sources"])
    assert [path for path in number_paths(data) if source_of(sources, path) is None] == []
    assert all(text.startswith("assumed: ") or "doi" in text for text in sources.values())
    assert not any("no source" in line or "without a source" in line for line in assumed(load_chip(name)))


@pytest.mark.parametrize("name", chip_names())
def test_a_machine_leaves_no_number_to_a_default_that_is_not_zero(name):
    chip = load_chip(name)
    given = number_paths(chip.model_dump(exclude_unset=True))
    everything = number_paths(chip.model_dump(exclude_none=True))
    assert {path for path, value in everything.items() if value and path not in given} == set()


def test_the_readme_lists_every_machine():
    readme = chip_files()["tiny"].with_name("README.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in readme for name in chip_names())


def test_the_times_of_loihi_are_those_published_to_the_tenth_of_a_nanosecond():
    chip = load_chip("loihi")
    core, noc, ns = chip.core, chip.noc, 1e3 / chip.clock_mhz
    times = [core.mac_cycles, core.update.mac_cycles, core.elementwise_cycles, noc.hop_cycles]
    times += [noc.east.hop_cycles, noc.west.hop_cycles, noc.north.hop_cycles, noc.south.hop_cycles, chip.barrier_cycles]
    assert [cycles * ns for cycles in times] == pytest.approx([3.5, 6.1, 8.4, 2.1, 4.1, 4.1, 6.5, 6.5, 465])
    assert chip.cores == 128
    assert core.elementwise_pj * core.elementwise_per_cycle == 81


@pytest.mark.parametrize(("direction", "published_pj"), [("east", 3.0), ("south", 4.0)])
def test_hops_on_loihi_cost_the_published_energy_after_that_of_a_spike_within_a_tile(direction, published_pj):
    noc = load_chip("loihi").noc
    rates = getattr(noc, direction)
    link_pj = noc.link_pj_per_flit if rates.link_pj_per_flit is None else rates.link_pj_per_flit
    assert link_pj + noc.router_pj_per_flit == pytest.approx(published_pj)


def test_the_two_sets_of_numbers_of_loihi_are_not_mixed():
    published, silicon = (load_chip(name).sources.values() for name in ("loihi", "loihi_silicon"))
    assert not any("pJ" in text or " ns" in text for text in published if "TCAD" in text)
    assert not any("pJ" in text or " ns" in text for text in silicon if "MM.2018" in text)


@pytest.mark.parametrize("name", ["loihi", "loihi_silicon"])
def test_a_chip_with_a_barrier_refuses_overlap(name):
    with pytest.raises(DescriptionError, match=r"barrier"):
        cost("12-9-5", chip=name, overlap="exact", fidelity="analytic")


def test_von_neumann_is_on_equal_terms_with_mesh64():
    one, many = load_chip("von_neumann"), load_chip("mesh64")
    cores = many.cores
    assert (one.cores, cores) == (1, 64)
    assert one.core.lanes[0] * one.core.lanes[1] == cores * many.core.lanes[0] * many.core.lanes[1]
    assert one.channel is not None
    memories = many.core.neuron_memory, many.core.synapse_memory
    assert one.channel.cache_bytes == cores * sum(memory.capacity_bytes for memory in memories)
    assert one.core.neuron_memory.words_per_cycle == cores * many.core.neuron_memory.words_per_cycle
    assert one.core.synapse_memory.words_per_cycle == cores * many.core.synapse_memory.words_per_cycle
    assert one.static_w_core == pytest.approx(cores * many.static_w_core)
    assert (one.widths, one.io, one.clock_mhz, one.core.mac_pj) == (many.widths, many.io, 500, many.core.mac_pj)
    assert one.channel.channel_bits_per_cycle == many.io.io_bits_per_cycle


def test_memory_energy_follows_capacity_log_log_between_the_tabled_srams():
    def pj_per_word(kib):
        return 20 * (kib / 32) ** (0.69897 / 1.50515) / 4

    mesh64, mesh1024 = load_chip("mesh64").core, load_chip("mesh1024").core
    for memory in (mesh64.neuron_memory, mesh64.synapse_memory, mesh1024.neuron_memory, mesh1024.synapse_memory):
        assert memory.read_pj_per_word == pytest.approx(pj_per_word(memory.capacity_bytes / 1024), abs=0.06)


def test_mesh64_has_the_proposed_derived_sizes():
    chip = load_chip("mesh64")
    assert (chip.columns, chip.rows, chip.cores, chip.behind_channel) == (8, 8, 64, False)
    assert load_chip("mesh1024").cores == 1024
    assert load_chip("von_neumann").behind_channel


def test_a_chip_is_returned_as_it_is():
    chip = load_chip("tiny")
    assert load_chip(chip) is chip


def test_an_unknown_chip_gets_a_guess_and_the_list():
    with pytest.raises(
        DescriptionError,
        match=r"'mesh46' is no chip; did you mean 'mesh64'\?; there are df_lnpu, loihi, .*mesh64, ",
    ):
        load_chip("mesh46")
    with pytest.raises(DescriptionError, match="must be a chip's name, a path, or a Chip"):
        load_chip(3)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("io.ports", "[[2, 0]]", r"tiny\.io\.ports: \[2, 0\]: lies outside the grid; routers are \[0, 0\] to \[1, 0\]"),
        ("io.ports", "[[0, 0], [0, 0]]", r"io\.ports: \[0, 0\]: is given twice"),
        ("io.ports", "[]", "inputs need at least one port"),
        ("chips", "[0, 1]", r"tiny\.chips: \[0, 1\]: must be at least 1"),
        ("noc.border.hop_cycles", "0", "must be at least 1"),
        ("noc.hop_cycles", "0", "must be at least 1"),
        ("noc.east.hop_cycles", "0", "must be at least 1"),
        ("core.neuron_memory.word_bits", "1", "must be at least 2"),
        ("core.lanes", "[0, 2]", "must be at least 1"),
        ("core.accumulators_per_lane", "0", "must be at least 1"),
        ("widths.weight_bits", "-4", "-4: must be at least 1"),
        (
            "sources.core.mac_jp",
            "x",
            r"sources: 'core\.mac_jp' names no number of this chip; did you mean 'core\.mac_pj'",
        ),
    ],
)
def test_what_no_chip_can_be_is_refused(key, value, sentence):
    with pytest.raises(DescriptionError, match=sentence):
        override(load_chip("tiny"), key, value)


def test_a_chip_without_sources_is_assumed_throughout(tmp_path):
    tiny = load_chip("tiny")
    mine = Chip(**{**tiny.model_dump(), "sources": {}})
    (line,) = assumed(mine)
    assert line.startswith("clock_mhz = 100, grid = [2, 1]")
    assert line.endswith("widths, core, noc, io, memory_energy: no source is given")
    path = write(tmp_path, 'based_on = "mesh64"\n[sources]\n"io.io_bits_per_cycle" = "a data sheet"\n')
    assert not any("io_bits_per_cycle" in line for line in assumed(load_chip(path)))


@pytest.mark.parametrize("inside", [True, False])
def test_machines_are_found_in_the_package_and_beside_it(tmp_path, inside):
    shutil.copytree(PACKAGE, tmp_path / "neurosim", ignore=shutil.ignore_patterns("__pycache__", "data", "hw_models"))
    folder = tmp_path / "neurosim" / "hw_models" if inside else tmp_path / "hw_models"
    shutil.copytree(chip_files()["tiny"].parent, folder)
    code = "import neurosim.chips as c; print(c.load_chip('mesh64').cores, c.chip_files()['tiny'].parent)"
    run = [sys.executable, "-c", code]
    result = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["64", str(folder)]


def test_a_machine_behind_a_channel_has_one_core():
    von_neumann = load_chip("von_neumann")
    assert von_neumann.cores == 1
    with pytest.raises(DescriptionError, match=r"channel\.behind: 'channel': is for one processor, .* has 4 cores"):
        override(von_neumann, "grid", "[2, 2]")


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("grid", "[100000000, 100000000]", r"grid: \[100000000, 100000000\]: with .* makes 10+ cores, and at most"),
        ("noc.cores_per_router", "2000000", r"cores_per_router = 2000000 makes 4000000 cores, and at most 1048576"),
        ("noc.hop_cycles", "9999999999999999999999", r"hop_cycles: 9+: must be at most 32767$"),
        ("widths.weight_bits", "1e30", r"weight_bits: .*: must be at most 1024$"),
        ("core.neuron_memory.capacity_bytes", "1e30", r"capacity_bytes: .*: must be at most 1099511627776$"),
        ("core.pipeline_cycles", "2147483648", r"pipeline_cycles: 2147483648: must be at most 2147483647$"),
    ],
)
def test_what_is_too_large_to_be_counted_is_refused(key, value, sentence):
    with pytest.raises(DescriptionError, match=sentence):
        override(load_chip("tiny"), key, value)


def test_structure_is_everything_but_names_energies_powers_and_clock():
    chip = load_chip("mesh64")
    numbers = number_paths(chip.model_dump())
    priced = {key for key in numbers if "_pj" in key or key.startswith(("static_w_", "memory_energy."))}
    borders = {"noc.border.hop_cycles", "noc.border.link_bits"}
    for machine, unused in ((chip, borders), (override(chip, "chips", "[2, 1]"), set())):
        left_out = set(number_paths(machine.model_dump())) - set(machine.structure)
        assert left_out == priced | {"clock_mhz"} | unused
        assert override(machine, "core.mac_pj", "9").structure == machine.structure
        assert override(machine, "noc.east.link_bits", "9").structure != machine.structure
        assert (override(machine, "noc.border.link_bits", "9").structure == machine.structure) == bool(unused)


def test_what_is_assumed_of_borders_is_told_only_where_there_are_any():
    one = load_chip("mesh64")
    assert not any("border" in line for line in assumed(one))
    assert any("noc.border.link_bits = 16" in line for line in assumed(tile_chips(one, 2)))


@pytest.mark.parametrize("name", ["tiny", "mesh64", "mesh1024", "mesh1024-large"])
def test_links_between_the_chips_of_a_machine_are_narrower_slower_and_dearer(name):
    noc = load_chip(name).noc
    assert noc.border.link_bits < noc.link_bits
    assert noc.border.hop_cycles > noc.hop_cycles
    assert noc.border.link_pj_per_flit > noc.link_pj_per_flit


@pytest.mark.parametrize(
    ("count", "chips"), [(1, (1, 1)), (2, (2, 1)), (4, (2, 2)), (6, (3, 2)), (7, (7, 1)), (8, (4, 2)), (16, (4, 4))]
)
def test_chips_are_tiled_as_near_a_square_as_they_divide(count, chips):
    tiled = tile_chips(load_chip("mesh64"), count)
    assert (tiled.chips, tiled.cores) == (chips, 64 * count)
    assert tiled.name == ("mesh64" if count == 1 else f"mesh64 (chips={list(chips)})")


def test_a_machine_of_several_chips_is_tiled_anew():
    four = tile_chips(load_chip("tiny"), 4)
    assert tile_chips(four, 4) is four
    assert tile_chips(four, 2) == tile_chips(load_chip("tiny"), 2)
    assert (tile_chips(four, 1).name, tile_chips(four, 1).chips) == ("tiny", (1, 1))
    named = parse_settings(["chip.noc.flit_bits=32", "chip.chips=[2,2]"]).chip(load_chip("tiny"))
    assert tile_chips(named, 8).name == "tiny (noc.flit_bits=32) (chips=[4, 2])"


def test_chips_that_cannot_be_tiled_are_refused():
    with pytest.raises(DescriptionError, match=r"^von_neumann: 2 chips: its memories lie behind a channel"):
        tile_chips(load_chip("von_neumann"), 2)
    with pytest.raises(DescriptionError, match=r"^count = 0: must be a whole number from 1"):
        tile_chips(load_chip("tiny"), 0)
    with pytest.raises(DescriptionError, match=r"on chips = \[2048, 1024\] makes 4194304 cores.*or take fewer chips"):
        override(load_chip("tiny"), "chips", "[2048, 1024]")
    with pytest.raises(DescriptionError, match=r"cores_per_router = 1 on chips = .* and at most 1048576"):
        tile_chips(load_chip("mesh64"), 2**15)
