import pytest

from neurosim.chips import Chip
from neurosim.explanations import key_paths, shown


def test_every_key_of_a_chip_has_a_dotted_path():
    paths = set(key_paths(Chip))
    assert {"grid", "noc", "noc.flit_bits", "core.synapse_memory.read_pj_per_word", "channel.cache_bytes"} <= paths


@pytest.mark.parametrize(
    ("value", "text"),
    [("tanh", "'tanh'"), ((0, 8), "[0, 8]"), (True, "true"), (1.5, "1.5"), ([[0, 0]], "[[0, 0]]"), (None, "null")],
)
def test_values_are_shown_as_toml_would(value, text):
    assert shown(value) == text


def test_long_values_are_shortened_and_odd_ones_still_shown():
    assert len(shown("x" * 1000)) == 60
    assert shown({1}) == "{1}"
