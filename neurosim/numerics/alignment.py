"""How far a rule's errors, updates and feedback point from back-propagation's: measured, never counted as chip work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from math import atan2, degrees, nan

import numpy as np

from neurosim.feedback import source_width
from neurosim.numerics import phases
from neurosim.numerics.layers import Array, Batch, Model, Part
from neurosim.numerics.memories import Memories


@dataclass(frozen=True)
class Alignment:
    """Per layer 1 to L; NaN where there is nothing to compare.

    delta_angle_deg and gradient_angle_deg: the rule's delta_l and dW_l against BP's at the same weights.
    feedback_angle_deg and feedback_norm_ratio (|B| over |W|), of hidden layers: B, or the magnitudes with the signs of
    W_(l+1), against W_(l+1); of direct rules B_l against the transpose of W_L ... W_(l+1).
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

    Arrays [N, n_l] and [n_l, n_(l-1)] are compared as single vectors.
    """
    model = memories.model
    probe = memories.probe(x, y)
    model.refresh_mirrors()
    mine = _deltas(probe, model, lambda number: phases.error(model, probe, number, _whole(model, probe, number)))
    back = _deltas(probe, model, lambda number: _backpropagate(model, probe, number))
    computed = [model.rule.error != "none" or number == model.depth for number in range(1, model.depth + 1)]
    sources = [values[: probe.samples] for values in probe.h[:-1]]
    pairs = list(zip(computed, mine, back, sources, strict=True))
    compared = [compare_feedback(model, number) for number in range(1, model.depth + 1)]
    return Alignment(
        delta_angle_deg=[angle_deg(a, b) if made else nan for made, a, b, _ in pairs],
        gradient_angle_deg=[angle_deg(a.T @ h, b.T @ h) if made else nan for made, a, b, h in pairs],
        feedback_angle_deg=[angle for angle, _ in compared],
        feedback_norm_ratio=[ratio for _, ratio in compared],
    )


def _whole(model: Model, probe: Batch, number: int) -> Part:
    """Return all of a layer."""
    return probe.whole(model.widths[number])


def _deltas(probe: Batch, model: Model, make: Callable[[int], None]) -> list[Array]:
    """Return delta_1 to delta_L that ``make`` leaves in the probe, from the last layer back."""
    phases.error(model, probe, model.depth, _whole(model, probe, model.depth))
    if model.rule.error != "none":
        for number in range(model.depth - 1, 0, -1):
            make(number)
    return [delta[: probe.samples].copy() for delta in probe.delta[1:]]


def _backpropagate(model: Model, probe: Batch, number: int) -> None:
    """Set delta_l = (delta_(l+1) W_(l+1)) f'."""
    rows = slice(0, probe.samples)
    delta = probe.delta[number][rows]
    np.matmul(probe.delta[number + 1][rows], model.layer(number + 1).weights, out=delta)
    model.layer(number).apply_slope(delta, probe.h[number][rows], delta.dtype.type(1.0))


def compare_feedback(model: Model, number: int) -> tuple[float, float]:
    """Return the angle between B and W, and |B|/|W|, for hidden layer ``number``; NaN where there is no B."""
    if number == model.depth or model.rule.matrix not in ("random", "sign"):
        return nan, nan
    feedback = _as_rows(model, number)
    last = number + 1 if model.rule.error == "next" else model.depth
    chain = (layer.weights for layer in model.layers[number:last])
    forward = reduce(lambda product, weights: weights @ product, chain)
    size = float(np.linalg.norm(forward.astype(np.float64)))
    ratio = float(np.linalg.norm(feedback.astype(np.float64))) / size if size > 0 else nan
    return angle_deg(feedback, forward.T), ratio


def _as_rows(model: Model, number: int) -> Array:
    """Return a hidden layer's feedback as one dense array [n_l, n_s], a row for each neuron."""
    layer = model.layer(number)
    if layer.feedback_index is not None and layer.feedback_value is not None:
        rows = np.zeros((model.widths[number], source_width(model.widths, model.rule, number)), model.dtype)
        np.put_along_axis(rows, layer.feedback_index, layer.feedback_value, axis=1)
        return rows
    if model.rule.error == "next":
        return phases.carrier(model, number, slice(None), slice(None)).T
    assert layer.feedback is not None
    return layer.feedback
