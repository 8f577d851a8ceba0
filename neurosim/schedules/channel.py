"""Bits that cross the DRAM channel of a machine whose memories lie behind one (semantics 3)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from neurosim.chips import Channel
from neurosim.counts import SIGN_BITS, index_bits, label_bits
from neurosim.errors import DescriptionError
from neurosim.schedules.layout import Layout


def product_channel_bits(layout: Layout, layer: int, task: str, samples: int) -> int:
    """Return the bits that cross for one ``task`` of ``layer``.

    A task is forward, pool, output, error, unpool, product or update.
    ``reuse = "layer"``: nothing survives in the cache between tasks; ``"ideal"``: every weight, state, stored
    feedback value, input and label once a step, activations never.
    """
    channel = layout.chip.channel
    assert channel is not None
    if channel.reuse == "ideal":
        return _ideal_bits(layout, layer, task, samples)
    widths, n_l = layout.chip.widths, layout.widths[layer]
    shape = layout.shape(layer)
    if task == "forward":
        return _forward_bits(layout, layer, samples)
    if task == "output":
        return samples * n_l * (widths.activation_bits + widths.error_bits) + _label_bits(layout, samples)
    if task == "product":
        return _next_operand_bits(layout, layer, samples)
    if task == "error":
        around = widths.error_bits + (0 if shape.pool is not None else widths.activation_bits)
        return samples * n_l * around + _error_operand_bits(layout, layer, samples)
    if task in ("pool", "unpool"):
        return _pool_bits(layout, layer, task, samples)
    return _update_bits(layout, layer, samples)


def _forward_bits(layout: Layout, layer: int, samples: int) -> int:
    """Inputs and filters of a product, and its outputs once; a value that filters share crosses once a tile."""
    shape, widths = layout.shape(layer), layout.chip.widths
    rows, inputs = samples * shape.map.positions, samples * _inputs(layout, layer)
    product = Product(rows, shape.fan_in, shape.channels, inputs, shape.weights)
    operands = _tiled_bits(layout, product, widths.activation_bits, widths.weight_bits)
    return operands + rows * shape.channels * widths.activation_bits


def _update_bits(layout: Layout, layer: int, samples: int) -> int:
    """Errors and inputs of a product whose sums stay in the accumulators, and W and its state read and written."""
    shape, widths = layout.shape(layer), layout.chip.widths
    rows, inputs = samples * shape.map.positions, samples * _inputs(layout, layer)
    product = Product(shape.channels, rows, shape.fan_in, rows * shape.channels, inputs)
    operands = _tiled_bits(layout, product, widths.error_bits, widths.activation_bits)
    learned = shape.weights * (widths.weight_bits + layout.state_words * widths.state_bits)
    return operands + 2 * learned + _mirror_write_bits(layout, layer)


def _inputs(layout: Layout, layer: int) -> int:
    """Values of a sample that the layer's one core reads."""
    return int(layout.partition.inputs(layer).sum())


def _next_operand_bits(layout: Layout, layer: int, samples: int) -> int:
    """Operands of delta_l made from the next layer's errors and its weights, mirror or feedback."""
    shape = layout.shape(layer + 1)
    rows = samples * shape.map.positions
    product = Product(rows, shape.channels, shape.fan_in, rows * shape.channels, shape.weights)
    return _tiled_bits(layout, product, layout.chip.widths.error_bits, _matrix_bits(layout))


def _pool_bits(layout: Layout, layer: int, task: str, samples: int) -> int:
    """Maps that a pool reads and writes, forward or back, with the places of the largest units."""
    shape, widths = layout.shape(layer), layout.chip.widths
    assert shape.pool is not None
    place = layout.network.argmax_bits if shape.pool.kind == "max_pool" else 0
    if task == "pool":
        pooled = widths.activation_bits + place * layout.errors[layer]
        return samples * (shape.map.units * widths.activation_bits + shape.outputs.units * pooled)
    around = shape.map.units * (widths.activation_bits + widths.error_bits)
    return samples * (around + shape.outputs.units * (widths.error_bits + place))


