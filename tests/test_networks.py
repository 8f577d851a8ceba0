import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosim.errors import DescriptionError
from neurosim.networks import NETWORKS, Dense, Network, dense, hidden, load_network


@given(st.lists(st.integers(1, 5000), min_size=2, max_size=6))
def test_a_shorthand_is_its_widths(widths):
    network = load_network("-".join(str(width) for width in widths))
    assert network.widths == tuple(widths)
    assert network == dense(widths)


def test_a_shorthand_repeats_widths_with_x():
    network = load_network("784-7x240-10")
    assert network.widths == (784, *[240] * 7, 10)
    assert (network.name, network.depth, network.layer(1).units) == ("784-7x240-10", 8, 240)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_listed_networks_can_be_read(name):
    assert load_network(name).name == name


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("784", "network '784': needs an input and at least one layer; write widths such as 784-800-10"),
        ("784-0-10", "'0' is a layer without neurons; every width must be at least 1"),
        ("784--10", "'' is not a width"),
        ("784-abc-10", "'abc' is not a width"),
        ("784-" + "9" * 5000, "is not a width"),
        ("784-8.5-10", "'8.5' is not a width"),
        ("784-0x5-10", "'0x5' repeats 0 times; allowed are 1 to 1000"),
        ("784-9999x5-10", "'9999x5' repeats 9999 times"),
        ("", "'' is not a width"),
        ("mynet", "or the path of a TOML file"),
        ("mynet.toml", "mynet.toml: there is no such file"),
    ],
)
def test_a_shorthand_that_is_none_is_refused_with_the_way_out(text, sentence):
    with pytest.raises(DescriptionError) as caught:
        load_network(text)
    assert sentence in str(caught.value)


def test_hidden_layers_stand_between_two_given_ends():
    assert hidden(784, 10, "800, 2x30", "relu").widths == (784, 800, 30, 30, 10)
    assert hidden(64, 10, "5").layer(1).activation == "tanh"


@pytest.mark.parametrize("text", ["", "800;10", "0", "-5", "800,"])
def test_hidden_layers_that_are_none_are_refused(text):
    with pytest.raises(DescriptionError, match=f"^--hidden {text}: "):
        hidden(784, 10, text)


def test_a_network_file_has_layers_and_may_be_based_on_another(tmp_path):
    base = tmp_path / "base.toml"
    base.write_text("inputs = 4\n[[layers]]\nunits = 3\ndropout = 0.5\ntrainable = false\n[[layers]]\nunits = 2\n")
    (tmp_path / "wide.toml").write_text('based_on = "base.toml"\ninputs = 9\n')
    wide = load_network(tmp_path / "wide.toml")
    assert (wide.name, wide.widths) == ("wide", (9, 3, 2))
    assert wide.layer(1) == Dense(units=3, dropout=0.5, trainable=False)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("inputs = 4\nlayers = []\n", r"n\.layers: \[\]: must have at least 1 values"),
        ("inputs = 4\n", r"n\.layers: is missing"),
        ("inputs = -4\n[[layers]]\nunits = 1\n", r"n\.inputs: -4: must be at least 1"),
        ("inputs = 4\n[[layers]]\nunits = 1\ndropout = 1.0\n", r"n\.layers\.1\.dropout: 1\.0: must be less than 1"),
        (
            "inputs = 4\n[[layers]]\nunits = 1\ndropout = 0.5\n",
            r"n\.layers\.1\.dropout: 0\.5: is refused on the last layer",
        ),
        ("inputs = 4\n[[layers]]\nunit = 1\n", r"n\.layers\.1\.unit: unknown key; did you mean 'units'"),
        ("inputs = 4\nlayers = [3]\n", r"n\.layers\.1: 3: must be a table of keys"),
        ("inputs = true\n[[layers]]\nunits = 1\n", r"n\.inputs: true: must be a whole number"),
    ],
)
def test_a_network_file_with_a_wrong_value_says_where(tmp_path, text, sentence):
    path = tmp_path / "n.toml"
    path.write_text(text)
    with pytest.raises(DescriptionError, match=sentence):
        load_network(path)


def test_an_activation_replaces_that_of_every_layer():
    network = load_network(dense([4, 3, 2], "tanh"), activation="relu")
    assert [layer.activation for layer in network.layers] == ["relu", "relu"]
    with pytest.raises(DescriptionError, match=r"activation: 'rleu': must be one of .* did you mean 'relu'"):
        load_network("4-3-2", activation="rleu")


def test_a_network_is_returned_as_it_is_and_dense_refuses_one_width():
    network = Network(inputs=1, layers=(Dense(units=1),))
    assert load_network(network) is network
    with pytest.raises(DescriptionError, match="at least one layer"):
        dense([3])
    with pytest.raises(DescriptionError, match=r"4-0\.layers\.1\.units: 0: must be at least 1"):
        dense([4, 0])
