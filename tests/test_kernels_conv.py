import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosim.kernels import conv
from neurosim.networks.activations import ACTIVATIONS
from neurosim.networks.geometry import Axis

generator = np.random.default_rng(0)


@st.composite
def axes(draw):
    kernel = draw(st.integers(1, 5))
    before, after = (draw(st.integers(0, kernel - 1)) for _ in range(2))
    size = draw(st.integers(max(1, kernel - before - after), 9))
    return Axis(size, kernel, draw(st.integers(1, 3)), before, after)


@st.composite
def windows(draw):
    """Draw rows and columns, a range of output rows and a range of channels."""
    rows, columns = draw(axes()), draw(axes())
    outputs = draw(
        st.tuples(st.integers(0, rows.outputs - 1), st.integers(1, rows.outputs)).filter(lambda r: r[0] < r[1])
    )
    return rows, columns, outputs, draw(st.integers(0, 2))


def window_of(rows, columns):
    return np.array([rows.stride, rows.before, columns.stride, columns.before])


def strip_for(rows, columns, outputs):
    return np.full(((outputs[1] - outputs[0] - 1) * rows.stride + rows.kernel, columns.outputs), np.nan)


def unfolded(maps, drawn):
    rows, columns, outputs, channel = drawn
    shape = (3 - channel, rows.kernel, columns.kernel, len(maps), outputs[1] - outputs[0], columns.outputs)
    made = np.full(shape, np.nan)
    conv.unfold(maps, made, (channel, outputs[0]), window_of(rows, columns), strip_for(rows, columns, outputs))
    return made


@given(windows())
def test_columns_hold_the_inputs_of_every_tap_and_zeros_in_the_padding(drawn):
    rows, columns, outputs, channel = drawn
    maps = generator.standard_normal((2, 3, rows.size, columns.size))
    made = unfolded(maps, drawn)
    for c, u, v, n, y, x in np.ndindex(made.shape):
        row, column = rows.taps_of(outputs[0] + y)[u], columns.taps_of(x)[v]
        in_map = 0 <= row < rows.size and 0 <= column < columns.size
        assert made[c, u, v, n, y, x] == (maps[n, channel + c, row, column] if in_map else 0)


@given(windows(), st.data())
def test_folding_is_the_transpose_of_unfolding(drawn, data):
    rows, columns, outputs, channel = drawn
    lo = data.draw(st.integers(0, rows.size - 1))
    hi = data.draw(st.integers(lo + 1, rows.size))
    maps = generator.standard_normal((2, 3, rows.size, columns.size))
    maps[:, :channel] = maps[:, :, :lo] = maps[:, :, hi:] = 0
    made = unfolded(maps, drawn)
    sent = generator.standard_normal(made.shape)
    summed = np.full((2, 3, hi - lo, columns.size), 7.0)
    strip = strip_for(rows, columns, outputs)
    conv.fold(sent, summed, (channel, outputs[0], lo), window_of(rows, columns), strip)
    assert np.all(summed[:, :channel] == 7)
    assert (summed * maps[:, :, lo:hi]).sum() == pytest.approx((sent * made).sum(), abs=1e-9)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_of_maps_add_the_bias_of_their_channel(name):
    z = generator.standard_normal((3, 2, 5)).astype(np.float32)
    z[0, 0, 0] = np.nan
    biases, maps = np.array([-1, 0, 2], np.float32), np.empty((2, 3, 5), np.float32)
    getattr(conv, f"activate_maps_{ACTIVATIONS[name].kernel}")(z, biases, maps)
    wanted = ACTIVATIONS[name].function(z.astype(np.float64) + biases[:, None, None]).transpose(1, 0, 2)
    np.testing.assert_allclose(maps, wanted, rtol=1e-6, atol=3e-7)
