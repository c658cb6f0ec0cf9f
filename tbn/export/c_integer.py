"""Integer network -> C source: model.h and model.c for pio_firmware. Pure until ``export_integer`` writes; needs no torch.

The same network gives the same bytes. Arrays lie in flash; every tensor has its place in one arena, planned by ``tbn.integer.arena``.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from tbn.export.report import HEADER, REFERENCE, REPORT, SOURCE, ArenaPart, ExportedLayer, ExportReport
from tbn.files import write_bytes, write_json
from tbn.integer.arena import Arena, plan, uses_table
from tbn.integer.network import (
    Add,
    Affine,
    AveragePool,
    Codes,
    IntegerNetwork,
    Layer,
    MaxPool,
    Operation,
    Signs,
    Table,
    Window,
)
from tbn.integer.reference import run

SELF_TEST_IMAGES = 32
TEMPLATES = Path(__file__).parent / "templates"
TYPES = {"uint8": "uint8_t", "int8": "int8_t", "int16": "int16_t"}
Fields = list[tuple[str, Any]]


@dataclass(frozen=True)
class IntegerSource:
    """The generated text and what was planned."""

    header: str
    code: str
    model_hash: str
    weight_bytes: int
    arena: Arena


def generate(network: IntegerNetwork, title: str) -> IntegerSource:
    """C source of a network; the hash is of the source without title."""
    digest = hashlib.sha256("".join(_render(network, "", "")).encode()).hexdigest()[:16]
    header, code = _render(network, " ".join(title.replace("*/", "").split()), digest)
    return IntegerSource(header, code, digest, sum(network.bytes_by_part().values()), plan(network))


def export_integer(
    network: IntegerNetwork, task: Any, out_dir: str | Path, title: str, fingerprint: str = ""
) -> ExportReport:
    """Write model.h, model.c, selftest.npz and export.json into ``out_dir``, each replaced whole, export.json last.

    Args:
        task: gives name, test_inputs and test_targets; the first 32 and their answers become the self-test (inputs uint8, values int32 as
            the board gives them, logits float32, labels).
        fingerprint: kept in the report; tells what this was generated from.
    """
    folder, source = Path(out_dir), generate(network, title)
    raw = np.array(task.test_inputs[:SELF_TEST_IMAGES], np.uint8)
    values = run(network, raw)
    labels = np.asarray(task.test_targets[: len(raw)], np.int64)
    reference = io.BytesIO()
    logits = (values * network.output_scale).astype(np.float32)
    np.savez(reference, inputs=raw, values=values, logits=logits, labels=labels)
    report = ExportReport(
        folder, source.model_hash, str(task.name), network.tensors[0].count, network.outputs, source.weight_bytes, source.arena.bytes,
        len(raw), _exported(network), _arena_parts(network, source.arena), fingerprint,
    )  # fmt: skip
    write_bytes(folder / HEADER, source.header.encode())
    write_bytes(folder / SOURCE, source.code.encode())
    write_bytes(folder / REFERENCE, reference.getvalue())
    write_json(folder / REPORT, report.to_dict())
    return report


def _render(network: IntegerNetwork, title: str, model_hash: str) -> tuple[str, str]:
    arena = plan(network)
    used = sorted(arena.offsets.items(), key=lambda item: (item[1], item[0]))
    shared = {
        "title": title, "model_hash": model_hash, "input_bytes": network.tensors[0].count, "outputs": network.outputs,
        "weight_bytes": sum(network.bytes_by_part().values()), "arena": arena, "output_scale": f"{network.output_scale:.8e}f",
        "rows": [
            {"name": network.tensors[t].name, "start": start, "end": start + network.tensors[t].count} for t, start in used
        ],
    }  # fmt: skip
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip
    blocks = [_shapes(network), *(_block(number, operation) for number, operation in enumerate(network.operations))]
    code = environment.get_template("model_integer.c.j2").render(
        shared,
        blocks=[block for block in blocks if block["arrays"] or block["constants"]],
        calls=[_call(number, operation, network, arena) for number, operation in enumerate(network.operations)],
    )
    return environment.get_template("model_integer.h.j2").render(shared), code


def _symbol(number: int, operation: Operation) -> str:
    """Unlike those of all other operations and of their arrays, because of the number."""
    return f"tbn_{number}_{operation.name}"


def _window(operation: Operation) -> Window | None:
    return operation.window if isinstance(operation, Layer | MaxPool | AveragePool) else None


def _shapes(network: IntegerNetwork) -> dict[str, Any]:
    """Sizes of the images that operations with windows read and write."""
    needed = sorted(
        {
            tensor
            for operation in network.operations
            if _window(operation) is not None
            for tensor in (operation.source, operation.target)
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


def _block(number: int, operation: Operation) -> dict[str, Any]:
    """Arrays and constants of an operation."""
    symbol = _symbol(number, operation)
    single = IntegerNetwork((), (operation,), 0, 0.0)
    arrays = [
        {"type": TYPES[array.dtype.name], "symbol": f"{symbol}_{part}", "count": array.size, "rows": _numbers(array)}
        for _, part, array in single.arrays()
    ]
    constants: list[dict[str, Any]] = []
    if isinstance(operation, Layer):
        constants.append({"type": "tbn_integer_layer", "symbol": symbol, "fields": _layer_fields(operation, symbol)})
    elif isinstance(operation, Affine):
        scaling = operation.scaling
        own: Fields = [("channels", scaling.multipliers.size), ("multipliers", f"{symbol}_multipliers")]
        own += [("biases", f"{symbol}_biases"), ("zero", operation.zero), ("bias_shift", scaling.bias_shift)]
        own += [(name, getattr(scaling, name)) for name in ("shift", "low", "high")]
        constants.append({"type": "tbn_integer_channels", "symbol": symbol, "fields": own})
    elif isinstance(operation, Add):
        own = [
            (name, getattr(operation, name))
            for name in ("multiplier", "other_multiplier", "bias", "shift", "low", "high")
        ]
        constants.append({"type": "tbn_integer_sum", "symbol": symbol, "fields": own})
    elif isinstance(operation, AveragePool):
        own = [(name, getattr(operation, name)) for name in ("multiplier", "bias", "zero", "shift", "low", "high")]
        constants.append({"type": "tbn_integer_average", "symbol": symbol, "fields": own})
    if (window := _window(operation)) is not None:
        names = ("kernel_height", "kernel_width", "stride_y", "stride_x", "top", "left", "dilation_y", "dilation_x")
        numbers = [size for field in fields(window) for size in getattr(window, field.name)]
        own = [*zip(names, numbers, strict=True)]
        constants.append({"type": "tbn_window", "symbol": f"{symbol}_window", "fields": own})
    return {"comment": _comment(operation), "arrays": arrays, "constants": constants}


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
    how = "sums of 4 inputs from a table" if uses_table(operation) else "sign by sign"
    return (
        f"{operation.name}: {kind}, {weights.rows} x {weights.row_length}, a tile of {weights.tile_length} signs, p = {weights.tiles}: "
        f"{weights.distinct_rows} rows computed, {how}"
    )


def _call(number: int, operation: Operation, network: IntegerNetwork, arena: Arena) -> str:
    """The C call of an operation."""
    symbol, count = _symbol(number, operation), network.tensors[operation.source].count
    source, target = _place(operation.source, arena), _place(operation.target, arena)
    shapes = f"{source}, &tbn_image_{operation.source}, {target}, &tbn_image_{operation.target}"
    if isinstance(operation, Layer):
        if operation.window is not None:
            return f"tbn_integer_conv2d(&{symbol}, &{symbol}_window, {shapes}, &scratch)"
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
    return f"tbn_integer_table({symbol}_table, {source}, {target}, {count})"


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


def _exported(network: IntegerNetwork) -> tuple[ExportedLayer, ...]:
    """What lies in flash, by operation."""
    found = []
    for number, operation in enumerate(network.operations):
        symbol = _symbol(number, operation)
        arrays = list(IntegerNetwork((), (operation,), 0, 0.0).arrays())
        named = {part: (f"{symbol}_{part}", array.nbytes) for _, part, array in arrays}
        if not named:
            continue
        size = sum(array.nbytes for _, _, array in arrays)
        if isinstance(operation, Layer):
            weights = operation.weights
            kind = "integer convolution" if operation.window is not None else "integer"
            p = weights.tiles if isinstance(weights, Signs) else 0
            shape = weights.rows, weights.row_length, p, weights.distinct_rows
            found.append(ExportedLayer(operation.name, kind, *shape, operation.relu, size, named))
        else:
            kind = "table" if isinstance(operation, Table) else "channels"
            found.append(ExportedLayer(operation.name, kind, 0, 0, 0, 0, False, size, named))
    return tuple(found)


def _arena_parts(network: IntegerNetwork, arena: Arena) -> tuple[ArenaPart, ...]:
    """The arena's stretches: start and length in bytes; tensors of different times may share bytes."""
    parts, start = [], 0
    for name, size in (("sums", 4 * arena.sums), ("table", 2 * arena.table), ("patch", arena.patch)):
        if size:
            parts.append(ArenaPart(f"{name} of an operation", start, size))
        start += size

    def part(codes: Codes, offset: int) -> ArenaPart:
        return ArenaPart(codes.name, start + offset, codes.count)

    return (*parts, *(part(network.tensors[tensor], offset) for tensor, offset in sorted(arena.offsets.items())))
