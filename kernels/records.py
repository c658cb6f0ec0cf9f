"""A benchmark's record: where and when it was made, its file, and how it is shown.

A record is plain JSON: {"device", "machine", "date", "versions", "threads", "load", "quick", "command", "rows", "not_measured"}; a row is
{"op", "engine", "baseline", "m", "n", "batch", "p", "dtype", "median_us", "min_us", "baseline_us", "baseline_min_us", "ratio", "repeats"}.
Times are microseconds a call; ``ratio`` = baseline_us / median_us: above 1 is faster than the baseline. A file belongs to one device of one
machine (on the CPU: with one number of threads) and is never written over by another.
"""

from __future__ import annotations

import json
import os
import platform
import re
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from kernels.machine import cpu_name

RESULTS = Path(__file__).parent / "results"
Record = dict[str, Any]


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
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def threads_text(count: int) -> str:
    """``1 thread`` or ``2 threads``."""
    return f"{count} thread{'s' * (count != 1)}"


def describe(device: str, quick: bool, command: str) -> Record:
    """The record without its rows: where, when, with which versions, and how busy the machine was (``load``: processes that wanted to run)."""
    if device == "cuda" and not torch.cuda.is_available():
        raise BenchError("this machine has no GPU that torch can use", "run with --device cpu")
    other = "cpu: run with --device cpu" if device == "cuda" else "cuda: run with --device cuda"
    missing = other if torch.cuda.is_available() else "cuda: no GPU on this machine"
    return {"device": device, "machine": machine_name(device), "date": datetime.now(UTC).isoformat(timespec="seconds"), "versions": versions(),
            "threads": torch.get_num_threads(), "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None, "quick": quick,
            "command": command, "rows": [], "not_measured": [missing]}  # fmt: skip


def identity(record: Record) -> list[str]:
    """What a result file belongs to: device and machine, and on the CPU the number of threads."""
    return [
        record["device"],
        record["machine"],
        *([threads_text(record["threads"])] if record["device"] == "cpu" else []),
    ]


def default_path(record: Record) -> Path:
    """``results/<device>-<machine>[-<threads>-threads].json``."""
    words = re.sub(r"[^a-z0-9]+", "-", " ".join(identity(record)).lower())
    return RESULTS / f"{words.strip('-')}.json"


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


def table(record: Record) -> str:
    """The record as text: a line for each shape, batch and p; times are medians in microseconds, (x) is the ratio to the dense layer."""
    lines = [
        f"{record['machine']}, {threads_text(record['threads'])}, torch {record['versions']['torch']}, {record['date']}, load {record['load']}"
    ]
    for _, group in groupby(record["rows"], key=lambda row: (row["m"], row["n"], row["batch"], row["dtype"])):
        rows = list(group)
        first = rows[0]
        lines.append(
            f"\n{first['m']}x{first['n']} batch {first['batch']}: {first['baseline']} {first['baseline_us']:.1f} us"
        )
        for p, same in groupby(rows, key=lambda row: row["p"]):
            lines.append(
                f"  p={p:<3}"
                + "   ".join(f"{row['engine']} {row['median_us']:9.1f} us ({row['ratio']:.2f} x)" for row in same)
            )
    return "\n".join([*lines, *(f"\nnot measured here: {what}" for what in record["not_measured"])])


def markdown(record: Record, batch: int = 64) -> str:
    """The compute-once ratios at one batch as a Markdown table, as in README."""
    rows = [row for row in record["rows"] if row["engine"].startswith("compute-once") and row["batch"] == batch]
    factors = sorted({row["p"] for row in rows})
    lines = [f"| {threads_text(record['threads'])}, batch {batch} | {rows[0]['baseline']} | " + " | ".join(f"p = {p}" for p in factors) + " |",
             "|---" * (len(factors) + 2) + "|"]  # fmt: skip
    for (m, n), group in groupby(rows, key=lambda row: (row["m"], row["n"])):
        same = list(group)
        ratios = " | ".join(f"{row['ratio']:.1f}x" for row in sorted(same, key=lambda row: row["p"]))
        lines.append(f"| {m} x {n} | {same[0]['baseline_us']:,.0f} us | {ratios} |")
    return "\n".join(lines)


if __name__ == "__main__":
    for file in sorted(RESULTS.glob("*.json")):
        print(markdown(json.loads(file.read_text())), end="\n\n")
