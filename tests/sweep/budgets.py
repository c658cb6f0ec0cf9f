"""A factor for each layer against one factor everywhere, at the same budget: ``python -m tests.sweep.budgets [--only digits] [--out FILE]``.

For each case the budget is what the network takes with p = 4 everywhere. ``tbn.sweep.budget.search`` chooses by held-out samples; then its choice
and the uniform factor are trained on everything with three seeds each and judged on the test set. Prints a table; the record keeps the cases that
are not measured again. Data that comes with the package, one thread.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tbn.files import read_json, write_json
from tbn.provenance import provenance
from tbn.scores import METRICS
from tbn.sweep.budget import Goal, search
from tbn.sweep.factors import table
from tbn.sweep.limits import Limits

RECORD = Path(__file__).with_name("budgets.json")
SEEDS = 3
CASES: Mapping[str, Goal] = {
    name: Goal(task, Limits(10**9), model, {"data": "embedded", **fixed}, ({**network},), SEEDS, short)
    for name, task, model, network, fixed, short in (
        ("digits", "digits", "cnn", {"width": 12}, {"epochs": 12}, 3),
        ("fashion", "fashion_mnist", "micro_cnn", {"channels": [16, 32, 32]}, {"epochs": 10}, 3),
        ("earthcover", "earthcover", "unet", {"width": 6, "depth": 3}, {"epochs": 12, "batch_size": 8, "lr": 4e-3, "augment": "flips"}, 3),
    )
}  # fmt: skip


def measure(name: str) -> dict[str, Any]:
    """One case: what was chosen, the uniform factor, and their scores by seed."""
    goal = CASES[name]
    task = goal.config({}).load_task()
    network = table(goal.config(goal.widths[0]), task)
    limit = network.bytes(network.uniform(4))
    goal = replace(goal, limits=Limits(limit))
    with tempfile.TemporaryDirectory() as folder:
        found = search(
            goal,
            Path(folder),
            against_uniform=True,
            say=lambda line: print(f"{name}: {line}", file=sys.stderr, flush=True),
        )
        assert found.uniform is not None
        scores = [
            [run.result["metrics"][task.metric] for run in runs if run.result]
            for runs in (found.runs, found.uniform_runs)
        ]
    return {
        "case": name, "task": goal.task, "model": goal.model, "model_args": dict(goal.widths[0]), "metric": task.metric, "budget_bytes": limit,
        "train": len(task.train_targets), "epochs": goal.fixed["epochs"], "layers": dict(found.best.layers), "bytes": found.best.bytes,
        "scores": scores[0], "uniform_layers": dict(found.uniform.layers), "uniform_bytes": found.uniform.bytes, "uniform_scores": scores[1],
        "sensitivity": dict(found.sensitivity), "provenance": provenance(),
    }  # fmt: skip


def markdown(record: dict[str, Any]) -> str:
    """The record as the table in README."""
    rows = record["rows"]
    lines = [
        "| task, network | budget | a factor for each layer | one factor everywhere | gain |",
        "| --- | ---: | --- | --- | ---: |",
    ]
    for row in rows:
        metric = METRICS[row["metric"]]
        apart = [100 * (one - other) for one, other in zip(row["scores"], row["uniform_scores"], strict=True)]
        error = statistics.stdev(apart) / len(apart) ** 0.5
        told = [
            f"{'-'.join(str(p) for p in row[layers].values())}: {metric.text(statistics.mean(row[scores]))}, {row[size]:,} bytes"
            for layers, scores, size in (
                ("layers", "scores", "bytes"),
                ("uniform_layers", "uniform_scores", "uniform_bytes"),
            )
        ]
        network = ", ".join(f"{name} {value}" for name, value in row["model_args"].items())
        lines.append(
            f"| {row['task']}, {row['model']} ({network}): {metric.label} | {row['budget_bytes']:,} bytes | {' | '.join(told)} "
            f"| {statistics.mean(apart):+.1f} ± {error:.1f} |"
        )
    about = rows[0]["provenance"]
    days = sorted({row["provenance"]["date"][:10] for row in rows})
    return "\n".join([
        *lines, "", f"Factors of the layers in their order; means of {SEEDS} seeds on the test set; gain in points with its standard error "
        f"(pairs of equal seeds). {about['cpu']}, {about['machine']}; {' to '.join(dict.fromkeys((days[0], days[-1])))}.",
    ])  # fmt: skip


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=CASES)
    parser.add_argument("--out", type=Path, default=RECORD)
    given = parser.parse_args()
    known = {row["case"]: row for row in (read_json(given.out)["rows"] if given.out.is_file() else [])}
    for name in [given.only] if given.only else CASES:
        known[name] = measure(name)
        write_json(given.out, {"rows": [known[case] for case in CASES if case in known]})
    print(markdown(read_json(given.out)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
