from math import isnan, sqrt

import numpy as np
import pytest
from learning_cases import CASES, GOLDEN, GOLDEN_RULES, golden_memories, make, minibatch, pooled_network, rule_by

from neurosim.feedback import FeedbackMatrix
from neurosim.numerics import measure_alignment
from neurosim.numerics.alignment import angle_deg
from neurosim.rules import RULES


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("rule", GOLDEN_RULES)
def test_gradient_angles_are_the_golden_ones(case, rule):
    measured = measure_alignment(golden_memories(case, rule), GOLDEN[f"{case}_x"], GOLDEN[f"{case}_labels"])
    wanted = GOLDEN.get(f"{case}_{rule}_angle_deg", np.zeros(len(CASES[case][0]) - 1))
    np.testing.assert_allclose(measured.gradient_angle_deg, wanted, rtol=1e-9, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("rule", GOLDEN_RULES)
def test_delta_angles_are_those_between_the_golden_deltas(case, rule):
    measured = measure_alignment(golden_memories(case, rule), GOLDEN[f"{case}_x"], GOLDEN[f"{case}_labels"])
    for layer, angle in enumerate(measured.delta_angle_deg, start=1):
        mine, theirs = GOLDEN[f"{case}_{rule}_delta{layer}"].ravel(), GOLDEN[f"{case}_BP_delta{layer}"].ravel()
        cosine = mine @ theirs / np.linalg.norm(mine) / np.linalg.norm(theirs)
        assert angle == pytest.approx(np.degrees(np.arccos(min(1.0, cosine))), abs=1e-5)


def test_angles_of_plain_vectors():
    right = np.array([1.0, 0.0])
    assert angle_deg(right, np.array([0.0, 3.0])) == pytest.approx(90)
    assert angle_deg(right, np.array([-2.0, 0.0])) == 180
    assert angle_deg(right, np.array([1.0, 1e-9])) == pytest.approx(np.degrees(1e-9), rel=1e-6)
    assert isnan(angle_deg(right, np.zeros(2)))


@pytest.mark.parametrize("rule", RULES)
def test_a_probe_larger_than_the_batch_leaves_the_run_alone(rule):
    widths = (7, 6, 5, 4)
    measured_run, plain = make(widths, rule_by(rule, widths)), make(widths, rule_by(rule, widths))
    for step in range(2):
        measure_alignment(measured_run, *minibatch(widths, samples=40))
        for memories in (measured_run, plain):
            memories.run_step(*minibatch(widths, seed=step))
    for a, b in zip(measured_run.weights, plain.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_last_layer_has_no_hidden_errors_to_compare():
    measured = measure_alignment(make((7, 6, 5, 4), "last-layer"), *minibatch((7, 6, 5, 4)))
    assert [isnan(angle) for angle in measured.gradient_angle_deg] == [True, True, False]
    assert all(isnan(angle) for angle in measured.feedback_angle_deg)


def test_feedback_of_fa_is_compared_with_the_weights_it_replaces():
    memories = make((7, 6, 5, 4), "fa")
    memories.set_feedback([FeedbackMatrix(dense=2 * memories.weights[1]), FeedbackMatrix(dense=-memories.weights[2])])
    measured = measure_alignment(memories, *minibatch((7, 6, 5, 4)))
    assert measured.feedback_angle_deg[:2] == pytest.approx([0, 180])
    assert measured.feedback_norm_ratio[:2] == pytest.approx([2, 1])


def test_feedback_of_direct_rules_is_compared_with_the_transposed_product_of_the_weights():
    memories = make((7, 6, 5, 4), "dfa")
    _, w2, w3 = memories.weights
    memories.set_feedback([FeedbackMatrix(dense=3 * (w3 @ w2).T), FeedbackMatrix(dense=w3.T)])
    measured = measure_alignment(memories, *minibatch((7, 6, 5, 4)))
    assert measured.feedback_angle_deg[:2] == pytest.approx([0, 0], abs=1e-5)
    assert measured.feedback_norm_ratio[:2] == pytest.approx([3, 1])


def test_sign_symmetry_is_compared_with_signs_and_magnitudes():
    memories = make((7, 6, 4), "usf")
    measured, w = measure_alignment(memories, *minibatch((7, 6, 4))), memories.weights[1]
    assert measured.feedback_norm_ratio[0] == pytest.approx(sqrt(2 / 10) * sqrt(w.size) / np.linalg.norm(w))
    cosine = np.abs(w).sum() / np.linalg.norm(w) / sqrt(w.size)
    assert measured.feedback_angle_deg[0] == pytest.approx(np.degrees(np.arccos(cosine)))


def test_sparse_feedback_counts_its_zeros():
    memories = make((7, 6, 4), "ssdfa")
    rows = np.zeros((6, 4))
    np.put_along_axis(rows, memories.layers[0].feedback_index, memories.layers[0].feedback_value, axis=1)
    measured = measure_alignment(memories, *minibatch((7, 6, 4)))
    assert measured.feedback_angle_deg[0] == pytest.approx(angle_deg(rows, memories.weights[1].T))


def test_zero_weights_have_no_direction():
    measured = measure_alignment(make((7, 6, 4), "dfa", init="zero"), *minibatch((7, 6, 4)))
    assert isnan(measured.delta_angle_deg[0])
    assert isnan(measured.feedback_norm_ratio[0])


def test_a_mirrored_rule_is_measured_at_the_present_weights():
    memories = make((7, 6, 5, 4), "bp-mirrored")
    memories.run_step(*minibatch((7, 6, 5, 4)), lr=10.0)
    measured = measure_alignment(memories, *minibatch((7, 6, 5, 4)))
    assert max(measured.gradient_angle_deg) < 1e-5


# Convolutions


@pytest.mark.parametrize("pool", ["max_pool", "average_pool"])
@pytest.mark.parametrize("rule", ["fa", "dfa", "usf", "ssdfa", "bp"])
def test_deltas_and_gradients_of_filters_are_compared_with_back_propagations(rule, pool):
    network = pooled_network(pool)
    memories, bp = make(network, rule), make(network)
    x, y = minibatch(network)
    measured = measure_alignment(memories, x, y)
    for run in (memories, bp):
        run.run_step(x, y)
    for number, (mine, theirs) in enumerate(zip(memories.layers, bp.layers, strict=True)):
        delta = angle_deg(memories.batch.delta[number + 1], bp.batch.delta[number + 1])
        assert measured.delta_angle_deg[number] == pytest.approx(delta, abs=1e-5)
        assert measured.gradient_angle_deg[number] == pytest.approx(angle_deg(mine.gradient, theirs.gradient), abs=1e-5)
    assert max(measured.gradient_angle_deg) > 10 or rule == "bp"


def test_feedback_of_filters_is_compared_with_the_filters():
    memories = make(pooled_network(), "fa")
    w2, w3, w4 = memories.weights[1:]
    memories.set_feedback([FeedbackMatrix(dense=m) for m in (3 * w2, -w3, w4)])
    measured = measure_alignment(memories, *minibatch(pooled_network()))
    assert measured.feedback_angle_deg[:3] == pytest.approx([0, 180, 0], abs=1e-5)
    assert measured.feedback_norm_ratio[:3] == pytest.approx([3, 1, 1])


@pytest.mark.parametrize("rule", ["dfa", "ssdfa"])
def test_direct_feedback_is_compared_from_the_last_convolution_on(rule):
    memories = make(pooled_network(), rule)
    w3, w4 = memories.weights[2:]
    if rule == "dfa":
        memories.set_feedback([None, FeedbackMatrix(dense=2 * (w4 @ w3).T), FeedbackMatrix(dense=w4.T)])
    measured = measure_alignment(memories, *minibatch(pooled_network()))
    assert [isnan(angle) for angle in measured.feedback_angle_deg] == [True, False, False, True]
    assert rule == "ssdfa" or measured.feedback_angle_deg[1:3] == pytest.approx([0, 0], abs=1e-5)
    assert rule == "ssdfa" or measured.feedback_norm_ratio[1:3] == pytest.approx([2, 1])
