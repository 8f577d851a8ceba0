import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosim.chips import Chip, chip_names, load_chip
from neurosim.descriptions import merge, override, parse_value, read_toml, to_toml, validate
from neurosim.errors import DescriptionError
from neurosim.explanations import key_paths
from neurosim.networks import Network, load_network
from neurosim.recipes import Recipe, load_recipe
from neurosim.rules import RULES, Rule, load_rule


def write(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_repeated_key_names_file_and_line(tmp_path):
    path = write(tmp_path, "twice.toml", "grid = [1, 1]\ngrid = [2, 2]\n")
    with pytest.raises(DescriptionError, match=r"twice\.toml: is not valid TOML: the key is given twice \(at line 2"):
        read_toml(path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"grid = \n", "is not valid TOML"),
        (b"grid = " + b"9" * 5000, "cannot be read as TOML"),
        (b"name = '\xff'", "is not text in UTF-8"),
    ],
)
def test_an_ill_formed_file_is_refused(tmp_path, content, sentence):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(DescriptionError, match=sentence):
        read_toml(path)


def test_an_absent_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(DescriptionError, match="there is no such file"):
        read_toml(tmp_path / "none.toml")
    with pytest.raises(DescriptionError, match="cannot be read"):
        read_toml(tmp_path)


def test_an_unknown_key_names_place_and_nearest_guess(tmp_path):
    path = write(tmp_path, "loihi.toml", 'based_on = "tiny"\n[core.synapse_memory]\nread_pj_per_wrod = 1\n')
    with pytest.raises(DescriptionError) as caught:
        load_chip(path)
    assert str(caught.value) == (
        "loihi.core.synapse_memory.read_pj_per_wrod: unknown key; did you mean 'read_pj_per_word'?"
    )


@pytest.mark.parametrize(
    ("key", "text", "sentence"),
    [
        ("grid", "[0, 8]", "tiny.grid: [0, 8]: must be at least 1"),
        ("grid", "[8]", "tiny.grid: [8]: has too few values"),
        ("grid", "[1, 1, 1]", "tiny.grid: [1, 1, 1]: must have at most 2 values"),
        ("grid", "8", "tiny.grid: 8: must be a list in brackets"),
        ("noc.hop_cycles", "1.5", "tiny.noc.hop_cycles: 1.5: must be a whole number"),
        ("core.mac_pj", "-1", "tiny.core.mac_pj: -1: must be at least 0"),
        ("core.mac_pj", "inf", "tiny.core.mac_pj: Infinity: must be a finite number"),
        ("core.mac_pj", "much", "tiny.core.mac_pj: 'much': must be a number"),
        ("power_gating", "1", "tiny.power_gating: 1: must be true or false"),
        ("clock_mhz", "0", "tiny.clock_mhz: 0: must be more than 0"),
        ("noc", "3", "tiny.noc: 3: must be a table of keys"),
        ("noc.flit_bist", "3", "tiny.noc.flit_bist: unknown key; did you mean 'flit_bits'?"),
        ("noc.mac_pj.x", "3", "tiny.noc.mac_pj: unknown key; allowed are topology, cores_per_router, flit_bits"),
        ("clock_mhz.x", "3", "tiny.clock_mhz.x: clock_mhz is a single value and has no key 'x'"),
        ("capacity_bytes", "3", "capacity_bytes: stands in several tables; write core.neuron_memory.capacity_bytes or"),
        ("channel.cache_bytes", "3", "tiny.channel.channel_bits_per_cycle: is missing"),
    ],
)
def test_a_refused_override_says_place_value_and_what_is_allowed(key, text, sentence):
    with pytest.raises(DescriptionError) as caught:
        override(load_chip("tiny"), key, text)
    assert str(caught.value).startswith(sentence)


def test_a_word_that_is_not_allowed_gets_the_list_and_a_guess():
    with pytest.raises(DescriptionError) as caught:
        override(Recipe(), "microbatch", "auot")
    assert str(caught.value) == "Recipe.microbatch: 'auot': must be 'auto' or a whole number; did you mean 'auto'?"


