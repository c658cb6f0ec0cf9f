"""``tbn bench mcu``: flash, RAM and instructions of an inference on each emulated board, beside what people would use instead.

Two networks of the registry, untrained (the counts do not depend on what the weights are worth): the paper's MLP 784-128-10 and a small CNN.
Each as integer firmware with p = 4 and with p = 1 (BWNN), in float32, and as the plain loop (bit extract, float multiply). One compiler makes
all, the runtime for size, as its library.json asks, and the float loops for speed (-O2); all run in an emulated core. The integer ones have to
give the reference's bits, the others nearly the same numbers.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tbn.boards.catalogue import Board, list_boards
from tbn.boards.counting import CORES, Program, link, link_model
from tbn.boards.plain import plain_source
from tbn.errors import TBNError
from tbn.export import firmware_root
from tbn.export.c_integer import generate
from tbn.files import write_json
from tbn.integer.network import IntegerNetwork
from tbn.integer.reference import run

ENGINES = {"integer": 4, "integer p=1 (BWNN)": 1, "fp32": 4, "plain loop": 4}  # and their p
FLOAT = {"fp32": "fp32", "plain loop": "plain"}
BASELINE = "plain loop"
TASK = "fashion_mnist"
SAMPLES = 3  # whose bits are compared
NEARLY = 0.1  # of the largest output: 8-bit steps between the layers against floats
OUT = firmware_root().parent / "kernels" / "results" / "mcu.json"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Model:
    """A network of the registry: its name there and arguments, and the smallest layer that is tiled."""

    name: str
    min_layer_size: int
    arguments: tuple[tuple[str, Any], ...] = ()


MODELS = {"mlp": Model("mlp", 64_000), "cnn": Model("cnn", 1_000, (("width", 8),))}


@dataclass(frozen=True)
class Row:
    """A network on a core. Bytes: ``flash`` code and constants of network and operations, ``ram`` input, outputs, arena and the call's stack;
    not those of the serial protocol. ``multiplies`` of the dense network, ``computed`` of its distinct rows."""

    core: str
    model: str
    engine: str
    p: int
    flash_bytes: int
    ram_bytes: int
    instructions: int
    multiplies: int
    computed: int


def measure(
    models: Mapping[str, Model] = MODELS, cores: Sequence[str] = tuple(CORES), say: Say = print
) -> dict[str, Any]:
    """The record: {"kind": "mcu", "date", "command", "versions", "networks", "boards", "rows", "not_measured"}."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for row in _rows(Path(folder), models, cores):
            say(f"{row.core} {row.model} {row.engine}: {row.instructions:,} instructions")
            rows.append(row)
    boards = list_boards()
    return {
        "kind": "mcu", "date": datetime.now(UTC).isoformat(timespec="seconds"), "command": "tbn bench mcu",
        "versions": {"python": platform.python_version()} | {name: version(name) for name in ("ziglang", "unicorn")},
        "networks": {name: asdict(model) for name, model in models.items()},
        "boards": [_board(board) for board in boards if board.emulated and board.core in cores],
        "rows": [asdict(row) for row in rows],
        "not_measured": [f"{board.name}: no instruction counter for {board.core}" for board in boards if board.core not in CORES],
    }  # fmt: skip


def _board(board: Board) -> dict[str, Any]:
    return {
        key: value
        for key, value in asdict(board).items()
        if key in ("name", "title", "core", "flash_bytes", "ram_bytes")
    }


def _rows(folder: Path, models: Mapping[str, Model], cores: Sequence[str]) -> Iterator[Row]:
    counted: dict[bytes, int] = {}  # cores that run the same code need as many instructions
    for name, model in models.items():
        for core in cores:
            for engine, p in ENGINES.items():
                place = folder / f"{name}-{core}-{engine}".replace(" ", "-")
                place.mkdir()
                network, samples = _network(model, p)
                if engine in FLOAT:
                    own, ram = _float_program(core, network, FLOAT[engine], place)
                    code = own.get(own.first, own.flash_bytes)
                    if code not in counted:
                        counted[code] = _run_float(own, network, samples[0])
                    instructions = counted[code]
                else:
                    own, ram, instructions = _integer(core, network, samples, place)
                multiplies = [_multiplies(network, distinct) for distinct in (False, True)]
                yield Row(core, name, engine, p, own.flash_bytes, ram, instructions, *multiplies)


@cache
def _network(model: Model, p: int) -> tuple[IntegerNetwork, np.ndarray[Any, Any]]:
    """An untrained network of the registry in whole numbers, and test inputs."""
    import torch

    import tbn
    from tbn import models, tasks
    from tbn.integer.quantising import quantise

    torch.manual_seed(0)
    task = tasks.create(TASK)
    made = models.create(model.name, **dict(model.arguments))
    tbn.tile_(made, tbn.TilingConfig(p=p, min_layer_size=model.min_layer_size))
    return quantise(tbn.freeze(made.eval()), task), np.asarray(task.test_inputs[:SAMPLES])


