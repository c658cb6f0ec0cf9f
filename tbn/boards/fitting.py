"""Which boards a run fits, before anything is built, and with how many tiles it would. Imports no torch.

Emulated boards have measured code sizes (``tbn.code_sizes``); then flash and RAM are those of the whole firmware. The image for a real board
alone comes with a framework from the registry that was never built here: for those the code of a measured board is taken, and what an empty
program of the framework takes is assumed.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from math import gcd
from typing import Any

from tbn import memory, runs
from tbn.boards.catalogue import Board, list_boards
from tbn.code_sizes import CodeSizes, code_sizes
from tbn.errors import TBNError
from tbn.export.report import INTEGER, ExportedLayer, ExportReport

FACTORS = (1, 2, 4, 8, 16, 32, 64, 128)
FRAMEWORKS = {  # (flash, RAM) in bytes of an empty program with a serial line: assumed, in round numbers, not measured here
    "ststm32": (12_000, 1_500), "nordicnrf52": (90_000, 45_000), "espressif32": (280_000, 25_000), "raspberrypi": (70_000, 42_000),
    "atmelavr": (2_000, 250), "renesas-ra": (55_000, 5_000), "nordicnrf51": (20_000, 2_500),
}  # fmt: skip
MIN_LAYER_SIZE = 64_000  # where a run's configuration says nothing
USUAL = "nucleo_f411re"  # whose code sizes stand in for a core that was not measured


@dataclass(frozen=True)
class Fit:
    """A run on one board. Sizes in bytes; RAM without the stack.

    Attributes:
        measured: code and buffers of this board were measured; else they are those of another board and an assumed framework.
        flash_left, ram_left: what would remain; negative where it does not fit. RAM keeps room for the stack.
        smallest_p: smallest tiling factor (of 1, 2, 4 ... 128) for the layers that are tiled with which it fits; None: no such p.
    """

    board: str
    title: str
    fits: bool
    measured: bool
    flash_bytes: int
    flash_limit_bytes: int
    ram_bytes: int
    ram_limit_bytes: int
    stack_bytes: int
    smallest_p: int | None

    @property
    def flash_left(self) -> int:
        return self.flash_limit_bytes - self.flash_bytes

    @property
    def ram_left(self) -> int:
        return self.ram_limit_bytes - self.ram_bytes - self.stack_bytes

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"flash_left": self.flash_left, "ram_left": self.ram_left}


def code_for(board: Board, precision: str) -> tuple[CodeSizes, bool]:
    """The code sizes of a board, and whether they were measured on it.

    Raises:
        TBNError: nothing was measured, not even on the usual board.
    """
    own = code_sizes(board.emulator_environment, precision) if board.emulated else None
    if own is not None:
        return own, True
    near = next((other for other in list_boards() if other.name == USUAL), None)
    code = code_sizes(near.emulator_environment, precision) if near is not None else None
    if code is None:
        raise TBNError("no code sizes are stored", "python -m tbn.boards.measuring")
    return code, False


def fits(run: runs.Run, report: ExportReport, chosen: Iterable[Board] | None = None) -> tuple[Fit, ...]:
    """A run on every board (or those chosen), in their order."""
    tiled = tileable(run)
    return tuple(fit(report, board, tiled) for board in (list_boards() if chosen is None else chosen))


def fit(report: ExportReport, board: Board, tiled: Mapping[str, int]) -> Fit:
    """One export on one board; ``tiled``: which layers may be tiled (``tileable``)."""
    code, measured = code_for(board, report.precision)
    total = memory.totals(memory.predicted(report, code))
    flash, ram = total["flash"], total["ram"]
    if not measured:
        assumed = FRAMEWORKS.get(board.platform, (0, 0))
        flash, ram = flash + assumed[0], ram + assumed[1]

    stack = max(board.stack_reserve_bytes, code.stack_bytes or 0)

    def room(weight_bytes: int, arena_bytes: int) -> bool:
        more_flash, more_ram = weight_bytes - report.weight_bytes, arena_bytes - report.arena_bytes
        needed = ram + more_ram + stack
        return flash + more_flash <= board.flash_bytes and needed <= board.ram_bytes

    smallest = next((p for p in FACTORS if room(*at_factor(report, tiled, p))), None) if tiled else None
    return Fit(
        board.name, board.title, room(report.weight_bytes, report.arena_bytes), measured, flash, board.flash_bytes, ram, board.ram_bytes,
        stack, smallest,
    )  # fmt: skip


def tileable(run: runs.Run) -> dict[str, int]:
    """Layers that a tiling factor above 1 tiles, by their name in C: those that are tiled, or of a binary or full-precision run those that are
    large enough; {name: weights}. The last layer never is, and layers whose factor the configuration pins are not."""
    layers: list[dict[str, Any]] = ((run.result or {}).get("size") or {}).get("layers") or []
    config: Mapping[str, Any] = run.config or {}
    pinned = (*(config.get("exclude") or ()), *(config.get("per_layer") or {}))
    least = config.get("min_layer_size") or MIN_LAYER_SIZE
    found = {}
    for layer in layers[:-1]:
        large = layer["p"] > 1 or (int(config.get("p") or 0) <= 1 and layer["weights"] >= least)
        if large and not any(fnmatchcase(layer["name"], pattern) for pattern in pinned):
            found[c_name(layer["name"])] = int(layer["weights"])
    return found


def at_factor(report: ExportReport, tiled: Mapping[str, int], p: int) -> tuple[int, int]:
    """(weight bytes, arena bytes) with another tiling factor: p bits and factors for each of the layers that are tiled."""
    weights, before, after = report.weight_bytes, 1, 1
    for layer in report.layers:
        count = tiled.get(c_name(layer.name))
        before, rows = max(before, layer.distinct_rows), layer.distinct_rows
        if count is not None:
            factor = gcd(p, count)  # the largest divisor of p that divides the layer's weights
            weights += _layer_bytes(layer, count, factor, report.precision) - layer.bytes
            rows = layer.rows // gcd(layer.rows, factor)
        after = max(after, rows)
    sums = next((part.bytes for part in report.arena if part.name.startswith("sums")), 0)  # as many as distinct rows
    return weights, report.arena_bytes - sums + sums * after // before


def _layer_bytes(layer: ExportedLayer, count: int, factor: int, precision: str) -> int:
    """Arrays of a layer with ``factor`` copies of one tile. Factors that belong to rows and not to tiles stay as they are."""
    kept = {part: size for part, (_, size) in layer.symbols.items() if part not in ("tile", "weights", "weight")}
    name, size = ("multipliers", 2) if precision == INTEGER else ("alphas", 4)
    if kept.get(name, 0) in (0, size, size * layer.p):
        kept[name] = size * factor
    return (count // factor + 7) // 8 + sum(kept.values())


def c_name(name: str) -> str:
    """A layer's name as the C source has it."""
    return re.sub(r"\W", "_", name, flags=re.ASCII)
