from typing import get_args

import pytest

from neurosim.kernels import optimizers
from neurosim.networks.optimizers import OPTIMIZERS
from neurosim.recipes import Recipe


def test_the_table_has_a_row_for_every_optimizer_of_a_recipe():
    assert set(OPTIMIZERS) == set(get_args(Recipe.model_fields["optimizer"].annotation))


@pytest.mark.parametrize(
    ("name", "state_words", "operations"), [("sgd", 0, 2), ("momentum", 1, 4), ("rmsprop", 1, 9), ("adam", 2, 14)]
)
def test_words_and_operations_per_weight_are_those_of_the_cost_model(name, state_words, operations):
    assert (OPTIMIZERS[name].state_words, OPTIMIZERS[name].operations) == (state_words, operations)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_row_names_a_kernel_that_takes_its_states(name):
    kernel = getattr(optimizers, OPTIMIZERS[name].kernel)
    assert kernel.py_func.__code__.co_argcount == 3 + OPTIMIZERS[name].state_words
