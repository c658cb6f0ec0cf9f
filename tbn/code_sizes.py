"""What a firmware takes besides the model's arrays, known before anything is compiled: code, constants, buffers. Imports no torch.

The model's source says which operations it calls and which structures it holds; ``code_sizes.json`` says how many bytes each of them takes on
each emulated board. ``python -m tbn.boards.measuring`` makes that file: it builds small programs and reads their ELF files.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tbn.errors import TBNError
from tbn.export.report import BLOCK, ExportReport
from tbn.memory import ARENA, Block, owner_of

TABLE = Path(__file__).with_name("code_sizes.json")
REQUEST, REPLY = "tbn_device_request", "tbn_device_reply"
# of pio_firmware/src/device.c: the request of a self-test, the ticks before the outputs
REQUEST_LEAST, REPLY_HEADER, OUTPUT_BYTES = 8, 4, 4
PROBE_INPUT_BYTES, PROBE_OUTPUTS = 784, 10  # of the models that are measured
CALL = re.compile(r"\b(tbn_(?!status\b|model_run\b)\w+)\(([^;{}]*?)\);")
CONSTANT = re.compile(r"^static const (tbn_\w+) (\w+) = \{", re.MULTILINE)


@dataclass(frozen=True)
class Calls:
    """What a generated source needs: ``functions`` it calls, ``arguments`` of all calls together, ``constants`` (C type, symbol)."""

    functions: frozenset[str]
    arguments: int
    constants: tuple[tuple[str, str], ...]


def calls_of(source: str) -> Calls:
    """Read a generated model.c."""
    start = re.search(r"^tbn_status tbn_model_run\(", source, re.MULTILINE)
    body = source[start.start() :] if start else ""
    found = CALL.findall(body.partition("\n}")[0])
    arguments = sum(text.count(",") + 1 for _, text in found)
    return Calls(frozenset(name for name, _ in found), arguments, tuple(CONSTANT.findall(source)))


@dataclass(frozen=True)
class CodeSizes:
    """Bytes of code and buffers on one board, in one precision.

    Attributes:
        base: flash by owner of a firmware whose model computes nothing.
        functions: what calling a function of the runtime adds: {function: {symbol: (bytes, owner)}}; "" stands for what has no symbol.
        constants: bytes of a C structure.
        constants_in_ram: whether the constants are copied to RAM (AVR reads nothing else without its own instruction).
        run: bytes of ``tbn_model_run`` without calls, and for each argument of a call.
        ram: (symbol, bytes, alignment) of the variables in the order of their addresses; the model's are as long as for
            ``PROBE_INPUT_BYTES`` in and ``PROBE_OUTPUTS`` out.
        stack_bytes: deepest stack seen in the emulator, or None where that was not measured.
        made: versions and date.
    """

    environment: str
    precision: str
    base: Mapping[str, int]
    functions: Mapping[str, Mapping[str, tuple[int, str]]]
    constants: Mapping[str, int]
    constants_in_ram: bool
    run: tuple[float, float]
    ram: tuple[tuple[str, int, int], ...]
    stack_bytes: int | None
    made: Mapping[str, str]

    def blocks(self, report: ExportReport) -> list[Block]:
        """The rows of a memory map that are not the model's arrays; its arena is among them, as one variable.

        Raises:
            TBNError: the model calls a function that was not there when the sizes were measured.
        """
        calls = calls_of(report.source.read_text())
        return [*self._flash(calls), *self._ram(report, calls)]

    def _flash(self, calls: Calls) -> list[Block]:
        unknown = sorted(calls.functions - set(self.functions))
        if unknown:
            raise TBNError(f"the size of {', '.join(unknown)} was never measured", "python -m tbn.boards.measuring")
        symbols: dict[str, tuple[int, str]] = {}
        for function in sorted(calls.functions):
            for symbol, (size, owner) in self.functions[function].items():
                symbols[symbol] = max((size, owner), symbols.get(symbol, (0, owner)))
        fixed, each = self.run
        found = [_flash(f"({owner})", size, owner) for owner, size in self.base.items()]
        found += [_flash(symbol, size, owner) for symbol, (size, owner) in symbols.items()]
        found.append(_flash("tbn_model_run", round(fixed + each * calls.arguments), "runtime"))
        found += [_flash(symbol, self.constants.get(kind, 0), "runtime") for kind, symbol in calls.constants]
        return found

    def arena_bytes(self, report: ExportReport) -> int:
        """The model's arena as this board compiles it: the smallest boards have a shorter block for sums of inputs."""
        block = sum(part.bytes for part in report.arena if part.name == BLOCK)
        return report.arena_bytes - block + (self.constants.get("tbn_integer_block", block) if block else 0)

    def _ram(self, report: ExportReport, calls: Calls) -> list[Block]:
        """Variables one after the other, each at its alignment, as the linker lays them."""
        found = [
            _ram(symbol, size, owner_of(symbol, {}) if symbol else "other")
            for symbol, size in lay_out(self.ram, report, self.arena_bytes(report))
        ]
        if self.constants_in_ram:
            found += [_ram(symbol, self.constants.get(kind, 0), "runtime") for kind, symbol in calls.constants]
        return found


def lay_out(variables: Iterable[tuple[str, int, int]], report: ExportReport, arena_bytes: int) -> list[tuple[str, int]]:
    """(symbol, bytes) of variables and of the gaps between them, which have no symbol; the end is aligned as the strictest variable."""
    found: list[tuple[str, int]] = []
    at, strictest = 0, 1
    for symbol, stored, alignment in variables:
        size, strictest = length(symbol, stored, report, arena_bytes), max(strictest, alignment)
        found += [("", -at % alignment), (symbol, size)]
        at += -at % alignment + size
    return [(symbol, size) for symbol, size in [*found, ("", -at % strictest)] if size]


def laid_out(variables: Iterable[tuple[str, int, int]], report: ExportReport) -> int:
    """Bytes of RAM that variables take."""
    return sum(size for _, size in lay_out(variables, report, report.arena_bytes))


def length(symbol: str, stored: int, report: ExportReport, arena_bytes: int) -> int:
    """Bytes of a variable of the firmware; three of them depend on the model."""
    if symbol == ARENA:
        return arena_bytes
    if symbol == REQUEST:
        return stored + max(report.input_bytes, REQUEST_LEAST) - PROBE_INPUT_BYTES
    if symbol == REPLY:
        return max(stored, REPLY_HEADER + OUTPUT_BYTES * report.outputs)
    return stored


@cache
def _table() -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(TABLE.read_text())
    except (OSError, ValueError):
        return {}
    return found


def code_sizes(environment: str, precision: str) -> CodeSizes | None:
    """The stored sizes of an environment of platformio.ini, or None where they were never measured."""
    stored = _table().get("environments", {}).get(environment, {}).get(precision)
    if stored is None:
        return None
    return CodeSizes(
        environment, precision, stored["base"], stored["functions"], stored["constants"], stored["constants_in_ram"],
        (stored["run"][0], stored["run"][1]), tuple((name, size, align) for name, size, align in stored["ram"]), stored["stack_bytes"],
        _table()["made"],
    )  # fmt: skip


def _flash(symbol: str, size: int, owner: str) -> Block:
    return {"region": "flash", "address": None, "bytes": size, "symbol": symbol, "owner": owner}


def _ram(symbol: str, size: int, owner: str) -> Block:
    return {"region": "ram", "address": None, "bytes": size, "symbol": symbol, "owner": owner}
