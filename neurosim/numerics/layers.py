"""The arrays: what the cores of a layer keep between steps, and what they keep of the batch under way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosim.draws import draw_weights, key_of, place_of
from neurosim.feedback import FeedbackGenerator, FeedbackMatrix, magnitude_bound, sign_constant
from neurosim.kernels import conv, dense, philox
from neurosim.networks.activations import ACTIVATIONS, ActivationRow
from neurosim.networks.geometry import LayerShape
from neurosim.networks.losses import LOSSES, LossRow
from neurosim.networks.network import Network
from neurosim.networks.optimizers import OPTIMIZERS
from neurosim.recipes import Recipe
from neurosim.rules import Rule, check_rule

Array = NDArray[Any]


class Part(NamedTuple):
    """The share of a task: a slice of a layer's neurons or channels, the samples of a microbatch, and a tile of rows.

    ``rows`` are those of what the layer hands on, ``map_rows`` those of the map before its pool; None stands for all.
    """

    neurons: slice
    samples: slice
    rows: slice | None = None
    map_rows: slice | None = None


@dataclass
class LayerMemory:
    """What the cores of layer l keep; a core that owns channels (neurons) lo to hi owns rows lo to hi of every array.

    weights and gradient [K, fan_in], a filter laid flat as (channel, row, column); biases and bias_gradient [K], states
    like what they belong to (gradients and states only where the layer is trained), feedback as in ``FeedbackMatrix``
    but in the recipe's type, and mirror, shaped like W_(l+1), the copy of it (or its signs) that a mirrored rule reads.
    """

    shape: LayerShape
    number: int
    weights: Array
    biases: Array
    activation: ActivationRow
    keep: float
    trained: bool
    computes_error: bool
    gradient: Array | None = None
    bias_gradient: Array | None = None
    weight_states: list[Array] = field(default_factory=list)
    bias_states: list[Array] = field(default_factory=list)
    feedback: Array | None = None
    feedback_index: NDArray[np.int64] | None = None
    feedback_value: Array | None = None
    magnitude: float | None = None
    mirror: Array | None = None

    @cached_property
    def positions(self) -> int:
        """Positions of a channel in what the layer hands on; 1 in a dense layer."""
        return self.shape.outputs.positions

    @property
    def filters(self) -> Array:
        """The weights [K, C, kh, kw] of a convolution, [n_l, n_(l-1)] of a dense layer: a view."""
        return self.weights.reshape(self.shape.weight_shape)

    @property
    def activate_maps(self) -> Callable[[Array, Array, Array], None]:
        """The float32 kernel h = f(z + b) from z [K, p, positions] to h [p, K, positions]."""
        return getattr(conv, f"activate_maps_{self.activation.kernel}")  # type: ignore[no-any-return]

    @property
    def activate(self) -> Callable[[Array, Array], None]:
        """The float32 kernel h = f(z + b)."""
        return getattr(dense, f"activate_{self.activation.kernel}")  # type: ignore[no-any-return]

    @property
    def apply_slope(self) -> Callable[[Array, Array, Any], None]:
        """The kernel delta *= f'(h)."""
        return getattr(dense, f"error_{self.activation.kernel}")  # type: ignore[no-any-return]

    def set_feedback(self, matrix: FeedbackMatrix | None) -> None:
        """Take over a feedback matrix in this layer's type."""
        dtype = self.weights.dtype
        if matrix is None:
            return
        dense_rows = None if matrix.dense is None else np.reshape(matrix.dense, (len(matrix.dense), -1))
        self.feedback = None if dense_rows is None else np.ascontiguousarray(dense_rows, dtype)
        self.feedback_index = None if matrix.index is None else np.ascontiguousarray(matrix.index, np.int64)
        self.feedback_value = None if matrix.value is None else np.ascontiguousarray(matrix.value, dtype)


class Batch:
    """The neuron memories for up to ``capacity`` samples: h_l [N, n_l] as handed on, delta_l [N, K x rows x columns].

    h[L] holds z_L, from which outputs and loss are made. Layers with a pool have ``maps``, their activations before it,
    ``places``, where in its window the largest unit of a max pool stands, and ``errors`` [N, n_l], what reaches a unit
    behind the pool. ``exchange`` holds each slice's (maximum, sum) of a softmax and ``partial_sums`` the hidden errors'
    terms [p, n_l] that cores of layer l + 1 have made, both by microbatch and by the part they come from. ``summed`` is
    how many rows of how many samples the gradient of a channel slice has been summed over, by layer and first channel.
    """

    def __init__(self, network: Network, capacity: int, dtype: np.dtype[Any]) -> None:
        def memory(units: int, kind: Any = dtype) -> Array:
            return np.empty((capacity, units), kind)

        pooled = {number: shape for number, shape in enumerate(network.shapes, start=1) if shape.pool is not None}
        self.h = [np.empty((0, network.widths[0]), dtype)] + [memory(width) for width in network.widths[1:]]
        self.delta = [np.empty((0, 0), dtype)] + [memory(shape.map.units) for shape in network.shapes]
        self.maps = {number: memory(shape.map.units) for number, shape in pooled.items()}
        self.errors = {number: memory(shape.outputs.units) for number, shape in pooled.items()}
        self.places = {
            number: memory(shape.outputs.units, np.min_scalar_type(shape.pool.taps - 1))
            for number, shape in pooled.items()
            if shape.pool is not None and shape.pool.kind == "max_pool"
        }
        self.targets = np.zeros((capacity, network.widths[-1]), dtype)
        self.capacity = capacity
        self.samples = 0
        self.scale = 1.0
        self.step = 0
        self.dropping = False
        self.exchange: dict[tuple[int, int], dict[int, tuple[Array, Array]]] = {}
        self.partial_sums: dict[tuple[int, int, int], dict[tuple[int, int], Array]] = {}
        self.summed: dict[tuple[int, int], int] = {}

    def fed(self, number: int) -> Array:
        """Return where the error of what layer ``number`` hands on is kept [N, n_l]: delta_l if it has no pool."""
        return self.errors.get(number, self.delta[number])

    def whole(self, width: int) -> Part:
        """Return the part that is all samples of the batch and all ``width`` neurons of a layer."""
        return Part(slice(0, width), slice(0, self.samples))


