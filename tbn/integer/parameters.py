"""A layer's own numbers on their way into integers: weights and factors, limits as codes, fixed-point sums of a few terms."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tbn.errors import TBNError
from tbn.integer.network import Codes, Signs, Weights
from tbn.integer.scaling import INT32
from tbn.integer.steps import Step
from tbn.packed import PackedLayer

LARGEST_SHIFT = 24  # of sums of two and of averages
Floats = NDArray[np.float64]


def weights_of(layer: Any) -> tuple[Signs | Weights, Floats]:
    """What a layer multiplies with, and (copies, pieces) float64 what a sum of it is worth."""
    if isinstance(layer, PackedLayer):
        if layer.order != "rows" and layer.p > 1:
            raise TBNError(
                f"a layer's blocks lie in the order {layer.order!r}, and integer networks read 'rows'",
                "train with order='rows' for integers, or use another engine",
            )
        geometry, alphas = layer.geometry, finite("alphas", layer.alphas)
        rows = geometry.distinct_rows if layer.share else geometry.rows
        cut = alphas.size > 1 and geometry.tile_length % geometry.row_length != 0
        tile = layer.tile.cpu().numpy().copy()
        signs = Signs(geometry.rows, geometry.row_length, rows, geometry.tile_length, cut, tile)
        tiles = np.array([piece.tile for piece in signs.pieces])
        of_row = np.array([piece.row for piece in signs.pieces])
        copies = np.arange(signs.copies)[:, None]
        factors = alphas[
            copies * (signs.tiles // signs.copies) + tiles if alphas.size > 1 else np.zeros_like(copies + tiles)
        ]
        if layer.gain is not None:
            factors = factors * finite("gain", layer.gain)[copies * rows + of_row]
        return signs, factors
    weight = finite("weight", layer.weight).reshape(len(layer.weight), -1)
    steps = np.maximum(np.abs(weight).max(1), 1e-30) / 127
    return Weights(np.rint(weight / steps[:, None]).astype(np.int8)), steps[None]


def finite(name: str, values: torch.Tensor) -> Floats:
    """A parameter as float64.

    Raises:
        TBNError: some of it is not finite.
    """
    array: Floats = values.detach().double().cpu().numpy()
    if not np.isfinite(array).all():
        raise TBNError(f"'{name}' holds numbers that are not finite", "train the run again with a lower learning rate")
    return array


def clip_codes(step: Step, codes: Codes) -> tuple[int, int]:
    """The smallest and largest code of a step."""
    if step.clip is None:
        return 0, 255
    low, high = (codes.zero + (limit / codes.scale if np.isfinite(limit) else 255) for limit in step.clip)
    return max(0, round(low)), min(255, round(high))


def linear(factors: list[float], limits: list[int], bias: float) -> tuple[list[int], int, int]:
    """Multipliers, bias (with half a step) and shift of ``sum of factor * value + bias``, so that |value| <= limit stays in int32."""
    for shift in range(LARGEST_SHIFT, -1, -1):
        multipliers = [round(factor * 2**shift) for factor in factors]
        constant = round((bias + 0.5) * 2**shift)
        if sum(m * limit for m, limit in zip(multipliers, limits, strict=True)) + abs(constant) <= INT32:
            return multipliers, constant, shift
    raise TBNError("a sum has terms of scales that are too far apart", "calibrate on inputs like those of the task")
