"""Fixed-point numbers for a layer: the largest shift at which nothing can leave int32, whatever the input. Needs no torch.

Bounds are of the worst input, not of a calibration set: a sum of n signs times codes of 0..255 lies between known limits.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tbn.errors import TBNError
from tbn.integer.network import Layer
from tbn.integer.weights import Scaling, Shorts, Signs, Weights

INT16, INT32 = 2**15 - 1, 2**31 - 1
LARGEST_SHIFT = 30
SAME_BIAS = 0.25  # biases within this part of an output step are stored as one
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def sum_limits(weights: Signs | Weights, zero: int) -> tuple[Integers, Integers]:
    """Smallest and largest sum of each piece, (pieces,), over all codes; ``zero`` is the input's zero point."""
    matrix = weights.matrix.astype(np.int64)
    positive, negative = np.maximum(matrix, 0).sum(1), np.maximum(-matrix, 0).sum(1)
    return -zero * positive - (255 - zero) * negative, (255 - zero) * positive + zero * negative


def sum_shift(lowest: Integers, highest: Integers) -> int:
    """The smallest shift that brings every sum into int16."""
    shift = 0
    while int(highest.max()) >> shift > INT16 or int(lowest.min()) >> shift < -INT16 - 1:
        shift += 1
    return shift


def scaling(
    name: str,
    factors: Floats,
    biases: Floats,
    limits: tuple[Integers, Integers],
    rows: tuple[int, ...],
    zero: int | None,
    clip: tuple[int, int] = (0, 255),
) -> tuple[Scaling, float]:
    """The scaling of a layer, and the step of its outputs.

    Args:
        name: of the layer, for messages.
        factors: (copies, pieces) what a sum is worth: in codes of the output, or in float outputs of a network's last layer.
        biases: (copies * R,) in the same unit, without the zero point.
        limits: lowest and highest sum of each piece, (pieces,).
        rows: the row of each piece.
        zero: zero point of the output; None for the last layer.
        clip: the smallest and largest code.

    Returns:
        the scaling (every piece of every copy its multiplier, every output its bias; see ``stored``), and the output step: 1, or what 1 of
        the last layer's int32 stands for.

    Raises:
        TBNError: the outputs' range is so small against the sums that no fixed-point number holds their quotient.
    """
    lowest, highest = limits
    first = sum_shift(lowest, highest)
    bounds = np.maximum(-(lowest >> first), highest >> first)
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    largest = float(np.abs(factors).max()) * 2.0**first
    # half a step for the sums' rounding down, half a step for the output's
    middle = np.add.reduceat(factors, starts, axis=1).reshape(-1) * ((2.0**first - 1) / 2)
    centre = biases + middle + (0.5 + zero if zero is not None else 0)
    for shift in range(LARGEST_SHIFT, -1, -1):
        unit = 2.0**shift if zero is not None else 2.0**shift / max(largest, 1e-30) * INT16 / 2.0**LARGEST_SHIFT
        multipliers = np.rint(factors * 2.0**first * unit)
        reach = np.add.reduceat(np.abs(multipliers) * bounds, starts, axis=1).reshape(-1)
        wanted = centre * unit
        if zero is not None:  # a bias beyond this saturates the output all the same
            wanted = np.clip(wanted, -reach, reach + 256 * unit)
        if np.abs(multipliers).max() > INT16 or (reach + np.abs(wanted)).max() > INT32 - 2**15:
            continue
        stored, bias_shift = short_biases(wanted)
        if (reach + np.abs(stored.astype(np.int64) << bias_shift)).max() > INT32:
            continue
        if zero is not None and bias_shift > max(shift - 1, 0):
            break
        clipped = clip if zero is not None else (0, 255)
        result = Scaling(
            first, multipliers.astype(np.int16), stored, bias_shift, shift if zero is not None else 0, *clipped
        )
        return result, 1.0 if zero is not None else 1 / unit
    raise TBNError(
        f"the outputs of '{name}' have a range that is too small for its sums",
        "calibrate on inputs like those of the task",
    )


def short_biases(wanted: Floats) -> tuple[Shorts, int]:
    """Biases as int16 and the shift that they share: the nearest multiples of ``1 << shift``."""
    shift = 0
    while np.abs(np.rint(wanted / 2.0**shift)).max() > INT16:
        shift += 1
    return np.rint(wanted / 2.0**shift).astype(np.int16), shift


def stored(scaling: Scaling, weights: Signs | Weights) -> Scaling:
    """The scaling without repetitions: one multiplier for the layer or a tile where they are equal, one bias where all lie close together."""
    pieces = weights.pieces
    multipliers = scaling.multipliers.reshape(weights.copies, len(pieces))
    tiles = weights.tiles // weights.copies
    of_tile = np.zeros((weights.copies, tiles), np.int16)
    for number, piece in enumerate(pieces):
        of_tile[:, piece.tile] = multipliers[:, number]
    if (multipliers == multipliers[0, 0]).all():
        multipliers = multipliers[:1, :1]
    elif of_tile.size < multipliers.size and all(
        (multipliers[:, number] == of_tile[:, piece.tile]).all() for number, piece in enumerate(pieces)
    ):
        multipliers = of_tile
    wanted = scaling.biases.astype(np.float64) * 2.0**scaling.bias_shift
    biases, shift = scaling.biases, scaling.bias_shift
    if np.ptp(wanted) / 2 <= (SAME_BIAS * 2.0**scaling.shift if scaling.shift else 0):
        biases, shift = short_biases(np.array([(wanted.max() + wanted.min()) / 2]))
    return replace(scaling, multipliers=multipliers.reshape(-1), biases=biases, bias_shift=shift)


def by_piece(layer: Layer) -> tuple[Integers, Integers]:
    """Multipliers (copies, pieces) and biases (outputs,) of a layer, int64, each where it is used."""
    weights, found = layer.weights, layer.scaling.multipliers.astype(np.int64)
    shape = (weights.copies, len(weights.pieces))
    if found.size == 1:
        multipliers = np.broadcast_to(found, shape)
    elif found.size == shape[0] * shape[1]:
        multipliers = found.reshape(shape)
    else:
        of_tile = found.reshape(weights.copies, -1)
        multipliers = of_tile[:, [piece.tile for piece in weights.pieces]]
    biases = np.broadcast_to(layer.scaling.biases.astype(np.int64) << layer.scaling.bias_shift, (weights.rows,))
    return multipliers, biases
