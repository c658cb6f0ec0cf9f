"""Fixed-point numbers: as near to the float factors as int16 allows, and never out of int32."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbn import TBNError
from tbn.integer.network import Layer, Signs, Weights
from tbn.integer.scaling import by_piece, scaling, short_biases, stored, sum_limits, sum_shift
from tests.integer.networks import layer


@given(st.integers(0, 10**6), st.integers(0, 255), st.booleans())
def test_limits_are_reached_and_not_passed(seed: int, zero: int, int8: bool) -> None:
    weights = layer(seed, 4, 12, 1, int8=int8).weights
    lowest, highest = sum_limits(weights, zero)
    matrix = weights.matrix.astype(int)
    for row, low, high in zip(matrix, lowest, highest, strict=True):
        assert high == row @ (np.where(row > 0, 255, 0) - zero)
        assert low == row @ (np.where(row > 0, 0, 255) - zero)


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1), st.lists(st.integers(0, 2**31), min_size=1))
def test_sums_are_shifted_into_int16_and_no_further(highest: list[int], lowest: list[int]) -> None:
    high, low = np.array(highest), -np.array(lowest)
    shift = sum_shift(low, high)
    assert high.max() >> shift < 2**15 and low.min() >> shift >= -(2**15)
    assert shift == 0 or high.max() >> (shift - 1) >= 2**15 or low.min() >> (shift - 1) < -(2**15)


@given(
    st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 5), st.integers(1, 2**22), st.floats(-6, 2), st.floats(0, 3),
    st.integers(0, 255), st.booleans(),
)  # fmt: skip
def test_no_input_overflows_and_the_answer_is_near(
    seed: int, copies: int, pieces: int, reach: int, size: float, spread: float, zero: int, last: bool
) -> None:
    """Factors over several decades, biases up to 1000 steps, rows of one or two pieces."""
    numbers = np.random.default_rng(seed)
    rows = np.arange(pieces) // 2
    factors = numbers.choice([-1, 1], (copies, pieces)) * 10.0 ** (size - spread * numbers.random((copies, pieces)))
    factors = factors * 256 / reach
    outputs = copies * (rows[-1] + 1)
    biases = numbers.uniform(-1000, 1000, outputs)
    lowest, highest = np.full(pieces, -reach), np.full(pieces, reach - 1)
    found, step = scaling("fc", factors, biases, (lowest, highest), tuple(rows), None if last else zero)
    assert found.multipliers.dtype == found.biases.dtype == np.int16
    sums = numbers.integers(-reach, reach, pieces)
    sums[numbers.random(pieces) < 0.5] = numbers.choice([-reach, reach - 1])
    short = sums >> found.sum_shift
    assert (np.abs(short.astype(np.int64)) <= 2**15).all()
    products = short * found.multipliers.astype(np.int64)
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    bias = found.biases.astype(np.int64) << found.bias_shift
    worst = np.add.reduceat(np.abs(products), starts, axis=1).reshape(-1) + np.abs(bias)
    assert (worst <= 2**31 - 1).all()
    total = np.add.reduceat(products, starts, axis=1).reshape(-1) + bias
    exact = np.add.reduceat(factors * sums, starts, axis=1).reshape(-1) + biases
    error = 2.0**found.sum_shift * np.add.reduceat(np.abs(factors), starts, axis=1).max() + np.abs(exact).max() * 2**-8
    if last:
        assert found.shift == 0
        assert np.abs(total * step - exact).max() <= error + np.abs(biases).max() / 2**15
    else:
        codes = np.clip(total >> found.shift, 0, 255)
        assert np.abs(codes - np.clip(exact + zero, 0, 255)).max() <= 1 + error


def test_half_a_step_is_rounded_up() -> None:
    found, _ = scaling("fc", np.array([[0.25]]), np.zeros(1), (np.array([-40]), np.array([40])), (0,), 10)
    codes = [
        (s * int(found.multipliers[0, 0]) + (int(found.biases[0]) << found.bias_shift)) >> found.shift
        for s in range(-6, 7)
    ]
    assert codes == [9, 9, 9, 9, 10, 10, 10, 10, 11, 11, 11, 11, 12]


def test_a_dead_channel_with_a_huge_bias_costs_the_others_nothing() -> None:
    """A bias of -10**6 steps saturates all the same; it does not take bits from the other channel."""
    limits = (np.array([-1000, -1000]), np.array([1000, 1000]))
    factors = np.array([[0.1, 0.1]])
    alone, _ = scaling("fc", factors, np.array([3.0, 3.0]), limits, (0, 1), 0)
    both, _ = scaling("fc", factors, np.array([3.0, -1e6]), limits, (0, 1), 0)
    assert both.shift >= alone.shift - 1
    assert (int(both.multipliers.max()) * 1000 + (int(both.biases[1]) << both.bias_shift)) >> both.shift <= 0


def test_factors_that_are_too_large_are_refused() -> None:
    with pytest.raises(TBNError, match="the outputs of 'fc' have a range that is too small.*; calibrate on inputs"):
        scaling("fc", np.array([[1e9]]), np.zeros(1), (np.array([-40]), np.array([40])), (0,), 0)


@given(st.lists(st.floats(-(2.0**31), 2.0**31), min_size=1))
def test_biases_in_int16(wanted: list[float]) -> None:
    found, shift = short_biases(np.array(wanted))
    assert np.abs((found.astype(float) * 2.0**shift) - wanted).max() <= 2.0 ** (shift - 1)
    assert shift == 0 or np.abs(wanted).max() > 32767 * 2.0 ** (shift - 1)


@pytest.mark.parametrize(
    ("rows", "row_length", "p", "per_tile", "gain", "count"),
    [(8, 16, 4, True, False, 4), (8, 16, 4, False, False, 1), (8, 16, 4, True, True, 8), (6, 8, 4, True, False, 4), (6, 8, 4, True, True, 8)],
)  # fmt: skip
def test_what_is_stored(rows: int, row_length: int, p: int, per_tile: bool, gain: bool, count: int) -> None:
    """One multiplier for the layer or a tile, or one a piece of each copy; by_piece puts each where it is used."""
    found = layer(3, rows, row_length, p, per_tile=per_tile, gain=gain)
    assert found.scaling.multipliers.shape == (count,)
    multipliers, biases = by_piece(found)
    assert multipliers.shape == (found.weights.copies, len(found.weights.pieces)) and biases.shape == (rows,)
    if per_tile and not gain and isinstance(found.weights, Signs):
        for copy in range(found.weights.copies):
            for number, piece in enumerate(found.weights.pieces):
                tile = copy * (p // found.weights.copies) + piece.tile
                assert multipliers[copy, number] == found.scaling.multipliers[tile]


def test_one_bias_where_all_lie_within_half_a_step() -> None:
    weights = Weights(np.ones((2, 4), np.int8))
    limits = sum_limits(weights, 0)
    for distance, count in ((0.3, 1), (2.0, 2)):
        found, _ = scaling("fc", np.full((1, 2), 0.1), np.array([5.0, 5.0 + distance]), limits, (0, 1), 0)
        kept = stored(found, weights)
        assert kept.biases.shape == (count,)
        for biases in by_piece(Layer("fc", 0, 1, 0, weights, kept))[1]:
            assert abs(biases / 2.0**found.shift - 5.5 - distance / 2) < 0.5 + distance / 2
