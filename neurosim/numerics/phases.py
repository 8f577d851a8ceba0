"""The phases of a training step on any part of a layer: forward, pool, error, unpool, product, combine, gradient.

h_l = f(h_(l-1) W_l^T + b_l); delta_l = dLoss/dz_l, or what the rule puts in its place; dW_l = delta_l^T h_(l-1);
db_l = the sum of delta_l over samples; convolutions alike, at every position of their map, and pooled. A launch over a
whole layer and one over a core's part are the same code.
"""

from __future__ import annotations

import numpy as np

from neurosim.draws import place_of
from neurosim.errors import SimulationError
from neurosim.kernels.dense import sparse_product
from neurosim.kernels.philox import drop
from neurosim.numerics import convolutions, pools
from neurosim.numerics.convolutions import as_maps
from neurosim.numerics.layers import Array, Batch, LayerMemory, Model, Part
from neurosim.numerics.pools import range_of

ALL = slice(None)
POOLED_VALUES = 1 << 19


def run_forward(model: Model, batch: Batch, number: int) -> None:
    """Run the forward phase of a layer, and its pool, on the whole batch.

    With a pool it goes by few samples at a time, whose maps are still in the processor's cache when they are pooled.
    """
    layer = model.layer(number)
    whole = batch.whole(len(layer.biases))
    if layer.shape.pool is None:
        forward(model, batch, number, whole)
        return
    at_once = max(1, POOLED_VALUES // layer.shape.map.units)
    for first in range(0, batch.samples, at_once):
        part = whole._replace(samples=slice(first, min(first + at_once, batch.samples)))
        forward(model, batch, number, part)
        pool(model, batch, number, part)


def run_error(model: Model, batch: Batch, number: int) -> None:
    """Run the error phase of a layer, its pool included, on the whole batch."""
    layer = model.layer(number)
    whole = batch.whole(len(layer.biases))
    error(model, batch, number, whole)
    if layer.shape.pool is not None:
        unpool(model, batch, number, whole)


def forward(model: Model, batch: Batch, number: int, part: Part) -> None:
    """Make h_l of a part; of the last layer z_L, and the part's share of the softmax exchange."""
    layer = model.layer(number)
    if layer.shape.convolves:
        _convolve(model, batch, layer, part)
        return
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


def pool(model: Model, batch: Batch, number: int, part: Part) -> None:
    """Make what a part hands on from the map, with rows of other tiles where windows reach them."""
    pools.pool(model, batch, number, part)


def unpool(model: Model, batch: Batch, number: int, part: Part) -> None:
    """Make delta_l of a part of the map from the errors of all windows that reach it."""
    pools.unpool(model, batch, number, part)


def error(model: Model, batch: Batch, number: int, part: Part) -> None:
    """Make the error of what a part hands on (delta_l, or what ``unpool`` makes it from); of the last layer delta_L."""
    if number == model.depth:
        _output_error(model, batch, part)
        return
    layer = model.layer(number)
    units = units_of(layer, part)
    values = _values(batch.fed(number), part, units)
    if layer.feedback_index is not None and layer.feedback_value is not None:
        source = _source(model, batch, part.samples)
        sparse_product(source, layer.feedback_index[units], layer.feedback_value[units], values)
    elif model.rule.error == "next":
        from_next(model, batch, number, part, values)
    else:
        assert layer.feedback is not None
        np.matmul(_source(model, batch, part.samples), layer.feedback[units].T, out=values)
    _finish_error(model, batch, layer, part, units, values)


def from_next(model: Model, batch: Batch, number: int, part: Part, values: Array, matrix: Array | None = None) -> None:
    """Set ``values`` [p, units of the part] to what delta_(l+1) sends back by the rule's matrix, or by ``matrix``."""
    following = model.layer(number + 1).shape
    if not following.convolves:
        units = units_of(model.layer(number), part)
        chosen = carrier(model, number, ALL, units) if matrix is None else matrix[:, units]
        np.matmul(batch.delta[number + 1][part.samples], chosen, out=values)
        return
    positions = following.kernel_positions
    channels = slice(part.neurons.start * positions, part.neurons.stop * positions)
    chosen = carrier(model, number, ALL, channels) if matrix is None else matrix[:, channels]
    lo, hi = range_of(part.rows, following.inputs.rows)
    first, behind = following.rows.readers(lo, hi)
    delta = as_maps(batch.delta[number + 1], following.map)[part.samples, :, first:behind]
    errors = values.reshape(len(values), -1, hi - lo, following.inputs.columns)
    convolutions.input_error(following, chosen, delta, (first, behind), (errors, lo), model.scratch)


def backpropagate(model: Model, batch: Batch, number: int) -> None:
    """Make delta_l of a whole hidden layer from delta_(l+1) and W_(l+1), whatever the rule is."""
    layer = model.layer(number)
    whole = batch.whole(len(layer.biases))
    units, values = units_of(layer, whole), batch.fed(number)[whole.samples]
    from_next(model, batch, number, whole, values, model.layer(number + 1).weights)
    _finish_error(model, batch, layer, whole, units, values)
    if layer.shape.pool is not None:
        unpool(model, batch, number, whole)


def product(model: Model, batch: Batch, number: int, part: Part) -> None:
    """Make the terms of layer l's error that a core of layer l + 1 contributes; the part is one of layer l + 1."""
    matrix = carrier(model, number, part.neurons, ALL)
    sums = batch.partial_sums.setdefault((number, *_samples_of(part)), {})
    following = model.layer(number + 1).shape
    rows = range_of(part.map_rows, following.map.rows)
    key = rows[0], part.neurons.start
    if not following.convolves:
        sums[key] = batch.delta[number + 1][part.samples, part.neurons] @ matrix
        return
    delta = as_maps(batch.delta[number + 1], following.map)[part.samples, part.neurons, slice(*rows)]
    terms = np.empty((len(delta), following.inputs.units), delta.dtype)
    target = as_maps(terms, following.inputs), 0
    convolutions.input_error(following, matrix, delta, rows, target, model.scratch)
    sums[key] = terms


def combine(model: Model, batch: Batch, number: int, part: Part) -> None:
    """Add the terms that arrived for a part of layer l, and multiply with the slope."""
    sums = batch.partial_sums.get((number, *_samples_of(part)))
    if not sums:
        raise SimulationError(f"combine of layer {number}: no product was made for samples {_samples_of(part)}")
    layer = model.layer(number)
    units = units_of(layer, part)
    values = _values(batch.fed(number), part, units)
    values[...] = 0
    for first in sorted(sums):
        values += sums[first][:, units]
    _finish_error(model, batch, layer, part, units, values)


def gradient(model: Model, batch: Batch, number: int, part: Part, *, first: bool) -> None:
    """Write (``first``) or add the part's gradients dW_l and db_l.

    A convolution writes where it is the first part of its channels in the step, whatever ``first`` says: the tiles of a
    microbatch sum into one array.
    """
    layer = model.layer(number)
    assert layer.gradient is not None
    assert layer.bias_gradient is not None
    weights, biases = layer.gradient[part.neurons], layer.bias_gradient[part.neurons]
    if layer.shape.convolves:
        _filter_gradient(model, batch, layer, part)
        return
    delta = batch.delta[number][part.samples, part.neurons]
    sources = batch.h[number - 1][part.samples]
    if first:
        np.matmul(delta.T, sources, out=weights)
        delta.sum(axis=0, out=biases)
    else:
        weights += delta.T @ sources
        biases += delta.sum(axis=0)


def check_summed(model: Model, batch: Batch, number: int, part: Part) -> None:
    """Raise SimulationError unless the gradient of a part's filters is that of every row of every sample."""
    shape = model.layer(number).shape
    summed, every = batch.summed.get((number, part.neurons.start), 0), shape.map.rows * batch.samples
    if shape.convolves and summed != every:
        raise SimulationError(
            f"update of layer {number}: its gradient is of {summed} rows of maps and not of all {every}; run the tasks "
            "of all tiles and microbatches before the last one of the first tile"
        )


def units_of(layer: LayerMemory, part: Part) -> slice | Array:
    """Return the units of a part among all that layer l hands on: a slice, or their numbers for a tile of rows."""
    if part.rows is None:
        return slice(part.neurons.start * layer.positions, part.neurons.stop * layer.positions)
    described = layer.shape.outputs
    if part.rows == slice(0, described.rows):
        return units_of(layer, part._replace(rows=None))
    numbers = as_maps(np.arange(described.units), described)[0]
    return np.ravel(numbers[part.neurons, part.rows])


def _values(memory: Array, part: Part, units: slice | Array) -> Array:
    """Return the place of a part's values [p, units] in a memory, or room for them where they do not lie together."""
    if isinstance(units, slice):
        return memory[part.samples, units]
    return np.empty((part.samples.stop - part.samples.start, len(units)), memory.dtype)


def _convolve(model: Model, batch: Batch, layer: LayerMemory, part: Part) -> None:
    """Make the map of a part of a convolution."""
    shape = layer.shape
    rows = range_of(part.map_rows, shape.map.rows)
    inputs = as_maps(batch.h[layer.number - 1], shape.inputs)[part.samples]
    memory = batch.maps.get(layer.number, batch.h[layer.number])
    maps = as_maps(memory, shape.map)[part.samples, part.neurons, slice(*rows)]
    convolutions.convolve(layer, inputs, part.neurons, rows, maps, model.scratch)


def _filter_gradient(model: Model, batch: Batch, layer: LayerMemory, part: Part) -> None:
    """Add a part's gradients of filters, and note how many rows of how many samples have been summed."""
    assert layer.gradient is not None
    assert layer.bias_gradient is not None
    shape, key = layer.shape, (layer.number, part.neurons.start)
    sums = layer.gradient[part.neurons], layer.bias_gradient[part.neurons]
    rows = range_of(part.map_rows, shape.map.rows)
    summed = batch.summed.get(key, 0)
    if summed == 0:
        for values in sums:
            values[...] = 0
    batch.summed[key] = summed + (rows[1] - rows[0]) * (part.samples.stop - part.samples.start)
    delta = as_maps(batch.delta[layer.number], shape.map)[part.samples, part.neurons, slice(*rows)]
    inputs = as_maps(batch.h[layer.number - 1], shape.inputs)[part.samples]
    convolutions.filter_gradient(shape, delta, inputs, rows, sums, model.scratch)


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


def carrier(model: Model, number: int, rows: slice, columns: slice | Array) -> Array:
    """Return rows (channels of layer l + 1) and columns (taps) of the matrix that carries delta_(l+1) back."""
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


def _finish_error(
    model: Model, batch: Batch, layer: LayerMemory, part: Part, units: slice | Array, values: Array
) -> None:
    """Multiply an error [p, units] with f'(z), made from h, and with the dropout mask of the forward pass; put it away.

    Behind a max pool the slope is that of the largest units, which hand it on; before an average it differs from unit
    to unit, and ``unpool`` multiplies with it.
    """
    pooled = layer.shape.pool
    if pooled is None or pooled.kind == "max_pool":
        keep = layer.keep if batch.dropping else 1.0
        layer.apply_slope(values, batch.h[layer.number][part.samples, units], values.dtype.type(keep))
        _drop(model, batch, layer, part, values)
    if not isinstance(units, slice):
        batch.fed(layer.number)[part.samples, units] = values


def _drop(model: Model, batch: Batch, layer: LayerMemory, part: Part, values: Array) -> None:
    """Apply inverted dropout, the mask keyed by (seed, step, layer, sample, neuron), while training."""
    if not batch.dropping or layer.keep == 1.0:
        return
    corner = np.array([batch.step, part.samples.start, part.neurons.start], dtype=np.int64)
    drop(values, corner, place_of("dropout", layer.number), model.key, layer.keep)


def _samples_of(part: Part) -> tuple[int, int]:
    """Return the first and one past the last sample of a part."""
    return part.samples.start, part.samples.stop
