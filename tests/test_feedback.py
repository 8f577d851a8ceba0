from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosim.errors import DescriptionError
from neurosim.feedback import FeedbackGenerator, draw_feedback, sign_constant, unused_outputs
from neurosim.networks import Conv, Dense, Flatten, Network, Pool, dense
from neurosim.rules import RULES, Feedback, Rule

NETWORK = dense((20, 300, 200, 10))
FILTERS = Network(
    inputs=(2, 9, 8),
    layers=(
        Conv(channels=5, kernel=3),
        Pool(kind="max_pool", kernel=2),
        Conv(channels=6, kernel=(3, 2), stride=2),
        Flatten(),
        Dense(units=4),
    ),
)


def rule(error="output", **options):
    return Rule("mine", error=error, feedback=Feedback(**options))


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("fa", [(200, 300), (10, 200)]),
        ("frsf", [(200, 300), (10, 200)]),
        ("brsf", [(200, 300), (10, 200)]),
        ("dfa", [(300, 10), (200, 10)]),
        ("sign-dfa", [(300, 10), (200, 10)]),
        ("drtp", [(300, 10), (200, 10)]),
    ],
)
def test_dense_feedback_has_the_shape_of_the_weights_or_a_row_for_each_neuron(name, shapes):
    assert [matrix.dense.shape for matrix in draw_feedback(NETWORK, RULES[name], seed=1)] == shapes


@pytest.mark.parametrize("name", ["bp", "bp-mirrored", "usf", "last-layer"])
def test_some_rules_draw_nothing(name):
    assert draw_feedback(NETWORK, RULES[name], seed=1) == [None, None]


@pytest.mark.parametrize(("name", "connections"), [("sdfa", 3), ("ssdfa", 1)])
def test_sparse_feedback_has_so_many_different_outputs_per_neuron(name, connections):
    for matrix, neurons in zip(draw_feedback(NETWORK, RULES[name], seed=1), (300, 200), strict=True):
        assert matrix.index.shape == matrix.value.shape == (neurons, connections)
        assert all(len(set(row)) == connections for row in matrix.index.tolist())


@pytest.mark.parametrize("name", ["fa", "dfa", "sign-dfa", "drtp"])
def test_random_feedback_is_uniform_within_one_over_the_root_of_the_layers_neurons(name):
    for matrix, neurons in zip(draw_feedback(NETWORK, RULES[name], seed=1), (300, 200), strict=True):
        assert np.abs(matrix.dense).max() == pytest.approx(1 / sqrt(neurons), rel=5e-3)
        assert matrix.dense.std() == pytest.approx(1 / sqrt(3 * neurons), rel=0.03)


def test_normal_feedback_is_standard_normal_whatever_the_layer():
    for matrix in draw_feedback(NETWORK, rule(init="normal", scale=2.0), seed=1):
        assert matrix.dense.std() == pytest.approx(2, rel=0.05)


def test_kaiming_feedback_has_he_and_others_bound():
    matrix = draw_feedback(NETWORK, rule("next", init="kaiming"), seed=1)[0]
    assert np.abs(matrix.dense).max() == pytest.approx(sqrt(6 / 300), rel=1e-3)


@pytest.mark.parametrize(("weights_init", "deviation"), [("uniform", 0.5 / sqrt(3 * 300)), ("normal", 0.5)])
def test_feedback_like_the_weights_takes_their_distribution_and_scale(weights_init, deviation):
    drawn = draw_feedback(NETWORK, rule(init="like_weights"), seed=1, weights_init=weights_init, init_scale=0.5)
    assert drawn[0].dense.std() == pytest.approx(deviation, rel=0.05)


def test_feedback_like_zero_weights_is_refused():
    with pytest.raises(DescriptionError, match="like_weights.*'uniform', 'normal' or 'kaiming'"):
        draw_feedback(NETWORK, rule(init="like_weights"), seed=1, weights_init="zero")


@pytest.mark.parametrize("connections", [1, 3, 10])
@pytest.mark.parametrize("sparse_scale", ["authors", "equal_variance"])
def test_sparse_feedback_has_the_scale_of_its_authors_or_the_variance_of_dense(sparse_scale, connections):
    matrix = draw_feedback(NETWORK, rule(connections=connections, sparse_scale=sparse_scale), seed=1)[0]
    factor = (10 * connections) ** 0.25 if sparse_scale == "authors" else sqrt(10 / connections)
    assert np.abs(matrix.value).max() == pytest.approx(factor / sqrt(300), rel=1e-2)


def test_equal_variance_with_every_output_is_dfa():
    sparse = draw_feedback(NETWORK, rule(connections=10, sparse_scale="equal_variance"), seed=1)
    whole = draw_feedback(NETWORK, RULES["dfa"], seed=1)
    for a, b in zip(sparse, whole, strict=True):
        np.testing.assert_array_equal(a.value, b.dense)


def test_more_connections_than_outputs_are_refused():
    with pytest.raises(DescriptionError, match=r"connections is 11, but .* only 10 values; allowed are 1 to 10"):
        draw_feedback(NETWORK, rule(connections=11), seed=1)


