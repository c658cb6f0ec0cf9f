"""Whole networks, packed against dense, side by side on this machine: ``python -m tbn.speed``.

Every engine's answer is checked against the dense network in float64, then all engines of a batch are timed in turn, at every p together with the
dense ones (``kernels.bench.sampling``; a call from Python, weights warm). ``ratio`` compares with the fastest dense engine of the same rounds.
``limit`` is what the multiply-adds alone allow: those of the dense network over those that are computed, untiled layers and attention
included. Also: bytes of the weights, peak memory (``peak``), and where the time goes (``where``). The record goes to ``kernels/results``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import torch
from torch import Tensor

from kernels import records
from kernels.bench import parse, run, sampling
from kernels.bench.engine import Unavailable, first_line

FACTORS = (4, 8)
BATCHES = (1, 16, 64)
LONGEST_MS = 1000.0  # a call of the fastest dense engine, judged by the batch before; beyond that a batch is left out
TOLERANCE = 1e-4  # largest error over the largest output: float32 through a whole network
BUDGET_SECONDS = {False: 560.0, True: 45.0}
CASE_SECONDS = {False: 5.0, True: 1.5}
PROFILED = ("resnet18", "vit")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    from tbn.speed import networks

    parser = argparse.ArgumentParser(
        prog="python -m tbn.speed", description="Time whole packed networks beside dense ones on this machine's CPU."
    )
    parser.add_argument(
        "--models", nargs="+", choices=tuple(networks.SHAPES), metavar="MODEL", help=f"of {', '.join(networks.SHAPES)}"
    )
    args = parse(parser, argv, "the MLP and ResNet18 at p = 4, batch 1", "models-cpu-<machine>-<threads>.json")
    models = tuple(args.models or (("mlp", "resnet18") if args.quick else networks.SHAPES))
    factors, batches = ((4,), (1,)) if args.quick else (FACTORS, BATCHES)
    words = ["python -m tbn.speed", *["--quick"] * args.quick, *([f"--threads {args.threads}"] if args.threads else [])]
    command = " ".join([*words, *(["--models", *args.models] if args.models else [])])

    def work(record: records.Record, save: records.Save) -> None:
        measure(
            models, factors, batches, args.quick, record, save, lambda line: print(line, file=sys.stderr, flush=True)
        )

    return run("models", "cpu", args, command, work)


def measure(models: Sequence[str], factors: Sequence[int], batches: Sequence[int], quick: bool, record: records.Record, save: records.Save,
            say: Callable[[str], None]) -> None:  # fmt: skip
    """Fill the record, and save it after each network."""
    from tbn.speed import engines, networks

    deadline = sampling.Deadline(BUDGET_SECONDS[quick])
    record["models"], record["where_time_goes"] = {}, []
    for package in ("onnx", "onnxruntime", "openvino"):
        if (number := records.version_of(package)) is not None:
            record["versions"][package] = number
    missing = [why for name in (*engines.DENSE, *engines.OURS) if (why := engines.why_missing(name))]
    record["not_measured"] += missing
    found = {}
    for name in models:
        say(f"{name}: networks and sizes")
        found[name] = {p: networks.network_of(name, p) for p in factors}
        for p, network in found[name].items():
            record["models"][f"{name} p={p}"] = facts(network)
    longest = dict.fromkeys(models, 0.0)
    for batch, name in ((batch, name) for batch in batches for name in sorted(models, key=longest.__getitem__)):
        if longest[name] * batch > LONGEST_MS:
            record["not_measured"].append(f"{name} batch {batch}: a call takes longer than {LONGEST_MS / 1e3:g} s")
            continue
        if deadline.passed():
            record["not_measured"].append(f"{name} batch {batch}: no time was left")
            if batch == batches[0]:
                record["not_measured"].append(f"{name}, peak memory: no time was left")
            continue
        say(f"{name} batch {batch}")
        rows, reasons = rows_of(found[name], batch, quick)
        for row in rows:
            row["limit"] = record["models"][f"{name} p={row['p']}"]["limit"]
        longest[name] = rows[0]["baseline_ms"] / batch
        record["rows"] = sorted([*record["rows"], *rows], key=lambda row: (row["batch"], models.index(row["model"])))
        record["not_measured"] += [why for why in reasons if why not in record["not_measured"]]
        if batch == batches[0]:
            inspect(found[name][factors[0]], batch, record, say)
        save()


def inspect(network: Any, batch: int, record: records.Record, say: Callable[[str], None]) -> None:
    """Put where the network's time goes, of those that are profiled, and its peak memory into the record."""
    from tbn.speed import engines, peak

    if network.name in PROFILED and engines.why_missing("ONNX Runtime") is None:
        say(f"{network.name}: where the time goes")
        record["where_time_goes"].append(where_of(network, batch))
    say(f"{network.name}: peak memory")
    if (peaks := peak.peaks(network, 1)) is None:
        record["not_measured"].append(f"{network.name}, peak memory: this system has no /proc")
    record["models"][f"{network.name} p={network.p}"]["peak_bytes"] = peaks


