"""One sweep of 24 trials in four ways: ``python -m tests.sweep.times [--epochs 20] [--out tests/sweep/times.json]``.

One worker, two workers, Ray on two nodes of this machine, and the same with a node killed in the middle. Prints a table with wall times and what
a trial costs beyond its training, and fails where the four do not give the same trials with the same results.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tbn.files import write_json
from tbn.provenance import provenance
from tbn.sweep import Report, Sweep, run
from tbn.sweep.ray_engine import engine

RESULT = ["p", "model_args.hidden", "seed", "state", "score", "weight_bytes"]
HEALTH = {"health_check_period_ms": 500, "health_check_failure_threshold": 3, "health_check_initial_delay_ms": 0}


def sweep_in(root: Path, epochs: int) -> Sweep:
    """24 trials: four factors, two widths, three seeds."""
    root.mkdir(parents=True)
    space = {"p": (1, 2, 4, 8), "model_args.hidden": ([32], [64])}
    return Sweep(
        "digits",
        "mlp",
        space,
        {"epochs": epochs, "min_layer_size": 1000},
        seeds=3,
        name="times",
        storage=str(root / "sweep.db"),
    )


def on_ray(root: Path, epochs: int, kill: bool) -> Report:
    """The sweep on two nodes; the second one is killed when a third of the trials is done."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, "_system_config": HEALTH}
    )
    node = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")

    def killer() -> None:
        while len(list(root.glob("times-*/result.json"))) < 8:
            time.sleep(0.05)
        cluster.remove_node(node, allow_graceful=False)

    if kill:
        threading.Thread(target=killer, daemon=True).start()
    try:
        return run(sweep_in(root, epochs), root, engine=engine())
    finally:
        ray.shutdown()
        cluster.shutdown()


def measure(epochs: int) -> list[dict[str, Any]]:
    """A row a way, the results compared with those of one worker."""
    ways: dict[str, tuple[int, Callable[[Path], Report]]] = {
        "1 worker": (1, lambda root: run(sweep_in(root, epochs), root, workers=1)),
        "2 workers": (2, lambda root: run(sweep_in(root, epochs), root, workers=2)),
        "Ray, two nodes": (2, lambda root: on_ray(root, epochs, kill=False)),
        "Ray, a node killed": (2, lambda root: on_ray(root, epochs, kill=True)),
    }
    rows, first = [], None
    for way, (lanes, go) in ways.items():
        with tempfile.TemporaryDirectory() as place:
            found = go(Path(place) / "runs")
        trials = found.trials
        first = trials[RESULT] if first is None else first
        rows.append({
            "way": way, "trials": len(trials), "same": bool(trials[RESULT].astype(str).equals(first.astype(str))), "retried": found.retried,
            "seconds": round(found.seconds, 1), "training_seconds": round(float(trials["train_seconds"].sum()), 1),
            "beyond_training": round(float((trials["seconds"] - trials["train_seconds"]).median()), 3), "side_by_side": lanes,
        })  # fmt: skip
        print(f"{way:20} {rows[-1]['seconds']:8.1f} s, same results: {rows[-1]['same']}", file=sys.stderr)
    return rows


def markdown(record: dict[str, Any]) -> str:
    """The record as the table in README."""
    lines = [
        "| | trials | same results | tried again | wall time | training | beyond training, a trial |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for row in record["rows"]:
        cells = [row["way"], row["trials"], "yes" if row["same"] else "NO", row["retried"]]
        cells += [f"{row[name]} s" for name in ("seconds", "training_seconds", "beyond_training")]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    about = record["provenance"]
    return "\n".join([
        *lines, "", f"MLPs on digits, {record['epochs']} epochs; beyond training is the median over the trials. {about['cpu']}, {about['machine']}; "
        f"{about['date'][:10]}.",
    ])  # fmt: skip


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    record = {"provenance": provenance(), "epochs": given.epochs, "rows": measure(given.epochs)}
    print(markdown(record))
    if given.out:
        write_json(given.out, record)
    return 0 if all(row["same"] for row in record["rows"]) else 1


if __name__ == "__main__":
    sys.exit(main())
