"""Compute-once against the dense layer, side by side on this machine: ``python -m kernels.bench``.

Every row compares two ways to the same answer (checked before anything is timed): ``F.linear`` with the whole weight, and a packed engine.
All calls of one shape are timed in turn, round after round, so that a slow moment of the machine hits both sides; ``ratio`` is baseline median
over engine median. Engines: "compute-once" multiplies the distinct rows and writes the copies; "memory-only" writes the whole weight out of the
bits at every call and multiplies it, which saves memory but no time (what the paper's kernels do).

CPU: a sample is a loop of calls of at least ``SAMPLE_SECONDS``, so weights that fit the cache are in it, on both sides. CUDA: a sample is one call
between two events, with the L2 cache flushed before it. The record goes to a file of its device and machine in ``kernels/results``
(``kernels.records``).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels import dispatch, records
from kernels.layout import TileGeometry, pack_bits
from kernels.reference import dense_weight

SHAPES = ((3072, 768), (768, 3072), (4096, 4096), (784, 128))
CUDA_SHAPES = (*SHAPES, (14336, 4096))
SAMPLE_SECONDS = 0.01
CASE_SECONDS = 15.0
BUSY = 1.5  # processes that want to run; an own run just before counts for one
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
Calls = dict[str, Callable[[], Tensor]]


def sample_cpu(calls: Calls, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Microseconds a call, ``rounds`` samples of at least ``seconds`` of each, in turn; at least 5, but no more once ``CASE_SECONDS`` are over."""
    stop = time.perf_counter() + CASE_SECONDS
    loops = {}
    for name, call in calls.items():
        call()
        start = time.perf_counter()
        call()
        loops[name] = max(1, round(seconds / max(time.perf_counter() - start, 1e-7)))
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for k in range(rounds):
        if k >= 5 and time.perf_counter() > stop:
            break
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(loops[name]):
                call()
            samples[name].append((time.perf_counter() - start) / loops[name] * 1e6)
    return samples


def sample_cuda(calls: Calls, rounds: int) -> dict[str, list[float]]:
    """Microseconds a call on the GPU with a cold L2 cache, ``rounds`` samples of each, in turn. The flush takes longer than a launch, so the
    launch is not in the time."""
    flush = torch.empty(2**29, dtype=torch.uint8, device="cuda")
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for name in calls:
        calls[name]()
    for _ in range(rounds):
        for name, call in calls.items():
            start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            flush.zero_()
            start.record()
            call()
            stop.record()
            stop.synchronize()
            samples[name].append(start.elapsed_time(stop) * 1e3)
    return samples


def calls_of(
    m: int, n: int, batch: int, factors: Sequence[int], dtype: torch.dtype, device: str
) -> tuple[Calls, dict[str, tuple[str, int]]]:
    """The baseline ("dense") and each engine at each p; and engine and p of each name. Wrong answers raise."""
    torch.manual_seed(0)
    x = torch.randn(batch, n, device=device, dtype=dtype)
    calls: Calls = {}
    names: dict[str, tuple[str, int]] = {}
    for p in factors:
        geometry = TileGeometry(m, n, p)
        tile, alphas = pack_bits(torch.randn(geometry.tile_length)).to(device), (torch.rand(p) + 0.5).to(device)
        layer = dispatch.prepare(tile, alphas, geometry, dtype)
        weight = dense_weight(tile, alphas, geometry).to(dtype)

        def memory_only(tile: Tensor = tile, alphas: Tensor = alphas, geometry: TileGeometry = geometry) -> Tensor:
            return F.linear(x, dense_weight(tile, alphas, geometry).to(dtype))

        engines: Calls = {
            "compute-once (torch)": partial(dispatch.linear_torch, x, layer),
            "memory-only (torch)": memory_only,
        }
        if dispatch.uses_triton(x):
            engines["compute-once (triton)"] = partial(dispatch.linear, x, layer)
        expected = F.linear(x, weight)
        for engine, call in engines.items():
            error = float((call() - expected).abs().max() / expected.abs().max())
            if not error < TOLERANCE[dtype]:
                raise records.BenchError(
                    f"{engine} is wrong at {m}x{n}, p={p}, {dtype}: relative error {error:.1e}",
                    "run `pytest tests/kernels`",
                )
            names[f"{engine} p={p}"] = engine, p
            calls[f"{engine} p={p}"] = call
        calls["dense"] = partial(F.linear, x, weight)
    return calls, names


