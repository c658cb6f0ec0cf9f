"""``python -m tbn.boards.measuring [BOARD ...]``: measure the code of the firmware and store it in ``tbn/code_sizes.json``.

For each emulated board and precision it builds a firmware whose model computes nothing, one for each function of the runtime (the difference
is what that function brings along), and a few zoo entries (structures, and the code of ``tbn_model_run``). Everything is read from the linked
ELF files, so it holds for any core and compiler. Some minutes; to be run again when the C runtime, the protocol or the compiler changes.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tbn import memory, runs
from tbn.boards.catalogue import list_boards
from tbn.boards.fit import sizes_of
from tbn.boards.probes import SIZE_OF, Bench, functions_of
from tbn.boards.stack import deepest_stack
from tbn.code_sizes import PROBE_INPUT_BYTES, PROBE_OUTPUTS, TABLE, calls_of, laid_out
from tbn.errors import TBNError
from tbn.export.report import FLOAT32, INTEGER, PRECISIONS, ExportReport
from tbn.export.run import export_run
from tbn.files import write_json

MODELS = {  # zoo entries that call all kinds of operations
    INTEGER: ("fashion_mnist-mlp-p4-s0", "fashion_mnist-cnn-p4-s0", "fashion_mnist-resnet18-p4-s0", "fashion_mnist-mlp_mixer-p4-s0",
              "sweethome-pointnet_cls-p4-s0"),
    FLOAT32: ("fashion_mnist-mlp-p4-s0", "fashion_mnist-mlp-fp32-s0", "fashion_mnist-mlp-binary-s0"),
}  # fmt: skip


def measure(bench: Bench, precision: str, report: ExportReport) -> dict[str, Any]:
    """All that ``CodeSizes`` holds, for one board and precision; ``report`` is any report, whose names no probe has."""
    base_elf = bench.probe(precision, None)
    base = _flash(base_elf, report)
    ram = _variables(base_elf, bench.alignments(), report)
    functions = {}
    for function in functions_of(precision):
        found = _flash(bench.probe(precision, function), report)
        functions[function] = {
            symbol: entry for symbol, entry in found.items() if symbol not in base and symbol != "tbn_model_run"
        }
        gaps = found.get("", (0, ""))[0] - base.get("", (0, ""))[0]
        if gaps > 0:
            functions[function][""] = (gaps, "other")
    owners: dict[str, int] = {}
    for symbol, (size, owner) in base.items():
        if symbol != "tbn_model_run":
            owners[owner] = owners.get(owner, 0) + size
    sizes = [b for b in memory.linked(bench.probe(precision, SIZE_OF), report) if b["symbol"].startswith(SIZE_OF)]
    constants = {block["symbol"].removeprefix(SIZE_OF): block["bytes"] for block in sizes}
    run, stack = _models(bench, precision)
    return {
        "base": owners, "functions": functions, "constants": constants, "constants_in_ram": any(b["region"] == "ram" for b in sizes),
        "run": run, "ram": ram, "stack_bytes": stack,
    }  # fmt: skip


def _models(bench: Bench, precision: str) -> tuple[tuple[float, float], int | None]:
    """From real models: code of tbn_model_run by arguments (least squares), and the deepest stack."""
    found: list[tuple[int, int]] = []
    stack = 0
    for report, elf in _built(bench, precision):
        run = next(block["bytes"] for block in memory.linked(elf, report) if block["symbol"] == "tbn_model_run")
        found.append((calls_of(report.source.read_text()).arguments, run))
        stack = max(stack, deepest_stack(bench.board.name, elf, report) or 0)
    if not found:  # none fits this board in this precision, so no prediction is asked for either
        return (0.0, 0.0), None
    arguments, sizes = np.array(found, float).T
    each, fixed = np.polyfit(arguments, sizes, 1) if len(set(arguments)) > 1 else (0.0, sizes[0])
    return (round(float(fixed), 1), round(float(each), 3)), stack or None


def _built(bench: Bench, precision: str) -> Iterator[tuple[ExportReport, Path]]:
    """Zoo entries that can be exported and fit, with their ELF files."""
    for name in MODELS[precision]:
        try:
            report = export_run(runs.find(name), precision=precision)
            yield report, bench.build(report.folder)
        except TBNError as error:
            print(f"  {name}: {error.message}", file=sys.stderr)


def _flash(elf: Path, report: ExportReport) -> dict[str, tuple[int, str]]:
    """{symbol: (bytes, owner)} of an image's flash; "" are gaps and text constants."""
    found: dict[str, tuple[int, str]] = {}
    for block in memory.linked(elf, report):
        if block["region"] == "flash":
            found[block["symbol"]] = (found.get(block["symbol"], (0, ""))[0] + block["bytes"], block["owner"])
    return found


def _variables(elf: Path, alignments: dict[str, int], report: ExportReport) -> list[tuple[str, int, int]]:
    """(symbol, bytes, alignment) of an image's RAM in the order of addresses, without the gaps that alignment explains."""
    blocks = sorted(
        (b for b in memory.linked(elf, report) if b["region"] == "ram"), key=lambda block: block["address"] or 0
    )
    everything = [(block["symbol"], block["bytes"], alignments.get(block["symbol"], 1)) for block in blocks]
    linked = sizes_of(elf).ram_bytes
    for found in (
        [entry for entry in everything if entry[0]],
        everything,
    ):  # AVR's constants without a name lie in RAM, too
        if laid_out(found, _same(found)) == linked:
            return found
    raise TBNError(
        f"the variables take {linked} bytes, and another number when laid out again",
        "look at the linker script's order",
    )


def _same(variables: list[tuple[str, int, int]]) -> ExportReport:
    """A report of the probe."""
    arena = next((size for name, size, _ in variables if name == memory.ARENA), 0)
    return ExportReport(Path(), "", "", PROBE_INPUT_BYTES, PROBE_OUTPUTS, 0, arena, 0, (), ())


def main(names: list[str]) -> None:
    """Measure the boards named (none: all emulated ones) and store what was found, board by board."""
    stored: dict[str, Any] = json.loads(TABLE.read_text()) if TABLE.is_file() and names else {}
    environments: dict[str, Any] = stored.get("environments", {})
    compiler = f"zig {version('ziglang')}; for AVR the system's avr-gcc"
    made = {"date": datetime.now(UTC).date().isoformat(), "compiler": compiler, "platformio": version("platformio")}
    for board in list_boards():
        if not board.emulated or (names and board.name not in names):
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = {}
            for precision in PRECISIONS:
                print(f"{board.name}, {precision}", file=sys.stderr)
                found[precision] = measure(Bench(board, Path(folder)), precision, _same([]))
        environments[board.emulator_environment] = found
        write_json(TABLE, {"made": made, "environments": environments})


if __name__ == "__main__":
    main(sys.argv[1:])