def facts(network: Any) -> dict[str, Any]:
    """What does not depend on the batch: multiply-adds, bytes, and a place for the peak memory at batch 1, which one p has."""
    from tbn.speed import networks

    x = network.inputs(1)
    dense, computed = networks.macs(network.dense, x), networks.macs(network.packed, x)
    return {"input": list(network.input_shape), "macs_dense": dense, "macs_computed": computed, "limit": round(dense / computed, 4),
            "dense_bytes": networks.file_bytes(network.dense), "packed_bytes": networks.file_bytes(network.packed),
            "peak_bytes": None}  # fmt: skip


def where_of(network: Any, batch: int) -> dict[str, Any]:
    """Milliseconds by kind of operation of the compute-once graph in ONNX Runtime, and of the dense one."""
    from tbn.speed import where

    return {"model": network.name, "p": network.p, "batch": batch, "engine": "ONNX compute-once, ONNX Runtime",
            "milliseconds": where.time_by_kind(network, batch), "dense_milliseconds": where.time_by_kind(network, batch, dense=True)}  # fmt: skip


def rows_of(found: dict[int, Any], batch: int, quick: bool) -> tuple[list[records.Record], list[str]]:
    """A row for every engine at every p, the dense engines in each p's rows, all timed in the same rounds; and why others have none."""
    from tbn.speed import engines

    reasons: list[str] = []
    calls: sampling.Calls = {}
    errors: dict[str, float] = {}
    first = next(iter(found.values()))
    wanted: list[tuple[int | None, str, Any, Any]] = [
        (None, name, build, first) for name, build in engines.DENSE.items()
    ]
    wanted += [(p, name, build, network) for p, network in found.items() for name, build in engines.OURS.items()]
    answers = {p: expected(network, batch) for p, network in found.items()}
    with torch.inference_mode():
        for p, name, build, network in wanted:
            if engines.why_missing(name):
                continue
            what = f"{network.name} batch {batch}, {name}" + ("" if p is None else f" p={p}")
            try:
                call = build(network, network.inputs(batch))
                answer = answers[network.p]
                error = float((call() - answer).abs().max() / answer.abs().max())
            except Unavailable as why:
                reasons.append(f"{name}: {why}")
                continue
            except Exception as broken:
                reasons.append(f"{what}: failed with {first_line(broken)}")
                continue
            if not error < TOLERANCE:
                if p is not None:
                    raise records.BenchError(
                        f"{what}: wrong, relative error {error:.1e}", "run `pytest tests/test_engines*.py`"
                    )
                reasons.append(f"{what}: wrong answer, relative error {error:.1e}")
                continue
            calls[f"{name} {p}"], errors[f"{name} {p}"] = call, error
        samples = sampling.sample_cpu(calls, 7 if quick else 15, CASE_SECONDS[quick])
    times = {key: median(values) / 1e3 for key, values in samples.items()}
    fastest = min((f"{name} None" for name in engines.DENSE if f"{name} None" in times), key=times.__getitem__)
    rows = []
    for p, network in found.items():
        for own, name, _, _ in wanted:
            key = f"{name} {own}"
            if key in times and own in (None, p):
                rows.append({
                    "model": network.name, "p": p, "batch": batch, "engine": name, "ours": own is not None, "dtype": "float32",
                    "median_ms": round(times[key], 4), "min_ms": round(min(samples[key]) / 1e3, 4),
                    "inputs_per_second": round(1e3 * batch / times[key], 2), "baseline": fastest.removesuffix(" None"),
                    "baseline_ms": round(times[fastest], 4), "ratio": round(times[fastest] / times[key], 3),
                    "relative_error": float(f"{errors[key]:.2e}"), "repeats": len(samples[key]),
                })  # fmt: skip
    return rows, reasons


def expected(network: Any, batch: int) -> Tensor:
    """The dense network's answer in float64."""
    with torch.inference_mode():
        twice = network.dense.double()
        answer: Tensor = twice(network.inputs(batch).double())
        network.dense.float()
    return answer
