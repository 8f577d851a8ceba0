"""Convolutional networks: the golden case, a reference of plain loops, the laws of the rules, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_cases import GOLDEN, conv_networks, make, minibatch, pooled_network, rule_by

from neurosim.errors import DatasetError, DescriptionError
from neurosim.feedback import FeedbackMatrix
from neurosim.networks import Conv, Dense, Flatten, Network, Pool
from neurosim.networks.activations import ACTIVATIONS
from neurosim.rules import RULES, Feedback, Rule

GOLDEN_LAYERS = (
    Conv(channels=3, kernel=3, padding=1),
    Pool(kind="max_pool", kernel=2),
    Conv(channels=4, kernel=3, padding=1),
    Flatten(),
    Dense(units=5),
)
seeds = st.integers(0, 2**64 - 1)
ALL_RULES = [rule_by(name, (4,)) for name in RULES]


def golden_step(**fields):
    memories = make(Network(inputs=(2, 8, 8), layers=GOLDEN_LAYERS), **{"batch_size": 4} | fields)
    memories.set_weights([GOLDEN[f"C_W{i}"] for i in (1, 2, 3)], [GOLDEN[f"C_b{i}"] for i in (1, 2, 3)])
    memories.run_step(GOLDEN["C_x"].reshape(4, -1).astype(memories.model.dtype), GOLDEN["C_labels"])
    return memories


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [("float64", {"rtol": 1e-10, "atol": 1e-12}), ("float32", {"rtol": 2e-5, "atol": 1e-6})],
)
def test_back_propagation_gives_the_golden_values(dtype, tolerance):
    memories = golden_step(dtype=dtype)
    batch = memories.batch
    found = {"h1": batch.maps[1], "p1": batch.h[1], "h2": batch.h[2], "z3": batch.h[3]}
    for layer in memories.layers:
        found[f"BP_delta{layer.number}"] = batch.delta[layer.number]
        found[f"BP_dW{layer.number}"] = layer.gradient
        found[f"BP_db{layer.number}"] = layer.bias_gradient
    for name, values in found.items():
        np.testing.assert_allclose(values.ravel(), GOLDEN[f"C_{name}"].ravel(), err_msg=name, **tolerance)
    np.testing.assert_allclose(memories.batch_score().loss, GOLDEN["C_BP_loss"], rtol=tolerance["rtol"])


def test_the_largest_units_are_the_golden_ones():
    places = golden_step().batch.places[1].reshape(4, 3, 4, 4).astype(int)
    rows, columns = (2 * axis for axis in np.indices((4, 4)))
    np.testing.assert_array_equal((rows + places // 2) * 8 + columns + places % 2, GOLDEN["C_p1_argmax"])


# Against plain loops


def windows(axis):
    """Return, for every output, its (tap, input) pairs that lie inside the map."""
    return [[(v, i) for v, i in enumerate(row) if 0 <= i < axis.size] for row in map(axis.taps_of, range(axis.outputs))]


def slow_map(shape, weights, biases, inputs):
    z = np.tile(biases[:, None, None], (1, shape.map.rows, shape.map.columns))
    for y, down in enumerate(windows(shape.rows)):
        for x, across in enumerate(windows(shape.columns)):
            for u, row in down:
                for v, column in across:
                    z[:, y, x] += weights[:, :, u, v] @ inputs[:, row, column]
    return z


def slow_pool(pool, h):
    pooled = np.zeros((len(h), pool.rows.outputs, pool.columns.outputs))
    for y, down in enumerate(windows(pool.rows)):
        for x, across in enumerate(windows(pool.columns)):
            units = [h[:, row, column] for _, row in down for _, column in across]
            pooled[:, y, x] = np.max(units, axis=0) if pool.kind == "max_pool" else np.mean(units, axis=0)
    return pooled


@given(conv_networks(("tanh", "relu")), seeds)
@settings(max_examples=40)
def test_what_layers_hand_on_is_what_plain_loops_give(network, seed):
    memories = make(network, seed=seed)
    x, y = minibatch(network, samples=2)
    batch = memories.probe(x, y)
    for layer in memories.layers[:-1]:
        if not layer.shape.convolves:
            continue
        for sample in range(2):
            inputs = batch.h[layer.number - 1][sample].reshape(-1, layer.shape.inputs.rows, layer.shape.inputs.columns)
            h = ACTIVATIONS[layer.activation.name].function(slow_map(layer.shape, layer.filters, layer.biases, inputs))
            h = h if layer.shape.pool is None else slow_pool(layer.shape.pool, h)
            np.testing.assert_allclose(batch.h[layer.number][sample], h.ravel(), rtol=1e-12, atol=1e-14)


@given(conv_networks(), st.sampled_from(["softmax", "sigmoid", "squared"]), seeds)
@settings(max_examples=60)
def test_bp_gives_the_finite_differences_of_the_loss(network, loss, seed):
    memories = make(network, loss=loss, seed=seed)
    x, y = minibatch(network)
    before = [[values.copy() for values in arrays] for arrays in (memories.weights, memories.biases)]
    memories.run_step(x, y)
    gradients = [values for layer in memories.layers for values in (layer.gradient.copy(), layer.bias_gradient.copy())]
    memories.set_weights(*before)
    places = [values for layer in memories.layers for values in (layer.weights, layer.biases)]
    for values, gradient in zip(places, gradients, strict=True):
        flat, place, losses = values.reshape(-1), seed % values.size, []
        start = flat[place]
        for shift in (1e-5, -1e-5):
            flat[place] = start + shift
            losses.append(memories.evaluate(x, y).loss)
        flat[place] = start
        np.testing.assert_allclose((losses[0] - losses[1]) / 2e-5, gradient.flat[place], rtol=1e-5, atol=1e-8)


# Laws


def assert_same_gradients(a, b, rtol=1e-10):
    for mine, theirs in zip(a.layers, b.layers, strict=True):
        np.testing.assert_allclose(mine.gradient, theirs.gradient, rtol=rtol, atol=1e-13)
        np.testing.assert_allclose(mine.bias_gradient, theirs.bias_gradient, rtol=rtol, atol=1e-13)


def step_of_each(network, *memories):
    for one in memories:
        one.run_step(*minibatch(network))


@given(conv_networks(), seeds)
@settings(max_examples=25)
def test_fa_with_the_filters_as_feedback_is_bp(network, seed):
    bp, fa = make(network, seed=seed), make(network, "fa", seed=seed)
    fa.set_feedback([FeedbackMatrix(dense=weights) for weights in fa.weights[1:]])
    step_of_each(network, bp, fa)
    assert_same_gradients(fa, bp)


@pytest.mark.parametrize("pool", ["max_pool", "average_pool"])
def test_dfa_with_the_transposed_dense_weights_is_bp_at_the_last_convolution(pool):
    network = pooled_network(pool, "linear")
    bp, dfa = make(network), make(network, "dfa")
    w3, w4 = dfa.weights[2:]
    keep = dfa.layers[0].feedback
    dfa.set_feedback([FeedbackMatrix(dense=m) for m in (keep, (w4 @ w3).T, w4.T)])
    step_of_each(network, bp, dfa)
    np.testing.assert_allclose(dfa.layers[1].gradient, bp.layers[1].gradient, rtol=1e-10, atol=1e-14)
    assert np.abs(dfa.layers[0].gradient - bp.layers[0].gradient).max() > 1e-6


@given(conv_networks(), seeds)
@settings(max_examples=25)
def test_sparse_dfa_is_dfa_with_its_mask(network, seed):
    sparse, masked = make(network, "ssdfa", seed=seed), make(network, "dfa", seed=seed)
    matrices = []
    for layer, other in zip(sparse.layers[:-1], masked.layers[:-1], strict=True):
        rows = np.zeros_like(other.feedback)
        np.put_along_axis(rows, layer.feedback_index, layer.feedback_value, axis=1)
        matrices.append(FeedbackMatrix(dense=rows))
    masked.set_feedback(matrices)
    step_of_each(network, sparse, masked)
    assert_same_gradients(sparse, masked)


@pytest.mark.parametrize("owner", ["bp", "usf", "frsf", "brsf"])
def test_a_mirrored_rule_learns_what_it_learns_at_the_owner(owner):
    rule, network = RULES[owner], pooled_network()
    mirrored = Rule("mirrored", error="next", matrix=rule.matrix, transport="mirrored", feedback=rule.feedback)
    a, b = make(network, owner), make(network, mirrored)
    for _ in range(3):
        step_of_each(network, a, b)
    for mine, theirs in zip(a.weights, b.weights, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10)


@pytest.mark.parametrize("pool", ["max_pool", "average_pool"])
@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_seed_gives_the_same_run_bit_for_bit_and_learns(rule, dtype, pool):
    network = pooled_network(pool)
    runs = [make(network, rule, dtype=dtype, optimizer="adam", lr=0.01, seed=3) for _ in range(2)]
    before = [weights.copy() for weights in runs[0].weights]
    for _ in range(3):
        step_of_each(network, *runs)
    for number, (mine, theirs) in enumerate(zip(runs[0].weights, runs[1].weights, strict=True)):
        np.testing.assert_array_equal(mine, theirs)
        assert np.any(mine != before[number]) == (rule.error != "none" or number == 3)


def test_float32_stays_near_float64():
    network = pooled_network()
    for rule in ALL_RULES:
        one, other = make(network, rule, dtype="float32"), make(network, rule)
        step_of_each(network, one, other)
        for mine, theirs in zip(one.layers, other.layers, strict=True):
            if theirs.gradient is not None:
                np.testing.assert_allclose(mine.gradient, theirs.gradient, rtol=1e-3, atol=2e-6)


def test_a_rule_of_the_users_own_feeds_what_is_handed_on():
    rule = Rule("mine", error="output-sign", feedback=Feedback(connections=2, init="kaiming"))
    network = pooled_network("average_pool")
    memories = make(network, rule)
    step_of_each(network, memories)
    layer, source = memories.layers[0], np.sign(memories.batch.delta[4]) / 5
    errors = (source[:, layer.feedback_index] * layer.feedback_value).sum(axis=2)
    np.testing.assert_allclose(memories.batch.errors[1], errors, rtol=1e-12)
    bp_like = memories.batch.delta[1] / (1 - memories.batch.maps[1] ** 2)
    assert bp_like.sum() == pytest.approx(errors.sum())


@pytest.mark.parametrize(("rule", "computed"), [("bp", [False, True, True, True]), ("dfa", [False, True, True, True])])
def test_frozen_filters_keep_their_weights(rule, computed):
    network = pooled_network(trainable=False)
    memories = make(network, rule)
    before = [weights.copy() for weights in memories.weights]
    step_of_each(network, memories)
    same = [np.array_equal(a, b) for a, b in zip(before, memories.weights, strict=True)]
    assert same == [True, False, False, False]
    assert [layer.computes_error for layer in memories.layers] == computed
    assert memories.layers[0].gradient is None


def test_of_equal_units_the_first_row_by_row_takes_the_error():
    layers = (
        Conv(channels=1, kernel=1, activation="relu"),
        Pool(kind="max_pool", kernel=3, stride=2, padding="same"),
        Flatten(),
        Dense(units=2),
    )
    network = Network(inputs=(1, 5, 5), layers=layers)
    memories = make(network, "dfa", batch_size=2)
    memories.set_weights([np.ones((1, 1, 1, 1)), memories.weights[1]], [np.zeros(1), memories.biases[1]])
    x = np.full((2, 25), -1.0)  # relu makes all units 0 ...
    x[1] = 2.0  # ... and in the second sample 2
    memories.run_step(x, np.array([0, 1]))
    np.testing.assert_array_equal(memories.batch.places[1].reshape(2, 3, 3), [[[4, 3, 3], [1, 0, 0], [1, 0, 0]]] * 2)
    delta = memories.batch.delta[1].reshape(2, 5, 5)
    assert not delta[0].any()
    assert sorted(map(tuple, np.argwhere(delta[1]))) == [(r, c) for r in (0, 1, 3) for c in (0, 1, 3)]


def test_overlapping_windows_add_their_errors():
    layers = (
        Conv(channels=1, kernel=1, activation="linear"),
        Pool(kind="max_pool", kernel=3, stride=1),
        Flatten(),
        Dense(units=2),
    )
    network = Network(inputs=(1, 4, 4), layers=layers)
    memories = make(network, "dfa", batch_size=1)
    memories.set_weights([np.ones((1, 1, 1, 1)), memories.weights[1]], [np.zeros(1), memories.biases[1]])
    x = np.zeros((1, 4, 4))
    x[0, 1, 2] = 1.0
    memories.run_step(x.reshape(1, 16), np.array([0]))
    delta = memories.batch.delta[1].reshape(4, 4)
    assert delta[1, 2] == pytest.approx(memories.batch.errors[1].sum())
    assert np.count_nonzero(delta) == 1


def test_clipping_by_norm_scales_filters_too():
    network = pooled_network()
    free, clipped = make(network), make(network, clip_norm=0.01)
    step_of_each(network, free, clipped)
    norm = np.sqrt(sum(np.sum(g**2) for layer in free.layers for g in (layer.gradient, layer.bias_gradient)))
    for a, b in zip(free.layers, clipped.layers, strict=True):
        np.testing.assert_allclose(b.gradient, a.gradient * 0.01 / norm, rtol=1e-10)


def test_evaluation_and_prediction_are_the_same_in_any_batch_size(monkeypatch):
    network = pooled_network()
    memories = make(network)
    x, y = minibatch(network, samples=23)
    whole, outputs = memories.evaluate(x, y), memories.predict(x)
    assert whole.loss == pytest.approx(memories.evaluate(x, y, batch_size=4).loss, rel=1e-12)
    monkeypatch.setattr("neurosim.numerics.memories.MAP_VALUES", 2500)
    assert whole.loss == pytest.approx(memories.evaluate(x, y).loss, rel=1e-12)
    np.testing.assert_allclose(memories.predict(x), outputs, rtol=1e-12)


# Filters from elsewhere


def test_filters_are_kept_in_four_dimensions(tmp_path):
    saved, loaded = make(pooled_network(), seed=1), make(pooled_network(), seed=2)
    assert [list(weights.shape) for weights in saved.weights] == [[4, 2, 3, 2], [5, 4, 3, 3], [7, 30], [4, 7]]
    saved.save_weights(tmp_path / "weights.npz")
    assert np.load(tmp_path / "weights.npz")["W2"].shape == (5, 4, 3, 3)
    loaded.load_weights(tmp_path / "weights.npz")
    np.testing.assert_array_equal(loaded.weights[1], saved.weights[1])
    assert np.shares_memory(loaded.weights[1], loaded.layers[1].weights)


def test_filters_of_another_shape_name_the_layer_and_the_shapes():
    memories = make(pooled_network())
    weights = [memories.weights[0], memories.weights[1].reshape(5, 36), *memories.weights[2:]]
    with pytest.raises(DescriptionError, match=r"layer 2: W2 has shape \[5, 36\], but .* needs \[5, 4, 3, 3\]"):
        memories.set_weights(weights, memories.biases)


def test_images_of_another_size_are_refused_with_the_map_that_is_read():
    with pytest.raises(DatasetError, match=r"takes \[samples, 160\]; lay images of 2 x 10 x 8 flat"):
        make(pooled_network()).run_step(np.zeros((5, 2, 10, 8)), np.zeros(5, int))
