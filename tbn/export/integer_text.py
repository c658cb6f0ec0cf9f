"""Operations of an integer network as C: their arrays, their constants and their calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tbn.integer.arena import Arena, uses_block
from tbn.integer.network import (
    Add,
    Affine,
    AveragePool,
    Fold,
    IntegerNetwork,
    Layer,
    MaxPool,
    Norm,
    Operation,
    Product,
    Scaling,
    Signs,
    Swap,
    Window,
)

TYPES = {"uint8": "uint8_t", "int8": "int8_t", "int16": "int16_t"}
Fields = list[tuple[str, Any]]


def symbol_of(number: int, operation: Operation) -> str:
    """Unlike those of all other operations and of their arrays, because of the number."""
    return f"tbn_{number}_{operation.name}"


def _window(operation: Operation) -> Window | None:
    return operation.window if isinstance(operation, Layer | MaxPool | AveragePool) else None


def shapes(network: IntegerNetwork) -> dict[str, Any]:
    """Sizes of the images that operations with windows read and write."""
    needed = sorted(
        {
            tensor
            for operation in network.operations
            if _window(operation) is not None
            for tensor in (operation.source, operation.target)
            if tensor != operation.target or not getattr(operation, "largest", False)
        }
    )
    constants = [
        {
            "type": "tbn_image",
            "symbol": f"tbn_image_{tensor}",
            "fields": list(zip(("channels", "height", "width"), network.tensors[tensor].image, strict=True)),
        }
        for tensor in needed
    ]
    return {"comment": "sizes of the images between operations", "arrays": [], "constants": constants}


def block(number: int, operation: Operation) -> dict[str, Any]:
    """Arrays and constants of an operation."""
    symbol = symbol_of(number, operation)
    single = IntegerNetwork((), (operation,), 0, 0.0)
    arrays = [
        {"type": TYPES[array.dtype.name], "symbol": f"{symbol}_{part}", "count": array.size, "rows": _numbers(array)}
        for _, part, array in single.arrays()
    ]
    constants: list[dict[str, Any]] = []
    if (found := _constant(operation, symbol)) is not None:
        constants.append({"type": found[0], "symbol": symbol, "fields": found[1]})
    if (window := _window(operation)) is not None and not getattr(operation, "largest", False):
        names = ("kernel_height", "kernel_width", "stride_y", "stride_x", "top", "left", "dilation_y", "dilation_x")
        numbers = [size for field in fields(window) for size in getattr(window, field.name)]
        own = [*zip(names, numbers, strict=True)]
        constants.append({"type": "tbn_window", "symbol": f"{symbol}_window", "fields": own})
    return {"comment": _comment(operation), "arrays": arrays, "constants": constants}


def _constant(operation: Operation, symbol: str) -> tuple[str, Fields] | None:
    """The C type of an operation's constant, and its fields; a table, a maximum has none."""
    if isinstance(operation, Layer):
        return "tbn_integer_layer", _layer_fields(operation, symbol)
    if isinstance(operation, Affine):
        own: Fields = [("channels", operation.scaling.multipliers.size), *_arrays(symbol), ("zero", operation.zero)]
        return "tbn_integer_channels", [*own, *_limits(operation.scaling)]
    if isinstance(operation, Norm):
        own = [("count", operation.scaling.multipliers.size), ("epsilon", f"{operation.epsilon}u"), *_arrays(symbol)]
        return "tbn_integer_norm", [*own, *_limits(operation.scaling)]
    if isinstance(operation, Add):
        return "tbn_integer_sum", _named(operation, "multiplier other_multiplier bias shift low high")
    if isinstance(operation, AveragePool):
        return "tbn_integer_average", _named(operation, "multiplier bias zero shift low high")
    if isinstance(operation, Swap):
        return "tbn_axes", _named(operation, "outer rows columns inner")
    if isinstance(operation, Fold):
        own = _named(operation, "outer copies inner bias")
        return "tbn_integer_folding", [
            *own,
            ("multipliers", f"{symbol}_multipliers"),
            *_named(operation, "zero shift low high"),
        ]
    if isinstance(operation, Product):
        part = operation.scaling
        own = [("multiplier", int(part.multipliers[0])), ("bias", int(part.biases[0]) << part.bias_shift)]
        own = [*_named(operation, "rows inner columns"), *own, *_named(operation, "zero other_zero")]
        return "tbn_integer_product", [*own, ("sum_shift", part.sum_shift), *_limits(part)[1:]]
    return None


def _arrays(symbol: str) -> Fields:
    return [("multipliers", f"{symbol}_multipliers"), ("biases", f"{symbol}_biases")]


def _named(thing: Any, names: str) -> Fields:
    return [(name, getattr(thing, name)) for name in names.split()]


def _limits(scaling: Scaling) -> Fields:
    return _named(scaling, "bias_shift shift low high")


