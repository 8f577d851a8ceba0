"""From gradients to new weights: the optimizer's numbers for a step, its kernels, and clipping by the global norm."""

from __future__ import annotations

from math import inf, sqrt
from typing import Any

import numpy as np

from neurosim.kernels import optimizers
from neurosim.networks.optimizers import OPTIMIZERS
from neurosim.numerics.layers import Array, Model
from neurosim.recipes import Recipe


def optimizer_numbers(recipe: Recipe, lr: float, step: int) -> list[float]:
    """Return what an optimizer kernel reads: rate, weight decay, clip, and its own; ``step`` counts from 1."""
    clip = inf if recipe.clip_value is None else recipe.clip_value
    rate, own = lr, []
    if recipe.optimizer == "momentum":
        own = [recipe.momentum]
    elif recipe.optimizer == "rmsprop":
        own = [recipe.rms_decay, 1.0 - recipe.rms_decay, recipe.epsilon]
    elif recipe.optimizer == "adam":
        rate = lr / (1.0 - recipe.beta1**step)
        correction = 1.0 / sqrt(1.0 - recipe.beta2**step)
        own = [recipe.beta1, 1.0 - recipe.beta1, recipe.beta2, 1.0 - recipe.beta2, recipe.epsilon, correction]
    return [rate, recipe.weight_decay, clip, *own]


def apply_update(model: Model, number: int, neurons: slice, numbers: list[float]) -> None:
    """Give layer ``number``'s weights and biases of ``neurons`` the step that their gradients ask for.

    Weight decay is coupled, added to the gradient, and acts on weights only.
    """
    layer = model.layer(number)
    assert layer.gradient is not None
    assert layer.bias_gradient is not None
    kernel = getattr(optimizers, OPTIMIZERS[model.recipe.optimizer].kernel)
    states = (_flat(state, neurons) for state in layer.weight_states)
    typed = np.array(numbers, dtype=model.dtype)
    kernel(_flat(layer.weights, neurons), _flat(layer.gradient, neurons), *states, typed)
    typed[1] = 0
    bias_states = (state[neurons] for state in layer.bias_states)
    kernel(layer.biases[neurons], layer.bias_gradient[neurons], *bias_states, typed)


def clip_gradients(model: Model, limit: float) -> float:
    """Scale all gradients down to a global norm of ``limit`` if theirs is larger; return the norm they had."""
    gradients: list[Array] = []
    for layer in model.layers:
        if layer.gradient is not None and layer.bias_gradient is not None:
            gradients += [layer.gradient, layer.bias_gradient]
    norm = sqrt(sum(_squared_norm(gradient) for gradient in gradients))
    if norm > limit:
        for gradient in gradients:
            gradient *= gradient.dtype.type(limit / norm)
    return norm


def _squared_norm(values: Array) -> float:
    """Return the sum of squares in float64, by blocks of rows so that no second gradient is allocated."""
    rows = max(1, (1 << 16) // max(1, values[0].size))
    blocks = (values[first : first + rows].astype(np.float64) for first in range(0, len(values), rows))
    return float(sum(np.vdot(block, block) for block in blocks))


def _flat(values: Array, neurons: slice) -> Any:
    """Return the neurons' rows as one flat view."""
    return values[neurons].reshape(-1)
