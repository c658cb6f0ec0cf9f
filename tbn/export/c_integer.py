"""Integer network -> C source: model.h and model.c for pio_firmware. Pure until ``export_integer`` writes; needs no torch.

The same network gives the same bytes. Arrays lie in flash; every tensor has its place in one arena, planned by ``tbn.integer.arena``.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from tbn.export.integer_text import block, call, shapes, symbol_of
from tbn.export.report import (
    HEADER,
    INTEGER,
    REFERENCE,
    REPORT,
    SOURCE,
    ArenaPart,
    ExportedLayer,
    ExportReport,
)
from tbn.files import write_bytes, write_json
from tbn.integer.arena import Arena, plan
from tbn.integer.classes import rate_of
from tbn.integer.network import Codes, Fold, IntegerNetwork, Layer, Norm, Operation, Product, Signs, Swap, Table
from tbn.integer.reference import run

SELF_TEST_IMAGES = 32
SELF_TEST_PRODUCTS = 100_000_000  # multiplications in all: an emulated board makes some millions a second
TEMPLATES = Path(__file__).parent / "templates"


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
        task: gives name, test_inputs and test_targets; the first 32 (fewer of a large network) and their answers become the self-test
            (inputs uint8, outputs int32, labels).
        fingerprint: kept in the report; tells what this was generated from.
    """
    folder, source, codes = Path(out_dir), generate(network, title), network.tensors[0]
    count = min(SELF_TEST_IMAGES, max(4, SELF_TEST_PRODUCTS // network.products))
    raw = np.asarray(task.test_inputs[:count])
    report = ExportReport(
        folder=folder, model_hash=source.model_hash, task=str(task.name), input_bytes=codes.count, outputs=network.outputs,
        weight_bytes=source.weight_bytes, arena_bytes=source.arena.bytes, images=len(raw), layers=_exported(network),
        arena=_arena_parts(network, source.arena), fingerprint=fingerprint, precision=INTEGER, output_scale=network.output_scale,
        input_scale=0.0 if raw.dtype == np.uint8 else codes.scale, input_zero=0 if raw.dtype == np.uint8 else codes.zero,
        front=network.front,
    )  # fmt: skip
    inputs = report.encode(raw)[:count]
    reference = io.BytesIO()
    np.savez(
        reference,
        inputs=inputs,
        outputs=run(network, inputs.reshape(-1, *codes.shape)),
        labels=np.asarray(task.test_targets[: len(raw)]),
    )
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
        "rate": None if network.front else rate_of(network.output_scale),
        "input_text": _input_text(network),
        "vectors": any(_is_of_vectors(operation) for operation in network.operations),
        "orders": any(isinstance(operation, Fold) for operation in network.operations)
        or any(layer.weights.ordered for layer in network.layers),
        "rows": [
            {"name": network.tensors[t].name, "start": start, "end": start + network.tensors[t].count} for t, start in used
        ],
    }  # fmt: skip
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip
    blocks = [shapes(network), *(block(number, operation) for number, operation in enumerate(network.operations))]
    code = environment.get_template("model_integer.c.j2").render(
        shared,
        blocks=[one for one in blocks if one["arrays"] or one["constants"]],
        calls=[call(number, operation, network, arena) for number, operation in enumerate(network.operations)],
    )
    return environment.get_template("model_integer.h.j2").render(shared), code


def _input_text(network: IntegerNetwork) -> str:
    """What the device is given, for whoever calls it."""
    codes = network.tensors[0]
    if network.front:
        return f"one channel's past, standardised: round(value / {codes.scale:.6g}) + {codes.zero}, from 0 to 255."
    return f"a byte b stands for {codes.scale:.6g} * (b - {codes.zero})."


def _is_of_vectors(operation: Operation) -> bool:
    """Whether an operation is declared in tbn_integer_vectors.h."""
    if isinstance(operation, Layer):
        return operation.positions > 1 or operation.largest
    return isinstance(operation, Norm | Swap | Product)


def _exported(network: IntegerNetwork) -> tuple[ExportedLayer, ...]:
    """What lies in flash, by operation."""
    found = []
    for number, operation in enumerate(network.operations):
        symbol = symbol_of(number, operation)
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
            kinds = {Table: "table", Norm: "norm", Fold: "fold"}
            kind = kinds.get(type(operation), "channels")
            found.append(ExportedLayer(operation.name, kind, 0, 0, 0, 0, False, size, named))
    return tuple(found)


def _arena_parts(network: IntegerNetwork, arena: Arena) -> tuple[ArenaPart, ...]:
    """The arena's stretches: start and length in bytes; tensors of different times may share bytes."""
    parts, start = [], 0
    for name, size in (("sums", 4 * arena.sums), ("block", arena.block), ("patch", arena.patch)):
        if size:
            parts.append(ArenaPart(f"{name} of an operation", start, size))
        start += size

    def part(codes: Codes, offset: int) -> ArenaPart:
        return ArenaPart(codes.name, start + offset, codes.count)

    return (*parts, *(part(network.tensors[tensor], offset) for tensor, offset in sorted(arena.offsets.items())))