def _layer_fields(layer: Layer, symbol: str) -> Fields:
    weights, scaling = layer.weights, layer.scaling
    signs = isinstance(weights, Signs)
    return [
        ("rows", weights.rows), ("row_length", weights.row_length), ("distinct_rows", weights.distinct_rows),
        ("tile_length", weights.tile_length), ("sums", len(weights.pieces)), ("groups", layer.groups),
        ("multiplier_count", scaling.multipliers.size), ("bias_count", scaling.biases.size),
        ("tile", f"{symbol}_tile" if signs else "NULL"), ("weights", "NULL" if signs else f"{symbol}_weights"),
        ("multipliers", f"{symbol}_multipliers"), ("biases", f"{symbol}_biases"), ("zero", layer.zero), ("sum_shift", scaling.sum_shift),
        ("bias_shift", scaling.bias_shift), ("shift", scaling.shift), ("low", scaling.low), ("high", scaling.high),
    ]  # fmt: skip


def _comment(operation: Operation) -> str:
    """One line on what is computed."""
    if not isinstance(operation, Layer):
        return f"{operation.name}: {type(operation).__name__}"
    weights = operation.weights
    kind = "convolution" if operation.window is not None else "fully connected"
    if not isinstance(weights, Signs):
        return f"{operation.name}: {kind}, {weights.rows} x {weights.row_length} int8 weights"
    how = "in blocks of inputs" if uses_block(operation) else "sign by sign"
    order = (
        ", equal rows side by side" if weights.interleaved else f", rolled by {weights.roll}" if weights.roll else ""
    )
    return (
        f"{operation.name}: {kind}, {weights.rows} x {weights.row_length}, a tile of {weights.tile_length} signs, p = {weights.tiles}{order}: "
        f"{weights.distinct_rows} rows computed, {how}"
    )


def call(number: int, operation: Operation, network: IntegerNetwork, arena: Arena) -> str:
    """The C call of an operation."""
    symbol, count = symbol_of(number, operation), network.tensors[operation.source].count
    source, target = _place(operation.source, arena), _place(operation.target, arena)
    shapes = f"{source}, &tbn_image_{operation.source}, {target}, &tbn_image_{operation.target}"
    if isinstance(operation, Layer):
        if operation.weights.ordered:
            return _ordered_call(operation, symbol, source, target, shapes)
        if operation.largest:
            image, rows = f"&tbn_image_{operation.source}", operation.weights.rows
            return f"tbn_integer_largest(&{symbol}, {source}, {image}, {target}, {rows}, &scratch)"
        if operation.window is not None:
            return f"tbn_integer_conv2d(&{symbol}, &{symbol}_window, {shapes}, &scratch)"
        if operation.positions > 1:
            return f"tbn_integer_rows(&{symbol}, {source}, {operation.positions}, {target}, &scratch)"
        name = "outputs" if operation.target < 0 else "fully_connected"
        return f"tbn_integer_{name}(&{symbol}, {source}, {count}, {target}, {operation.weights.rows}, &scratch)"
    if isinstance(operation, MaxPool):
        return f"tbn_integer_max_pool(&{symbol}_window, {shapes})"
    if isinstance(operation, AveragePool):
        return f"tbn_integer_average_pool(&{symbol}, &{symbol}_window, {shapes})"
    if isinstance(operation, Add):
        return f"tbn_integer_add(&{symbol}, {source}, {_place(operation.other, arena)}, {target}, {count})"
    if isinstance(operation, Affine):
        return f"tbn_integer_affine(&{symbol}, {source}, {target}, {count // operation.scaling.multipliers.size})"
    if isinstance(operation, Norm):
        return f"tbn_integer_layer_norm(&{symbol}, {source}, {count // operation.scaling.multipliers.size}, {target})"
    if isinstance(operation, Swap):
        return f"tbn_integer_swap(&{symbol}, {source}, {target})"
    if isinstance(operation, Product):
        return f"tbn_integer_matrix_product(&{symbol}, {source}, {_place(operation.other, arena)}, {target})"
    if isinstance(operation, Fold):
        return f"tbn_integer_fold(&{symbol}, {source}, {target})"
    return f"tbn_integer_table({symbol}_table, {source}, {target}, {count})"


def _ordered_call(layer: Layer, symbol: str, source: str, target: str, shapes: str) -> str:
    """The C call of a layer in the order "interleaved" or "rolled"."""
    head = f"&{symbol}, {layer.weights.roll}u"
    if layer.window is not None:
        return f"tbn_integer_ordered_conv2d({head}, &{symbol}_window, {shapes}, &scratch)"
    if layer.target < 0:
        return f"tbn_integer_ordered_outputs({head}, {source}, {target}, {layer.weights.rows}, &scratch)"
    return f"tbn_integer_ordered_rows({head}, {source}, {layer.positions}, {target}, &scratch)"


def _place(tensor: int, arena: Arena) -> str:
    """The C expression for where a tensor begins."""
    if tensor <= 0:
        return "input" if tensor == 0 else "outputs"
    offset = arena.offsets[tensor]
    return f"arena->codes + {offset}" if offset else "arena->codes"


def _numbers(array: NDArray[Any]) -> str:
    flat: Sequence[int] = array.reshape(-1).tolist()
    words = [f"0x{value:02x}" if array.dtype == np.uint8 else str(value) for value in flat]
    return "\n".join("    " + ", ".join(words[i : i + 20]) + "," for i in range(0, len(words), 20))