class Scratch:
    """Buffers for one phase at a time, kept by name and made larger where more is needed."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self._buffers: dict[str, Array] = {}
        self._views: dict[tuple[str, tuple[int, ...]], Array] = {}

    def take(self, name: str, *shape: int) -> Array:
        """Return a contiguous array of this shape; what it held is not kept."""
        view = self._views.get((name, shape))
        if view is not None:
            return view
        size = prod(shape)
        if name not in self._buffers or self._buffers[name].size < size:
            self._buffers[name] = np.empty(size, self.dtype)
            self._views = {key: view for key, view in self._views.items() if key[0] != name}
        view = self._views[name, shape] = self._buffers[name][:size].reshape(shape)
        return view


class Model:
    """A network's layers under a rule and a recipe."""

    def __init__(self, network: Network, rule: Rule, recipe: Recipe) -> None:
        self.warnings = tuple(check_rule(network, rule, recipe))
        self.network = network
        self.rule = rule
        self.recipe = recipe
        self.widths = network.widths
        self.depth = network.depth
        self.dtype: np.dtype[Any] = np.dtype(recipe.dtype)
        self.loss: LossRow = LOSSES[recipe.loss]
        self.scratch = Scratch(self.dtype)
        self.key = np.array(key_of(recipe.seed), dtype=np.int64)
        self.layers = [self._make_layer(number) for number in range(1, self.depth + 1)]
        for layer in reversed(self.layers):
            layer.computes_error = self._computes_error(layer)
        self.redraw_magnitudes(0)
        self.refresh_mirrors()

    def layer(self, number: int) -> LayerMemory:
        """Return layer ``number``, counted from 1."""
        return self.layers[number - 1]

    def _make_layer(self, number: int) -> LayerMemory:
        """Allocate and draw one layer."""
        described, recipe, hidden = self.network.layer(number), self.recipe, number < self.depth
        shape = self.network.shape(number)
        weights, biases = draw_weights(shape, number, seed=recipe.seed, init=recipe.init, scale=recipe.init_scale)
        trained = described.trainable and (not hidden or self.rule.error != "none")
        activation = ACTIVATIONS[described.activation if hidden else "linear"]
        layer = LayerMemory(
            shape,
            number,
            weights.astype(self.dtype),
            biases.astype(self.dtype),
            activation,
            1.0 - described.dropout,
            trained,
            False,
        )
        if trained:
            words = range(OPTIMIZERS[recipe.optimizer].state_words)
            layer.gradient, layer.bias_gradient = np.zeros_like(layer.weights), np.zeros_like(layer.biases)
            layer.weight_states = [np.zeros_like(layer.weights) for _ in words]
            layer.bias_states = [np.zeros_like(layer.biases) for _ in words]
        if hidden:
            generator = FeedbackGenerator(self.network, self.rule, recipe.seed, recipe.init, recipe.init_scale)
            layer.set_feedback(generator.matrix(number))
            layer.magnitude = sign_constant(self.network, self.rule, number)
            if self.rule.mirrored:
                following = self.network.shape(number + 1)
                layer.mirror = np.empty((following.channels, following.fan_in), self.dtype)
        return layer

    def _computes_error(self, layer: LayerMemory) -> bool:
        """Say whether a step needs this layer's delta: to train it, or as the source of another one that is needed."""
        number = layer.number
        if number == self.depth:
            return any(other.trained for other in self.layers)
        if self.rule.error == "none":
            return False
        if self.rule.error == "next":
            return any(other.trained for other in self.layers[:number])
        return layer.trained

    def redraw_magnitudes(self, step: int) -> None:
        """Draw the magnitudes of sign symmetry that a rule draws in every step (from 0 on)."""
        if self.rule.feedback.magnitude != "every_step":
            return
        for layer in self.layers[:-1]:
            assert layer.feedback is not None
            bound = magnitude_bound(self.network, layer.number)
            place = place_of("magnitudes", layer.number + 1)
            philox.fill_magnitudes(layer.feedback, place, step, self.key, bound)

    def refresh_mirrors(self) -> None:
        """Bring every mirror up to date with the weights it copies."""
        for layer, following in zip(self.layers, self.layers[1:], strict=False):
            if layer.mirror is not None:
                copy = np.sign if self.rule.matrix == "sign" else np.positive
                copy(following.weights, out=layer.mirror)
