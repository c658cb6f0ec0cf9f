"""What was measured or predicted of a run beside its sizes: latency on this machine; flash, RAM and instructions on a board. Needs no torch.

``python -m tbn.measure`` leaves a latency in ``latency.json`` and the C source from which flash and RAM are predicted; ``tbn build`` and
``tbn flash`` leave what was linked and counted. All of it lies in the run's folder; of a zoo entry in the user's cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernels.machine import cpu_name
from tbn import runs
from tbn.errors import TBNError
from tbn.export.report import PRECISIONS, REPORT
from tbn.export.run import cache_root, exported
from tbn.files import read_json

if TYPE_CHECKING:
    import pandas as pd

LATENCY = "latency.json"
MEASURED = ("latency_ms", "flash_bytes", "ram_bytes", "instructions")  # columns that ``with_measured`` adds
PREDICTED, LINKED = "predicted", "linked"


@dataclass(frozen=True)
class OnBoard:
    """A run on one board.

    Attributes:
        flash_bytes, ram_bytes: of the whole firmware, RAM without the stack.
        how: "linked" (read from a built image) or "predicted".
        instructions: of one inference, None where it never ran on this board; in ``unit``: "instructions", "clocks" or "microseconds".
        precision: of the C, "integer" or "float32".
    """

    flash_bytes: int
    ram_bytes: int
    how: str
    precision: str
    instructions: float | None = None
    unit: str = "instructions"


def folder_of(path: str | Path, source: str) -> Path:
    """Where what was measured of a run lies: its folder, or the cache for an entry of the zoo, which belongs to the package."""
    return cache_root() / "zoo" / Path(path).name if source == "zoo" else Path(path)


def latency(path: str | Path, source: str = "runs") -> dict[str, Any] | None:
    """The record of ``tbn.measure.latency``: "median_ms", "engine", "threads", "repeats", "cpu", "date" ...; None where there is none.

    One of another processor counts as none.
    """
    file = folder_of(path, source) / LATENCY
    stamp = _stamp(file)
    record = None if stamp is None else _record(file, stamp)
    return record if record is not None and record.get("cpu") == cpu_name() else None


def on_board(path: str | Path, source: str, board: str) -> OnBoard | None:
    """A run's firmware on a board, as it was built, else as it is predicted from the run's C source; None where neither was ever made."""
    place = folder_of(path, source) / ("" if source == "zoo" else "firmware")
    files = (
        place / board / "build.json",
        place / board / "report.json",
        *(place / "model" / precision / REPORT for precision in PRECISIONS),
    )
    stamps = tuple(_stamp(file) for file in files)
    return _on_board(Path(path), files[0], files[1], board, stamps) if any(stamps) else None


def with_measured(frame: pd.DataFrame, board: str | None = None) -> pd.DataFrame:
    """Rows of ``runs.frame`` with the columns ``MEASURED`` (NaN where not measured), ``how`` and ``tick_unit``; without a board only latency."""
    import pandas as pd

    latencies, boards = [], []
    for path, source in zip(frame["path"], frame["source"], strict=True):
        latencies.append((latency(path, source) or {}).get("median_ms"))
        boards.append(on_board(path, source, board) if board is not None else None)
    found = {
        "latency_ms": latencies,
        "flash_bytes": [b and b.flash_bytes for b in boards],
        "ram_bytes": [b and b.ram_bytes for b in boards],
        "instructions": [b and b.instructions for b in boards],
    }
    frame = frame.copy()
    for name, values in found.items():
        frame[name] = pd.to_numeric(pd.Series(values, index=frame.index, dtype="object"))
    frame["how"] = pd.Series([b and b.how for b in boards], index=frame.index, dtype="object")
    units = [b.unit if b and b.instructions else None for b in boards]
    return frame.assign(tick_unit=pd.Series(units, index=frame.index, dtype="object"))


def _stamp(file: Path) -> int | None:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return None


@lru_cache(maxsize=10_000)
def _record(file: Path, stamp: int) -> dict[str, Any] | None:
    record = _object(file)
    return record if isinstance(record.get("median_ms"), int | float) else None


@lru_cache(maxsize=10_000)
def _on_board(path: Path, build: Path, report: Path, board: str, stamps: tuple[int | None, ...]) -> OnBoard | None:
    """As ``on_board``; ``stamps`` are the times of the files that it is read from."""
    from tbn.boards import fitting, get_board

    built = _object(build)
    flashed = _object(report)
    ticks, unit = flashed.get("ticks"), str(flashed.get("tick_unit") or "instructions")
    if {"flash_bytes", "ram_bytes"} <= set(built):
        precision = str(built.get("precision", "float32"))
        return OnBoard(int(built["flash_bytes"]), int(built["ram_bytes"]), LINKED, precision, ticks, unit)
    try:
        source = exported(runs.Run(path))
        if source is None:
            return None
        fit = fitting.fit(source, get_board(board), {})
    except TBNError:
        return None
    return OnBoard(fit.flash_bytes, fit.ram_bytes, PREDICTED, source.precision, ticks, unit)


def _object(file: Path) -> dict[str, Any]:
    try:
        found = read_json(file)
    except TBNError:
        return {}
    return found if isinstance(found, dict) else {}
