"""The least time that a call can take on this machine: its bytes over the bandwidth, its fp32 multiply-adds over the peak rate.

CPU: both are measured in the run. The bandwidth is that of reading or copying as many bytes or a few less again and again, as weights are warm; the
peak is the best that any engine reached with fp32 multiply-adds, on a square product or in any row. GPU: the data sheet's, https://www.nvidia.com/en-us/data-center/h100/.
An engine that looks up or adds integers is bound by its bytes alone, and may be below what fp32 multiply-adds would need.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from kernels.bench import sampling
from kernels.bench.cases import Case, problem_of
from kernels.bench.engine import Engine, Peer
from kernels.records import Record

LEVELS = (2**19, 2**21, 2**23, 2**24, 2**26, 2**28)  # bytes, from within a core's cache to beyond all
SQUARE = 1024
SHEETS = {  # part of the GPU's name: bytes/s, multiply-adds/s in bf16 and fp32 (no TF32), without sparsity
    "H100 PCIe": (2.0e12, 756e12 / 2, 51e12 / 2),
    "H100": (3.35e12, 989e12 / 2, 67e12 / 2),
    "H200": (4.8e12, 989e12 / 2, 67e12 / 2),
    "A100": (1.555e12, 312e12 / 2, 19.5e12 / 2),
}
Roofline = dict[str, Any]


def bandwidth(size: int) -> float:
    """Bytes a second of reading (sum, dot product) or copying ``size`` bytes again and again: the best of them and of five tries."""
    count = size // 4
    whole, half, other = torch.ones(count), torch.ones(count // 2), torch.ones(count // 2)
    calls: list[Callable[[], object]] = [lambda: whole.sum(), lambda: torch.dot(half, other), lambda: half.copy_(other)]
    loops = max(1, 2**25 // size)
    best = float("inf")
    for call in calls:
        call()
        for _ in range(5):
            start = time.perf_counter()
            for _ in range(loops):
                call()
            best = min(best, (time.perf_counter() - start) / loops)
    return size / best


def of_cpu(peers: tuple[Peer, ...]) -> Roofline:
    """Measured here: bytes/s by size, multiply-adds/s and the engine that reached them."""
    problem = problem_of(Case("linear", SQUARE, SQUARE, SQUARE), (1,))
    engines: list[Engine] = []
    for peer in peers:
        if peer.dense and peer.why_missing() is None:
            try:
                engines.append(peer.build(problem))
            except Exception:
                continue  # it is named where it should have been timed
    samples = sampling.sample_cpu({engine.name: engine.call for engine in engines}, 5, 5.0)
    fastest = min(samples, key=lambda name: min(samples[name]))
    return {"source": "measured in this run", "bytes_per_second": {str(size): round(bandwidth(size)) for size in LEVELS},
            "macs_per_second": {"float32": round(SQUARE**3 / min(samples[fastest]) * 1e6)}, "reached_by": fastest}  # fmt: skip


def of_cuda(name: str) -> Roofline | None:
    """The data sheet's, or None for a GPU that is not in ``SHEETS``."""
    for part, (speed, half, single) in SHEETS.items():
        if part in name:
            return {"source": f"data sheet of {part}", "bytes_per_second": {"0": speed}, "reached_by": None,
                    "macs_per_second": {"bfloat16": half, "float16": half, "float32": single}}  # fmt: skip
    return None


def fill(roofline: Roofline | None, rows: Sequence[Record]) -> None:
    """Write "floor_us" and "bound" into all rows; a rate measured before the rows is raised to what they reached."""
    if roofline is not None and roofline["reached_by"] is not None:
        for row in rows:
            rate = 0 if row["macs"] is None or row["dtype"] != "float32" else round(1e6 * row["macs"] / row["min_us"])
            if rate > roofline["macs_per_second"]["float32"]:
                roofline["macs_per_second"]["float32"], roofline["reached_by"] = rate, row["engine"]
    for row in rows:
        row["floor_us"], row["bound"] = floor(roofline, row["dtype"], row["macs"], row["bytes"])


def floor(roofline: Roofline | None, dtype: str, macs: int | None, size: int) -> tuple[float | None, str | None]:
    """Microseconds of a call that moves ``size`` bytes, and what sets them: "memory" or "compute"."""
    if roofline is None:
        return None, None
    levels = sorted((int(level), speed) for level, speed in roofline["bytes_per_second"].items())
    speed = next((speed for level, speed in reversed(levels) if level <= size), levels[0][1])
    memory, rate = size / speed, roofline["macs_per_second"].get(dtype)
    compute = macs / rate if macs is not None and rate else 0.0
    return round(1e6 * max(memory, compute), 3), "compute" if compute > memory else "memory"
