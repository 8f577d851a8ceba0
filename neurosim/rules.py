"""The table of learning rules: how errors reach the neurons. A rule is data and never sees the chip."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from math import prod
from typing import Any, Literal

from pydantic import field_validator, model_validator

from neurosim.descriptions import Description, PositiveAmount, PositiveCount, keeps_places, load
from neurosim.errors import DescriptionError
from neurosim.explanations import shown
from neurosim.networks.network import Network
from neurosim.recipes import Recipe

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


class Feedback(Description):
    """How a rule's feedback matrices B are drawn and kept.

    ``connections`` None is dense; a number is that many outputs per neuron, drawn without replacement.
    ``magnitude`` belongs to sign symmetry: one constant per layer, drawn every step, or drawn once.
    """

    connections: PositiveCount | None = None
    init: Literal["uniform", "normal", "kaiming", "like_weights"] = "uniform"
    scale: PositiveAmount = 1.0
    sparse_scale: Literal["authors", "equal_variance"] = "authors"
    magnitude: Literal["xavier", "one", "every_step", "once"] | None = None
    storage: Literal["stored", "generated"] = "stored"


class Rule(Description):
    """A learning rule: where a layer's error comes from, what it is multiplied with, and where."""

    name: str
    error: Literal["next", "output", "output-sign", "target", "none"]
    matrix: Literal["weights", "sign", "random", "none"] = "random"
    transport: Literal["owner", "mirrored"] = "owner"
    feedback: Feedback = Feedback()

    @keeps_places
    def __init__(self, name: str, **fields: Any) -> None:
        super().__init__(name=name, **fields)

    @field_validator("name")
    @classmethod
    def _names_files(cls, name: str) -> str:
        if _NAME.fullmatch(name) is None:
            raise ValueError(
                f"{shown(name)}: must begin with a letter or digit and hold only letters, digits, '-', '_', '.' and "
                f"'+', at most 64 in all, as files of a run are named after it; write such a name = '...' in the rule"
            )
        return name

    @model_validator(mode="before")
    @classmethod
    def _feedback_keys_may_stand_flat(cls, data: Any) -> Any:
        """Take ``connections = 3`` for ``feedback = {connections = 3}``: a rule is one row of a table."""
        flat = {key: data[key] for key in Feedback.model_fields if key in data} if isinstance(data, Mapping) else {}
        feedback = data.get("feedback", {}) if flat else {}
        if isinstance(feedback, Feedback):
            feedback = feedback.model_dump(exclude_unset=True)
        if not flat or not isinstance(feedback, Mapping):
            return data
        rest = {key: value for key, value in data.items() if key not in flat}
        return {**rest, "feedback": {**feedback, **flat}}

    @model_validator(mode="after")
    def _is_consistent(self) -> Rule:
        for holds, contradiction in _contradictions(self):
            if holds:
                raise ValueError(contradiction)
        return self

    @property
    def shares_source(self) -> bool:
        """Whether one message from the output layer serves every hidden layer (dfa and its sparse and sign kin)."""
        return self.error in ("output", "output-sign")

    @property
    def sparse(self) -> bool:
        """Whether each neuron is fed by only some outputs."""
        return self.feedback.connections is not None

    @property
    def partial_sums(self) -> bool:
        """Whether hidden errors are computed at the owners of the weights, partial sums travelling back."""
        return self.error == "next" and self.matrix in ("weights", "sign") and self.transport == "owner"

    @property
    def mirrored(self) -> bool:
        """Whether a copy of the next layer's weights (or signs) is kept at the layer and refreshed every step."""
        return self.error == "next" and self.matrix in ("weights", "sign") and self.transport == "mirrored"


def _contradictions(rule: Rule) -> tuple[tuple[bool, str], ...]:
    """Return what would make a rule's answers contradict each other, and how to put it right."""
    f, error, matrix = rule.feedback, rule.error, rule.matrix
    drawn = matrix == "random"
    constant = f.magnitude in ("xavier", "one")
    return (
        (
            (error == "none") != (matrix == "none"),
            f"error '{error}' with matrix '{matrix}': a rule without an error multiplies nothing; "
            "write error = 'none' together with matrix = 'none'",
        ),
        (
            error in ("output", "output-sign", "target") and not drawn,
            f"error '{error}' with matrix '{matrix}': no weights lead from the output back; write matrix = 'random'",
        ),
        (
            matrix == "sign" and f.magnitude is None,
            "matrix 'sign' needs a feedback.magnitude: 'xavier', 'one', 'every_step' or 'once'",
        ),
        (
            matrix != "sign" and f.magnitude is not None,
            f"feedback.magnitude '{f.magnitude}' belongs to matrix 'sign', not to '{matrix}'; leave it out",
        ),
        (
            f.connections is not None and error not in ("output", "output-sign"),
            f"feedback.connections {f.connections}: only errors of the output ('output', 'output-sign') are sparse, "
            f"not '{error}'; leave it out",
        ),
        (
            f.sparse_scale != "authors" and f.connections is None,
            f"feedback.sparse_scale '{f.sparse_scale}' belongs to sparse feedback; give feedback.connections too",
        ),
        (
            rule.transport == "mirrored" and not (error == "next" and matrix in ("weights", "sign")),
            f"transport 'mirrored' copies weights or their signs, and matrix '{matrix}' uses none; leave it out",
        ),
        (
            not drawn and (f.init != "uniform" or f.scale != 1.0),
            f"feedback.init and feedback.scale belong to matrix 'random', not to '{matrix}'; leave them out",
        ),
        (
            f.storage == "generated" and (matrix in ("weights", "none") or constant),
            f"feedback.storage 'generated' with matrix '{matrix}'"
            + (f" and the constant magnitude '{f.magnitude}'" if constant else "")
            + ": there is nothing to generate; leave it out",
        ),
    )


RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("bp", error="next", matrix="weights"),
        Rule("bp-mirrored", error="next", matrix="weights", transport="mirrored"),
        Rule("fa", error="next"),
        Rule("usf", error="next", matrix="sign", feedback=Feedback(magnitude="xavier")),
        Rule("brsf", error="next", matrix="sign", feedback=Feedback(magnitude="every_step")),
        Rule("frsf", error="next", matrix="sign", feedback=Feedback(magnitude="once")),
        Rule("dfa", error="output"),
        Rule("sign-dfa", error="output-sign"),
        Rule("sdfa", error="output", feedback=Feedback(connections=3)),
        Rule("ssdfa", error="output", feedback=Feedback(connections=1)),
        Rule("drtp", error="target"),
        Rule("last-layer", error="none", matrix="none"),
    )
}


def load_rule(source: str | os.PathLike[str] | Rule) -> Rule:
    """Return the rule of a name in RULES or a TOML file, which may be ``based_on`` such a name; a Rule as it is.

    Raises:
        DescriptionError: no such rule, or answers that contradict each other.
    """
    shipped = {name: rule.model_dump(exclude_unset=True) for name, rule in RULES.items()}
    return load(Rule, source, shipped, "rule")


def check_rule(network: Network, rule: Rule, recipe: Recipe) -> list[str]:
    """Return warnings about a rule on a network with a recipe's initial weights; refuse what cannot learn.

    A network without a hidden layer has no feedback, so every rule and every initialisation can train it.

    Raises:
        DescriptionError: the rule cannot use the network or its initial weights, with the reason.
    """
    if network.depth == 1:
        return []
    outputs, connections = network.widths[-1], rule.feedback.connections
    if connections is not None and connections > outputs:
        raise DescriptionError(
            f"{rule.name}.feedback.connections: {connections}: a neuron cannot use more outputs than the {outputs} of "
            f"network {network.name or network.inputs}; allowed are 1 to {outputs}"
        )
    if recipe.init == "zero":
        _check_zero_weights(network, rule)
    if rule.error == "target" and "relu" in _hidden_activations(network):
        return [f"{rule.name} with relu does not learn in practice; use tanh or sigmoid"]
    return []


def _hidden_activations(network: Network) -> list[str]:
    return [layer.activation for layer in network.weighted[:-1]]


def _check_zero_weights(network: Network, rule: Rule) -> None:
    """Refuse zero initial weights where they leave the rule without an error or a derivative (Nokland 2016)."""
    place = f"init: 'zero': is refused for {rule.name}"
    way_out = "use init = 'uniform' or 'normal'"
    if rule.matrix in ("weights", "sign"):
        raise DescriptionError(f"{place}: its hidden error is a product with W, which is 0 and stays 0; {way_out}")
    if rule.matrix == "none":
        raise DescriptionError(f"{place}: its hidden layers are never trained and would stay 0; {way_out}")
    if rule.feedback.init == "like_weights":
        raise DescriptionError(
            f"{place}: feedback.init 'like_weights' would draw a zero B from zero weights; "
            f"{way_out}, or another feedback.init"
        )
    activations = _hidden_activations(network)
    if "relu" in activations:
        raise DescriptionError(
            f"{place} with relu: relu'(0) = 0, so no error passes; use tanh or sigmoid, or {way_out}"
        )
    if "linear" in activations:
        raise DescriptionError(f"{place} with linear layers: it is offered for tanh and sigmoid only; {way_out}")


def values_needed(network: Network, rule: Rule) -> dict[int, int]:
    """Return, per hidden layer, the values from elsewhere that one of its neurons needs for its error of one sample.

    Topology-free, as published comparisons count data movement: under bp and sign symmetry the errors of the next layer
    that it enters *and* as many weights or signs; under fa the errors, B being the neuron's own; under direct rules the
    n_L output errors, or as many as feed it; under drtp the label. A neuron enters all n_(l+1) neurons of a dense layer
    and, of a convolution, at most K' ceil(kh/sh) ceil(kw/sw).
    """
    return {layer: _values_needed(network, rule, layer) for layer in range(1, network.depth)}


def _values_needed(network: Network, rule: Rule, layer: int) -> int:
    if rule.error == "none":
        return 0
    if rule.error == "next":
        following = network.shape(layer + 1)
        windows = prod(-(-axis.kernel // axis.stride) for axis in (following.rows, following.columns))
        return following.channels * windows * (1 if rule.matrix == "random" else 2)
    if rule.error == "target":
        return 1
    return rule.feedback.connections or network.widths[-1]
