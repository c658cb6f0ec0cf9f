"""A layer's own numbers on their way into integers: weights and factors, limits as codes, fixed-point sums of a few terms."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kernels.orders import roll
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
        geometry, alphas = layer.geometry, finite("alphas", layer.alphas)
        rows = geometry.distinct_rows if layer.share else geometry.rows
        cut = alphas.size > 1 and geometry.tile_length % geometry.row_length != 0
        tile, turn = layer.tile.cpu().numpy().copy(), 0
        if layer.order == "rolled" and layer.p > 1:
            turn = roll(geometry.row_length, layer.p, geometry.tile_length)
            bits = np.unpackbits(tile, bitorder="little")[: geometry.tile_length]
            stored = geometry.tile_length + min(geometry.row_length, geometry.tile_length) - 1
            tile = np.packbits(np.resize(bits, stored), bitorder="little")
        interleaved = layer.order == "interleaved" and rows < geometry.rows
        signs = Signs(geometry.rows, geometry.row_length, rows, geometry.tile_length, cut, tile, interleaved, turn)
        tiles = np.array([piece.tile for piece in signs.pieces])
        of_row = np.array([piece.row for piece in signs.pieces])
        copies = np.arange(signs.copies)[:, None]
        factors = alphas[
            copies * (signs.tiles // signs.copies) + tiles if alphas.size > 1 else np.zeros_like(copies + tiles)
        ]
        if layer.gain is not None:
            factors = factors * in_copies(signs, finite("gain", layer.gain))[copies * rows + of_row]
        return signs, factors
    weight = finite("weight", layer.weight).reshape(len(layer.weight), -1)
    steps = np.maximum(np.abs(weight).max(1), 1e-30) / 127
    return Weights(np.rint(weight / steps[:, None]).astype(np.int8)), steps[None]


def in_copies(weights: Signs | Weights, values: Floats) -> Floats:
    """(outputs,) of a layer as they come: copy after copy, whatever the order of the outputs."""
    return values.reshape(-1, weights.copies).T.reshape(-1) if weights.interleaved else values


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
