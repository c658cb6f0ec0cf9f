"""What a data set holds, before anything is trained on it: classes, first samples, a series. Values in, plotly figure out, as in ``tbn.charts``."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from tbn.charts import MARGIN, NEUTRAL, faded, legend, with_alt
from tbn.tasks import IGNORED, Task

MOST_CLASSES = 40  # bars; of more classes the most frequent
LOOKED_AT = 2_000  # samples whose pixels or points are counted
ACROSS, DOWN = 8, 3
STEPS = 400  # of a series


def overview(task: Task) -> list[go.Figure]:
    """The figures that suit the task's kind: classes and first pictures, or the series."""
    if task.kind == "forecasting":
        return [series(task)]
    pictures = task.kind in ("images", "segmentation") and min(task.input_shape[1:]) > 1
    return [classes(task), *([samples(task)] if pictures else [])]


def classes(task: Task) -> go.Figure:
    """How many samples (pixels, points) each class has in the training and in the test part."""
    single = len(task.train_targets.shape) == 1
    what = "samples" if single else "pixels" if task.kind == "segmentation" else "points"
    parts = {"train": task.train_targets, "test": task.test_targets}
    counts = {
        name: _counts(np.asarray(targets[:] if single else targets[:LOOKED_AT]), len(task.classes))
        for name, targets in parts.items()
    }
    order = np.sort(np.argsort(-counts["train"], kind="stable")[:MOST_CLASSES])
    figure = go.Figure()
    for name, opacity in (("train", 0.9), ("test", 0.45)):
        figure.add_bar(
            x=[task.classes[k] for k in order], y=counts[name][order], name=name, marker={"color": faded(NEUTRAL, opacity)},
            hovertemplate=f"%{{x}}: %{{y:,}} {what}<extra>{name}</extra>",
        )  # fmt: skip
    figure.update_xaxes(title="Class", type="category")
    figure.update_yaxes(title=what.capitalize())
    figure.update_layout(height=260, margin=MARGIN, legend=legend(), barmode="group")
    told = ", ".join(f"{task.classes[k]} {counts['train'][k]:,} and {counts['test'][k]:,}" for k in order[:12])
    return with_alt(figure, f"{what.capitalize()} of each class in the training and the test part: {told}.")


def samples(task: Task) -> go.Figure:
    """The first training pictures, beside each other."""
    shown = np.asarray(task.train_inputs[: ACROSS * DOWN])
    count, channels, height, width = shown.shape
    if channels not in (1, 3):
        shown = shown[:, :1]
    across = min(ACROSS, count)
    down = -(-count // across)
    wall = np.full((down * (height + 1), across * (width + 1), 3), 255, np.uint8)
    top = 255 if shown.max() > 16 else max(1, int(shown.max()))  # digits of 0..16
    for place, picture in enumerate(shown):
        y, x = place // across * (height + 1), place % across * (width + 1)
        wall[y : y + height, x : x + width] = np.moveaxis(picture.astype(np.uint16) * 255 // top, 0, -1).astype(
            np.uint8
        )
    figure = go.Figure(go.Image(z=wall, hoverinfo="skip"))
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.update_layout(height=90 * down, margin={"l": 0, "r": 0, "t": 6, "b": 6})
    named = ""
    if len(task.train_targets.shape) == 1:
        named = ": " + ", ".join(task.classes[int(label)] for label in np.asarray(task.train_targets[:count])[:12])
    return with_alt(figure, f"The first {count} training pictures of {height} x {width} pixels{named}.")


def series(task: Task) -> go.Figure:
    """The first channels over the last steps of the training part, standardised."""
    values = np.asarray(task.train_targets[max(0, len(task.train_targets) - STEPS) :])[:, 0]
    figure = go.Figure()
    for channel, name in list(enumerate(task.classes))[:4]:
        figure.add_scatter(
            x=np.arange(len(values)), y=values[:, channel], name=name, mode="lines", line={"width": 1.5},
            hovertemplate="step %{x}: %{y:.3f}<extra>" + name + "</extra>",
        )  # fmt: skip
    figure.update_xaxes(title="Step")
    figure.update_yaxes(title="Value (standardised)")
    figure.update_layout(height=260, margin=MARGIN, legend=legend(), showlegend=True)
    return with_alt(figure, f"The last {len(values)} training steps of {', '.join(task.classes[:4])}, standardised.")


def _counts(targets: NDArray[np.generic], classes: int) -> NDArray[np.int64]:
    flat = targets.ravel().astype(np.int64)
    counted = flat if targets.ndim == 1 else flat[flat != IGNORED]
    return np.bincount(counted, minlength=classes)[:classes]
