"""A classifier's int32 outputs as shares of 65535: the softmax as the C code computes it, exactly. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, e, log2

import numpy as np
from numpy.typing import NDArray

BEYOND = 17 * 256  # 256ths of a halving, behind which 65535 has become 0
POWERS = np.rint(65535 * 2.0 ** (-np.arange(17) / 16)).astype(np.int64)


@dataclass(frozen=True)
class Rate:
    """``tbn_integer_rate``: an output d below the largest is ``((d >> before) * factor) >> behind`` 256ths of a halving below it."""

    factor: int
    beyond: int
    before: int
    behind: int


def rate_of(output_scale: float) -> Rate:
    """The rate for outputs of which 1 stands for ``output_scale``; factors have 16 bits."""
    rate = max(output_scale * log2(e) * 256, 1e-12)
    beyond = min(2**32 - 1, ceil(BEYOND / rate))
    before = max(0, beyond.bit_length() - 15)
    behind = max((k for k in range(32) if round(rate * 2 ** (before + k)) <= 65535), default=0)
    return Rate(min(65535, round(rate * 2 ** (before + behind))), beyond, before, behind)


def shares(outputs: NDArray[np.int32], output_scale: float) -> NDArray[np.uint16]:
    """(samples, classes) int32 to the softmax's shares of 65535, each rounded down."""
    rate = rate_of(output_scale)
    values = outputs.astype(np.int64)
    below = values.max(1, keepdims=True) - values
    t = np.where(
        below >= rate.beyond, BEYOND, ((np.minimum(below, rate.beyond) >> rate.before) * rate.factor) >> rate.behind
    )
    place, rest = (t & 255) >> 4, t & 15
    high, low = POWERS[place], POWERS[place + 1]
    weights = np.where(t >= BEYOND, 0, (high - (((high - low) * rest) >> 4)) >> np.minimum(t >> 8, 31))
    found: NDArray[np.uint16] = (weights * 65535 // weights.sum(1, keepdims=True)).astype(np.uint16)
    return found
