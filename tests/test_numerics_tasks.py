"""A step run task by task, on any cut of layers and samples, leaves the memories that a launch per layer leaves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim.errors import SimulationError
from neurosim.networks import Dense, Network, dense
from neurosim.numerics import Memories
from neurosim.recipes import Recipe
from neurosim.rules import RULES, Feedback, Rule

MIRRORED = [Rule(f"{name}-mirrored", error="next", matrix="sign", transport="mirrored", feedback=RULES[name].feedback)
            for name in ("usf", "frsf", "brsf")]  # fmt: skip
GENERATED = [Rule("fa-generated", error="next", feedback=Feedback(storage="generated"))]
SPARSE = [Rule("sdfa", error="output", feedback=Feedback(connections=2)),
          Rule("sign-sdfa", error="output-sign", feedback=Feedback(connections=2))]  # fmt: skip
ALL_RULES = [rule for rule in RULES.values() if rule.name != "sdfa"] + MIRRORED + GENERATED + SPARSE


def cut(draw, size, pieces):
    """Cut range(size) into at most ``pieces`` slices at drawn places."""
    places = sorted(draw(st.sets(st.integers(0, size), max_size=pieces - 1)) | {0, size})
    return list(zip(places, places[1:], strict=False))


@st.composite
def cases(draw):
    widths = (
        draw(st.integers(1, 9)),
        *draw(st.lists(st.integers(1, 9), min_size=0, max_size=3)),
        draw(st.integers(2, 6)),
    )
    samples = draw(st.integers(1, 7))
    slices = [cut(draw, width, 4) for width in widths]
    return widths, samples, slices, cut(draw, samples, 3), draw(st.randoms(use_true_random=False))


def run_tasks(memories, slices, microbatches, random):
    """Run one step in an order that the dependencies allow: microbatch by microbatch, cores in random order."""
    rule, depth = memories.model.rule, memories.model.depth

    def run(kind, layer, of_layer, q):
        parts = list(slices[of_layer])
        random.shuffle(parts)
        for lo, hi in parts:
            memories.run_task(kind, layer, lo, hi, *microbatches[q], q == 0, q == len(microbatches) - 1)

    for q in range(len(microbatches)):
        for layer in range(1, depth + 1):
            run("forward", layer, layer, q)
        updates = []
        for layer in range(depth, 0, -1):
            memory = memories.layers[layer - 1]
            if memory.computes_error and rule.partial_sums and layer < depth:
                run("product", layer, layer + 1, q)
                run("combine", layer, layer, q)
            elif memory.computes_error:
                run("error", layer, layer, q)
            # A mirror is what lets W_(l+1) be written before layer l has computed its error.
            if memory.trained and rule.mirrored:
                run("update", layer, layer, q)
            elif memory.trained:
                updates.append(layer)
        random.shuffle(updates)
        for layer in updates:
            run("update", layer, layer, q)


def assert_same_memories(a, b):
    for mine, theirs in zip(a.layers, b.layers, strict=True):
        for name in ("weights", "biases", "gradient", "bias_gradient"):
            if getattr(mine, name) is not None:
                np.testing.assert_allclose(getattr(mine, name), getattr(theirs, name), rtol=1e-12, atol=1e-14)
        for one, other in zip(mine.weight_states, theirs.weight_states, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


def compare(network, rule, case, steps=2, **fields):
    widths, samples, slices, microbatches, random = case
    recipe = Recipe(**{"batch_size": samples, "lr": 0.1, "optimizer": "momentum", "dtype": "float64"} | fields)
    whole, parts = Memories(network, rule, recipe), Memories(network, rule, recipe)
    generator = np.random.default_rng(0)
    for _ in range(steps):
        x, y = generator.standard_normal((samples, widths[0])), generator.integers(0, widths[-1], samples)
        whole.run_step(x, y)
        parts.begin_step(x, y)
        run_tasks(parts, slices, microbatches, random)
    assert_same_memories(parts, whole)
    return parts


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.name)
@given(cases())
@settings(max_examples=15)
def test_task_by_task_and_layer_wide_leave_the_same_memories(rule, case):
    compare(dense(case[0]), rule, case)


@pytest.mark.parametrize("loss", ["softmax", "sigmoid", "squared"])
@pytest.mark.parametrize("activation", ["sigmoid", "relu", "linear"])
@given(cases())
@settings(max_examples=10)
def test_so_they_do_with_every_loss_and_activation(loss, activation, case):
    compare(dense(case[0], activation), RULES["bp"], case, loss=loss, reduction="sum", lr=0.01)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "rmsprop", "adam"])
@given(cases())
@settings(max_examples=10)
def test_so_they_do_with_every_optimizer(optimizer, case):
    compare(dense(case[0]), RULES["dfa"], case, optimizer=optimizer, weight_decay=0.1, clip_value=0.2, lr=0.01)


@pytest.mark.parametrize("rule", ["bp", "dfa", "ssdfa"])
@given(cases(), st.lists(st.booleans(), min_size=4, max_size=4))
@settings(max_examples=15)
def test_so_they_do_with_dropout_and_frozen_layers(rule, case, trainable):
    widths = case[0]
    hidden = [
        Dense(units=units, dropout=0.3, trainable=flag) for units, flag in zip(widths[1:-1], trainable, strict=False)
    ]
    compare(Network(inputs=widths[0], layers=(*hidden, Dense(units=widths[-1]))), RULES[rule], case)


def test_a_core_owns_rows_of_its_layers_arrays():
    memories = Memories(dense((6, 5, 4)), RULES["dfa"], Recipe(batch_size=3, optimizer="sgd", dtype="float64"))
    before = memories.weights[0].copy()
    memories.begin_step(np.ones((3, 6)), np.array([0, 1, 2]))
    for layer in (1, 2):
        memories.run_task("forward", layer, 0, memories.model.widths[layer], 0, 3)
    memories.run_task("error", 2, 0, 4, 0, 3)
    memories.run_task("error", 1, 1, 3, 0, 3)
    memories.run_task("update", 1, 1, 3, 0, 3)
    assert [bool(np.any(row)) for row in memories.weights[0] - before] == [False, True, True, False, False]


@pytest.mark.parametrize(("kind", "layer"), [("error", 2), ("combine", 1)])
def test_a_task_before_its_inputs_is_refused(kind, layer):
    memories = Memories(dense((6, 5, 4)), RULES["bp"], Recipe(batch_size=3))
    memories.begin_step(np.ones((3, 6), np.float32), np.array([0, 1, 2]))
    with pytest.raises(SimulationError, match="no product was made|have not been forward"):
        memories.run_task(kind, layer, 0, 2, 0, 3)


def test_clipping_by_norm_cannot_be_run_task_by_task():
    memories = Memories(dense((6, 4)), RULES["bp"], Recipe(batch_size=3, clip_norm=1.0))
    memories.begin_step(np.ones((3, 6), np.float32), np.array([0, 1, 2]))
    with pytest.raises(SimulationError, match="clip_norm"):
        memories.run_task("update", 1, 0, 4, 0, 3)


# Dropout


def dropped_network(dropout=0.4, rule="bp", **fields):
    layers = (Dense(units=500, dropout=dropout), Dense(units=4))
    recipe = Recipe(**{"batch_size": 8, "optimizer": "sgd", "dtype": "float64"} | fields)
    return Memories(Network(inputs=6, layers=layers), RULES[rule], recipe)


def step_inputs(seed=0):
    generator = np.random.default_rng(seed)
    return generator.standard_normal((8, 6)), generator.integers(0, 4, 8)


def test_dropout_drops_its_share_and_scales_what_stays():
    dropped, full = dropped_network(), dropped_network(0.0)
    for memories in (dropped, full):
        memories.run_step(*step_inputs())
    stays = dropped.batch.h[1] != 0
    assert stays.mean() == pytest.approx(0.6, abs=0.03)
    np.testing.assert_allclose(dropped.batch.h[1][stays], full.batch.h[1][stays] / 0.6, rtol=1e-12)


@pytest.mark.parametrize("rule", ["bp", "dfa"])
def test_error_uses_the_mask_of_forward_and_the_slope_before_dropout(rule):
    memories = dropped_network(rule=rule)
    weights = memories.weights[1].copy()
    memories.run_step(*step_inputs())
    h, delta = memories.batch.h[1], memories.batch.delta
    source = delta[2] @ (weights if rule == "bp" else memories.layers[0].feedback.T)
    wanted = source * (1 - (0.6 * h) ** 2) * (h != 0) / 0.6
    np.testing.assert_allclose(delta[1], wanted, rtol=1e-10, atol=1e-14)


def test_the_mask_changes_from_step_to_step_and_evaluation_has_none():
    memories = dropped_network()
    masks = []
    for _ in range(2):
        memories.run_step(*step_inputs(), lr=1e-12)
        masks.append(memories.batch.h[1] != 0)
    assert not np.array_equal(*masks)
    assert memories.evaluate(*step_inputs()).loss == pytest.approx(
        dropped_network(0.0).evaluate(*step_inputs()).loss, rel=1e-9
    )
