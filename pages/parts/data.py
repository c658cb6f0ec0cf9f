"""What pages read from disk, cached on the files' times so that a rerun costs nothing and a new run shows at once."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from tbn import measured, run_rows, runs
from tbn.scores import METRICS

RESULTS = Path(str(files("kernels"))) / "results"
WHOLE = ["p", "min_layer_size", "seed", "epochs", "weight_bytes", "total_bytes", "fp32_bytes"]


def stamp() -> int:
    """A number that changes with the runs: the key of whatever is made of them."""
    return run_rows.stamp(runs.zoo_root(), runs.runs_root())


@st.cache_resource(max_entries=4, show_spinner=False)
def _frame(root: str, stamp: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All runs, and the complete ones with whole numbers as such."""
    frame = runs.frame(Path(root))
    done = frame[frame["state"] == "complete"].copy()
    done[WHOLE] = done[WHOLE].apply(pd.to_numeric, errors="coerce").fillna(0).astype("int64")
    return frame, done


def every_run() -> pd.DataFrame:
    """All runs of the zoo and of the runs folder, one a row."""
    return _frame(str(runs.runs_root()), stamp())[0].copy()


def finished() -> pd.DataFrame:
    """The complete runs, with whole numbers as such; a column that says where a run is from."""
    return _frame(str(runs.runs_root()), stamp())[1].copy()


def look() -> tuple[pd.DataFrame, list[str], int]:
    """``finished()``, ``broken()`` and ``stamp()`` with one look at the folders."""
    now = stamp()
    frame, done = _frame(str(runs.runs_root()), now)
    return done.copy(), list(frame.loc[frame["state"] == "broken", "path"]), now


def with_measured(frame: pd.DataFrame, board: str | None) -> pd.DataFrame:
    """The runs with what was measured of them here (``tbn.measured``); a file's time tells whether it is read again."""
    return measured.with_measured(frame, board)


def baselines(frame: pd.DataFrame, metric: str | None = None) -> dict[str, float]:
    """What trivial methods score on the one task of these runs, by name; where runs differ, the best of them."""
    metric = metric or str(frame["metric"].iloc[0])
    best = max if METRICS[metric].higher_is_better else min
    found: dict[str, list[float]] = {}
    for trivial in frame["baselines"]:
        for name, scores in (trivial or {}).items():
            if scores.get(metric) is not None:
                found.setdefault(name, []).append(scores[metric])
    return {name: best(values) for name, values in found.items()}


def broken() -> list[str]:
    """Folders that cannot be read."""
    frame = every_run()
    return list(frame.loc[frame["state"] == "broken", "path"])


@st.cache_data(max_entries=4, show_spinner=False)
def _records(stamp: tuple[tuple[str, int], ...]) -> list[dict[str, Any]]:
    found = []
    for path, _ in stamp:
        try:
            record = json.loads(Path(path).read_text())
            if isinstance(record, dict) and {"kind", "date", "rows"} <= set(record) and record["rows"]:
                found.append(record | {"file": Path(path).name})
        except (OSError, ValueError):
            continue
    return sorted(found, key=lambda record: str(record["date"]), reverse=True)


def kernel_records() -> list[dict[str, Any]]:
    """The recorded benchmarks that come with the kernels, newest first."""
    return _records(tuple(sorted((str(path), path.stat().st_mtime_ns) for path in RESULTS.glob("*.json"))))
