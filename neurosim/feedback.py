"""Draws the feedback matrices: distributions, sparsity, and the same values however the network is cut over cores.

Every value is keyed by (seed, purpose, layer, neuron, connection) (see ``draws.py``), so a core can draw the rows of
its own neurons or channels alone, stored and generated feedback are the same, and no result depends on the cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from neurosim.draws import Distribution, Stream
from neurosim.errors import DescriptionError
from neurosim.networks.network import Network

Reals = NDArray[np.float64]
Indices = NDArray[np.int64]


class FeedbackOptions(Protocol):
    """What is read of ``rules.Feedback``: plain values, so that this module need not know rules."""

    @property
    def connections(self) -> int | None: ...  # noqa: D102
    @property
    def init(self) -> str: ...  # noqa: D102
    @property
    def scale(self) -> float: ...  # noqa: D102
    @property
    def sparse_scale(self) -> str: ...  # noqa: D102
    @property
    def magnitude(self) -> str | None: ...  # noqa: D102


class FeedbackRule(Protocol):
    """What is read of ``rules.Rule``."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def error(self) -> str: ...  # noqa: D102
    @property
    def matrix(self) -> str: ...  # noqa: D102
    @property
    def feedback(self) -> FeedbackOptions: ...  # noqa: D102


@dataclass(frozen=True)
class FeedbackMatrix:
    """The feedback of one hidden layer l, float64: ``dense``, or ``index`` and ``value`` of its non-zeros.

    dense: [K_(l+1), fan_in of l + 1] like W_(l+1) where the error comes from the next layer (sign symmetry: the
    magnitudes, >= 0), else B_l [n_l, n_L], a row for each unit that layer l hands on. Sparse: index (int64, rising in a
    row) and value [n_l, s]: unit j is fed by the values index[j] of its source.
    """

    dense: Reals | None = None
    index: Indices | None = None
    value: Reals | None = None


def source_width(network: Network, rule: FeedbackRule, layer: int) -> int:
    """Return n_s, the values that feed one row of hidden layer ``layer``'s feedback.

    n_L under direct rules; else the weights of W_(l+1) that belong to a unit of layer l, or, where layer l + 1 is a
    convolution, to a channel: K_(l+1) kh kw.
    """
    return network.shape(layer + 1).fan_out if rule.error == "next" else network.widths[-1]


def fed_rows(network: Network, rule: FeedbackRule, layer: int) -> int:
    """Return the rows of hidden layer ``layer``'s feedback as it is drawn: n_l, or the channels that filters read."""
    return network.shape(layer + 1).inputs.channels if rule.error == "next" else network.widths[layer]


def sign_constant(network: Network, rule: FeedbackRule, layer: int) -> float | None:
    """Return sign symmetry's one magnitude for W_(l+1), None if magnitudes are drawn.

    "xavier" is sqrt(2/(fan_in + fan_out)), as in BioTorch (arXiv 2108.13446); "one" is 1.
    """
    if rule.feedback.magnitude == "xavier":
        following = network.shape(layer + 1)
        return sqrt(2.0 / (following.fan_in + following.fan_out))
    return 1.0 if rule.feedback.magnitude == "one" else None


def magnitude_bound(network: Network, layer: int) -> float:
    """Return the largest drawn magnitude for W_(l+1): they are absolute values of U(+-1/sqrt(fan_in))."""
    return 1.0 / sqrt(network.shape(layer + 1).fan_in)


def check_feedback(network: Network, rule: FeedbackRule, weights_init: str = "uniform") -> None:
    """Raise DescriptionError, saying why, for feedback that cannot be drawn for a network."""
    wanted = rule.feedback.connections
    for layer in range(1, network.depth):
        source = source_width(network, rule, layer)
        if wanted is not None and wanted > source:
            raise DescriptionError(
                f"rule '{rule.name}': feedback.connections is {wanted}, but the error of hidden layer {layer} has a "
                f"source of only {source} values; allowed are 1 to {source}"
            )
    if rule.matrix == "random" and rule.feedback.init == "like_weights" and weights_init == "zero":
        raise DescriptionError(
            f"rule '{rule.name}': feedback.init 'like_weights' would draw B = 0 from zero initial weights, and nothing "
            "would be learned; take feedback.init 'uniform', 'normal' or 'kaiming'"
        )


