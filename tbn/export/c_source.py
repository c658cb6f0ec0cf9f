"""Packed model -> C source: model.h and model.c for pio_firmware, and the images and answers of the self-test.

Pure until ``export_c`` writes: the same model gives the same bytes. The arena is planned here: two buffers that the layers read and write
in turn, each as long as the longest vector that ever lies in it, and the table of the tiled operation behind them. Nothing is allocated on
the board. The input's affine (raw byte -> network input) is part of the source, so raw bytes can be sent to a board.
"""

import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tbn.errors import TBNError
from tbn.export.network import FIX, Fold, FullyConnected, Step, inputs_of, steps_of
from tbn.export.report import HEADER, REFERENCE, REPORT, SOURCE, ArenaPart, ExportedLayer, ExportReport
from tbn.files import write_bytes, write_json

TABLE_FLOATS = 256  # TBN_TABLE_FLOATS of tbn_runtime.h
TABLED = ("tiled", "interleaved")  # operations that need the table
PARTS = ("tile", "weight", "alphas", "bias", "copies")  # of a layer: its arrays
SELF_TEST_IMAGES = 32
TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Source:
    """The generated text and what was planned."""

    header: str
    code: str
    model_hash: str
    weight_bytes: int
    layers: tuple[ExportedLayer, ...]
    arena: tuple[ArenaPart, ...]

    @property
    def arena_bytes(self) -> int:
        return sum(part.bytes for part in self.arena)

    @property
    def outputs(self) -> int:
        """Numbers that the model answers."""
        return self.layers[-1].rows


