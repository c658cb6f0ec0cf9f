"""What pages read from disk, cached on the files' times so that a rerun costs nothing and a new run shows at once."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from tbn import run_rows, runs
from tbn.export.run import WEIGHTS
from tbn.scores import METRICS

RESULTS = Path(str(files("kernels"))) / "results"
WHOLE = ["p", "min_layer_size", "seed", "epochs", "weight_bytes", "total_bytes", "fp32_bytes"]


@st.cache_resource(max_entries=4, show_spinner=False)
def _frame(root: str, stamp: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All runs, and the complete ones with whole numbers as such."""
    frame = runs.frame(Path(root))
    done = frame[frame["state"] == "complete"].copy()
    done[WHOLE] = done[WHOLE].apply(pd.to_numeric, errors="coerce").fillna(0).astype("int64")
    return frame, done


def finished() -> pd.DataFrame:
    """The complete runs of the zoo and of the runs folder, one a row, with whole numbers as such."""
    return look()[0]


def look() -> tuple[pd.DataFrame, list[str], int]:
    """``finished()``, the folders that cannot be read, and a number that changes with the runs: the key of whatever is made of them."""
    now = run_rows.stamp(runs.zoo_root(), runs.runs_root())
    frame, done = _frame(str(runs.runs_root()), now)
    return done.copy(), list(frame.loc[frame["state"] == "broken", "path"]), now


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


def weights_stamp(path: Path) -> tuple[int, ...]:
    """When the weights of a run folder were written: part of the key of whatever is made of them."""
    return tuple(file.stat().st_mtime_ns for name in WEIGHTS if (file := path / name).is_file())


@st.cache_data(max_entries=8, show_spinner=False)
def _records(files: tuple[tuple[str, int], ...]) -> dict[str, dict[str, Any]]:
    found = {}
    for path, _ in files:
        try:
            record = json.loads(Path(path).read_text())
        except (OSError, ValueError):
            continue
        if isinstance(record, dict) and {"kind", "date", "rows"} <= set(record) and record["rows"]:
            found[path] = record
    return found


def records(folder: Path, pattern: str) -> dict[Path, dict[str, Any]]:
    """The benchmarks in the files of a pattern, by their path; other files, and those without a row, are left out."""
    files = []
    for path in folder.glob(pattern):
        try:
            files.append((str(path), path.stat().st_mtime_ns))
        except OSError:  # deleted meanwhile
            continue
    return {Path(path): record for path, record in _records(tuple(sorted(files))).items()}


def kernel_records() -> list[dict[str, Any]]:
    """The recorded benchmarks that come with the kernels."""
    return [record | {"file": path.name} for path, record in records(RESULTS, "*.json").items()]