def parts_of(matrix):
    return [array for array in (matrix.dense, matrix.index, matrix.value) if array is not None]


@pytest.mark.parametrize("name", ["dfa", "drtp", "sdfa", "ssdfa", "fa", "frsf"])
@given(st.integers(0, 2**32), st.integers(0, 150), st.integers(1, 50))
def test_a_core_can_draw_the_feedback_of_its_own_neurons_alone(name, seed, first, count):
    generator = FeedbackGenerator(NETWORK, RULES[name], seed)
    neurons = slice(first, first + count)
    alone, whole = generator.matrix(1, range(first, first + count)), generator.matrix(1)
    for part, array in zip(parts_of(alone), parts_of(whole), strict=True):
        np.testing.assert_array_equal(part, array[:, neurons] if name == "fa" else array[neurons])


@pytest.mark.parametrize("error", ["next", "output"])
def test_generated_feedback_is_stored_feedback(error):
    stored, generated = (
        draw_feedback(NETWORK, rule(error, storage=storage), seed=1) for storage in ("stored", "generated")
    )
    for a, b in zip(stored, generated, strict=True):
        np.testing.assert_array_equal(a.dense, b.dense)


def test_magnitudes_are_never_negative_and_change_with_the_step_only_where_they_are_redrawn():
    for name, redrawn in (("brsf", True), ("frsf", False)):
        first, later = (FeedbackGenerator(NETWORK, RULES[name], 1, step=step).matrix(1).dense for step in (0, 1))
        assert first.min() >= 0
        assert first.max() == pytest.approx(1 / sqrt(300), rel=1e-3)
        assert np.array_equal(first, later) is not redrawn


def test_the_constant_of_sign_symmetry():
    assert sign_constant(NETWORK, RULES["usf"], 1) == sqrt(2 / 500)
    one = Rule("one", error="next", matrix="sign", feedback=Feedback(magnitude="one"))
    assert sign_constant(NETWORK, one, 1) == 1.0
    assert sign_constant(NETWORK, RULES["frsf"], 1) is None


def test_outputs_that_feed_nobody_are_found():
    network = dense((5, 3, 200, 10))
    drawn = draw_feedback(network, RULES["ssdfa"], seed=1)
    unused = unused_outputs(network, RULES["ssdfa"], drawn)
    assert unused[0] == tuple(sorted(set(range(10)) - set(drawn[0].index.ravel().tolist())))
    assert len(unused[0]) >= 7
    assert unused[1] == ()


@pytest.mark.parametrize("name", ["dfa", "fa", "bp"])
def test_dense_feedback_leaves_no_output_unused(name):
    assert unused_outputs(NETWORK, RULES[name], draw_feedback(NETWORK, RULES[name], seed=1)) == [(), ()]


# Convolutions: layer 1 hands on 5 channels of 4 x 4 units, layer 2 has 6 of 2 x 2 with filters of 5 x 3 x 2.


def test_direct_feedback_feeds_every_unit_that_is_handed_on():
    assert [matrix.dense.shape for matrix in draw_feedback(FILTERS, RULES["dfa"], seed=1)] == [(80, 4), (24, 4)]
    assert [matrix.index.shape for matrix in draw_feedback(FILTERS, RULES["ssdfa"], seed=1)] == [(80, 1), (24, 1)]
    assert np.abs(draw_feedback(FILTERS, RULES["dfa"], seed=1)[0].dense).max() == pytest.approx(1 / sqrt(80), rel=0.01)


@pytest.mark.parametrize("name", ["fa", "frsf"])
def test_feedback_like_the_weights_has_the_shape_and_the_bound_of_the_filters(name):
    drawn = draw_feedback(FILTERS, RULES[name], seed=1)
    assert [matrix.dense.shape for matrix in drawn] == [(6, 30), (4, 24)]
    for matrix, fan_in in zip(drawn, (30, 24), strict=True):
        assert np.abs(matrix.dense).max() == pytest.approx(1 / sqrt(fan_in), rel=0.03)


def test_a_core_can_draw_the_filters_that_read_its_own_channels_alone():
    generator = FeedbackGenerator(FILTERS, RULES["fa"], 3)
    whole = generator.matrix(1).dense.reshape(6, 5, 3, 2)
    np.testing.assert_array_equal(generator.matrix(1, range(1, 4)).dense.reshape(6, 3, 3, 2), whole[:, 1:4])


def test_the_constant_of_sign_symmetry_counts_the_positions_of_filters():
    assert sign_constant(FILTERS, RULES["usf"], 1) == sqrt(2 / (5 * 6 + 6 * 6))


@pytest.mark.parametrize(("error", "bound"), [("next", 1 / sqrt(30)), ("output", 1 / sqrt(30))])
def test_feedback_like_the_weights_of_filters_has_their_bound(error, bound):
    matrix = draw_feedback(FILTERS, rule(error, init="like_weights"), seed=1)[0]
    assert np.abs(matrix.dense).max() == pytest.approx(bound, rel=0.03)
