import pytest

from neurosim.chips import load_chip
from neurosim.descriptions import override
from neurosim.errors import DescriptionError
from neurosim.recipes import Recipe, check_recipe, load_recipe


def test_the_default_recipe_is_the_documented_one():
    recipe = Recipe()
    assert (recipe.loss, recipe.reduction, recipe.init) == ("softmax", "mean", "uniform")
    assert (recipe.optimizer, recipe.lr, recipe.batch_size) == ("adam", 1e-3, 64)
    assert (recipe.microbatch, recipe.delivery, recipe.overlap, recipe.window) == ("auto", "multicast", "none", 2)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"batch_size": 0}, "Recipe.batch_size: 0: must be at least 1"),
        ({"batch_size": 2.5}, "Recipe.batch_size: 2.5: must be a whole number"),
        ({"lr": 0.0}, "Recipe.lr: 0.0: must be more than 0"),
        ({"lr": float("nan")}, "Recipe.lr: NaN: must be"),
        ({"momentum": 1.0}, "Recipe.momentum: 1.0: must be less than 1"),
        ({"optimizer": "adm"}, "did you mean 'adam'?"),
        ({"microbatch": 0}, "Recipe.microbatch: 0: must be 'auto' or at least 1"),
        ({"batch_size": 8, "microbatch": 9}, "Recipe.microbatch: 9: must be at most batch_size, which is 8, or 'auto'"),
        ({"window": 9}, "Recipe.window: 9: must be at most 8"),
        ({"sead": 1}, "Recipe.sead: unknown key; did you mean 'seed'?"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(fields, sentence):
    with pytest.raises(DescriptionError) as caught:
        Recipe(**fields)
    assert sentence in str(caught.value)


def test_whole_floats_are_counts():
    assert Recipe(batch_size=1e3, microbatch=1e2).microbatch == 100


def test_only_exact_overlap_keeps_several_microbatches_in_flight():
    assert Recipe().microbatches_in_flight == 1
    assert Recipe(window=3, overlap="exact").microbatches_in_flight == 3


def test_clipping_by_norm_is_refused_on_a_chip():
    check_recipe(Recipe(clip_value=1.0), load_chip("tiny"))
    with pytest.raises(DescriptionError, match=r"^clip_norm: 1: is refused on a chip: .*; use clip_value$"):
        check_recipe(Recipe(clip_norm=1.0), load_chip("tiny"))


@pytest.mark.parametrize("key", ["barrier_cycles", "barrier_pj"])
def test_a_chip_with_a_barrier_refuses_exact_overlap(key):
    chip = override(load_chip("tiny"), key, "5")
    check_recipe(Recipe(), chip)
    check_recipe(Recipe(overlap="exact"), load_chip("tiny"))
    with pytest.raises(DescriptionError, match="chip tiny stops at a barrier after every microbatch"):
        check_recipe(Recipe(overlap="exact"), chip)


def test_a_recipe_file_keeps_the_defaults_it_does_not_mention(tmp_path):
    path = tmp_path / "fast.toml"
    path.write_text('optimizer = "sgd"\nlr = 0.5\n')
    assert load_recipe(path) == Recipe(optimizer="sgd", lr=0.5)
    path.write_text('name = "fast"\n')
    with pytest.raises(DescriptionError, match="fast.name: unknown key"):
        load_recipe(path)
    with pytest.raises(DescriptionError, match="'fast' is no recipe; give the path of a TOML file"):
        load_recipe("fast")
