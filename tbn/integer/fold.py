"""Inputs that meet equal signs, added up before they are multiplied: what stands before a layer in the order "inputs". Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tbn.errors import TBNError
from tbn.integer.weights import Shorts

INT16, INT32 = 2**15 - 1, 2**31 - 1
LARGEST_SHIFT = 24


@dataclass(frozen=True)
class Fold:
    """Codes of shape (outer, copies, inner) become (outer, inner).

    ``clip((sum over copies of (code - zero) * multiplier[copy] + bias) >> shift, low, high)``, all int32.
    """

    name: str
    source: int
    target: int
    zero: int
    outer: int
    copies: int
    inner: int
    multipliers: Shorts
    bias: int
    shift: int
    low: int = 0
    high: int = 255

    def totals(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """(samples, ...) codes to (samples, outer, inner) before the shift."""
        parts = codes.reshape(len(codes), self.outer, self.copies, self.inner) - self.zero
        found: NDArray[np.int64] = np.einsum("noci,c->noi", parts, self.multipliers.astype(np.int64)) + self.bias
        return found


def fixed_point(name: str, factors: NDArray[np.float64], zero: int, shift_of: float) -> tuple[Shorts, int, int]:
    """Multipliers, bias (with half a step) and shift of ``sum of factor * (code - zero) + shift_of``, so that nothing leaves int32."""
    for shift in range(LARGEST_SHIFT, -1, -1):
        multipliers = np.rint(factors * 2.0**shift)
        bias = round((shift_of + 0.5) * 2**shift)
        reach = max(zero, 255 - zero) * np.abs(multipliers).sum() + abs(bias)
        if np.abs(multipliers).max() <= INT16 and reach <= INT32:
            return multipliers.astype(np.int16), bias, shift
    raise TBNError(
        f"the sums of the inputs of '{name}' have a range that is too small",
        "calibrate on inputs like those of the task",
    )
