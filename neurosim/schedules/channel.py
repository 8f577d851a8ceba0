"""Bits that cross the DRAM channel of a machine whose memories lie behind one (semantics 3)."""

from __future__ import annotations

import numpy as np

from neurosim.chips import Channel
from neurosim.counts import SIGN_BITS, index_bits, label_bits
from neurosim.errors import DescriptionError
from neurosim.schedules.layout import Layout


def product_channel_bits(layout: Layout, layer: int, task: str, samples: int) -> int:
    """Return the bits that cross for one ``task`` of ``layer``: forward, output, error, product or update.

    ``reuse = "layer"``: nothing survives in the cache between tasks; ``"ideal"``: every weight, state, stored
    feedback value, input and label once a step, activations never.
    """
    channel = layout.chip.channel
    assert channel is not None
    if channel.reuse == "ideal":
        return _ideal_bits(layout, layer, task, samples)
    widths = layout.chip.widths
    n_l, n_in = layout.widths[layer], layout.widths[layer - 1]
    if task == "forward":
        operands = _tiled_bits(layout, (samples, n_in, n_l), widths.activation_bits, widths.weight_bits)
        return operands + samples * n_l * widths.activation_bits
    if task == "output":
        return samples * n_l * (widths.activation_bits + widths.error_bits) + _label_bits(layout, samples)
    if task == "product":
        sizes = (samples, layout.widths[layer + 1], n_l)
        return _tiled_bits(layout, sizes, widths.error_bits, _matrix_bits(layout))
    if task == "error":
        around = samples * n_l * (widths.activation_bits + widths.error_bits)
        return around + _error_operand_bits(layout, layer, samples)
    operands = _tiled_bits(layout, (n_l, samples, n_in), widths.error_bits, widths.activation_bits)
    learned = n_l * n_in * (widths.weight_bits + layout.state_words * widths.state_bits)
    return operands + 2 * learned + _mirror_write_bits(layout, layer)


def _error_operand_bits(layout: Layout, layer: int, samples: int) -> int:
    rule, n_l = layout.rule, layout.widths[layer]
    if rule.partial_sums:
        return 0
    if rule.error == "target" and not layout.dense_targets:
        # A column of B that a label selects stays in the cache for the task.
        return _label_bits(layout, samples) + n_l * min(samples, layout.outputs) * _matrix_bits(layout)
    if rule.sparse:
        return samples * layout.outputs * _source_bits(layout) + _sparse_bits(layout, layer)
    sources = layout.widths[layer + 1] if rule.error == "next" else layout.outputs
    return _tiled_bits(layout, (samples, sources, n_l), _source_bits(layout), _matrix_bits(layout))


def _ideal_bits(layout: Layout, layer: int, task: str, samples: int) -> int:
    widths, rule = layout.chip.widths, layout.rule
    weights = layout.widths[layer] * layout.widths[layer - 1]
    if task == "forward":
        inputs = samples * layout.widths[0] * widths.activation_bits if layer == 1 else 0
        return weights * widths.weight_bits + inputs
    if task == "output":
        return _label_bits(layout, samples)
    if task == "product":
        return layout.widths[layer] * layout.widths[layer + 1] * (_matrix_bits(layout) - widths.weight_bits)
    if task == "update":
        states = 2 * layout.state_words * widths.state_bits
        return weights * (widths.weight_bits + states) + _mirror_write_bits(layout, layer)
    if rule.partial_sums:
        return 0
    if rule.sparse:
        return _sparse_bits(layout, layer)
    sources = layout.widths[layer + 1] if rule.error == "next" else layout.outputs
    return layout.widths[layer] * sources * _matrix_bits(layout)


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
    return layout.widths[layer] * layout.widths[layer - 1] * each


def _tiled_bits(layout: Layout, sizes: tuple[int, int, int], left_bits: int, right_bits: int) -> int:
    channel = layout.chip.channel
    assert channel is not None
    return tiled_operand_bits(sizes, left_bits, right_bits, layout.chip.widths.accumulator_bits, channel)


def tiled_operand_bits(
    sizes: tuple[int, int, int], left_bits: int, right_bits: int, accumulator_bits: int, channel: Channel
) -> int:
    """Return the operand bits of a product [p x r][r x q] tiled i x j in the cache, ``sizes`` = (p, r, q).

    The least of p r ceil(q/j) x + r q ceil(p/i) y over tiles with i j z + i x + j y <= cache_bits.

    Raises:
        DescriptionError: the cache does not hold a tile of one by one.
    """
    p, r, q = sizes
    room = 8 * channel.cache_bytes
    j = np.arange(1, q + 1, dtype=np.int64)
    i = np.minimum(p, (room - j * right_bits) // (j * accumulator_bits + left_bits))
    j, i = j[i >= 1], i[i >= 1]
    if len(j) == 0:
        raise DescriptionError(f"channel.cache_bytes = {channel.cache_bytes}: too small for one product and its sum")
    return int((p * r * -(-q // j) * left_bits + r * q * -(-p // i) * right_bits).min())
