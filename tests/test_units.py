import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosim.chips import Chip
from neurosim.errors import NeurosimError
from neurosim.explanations import key_paths
from neurosim.recipes import Recipe
from neurosim.units import UNITS, axis_label, human, suffix_of

WITHOUT_UNIT = {
    "memory_energy",
    *(
        "name",
        "grid",
        "chips",
        "power_gating",
        "widths",
        "core",
        "noc",
        "io",
        "channel",
        "sources",
        "lanes",
        "dataflow",
    ),
    *(
        "neuron_memory",
        "synapse_memory",
        "forward",
        "error",
        "update",
        "topology",
        "east",
        "west",
        "north",
        "south",
        "border",
    ),
    *("router", "virtual_channels"),
    *("ports", "behind", "reuse", "batch_size", "loss", "reduction", "targets", "optimizer", "lr", "momentum", "beta1"),
    *("beta2", "rms_decay", "epsilon", "weight_decay", "clip_value", "clip_norm", "lr_schedule", "lr_step_factor"),
    *("init", "init_scale", "sampling", "seed", "dtype", "microbatch", "delivery", "overlap", "window"),
}


def test_every_key_of_the_descriptions_has_a_unit_or_needs_none():
    keys = {path.rpartition(".")[2] for model in (Chip, Recipe) for path in key_paths(model)}
    assert {key for key in keys if suffix_of(key) is None} == WITHOUT_UNIT


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("read_pj_per_word", "read (pJ/word)"),
        ("makespan_cycles", "makespan (cycles)"),
        ("bit_hops", "bit-hops"),
        ("static_w_core", "static (W per core)"),
        ("io_bits_per_cycle", "io (bits/cycle)"),
        ("delta_angle_deg", "delta angle (degrees)"),
        ("test_accuracy", "test accuracy"),
    ],
)
def test_an_axis_label_is_the_quantity_and_its_unit(name, label):
    assert axis_label(name) == label


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.3e9, "energy_pj", "1.3 mJ"),
        (1.3e-3, "joules", "1.3 mJ"),
        (500, "clock_mhz", "500 MHz"),
        (2e-6, "seconds", "2 µs"),
        (12_345_678, "macs", "12.3 M MACs"),
        (12_345_678, "", "12.3 M"),
        (4096, "capacity_bytes", "4.1 kB"),
        (999.9996, "bits", "1 k bits"),
        (0, "cycles", "0 cycles"),
        (-1500, "energy_joules", "-1.5 kJ"),
        (87.25, "delta_angle_deg", "87.2 °"),
        (9.5, "read_pj_per_word", "9.5 pJ/word"),
        (0.97, "norm_ratio", "0.97"),
        (float("inf"), "seconds", "inf s"),
    ],
)
def test_human_writes_si_prefixes(value, unit, text):
    assert human(value, unit) == text


@pytest.mark.parametrize("suffix", UNITS)
def test_every_unit_can_be_written(suffix):
    assert human(1.0, suffix)
    assert axis_label(f"some_{suffix}").startswith("some")


def test_an_unknown_unit_is_refused():
    with pytest.raises(NeurosimError, match="'furlongs' ends with no known unit"):
        human(1, "furlongs")


@given(st.floats(min_value=1e-15, max_value=9e20))
def test_what_human_writes_is_the_value_to_three_digits(value):
    powers = {"f": -15, "p": -12, "n": -9, "µ": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
    number, symbol = human(value, "joules").split()
    assert float(number) * 10.0 ** powers[symbol.removesuffix("J")] == pytest.approx(value, rel=0.0051)
