import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbn.tasks.naive_forecasts import filled, linear_map, naive_forecasts


def wavy(steps=400, channels=3, gaps=0.0, seed=0):
    """A standardised series with a period of 12 steps and noise."""
    random = np.random.default_rng(seed)
    values = np.sin(np.arange(steps)[:, None] * 2 * np.pi / 12 + np.arange(channels)) + 0.1 * random.standard_normal(
        (steps, channels)
    )
    values[random.random(values.shape) < gaps] = np.nan
    return values.astype(np.float32)


def test_filled_by_the_last_observed():
    nan = np.nan
    values = np.array([[nan, 1], [2, nan], [nan, nan], [3, 4]], np.float32)
    assert np.array_equal(filled(values), [[0, 1], [2, 1], [2, 1], [3, 4]])


@given(seed=st.integers(0, 1000), season=st.integers(1, 40), horizon=st.integers(1, 30))
def test_each_value_is_the_one_it_should_be(seed, season, horizon):
    values = wavy(120, 2, 0.2, seed)
    starts = np.arange(80, 120 - horizon)
    made = naive_forecasts(values, 70, starts, 8, horizon, season)
    full = filled(values)
    for row, start in enumerate(starts[:5]):
        assert np.array_equal(made["repeat last"][row], np.tile(full[start - 1], (horizon, 1)))
        for step in range(horizon):
            back = start + step - season * (step // season + 1)
            assert start - season <= back < start
            assert np.array_equal(made["seasonal"][row][step], full[back])


def test_no_forecast_sees_its_own_future():
    values = wavy(gaps=0.1)
    starts = np.array([300])
    before = {name: forecast[0] for name, forecast in naive_forecasts(values, 280, starts, 24, 12, 12).items()}
    values[300:] = 1e6
    for name, forecast in naive_forecasts(values, 280, starts, 24, 12, 12).items():
        assert np.array_equal(forecast[0], before[name]) and np.isfinite(before[name]).all(), name


def test_linear_map_is_least_squares_over_all_channels_and_windows():
    series, lookback, horizon = wavy(200), 6, 4
    weight = linear_map(series, lookback, horizon)
    rows = [
        (series[t : t + lookback, c], series[t + lookback : t + lookback + horizon, c])
        for c in range(3)
        for t in range(191)
    ]
    inputs, targets = (
        np.array([part - window[-1] for window, part in ((row[0], row[k]) for row in rows)], np.float64) for k in (0, 1)
    )
    penalty = np.eye(lookback)
    expected = np.linalg.lstsq(
        np.concatenate([inputs, penalty]), np.concatenate([targets, np.zeros((lookback, horizon))]), rcond=None
    )[0]
    assert weight.shape == (lookback, horizon) and np.allclose(weight, expected, atol=1e-4)


def test_linear_learns_a_wave_that_repetition_does_not_know():
    values = wavy(1000)
    starts = np.arange(800, 950)
    targets = np.stack([values[start : start + 18] for start in starts])
    errors = {
        name: np.mean((forecast - targets) ** 2)
        for name, forecast in naive_forecasts(values, 700, starts, 24, 18, 12).items()
    }
    assert errors["linear"] < 0.03 and errors["seasonal"] < 0.03 < 0.5 < errors["repeat last"]


@pytest.mark.parametrize("season", [None, 101])
def test_no_season_known_or_none_whole_before_the_first_forecast(season):
    made = naive_forecasts(wavy(), 90, np.arange(100, 110), 24, 12, season)
    assert list(made) == ["repeat last", "linear"]


def test_forecasts_are_made_for_any_index():
    made = naive_forecasts(wavy(), 280, np.arange(300, 380, 2), 24, 12, 12)["linear"]
    whole = np.asarray(made)
    assert made.shape == whole.shape == (40, 12, 3) and len(made) == 40 and whole.dtype == np.float32
    for index in (7, -1, slice(3, 9), np.array([5, 5, 1])):
        assert np.allclose(made[index], whole[index], atol=1e-6) and made[index].shape == whole[index].shape
    assert np.asarray(made, np.float64).dtype == np.float64