def rows_of(
    m: int, n: int, batch: int, factors: Sequence[int], dtype: torch.dtype, device: str, rounds: int
) -> list[records.Record]:
    """Time one shape and batch: a row for each engine and p."""
    calls, names = calls_of(m, n, batch, factors, dtype, device)
    samples = sample_cuda(calls, rounds) if device == "cuda" else sample_cpu(calls, rounds, SAMPLE_SECONDS)
    base, kind = samples["dense"], str(dtype).removeprefix("torch.")
    baseline = f"torch {'fp32' if dtype == torch.float32 else 'bf16'} linear"
    return [
        {"op": "linear", "engine": engine, "baseline": baseline, "m": m, "n": n, "batch": batch, "p": p, "dtype": kind,
         "median_us": round(median(samples[name]), 3), "min_us": round(min(samples[name]), 3), "baseline_us": round(median(base), 3),
         "baseline_min_us": round(min(base), 3), "ratio": round(median(base) / median(samples[name]), 3), "repeats": len(base)}
        for name, (engine, p) in names.items()
    ]  # fmt: skip


def measure(device: str, quick: bool) -> list[records.Record]:
    """The rows of everything that belongs to one device."""
    on_cpu = device == "cpu"
    factors = (4, 8) if quick else (2, 4, 8, 16)
    rounds = 5 if quick else 31
    dtypes = (torch.float32,) if on_cpu else (torch.bfloat16, torch.float32)
    shapes, batches = (SHAPES, (1, 64)) if on_cpu else (CUDA_SHAPES, (1, 64, 4096))
    cases = [(m, n, batch, dtype) for m, n in shapes for batch in batches for dtype in dtypes]
    rows = []
    with torch.inference_mode():
        for k, (m, n, batch, dtype) in enumerate(cases, 1):
            print(f"{k}/{len(cases)}  {m}x{n} batch {batch}", file=sys.stderr)
            rows += rows_of(m, n, batch, factors, dtype, device, rounds)
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m kernels.bench", description="Time the compute-once layer against the dense one on this machine."
    )
    parser.add_argument("--quick", action="store_true", help="p = 4 and 8 and few repeats; saved only with --out")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout instead of the table")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="where to save (default: kernels/results/<device>-<machine>-<threads>.json)",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: torch's choice)")
    parser.add_argument(
        "--device",
        choices=("cpu", "cuda"),
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="default: the GPU if any",
    )
    args = parser.parse_args(argv)
    if args.threads is not None:
        if args.threads < 1:
            parser.error(f"argument --threads: must be 1 or more, got {args.threads}")
        torch.set_num_threads(args.threads)
    options = [
        *["--quick"] * args.quick,
        "--device",
        args.device,
        *(["--threads", str(args.threads)] if args.threads else []),
    ]
    command = " ".join(["python -m kernels.bench", *options])
    try:
        found = records.describe(args.device, args.quick, command)
        path = args.out or (None if args.quick else records.default_path(found))
        if path is not None:
            records.claim(found, path)
        if (found["load"] or 0) > BUSY:
            print(
                f"this machine is busy (load {found['load']}): the ratios will be off; run it again when it is quiet",
                file=sys.stderr,
            )
        found["rows"] = measure(args.device, args.quick)
        if path is not None:
            records.save(found, path)
        print(json.dumps(found) if args.json else records.table(found))
        print(f"saved to {path}" if path else "quick run, not saved: name a file with --out", file=sys.stderr)
    except records.BenchError as error:
        print(
            json.dumps({"error": error.message, "fix": error.fix}) if args.json else error,
            file=sys.stdout if args.json else sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
