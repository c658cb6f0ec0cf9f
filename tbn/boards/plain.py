"""An integer network as plain float32 C: what ``tbn bench mcu`` compares with. Nothing else uses it.

Values are in units of the integer network's steps, so both answer nearly the same numbers and the comparison can be checked. Two kinds:
"plain" takes every weight out of the tile bit by bit and multiplies it with its alpha and its input, for all rows of all copies; "fp32" has
every weight as a float.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

import numpy as np
from numpy.typing import NDArray

from tbn.errors import TBNError
from tbn.integer.network import AveragePool, IntegerNetwork, Layer, MaxPool, Operation, Window
from tbn.integer.scaling import by_piece
from tbn.integer.weights import Signs

KINDS = ("plain", "fp32")
Floats = NDArray[np.float64]


def plain_source(network: IntegerNetwork, kind: str) -> str:
    """C source with ``tbn_plain_run(const uint8_t *input, float *outputs)``; memory between operations is static.

    Raises:
        TBNError: there is an operation that plain loops do not have.
    """
    sizes = [prod(tensor.shape) for tensor in network.tensors]
    patch = max((op.weights.row_length * op.groups for op in network.layers if op.window is not None), default=1)
    lines = ['#include "tbn_plain.h"', "", f"static float buffers[2][{max(sizes)}], patch[{patch}];"]
    calls = [f"    tbn_plain_input(input, {sizes[0]}, {_float(network.tensors[0].zero)}, buffers[0]);"]
    for number, operation in enumerate(network.operations):
        declared, call = _operation(network, operation, number, kind)
        lines += declared
        calls.append(f"    {call}")
    body = ["", "void tbn_plain_run(const uint8_t *input, float *outputs)", "{", "    (void)patch;", *calls, "}", ""]
    return "\n".join([*lines, *body])


def _operation(network: IntegerNetwork, operation: Operation, number: int, kind: str) -> tuple[list[str], str]:
    """Constants of an operation, and its call; operations follow each other, each from one buffer into the other."""
    given, name = f"buffers[{number % 2}]", f"op_{number}"
    target = "outputs" if operation.target < 0 else f"buffers[{(number + 1) % 2}]"
    if operation.source != (network.operations[number - 1].target if number else 0) or not isinstance(
        operation, Layer | MaxPool | AveragePool
    ):
        raise TBNError(f"there is no plain loop for '{operation.name}'", "compare a chain of layers and poolings")
    if isinstance(operation, Layer) and operation.window is None:
        return _layer(network, operation, name, kind), f"tbn_plain_fully_connected(&{name}, {given}, {target});"
    window = operation.window
    assert window is not None
    shapes = [f"{name}_from", f"{name}_to"]
    declared = [_constant("tbn_window", f"{name}_window", _window(window))]
    for shape, tensor in zip(shapes, (operation.source, operation.target), strict=True):
        declared.append(_constant("tbn_image", shape, network.tensors[tensor].image))
    beginning, end = f"(&{name}_window, {given}, &{shapes[0]}, ", f"{target}, &{shapes[1]}"
    if isinstance(operation, Layer):
        call = f"tbn_plain_conv2d(&{name}, &{name}_window, {given}, &{shapes[0]}, {end}, patch);"
        return [*_layer(network, operation, name, kind), *declared], call
    if isinstance(operation, MaxPool):
        return declared, f"tbn_plain_max_pool{beginning}{end});"
    unit = 2.0**operation.shift
    bias = operation.bias / unit - 0.5 - network.tensors[operation.target].zero
    return declared, f"tbn_plain_average_pool{beginning}{_float(operation.multiplier / unit)}, {_float(bias)}, {end});"


def _layer(network: IntegerNetwork, layer: Layer, name: str, kind: str) -> list[str]:
    """Arrays and constant of a layer, its multipliers and shifts as factors."""
    weights, part = layer.weights, layer.scaling
    multipliers, biases = by_piece(layer)
    if weights.cut or layer.positions != 1 or layer.largest:
        raise TBNError(f"there is no plain loop for '{layer.name}'", "choose p so that it divides the layers' rows")
    unit = 2.0**part.shift
    alphas: Floats = (multipliers / unit / 2.0**part.sum_shift).reshape(-1)
    rounding = (2.0**part.sum_shift - 1) / 2 * alphas  # sums are rounded down, outputs as well
    below = 0.0 if layer.target < 0 else 0.5 + network.tensors[layer.target].zero
    bias: Floats = biases / unit - rounding - below
    signs = weights if kind == "plain" and isinstance(weights, Signs) else None
    declared = [_array("float", f"{name}_bias", bias)]
    if signs is not None:
        declared += [_array("uint8_t", f"{name}_tile", signs.tile), _array("float", f"{name}_alphas", alphas)]
    else:
        matrix = np.tile(weights.matrix.astype(np.float64), (weights.copies, 1)) * alphas[:, None]
        declared.append(_array("float", f"{name}_weights", matrix))
    arrays = [f"{name}_tile", "NULL", f"{name}_alphas"] if signs is not None else ["NULL", f"{name}_weights", "NULL"]
    sizes = (weights.rows, weights.row_length, weights.tile_length, layer.groups)
    return [*declared, _constant("tbn_plain_layer", name, [*sizes, *arrays, f"{name}_bias", int(layer.relu)])]


def _window(window: Window) -> list[int]:
    return [*window.kernel, *window.stride, *window.before, *window.dilation]


def _constant(kind: str, name: str, values: Iterable[object]) -> str:
    return f"static const {kind} {name} = {{{', '.join(map(str, values))}}};"


def _array(kind: str, name: str, values: NDArray[np.generic]) -> str:
    flat = values.reshape(-1).tolist()
    words = [_float(value) if kind == "float" else str(value) for value in flat]
    return f"static const {kind} {name}[{len(words)}] = {{{', '.join(words)}}};"


def _float(value: float) -> str:
    return f"{value:.9e}f"