def test_a_description_made_in_python_raises_the_same_errors():
    with pytest.raises(DescriptionError, match=r"^Recipe\.lr: -1: must be more than 0$"):
        Recipe(lr=-1)
    with pytest.raises(DescriptionError, match=r"^mine\.eror: unknown key; did you mean 'error'\?$"):
        Rule("mine", eror="output")
    with pytest.raises(DescriptionError, match=r"^n\.layers\.2\.units: 0: must be at least 1$"):
        Network(name="n", inputs=1, layers=[{"units": 1}, {"units": 0}])


def test_lists_whole_floats_and_ints_are_taken_where_tuples_counts_and_amounts_are_meant():
    memory = {"capacity_bytes": 1e9, "words_per_cycle": 1, "read_pj_per_word": 2, "write_pj_per_word": 2}
    chip = override(override(load_chip("tiny"), "core.neuron_memory.capacity_bytes", "1e9"), "grid", "[3, 2]")
    assert type(chip.core.neuron_memory)(**memory).capacity_bytes == 10**9
    assert isinstance(chip.core.neuron_memory.capacity_bytes, int)
    assert chip.grid == (3, 2)


def test_based_on_overrides_single_keys_at_any_depth(tmp_path):
    path = write(tmp_path, "wide.toml", 'based_on = "mesh64"\n[noc.east]\nlink_bits = 128\n[core]\nmac_pj = 1\n')
    wide, base = load_chip(path), load_chip("mesh64")
    assert (wide.name, wide.noc.east.link_bits, wide.core.mac_pj) == ("wide", 128, 1.0)
    assert wide.core.neuron_memory == base.core.neuron_memory
    assert wide.grid == base.grid


def test_based_on_may_be_a_path_relative_to_the_file_and_go_on(tmp_path):
    write(tmp_path, "first.toml", 'based_on = "tiny"\nclock_mhz = 7\n')
    (tmp_path / "deeper").mkdir()
    second = write(tmp_path / "deeper", "second.toml", 'based_on = "../first.toml"\ngrid = [1, 1]\n')
    chip = load_chip(second)
    assert (chip.name, chip.clock_mhz, chip.cores) == ("second", 7.0, 1)


def test_based_on_in_a_circle_is_refused(tmp_path):
    write(tmp_path, "a.toml", 'based_on = "b.toml"\n')
    b = write(tmp_path, "b.toml", 'based_on = "a.toml"\n')
    with pytest.raises(DescriptionError, match=r"circle: b\.toml -> a\.toml -> b\.toml"):
        load_chip(b)


def test_an_unknown_base_gets_a_guess(tmp_path):
    path = write(tmp_path, "mine.toml", 'based_on = "mesh46"\n')
    with pytest.raises(DescriptionError, match=r"mine\.based_on: 'mesh46' is no chip; did you mean 'mesh64'\?"):
        load_chip(path)
    path = write(tmp_path, "mine.toml", "based_on = 3\n")
    with pytest.raises(DescriptionError, match=r"mine\.based_on: 3: must be the name of a chip or a path"):
        load_chip(path)


def test_an_overridden_number_loses_its_old_source_and_the_others_keep_theirs(tmp_path):
    path = write(
        tmp_path, "mine.toml", 'based_on = "mesh64"\nclock_mhz = 1\nstatic_w_core = 0\n[sources]\nclock_mhz = "x"\n'
    )
    sources = load_chip(path).sources
    assert sources["clock_mhz"] == "x"
    assert sources["static_w_core"] == "assumed: given by mine.toml without a source"
    assert sources["noc.hop_cycles"] == load_chip("mesh64").sources["noc.hop_cycles"]


def test_a_source_for_a_table_covers_only_the_numbers_given_with_it():
    base = {"core": {"a_pj": 1, "b_pj": 2}, "sources": {"core.a_pj": "A", "core.b_pj": "B"}}
    merged = merge(base, {"core": {"a_pj": 3}, "sources": {"core": "mine"}}, "here")
    assert merged["sources"] == {"core.a_pj": "mine", "core.b_pj": "B"}


def test_overrides_reach_tables_layers_and_keys_that_occur_once():
    chip = override(override(load_chip("mesh64"), "noc.flit_bits", "32"), "flit_bits", "32")
    assert (chip.noc.flit_bits, chip.core.mac_pj) == (32, 1.8)
    network = override(load_network("4-3-2"), "layers.1.activation", "relu")
    assert [layer.activation for layer in network.layers] == ["relu", "tanh"]
    assert override(RULES["dfa"], "connections", "2").feedback.connections == 2
    assert override(Recipe(), "lr", "1e-2").lr == 0.01