@dataclass(frozen=True)
class FeedbackGenerator:
    """Draws any part of any feedback matrix of a network under a rule.

    ``weights_init`` and ``init_scale`` say how the forward weights are drawn, for feedback.init "like_weights";
    ``step`` counts from 0 and matters to magnitudes that are drawn in every step.
    """

    network: Network
    rule: FeedbackRule
    seed: int
    weights_init: str = "uniform"
    init_scale: float = 1.0
    step: int = 0

    def spread(self, layer: int) -> tuple[Distribution, float]:
        """Return the distribution of layer ``layer``'s feedback and what its draws, U(-1, 1) or N(0, 1), are scaled by.

        uniform: U(+-1/sqrt(m)), m = n_l of a direct matrix (Nokland 2016: its fan-out), the fan-in of W_(l+1) of one
        shaped like it; normal: standard normal; kaiming: U(+-sqrt(6/m)) (He and others 2015); like_weights: as W_(l+1).
        Sparse matrices carry a further factor: (C s)^(1/4) (Crafton and others 2019), or sqrt(C/s), which keeps the
        variance of a sum.
        """
        options = self.rule.feedback
        fan_in = self.network.shape(layer + 1).fan_in
        size = fan_in if self.rule.error == "next" else self.network.widths[layer]
        scale = options.scale
        if options.connections is not None:
            outputs = source_width(self.network, self.rule, layer)
            authors = (outputs * options.connections) ** 0.25
            scale *= authors if options.sparse_scale == "authors" else sqrt(outputs / options.connections)
        if options.init == "normal":
            return "normal", scale
        if options.init == "kaiming":
            return "uniform", scale * sqrt(6.0 / size)
        if options.init == "like_weights":
            scale *= self.init_scale
            return ("normal", scale) if self.weights_init == "normal" else ("uniform", scale / sqrt(fan_in))
        return "uniform", scale / sqrt(size)

    def matrix(self, layer: int, rows: range | None = None) -> FeedbackMatrix | None:
        """Return hidden layer ``layer``'s feedback, or None where the rule draws none.

        ``rows`` picks some of what layer l hands on: units, or channels where filters of layer l + 1 read them (the
        columns that belong to them in a matrix shaped like W_(l+1), rows of any other); for the magnitudes of sign
        symmetry, which lie beside W_(l+1), it picks neurons or channels of layer l + 1.
        """
        if self.rule.matrix == "sign":
            return self._magnitudes(layer, rows)
        if self.rule.matrix != "random":
            return None
        part = range(fed_rows(self.network, self.rule, layer)) if rows is None else rows
        outputs = source_width(self.network, self.rule, layer)
        distribution, scale = self.spread(layer)
        dense = scale * Stream(self.seed, "feedback", layer).values(distribution, part, outputs)
        index = self.connections(layer, part)
        if index is not None:
            return FeedbackMatrix(index=index, value=np.take_along_axis(dense, index, axis=1))
        return FeedbackMatrix(dense=self._like_weights(layer, dense) if self.rule.error == "next" else dense)

    def connections(self, layer: int, rows: range) -> Indices | None:
        """Return the outputs that feed each of some rows of a sparse rule's feedback [rows, s], else None."""
        count = self.rule.feedback.connections
        if count is None:
            return None
        outputs = source_width(self.network, self.rule, layer)
        return Stream(self.seed, "feedback index", layer).choices(rows, outputs, count)

    def _like_weights(self, layer: int, drawn: Reals) -> Reals:
        """Return draws [rows, K_(l+1) kh kw] as [K_(l+1), rows kh kw]."""
        channels = self.network.shape(layer + 1).channels
        taps = drawn.reshape(len(drawn), channels, -1).transpose(1, 0, 2)
        return np.ascontiguousarray(taps).reshape(channels, -1)

    def _magnitudes(self, layer: int, channels: range | None) -> FeedbackMatrix | None:
        """Return absolute values shaped like rows of W_(l+1), None where one constant serves the layer."""
        if sign_constant(self.network, self.rule, layer) is not None:
            return None
        following = self.network.shape(layer + 1)
        part = range(following.channels) if channels is None else channels
        step = self.step if self.rule.feedback.magnitude == "every_step" else 0
        draws = Stream(self.seed, "magnitudes", layer + 1, step).values("uniform", part, following.fan_in)
        return FeedbackMatrix(dense=magnitude_bound(self.network, layer) * np.abs(draws))


def draw_feedback(
    network: Network,
    rule: FeedbackRule,
    *,
    seed: int,
    weights_init: str = "uniform",
    init_scale: float = 1.0,
) -> list[FeedbackMatrix | None]:
    """Return the feedback of hidden layers 1 to L - 1, in this order; None where the rule draws none.

    Raises DescriptionError where the rule's feedback cannot be made for this network. Magnitudes that are drawn in
    every step are those of the first.
    """
    check_feedback(network, rule, weights_init)
    generator = FeedbackGenerator(network, rule, seed, weights_init, init_scale)
    return [generator.matrix(layer) for layer in range(1, network.depth)]


def draw_connections(network: Network, rule: FeedbackRule, *, seed: int) -> dict[int, Indices]:
    """Return the outputs that feed each unit of hidden layers 1 to L - 1 [n_l, s], without drawing any value.

    Empty for a rule that is not sparse. Raises DescriptionError where a layer's source has fewer values than s.
    """
    check_feedback(network, rule)
    generator, found = FeedbackGenerator(network, rule, seed), {}
    for layer in range(1, network.depth):
        index = generator.connections(layer, range(fed_rows(network, rule, layer)))
        if index is not None:
            found[layer] = index
    return found


def unused_outputs(
    network: Network, rule: FeedbackRule, feedback: Sequence[FeedbackMatrix | None]
) -> list[tuple[int, ...]]:
    """Return, for each hidden layer, the values of its error's source that feed none of its units."""
    unused: list[tuple[int, ...]] = []
    for layer, matrix in enumerate(feedback, start=1):
        everything = range(source_width(network, rule, layer))
        used = everything if matrix is None or matrix.index is None else set(np.unique(matrix.index).tolist())
        unused.append(tuple(output for output in everything if output not in used))
    return unused
