"""A run folder as a row of ``tbn.runs.frame``, read again only when its files have changed. Needs no torch and no pandas."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from tbn.errors import TBNError
from tbn.files import read_json
from tbn.locks import is_locked
from tbn.recipes import RECIPES

COLUMNS = (
    "run",
    "source",
    "state",
    "task",
    "model",
    "method",
    "p",
    "alpha",
    "alpha_source",
    "min_layer_size",
    "setup",
    "seed",
    "fold",
    "epochs",
    "metric",
    "score",
    "metrics",
    "baselines",
    "weight_bytes",
    "total_bytes",
    "fp32_bytes",
    "bits_per_weight",
    "compression",
    "macs_computed",
    "macs_dense",
    "seconds",
    "data_source",
    "machine",
    "date",
    "path",
)
ASKED = ("task", "model", "p", "alpha", "alpha_source", "min_layer_size", "seed", "epochs")
METHODS = {0: "fp32", 1: "binary"}
# of a configuration: what is a column of its own, and where and on what a run was trained, which is no part of what it is
APART = {*ASKED, "data", "data_root", "limit", "device", "devices", "nodes"}
USUAL: dict[str, Any] = {
    "recipe": "adamw", "accumulate": 1, "distillation": 0.5, "temperature": 2.0, "precision": "32-true", "order": "rows", "estimator": "identity"
}  # fmt: skip
OF_RECIPE = {
    "lr": "lr",
    "batch_size": "batch_size",
    "label_smoothing": "label_smoothing",
    "augment": "augmentation",
    "alpha_init": "alpha_init",
}
FOLD = re.compile(r", fold \d+ of (\d+):.*", re.DOTALL)  # in what a task says of its data
OF_ANOTHER_RUN = re.compile(r"-s\d+(-\d{8}-\d{6}(-\d+)?)?$")  # seed and time in a run's name


def rows(folder: Path, source: str) -> Iterator[dict[str, Any]]:
    """A row with the keys ``COLUMNS`` (those that are known) for each run folder in ``folder``, in the order of their names."""
    for path, asked, finished in _folders(folder):
        row = _row(path, source, asked, finished)
        if finished is None and row["state"] != "broken":
            row = row | {"state": state_of(Path(path))}
        yield row


def stamp(*folders: Path) -> int:
    """A number that changes when a run in one of the folders comes, goes, finishes or is written anew."""
    return hash(tuple(found for folder in folders for found in _folders(folder)))


def _folders(folder: Path) -> Iterator[tuple[str, int, int | None]]:
    """Run folders by name: path, and when configuration and result were written (no result: None)."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
    except OSError:
        return
    for name in names:
        asked = _time(f"{folder}/{name}/config.json")
        if asked is not None:
            yield f"{folder}/{name}", asked, _time(f"{folder}/{name}/result.json")


def state_of(path: Path) -> str:
    """ "complete", "running", "failed" or "interrupted": see ``tbn.runs.Run.state``."""
    if (path / "result.json").is_file():
        return "complete"
    if is_locked(path / ".lock"):
        return "running"
    return "failed" if (path / "error.json").is_file() else "interrupted"


def setup_of(config: Mapping[str, Any]) -> str:
    """What sets a configuration apart beside its columns, in words: ``width=16, lr=0.001``; "" where all of it is usual.

    Two runs that differ in nothing but seed, fold of a cross-validation, place and machine have the same. A teacher or a start is named
    without its seed.
    """
    recipe = RECIPES.get(str(config.get("recipe") or "adamw"))
    usual = USUAL | {name: getattr(recipe, field) for name, field in OF_RECIPE.items() if recipe is not None}
    if config.get("warm_start") and config.get("alpha_source", "separate") == "separate":
        usual["alpha_init"] = "weight"
    found = []
    for name, value in config.items():
        if name in APART or value in (None, False, 0, "", [], {}) or value == usual.get(name):
            continue
        if isinstance(value, Mapping):
            found += [
                f"{key}={_plain(part)}" for key, part in sorted(value.items()) if (name, key) != ("task_args", "fold")
            ]
        elif name in ("teacher", "warm_start"):
            found.append(f"{name.replace('_', ' ')} {OF_ANOTHER_RUN.sub('', Path(str(value)).name)}")
        elif value is True:
            found.append(name.replace("_", " "))
        else:
            found.append(f"{name}={_plain(value)}")
    return ", ".join(found)


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).replace(" ", "")


def _time(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 (thousands of them; a Path is slower)
    except OSError:
        return None


@lru_cache(maxsize=50_000)
def _row(path: str, source: str, asked: int, finished: int | None) -> dict[str, Any]:
    """The row of a folder; the times of its two files tell whether it is still true. The caller does not change it."""
    name = Path(path).name
    try:
        config = read_json(f"{path}/config.json")
        if not {"task", "model", "p"} <= set(config):
            raise KeyError("config.json")
        row: dict[str, Any] = {
            "run": name,
            "source": source,
            "path": path,
            "method": METHODS.get(config["p"], "tiled"),
            "state": "unfinished",
        }
        row |= {key: config.get(key) for key in ASKED} | {"setup": setup_of(config)}
        row["fold"] = (config.get("task_args") or {}).get("fold")
        if finished is not None:
            row |= _outcome(read_json(f"{path}/result.json")) | {"state": "complete"}
        return row
    except (TBNError, KeyError, TypeError, AttributeError, ValueError):
        return {"run": name, "source": source, "path": path, "state": "broken"}


def _outcome(result: Mapping[str, Any]) -> dict[str, Any]:
    """What ``result.json`` adds."""
    size, provenance, metrics = result["size"], result["provenance"], result["metrics"]
    metric = result["task"].get("metric", "accuracy")
    return {key: size[key] for key in COLUMNS if key in size} | {
        "metric": metric,
        "score": metrics[metric],
        "metrics": dict(metrics),
        "baselines": dict(result.get("baselines") or {}),
        "seconds": result["seconds"],
        "data_source": FOLD.sub(r", \1 folds", result["task"]["source"]),
        "machine": provenance["cpu"],
        "date": provenance["date"],
    }
