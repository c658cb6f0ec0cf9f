"""The integer network in numpy, exactly: what the C code has to answer, bit for bit.

Sums are made by products of floats, float32 only where they stay below 2**24 and so are exact; everything is checked to fit into int32.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tbn.errors import TBNError
from tbn.integer.network import (
    Add,
    Affine,
    Codes,
    Fold,
    IntegerNetwork,
    Layer,
    MaxPool,
    Norm,
    Operation,
    Product,
    Swap,
    Table,
    Window,
)
from tbn.integer.scaling import by_piece

BATCH = 64  # samples at a time: patches of a convolution take memory
Integers = NDArray[np.int64]
Bytes = NDArray[np.uint8]


def run(network: IntegerNetwork, inputs: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Outputs (samples, outputs) int32 of raw inputs (samples, *input shape) uint8.

    Raises:
        TBNError: the inputs are not uint8 of that shape.
        OverflowError: a sum left int32 (a network that ``quantise`` made cannot do that).
    """
    shape = network.tensors[0].shape
    if inputs.dtype != np.uint8 or inputs.shape[1:] != shape or not len(inputs):
        raise TBNError(
            f"an integer network got {inputs.dtype} of shape {inputs.shape}",
            f"give it raw uint8 inputs, (samples, {', '.join(map(str, shape))})",
        )
    return np.concatenate([_run(network, inputs[start : start + BATCH]) for start in range(0, len(inputs), BATCH)])


def _run(network: IntegerNetwork, inputs: Bytes) -> NDArray[np.int32]:
    values: dict[int, NDArray[np.integer]] = {0: inputs}
    for operation in network.operations:
        codes = network.tensors[operation.source]
        values[operation.target] = _apply(operation, codes, values, network.tensors)
    return values[-1].astype(np.int32)


def _apply(
    operation: Operation, codes: Codes, values: dict[int, NDArray[np.integer]], tensors: tuple[Codes, ...]
) -> NDArray[np.integer]:
    given = values[operation.source].astype(np.int64)
    shape = (len(given), *(tensors[operation.target].shape if operation.target >= 0 else ()))
    if isinstance(operation, Table):
        found: Bytes = operation.table[given].reshape(shape)
        return found
    if isinstance(operation, Layer):
        return _layer(operation, given, codes, tensors)
    if isinstance(operation, Add):
        other = values[operation.other].astype(np.int64)
        total = given * operation.multiplier + other.reshape(given.shape) * operation.other_multiplier + operation.bias
        return _clip(total, operation.shift, operation.low, operation.high).reshape(shape)
    if isinstance(operation, Affine):
        part = operation.scaling
        channels = (given - operation.zero).reshape(len(given), len(part.multipliers), -1)
        biases = part.biases.astype(np.int64)[:, None] << part.bias_shift
        total = channels * part.multipliers.astype(np.int64)[:, None] + biases
        return _clip(total, part.shift, part.low, part.high).reshape(shape)
    if isinstance(operation, Norm):
        return _norm(operation, given).reshape(shape)
    if isinstance(operation, Swap):
        axes = operation.outer, operation.rows, operation.columns, operation.inner
        return given.reshape(-1, *axes).swapaxes(2, 3).reshape(shape)
    if isinstance(operation, Fold):
        return _clip(operation.totals(given), operation.shift, operation.low, operation.high).reshape(shape)
    if isinstance(operation, Product):
        return _product(operation, given, values[operation.other].astype(np.int64)).reshape(shape)
    space = tensors[operation.target].image[1:]
    image = given.reshape(-1, *codes.image)
    if isinstance(operation, MaxPool):
        largest: Integers = windows(image, operation.window, space, -1).max((4, 5))
        return largest.reshape(shape)
    sums = (windows(image, operation.window, space, 0) - operation.zero).sum((4, 5))
    total = sums * operation.multiplier + operation.bias
    return _clip(total, operation.shift, operation.low, operation.high).reshape(shape)


