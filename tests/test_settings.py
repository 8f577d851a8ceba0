"""settings: --set reaches every field, for all rules or for one."""

import pytest

from neurosim.chips import load_chip
from neurosim.errors import DescriptionError
from neurosim.networks import dense
from neurosim.recipes import Recipe
from neurosim.rules import RULES
from neurosim.settings import check_rule_names, parse_settings


def test_every_part_is_reached_with_and_without_its_name():
    found = parse_settings(
        ["chip.noc.flit_bits=32", "clock_mhz=250", "lr=0.3", "training.batch_size=8", "network.layers.1.dropout=0.5"]
    )
    chip = found.chip(load_chip("mesh64"))
    assert (chip.noc.flit_bits, chip.clock_mhz) == (32, 250.0)
    assert (found.recipe(Recipe()).lr, found.recipe(Recipe()).batch_size) == (0.3, 8)
    assert found.network(dense([4, 3, 2])).layers[0].dropout == 0.5


def test_what_was_changed_does_not_go_by_its_old_name():
    found = parse_settings(["chip.noc.flit_bits=32", "network.layers.1.units=5", "layers.1.dropout=0.5"])
    assert found.chip(load_chip("mesh64")).name == "mesh64 (noc.flit_bits=32)"
    assert found.network(dense([4, 3, 2])).name == "4-5-2 (layers.1.dropout=0.5)"
    assert parse_settings([]).chip(load_chip("mesh64")) == load_chip("mesh64")


def test_a_rule_s_own_settings_leave_the_others_alone():
    found = parse_settings(["dfa:lr=0.3", "dfa:feedback.scale=2.0", "feedback.init=normal"])
    assert found.recipe(Recipe()).lr == Recipe().lr
    assert found.recipe_of_rule("dfa", Recipe()) == {"lr": 0.3}
    assert found.recipe_of_rule("bp", Recipe()) == {}
    assert found.rule(RULES["dfa"]).feedback.scale == 2.0
    assert found.rule(RULES["fa"]).feedback.scale == 1.0
    assert found.rule(RULES["fa"]).feedback.init == "normal"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lr", "KEY=VALUE"),
        ("learning_rates=3", "learning_rates"),
        ("batchsize=3", "did you mean 'batch_size'"),
        ("activation=relu", "layers.N.activation"),
        ("dfa:clock_mhz=3", "not its own chip"),
    ],
)
def test_what_is_no_setting_is_refused_in_one_sentence(text, words):
    with pytest.raises(DescriptionError, match=words):
        parse_settings([text])


def test_settings_that_hang_on_each_other_may_come_in_any_order():
    found = parse_settings(["microbatch=100", "momentum=0.5", "batch_size=200", "optimizer=momentum", "overlap=none"])
    recipe = found.recipe(Recipe())
    assert (recipe.microbatch, recipe.batch_size, recipe.momentum) == (100, 200, 0.5)


def test_a_number_that_nothing_would_use_is_refused():
    with pytest.raises(DescriptionError, match="no effect with optimizer 'adam'"):
        parse_settings(["momentum=0.95"]).recipe(Recipe())


def test_settings_for_a_rule_that_is_not_in_use_are_refused():
    with pytest.raises(DescriptionError, match="did you mean 'dfa'"):
        check_rule_names(parse_settings(["dfaa:lr=0.3"]), ["bp", "dfa"])


def test_a_wrong_value_names_the_place():
    with pytest.raises(DescriptionError, match="flit_bits"):
        parse_settings(["chip.noc.flit_bits=-1"]).chip(load_chip("mesh64"))
