import pytest

from neurosim.errors import DescriptionError
from neurosim.networks import Conv, Dense, Flatten, Network, Pool, dense
from neurosim.recipes import Recipe
from neurosim.rules import RULES, Feedback, Rule, check_rule, load_rule, values_needed

DEEP = dense([8, 6, 5, 3])
RANDOM = ["fa", "dfa", "sdfa", "ssdfa", "sign-dfa", "drtp"]


@pytest.mark.parametrize("name", RULES)
def test_every_rule_can_be_loaded_by_name_and_trains_with_the_default_recipe(name):
    assert load_rule(name) == RULES[name]
    assert check_rule(DEEP, RULES[name], Recipe()) == []


def test_an_unknown_rule_gets_a_guess_and_the_list():
    with pytest.raises(
        DescriptionError, match=r"'ssdf' is no rule; did you mean 'ssdfa'\?; there are bp, bp-mirrored, fa"
    ):
        load_rule("ssdf")


def test_a_rule_of_the_users_own_may_be_based_on_another(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('based_on = "dfa"\nconnections = 2\nstorage = "generated"\n')
    mine = load_rule(path)
    assert mine == Rule("mine", error="output", feedback=Feedback(connections=2, storage="generated"))
    assert mine.sparse
    assert mine.shares_source


def test_flat_and_nested_feedback_keys_may_be_mixed():
    mine = Rule("mine", error="output", feedback=Feedback(connections=2), init="normal")
    assert mine.feedback == Feedback(connections=2, init="normal")
    assert load_rule(mine) is mine
    assert Rule(name="mine", error="output", connections=2).feedback.connections == 2


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"error": "none"}, "write error = 'none' together with matrix = 'none'"),
        ({"error": "output", "matrix": "none"}, "write error = 'none' together with matrix = 'none'"),
        ({"error": "output", "matrix": "weights"}, "write matrix = 'random'"),
        ({"error": "output-sign", "matrix": "sign", "magnitude": "one"}, "write matrix = 'random'"),
        ({"error": "target", "matrix": "weights"}, "write matrix = 'random'"),
        ({"error": "next", "matrix": "sign"}, "needs a feedback.magnitude"),
        ({"error": "next", "magnitude": "once"}, "feedback.magnitude 'once' belongs to matrix 'sign'"),
        ({"error": "next", "connections": 2}, "only errors of the output"),
        ({"error": "target", "connections": 2}, "only errors of the output"),
        ({"error": "none", "matrix": "none", "connections": 2}, "only errors of the output"),
        ({"error": "output", "sparse_scale": "equal_variance"}, "give feedback.connections too"),
        ({"error": "next", "transport": "mirrored"}, "transport 'mirrored' copies weights"),
        ({"error": "output", "transport": "mirrored"}, "transport 'mirrored' copies weights"),
        ({"error": "next", "matrix": "weights", "init": "normal"}, "belong to matrix 'random'"),
        ({"error": "next", "matrix": "weights", "scale": 2.0}, "belong to matrix 'random'"),
        ({"error": "next", "matrix": "weights", "storage": "generated"}, "there is nothing to generate"),
        ({"error": "none", "matrix": "none", "storage": "generated"}, "there is nothing to generate"),
        (
            {"error": "next", "matrix": "sign", "magnitude": "xavier", "storage": "generated"},
            "the constant magnitude 'xavier': there is nothing to generate",
        ),
        ({"error": "outptu"}, "did you mean 'output'?"),
        ({"error": "output", "connections": 0}, "mine.feedback.connections: 0: must be at least 1"),
        ({"error": "output", "connection": 3}, "mine.connection: unknown key; did you mean 'feedback.connections'?"),
    ],
)
def test_a_rule_that_contradicts_itself_is_refused_with_the_reason(fields, sentence):
    with pytest.raises(DescriptionError) as caught:
        Rule("mine", **fields)
    assert str(caught.value).startswith("mine")
    assert sentence in str(caught.value)


def test_drawn_magnitudes_may_be_generated():
    for magnitude in ("once", "every_step"):
        rule = Rule("mine", error="next", matrix="sign", magnitude=magnitude, storage="generated")
        assert rule.partial_sums


def test_sparse_sign_feedback_is_a_rule():
    assert Rule("mine", error="output-sign", connections=2).sparse


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_zero_weights_are_offered_where_a_random_error_arrives(name, activation):
    assert check_rule(dense([8, 6, 5, 3], activation), RULES[name], Recipe(init="zero")) == []


