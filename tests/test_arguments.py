"""arguments: what a call is given is checked like a description, in one sentence."""

from pathlib import Path

import numpy as np
import pytest

import neurosim as ns
from neurosim.arguments import checked_choice, checked_count, checked_fraction, checked_list, checked_path
from neurosim.errors import NeurosimError
from neurosim.recipes import Recipe


@pytest.mark.parametrize("value", [7, 7.0, np.int64(7)])
def test_whole_numbers_of_any_kind_are_counts(value):
    assert type(checked_count("seeds", value)) is int
    assert checked_count("seeds", value, most=7) == 7


@pytest.mark.parametrize("value", ["x", 2.5, True, None, 0, 9, float("nan"), pytest.param(10**5000, id="long")])
def test_what_is_no_count_is_refused_with_place_value_and_range(value):
    with pytest.raises(NeurosimError, match=r"^seeds = .+: must be a whole number from 1 to 8$"):
        checked_count("seeds", value, most=8)


def test_fractions_may_leave_out_an_end():
    assert [checked_fraction("validation", value) for value in (0, 0.5, np.float64(1))] == [0.0, 0.5, 1.0]
    with pytest.raises(NeurosimError, match=r"^validation = 0: must be a fraction above 0 and up to 1"):
        checked_fraction("validation", 0, above_0=True)
    with pytest.raises(NeurosimError, match="below 1"):
        checked_fraction("validation", 1.0, below_1=True)


@pytest.mark.parametrize("value", ["a", None, True, -0.1, 2, float("nan"), pytest.param(10**5000, id="long")])
def test_what_is_no_fraction_is_refused(value):
    with pytest.raises(NeurosimError, match="must be a fraction from 0 and up to 1"):
        checked_fraction("validation", value)


@pytest.mark.parametrize(("value", "guess"), [(3, ""), ("stp", "; did you mean 'step'"), (["step"], "")])
def test_a_choice_is_one_of_the_words(value, guess):
    assert checked_choice("per", "step", ("step", "epoch")) == "step"
    with pytest.raises(NeurosimError, match=f"allowed are step, epoch{guess}"):
        checked_choice("per", value, ("step", "epoch"))


def test_a_path_is_text_or_a_path():
    assert checked_path("weights", Path("a.npz")) == checked_path("weights", "a.npz") == "a.npz"
    with pytest.raises(NeurosimError, match="weights = 5: must be the path of a file"):
        checked_path("weights", 5)


def test_a_lone_name_or_description_is_a_list_of_one():
    assert checked_list("rules", "bp") == ["bp"]
    assert checked_list("rules", Recipe()) == [Recipe()]
    assert checked_list("rules", ("bp", "dfa")) == ["bp", "dfa"]
    with pytest.raises(NeurosimError, match="must name at least one"):
        checked_list("rules", [])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"samples": "x"}, "samples = 'x': must be a whole number"),
        ({"samples": 2.5}, "samples = 2.5: must be a whole number"),
        ({"per": "epoch", "samples": 10**22}, "from 1 to 1000000000000"),
        ({"per": 3}, "per = 3: allowed are sample, step, epoch"),
        ({"fidelity": None}, "allowed are analytic, event"),
        ({"batch_size": 10**24}, "batch_size: 10+: must be at most 2147483647"),
    ],
)
def test_cost_refuses_arguments_of_the_wrong_kind(arguments, words):
    with pytest.raises(NeurosimError, match=words):
        ns.cost("9-9-9", **arguments)