def generate(steps: tuple[Step, ...], input_count: int, scale: float, offset: float, title: str) -> Source:
    """C source of a network whose raw input is ``input_count`` bytes, each ``raw * scale + offset``."""
    layers = [step for step in steps if isinstance(step, FullyConnected)]
    if inputs_of(steps, layers[0]) != input_count:
        raise TBNError(
            f"'{layers[0].name}' takes {inputs_of(steps, layers[0])} values but the task's images have {input_count}",
            FIX,
        )
    symbols = _symbols([layer.name for layer in layers])
    folds = {step.name: step for step in steps if isinstance(step, Fold)}
    exported = tuple(
        _exported(layer, symbol, folds.get(layer.name)) for layer, symbol in zip(layers, symbols, strict=True)
    )
    arena = _plan_arena(layers, input_count)
    model_hash = _hash(steps, input_count, scale, offset)
    weight_bytes = sum(layer.bytes for layer in exported)
    shared = {
        "title": " ".join(title.replace("*/", "").split()), "model_hash": model_hash, "input_bytes": input_count, "outputs": layers[-1].rows,
        "weight_bytes": weight_bytes, "arena": arena, "arena_floats": sum(part.bytes for part in arena) // 4,
    }  # fmt: skip
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip
    header = environment.get_template("model.h.j2").render(shared)
    code = environment.get_template("model.c.j2").render(
        shared,
        layers=[
            _layer_text(layer, symbol, folds.get(layer.name)) for layer, symbol in zip(layers, symbols, strict=True)
        ],
        buffers=[{"symbol": part.name.split(":")[0], "start": part.start // 4} for part in arena],
        calls=_calls(steps, symbols, input_count),
        scale=c_float(scale),
        offset=c_float(offset),
    )
    return Source(header, code, model_hash, weight_bytes, exported, arena)


def export_c(packed: nn.Module, task: Any, out_dir: str | Path, fingerprint: str = "") -> ExportReport:
    """Write model.h, model.c, selftest.npz and export.json into ``out_dir``, each replaced whole, export.json last.

    Args:
        packed: the packed model (or one with float32 Linear layers), in eval mode.
        task: gives input_shape, scale, offset, test_inputs (N, C, H, W) uint8, test_targets (N,).
        fingerprint: kept in the report; tells what this was generated from.
    """
    packed.eval()
    folder = Path(out_dir)
    count = int(np.prod(task.input_shape))
    source = generate(
        steps_of(packed), count, float(task.scale), float(task.offset), f"{task.name}, {type(packed).__name__}"
    )
    raw = torch.from_numpy(np.array(task.test_inputs[:SELF_TEST_IMAGES], np.uint8))
    with torch.no_grad():
        logits = packed(raw.float() * task.scale + task.offset)
    if tuple(logits.shape) != (len(raw), source.outputs):
        raise TBNError(f"the model answers {tuple(logits.shape)} for {len(raw)} images", FIX)
    report = ExportReport(
        folder, source.model_hash, str(task.name), count, source.outputs, source.weight_bytes, source.arena_bytes, len(raw), source.layers,
        source.arena, fingerprint,
    )  # fmt: skip
    reference = io.BytesIO()
    np.savez(
        reference,
        inputs=raw.numpy(),
        logits=logits.float().numpy(),
        labels=np.asarray(task.test_targets[: len(raw)], np.int64),
    )
    write_bytes(folder / HEADER, source.header.encode())
    write_bytes(folder / SOURCE, source.code.encode())
    write_bytes(folder / REFERENCE, reference.getvalue())
    write_json(folder / REPORT, report.to_dict())
    return report


def c_float(value: float) -> str:
    """A float32 literal that gives exactly this number again: 9 digits are enough."""
    text = f"{float(np.float32(value)):.9g}"
    return text + ("f" if re.search(r"[.e]", text) else ".0f")


def _exported(layer: FullyConnected, symbol: str, fold: Fold | None) -> ExportedLayer:
    arrays: dict[str, npt.NDArray[Any] | None] = {
        "tile": layer.tile, "weight": layer.weight, "alphas": layer.alphas, "bias": layer.bias,
        "copies": None if fold is None else fold.alphas,
    }  # fmt: skip
    named = {key: (f"{symbol}_{key}", int(array.nbytes)) for key, array in arrays.items() if array is not None}
    distinct = layer.geometry.distinct_rows if layer.weight is None else layer.rows
    size = sum(size for _, size in named.values())
    return ExportedLayer(
        layer.name, layer.operation, layer.rows, layer.row_length, layer.p, distinct, layer.relu, size, named
    )


def _plan_arena(layers: list[FullyConnected], input_count: int) -> tuple[ArenaPart, ...]:
    """Vector i (0: the input; i: output of layer i) lies in buffer i mod 2; the last one goes to the caller."""
    vectors = [(input_count, "input")] + [(layer.rows, layer.name) for layer in layers[:-1]]
    sizes = [("first", vectors[0::2]), ("second", vectors[1::2])]
    parts: list[tuple[str, int]] = [
        (f"{name}: {', '.join(owner for _, owner in held)}", max(n for n, _ in held)) for name, held in sizes if held
    ]
    if any(layer.operation in TABLED for layer in layers):
        parts.append(("table: sums of 4 inputs", TABLE_FLOATS))
    arena, start = [], 0
    for name, count in parts:
        arena.append(ArenaPart(name, start, 4 * count))
        start += 4 * count
    return tuple(arena)


def _calls(steps: tuple[Step, ...], symbols: list[str], input_count: int) -> list[str]:
    """The C calls of the steps, from buffer to buffer."""
    names, calls, count = ("first", "second"), [], input_count
    last, done = len(symbols), 0
    for step in steps:
        source = names[done % 2]
        if isinstance(step, FullyConnected):
            symbol = symbols[done]
            done += 1
            target = "outputs" if done == last else names[done % 2]
            scratch = ", table, TBN_TABLE_FLOATS" if step.operation in TABLED else ""
            turn = f"{step.roll}u, " if step.operation == "ordered" else ""
            calls.append(
                f"tbn_fully_connected_{step.operation}(&{symbol}, {turn}{source}, {count}, {target}, {step.rows}{scratch})"
            )
            count = step.rows
        elif isinstance(step, Fold):
            alphas = "NULL" if step.alphas is None else f"{symbols[done]}_copies"
            calls.append(f"tbn_fold_inputs({source}, {step.count}, {step.copies}, {alphas})")
            count = step.count
        else:
            calls.append(f"tbn_relu({source}, {count})")
    return calls


def _layer_text(layer: FullyConnected, symbol: str, fold: Fold | None) -> dict[str, Any]:
    """What the template prints of a layer."""
    text: dict[str, Any] = {
        "symbol": symbol, "name": layer.name.replace("*/", ""), "operation": layer.operation, "rows": layer.rows,
        "row_length": layer.row_length, "relu": layer.relu, "p": layer.p, "bias_rows": _float_rows(layer.bias),
        "fold": 0 if fold is None else fold.copies, "copy_rows": "" if fold is None else _float_rows(fold.alphas), "roll": layer.roll,
    }  # fmt: skip
    if layer.tile is None or layer.alphas is None:
        return text | {"weight_rows": _float_rows(layer.weight)}
    geometry = layer.geometry
    return text | {
        "tile_length": geometry.tile_length, "tile_bytes": layer.tile.size, "copies": geometry.copies, "alpha_count": layer.alphas.size,
        "distinct_rows": geometry.distinct_rows, "alpha_rows": _float_rows(layer.alphas),
        "tile_rows": _rows([f"0x{byte:02x}" for byte in layer.tile.tolist()], 20),
    }  # fmt: skip


def _float_rows(values: npt.NDArray[np.float32] | None) -> str:
    return "" if values is None else _rows([c_float(value) for value in values.reshape(-1).tolist()], 8)


def _rows(words: list[str], width: int) -> str:
    return "\n".join("    " + ", ".join(words[i : i + width]) + "," for i in range(0, len(words), width))


def _symbols(names: list[str]) -> list[str]:
    """C names of the layers; with the names of their arrays, all different."""
    taken: set[str] = set()
    symbols = []
    for name in names:
        base = symbol = "tbn_layer_" + re.sub(r"\W", "_", name, flags=re.ASCII)
        number = 2
        while taken & (own := {symbol, *(f"{symbol}_{part}" for part in PARTS)}):
            symbol, number = f"{base}_{number}", number + 1
        taken |= own
        symbols.append(symbol)
    return symbols


def _hash(steps: tuple[Step, ...], input_count: int, scale: float, offset: float) -> str:
    """First 16 hex digits of the sha256 of everything that decides the answers."""
    digest = hashlib.sha256(f"{input_count} {c_float(scale)} {c_float(offset)}".encode())
    for step in steps:
        if isinstance(step, Fold):
            digest.update(
                f"fold {step.count} {step.copies}".encode() + (b"" if step.alphas is None else step.alphas.tobytes())
            )
            continue
        if not isinstance(step, FullyConnected):
            digest.update(b"relu")
            continue
        digest.update(b"" if step.order == "rows" else step.order.encode())
        digest.update(f"{step.rows} {step.row_length} {step.p} {step.relu}".encode())
        for array in (step.tile, step.alphas, step.weight, step.bias):
            digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
