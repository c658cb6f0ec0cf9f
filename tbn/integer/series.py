"""What a device's host does around a forecast: it takes each window's mean and deviation off, channel by channel, and puts them back on.

The device then forecasts one channel at a time. This is ``tbn.models.forecaster`` in numpy; it needs no torch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SERIES, MASKED_SERIES = (
    "series",
    "masked series",
)  # ``IntegerNetwork.front``: every value observed; a mask behind the values
SMALLEST_VARIANCE = 1e-5  # as in tbn.models.forecaster
Floats = NDArray[np.float64]


def standardised(windows: NDArray[Any], front: str) -> Floats:
    """Windows (samples, lookback, channels, or twice as many) as the device's inputs, (samples * channels, lookback, or twice that)."""
    values, observed, mean, deviation = _statistics(windows, front)
    series = (values - mean) * observed / deviation
    if front == MASKED_SERIES:
        series = np.concatenate([series, observed], axis=2)
    return series.reshape(-1, series.shape[2])


def forecasts(outputs: NDArray[Any], windows: NDArray[Any], front: str) -> Floats:
    """The device's outputs (samples * channels, horizon) as forecasts (samples, horizon, channels)."""
    _, _, mean, deviation = _statistics(windows, front)
    ahead = outputs.reshape(len(windows), -1, outputs.shape[1]).astype(np.float64)
    return (ahead * deviation + mean).transpose(0, 2, 1)


def _statistics(windows: NDArray[Any], front: str) -> tuple[Floats, Floats, Floats, Floats]:
    """Values and what was observed, (samples, channels, lookback); mean and deviation, (samples, channels, 1)."""
    found: Floats = np.asarray(windows).astype(np.float64).transpose(0, 2, 1)
    values, observed = np.split(found, 2, axis=1) if front == MASKED_SERIES else (found, np.ones_like(found))
    count = np.maximum(observed.sum(2, keepdims=True), 1)
    mean = (values * observed).sum(2, keepdims=True) / count
    variance = (np.square(values - mean) * observed).sum(2, keepdims=True) / count
    return values, observed, mean, np.sqrt(variance + SMALLEST_VARIANCE)