def _layer(layer: Layer, given: Integers, codes: Codes, tensors: tuple[Codes, ...]) -> NDArray[np.integer]:
    """(samples, *input shape) -> (samples, outputs) or (samples, channels, *space)."""
    samples = len(given)
    centred = given - layer.zero
    if layer.window is None:
        patches = centred.reshape(samples, layer.positions, 1, -1)
    else:
        space = (codes if layer.largest else tensors[layer.target]).image[1:]
        cut = windows(centred.reshape(samples, *codes.image), layer.window, space, 0)  # (N, C, h, w, kh, kw)
        patches = cut.transpose(0, 2, 3, 1, 4, 5).reshape(samples, space[0] * space[1], layer.groups, -1)
    reach = 255 * int(np.abs(layer.weights.matrix).sum(1, dtype=np.int64).max())
    exact = np.dtype(np.float32 if reach < 2**24 else np.float64)
    matrix: NDArray[np.floating] = layer.weights.matrix.astype(exact)
    groups = [piece.row // (layer.weights.distinct_rows // layer.groups) for piece in layer.weights.pieces]
    sums = np.empty((*patches.shape[:2], len(matrix)), np.int64)
    for group in range(layer.groups):
        own = np.flatnonzero(np.array(groups) == group)
        sums[:, :, own] = np.matmul(patches[:, :, group].astype(exact), matrix[own].T)
    total = scaled(layer, sums)  # (N, positions, outputs)
    if layer.weights.interleaved:
        total = total.reshape(*total.shape[:2], layer.weights.copies, -1).swapaxes(2, 3).reshape(total.shape)
    if layer.target < 0:
        return total.reshape(samples, -1)
    part = layer.scaling
    found = _clip(total, part.shift, part.low, part.high)
    if layer.largest:
        found = found.max(1)
    elif layer.window is not None:
        found = found.transpose(0, 2, 1)
    return found.reshape(samples, *tensors[layer.target].shape)


def scaled(layer: Layer, sums: Integers) -> Integers:
    """(..., pieces) sums to (..., outputs) before the last shift; every step is checked to fit."""
    part = layer.scaling
    multipliers, biases = by_piece(layer)
    starts = np.flatnonzero(np.diff([piece.row for piece in layer.weights.pieces], prepend=-1))
    short = _within(_within(sums, 32) >> part.sum_shift, 16)
    products = short[..., None, :] * multipliers
    total = np.add.reduceat(products, starts, axis=-1).reshape(*sums.shape[:-1], -1) + biases
    return _within(total, 32)


def _norm(norm: Norm, given: Integers) -> Bytes:
    """(samples, ...) to (samples, positions, n)."""
    part = norm.scaling
    count = len(part.multipliers)
    codes = given.reshape(len(given), -1, count)
    total = codes.sum(2, keepdims=True)
    spread = np.maximum(count * (codes * codes).sum(2, keepdims=True) - total * total + norm.epsilon, 1)
    if spread.max() >= 2**32:
        raise OverflowError("a sum of squares left 32 bits")
    steps = np.zeros_like(spread)
    while (small := spread < 2**30).any():
        spread, steps = np.where(small, spread << 2, spread), steps + small
    root = np.floor(np.sqrt(spread.astype(np.float64))).astype(np.int64)
    value = _within((((count * codes - total) << steps) >> 5) * (2**30 // root), 32) >> 15
    total = _within(value, 16) * part.multipliers.astype(np.int64) + (part.biases.astype(np.int64) << part.bias_shift)
    return _clip(total, part.shift, part.low, part.high)


def _product(product: Product, left: Integers, right: Integers) -> Bytes:
    """(samples, rows, columns); the floats are exact: sums stay below 2**53."""
    part = product.scaling
    one = (left.reshape(-1, product.rows, product.inner) - product.zero).astype(np.float64)
    two = (right.reshape(-1, product.inner, product.columns) - product.other_zero).astype(np.float64)
    short = _within(_within(np.matmul(one, two).astype(np.int64), 32) >> part.sum_shift, 16)
    total = short * int(part.multipliers[0]) + (int(part.biases[0]) << part.bias_shift)
    return _clip(total, part.shift, part.low, part.high)


def windows(image: Integers, window: Window, space: tuple[int, int], padding: int) -> Integers:
    """(N, C, H, W) to what lies under each window, (N, C, *space, *kernel)."""
    (top, left), (rows, columns) = window.before, image.shape[2:]
    ends = [
        max(0, (count - 1) * step + dilation * (kernel - 1) + 1 - before - size)
        for count, step, dilation, kernel, before, size in zip(
            space, window.stride, window.dilation, window.kernel, window.before, (rows, columns), strict=True
        )
    ]
    framed = np.pad(image, ((0, 0), (0, 0), (top, ends[0]), (left, ends[1])), constant_values=padding)
    spread = tuple(dilation * (kernel - 1) + 1 for dilation, kernel in zip(window.dilation, window.kernel, strict=True))
    cut = np.lib.stride_tricks.sliding_window_view(framed, spread, (2, 3))
    cut = cut[:, :, :: window.stride[0], :: window.stride[1], :: window.dilation[0], :: window.dilation[1]]
    return cut[:, :, : space[0], : space[1]]


def _clip(total: Integers, shift: int, low: int, high: int) -> Bytes:
    codes: Bytes = np.clip(_within(total, 32) >> shift, low, high).astype(np.uint8)
    return codes


def _within(values: Integers, bits: int) -> Integers:
    limit = 2 ** (bits - 1)
    if values.size and (values.max() >= limit or values.min() < -limit):
        raise OverflowError(f"a sum left int{bits}")
    return values
