"""Forecasts without a network, which a network has to beat: the last value again, a season ago again, and one linear map.

They use no value from the forecast's first step on. A missing value is filled by the last one observed before it, or by 0, the mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float32]
RIDGE = 1.0  # weight of the penalty, against sums over 10^5 windows and more: it only keeps the equations solvable


@dataclass(frozen=True)
class Forecasts:
    """Forecasts that are made when asked for, so that a wide series fits in memory.

    Attributes:
        starts: (windows,) first step of each forecast in the series.
        horizon, channels: size of a forecast.
        method: (n,) starts -> (n, horizon, channels).
    """

    starts: NDArray[np.int64]
    horizon: int
    channels: int
    method: Callable[[NDArray[np.int64]], Floats]

    @property
    def shape(self) -> tuple[int, ...]:
        """(windows, horizon, channels)."""
        return len(self.starts), self.horizon, self.channels

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: Any) -> Floats:
        starts = self.starts[index]
        return self.method(np.atleast_1d(starts)).reshape(*np.shape(starts), self.horizon, self.channels)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:] if dtype is None else self[:].astype(dtype)


def filled(values: Floats) -> Floats:
    """(steps, channels): NaN replaced by the last observed value of its channel, or by 0 before the first."""
    steps = np.arange(len(values))[:, None]
    last = np.maximum.accumulate(np.where(np.isnan(values), -1, steps), axis=0)
    return np.where(last < 0, np.float32(0), np.take_along_axis(values, np.maximum(last, 0), axis=0))


def linear_map(series: Floats, lookback: int, horizon: int) -> Floats:
    """The (lookback, horizon) matrix of least squares, shared by all channels, over all windows of a series.

    Inputs and targets are relative to the input's last value: so it needs no bias and follows a drift (as NLinear does,
    https://arxiv.org/abs/2205.13504). A ridge regression by its normal equations, summed channel by channel.

    Args:
        series: (steps, channels) without NaN.
    """
    gram, moment = np.zeros((lookback, lookback)), np.zeros((lookback, horizon))
    for channel in series.T:
        window = sliding_window_view(channel, lookback + horizon)
        relative = window - window[:, lookback - 1 : lookback]
        inputs, targets = relative[:, :lookback], relative[:, lookback:]
        gram += inputs.T @ inputs
        moment += inputs.T @ targets
    return np.asarray(np.linalg.solve(gram + RIDGE * np.eye(lookback), moment), dtype=np.float32)


def naive_forecasts(
    values: Floats, train: int, starts: NDArray[np.int64], lookback: int, horizon: int, season: int | None
) -> dict[str, Any]:
    """Trivial forecasts by name, each a ``Forecasts``.

    Args:
        values: (steps, channels) standardised, NaN where unknown.
        train: steps of the training part, which the linear map is fitted on.
        starts: (windows,) first step of each forecast.
        season: in steps; without it, or where the first forecast has no whole season before it, there is no seasonal forecast.
    """
    series = filled(values)
    ahead = np.arange(horizon)
    weight = linear_map(series[:train], lookback, horizon)
    windows = sliding_window_view(series, lookback, axis=0)  # (steps - lookback + 1, channels, lookback)

    def repeat_last(at: NDArray[np.int64]) -> Floats:
        return np.repeat(series[at - 1][:, None], horizon, axis=1)

    def seasonal(at: NDArray[np.int64]) -> Floats:
        assert season is not None
        again: Floats = series[at[:, None] - season + ahead % season]
        return again

    def linear(at: NDArray[np.int64]) -> Floats:
        inputs = windows[at - lookback]
        last = inputs[..., -1:]
        return np.ascontiguousarray(((inputs - last) @ weight + last).transpose(0, 2, 1))

    methods = {"repeat last": repeat_last, "seasonal": seasonal, "linear": linear}
    if season is None or season > starts[0]:
        del methods["seasonal"]
    return {name: Forecasts(starts, horizon, series.shape[1], method) for name, method in methods.items()}