def _integer(
    core: str, network: IntegerNetwork, samples: np.ndarray[Any, Any], place: Path
) -> tuple[Program, int, int]:
    """The program, its bytes of RAM, and the instructions for the first sample."""
    source = generate(network, "benchmark")
    (place / "model.h").write_text(source.header)
    (place / "model.c").write_text(source.code)
    own = Program(link_model(core, place, place), core)
    counts = []
    for sample, wanted in zip(samples, run(network, samples), strict=True):
        found = own.run_model(sample.tobytes(), source.arena.bytes, network.outputs)
        if found != wanted.tolist():
            raise TBNError(
                f"the {core} answers {found} and the reference {wanted.tolist()}", "this is a bug: please report it"
            )
        counts.append(own.instructions)
    return own, _around(own, network) + source.arena.bytes, counts[0]


def _float_program(core: str, network: IntegerNetwork, kind: str, place: Path) -> tuple[Program, int]:
    (place / "model.c").write_text(plain_source(network, kind))
    bench, runtime = firmware_root() / "bench", firmware_root() / "lib" / "tbn_runtime"
    sources = [place / "model.c", bench / "tbn_plain.c"]
    own = Program(link(core, sources, place, ["tbn_plain_run"], [bench, runtime / "include"]), core)
    return own, _around(own, network)


def _run_float(own: Program, network: IntegerNetwork, sample: np.ndarray[Any, Any]) -> int:
    """Instructions of the plain loops, whose outputs have to be nearly those of the integer network."""
    given, answer = own.put(sample.tobytes()), own.put(bytes(4 * network.outputs))
    own.call("tbn_plain_run", given, answer)
    found = np.frombuffer(own.get(answer, 4 * network.outputs), "<f4")
    wanted = run(network, sample[None])[0]
    worst = float(np.abs(found - wanted).max() / np.abs(wanted).max())
    if not worst <= NEARLY:
        raise TBNError(
            f"the plain loop answers {found.tolist()} and the integer network {wanted.tolist()}",
            "this is a bug: please report it",
        )
    return own.instructions


def _around(own: Program, network: IntegerNetwork) -> int:
    """Bytes of static variables, stack, input and outputs."""
    return own.ram_bytes + own.stack_bytes + network.tensors[0].count + 4 * network.outputs


def _multiplies(network: IntegerNetwork, distinct: bool) -> int:
    """Of the layers: weights times positions, of all rows or of the distinct ones."""
    total = 0
    for layer in network.layers:
        rows = layer.weights.distinct_rows if distinct else layer.weights.rows
        positions = layer.positions
        if layer.window is not None:
            _, height, width = network.tensors[layer.target].image
            positions = height * width
        total += rows * layer.weights.row_length * positions
    return total


def table(record: dict[str, Any]) -> str:
    """The record as text: one line for each board, network and engine."""
    head = ("board", "network", "engine", "flash", "RAM", "instructions", "per multiply", "fewer than plain")
    lines = [head]
    rows = {(row["core"], row["model"], row["engine"]): row for row in record["rows"]}
    for board in record["boards"]:
        for (core, model, engine), row in rows.items():
            if core != board["core"]:
                continue
            least = rows[core, model, BASELINE]["instructions"] / row["instructions"]
            fits = row["flash_bytes"] <= board["flash_bytes"] and row["ram_bytes"] <= board["ram_bytes"]
            count = f"{row['instructions']:,}" if fits else "does not fit"
            lines.append((
                board["name"], model, engine, f"{row['flash_bytes']:,}", f"{row['ram_bytes']:,}", count,
                f"{row['instructions'] / row['computed' if row['engine'] not in FLOAT else 'multiplies']:.2f}", f"{least:.1f}x",
            ))  # fmt: skip
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    aligned = [
        "  ".join(
            word.ljust(width) if i < 3 else word.rjust(width)
            for i, (word, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    return "\n".join(aligned)


def markdown(record: dict[str, Any]) -> str:
    """The record as README's table: a line for each network and firmware; cores with the same numbers share their columns."""
    cells = {(row["model"], row["engine"], row["core"]): row for row in record["rows"]}
    kinds = list(dict.fromkeys((model, engine) for model, engine, _ in cells))
    columns: dict[str, list[str]] = {}
    for core in dict.fromkeys(core for _, _, core in cells):
        rows = [cells[model, engine, core] for model, engine in kinds]
        plain = {row["model"]: row["instructions"] for row in rows if row["engine"] == BASELINE}
        text = "\n".join(
            f"{row['flash_bytes']:,} | {row['ram_bytes']:,} | {row['instructions']:,} | {plain[row['model']] / row['instructions']:.1f}x"
            for row in rows
        )
        columns.setdefault(text, []).append(core)
    names = [" and ".join(cores) for cores in columns.values()]
    heads = ["network, firmware", *(f"{name}: flash | RAM | instructions | fewer" for name in names)]
    lines = [" | ".join(heads), "|".join(["---"] * (1 + 4 * len(names)))]
    for (model, engine), *parts in zip(kinds, *(text.split("\n") for text in columns), strict=True):
        lines.append(" | ".join([f"{model}, {engine}", *parts]))
    return "\n".join(f"| {line} |" for line in lines)


def main(argv: Sequence[str]) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="tbn bench mcu", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the MLP alone; saved only with --out")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--out", type=Path, help=f"default: {OUT.name} in kernels/results")
    options = parser.parse_args(argv)
    models = {"mlp": MODELS["mlp"]} if options.quick else MODELS
    record = measure(models, say=lambda line: print(line, file=sys.stderr, flush=True))
    if options.out is not None or not options.quick:
        write_json(options.out or OUT, record)
    print(json.dumps(record) if options.json else table(record))
    return 0
