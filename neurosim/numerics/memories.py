"""Memories: all arrays of a network on its cores, and the two ways to run a step on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, Literal

import numpy as np

from neurosim.errors import DatasetError, SimulationError
from neurosim.feedback import FeedbackMatrix
from neurosim.networks.network import Network
from neurosim.numerics import phases, updates, weight_files
from neurosim.numerics.layers import Array, Batch, LayerMemory, Model, Part
from neurosim.recipes import Recipe
from neurosim.rules import Rule

TaskKind = Literal["forward", "pool", "error", "unpool", "product", "combine", "update"]
TASKS = {
    "forward": phases.forward,
    "pool": phases.pool,
    "error": phases.error,
    "unpool": phases.unpool,
    "product": phases.product,
    "combine": phases.combine,
}
Rows = tuple[int, int]

MAP_VALUES = 1 << 23
"""Values of maps that an evaluation keeps at once."""


@dataclass(frozen=True)
class Score:
    """Mean loss (over samples, of the sum over outputs) and the share of samples classified rightly."""

    samples: int
    loss: float
    accuracy: float


class Memories:
    """The memories of all cores: float32 or float64 arrays, allocated once for ``recipe.batch_size`` samples.

    A core that owns neurons (of a convolution: channels) lo to hi of layer l owns rows lo to hi of W_l, b_l, their
    gradients and states, and of B_l the rows of its units. ``warnings`` holds what can be learned but should not be
    expected to be. Raises DescriptionError, by way of ``rules.check_rule``, for what cannot be learned at all.
    """

    def __init__(self, network: Network, rule: Rule, recipe: Recipe) -> None:
        self.model = Model(network, rule, recipe)
        self.batch = Batch(network, recipe.batch_size, self.model.dtype)
        self.warnings = self.model.warnings
        self.steps = 0
        self._lr = recipe.lr

    @property
    def layers(self) -> list[LayerMemory]:
        """The memories of layers 1 to L."""
        return self.model.layers

    @property
    def weights(self) -> list[Array]:
        """W_1 to W_L, [n_l, n_(l-1)] or [K, C, kernel rows, kernel columns]: the arrays themselves."""
        return [layer.filters for layer in self.model.layers]

    @property
    def biases(self) -> list[Array]:
        """b_1 to b_L, [n_l] or [K]: the arrays themselves."""
        return [layer.biases for layer in self.model.layers]

    def set_weights(self, weights: Sequence[Array], biases: Sequence[Array]) -> None:
        """Copy W_1 to W_L and b_1 to b_L in; raises DescriptionError naming the layer whose shape does not fit."""
        weight_files.check_shapes(self.model.network, weights, biases)
        for layer, new_weights, new_biases in zip(self.model.layers, weights, biases, strict=True):
            layer.filters[...] = new_weights
            layer.biases[...] = new_biases
        self.model.refresh_mirrors()

    def set_feedback(self, matrices: Sequence[FeedbackMatrix | None]) -> None:
        """Replace the feedback of hidden layers 1 to L - 1 by matrices of the same shapes; None leaves a layer's."""
        for layer, matrix in zip(self.model.layers[:-1], matrices, strict=True):
            layer.set_feedback(matrix)

    def save_weights(self, path: str | PathLike[str]) -> None:
        """Write W1, b1, ..., WL, bL to an .npz file."""
        weight_files.save_weights(path, self.weights, self.biases)

    def load_weights(self, path: str | PathLike[str]) -> None:
        """Read what ``save_weights`` wrote; raises DescriptionError for another network's weights."""
        self.set_weights(*weight_files.load_weights(path, self.model.network))

    def begin_step(self, x: Array, y: Array, *, lr: float | None = None) -> None:
        """Load a minibatch, x [N, n_0] and y (labels [N] or targets [N, n_L]), and start the next step.

        ``lr`` is the learning rate of this step, by default the recipe's. Raises DatasetError for shapes or labels that
        do not match the network.
        """
        self._load(self.batch, x, y)
        self.batch.dropping = True
        self.batch.step = self.steps
        self._lr = self.model.recipe.lr if lr is None else lr
        if self.steps > 0:
            self.model.redraw_magnitudes(self.steps)
            self.model.refresh_mirrors()
        self.steps += 1

    def run_step(self, x: Array, y: Array, *, lr: float | None = None) -> None:
        """Run a training step, each phase launched once per layer over all its cores."""
        self.begin_step(x, y, lr=lr)
        model, batch = self.model, self.batch
        self._forward(batch)
        for layer in reversed(model.layers):
            if layer.computes_error:
                phases.run_error(model, batch, layer.number)
        trained = [layer for layer in model.layers if layer.trained]
        limit = model.recipe.clip_norm
        if limit is not None:
            for layer in trained:
                phases.gradient(model, batch, layer.number, batch.whole(len(layer.biases)), first=True)
            updates.clip_gradients(model, limit)
        for layer in trained:
            part = batch.whole(len(layer.biases))
            if limit is None:
                phases.gradient(model, batch, layer.number, part, first=True)
            self._apply(layer.number, part.neurons)

    def run_task(
        self,
        kind: TaskKind,
        layer: int,
        lo: int,
        hi: int,
        sample_lo: int,
        sample_hi: int,
        first: bool = True,
        last: bool = True,
        *,
        rows: Rows | None = None,
        map_rows: Rows | None = None,
    ) -> None:
        """Run one task of the step begun by ``begin_step``: neurons lo to hi, samples sample_lo to sample_hi.

        Of a convolution, lo to hi are channels, and the task is on a tile: ``rows`` first to behind of what the layer
        hands on ("pool", "error", "combine") and ``map_rows`` of the map before the pool ("forward", "unpool",
        "product", "update"), all where they are None. Neurons and rows are layer ``layer``'s; only for "product", the
        terms of that layer's error made at the cores of W_(l+1), they are layer l + 1's. ``first`` and ``last`` say,
        for "update", whether these are the first samples of the step, which write the gradient (a convolution knows by
        itself), and the last, after which the optimizer runs: for a convolution with the tile that has map row 0, whose
        task must come after those of all other tiles of its channels.
        """
        part = Part(
            slice(lo, hi),
            slice(sample_lo, sample_hi),
            None if rows is None else slice(*rows),
            None if map_rows is None else slice(*map_rows),
        )
        if kind == "update":
            self._update_task(layer, part, first, last)
        else:
            TASKS[kind](self.model, self.batch, layer, part)

    def evaluate(self, x: Array, y: Array, *, batch_size: int = 1000) -> Score:
        """Return loss and accuracy over x [N, n_0], y, without dropout."""
        batch = self._batch_for(min(batch_size, len(x)))
        if len(x) == 0:
            raise DatasetError("evaluation: there are no samples; give at least one")
        loss, right = 0.0, 0
        for first in range(0, len(x), batch.capacity):
            rows = slice(first, first + batch.capacity)
            self._load(batch, x[rows], y[rows])
            self._forward(batch)
            part_loss, part_right = self._score(batch)
            loss, right = loss + part_loss, right + part_right
        return Score(len(x), loss / len(x), right / len(x))

    def probe(self, x: Array, y: Array) -> Batch:
        """Return neuron memories of their own for x [N, n_0], y, after a forward pass without dropout."""
        batch = Batch(self.model.network, max(1, len(x)), self.model.dtype)
        self._load(batch, x, y)
        self._forward(batch)
        return batch

    def batch_score(self) -> Score:
        """Return loss and accuracy of the minibatch under way, as the step's forward pass saw it."""
        loss, right = self._score(self.batch)
        return Score(self.batch.samples, loss / self.batch.samples, right / self.batch.samples)

    def predict(self, x: Array) -> Array:
        """Return the outputs yhat [N, n_L] for x [N, n_0], without dropout."""
        batch = self._batch_for(max(1, len(x)))
        parts = []
        for first in range(0, max(1, len(x)), batch.capacity):
            self._load_inputs(batch, x[first : first + batch.capacity])
            self._forward(batch)
            parts.append(self.model.loss.predict(batch.h[-1][: batch.samples]))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _batch_for(self, samples: int) -> Batch:
        """Return neuron memories to evaluate with: of fewer samples where maps would take much memory."""
        shapes = self.model.network.shapes
        values = sum(shape.map.units for shape in shapes if shape.convolves)
        return Batch(self.model.network, min(samples, max(1, MAP_VALUES // max(1, values))), self.model.dtype)

    def _forward(self, batch: Batch) -> None:
        """Run the forward phase of every layer on the whole batch."""
        for layer in self.model.layers:
            phases.run_forward(self.model, batch, layer.number)

    def _update_task(self, number: int, part: Part, first: bool, last: bool) -> None:
        """Add a microbatch's gradient and, with the last, run the optimizer."""
        if self.model.recipe.clip_norm is not None:
            raise SimulationError("update: clip_norm needs every gradient of the step before any update; use run_step")
        phases.gradient(self.model, self.batch, number, part, first=first)
        if last and not (part.map_rows is not None and part.map_rows.start > 0):
            phases.check_summed(self.model, self.batch, number, part)
            self._apply(number, part.neurons)

    def _apply(self, number: int, neurons: slice) -> None:
        """Run the optimizer of this step on some neurons of a layer."""
        numbers = updates.optimizer_numbers(self.model.recipe, self._lr, self.steps)
        updates.apply_update(self.model, number, neurons, numbers)

    def _score(self, batch: Batch) -> tuple[float, int]:
        """Return the loss summed over a batch's samples, and how many were classified rightly."""
        z, y = batch.h[-1][: batch.samples], batch.targets[: batch.samples]
        right = (z.argmax(axis=1) == y.argmax(axis=1)) if z.shape[1] > 1 else self._score_single(z, y)
        return float(self.model.loss.loss(z, y).sum()), int(right.sum())

    def _score_single(self, z: Array, y: Array) -> Array:
        """Judge a network of one output by which side of 1/2 it is on."""
        return np.asarray((self.model.loss.predict(z) > 0.5) == (y > 0.5))[:, 0]

    def _load(self, batch: Batch, x: Array, y: Array) -> None:
        """Put inputs and targets into the neuron memories."""
        self._load_inputs(batch, x)
        if len(y) != batch.samples:
            raise DatasetError(f"targets: {len(y)} for {batch.samples} samples; give one for each sample")
        self._load_targets(batch, np.asarray(y))
        mean = self.model.recipe.reduction == "mean"
        batch.scale = 1.0 / batch.samples if mean else 1.0

    def _load_inputs(self, batch: Batch, x: Array) -> None:
        """Refer to the inputs, copied only where they are not in the right type or order."""
        if x.ndim != 2 or x.shape[1] != self.model.widths[0]:
            image = self.model.network.map(0)
            way_out = (
                f"lay images of {image} flat, channel by channel and row by row"
                if self.model.network.convolves
                else "choose a network whose first width is that of the data (--hidden does)"
            )
            raise DatasetError(
                f"inputs: shape {list(x.shape)} does not match the network, which takes [samples, "
                f"{self.model.widths[0]}]; {way_out}"
            )
        if not 1 <= len(x) <= batch.capacity:
            raise DatasetError(f"inputs: {len(x)} samples in a batch; allowed are 1 to {batch.capacity}")
        batch.h[0] = np.ascontiguousarray(x, self.model.dtype)
        batch.samples = len(x)
        batch.dropping = False
        batch.exchange.clear()
        batch.partial_sums.clear()
        batch.summed.clear()

    def _load_targets(self, batch: Batch, y: Array) -> None:
        """Fill the targets, labels as one-hot rows."""
        targets, outputs = batch.targets[: batch.samples], self.model.widths[-1]
        if self.model.recipe.targets == "labels":
            _check_labels(y, outputs)
            targets[...] = 0
            targets[np.arange(len(y)), y] = 1
            return
        if y.shape != targets.shape:
            raise DatasetError(f"targets: shape {list(y.shape)} is not {list(targets.shape)}, a value for each output")
        if self.model.loss.name == "softmax" and np.abs(y.sum(axis=1) - 1.0).max() > 1e-3:
            raise DatasetError("targets: rows must sum to 1 with loss 'softmax'; take loss 'sigmoid' or 'squared'")
        targets[...] = y


def _check_labels(y: Any, outputs: int) -> None:
    """Refuse labels that are not whole numbers from 0 to n_L - 1."""
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise DatasetError(f"labels: shape {list(y.shape)} of {y.dtype}; give a whole number for each sample")
    if y.min() < 0 or y.max() >= outputs:
        wrong = int(y.min()) if y.min() < 0 else int(y.max())
        raise DatasetError(
            f"labels: {wrong} is out of range; a network of {outputs} outputs takes labels 0 to {outputs - 1}"
        )
