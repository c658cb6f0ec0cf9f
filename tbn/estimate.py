"""What a training will cost before it is started, from what the recorded runs took. Needs no torch.

A network's time is taken from runs of the same model on the same task, those of this processor first; else from the multiply-adds of
other models on the task. Nothing is guessed where nothing was measured.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernels.machine import cpu_name
from tbn import runs
from tbn.errors import TBNError
from tbn.recipes import RECIPES

if TYPE_CHECKING:
    import pandas as pd

ALIKE = (
    "model_args",
    "task_args",
    "limit",
    "devices",
    "device",
)  # besides task and model, what the time hangs on
LOOKED_AT = 40  # configurations that are read, newest first


@dataclass(frozen=True)
class Estimate:
    """Wall time of training one or several networks.

    Attributes:
        seconds, low, high: median and range; None where nothing comparable was recorded.
        source: the runs that it is taken from, as a sentence without full stop.
    """

    seconds: float | None
    low: float | None
    high: float | None
    source: str

    def times(self, factor: float) -> Estimate:
        """The time of so many times the work."""
        if self.seconds is None or self.low is None or self.high is None or factor == 1:
            return self
        return Estimate(self.seconds * factor, self.low * factor, self.high * factor, self.source)

    @property
    def text(self) -> str:
        """``about 40 s (32 s to 51 s)``, or that nobody knows."""
        if self.seconds is None or self.low is None or self.high is None:
            return "not known yet"
        spread = self.high > 1.2 * self.low
        return (
            f"about {duration_text(self.seconds)}"
            + spread * f" ({duration_text(self.low)} to {duration_text(self.high)})"
        )


def duration_text(seconds: float) -> str:
    """``45 s``, ``3 min``, ``2.1 h``, ``4 days``."""
    if seconds < 100:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.2g} h" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} days"


def training(config: Mapping[str, Any], finished: pd.DataFrame, macs: int | None = None) -> Estimate:
    """Time of one training.

    Args:
        config: task, model, p, epochs and what else ``RunConfig`` takes; what is missing is the recipe's or the default.
        finished: rows of ``runs.frame`` of complete runs.
        macs: dense multiply-adds of the network for one input, for where no run of the model is recorded.
    """
    epochs = int(config.get("epochs") or RECIPES[str(config.get("recipe") or "adamw")].epochs)
    rows = finished[(finished["task"] == config["task"]) & (finished["seconds"] > 0) & (finished["epochs"] > 0)]
    part = rows["data_source"].astype(str).str.startswith("embedded subset")
    if part.any():  # the task has a full set, too, which takes longer
        full = config.get("data") != "embedded" and bool(config.get("data_root") or os.environ.get("TBN_DATA"))
        rows = rows[part != full]
    here = rows[rows["machine"] == cpu_name()]
    for known, where in ((here, "on this processor"), (rows, "on other processors")):
        same = known[(known["model"] == config["model"]) & ((known["p"] > 0) == bool(config.get("p", 4)))]
        same = same.sort_values("date", ascending=False)[:LOOKED_AT]
        same = same[[_alike(config, path) for path in same["path"]]]
        if len(same):
            each = (same["seconds"] / same["epochs"]).astype(float)
            return _estimate(
                each * epochs, f"the time of an epoch in {_count(len(same))} of this model and task {where}"
            )
        used = known[known["macs_dense"].astype(float) > 0]
        if macs and len(used):
            each = (used["seconds"] / used["epochs"] / used["macs_dense"]).astype(float) * macs
            told = f"the multiply-adds of {_count(len(used))} of other networks on this task {where}: a rough guess"
            return _estimate(each * epochs, told)
    fix = "one epoch of it, trained first, tells"
    return Estimate(None, None, None, f"no run like it of {config['task']} is recorded; {fix}")


def several(configs: Iterable[Mapping[str, Any]], finished: pd.DataFrame, side_by_side: int = 1) -> Estimate:
    """Time of many trainings; those that differ in nothing that takes time are looked up once."""
    known: dict[str, Estimate] = {}
    parts = []
    for config in configs:
        matters = [config.get(name) for name in ("task", "model", "epochs", "recipe", "data_root", "data", *ALIKE)]
        key = repr([*matters, bool(config.get("p", 4))])
        if key not in known:
            known[key] = training(config, finished)
        parts.append(known[key])
    return together(parts, side_by_side)


def together(parts: Iterable[Estimate], side_by_side: int = 1) -> Estimate:
    """Time of several trainings, ``side_by_side`` at once; unknown as soon as one of them is."""
    found = list(parts)
    if not found:
        return Estimate(0.0, 0.0, 0.0, "nothing is trained")
    for part in found:
        if part.seconds is None:
            return part
    lanes = max(1, min(side_by_side, len(found)))
    sums = [
        sum(value or 0.0 for value in values) / lanes
        for values in zip(*((p.seconds, p.low, p.high) for p in found), strict=True)
    ]
    told = f"{found[0].source}, {lanes} trainings at a time" if lanes > 1 else found[0].source
    return Estimate(sums[0], sums[1], sums[2], told)


def _estimate(seconds: pd.Series[float], source: str) -> Estimate:
    return Estimate(float(seconds.median()), float(seconds.min()), float(seconds.max()), source)


def _alike(config: Mapping[str, Any], path: str) -> bool:
    """Whether a recorded run had the same arguments of model and task, the same data and devices."""
    try:
        recorded = runs.Run(Path(path)).config
    except TBNError:
        return False
    return all(_plain(config.get(name)) == _plain(recorded.get(name)) for name in ALIKE)


def _plain(value: Any) -> Any:
    """Arguments from a form are text, those of a record are numbers; a default is left out in either."""
    if isinstance(value, Mapping):
        return {name: str(each) for name, each in value.items()} or None
    return None if value in (None, "auto", "cpu", 1) else value


def _count(number: int) -> str:
    return "one run" if number == 1 else f"{number} runs"
