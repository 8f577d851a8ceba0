"""Small networks to learn with: the golden cases, and any others."""

from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from neurosim.errors import DescriptionError
from neurosim.feedback import FeedbackMatrix
from neurosim.networks import Conv, Dense, Flatten, Network, Pool, dense
from neurosim.numerics import Memories
from neurosim.recipes import Recipe
from neurosim.rules import RULES, Feedback, Rule

GOLDEN = dict(np.load(Path(__file__).parent / "golden_steps.npz"))
CASES = {
    "A": ((12, 9, 7, 5), "tanh", "softmax"),
    "B": ((12, 9, 7, 5), "sigmoid", "sigmoid"),
    "D": ((12, 9, 5), "tanh", "sigmoid"),
}
GOLDEN_RULES = {
    "BP": "bp",
    "FA": "fa",
    "uSF": "usf",
    "frSF": "frsf",
    "brSF": "brsf",
    "DFA": "dfa",
    "SDFA": "sdfa",
    "SSDFA": "ssdfa",
    "SIGNDFA": "sign-dfa",
    "DRTP": "drtp",
}
GOLDEN_RATES = {"sgd": 0.1, "momentum": 0.1, "adam": 0.01, "rmsprop": 0.01}


def golden_feedback(case, rule):
    widths = CASES[case][0]
    matrices = []
    for layer in range(1, len(widths) - 1):
        following = {"FA": f"FA_B{layer + 1}", "frSF": f"frSF_M{layer + 1}", "brSF": f"brSF_M{layer + 1}"}
        direct = {"DFA": f"DFA_B{layer}", "SIGNDFA": f"DFA_B{layer}", "DRTP": f"DFA_B{layer}"}
        if name := (following | direct).get(rule):
            matrices.append(FeedbackMatrix(dense=GOLDEN[f"{case}_{name}"]))
        elif rule in ("SDFA", "SSDFA"):
            index = GOLDEN[f"{case}_{rule}_idx{layer}"].reshape(widths[layer], -1)
            value = np.take_along_axis(GOLDEN[f"{case}_{rule}_B{layer}"], index, axis=1)
            matrices.append(FeedbackMatrix(index=index, value=value))
        else:
            matrices.append(None)
    return matrices


def golden_memories(case, rule="BP", **fields):
    widths, activation, loss = CASES[case]
    recipe = Recipe(**{"batch_size": 4, "loss": loss, "optimizer": "sgd", "dtype": "float64"} | fields)
    memories = Memories(dense(widths, activation), RULES[GOLDEN_RULES[rule]], recipe)
    layers = range(1, len(widths))
    memories.set_weights([GOLDEN[f"{case}_W{i}"] for i in layers], [GOLDEN[f"{case}_b{i}"] for i in layers])
    memories.set_feedback(golden_feedback(case, rule))
    return memories


def make(widths, rule="bp", activation="tanh", **fields):
    """Return the memories of a network, or of a dense one of the given widths."""
    recipe = Recipe(**{"batch_size": 5, "optimizer": "sgd", "lr": 0.1, "dtype": "float64"} | fields)
    network = widths if isinstance(widths, Network) else dense(widths, activation)
    return Memories(network, RULES[rule] if isinstance(rule, str) else rule, recipe)


def minibatch(widths, samples=5, seed=0):
    widths = widths.widths if isinstance(widths, Network) else widths
    generator = np.random.default_rng(seed)
    return generator.standard_normal((samples, widths[0])), generator.integers(0, widths[-1], samples)


def rule_by(name, widths):
    """Return a rule of the table, with no more connections than there are outputs."""
    rule = RULES[name]
    if rule.sparse:
        count = min(rule.feedback.connections, widths[-1])
        return Rule(name, error=rule.error, feedback=Feedback(connections=count))
    return rule


def pooled_network(pool="max_pool", activation="tanh", **fields):
    """Return a network of two convolutions with overlapping pools that are padded at the end, and two dense layers."""
    same = {"kernel": 3, "stride": 2, "padding": "same"}
    layers = (
        Conv(channels=4, kernel=(3, 2), activation=activation, **fields),
        Pool(kind=pool, **same),
        Conv(channels=5, kernel=3, activation=activation),
        Pool(kind=pool, **same),
        Flatten(),
        Dense(units=7, activation=activation),
        Dense(units=4),
    )
    return Network(inputs=(2, 10, 8), layers=layers)


@st.composite
def conv_layers(draw, activation):
    """Draw a convolution and, or not, a pool: any kernel, stride and padding."""
    side = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, stride = draw(side), draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    border = [draw(st.integers(0, length - 1)) for length in kernel for _ in range(2)]
    padding = draw(st.sampled_from(["same", "valid", tuple(border)]))
    conv = Conv(channels=draw(st.integers(1, 4)), kernel=kernel, stride=stride, padding=padding, activation=activation)
    if not draw(st.booleans()):
        return [conv]
    kind, pad = draw(st.sampled_from(["max_pool", "average_pool"])), draw(st.sampled_from(["same", "valid"]))
    return [conv, Pool(kind=kind, kernel=draw(side), stride=draw(side), padding=pad)]


@st.composite
def conv_networks(draw, activations=("tanh", "sigmoid", "linear")):
    """Draw a small convolutional network whose windows fit."""
    inputs = draw(st.tuples(st.integers(1, 3), st.integers(3, 9), st.integers(3, 9)))
    name = draw(st.sampled_from(activations))
    layers = [layer for _ in range(draw(st.integers(1, 2))) for layer in draw(conv_layers(name))]
    hidden = [Dense(units=draw(st.integers(1, 5)), activation=name)] if draw(st.booleans()) else []
    ends = [Flatten(), *hidden, Dense(units=draw(st.integers(2, 4)))]
    try:
        return Network(inputs=inputs, layers=(*layers, *ends))
    except (DescriptionError, ValueError):
        return Network(inputs=inputs, layers=(*layers[:1], *ends))
