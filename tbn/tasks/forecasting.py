"""Forecasting: from the last ``lookback`` steps of all channels to the next ``horizon`` steps of all channels.

Values are standardised by the mean and deviation of the training part, over what was observed. The split is the field's, by time: the first
70 % train, the last 20 % test (ETT: 12 and 4 months, https://arxiv.org/abs/2012.07436); the part between them is the field's validation
set and is in neither here. Training windows lie wholly in the training part. Of test windows the targets lie wholly in the test part, and the
inputs may reach back before it. Every figure is on standardised data, as the field reports it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tbn.errors import TBNError
from tbn.tasks.base import Task, check_whole, data_root
from tbn.tasks.naive_forecasts import naive_forecasts
from tbn.tasks.series import Series, embedded_series, find, read

MOST_STEPS = 1_000_000  # of a window; catches a slip, and not the memory's limit
UCI = "UCI Machine Learning Repository, CC BY 4.0"


class Windows:
    """Windows of a series, cut when asked for: they overlap, and take no memory of their own.

    Args:
        series: (steps, channels).
        length: steps of a window.
        stride: steps from one window to the next.
    """

    def __init__(self, series: NDArray[np.float32], length: int, stride: int = 1) -> None:
        self._view = sliding_window_view(series, length, axis=0).transpose(0, 2, 1)[::stride]

    @property
    def shape(self) -> tuple[int, ...]:
        """(windows, length, channels)."""
        return self._view.shape

    def __len__(self) -> int:
        return len(self._view)

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        windows: NDArray[np.float32] = np.array(self._view[index], order="C")  # a copy, that the caller may write to
        return windows

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:] if dtype is None else self[:].astype(dtype)


def with_gaps(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a network sees of a series: gaps are never silently zero.

    Args:
        values: (steps, channels), NaN where unknown.

    Returns:
        of a series without gaps, ``values``; else (steps, 2 * channels): the values with 0, the mean, for NaN, then a mask, 1 where a value was
        observed and 0 where not.
    """
    unknown = np.isnan(values)
    if not unknown.any():
        return values
    return np.concatenate([np.where(unknown, np.float32(0), values), (~unknown).astype(np.float32)], axis=1)


@dataclass(frozen=True)
class Split:
    """Where the parts of a series lie: training is [0, train), test is [test, end).

    Attributes:
        train, test, end: in steps.
        text: the split in words.
    """

    train: int
    test: int
    end: int
    text: str


def split_of(file: str, steps: int) -> Split:
    """The field's split: by months of 30 days for ETTh1, ETTh2 (hourly), ETTm1 and ETTm2 (quarters of an hour), else 70/10/20."""
    hours = {"etth": 1, "ettm": 4}.get(file[:4].lower())
    if hours is None:
        test = int(steps * 0.2)
        return Split(int(steps * 0.7), steps - test, steps, "trained on the first 70 %, tested on the last 20 %")
    month = 30 * 24 * hours
    if steps < 20 * month:
        raise TBNError(
            f"{file} has {steps:,} steps, ETT's split of 12, 4 and 4 months takes {20 * month:,}",
            "fetch the whole file, or give your own another name: it is then split 70/10/20",
        )
    return Split(12 * month, 16 * month, 20 * month, "trained on months 1 to 12, tested on months 17 to 20")


def standardised(series: Series, split: Split) -> NDArray[np.float32]:
    """(values - mean) / deviation, both of the training part's observed values; NaN stays. A channel that is constant there is only centred.

    Raises:
        TBNError: a channel without any value in the training part.
    """
    part = series.values[: split.train]
    empty = np.isnan(part).all(axis=0)
    if empty.any():
        name = series.channels[int(empty.argmax())]
        raise TBNError(f"channel {name!r} has no value in the training part", "drop its column")
    constant = np.nanmax(part, axis=0) == np.nanmin(part, axis=0)
    deviation = np.where(constant, 1.0, np.nanstd(part, axis=0))
    values: NDArray[np.float64] = (series.values - np.nanmean(part, axis=0)) / deviation
    return values.astype(np.float32)