@pytest.mark.parametrize(
    ("name", "activation", "reason"),
    [
        ("bp", "tanh", "its hidden error is a product with W"),
        ("bp-mirrored", "tanh", "its hidden error is a product with W"),
        ("usf", "tanh", "its hidden error is a product with W"),
        ("frsf", "sigmoid", "its hidden error is a product with W"),
        ("last-layer", "tanh", "its hidden layers are never trained"),
        *((name, "relu", "relu'(0) = 0") for name in RANDOM),
        ("dfa", "linear", "offered for tanh and sigmoid only"),
    ],
)
def test_zero_weights_are_refused_elsewhere_with_the_reason(name, activation, reason):
    with pytest.raises(DescriptionError) as caught:
        check_rule(dense([8, 6, 5, 3], activation), RULES[name], Recipe(init="zero"))
    assert str(caught.value).startswith(f"init: 'zero': is refused for {name}")
    assert reason in str(caught.value)


def test_feedback_like_zero_weights_would_be_zero():
    rule = Rule("mine", error="output", init="like_weights")
    assert check_rule(DEEP, rule, Recipe()) == []
    with pytest.raises(DescriptionError, match="would draw a zero B from zero weights"):
        check_rule(DEEP, rule, Recipe(init="zero"))


def test_the_last_layers_activation_does_not_matter_to_zero_weights():
    network = dense([8, 6, 3])
    layers = [layer.model_dump() for layer in network.layers]
    layers[-1]["activation"] = "relu"
    assert check_rule(type(network)(inputs=8, layers=layers), RULES["dfa"], Recipe(init="zero")) == []


@pytest.mark.parametrize("name", RULES)
def test_without_a_hidden_layer_any_rule_may_start_from_zero(name):
    assert check_rule(dense([8, 3]), RULES[name], Recipe(init="zero")) == []


def test_a_neuron_cannot_use_more_outputs_than_there_are():
    rule = Rule("mine", error="output", connections=4)
    with pytest.raises(DescriptionError, match=r"mine\.feedback\.connections: 4: .* allowed are 1 to 3"):
        check_rule(DEEP, rule, Recipe())
    assert check_rule(dense([8, 6, 4]), rule, Recipe()) == []


def test_drtp_with_relu_is_a_warning():
    (warning,) = check_rule(dense([8, 6, 3], "relu"), RULES["drtp"], Recipe())
    assert "does not learn" in warning


def test_what_a_rule_asks_for_follows_from_its_answers():
    assert [name for name, rule in RULES.items() if rule.partial_sums] == ["bp", "usf", "brsf", "frsf"]
    assert [name for name, rule in RULES.items() if rule.mirrored] == ["bp-mirrored"]
    assert [name for name, rule in RULES.items() if rule.shares_source] == ["dfa", "sign-dfa", "sdfa", "ssdfa"]
    assert [name for name, rule in RULES.items() if rule.sparse] == ["sdfa", "ssdfa"]


@pytest.mark.parametrize("name", ["a", "7", "my-rule_2.b+c", "x" * 64])
def test_a_rules_name_may_hold_what_file_names_hold(name):
    assert Rule(name, error="next").name == name


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "-v", "my rule", "règle", "a\n", "x" * 65])
def test_other_names_are_refused_because_files_are_named_after_rules(name):
    with pytest.raises(DescriptionError, match=r"name: .*must begin with a letter or digit .* files of a run"):
        Rule(name, error="next")


def test_a_rule_file_with_another_name_is_told_the_way_out(tmp_path):
    path = tmp_path / "my rule.toml"
    path.write_text('error = "next"\n')
    with pytest.raises(DescriptionError, match="^my rule.name: 'my rule': .*write such a name = '...' in the rule"):
        load_rule(path)
    path.write_text('error = "next"\nname = "mine"\n')
    assert load_rule(path).name == "mine"


FILTERS = Network(
    inputs=(1, 9, 9),
    layers=(
        Conv(channels=5, kernel=3, activation="relu"),
        Pool(kind="max_pool", kernel=3, stride=2),
        Conv(channels=6, kernel=(3, 2), stride=2),
        Flatten(),
        Dense(units=4),
    ),
)


@pytest.mark.parametrize(
    ("name", "needed"), [("bp", 24), ("usf", 24), ("fa", 12), ("dfa", 4), ("ssdfa", 1), ("drtp", 1)]
)
def test_a_neuron_before_a_convolution_needs_the_errors_of_the_windows_it_lies_in(name, needed):
    assert values_needed(FILTERS, RULES[name])[1] == needed


def test_a_convolutions_activation_counts_among_the_hidden_ones():
    with pytest.raises(DescriptionError, match="relu"):
        check_rule(FILTERS, RULES["dfa"], Recipe(init="zero"))
    assert "does not learn" in check_rule(FILTERS, RULES["drtp"], Recipe())[0]