def _error_operand_bits(layout: Layout, layer: int, samples: int) -> int:
    rule, n_l = layout.rule, layout.widths[layer]
    if rule.partial_sums:
        return 0
    if rule.error == "next":
        return _next_operand_bits(layout, layer, samples)
    if rule.error == "target" and not layout.dense_targets:
        # A column of B that a label selects stays in the cache for the task.
        return _label_bits(layout, samples) + n_l * min(samples, layout.outputs) * _matrix_bits(layout)
    if rule.sparse:
        return samples * layout.outputs * _source_bits(layout) + _sparse_bits(layout, layer)
    outputs = layout.outputs
    product = Product(samples, outputs, n_l, samples * outputs, outputs * n_l)
    return _tiled_bits(layout, product, _source_bits(layout), _matrix_bits(layout))


def _ideal_bits(layout: Layout, layer: int, task: str, samples: int) -> int:
    widths, rule = layout.chip.widths, layout.rule
    weights = layout.shape(layer).weights
    if task == "forward":
        inputs = samples * layout.widths[0] * widths.activation_bits if layer == 1 else 0
        return weights * widths.weight_bits + inputs
    if task == "output":
        return _label_bits(layout, samples)
    if task == "product":
        return layout.shape(layer + 1).weights * (_matrix_bits(layout) - widths.weight_bits)
    if task == "update":
        states = 2 * layout.state_words * widths.state_bits
        return weights * (widths.weight_bits + states) + _mirror_write_bits(layout, layer)
    if task in ("pool", "unpool") or rule.partial_sums:
        return 0
    if rule.sparse:
        return _sparse_bits(layout, layer)
    values = layout.shape(layer + 1).weights if rule.error == "next" else layout.widths[layer] * layout.outputs
    return values * _matrix_bits(layout)


def _matrix_bits(layout: Layout) -> int:
    """Bits that cross per value of the matrix an error is multiplied with; generated feedback does not cross."""
    rule, widths = layout.rule, layout.chip.widths
    stored = widths.feedback_bits if rule.feedback.storage == "stored" else 0
    if rule.matrix == "random":
        return stored
    own = 1 if rule.mirrored and rule.matrix == "sign" else widths.weight_bits
    return own + (stored if rule.feedback.magnitude == "once" else 0)


def _sparse_bits(layout: Layout, layer: int) -> int:
    connections = layout.rule.feedback.connections
    assert connections is not None
    if layout.rule.feedback.storage == "generated":
        return 0
    each = layout.chip.widths.feedback_bits + index_bits(layout.outputs)
    return layout.widths[layer] * connections * each


def _source_bits(layout: Layout) -> int:
    widths = layout.chip.widths
    return {"output-sign": SIGN_BITS, "target": widths.activation_bits}.get(layout.rule.error, widths.error_bits)


def _label_bits(layout: Layout, samples: int) -> int:
    if layout.dense_targets:
        return samples * layout.outputs * layout.chip.widths.activation_bits
    return samples * label_bits(layout.outputs)


def _mirror_write_bits(layout: Layout, layer: int) -> int:
    """Bits of the new mirror of W_l, which lies behind the channel like W_l itself."""
    if not layout.rule.mirrored or layer == 1 or not layout.errors[layer - 1]:
        return 0
    each = 1 if layout.rule.matrix == "sign" else layout.chip.widths.weight_bits
    return layout.shape(layer).weights * each


class Product(NamedTuple):
    """A product [p x r][r x q] of so many different values on its left and right (fewer than p r where taps share)."""

    p: int
    r: int
    q: int
    left_values: int
    right_values: int


def _tiled_bits(layout: Layout, product: Product, left_bits: int, right_bits: int) -> int:
    channel = layout.chip.channel
    assert channel is not None
    return tiled_operand_bits(product, left_bits, right_bits, layout.chip.widths.accumulator_bits, channel)


def tiled_operand_bits(
    product: Product, left_bits: int, right_bits: int, accumulator_bits: int, channel: Channel
) -> int:
    """Return the operand bits of a product that is tiled i x j in the cache.

    The least of left_values ceil(q/j) x + right_values ceil(p/i) y over tiles with i j z + i x + j y <= cache_bits.

    Raises:
        DescriptionError: the cache does not hold a tile of one by one.
    """
    room = 8 * channel.cache_bytes
    j = np.arange(1, product.q + 1, dtype=np.int64)
    i = np.minimum(product.p, (room - j * right_bits) // (j * accumulator_bits + left_bits))
    j, i = j[i >= 1], i[i >= 1]
    if len(j) == 0:
        raise DescriptionError(f"channel.cache_bytes = {channel.cache_bytes}: too small for one product and its sum")
    left, right = product.left_values * left_bits, product.right_values * right_bits
    return int((left * -(-product.q // j) + right * -(-product.p // i)).min())
