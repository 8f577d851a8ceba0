"""The table of activations: what a neuron makes of its sum, and the slope that its error is multiplied with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Elementwise = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True)
class ActivationRow:
    """One activation h = f(z).

    ``slope`` gives f'(z) from the *output* h, because a chip keeps h and not z. ``kernel`` is the suffix of the
    kernels ``activate_<kernel>`` and ``error_<kernel>``.
    """

    name: str
    kernel: str
    formula: str
    function: Elementwise
    slope: Elementwise


def _sigmoid(z: NDArray[Any]) -> NDArray[Any]:
    """Return 1/(1 + exp(-z)), written with tanh so that nothing overflows."""
    half: NDArray[Any] = 0.5 * np.tanh(0.5 * z) + 0.5
    return half


def _relu(z: NDArray[Any]) -> NDArray[Any]:
    """Return max(z, 0)."""
    positive: NDArray[Any] = np.maximum(z, 0)
    return positive


ACTIVATIONS: dict[str, ActivationRow] = {
    row.name: row
    for row in (
        ActivationRow("tanh", "tanh", "tanh z; slope 1 - h^2", np.tanh, lambda h: 1.0 - h * h),
        ActivationRow("sigmoid", "sigmoid", "1/(1 + exp(-z)); slope h (1 - h)", _sigmoid, lambda h: h * (1.0 - h)),
        ActivationRow("relu", "relu", "max(z, 0); slope 1 where h > 0", _relu, lambda h: (h > 0) * 1.0),
        ActivationRow("linear", "linear", "z; slope 1", lambda z: z, np.ones_like),
    )
}
