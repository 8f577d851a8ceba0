"""sweeps.description: what a sweep may be, and that it is read again as it was written."""

from __future__ import annotations

import json

import pytest
import tomli_w

import neurosim as ns
from neurosim.errors import DescriptionError
from neurosim.sweeps import make_sweep, read_sweep, split_values, value_text
from neurosim.sweeps.description import sweep_table

BASE = {"network": "64-12-10", "rules": ["bp", "ssdfa"], "chip": "mesh64"}


def test_a_sweep_is_read_again_from_its_file_as_it_was(tmp_path):
    sweep = make_sweep(
        BASE
        | {"cores": [1, 4], "set": {"microbatch": [1, 8], "chip.noc.flit_bits": 32}, "weak": True}
        | {"recipe": {"batch_size": 16}, "learning": {"dataset": "digits"}}
    )
    path = tmp_path / "sweep.toml"
    path.write_text(tomli_w.dumps(json.loads(json.dumps(sweep_table(sweep)))))
    assert read_sweep(path) == sweep


def test_names_files_tables_and_models_stand_for_descriptions(tmp_path):
    (tmp_path / "mine.toml").write_text('name = "mine"\nerror = "output"\nconnections = 2\n')
    rules = ["bp", str(tmp_path / "mine.toml"), ns.Rule("other", error="output"), {"name": "own", "error": "target"}]
    sweep = make_sweep(BASE | {"rules": rules, "network": ns.dense([4, 3, 2])})
    assert [rule.name for rule in sweep.rules] == ["bp", "mine", "other", "own"]


def test_dotted_keys_of_an_axis_need_no_quotes(tmp_path):
    (tmp_path / "s.toml").write_text(
        'network = "4-3-2"\nrules = ["bp"]\nchip = "tiny"\n[set]\nchip.noc.flit_bits = [8, 16]\n'
    )
    (axis,) = read_sweep(tmp_path / "s.toml").axes
    assert (axis.key, axis.values) == ("chip.noc.flit_bits", ("8", "16"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"corse": [1]}, "sweep.corse: unknown key; did you mean 'cores'"),
        ({"cores": []}, r"sweep.cores = \[\]"),
        ({"cores": [4, 4]}, "cores: 4: is given twice"),
        ({"cores": [0]}, "sweep.cores = 0: must be a whole number from 1"),
        ({"set": {"microbatch": []}}, "sweep.set.microbatch: .* an axis needs values"),
        ({"set": 3}, "must be a table of keys"),
        ({"set": {"flit_bits": [8], "chip.noc.flit_bits": [16]}}, "chip.noc.flit_bits is given twice"),
        ({"set": {"batch_size": [8, 16]}, "recipe": {"batch_size": 4}}, "recipe.batch_size is given twice"),
        ({"set": {"chip.grid": [[2, 2]]}, "cores": [4]}, "chip.grid: has no effect with cores"),
        ({"set": {"chip.chips": [[2, 2]]}, "chips": [4]}, "chip.chips: has no effect with chips"),
        ({"set": {"rule.name": ["a", "b"]}}, "a name is no field to vary"),
        ({"set": {"dfa:microbatch": [2]}, "together": True}, "all rules share one microbatch"),
        ({"zip": True}, "zip: true: has no effect"),
        ({"set": {3: [1]}}, "must be the key of a field, as text"),
        ({"weak": True}, "weak: True: has no effect without cores"),
        ({"memory": "fixed"}, "memory: fixed: has no effect without cores"),
        ({"samples": 100}, "samples: 100: is the length of an epoch"),
        ({"cores": [1, 4], "chips": [1, 2, 4], "zip": True}, "cores 2, chips 3"),
        ({"network": "4-3-2", "networks": ["4-2"]}, "give one of them"),
        ({"rules": ["bpp"]}, "'bpp' is no rule; did you mean 'bp'"),
        ({"fidelity": "analytic", "learning": {"dataset": "digits"}}, "needs simulated epochs"),
    ],
)
def test_a_bad_sweep_is_refused_by_place_and_value(change, sentence):
    with pytest.raises(DescriptionError, match=sentence):
        make_sweep(BASE | change)


def test_memories_are_scaled_by_default_and_fixed_where_the_network_grows():
    assert make_sweep(BASE | {"cores": [1]}).memory_scaling == "scaled"
    assert make_sweep(BASE | {"cores": [1], "weak": True}).memory_scaling == "fixed"
    assert make_sweep(BASE | {"cores": [1], "weak": True, "memory": "scaled"}).memory_scaling == "scaled"


@pytest.mark.parametrize(
    ("text", "values"),
    [("32,64", ["32", "64"]), ("[8, 8],[4,4]", ["[8, 8]", "[4,4]"]), ("'a,b', c", ["'a,b'", "c"]), ("x", ["x"])],
)
def test_values_are_cut_at_commas_outside_brackets_and_quotes(text, values):
    assert split_values(text) == values


@pytest.mark.parametrize(
    ("value", "text"),
    [(32, "32"), (0.5, "0.5"), (True, "true"), (None, "none"), ("auto", "auto"), ((8, 8), "[8, 8]"), (["a"], '["a"]')],
)
def test_values_are_written_as_set_reads_them(value, text):
    assert value_text(value) == text
