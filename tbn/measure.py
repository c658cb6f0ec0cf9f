"""Measure runs that lie there: ``python -m tbn.measure latency RUN...`` or ``python -m tbn.measure boards RUN...``.

``latency`` times one input at a time on one thread of this machine's CPU. ``boards`` writes each run's C source, from which flash and RAM
of every board are predicted (``tbn.measured``); nothing is compiled.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from tbn import runs
from tbn.errors import TBNError
from tbn.files import write_json
from tbn.jobs import Progress, here
from tbn.measured import LATENCY, folder_of
from tbn.provenance import provenance
from tbn.threads import threads

SECONDS, CALLS, WARM = 0.5, 20, 5  # of each run: at least so long and so many calls, after so many that do not count
WHAT = ("latency", "boards")


def latency(run: str | Path | runs.Run, keep: bool = True) -> dict[str, Any]:
    """Time one input through a run's network, as it would be served: packed, collapsed and fused; a full-precision one as it is.

    Args:
        run: a complete run.
        keep: write it to ``latency.json``, where ``tbn.measured`` finds it.

    Returns:
        {"median_ms", "low_ms", "high_ms" (10 % and 90 %), "repeats", "batch": 1, "threads": 1, "engine", and date, cpu and versions}.

    Raises:
        TBNError: the run is not complete, keeps no weights, or its data is not there.
    """
    import torch

    import kernels.cpu
    from tbn.batches import Split
    from tbn.collapse import collapse
    from tbn.fusion import fuse
    from tbn.restore import deployed_model, task_of

    found = run if isinstance(run, runs.Run) else runs.complete(run)
    model, task = deployed_model(found).eval(), task_of(found)
    engine = "torch, dense"
    if found.config["p"]:
        model, engine = fuse(collapse(model)[0]), f"packed, fused; {kernels.cpu.status()}"
    x, _ = next(Split(task.test_inputs, task.test_targets, task).batches(1, torch.arange(1)))
    with threads(1), torch.inference_mode():
        times: list[float] = []
        for _ in range(WARM):
            model(x)
        ends = time.perf_counter() + SECONDS
        while len(times) < CALLS or time.perf_counter() < ends:
            begun = time.perf_counter()
            model(x)
            times.append(time.perf_counter() - begun)
    low, high = np.quantile(times, (0.1, 0.9))
    record = {
        "run": found.id, "median_ms": 1e3 * median(times), "low_ms": 1e3 * float(low), "high_ms": 1e3 * float(high), "repeats": len(times),
        "batch": 1, "threads": 1, "engine": engine, **provenance(),
    }  # fmt: skip
    if keep:
        write_json(folder_of(found.path, found.source) / LATENCY, record)
    return record


def measure(what: str, names: Sequence[str], progress: Progress | None = None) -> dict[str, Any]:
    """``latency`` or the C source of each run in turn; a run that cannot be measured is named with its reason and left out.

    Returns:
        {"measured": [ids], "refused": {id: reason}}.
    """
    from tbn.export.run import export_run

    done: list[str] = []
    refused: dict[str, str] = {}
    for place, name in enumerate(names):
        if progress is not None:
            progress.update(place / len(names), f"{Path(name).name}, {place + 1} of {len(names)}")
        try:
            found = runs.complete(name)
            if what == "latency":
                print(f"{found.id}: {latency(found)['median_ms']:.3f} ms", file=sys.stderr)
            else:
                report = export_run(found)
                print(f"{found.id}: C source in {report.precision}", file=sys.stderr)
            done.append(found.id)
        except TBNError as error:
            refused[Path(name).name] = str(error)
            print(f"{Path(name).name}: left out: {error}", file=sys.stderr)
    if progress is not None:
        progress.update(1.0, f"{len(done)} measured, {len(refused)} left out")
    return {"measured": done, "refused": refused}


def main(argv: Sequence[str] | None = None) -> None:
    """The command: one JSON object on stdout, a line a run on stderr; status 1 where no run could be measured."""
    parser = argparse.ArgumentParser(prog="python -m tbn.measure", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=WHAT)
    parser.add_argument("runs", nargs="+", help="run folders, or ids of runs or zoo entries")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    found = measure(options.what, options.runs, Progress(folder) if (folder := here()) is not None else None)
    if not found["measured"]:
        first = next(iter(found["refused"].items()))
        print(
            json.dumps(
                {
                    "error": f"no run could be measured; {first[0]}: {first[1]}",
                    "fix": "choose runs that keep their weights",
                }
            )
        )
        sys.exit(1)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
