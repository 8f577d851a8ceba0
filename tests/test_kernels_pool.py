import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosim.kernels import pool
from neurosim.networks.geometry import padded_axis


@st.composite
def pools(draw):
    """Draw rows and columns of a pool, and a tile of its output rows."""
    padding = draw(st.sampled_from(["same", "valid"]))
    sides = [(draw(st.integers(1, 4)), draw(st.integers(1, 3))) for _ in range(2)]
    rows, columns = (padded_axis(draw(st.integers(kernel, 9)), kernel, stride, padding) for kernel, stride in sides)
    first = draw(st.integers(0, rows.outputs - 1))
    return rows, columns, first, draw(st.integers(first + 1, rows.outputs))


def window_of(rows, columns):
    return np.array([rows.stride, rows.before, columns.stride, columns.before, rows.kernel, columns.kernel])


def places_inside(rows, columns, y, x):
    """Return place, row and column of the units of a window that lie in the map, row by row."""
    return [
        (u * columns.kernel + v, row, column)
        for u, row in enumerate(rows.taps_of(y))
        for v, column in enumerate(columns.taps_of(x))
        if 0 <= row < rows.size and 0 <= column < columns.size
    ]


def pooled_maximum(maps, drawn):
    rows, columns, first, behind = drawn
    lo, hi = rows.reads(first, behind)
    pooled = np.empty((2, 3, behind - first, columns.outputs))
    places = np.empty(pooled.shape, np.uint8)
    part = np.ascontiguousarray(maps[:, :, lo:hi])
    pool.max_pool(part, pooled, places, (lo, first), window_of(rows, columns))
    return pooled, places


@given(pools(), st.integers(0, 2**32))
def test_the_largest_unit_of_a_window_is_found_and_of_equal_ones_the_first(drawn, seed):
    rows, columns, first, _ = drawn
    maps = np.random.default_rng(seed).integers(-2, 2, (2, 3, rows.size, columns.size)).astype(float)
    pooled, places = pooled_maximum(maps, drawn)
    for n, c, y, x in np.ndindex(pooled.shape):
        units = [(maps[n, c, row, column], place) for place, row, column in places_inside(rows, columns, first + y, x)]
        largest = max(value for value, _ in units)
        assert pooled[n, c, y, x] == largest
        assert places[n, c, y, x] == min(place for value, place in units if value == largest)


@given(pools(), st.data())
def test_errors_go_to_the_largest_units_of_any_rows_of_the_map(drawn, data):
    rows, columns, *_ = drawn
    lo = data.draw(st.integers(0, rows.size - 1))
    hi = data.draw(st.integers(lo + 1, rows.size))
    generator = np.random.default_rng(0)
    maps = generator.standard_normal((2, 3, rows.size, columns.size))
    pooled, places = pooled_maximum(maps, (rows, columns, 0, rows.outputs))
    errors, wanted = generator.standard_normal(pooled.shape), np.zeros(maps.shape)
    for n, c, y, x in np.ndindex(pooled.shape):
        inside = {place: (row, column) for place, row, column in places_inside(rows, columns, y, x)}
        wanted[n, c, *inside[places[n, c, y, x]]] += errors[n, c, y, x]
    first, behind = rows.readers(lo, hi)
    reached = (np.ascontiguousarray(values[:, :, first:behind]) for values in (errors, places))
    delta = np.full((2, 3, hi - lo, columns.size), np.nan)
    pool.max_unpool(*reached, delta, (lo, first), window_of(rows, columns))
    np.testing.assert_allclose(delta, wanted[:, :, lo:hi], rtol=1e-12, atol=1e-14)


@given(pools(), st.data())
def test_averages_are_over_the_units_inside_the_map_and_their_errors_are_shared(drawn, data):
    rows, columns, first, behind = drawn
    lo = data.draw(st.integers(0, rows.size - 1))
    hi = data.draw(st.integers(lo + 1, rows.size))
    maps = np.random.default_rng(0).standard_normal((2, 3, rows.size, columns.size))
    matrix = np.zeros((rows.outputs, columns.outputs, rows.size, columns.size))
    for y, x in np.ndindex(matrix.shape[:2]):
        for _, row, column in (inside := places_inside(rows, columns, y, x)):
            matrix[y, x, row, column] = 1 / len(inside)
    shares = np.array([[row[row > 0][0] for row in rows_of.reshape(len(rows_of), -1)] for rows_of in matrix])
    read = rows.reads(first, behind)
    pooled = np.empty((2, 3, behind - first, columns.outputs))
    part = np.ascontiguousarray(maps[:, :, slice(*read)])
    pool.average_pool(part, pooled, (read[0], first), window_of(rows, columns), shares[first:behind])
    wanted = np.einsum("yxij,ncij->ncyx", matrix, maps)
    np.testing.assert_allclose(pooled, wanted[:, :, first:behind], rtol=1e-12, atol=1e-14)

    reached = slice(*rows.readers(lo, hi))
    delta = np.full((2, 3, hi - lo, columns.size), np.nan)
    errors = np.ascontiguousarray(wanted[:, :, reached])
    pool.average_unpool(errors, delta, (lo, reached.start), window_of(rows, columns), shares[reached])
    back = np.einsum("yxij,ncyx->ncij", matrix, wanted)
    np.testing.assert_allclose(delta, back[:, :, lo:hi], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_handed_on(value, dtype):
    maps = np.full((1, 1, 3, 3), -np.inf, dtype)
    maps[0, 0, 1, 2] = value
    pooled, places = np.empty((1, 1, 1, 1), dtype), np.empty((1, 1, 1, 1), np.uint8)
    window = np.array([1, 0, 1, 0, 3, 3])
    pool.max_pool(maps, pooled, places, (0, 0), window)
    np.testing.assert_array_equal([pooled.item(), places.item()], [value, 5])
