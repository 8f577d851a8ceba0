"""The phases of a training step, each on any part of a layer: forward, error, product, combine, gradient.

h_l = f(h_(l-1) W_l^T + b_l); delta_l = dLoss/dz_l, or what the rule puts in its place; dW_l = delta_l^T h_(l-1);
db_l = the sum of delta_l over samples. A launch over a whole layer and one over a core's part are the same code.
"""

from __future__ import annotations

import numpy as np

from neurosim.draws import place_of
from neurosim.errors import SimulationError
from neurosim.kernels.dense import sparse_product
from neurosim.kernels.philox import drop
from neurosim.numerics.layers import Array, Batch, LayerMemory, Model, Part

ALL = slice(None)


def forward(model: Model, batch: Batch, number: int, part: Part) -> None:
    """Make h_l of a part; of the last layer z_L, and the part's share of the softmax exchange."""
    layer = model.layer(number)
    h = batch.h[number][part.samples, part.neurons]
    biases = layer.biases[part.neurons]
    np.matmul(batch.h[number - 1][part.samples], layer.weights[part.neurons].T, out=h)
    if number == model.depth:
        h += biases
        if model.loss.exchange:
            highest = h.max(axis=1, keepdims=True)
            shares = batch.exchange.setdefault(_samples_of(part), {})
            shares[part.neurons.start] = highest, np.exp(h - highest).sum(axis=1, keepdims=True)
        return
    if h.dtype == np.float32:
        layer.activate(h, biases)
    else:
        h += biases
        h[...] = layer.activation.function(h)
    _drop(model, batch, layer, part, h)


def error(model: Model, batch: Batch, number: int, part: Part) -> None:
    """Make delta_l of a part from its source; of the last layer from outputs and targets."""
    if number == model.depth:
        _output_error(model, batch, part)
        return
    layer = model.layer(number)
    delta = batch.delta[number][part.samples, part.neurons]
    if layer.feedback_index is not None and layer.feedback_value is not None:
        source = _source(model, batch, part.samples)
        sparse_product(source, layer.feedback_index[part.neurons], layer.feedback_value[part.neurons], delta)
    elif model.rule.error == "next":
        matrix = carrier(model, number, ALL, part.neurons)
        np.matmul(batch.delta[number + 1][part.samples], matrix, out=delta)
    else:
        assert layer.feedback is not None
        np.matmul(_source(model, batch, part.samples), layer.feedback[part.neurons].T, out=delta)
    _finish_error(model, batch, layer, part)


def product(model: Model, batch: Batch, number: int, part: Part) -> None:
    """Make the terms of delta_l that a core of layer l + 1 contributes; ``part.neurons`` are of layer l + 1."""
    matrix = carrier(model, number, part.neurons, ALL)
    sums = batch.partial_sums.setdefault((number, *_samples_of(part)), {})
    sums[part.neurons.start] = batch.delta[number + 1][part.samples, part.neurons] @ matrix


def combine(model: Model, batch: Batch, number: int, part: Part) -> None:
    """Add the terms that arrived for a part of layer l, and multiply with the slope."""
    sums = batch.partial_sums.get((number, *_samples_of(part)))
    if not sums:
        raise SimulationError(f"combine of layer {number}: no product was made for samples {_samples_of(part)}")
    delta = batch.delta[number][part.samples, part.neurons]
    delta[...] = 0
    for first in sorted(sums):
        delta += sums[first][:, part.neurons]
    _finish_error(model, batch, model.layer(number), part)


def gradient(model: Model, batch: Batch, number: int, part: Part, *, first: bool) -> None:
    """Write (``first``) or add the part's gradients dW_l and db_l."""
    layer = model.layer(number)
    assert layer.gradient is not None
    assert layer.bias_gradient is not None
    delta = batch.delta[number][part.samples, part.neurons]
    sources = batch.h[number - 1][part.samples]
    weights, biases = layer.gradient[part.neurons], layer.bias_gradient[part.neurons]
    if first:
        np.matmul(delta.T, sources, out=weights)
        delta.sum(axis=0, out=biases)
    else:
        weights += delta.T @ sources
        biases += delta.sum(axis=0)


