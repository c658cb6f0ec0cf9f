"""What pages read from disk, cached on the files' times so that a rerun costs nothing and a new run shows at once."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from tbn import runs
from tbn.scores import METRICS

RESULTS = Path(str(files("kernels"))) / "results"
WATCHED = ("config.json", "result.json", "error.json")


def _stamp() -> tuple[tuple[str, int], ...]:
    """Every watched file and when it changed."""
    found = []
    for root in (runs.zoo_root(), runs.runs_root()):
        for folder in root.iterdir() if root.is_dir() else ():
            for name in WATCHED:
                try:
                    found.append((f"{folder}/{name}", (folder / name).stat().st_mtime_ns))
                except OSError:
                    continue
    return tuple(sorted(found))


@st.cache_data(max_entries=4, show_spinner=False)
def _frame(root: str, stamp: tuple[tuple[str, int], ...]) -> pd.DataFrame:
    return runs.frame(Path(root))


def every_run() -> pd.DataFrame:
    """All runs of the zoo and of the runs folder, one a row."""
    return _frame(str(runs.runs_root()), _stamp()).copy()


def finished() -> pd.DataFrame:
    """The complete runs, with whole numbers as such; a column that says where a run is from."""
    frame = every_run()
    frame = frame[frame["state"] == "complete"].copy()
    whole = ["p", "min_layer_size", "seed", "epochs", "weight_bytes", "total_bytes", "fp32_bytes"]
    frame[whole] = frame[whole].apply(pd.to_numeric, errors="coerce").fillna(0).astype("int64")
    return frame


@st.cache_data(max_entries=32, show_spinner=False)
def _baselines(paths: tuple[str, ...], metric: str, stamp: tuple[tuple[str, int], ...]) -> dict[str, float]:
    best = max if METRICS[metric].higher_is_better else min
    found: dict[str, list[float]] = {}
    for path in paths:
        for name, scores in ((runs.Run(Path(path)).result or {}).get("baselines") or {}).items():
            if scores.get(metric) is not None:
                found.setdefault(name, []).append(scores[metric])
    return {name: best(values) for name, values in found.items()}


def baselines(frame: pd.DataFrame) -> dict[str, float]:
    """What trivial methods score on the one task of these runs, by name; where runs differ, the best of them."""
    return _baselines(tuple(frame["path"]), str(frame["metric"].iloc[0]), _stamp())


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
