"""From cases to rows: build every engine, check its answer, time all of them in turn, and name what could not be measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from statistics import median
from typing import NamedTuple

import torch

from kernels import records
from kernels.bench import ours, roofline, sampling
from kernels.bench.cases import MAIN, Case, Problem, problem_of
from kernels.bench.engine import TOLERANCE, Engine, Peer, Unavailable, first_line

BUDGET_SECONDS = {("cpu", False): 900.0, ("cpu", True): 40.0, ("cuda", False): 400.0, ("cuda", True): 100.0}
CASE_SECONDS = {("cpu", False): 15.0, ("cpu", True): 3.0, ("cuda", False): 8.0, ("cuda", True): 4.0}
ROUNDS = {False: 31, True: 7}
DENSE = {torch.float32: "torch fp32", torch.bfloat16: "torch bf16"}  # the engine that ``ratio`` compares with


class Checked(NamedTuple):
    """An engine, its relative error, and whether it is a dense one of full precision."""

    engine: Engine
    error: float
    dense: bool


class Reasons:
    """Why what was not measured, each reason once with the cases that it holds for."""

    def __init__(self) -> None:
        self.cases: dict[str, list[str]] = {}
        self.wrong: list[str] = []  # engines of ours, whose answers may not be wrong

    def add(self, reason: str, case: Case | None = None) -> None:
        """One line; with a case where it is not for the whole run."""
        cases = self.cases.setdefault(reason, [])
        if case is not None and case.text not in cases:
            cases.append(case.text)

    def lines(self) -> list[str]:
        """For the record."""
        return [reason + (f" ({'; '.join(cases)})" if cases else "") for reason, cases in self.cases.items()]


def peers_of(device: str) -> tuple[Peer, ...]:
    """The engines of others for a device."""
    if device == "cpu":
        from kernels.bench.peers import PEERS

        return PEERS
    from kernels.bench import cuda_peers

    return cuda_peers.PEERS


def engines_of(problem: Problem, peers: Iterable[Peer], reasons: Reasons) -> dict[str, Checked]:
    """Engines by a name that tells them apart, their answers checked; what fails or is wrong goes to the reasons."""
    case, found = problem.case, {}
    builders = [(name, False, build) for name, build in ours.builders(problem)]
    for peer in peers:
        if peer.linear_only and case.op != "linear":
            reasons.add(f"{peer.name}: linear layers only")
        else:
            builders.append((peer.name, peer.dense, partial(peer.build, problem)))
    for name, dense, build in builders:
        try:
            engine = build()
            error = problem.relative_error(engine.call(), engine.p or problem.factors[0])
        except Unavailable as why:
            reasons.add(f"{name}: {why}", case)
            continue
        except Exception as broken:
            reasons.add(f"{name}: failed with {first_line(broken)}", case)
            continue
        if error < TOLERANCE[engine.dtype]:
            found[engine.name if engine.p is None else f"{engine.name} p={engine.p}"] = Checked(engine, error, dense)
        else:
            reasons.add(f"{name}: wrong answer, relative error {error:.1e}", case)
            if engine.p is not None:
                reasons.wrong.append(f"{engine.name} is wrong at {case.text}, p={engine.p}: relative error {error:.1e}")
    return found


def rows_of(case: Case, engines: dict[str, Checked], samples: sampling.Samples, timing: str) -> list[records.Record]:
    """A row for each engine that was timed."""
    times = {name: median(values) for name, values in samples.items()}
    baseline = DENSE[case.dtype]
    fastest = min((name for name in times if engines[name].dense), key=times.__getitem__)
    rows = []
    for name, values in samples.items():
        engine, error, _ = engines[name]
        rows.append({
            "op": case.op, "shape": case.shape, "m": case.rows, "n": case.columns, "batch": case.batch, "p": engine.p, "engine": engine.name,
            "ours": engine.p is not None, "dtype": engine.dtype, "timing": timing, "median_us": round(times[name], 3),
            "min_us": round(min(values), 3), "baseline": baseline, "baseline_us": round(times[baseline], 3),
            "ratio": round(times[baseline] / times[name], 3), "fastest_dense": fastest, "fastest_dense_us": round(times[fastest], 3),
            "ratio_fastest": round(times[fastest] / times[name], 3), "weight_bytes": engine.weight_bytes, "relative_error": float(f"{error:.2e}"),
            "macs": engine.macs, "bytes": case.moved + engine.weight_bytes, "repeats": len(values),
        })  # fmt: skip
    return rows


def measure(device: str, quick: bool, cases: Sequence[Case], factors: Sequence[int], record: records.Record, save: Callable[[], None],
            say: Callable[[str], None]) -> None:  # fmt: skip
    """Fill the record, and save it after each case: what is there when a run is interrupted stays.

    Raises:
        BenchError: at the end, if an engine of ours gave a wrong answer.
    """
    deadline, reasons, others = (
        sampling.Deadline(BUDGET_SECONDS[device, quick]),
        Reasons(),
        list(record["not_measured"]),
    )
    peers = []
    for peer in peers_of(device):
        if (why := peer.why_missing()) is not None:
            reasons.add(why)
        else:
            peers.append(peer)
            if peer.version is not None and peer.package not in record["versions"]:
                record["versions"][peer.distribution or peer.package] = peer.version
    with torch.inference_mode():
        record["roofline"] = limits = (
            roofline.of_cpu(tuple(peers)) if device == "cpu" else roofline.of_cuda(record["machine"])
        )
        for k, case in enumerate(cases, 1):
            if deadline.passed():
                reasons.add("no time was left", case)
                continue
            say(f"{k}/{len(cases)}  {case.text}")
            problem = problem_of(case, factors, device)
            engines = engines_of(problem, peers, reasons)
            calls = {name: engine.call for name, (engine, _, _) in engines.items()}
            sample, timing = (
                (sampling.sample_cpu, "loop, warm weights")
                if device == "cpu"
                else (sampling.sample_cuda, "one call, cold L2")
            )
            samples = sample(calls, ROUNDS[quick], CASE_SECONDS[device, quick])
            record["rows"] += rows_of(case, engines, samples, timing)
            if device == "cuda" and case.op == "linear" and case.batch == 1:
                record["rows"] += graph_rows(case, peers, quick, reasons)
            record["not_measured"] = [*others, *reasons.lines()]
            roofline.fill(limits, record["rows"])
            save()
    record["not_measured"] = [*others, *reasons.lines()]
    if reasons.wrong:
        save()
        raise records.BenchError("; ".join(reasons.wrong), "run `pytest tests/kernels`")


def graph_rows(case: Case, peers: Sequence[Peer], quick: bool,
               reasons: Reasons) -> list[records.Record]:  # fmt: skip
    """Decode as it is run, at the main factor: ``sampling.LAYERS`` layers with weights of their own inside of one CUDA graph, the time of one.

    Dense weights of that many layers do not fit the L2 cache; packed ones do, in a network as here.
    """
    built = [engines_of(problem_of(case, (MAIN,), "cuda", seed), peers, Reasons()) for seed in range(sampling.LAYERS)]
    engines = {name: found for name, found in built[0].items() if all(name in layer for layer in built)}
    calls = {name: [layer[name].engine.call for layer in built] for name in engines}
    samples, refused = sampling.sample_graphs(calls, ROUNDS[quick], CASE_SECONDS["cuda", quick])
    for name, error in refused.items():
        reasons.add(f"{name} in a CUDA graph: {first_line(error)}", case)
    if DENSE[case.dtype] not in samples:
        return []
    return rows_of(case, engines, samples, f"CUDA graph over {sampling.LAYERS} layers")
