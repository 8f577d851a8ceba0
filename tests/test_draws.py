import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosim.draws import PURPOSES, Stream, draw_weights, key_of, philox
from neurosim.errors import DescriptionError
from neurosim.kernels.philox import drop, fill_magnitudes
from neurosim.kernels.philox import philox as compiled_philox
from neurosim.networks import Conv, Dense, Flatten, Network, dense_shape

# Known answers of Philox4x32-10 (kat_vectors of Random123, the authors' library): counter, key, words.
PI = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (PI, (0xA4093822, 0x299F31D0), (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_philox_gives_its_authors_known_answers(counter, key, words):
    drawn = philox(tuple(np.array([word], np.uint64) for word in counter), key)
    assert tuple(int(word[0]) for word in drawn) == words
    assert compiled_philox(*counter, np.array(key, np.int64)) == words


@given(st.integers(0, 2**64 - 1), st.sampled_from(sorted(PURPOSES)), st.integers(0, 40), st.integers(0, 40))
def test_any_slice_of_neurons_draws_the_same_values_alone(seed, purpose, first, count):
    stream = Stream(seed, purpose, layer=2)
    for draw in (stream.uniform, stream.normal):
        whole = draw(range(80), 13)
        np.testing.assert_array_equal(draw(range(first, first + count), 13), whole[first : first + count])


def test_a_connection_keeps_its_value_when_there_are_more_of_them():
    stream = Stream(7, "weights", 1)
    np.testing.assert_array_equal(stream.uniform(range(5), 6), stream.uniform(range(5), 900)[:, :6])


def test_a_table_larger_than_is_drawn_at_once_has_the_same_rows():
    stream = Stream(7, "weights", 1)
    whole = stream.uniform(range(3000), 1000)
    np.testing.assert_array_equal(whole[2900:], stream.uniform(range(2900, 3000), 1000))


def test_seed_purpose_layer_and_step_each_change_every_value():
    first = Stream(1, "weights", 1).uniform(range(20), 20)
    for other in (Stream(2, "weights", 1), Stream(1, "biases", 1), Stream(1, "weights", 2), Stream(1, "weights", 1, 1)):
        assert not np.any(other.uniform(range(20), 20) == first)


def test_uniform_draws_have_the_moments_of_uniform_ones_and_never_reach_an_end():
    draws = Stream(3, "weights", 1).uniform(range(1000), 1000)
    assert 0 < draws.min() < draws.max() < 1
    assert draws.mean() == pytest.approx(1 / 2, abs=2e-3)
    assert draws.var() == pytest.approx(1 / 12, abs=1e-3)


def test_normal_draws_have_the_moments_of_normal_ones():
    draws = Stream(3, "weights", 1).normal(range(1000), 1000)
    assert draws.mean() == pytest.approx(0, abs=5e-3)
    assert draws.var() == pytest.approx(1, abs=5e-3)
    assert (draws**4).mean() == pytest.approx(3, abs=3e-2)
    assert np.corrcoef(draws[:, 0::2].ravel(), draws[:, 1::2].ravel())[0, 1] == pytest.approx(0, abs=5e-3)


@given(st.integers(1, 12), st.data())
def test_choices_are_different_outputs_in_rising_order(outputs, data):
    count = data.draw(st.integers(1, outputs))
    index = Stream(1, "feedback index", 1).choices(range(30), outputs, count)
    assert index.shape == (30, count)
    assert 0 <= index.min() <= index.max() < outputs
    assert np.all(np.diff(index, axis=1) > 0)


@pytest.mark.parametrize(("outputs", "count"), [(1, 1), (5, 3), (10, 10), (40, 6)])
def test_choices_are_the_first_cards_of_a_deck_that_is_shuffled(outputs, count):
    stream = Stream(7, "feedback index", 2)
    for draws, chosen in zip(
        stream.uniform(range(50), count), stream.choices(range(50), outputs, count).tolist(), strict=True
    ):
        deck = list(range(outputs))
        for place, draw in enumerate(draws):
            other = place + int(draw * (outputs - place))
            deck[place], deck[other] = deck[other], deck[place]
        assert chosen == sorted(deck[:count])


def test_every_output_is_chosen_equally_often():
    index = Stream(1, "feedback index", 1).choices(range(20_000), 10, 3)
    np.testing.assert_allclose(np.bincount(index.ravel()) / 6000, 1, atol=0.05)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_that_the_key_cannot_hold_is_refused(seed):
    with pytest.raises(DescriptionError, match="seed"):
        key_of(seed)


def test_magnitudes_of_the_kernel_are_those_of_the_stream():
    magnitudes = np.empty((9, 11))
    fill_magnitudes(magnitudes, PURPOSES["magnitudes"] << 24 | 3, 5, np.array(key_of(2**40 + 1)), 0.25)
    drawn = Stream(2**40 + 1, "magnitudes", 3, 5).values("uniform", range(9), 11)
    np.testing.assert_array_equal(magnitudes, 0.25 * np.abs(drawn))


@given(st.integers(0, 9), st.integers(1, 10), st.integers(0, 30), st.integers(1, 30))
def test_the_dropout_mask_of_a_part_is_that_of_the_layer(first_sample, samples, first_neuron, neurons):
    part, key = np.ones((samples, neurons)), np.array(key_of(9))
    drop(part, np.array([4, first_sample, first_neuron]), PURPOSES["dropout"] << 24 | 1, key, 0.7)
    drawn = Stream(9, "dropout", 1, 4).uniform(range(first_sample, first_sample + samples), first_neuron + neurons)
    np.testing.assert_array_equal(part, (drawn[:, first_neuron:] < 0.7) / 0.7)


@pytest.mark.parametrize(("init", "bound"), [("uniform", 0.2 / 5), ("zero", 0.0)])
def test_initial_weights_and_biases_lie_within_the_bound_of_their_fan_in(init, bound):
    weights, biases = draw_weights(dense_shape(25, 400), 1, seed=1, init=init, scale=0.2)
    assert weights.shape == (400, 25)
    assert np.abs(weights).max() == pytest.approx(bound, rel=1e-2)
    assert np.abs(biases).max() == pytest.approx(bound, rel=2e-2)


def test_normal_weights_have_their_scale_and_zero_biases():
    weights, biases = draw_weights(dense_shape(100, 400), 1, seed=1, init="normal", scale=0.5)
    assert weights.std() == pytest.approx(0.5, rel=0.02)
    assert not biases.any()


def test_filters_are_drawn_within_the_bound_of_their_taps_and_have_one_bias_each():
    layers = (Conv(channels=80, kernel=(5, 2)), Flatten(), Dense(units=2))
    shape = Network(inputs=(3, 6, 6), layers=layers).shape(1)
    weights, biases = draw_weights(shape, 1, seed=1, init="uniform")
    assert (weights.shape, biases.shape) == ((80, 30), (80,))
    assert np.abs(weights).max() == pytest.approx(1 / np.sqrt(30), rel=1e-2)
    np.testing.assert_array_equal(weights, draw_weights(dense_shape(30, 80), 1, seed=1, init="uniform")[0])
