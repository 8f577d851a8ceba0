"""The table of losses, each with the output activation that makes the output's delta yhat - y."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]


@dataclass(frozen=True)
class LossRow:
    """One loss, summed over outputs; delta_L = dLoss/dz_L = yhat - y for all of them (over N for a mean).

    ``predict`` makes yhat [N, n_L] of z_L, ``loss`` one float64 per sample [N] of z_L and the targets y [N, n_L].
    ``exchange`` says whether the cores of the output layer must exchange (maximum, sum) before any of them knows its
    outputs, as softmax needs.
    """

    name: str
    output: str
    formula: str
    predict: Callable[[Values], Values]
    loss: Callable[[Values, Values], NDArray[np.float64]]
    exchange: bool


def softmax(z: Values) -> Values:
    """Return exp(z) over its sum along the last axis, shifted by the maximum so that nothing overflows."""
    powers: Values = np.exp(z - z.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


def sigmoid(z: Values) -> Values:
    """Return 1/(1 + exp(-z)) with full relative precision at both ends."""
    power = np.exp(-np.abs(z))
    outputs: Values = np.where(z >= 0, 1.0, power).astype(z.dtype) / (1 + power)
    return outputs


def _softmax_loss(z: Values, y: Values) -> NDArray[np.float64]:
    z, y = z.astype(np.float64), y.astype(np.float64)
    highest = z.max(axis=-1, keepdims=True)
    logarithm = np.log(np.exp(z - highest).sum(axis=-1, keepdims=True)) + highest
    total: NDArray[np.float64] = (y * (logarithm - z)).sum(axis=-1)
    return total


def _sigmoid_loss(z: Values, y: Values) -> NDArray[np.float64]:
    z, y = z.astype(np.float64), y.astype(np.float64)
    total: NDArray[np.float64] = (np.maximum(z, 0.0) - z * y + np.log1p(np.exp(-np.abs(z)))).sum(axis=-1)
    return total


def _squared_loss(z: Values, y: Values) -> NDArray[np.float64]:
    total: NDArray[np.float64] = 0.5 * ((z.astype(np.float64) - y) ** 2).sum(axis=-1)
    return total


LOSSES: dict[str, LossRow] = {
    row.name: row
    for row in (
        LossRow("softmax", "softmax", "cross-entropy: - sum_k y_k log yhat_k", softmax, _softmax_loss, True),
        LossRow(
            "sigmoid",
            "sigmoid",
            "binary cross-entropy: - sum_k y_k log yhat_k + (1 - y_k) log(1 - yhat_k)",
            sigmoid,
            _sigmoid_loss,
            False,
        ),
        LossRow("squared", "linear", "1/2 sum_k (yhat_k - y_k)^2", lambda z: z, _squared_loss, False),
    )
}
