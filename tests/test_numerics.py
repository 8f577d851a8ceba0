import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_cases import CASES, GOLDEN, GOLDEN_RATES, GOLDEN_RULES, golden_memories, make, minibatch, rule_by

from neurosim.errors import DatasetError, DescriptionError
from neurosim.feedback import FeedbackMatrix
from neurosim.networks import Dense, Network
from neurosim.numerics import Memories
from neurosim.recipes import Recipe
from neurosim.rules import RULES, Feedback, Rule


def run_golden_step(memories, case):
    memories.run_step(GOLDEN[f"{case}_x"].astype(memories.model.dtype), GOLDEN[f"{case}_labels"])


def assert_golden_step(memories, case, rule, **tolerance):
    for layer in memories.layers:
        names = ("delta", memories.batch.delta[layer.number]), ("dW", layer.gradient), ("db", layer.bias_gradient)
        for name, values in names:
            np.testing.assert_allclose(values, GOLDEN[f"{case}_{rule}_{name}{layer.number}"], **tolerance)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("rule", GOLDEN_RULES)
def test_every_rule_gives_the_golden_deltas_and_gradients(case, rule):
    memories = golden_memories(case, rule)
    run_golden_step(memories, case)
    assert_golden_step(memories, case, rule, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(memories.batch_score().loss, GOLDEN[f"{case}_BP_loss"], rtol=1e-12)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("rule", GOLDEN_RULES)
def test_float32_stays_near_the_golden_values(case, rule):
    memories = golden_memories(case, rule, dtype="float32")
    run_golden_step(memories, case)
    assert_golden_step(memories, case, rule, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_a_reduction_by_sum_is_the_mean_times_the_samples(case):
    memories = golden_memories(case, "DFA", reduction="sum")
    run_golden_step(memories, case)
    for layer in memories.layers:
        wanted = 4 * GOLDEN[f"{case}_DFA_dW{layer.number}"]
        np.testing.assert_allclose(layer.gradient, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("optimizer", GOLDEN_RATES)
def test_every_optimizer_follows_the_golden_trajectory(case, optimizer):
    memories = golden_memories(case, optimizer=optimizer, lr=GOLDEN_RATES[optimizer])
    for loss in GOLDEN[f"{case}_OPT_{optimizer}_losses"]:
        run_golden_step(memories, case)
        np.testing.assert_allclose(memories.batch_score().loss, loss, rtol=1e-10)
    for layer in memories.layers:
        for name, values in (("W", layer.weights), ("b", layer.biases)):
            wanted = GOLDEN[f"{case}_OPT_{optimizer}_{name}{layer.number}"]
            np.testing.assert_allclose(values, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_predictions_are_the_golden_outputs(case):
    outputs = golden_memories(case).predict(GOLDEN[f"{case}_x"])
    np.testing.assert_allclose(outputs, GOLDEN[f"{case}_h{len(CASES[case][0]) - 1}"], rtol=1e-10, atol=1e-12)


# Laws


widths = st.lists(st.integers(1, 6), min_size=3, max_size=5)
activations = st.sampled_from(["tanh", "sigmoid", "linear"])
losses = st.sampled_from(["softmax", "sigmoid", "squared"])
seeds = st.integers(0, 2**64 - 1)


def assert_same_gradients(a, b, rtol=1e-10):
    for mine, theirs in zip(a.layers, b.layers, strict=True):
        np.testing.assert_allclose(mine.gradient, theirs.gradient, rtol=rtol, atol=1e-13)
        np.testing.assert_allclose(mine.bias_gradient, theirs.bias_gradient, rtol=rtol, atol=1e-13)


@given(widths, activations, losses, seeds)
@settings(max_examples=25)
def test_bp_gives_the_finite_differences_of_the_loss(widths, activation, loss, seed):
    memories = make(widths, activation=activation, loss=loss, seed=seed)
    x, y = minibatch(widths)
    weights = [values.copy() for values in memories.weights]
    memories.run_step(x, y)
    gradients = [layer.gradient.copy() for layer in memories.layers]
    memories.set_weights(weights, [layer.biases + 0.1 * layer.bias_gradient for layer in memories.layers])
    for values, gradient in zip(memories.weights, gradients, strict=True):
        place = (seed % values.shape[0], seed % values.shape[1])
        start, losses = values[place], []
        for shift in (1e-5, -1e-5):
            values[place] = start + shift
            losses.append(memories.evaluate(x, y).loss)
        values[place] = start
        np.testing.assert_allclose((losses[0] - losses[1]) / 2e-5, gradient[place], rtol=1e-6, atol=1e-8)


@given(widths, activations, losses, seeds)
def test_fa_with_the_weights_as_feedback_is_bp(widths, activation, loss, seed):
    bp = make(widths, activation=activation, loss=loss, seed=seed)
    fa = make(widths, "fa", activation=activation, loss=loss, seed=seed)
    fa.set_feedback([FeedbackMatrix(dense=weights) for weights in fa.weights[1:]])
    for memories in (bp, fa):
        memories.run_step(*minibatch(widths))
    assert_same_gradients(fa, bp)


@given(st.lists(st.integers(1, 6), min_size=3, max_size=3), activations, losses, seeds)
def test_with_one_hidden_layer_fa_and_dfa_of_one_seed_are_the_same_run(widths, activation, loss, seed):
    fa = make(widths, "fa", activation=activation, loss=loss, seed=seed)
    dfa = make(widths, "dfa", activation=activation, loss=loss, seed=seed)
    np.testing.assert_array_equal(fa.layers[0].feedback, dfa.layers[0].feedback.T)
    for memories in (fa, dfa):
        memories.run_step(*minibatch(widths))
    assert_same_gradients(fa, dfa)


@given(widths, losses, seeds)
def test_in_a_linear_network_dfa_with_the_product_of_transposes_is_bp(widths, loss, seed):
    bp = make(widths, activation="linear", loss=loss, seed=seed)
    dfa = make(widths, "dfa", activation="linear", loss=loss, seed=seed)
    product, matrices = np.eye(widths[-1]), []
    for weights in reversed(dfa.weights[1:]):
        product = product @ weights
        matrices.insert(0, FeedbackMatrix(dense=product.T))
    dfa.set_feedback(matrices)
    for memories in (bp, dfa):
        memories.run_step(*minibatch(widths))
    assert_same_gradients(dfa, bp)


@given(widths, activations, losses, seeds, st.integers(1, 6))
def test_sparse_dfa_is_dfa_with_its_mask(widths, activation, loss, seed, connections):
    rule = Rule("sparse", error="output", feedback=Feedback(connections=min(connections, widths[-1])))
    sparse = make(widths, rule, activation, loss=loss, seed=seed)
    masked = make(widths, "dfa", activation, loss=loss, seed=seed)
    matrices = []
    for layer in sparse.layers[:-1]:
        rows = np.zeros_like(masked.layers[layer.number - 1].feedback)
        np.put_along_axis(rows, layer.feedback_index, layer.feedback_value, axis=1)
        matrices.append(FeedbackMatrix(dense=rows))
    masked.set_feedback(matrices)
    for memories in (sparse, masked):
        memories.run_step(*minibatch(widths))
    assert_same_gradients(sparse, masked)


@given(widths, activations, losses, seeds)
@settings(max_examples=10)
def test_the_output_layers_gradient_is_the_same_in_every_rule(widths, activation, loss, seed):
    outputs = []
    for name in RULES:
        memories = make(widths, rule_by(name, widths), activation, loss=loss, seed=seed)
        memories.run_step(*minibatch(widths))
        outputs.append(memories.layers[-1].gradient)
    for gradient in outputs[1:]:
        np.testing.assert_array_equal(gradient, outputs[0])


@pytest.mark.parametrize("owner", ["bp", "usf", "frsf", "brsf"])
def test_a_mirrored_rule_learns_what_it_learns_at_the_owner(owner):
    rule = RULES[owner]
    mirrored = Rule("mirrored", error="next", matrix=rule.matrix, transport="mirrored", feedback=rule.feedback)
    a, b = make((6, 5, 4, 3), owner), make((6, 5, 4, 3), mirrored)
    for step in range(3):
        for memories in (a, b):
            memories.run_step(*minibatch((6, 5, 4, 3), seed=step))
    for mine, theirs in zip(a.weights, b.weights, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_seed_gives_the_same_run_bit_for_bit(rule, dtype):
    runs = [make((7, 6, 5, 4), rule, dtype=dtype, optimizer="adam", seed=3) for _ in range(2)]
    for memories in runs:
        for step in range(3):
            memories.run_step(*minibatch((7, 6, 5, 4), seed=step))
    for mine, theirs in zip(runs[0].weights, runs[1].weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_another_seed_gives_other_weights_and_feedback():
    a, b = (make((7, 6, 4), "dfa", seed=seed) for seed in (1, 2))
    assert not np.any(a.weights[0] == b.weights[0])
    assert not np.any(a.layers[0].feedback == b.layers[0].feedback)


@pytest.mark.parametrize("rule", ["fa", "dfa", "sdfa", "ssdfa", "sign-dfa", "drtp"])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_zero_weights_are_left_within_two_steps(rule, activation):
    memories = make((7, 6, 5, 4), rule, activation, init="zero")
    for step in range(2):
        memories.run_step(*minibatch((7, 6, 5, 4), seed=step))
    assert all(np.abs(weights).max() > 0 for weights in memories.weights)


@pytest.mark.parametrize("rule", ["bp", "usf", "last-layer"])
def test_zero_weights_are_refused_where_nothing_would_be_learned(rule):
    with pytest.raises(DescriptionError, match="zero"):
        make((7, 6, 4), rule, init="zero")


def test_a_rule_of_the_users_own_is_run():
    mine = Rule(
        "mine", error="output-sign", feedback=Feedback(connections=2, init="kaiming", sparse_scale="equal_variance")
    )
    memories = make((7, 6, 4), mine)
    memories.run_step(*minibatch((7, 6, 4)))
    layer, delta = memories.layers[0], memories.batch.delta
    rows = np.zeros((6, 4))
    np.put_along_axis(rows, layer.feedback_index, layer.feedback_value, axis=1)
    wanted = np.sign(delta[2]) / 5 @ rows.T * (1 - memories.batch.h[1] ** 2)
    np.testing.assert_allclose(delta[1], wanted, rtol=1e-12)


def test_last_layer_leaves_the_hidden_layers_alone():
    memories = make((7, 6, 5, 4), "last-layer")
    before = [weights.copy() for weights in memories.weights]
    memories.run_step(*minibatch((7, 6, 5, 4)))
    assert [np.array_equal(a, b) for a, b in zip(before, memories.weights, strict=True)] == [True, True, False]


@pytest.mark.parametrize(("rule", "computed"), [("bp", [False, True, True, True]), ("dfa", [False, True, False, True])])
def test_a_frozen_layer_is_not_updated_and_computes_its_error_only_as_a_source(rule, computed):
    layers = tuple(Dense(units=5, trainable=trainable) for trainable in (False, True, False, True))
    recipe = Recipe(batch_size=5, optimizer="sgd", dtype="float64")
    memories = Memories(Network(inputs=6, layers=layers), RULES[rule], recipe)
    before = [weights.copy() for weights in memories.weights]
    memories.run_step(*minibatch((6, 5, 5, 5, 5)))
    same = [np.array_equal(a, b) for a, b in zip(before, memories.weights, strict=True)]
    assert same == [True, False, True, False]
    assert [layer.computes_error for layer in memories.layers] == computed


def test_magnitudes_drawn_every_step_differ_from_step_to_step_and_those_drawn_once_do_not():
    for rule, redrawn in (("brsf", True), ("frsf", False)):
        memories = make((7, 6, 4), rule)
        first = memories.layers[0].feedback.copy()
        for step in range(2):
            memories.run_step(*minibatch((7, 6, 4), seed=step))
        assert np.array_equal(first, memories.layers[0].feedback) is not redrawn


def test_weight_decay_is_coupled_and_leaves_biases_alone():
    memories = make((7, 6, 4), weight_decay=0.5)
    weights, biases = memories.weights[0].copy(), memories.biases[0].copy()
    memories.run_step(*minibatch((7, 6, 4)))
    layer = memories.layers[0]
    np.testing.assert_allclose(layer.weights, weights - 0.1 * (layer.gradient + 0.5 * weights), rtol=1e-12)
    np.testing.assert_allclose(layer.biases, biases - 0.1 * layer.bias_gradient, rtol=1e-12)


def test_clipping_by_value_bounds_every_gradient():
    memories = make((7, 6, 4), clip_value=0.01)
    weights, biases = memories.weights[0].copy(), memories.biases[0].copy()
    memories.run_step(*minibatch((7, 6, 4)))
    layer = memories.layers[0]
    np.testing.assert_allclose(layer.weights, weights - 0.1 * np.clip(layer.gradient, -0.01, 0.01), rtol=1e-12)
    np.testing.assert_allclose(layer.biases, biases - 0.1 * np.clip(layer.bias_gradient, -0.01, 0.01), rtol=1e-12)


def test_clipping_by_norm_scales_all_gradients_alike():
    free, clipped = make((7, 6, 4)), make((7, 6, 4), clip_norm=0.01)
    for memories in (free, clipped):
        memories.run_step(*minibatch((7, 6, 4)))
    norm = np.sqrt(sum(np.sum(g**2) for layer in free.layers for g in (layer.gradient, layer.bias_gradient)))
    assert norm > 0.01
    for a, b in zip(free.layers, clipped.layers, strict=True):
        np.testing.assert_allclose(b.gradient, a.gradient * 0.01 / norm, rtol=1e-12)


def test_the_learning_rate_of_a_step_may_be_given_from_outside():
    memories = make((7, 6, 4))
    weights = memories.weights[0].copy()
    memories.run_step(*minibatch((7, 6, 4)), lr=0.7)
    np.testing.assert_allclose(memories.weights[0], weights - 0.7 * memories.layers[0].gradient, rtol=1e-12)


def test_a_short_minibatch_is_averaged_over_its_own_samples():
    full, short = make((7, 6, 4), batch_size=3), make((7, 6, 4), batch_size=8)
    for memories in (full, short):
        memories.run_step(*minibatch((7, 6, 4), samples=3))
    assert_same_gradients(full, short)


@pytest.mark.parametrize("loss", ["softmax", "sigmoid", "squared"])
def test_one_hot_targets_do_what_labels_do(loss):
    labels, dense_targets = make((7, 6, 4), loss=loss), make((7, 6, 4), loss=loss, targets="dense")
    x, y = minibatch((7, 6, 4))
    labels.run_step(x, y)
    dense_targets.run_step(x, np.eye(4)[y])
    assert_same_gradients(labels, dense_targets)
    assert labels.batch_score() == dense_targets.batch_score()


def test_evaluation_is_the_same_in_any_batch_size_and_leaves_the_step_alone():
    memories = make((7, 6, 4))
    memories.run_step(*minibatch((7, 6, 4)))
    before = memories.batch_score()
    x, y = minibatch((7, 6, 4), samples=50)
    whole, parts = memories.evaluate(x, y), memories.evaluate(x, y, batch_size=7)
    assert whole.accuracy == parts.accuracy == np.mean(memories.predict(x).argmax(1) == y)
    assert whole.loss == pytest.approx(parts.loss, rel=1e-12)
    assert memories.batch_score() == before


def test_a_single_output_is_judged_by_the_side_of_one_half():
    memories = make((7, 6, 1), loss="sigmoid", targets="dense")
    x, _ = minibatch((7, 6, 1), samples=20)
    y = np.arange(20).reshape(20, 1) % 2
    assert memories.evaluate(x, y).accuracy == np.mean((memories.predict(x) > 0.5) == (y > 0.5))


@pytest.mark.parametrize(
    ("x", "y", "sentence"),
    [
        (np.zeros((5, 8)), np.zeros(5, int), "first width .*--hidden"),
        (np.zeros((5, 7)), np.array([0, 1, 2, 3, 4]), "labels: 4 is out of range; .* takes labels 0 to 3"),
        (np.zeros((5, 7)), np.array([0, -1, 2, 3, 3]), "labels: -1 is out of range"),
        (np.zeros((5, 7)), np.zeros(5), "whole number"),
        (np.zeros((5, 7)), np.zeros(4, int), "4 for 5 samples"),
        (np.zeros((6, 7)), np.zeros(6, int), "6 samples in a batch; allowed are 1 to 5"),
    ],
)
def test_data_that_do_not_match_the_network_are_refused(x, y, sentence):
    with pytest.raises(DatasetError, match=sentence):
        make((7, 6, 4)).run_step(x, y)


@pytest.mark.parametrize(
    ("y", "sentence"),
    [(np.zeros((5, 3)), r"shape \[5, 3\] is not \[5, 4\]"), (np.zeros((5, 4)), "rows must sum to 1")],
)
def test_dense_targets_that_do_not_match_are_refused(y, sentence):
    with pytest.raises(DatasetError, match=sentence):
        make((7, 6, 4), targets="dense").run_step(np.zeros((5, 7)), y)


def test_no_samples_to_evaluate_are_refused():
    with pytest.raises(DatasetError, match="no samples"):
        make((7, 6, 4)).evaluate(np.zeros((0, 7)), np.zeros(0, int))
