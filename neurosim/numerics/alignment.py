"""How far a rule's errors, updates and feedback point from back-propagation's: measured, never counted as chip work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from math import atan2, degrees, nan

import numpy as np

from neurosim.feedback import source_width
from neurosim.numerics import phases
from neurosim.numerics.convolutions import as_maps, filter_gradient
from neurosim.numerics.layers import Array, Batch, LayerMemory, Model
from neurosim.numerics.memories import Memories


@dataclass(frozen=True)
class Alignment:
    """Per layer 1 to L; NaN where there is nothing to compare.

    delta_angle_deg and gradient_angle_deg: the rule's delta_l and dW_l against BP's at the same weights.
    feedback_angle_deg and feedback_norm_ratio (|B| over |W|), of hidden layers: B, or the magnitudes with the signs of
    W_(l+1), against W_(l+1); of direct rules B_l against the transpose of W_L ... W_(l+1), NaN below a convolution,
    where there is no such product.
    """

    delta_angle_deg: list[float]
    gradient_angle_deg: list[float]
    feedback_angle_deg: list[float]
    feedback_norm_ratio: list[float]


def angle_deg(a: Array, b: Array) -> float:
    """Return the angle between two arrays taken as vectors, NaN if one is zero.

    Kahan's formula ("How futile are mindless assessments of roundoff", 2006), accurate near 0 and 180 degrees, where
    the arc cosine of the cosine loses half its digits.
    """
    a, b = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    norm_a, norm_b = np.linalg.norm(a), np.linalg.norm(b)
    if not norm_a > 0 or not norm_b > 0:
        return nan
    a /= norm_a
    b /= norm_b
    return degrees(2.0 * atan2(float(np.linalg.norm(a - b)), float(np.linalg.norm(a + b))))


def measure_alignment(memories: Memories, x: Array, y: Array) -> Alignment:
    """Compare the rule with BP on a probe batch x [N, n_0], y, at the present weights and without dropout.

    Arrays [N, n_l] (of a convolution its whole map) and [n_l, n_(l-1)] are compared as single vectors.
    """
    model = memories.model
    probe = memories.probe(x, y)
    model.refresh_mirrors()
    mine = _deltas(probe, model, lambda number: phases.run_error(model, probe, number))
    back = _deltas(probe, model, lambda number: phases.backpropagate(model, probe, number))
    computed = [model.rule.error != "none" or number == model.depth for number in range(1, model.depth + 1)]
    pairs = list(zip(model.layers, computed, mine, back, strict=True))
    compared = [compare_feedback(model, number) for number in range(1, model.depth + 1)]
    return Alignment(
        delta_angle_deg=[angle_deg(a, b) if made else nan for _, made, a, b in pairs],
        gradient_angle_deg=[
            angle_deg(_gradient(model, probe, layer, a), _gradient(model, probe, layer, b)) if made else nan
            for layer, made, a, b in pairs
        ],
        feedback_angle_deg=[angle for angle, _ in compared],
        feedback_norm_ratio=[ratio for _, ratio in compared],
    )


def _gradient(model: Model, probe: Batch, layer: LayerMemory, delta: Array) -> Array:
    """Return dW_l of a delta_l."""
    shape, inputs = layer.shape, probe.h[layer.number - 1][: probe.samples]
    if not shape.convolves:
        return np.asarray(delta.T @ inputs)
    sums = np.zeros_like(layer.weights), np.zeros_like(layer.biases)
    whole = (0, shape.map.rows)
    filter_gradient(shape, as_maps(delta, shape.map), as_maps(inputs, shape.inputs), whole, sums, model.scratch)
    return sums[0]


def _deltas(probe: Batch, model: Model, make: Callable[[int], None]) -> list[Array]:
    """Return delta_1 to delta_L that ``make`` leaves in the probe, from the last layer back."""
    phases.run_error(model, probe, model.depth)
    if model.rule.error != "none":
        for number in range(model.depth - 1, 0, -1):
            make(number)
    return [delta[: probe.samples].copy() for delta in probe.delta[1:]]


def compare_feedback(model: Model, number: int) -> tuple[float, float]:
    """Return the angle between B and W, and |B|/|W|, for hidden layer ``number``; NaN where there is no B."""
    last = number + 1 if model.rule.error == "next" else model.depth
    if number == model.depth or model.rule.matrix not in ("random", "sign"):
        return nan, nan
    if model.rule.error != "next" and any(layer.shape.convolves for layer in model.layers[number:]):
        return nan, nan
    feedback = _as_rows(model, number)
    chain = (layer.weights for layer in model.layers[number:last])
    forward = reduce(lambda product, weights: weights @ product, chain)
    size = float(np.linalg.norm(forward.astype(np.float64)))
    ratio = float(np.linalg.norm(feedback.astype(np.float64))) / size if size > 0 else nan
    return angle_deg(feedback, forward.T), ratio


def _as_rows(model: Model, number: int) -> Array:
    """Return a hidden layer's feedback as one dense array: [n_l, n_s], a row for each unit, or like W_(l+1) turned."""
    layer = model.layer(number)
    if layer.feedback_index is not None and layer.feedback_value is not None:
        rows = np.zeros((model.widths[number], source_width(model.network, model.rule, number)), model.dtype)
        np.put_along_axis(rows, layer.feedback_index, layer.feedback_value, axis=1)
        return rows
    if model.rule.error == "next":
        return phases.carrier(model, number, slice(None), slice(None)).T
    assert layer.feedback is not None
    return layer.feedback