@pytest.mark.parametrize("key", ["layers.0.units", "layers.3.units", "layers.1", "layers.x.units"])
def test_layers_are_numbered_from_1(key):
    with pytest.raises(DescriptionError, match=r"layers are numbered 1 to 2: write layers\.1\.KEY"):
        override(load_network("4-3-2"), key, "3")


def test_none_empties_a_field_that_may_be_absent_and_no_other():
    assert override(RULES["sdfa"], "feedback.connections", "none").feedback.connections is None
    assert override(load_chip("von_neumann"), "channel", "none").channel is None
    assert not override(load_chip("von_neumann"), "channel.behind", "none").behind_channel
    assert override(load_chip("tiny"), "core.forward.mac_pj", "none").core.forward.mac_pj is None
    with pytest.raises(DescriptionError, match="clock_mhz: 'none': must be a number"):
        override(load_chip("tiny"), "clock_mhz", "none")


def test_an_overridden_number_is_no_longer_sourced():
    chip = override(load_chip("mesh64"), "noc.hop_cycles", "3")
    assert chip.sources["noc.hop_cycles"] == "assumed: given by an override without a source"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("32", 32),
        ("1e-3", 1e-3),
        ("true", True),
        ("[1, 2]", [1, 2]),
        ("tanh", "tanh"),
        ('"a b"', "a b"),
        ("x\ny=1", "x\ny=1"),
    ],
)
def test_values_are_toml_and_bare_words_are_text(text, value):
    assert parse_value(text) == value


@given(st.text())
def test_any_text_is_some_value(text):
    parse_value(text)


@pytest.mark.parametrize("name", chip_names())
def test_chips_survive_toml(tmp_path, name):
    chip = load_chip(name)
    assert load_chip(write(tmp_path, "copy.toml", to_toml(chip))) == chip


def test_networks_rules_and_recipes_survive_toml(tmp_path):
    network = override(load_network("4-3-2"), "layers.1.dropout", "0.5")
    assert load_network(write(tmp_path, "n.toml", to_toml(network))) == network
    for rule in RULES.values():
        assert load_rule(write(tmp_path, "r.toml", to_toml(rule))) == rule
    recipe = Recipe(clip_value=1.0, microbatch=8)
    assert load_recipe(write(tmp_path, "c.toml", to_toml(recipe))) == recipe


def test_descriptions_survive_pickling_and_copying():
    for model in (load_chip("mesh64"), RULES["sdfa"], load_network("4-3-2"), Recipe()):
        assert pickle.loads(pickle.dumps(model)) == model == copy.deepcopy(model)


def test_a_missing_key_is_named():
    with pytest.raises(DescriptionError, match=r"^mine\.clock_mhz: is missing$"):
        validate(Chip, {"name": "mine"}, "mine")


TEXTS = st.sampled_from(
    ["0", "-1", "1.5", "1e400", "nan", "[]", "[1, 2]", "[[1, 2]]", "{}", "{a = 1}", "true", "none", "1979-05-27", "x"]
)


@given(st.sampled_from([load_chip("von_neumann"), load_network("4-3-2"), RULES["sdfa"], Recipe()]), st.data(), TEXTS)
def test_any_override_gives_a_description_or_one_sentence(model, data, text):
    key = data.draw(st.sampled_from([*key_paths(type(model)), "layers.1.units", "layers.2.dropout", "x.y", "", "."]))
    try:
        outcome = override(model, key, text)
    except DescriptionError as error:
        outcome = str(error).splitlines()
    assert isinstance(outcome, type(model)) or len(outcome) == 1


@pytest.mark.parametrize("key", ["batch_size", "epochs", "seed", "microbatch"])
def test_a_count_of_thirty_digits_is_refused_in_a_sentence(key):
    with pytest.raises(
        DescriptionError, match=rf"{key}: 9+: must be at most|microbatch: 9+: must be at most batch_size"
    ):
        override(Recipe(), key, "9" * 30)


def test_seeds_take_64_bits_and_neurons_24():
    assert override(Recipe(), "seed", str(2**64 - 1)).seed == 2**64 - 1
    with pytest.raises(DescriptionError, match=r"layers\.1\.units: 16777217: must be at most 16777216"):
        load_network("4-16777217-2")