def _output_error(model: Model, batch: Batch, part: Part) -> None:
    """Set delta_L = (yhat - y) scale, scale 1/N for a mean over the batch and 1 for a sum."""
    z = batch.h[model.depth][part.samples, part.neurons]
    delta = batch.delta[model.depth][part.samples, part.neurons]
    if model.loss.exchange:
        highest, total = _merge(batch, part)
        np.exp(z - highest, out=delta)
        delta /= total
    else:
        delta[...] = model.loss.predict(z)
    delta -= batch.targets[part.samples, part.neurons]
    if batch.scale != 1.0:
        delta *= delta.dtype.type(batch.scale)


def _merge(batch: Batch, part: Part) -> tuple[Array, Array]:
    """Return maximum and sum [p, 1] over the whole output layer from what its cores have exchanged."""
    shares = batch.exchange.get(_samples_of(part))
    if not shares:
        raise SimulationError(f"error of the output layer: samples {_samples_of(part)} have not been forward")
    pairs = [shares[first] for first in sorted(shares)]
    if len(pairs) == 1:
        return pairs[0]
    highest = np.maximum.reduce([maximum for maximum, _ in pairs])
    total = np.zeros_like(highest)
    for maximum, share in pairs:
        total += share * np.exp(maximum - highest)
    return highest, total


def _source(model: Model, batch: Batch, samples: slice) -> Array:
    """Return what a direct rule makes a hidden error from, [N, n_L]: output errors, their signs, or targets."""
    errors = batch.delta[model.depth][samples]
    if model.rule.error == "output":
        return errors
    source: Array = np.sign(errors) if model.rule.error == "output-sign" else batch.targets[samples].copy()
    source *= source.dtype.type(batch.scale)
    return source


def carrier(model: Model, number: int, rows: slice, columns: slice) -> Array:
    """Return rows (neurons of layer l + 1) and columns (of layer l) of the matrix that carries delta_(l+1) back."""
    layer = model.layer(number)
    if model.rule.matrix == "random":
        assert layer.feedback is not None
        return layer.feedback[rows, columns]
    copied = layer.mirror if layer.mirror is not None else model.layer(number + 1).weights
    if model.rule.matrix == "weights":
        return copied[rows, columns]
    signs: Array = copied[rows, columns] if layer.mirror is not None else np.sign(copied[rows, columns])
    if layer.magnitude is not None:
        scaled: Array = signs * signs.dtype.type(layer.magnitude)
        return scaled
    assert layer.feedback is not None
    return np.multiply(signs, layer.feedback[rows, columns])


def _finish_error(model: Model, batch: Batch, layer: LayerMemory, part: Part) -> None:
    """Multiply a hidden delta with f'(z), made from h, and with the dropout mask of the forward pass."""
    delta = batch.delta[layer.number][part.samples, part.neurons]
    h = batch.h[layer.number][part.samples, part.neurons]
    keep = layer.keep if batch.dropping else 1.0
    layer.apply_slope(delta, h, delta.dtype.type(keep))
    _drop(model, batch, layer, part, delta)


def _drop(model: Model, batch: Batch, layer: LayerMemory, part: Part, values: Array) -> None:
    """Apply inverted dropout, the mask keyed by (seed, step, layer, sample, neuron), while training."""
    if not batch.dropping or layer.keep == 1.0:
        return
    corner = np.array([batch.step, part.samples.start, part.neurons.start], dtype=np.int64)
    drop(values, corner, place_of("dropout", layer.number), model.key, layer.keep)


def _samples_of(part: Part) -> tuple[int, int]:
    """Return the first and one past the last sample of a part."""
    return part.samples.start, part.samples.stop