def forecast_task(
    name: str, series: Series, split: Split, credit: str, lookback: int, horizon: int, stride: int
) -> Task:
    """The task of forecasting a series.

    Raises:
        TBNError: an option that is no positive whole number, a series too short for one window, or nothing to test on.
    """
    for option, steps in (("lookback", lookback), ("horizon", horizon), ("stride", stride)):
        check_whole(option, steps, 1, MOST_STEPS)
    _check_fit(split, lookback, horizon)
    values = standardised(series, split)
    if np.isnan(values[split.test : split.end]).all():
        raise TBNError("the test part has no values at all", "add rows, or cut the empty end off")
    seen = with_gaps(values)
    targets = Windows(values[split.test : split.end], horizon, stride)
    starts = split.test + stride * np.arange(len(targets))
    every = "" if stride == 1 else f" (one window in {stride})"
    return Task(
        name,
        "forecasting",
        f"{series.source}, {split.text}{every}",
        series.channels,
        Windows(seen[: split.train - horizon], lookback),
        Windows(values[lookback : split.train], horizon),
        Windows(seen[split.test - lookback : split.end - horizon], lookback, stride),
        targets,
        1.0,
        0.0,
        credit,
        baselines=lambda: naive_forecasts(values, split.train, starts, lookback, horizon, series.season),
    )


def _check_fit(split: Split, lookback: int, horizon: int) -> None:
    tested = split.end - split.test
    if lookback + horizon > split.train or horizon > tested:
        most = min(horizon, tested, split.train - 1)
        raise TBNError(
            f"lookback {lookback} and horizon {horizon} do not fit: the training part has {split.train:,} steps, the test part {tested:,}",
            f"take at most lookback={min(lookback, split.train - most)} and horizon={most}" if most > 0 else "add rows",
        )


def _embedded(name: str, file: str, credit: str, lookback: int, horizon: int, stride: int) -> Task:
    """A task whose full set comes with the package: it is used whatever ``root`` and ``data`` say."""
    series = embedded_series(file)
    return forecast_task(name, series, split_of(file, len(series.values)), credit, lookback, horizon, stride)


def appliances(root: Path | None, data: str, lookback: int = 96, horizon: int = 96, stride: int = 1) -> Task:
    """UCI Appliances Energy: a house's climate and power, 26 channels every 10 minutes, no gaps. The full set comes with the package.

    Args:
        root, data: not needed.
        lookback, horizon: steps of the input and of the forecast.
        stride: steps from one test window to the next; the field takes 1, more is quicker to evaluate and not quite comparable.
    """
    credit = f"Candanedo, Feldheim, Deramaix, Appliances Energy Prediction, {UCI}; without its two random columns"
    return _embedded("appliances", "appliances_energy_10min", credit, lookback, horizon, stride)


def beijing(root: Path | None, data: str, lookback: int = 96, horizon: int = 96, stride: int = 1) -> Task:
    """UCI Beijing PM2.5: fine dust and weather, 7 channels hourly; 2,067 hours of dust are missing. The full set comes with the package.

    Args: as of ``appliances``.
    """
    credit = f"Chen, Beijing PM2.5, {UCI}; without the wind's direction"
    return _embedded("beijing", "beijing_pm25_hourly", credit, lookback, horizon, stride)


def household(root: Path | None, data: str, lookback: int = 96, horizon: int = 96, stride: int = 1) -> Task:
    """UCI Household Power: a household's power and voltage, 7 channels, hourly means; 421 hours are missing. The full set comes with the package.

    Args: as of ``appliances``.
    """
    credit = f"Hebrail, Berard, Individual Household Electric Power Consumption, {UCI}; hourly means"
    return _embedded("household", "household_power_hourly", credit, lookback, horizon, stride)


def csv_forecast(
    root: Path | None,
    data: str,
    file: str | Path | None = None,
    lookback: int = 96,
    horizon: int = 96,
    stride: int = 1,
    season: int | None = None,
) -> Task:
    """A series of your own, or one of the field's (ETT, ECL, Traffic, Weather, LSTNet's): see ``tbn.tasks.series`` for the files.

    Args:
        root, file: the file's path, or its name in ``root`` or a folder in it.
        data: "embedded" is an error, for nothing comes with the package.
        lookback, horizon, stride: as of ``appliances``.
        season: steps of a season, for the seasonal baseline; by default a day, of daily values a week, where the file has dates.
    """
    if data == "embedded":
        raise TBNError("csv_forecast reads a file of yours: nothing comes with the package", "leave data=embedded out")
    path = find(file, data_root(root))
    series = read(path)
    if season is not None:
        check_whole("season", season, 1, MOST_STEPS)
        series = replace(series, season=season)
    split = split_of(path.name, len(series.values))
    return forecast_task(
        "csv_forecast", series, split, f"{path.name}; see where it comes from", lookback, horizon, stride
    )
