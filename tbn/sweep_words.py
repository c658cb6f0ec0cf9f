"""What the columns of a sweep's frames are called, how their values read, and where they stand on an axis. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tbn.axes import AXES, Axis
from tbn.charts import label_of
from tbn.scores import HEADLINE, METRICS
from tbn.tasks import kind_of

if TYPE_CHECKING:
    from tbn.sweep import Sweep

COLUMNS = {"latency": "latency_ms", "flash": "flash_bytes", "ram": "ram_bytes"}  # where an objective's name is no axis
MACS = Axis("macs", "multiply-adds", "Computed multiply-adds of one input", "MACs")
FEW = 7  # values of a parameter, up to which each has its own place on the axis
NAMES = {
    "p": "p",
    "min_layer_size": "lambda",
    "lr": "learning rate",
    "alpha": "alpha per",
    "alpha_source": "alpha source",
}


@dataclass(frozen=True)
class Objective:
    """An objective as charts name it."""

    name: str
    words: str
    axis: Axis | None
    factor: float
    maximise: bool

    def text(self, value: float) -> str:
        """A value with its unit."""
        if self.axis is not None:
            return self.axis.text(value)
        return f"{value * self.factor:.2f} %" if self.factor == 100 else f"{value:.4f}"


def objectives_of(frame: pd.DataFrame) -> list[Objective]:
    """The objectives of a sweep's frame, the main one first."""
    kind, found = kind_of(sweep_of(frame).task), []
    for name, way in frame.attrs["directions"].items():
        metric = METRICS.get(HEADLINE[kind] if name == "score" else name)
        head, _, board = name.partition(":")
        axis = None if metric else AXES.get(COLUMNS.get(head, head), MACS)
        words = metric.axis if metric else axis.title(False, f"on {board}" if board else "") if axis else name
        found.append(Objective(name, words, axis, metric.factor if metric else 1, way == "maximize"))
    return found


def differing(frame: pd.DataFrame) -> list[str]:
    """The parameters of the space that are not the same in every row."""
    return [name for name in sweep_of(frame).space if frame[name].astype(str).nunique() > 1]


@dataclass(frozen=True)
class Scale:
    """One upright axis: its title, where each row stands on it (0 to 1), its ticks (place, text), and whether these are all the values there are."""

    title: str
    places: pd.Series[float]
    ticks: Sequence[tuple[float, str]]
    few: bool = False


def scale_of(values: pd.Series[Any], title: str) -> Scale:
    """A parameter: few values at even distances, many numbers on a linear or logarithmic scale."""
    numbers = pd.to_numeric(values, errors="coerce")
    whole = bool(numbers.notna().all())
    known = sorted(numbers.unique()) if whole else sorted(values.astype(str).unique())
    if len(known) <= FEW or not whole:
        places = {value: (k + 0.5) / len(known) for k, value in enumerate(known)}
        at = (numbers if whole else values.astype(str)).map(places).astype(float)
        texts = [f"{value:g}" if whole else str(value) for value in known]
        return Scale(title, at, list(zip(places.values(), texts, strict=True)) if len(known) <= 20 else [], few=True)
    return _spread(numbers, title, lambda value: f"{value:.3g}")


def objective_scale(values: pd.Series[float], aim: Objective) -> Scale:
    """An objective, turned so that up is better."""
    words, _, unit = aim.words.removeprefix("Test ").removesuffix(")").partition(" (")
    unit = "" if unit in ("%", "") else f"<br>({unit})"
    found = _spread(
        values, f"<b>{words[:1].upper() + words[1:].replace(' with biases and norms', '')}</b>{unit}", aim.text
    )
    if aim.maximise:
        return found
    return Scale(found.title, 1 - found.places, [(1 - place, text) for place, text in found.ticks])


def _spread(values: pd.Series[float], title: str, text: Any) -> Scale:
    """Numbers from the least to the largest; by their logarithm where they span a decade."""
    low, high = float(values.min()), float(values.max())
    if high == low:
        return Scale(title, values * 0 + 0.5, [(0.5, text(low))])
    if low > 0 and high / low >= 10:
        places = (np.log(values) - np.log(low)) / (np.log(high) - np.log(low))
        return Scale(title, places, [(0.0, text(low)), (0.5, text(float(np.sqrt(low * high)))), (1.0, text(high))])
    return Scale(
        title, (values - low) / (high - low), [(0.0, text(low)), (0.5, text((low + high) / 2)), (1.0, text(high))]
    )


def factors(frame: pd.DataFrame) -> list[float]:
    """The tiling factor of each row."""
    usual = sweep_of(frame).fixed.get("p", 4)
    return [float(p) for p in frame["p"]] if "p" in frame else [float(usual)] * len(frame)


def described(rows: pd.DataFrame, frame: pd.DataFrame) -> list[str]:
    """``p = 4, width 32`` for each of some rows of a frame, by what differs in the whole of it."""
    names = differing(frame) or list(sweep_of(frame).space)
    return [
        ", ".join(
            label_of(float(row[name]))
            if name == "p"
            else f"{NAMES.get(name, name.removeprefix('model_args.'))} {row[name]}"
            for name in names
        )
        for row in rows.to_dict("records")
    ]


def hover_texts(rows: pd.DataFrame, frame: pd.DataFrame) -> list[str]:
    """All that a chart says of each trial or point when it is pointed at."""
    aims = objectives_of(frame)
    told = zip(rows.to_dict("records"), described(rows, frame), strict=True)
    return [_hover_text(row, words, aims) for row, words in told]


def _hover_text(row: Mapping[Any, Any], words: str, aims: Sequence[Objective]) -> str:
    lines = [f"<b>{words}</b>"]
    for aim in aims:
        spread = row.get(f"{aim.name}_std", 0.0)
        lines.append(
            f"{aim.words.partition(' (')[0]}: {aim.text(row[aim.name])}" + (f" ± {aim.text(spread)}" if spread else "")
        )
    seeds = row.get("seeds")
    lines.append(
        f"seed {row['seed']}, trial {row['trial']}"
        if seeds is None
        else f"mean of {seeds} seeds"
        if seeds > 1
        else "one seed"
    )
    return "<br>".join(lines)


def sweep_of(frame: pd.DataFrame) -> Sweep:
    """The sweep that a frame is of."""
    found: Sweep = frame.attrs["sweep"]
    return found
