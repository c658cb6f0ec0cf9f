"""A benchmark's record: where and when it was made, its file, and how it is shown as text. ``python -m kernels.records`` prints README's tables.

A record is plain JSON. What all have: {"kind": "kernels" or "models", "device": "cpu" or "cuda", "machine", "date", "versions", "threads", "load",
"quick", "command", "complete", "rows", "not_measured"}; "complete" is false until the run has come to its end. Times are medians; ``ratio`` is
the baseline's time over the row's: above 1 is faster.

- kernels (``kernels.bench.measure``): "roofline" and rows of {"op", "shape", "m", "n", "batch", "p", "engine", "ours", "dtype", "timing",
  "median_us", "min_us", "baseline", "baseline_us", "ratio", "fastest_dense", "fastest_dense_us", "ratio_fastest", "weight_bytes",
  "relative_error", "macs", "bytes", "floor_us", "bound", "repeats"}. p is null for a peer, which multiplies all rows.
- models (``tbn.speed``): rows of {"model", "p", "batch", "engine", "ours", "median_ms", ...}, "models" and "where_time_goes".

A file belongs to one kind and device of one machine (on the CPU: with one number of threads) and is never written over by another.
"""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from kernels.machine import cpu_name

RESULTS = Path(__file__).parent / "results"
Record = dict[str, Any]
Save = Callable[[], None]
Work = Callable[[Record, Save], None]


class BenchError(Exception):
    """A benchmark that cannot run or cannot be saved; ``fix`` says what to do."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(f"{message}; {fix}")
        self.message, self.fix = message, fix


def machine_name(device: str) -> str:
    """The processor and its number of cores, or the GPU; never the name of the host."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cpu_name()}, {cores} cores"


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on; packages that are not installed are left out."""
    found = {"python": platform.python_version(), "torch": torch.__version__}
    for name in ("triton", "tbn-explorer"):
        if (number := version_of(name)) is not None:
            found[name] = number
    return found


def version_of(distribution: str) -> str | None:
    """Of an installed package, or None."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def threads_text(count: int) -> str:
    """``1 thread`` or ``2 threads``."""
    return f"{count} thread{'s' * (count != 1)}"


def describe(kind: str, device: str, quick: bool, command: str) -> Record:
    """The record without its rows: where, when, with which versions, and how busy the machine was (``load``: processes that wanted to run)."""
    if device == "cuda" and not torch.cuda.is_available():
        raise BenchError("this machine has no GPU that torch can use", "run with cpu")
    other = "cpu: run with cpu" if device == "cuda" else "cuda: run with gpu"
    missing = other if torch.cuda.is_available() else "cuda: no GPU on this machine"
    return {"kind": kind, "device": device, "machine": machine_name(device), "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(), "threads": torch.get_num_threads(),
            "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None, "quick": quick, "command": command, "complete": False,
            "rows": [], "not_measured": [missing]}  # fmt: skip


def identity(record: Record) -> list[str]:
    """What a result file belongs to: kind, device and machine, and on the CPU the number of threads."""
    kind = [] if record["kind"] == "kernels" else [record["kind"]]
    threads = [threads_text(record["threads"])] if record["device"] == "cpu" else []
    return [*kind, record["device"], record["machine"], *threads]


def default_path(record: Record) -> Path:
    """``results/[models-]<device>-<machine>[-<threads>-threads].json``."""
    words = re.sub(r"[^a-z0-9]+", "-", " ".join(identity(record)).lower())
    return RESULTS / f"{words.strip('-')}.json"


def load_all() -> list[Record]:
    """The records in ``RESULTS`` by file name; other files (compile reports) are left out."""
    found = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    return [record for record in found if isinstance(record, dict) and record.get("kind") in ("kernels", "models")]


def claim(record: Record, path: Path) -> None:
    """Refuse a file that holds anything but an earlier result of the same device."""
    if not path.exists():
        return
    try:
        foreign = identity(json.loads(path.read_text())) != identity(record)
    except (ValueError, KeyError, TypeError, OSError):
        foreign = True
    if foreign:
        what = ", ".join(identity(record))
        raise BenchError(
            f"{path} holds something else than an earlier result of ({what})", "name another file with --out"
        )


def save(record: Record, path: Path) -> None:
    """Write the record in one step: the old file or the whole new one, nothing between."""
    claim(record, path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(record, indent=1) + "\n")
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise BenchError(f"cannot write {path} ({error.strerror})", "name another file with --out") from error


def main() -> None:
    """Print README's tables: of each kind, device and machine the record with the fewest threads."""
    from kernels.tables import markdown

    kept: dict[tuple[str, ...], Record] = {}
    for record in load_all():
        key = record["kind"], record["device"], record["machine"]
        if record["rows"] and (key not in kept or record["threads"] < kept[key]["threads"]):
            kept[key] = record
    for record in kept.values():
        print(markdown(record), end="\n\n")


if __name__ == "__main__":
    main()
