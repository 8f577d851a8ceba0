"""The table of optimizers: the kernel that computes each, what it remembers, and what it does, per weight."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OptimizerRow:
    """One optimizer; w is a weight, g its gradient, lr the learning rate.

    ``kernel`` is the kernel's name in ``kernels/optimizers.py``; ``state_words`` are kept beside every weight and
    bias; ``operations`` are elementwise operations per weight and step, without weight decay and clipping.
    """

    name: str
    kernel: str
    state_words: int
    operations: int
    formula: str


OPTIMIZERS: dict[str, OptimizerRow] = {
    row.name: row
    for row in (
        OptimizerRow("sgd", "sgd", 0, 2, "w -= lr g"),
        OptimizerRow("momentum", "momentum", 1, 4, "v = momentum v + g; w -= lr v (Polyak 1964)"),
        OptimizerRow(
            "rmsprop", "rmsprop", 1, 9, "s = rms_decay s + (1 - rms_decay) g^2; w -= lr g/(sqrt(s) + epsilon)"
        ),
        OptimizerRow(
            "adam",
            "adam",
            2,
            14,
            "m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; "
            "w -= lr m/(1 - beta1^t) / (sqrt(v/(1 - beta2^t)) + epsilon) (Kingma and Ba 2015)",
        ),
    )
}
