"""Charts: values in, plotly figure out. No streamlit and no torch, so a notebook draws the same picture as a page.

Here are the words and colours of all charts, and score against size; ``tbn.training_charts`` draws how a run learned, ``tbn.memory_charts``
where its bytes are, ``tbn.kernel_charts`` how fast the kernels are.

One meaning a colour (told apart by colour-blind eyes and on light and dark ground): grey is fp32, vermilion is binary (p = 1), blue is tiled,
green is whatever is no weight (code, buffers).
The model is a marker's shape. Every axis has its unit; a measured number has its machine and date. ``alt_text(figure)`` is the figure in words.
"""

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from tbn.errors import TBNError
from tbn.pareto import front
from tbn.scores import METRICS, Metric

COLOURS = {"fp32": "#8A8F98", "binary": "#D9601A", "tiled": "#2B87D1", "code": "#12A37F"}
NEUTRAL = "#8A8F98"
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "star", "x", "hexagon", "cross")
X_AXES = {
    "weight_bytes": "Stored weights (bytes, log2 axis)",
    "bits_per_weight": "Stored bits a weight (log2 axis)",
    "total_bytes": "Whole model with biases and norms (bytes, log2 axis)",
}
CONFIGURATION = [
    "task",
    "metric",
    "model",
    "method",
    "p",
    "alpha",
    "alpha_source",
    "min_layer_size",
    "epochs",
    "data_source",
]
CROWD = 16  # points, beyond which only those of the front are labelled
MARGIN = {"l": 10, "r": 10, "t": 34, "b": 10}


def alt_text(figure: go.Figure) -> str:
    """What the figure shows, in a sentence or two, for those who cannot see it."""
    return str((figure.layout.meta or {}).get("alt", ""))


def with_alt(figure: go.Figure, text: str) -> go.Figure:
    """Give the figure its words."""
    figure.update_layout(meta={"alt": text})
    return figure


def legend() -> dict[str, Any]:
    """Where every chart has its legend: in a line above."""
    return {"orientation": "h", "yanchor": "bottom", "y": 1.0, "xanchor": "left", "x": 0.0, "title": {"text": ""}}


def faded(colour: str, opacity: float) -> str:
    """``#rrggbb`` as rgba."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity:.2f})"


def method_of(p: float) -> str:
    """0 is full precision, 1 the binary-weight network, more is tiled."""
    return "fp32" if p == 0 else "binary" if p == 1 else "tiled"


def label_of(p: float) -> str:
    """A tiling factor as it stands beside a point."""
    return "fp32" if p == 0 else "binary" if p == 1 else f"p = {p:g}"


def bytes_text(count: float) -> str:
    """``3,316 B`` below a KiB's worth of doubt, ``397.0 KiB`` and ``1.2 MiB`` above."""
    if count < 10_240:
        return f"{count:,.0f} B"
    return f"{count / 1024:,.1f} KiB" if count < 2**20 else f"{count / 2**20:,.2f} MiB"


def smaller_text(compression: float) -> str:
    """The word and the ratio: ``122.6x smaller (0.008 of fp32)``."""
    return "as fp32" if compression == 1 else f"{compression:,.1f}x smaller ({1 / compression:.3f} of fp32)"


def score_text(metric: str, value: float | None) -> str:
    """A result as people read it, e.g. ``86.50 %``, ``0.4812`` or ``not measured``; ``metric`` is any key of a result's ``metrics``."""
    if value is None or not math.isfinite(value):
        return "not measured"
    return METRICS[metric].text(value) if metric in METRICS else f"{value:.4g}"


def configurations(runs: pd.DataFrame) -> pd.DataFrame:
    """One row a configuration: ``score`` as the mean over its seeds, ``score_std`` (sample standard deviation, NaN for one seed), ``seeds``.

    ``run`` is the run with the smallest seed; everything else is as that run has it. A seed that was trained again counts once, as its newest.
    """
    keys = [name for name in CONFIGURATION if name in runs.columns]
    runs = runs[pd.to_numeric(runs["score"], errors="coerce").notna()].astype({"score": float})
    runs = runs.sort_values(["seed", "date", "run"]).drop_duplicates([*keys, "seed"], keep="last")
    groups = runs.groupby(keys, dropna=False, sort=False)
    merged = groups.first().reset_index()
    merged["run"] = groups["run"].first().to_numpy()
    merged["score"], merged["score_std"] = groups["score"].mean().to_numpy(), groups["score"].std().to_numpy()
    merged["seeds"] = groups.size().to_numpy()
    return merged


def front_of(points: pd.DataFrame, x: str = "weight_bytes") -> "pd.Series[bool]":
    """Which ``configurations`` of one task nobody beats: small ``x``, and a score as large or as small as its metric wants.

    Raises:
        TBNError: the rows are of several tasks, or there are none.
    """
    return front(points, x, "score", maximise_y=_metric(points).higher_is_better)


def _metric(points: pd.DataFrame) -> Metric:
    """The one metric of these runs."""
    tasks = sorted(points["task"].unique())
    if len(tasks) != 1 or points["metric"].nunique() != 1:
        what = (
            f"runs of {len(tasks)} tasks ({', '.join(tasks)}) have no common score" if tasks else "no run has a score"
        )
        raise TBNError(what, "choose the finished runs of one task, e.g. runs[runs['task'] == 'digits']")
    return METRICS[str(points["metric"].iloc[0])]


def tradeoff(runs: pd.DataFrame, x: str = "weight_bytes", baselines: Mapping[str, float] | None = None) -> go.Figure:
    """Score against size, one point a configuration with its spread over seeds, and the Pareto front; dominated points are faded.

    A point's ``customdata`` begins with the run id, so a click on it chooses the run.

    Args:
        runs: rows of ``tbn.runs.frame`` of one task.
        x: one of ``X_AXES``.
        baselines: what trivial methods score on the task, by name; drawn as dashed lines.

    Raises:
        TBNError: the runs are of several tasks, or none has a score.
    """
    points = configurations(runs)
    metric = _metric(points)
    points = points[pd.to_numeric(points[x], errors="coerce") > 0].sort_values([x, "score"])
    points["on_front"] = front_of(points, x)
    winners = points[points["on_front"]]
    figure = go.Figure()
    figure.add_scatter(
        x=winners[x], y=winners["score"] * metric.factor, mode="lines", name="Pareto front", hoverinfo="skip",
        line={"color": NEUTRAL, "width": 1.5, "dash": "dot", "shape": "hv"},
    )  # fmt: skip
    symbols = dict(zip(sorted(points["model"].unique()), SYMBOLS * 9, strict=False))
    named = points["on_front"] | (len(points) <= CROWD)  # a crowd's labels would lie on each other
    labels = points["p"].map(label_of).where(named, "")
    for (model, method), group in points.sort_values("on_front", ascending=False, kind="stable").groupby(
        ["model", "method"]
    ):
        figure.add_scatter(
            x=group[x], y=group["score"] * metric.factor, mode="markers+text", name=f"{model}, {method}",
            text=labels[group.index], textposition="bottom right", cliponaxis=False,
            error_y={"type": "data", "array": group["score_std"].fillna(0) * metric.factor, "thickness": 1.5, "width": 0},
            marker={"size": 14, "symbol": symbols[model], "color": COLOURS[str(method)], "opacity": [1.0 if f else 0.4 for f in group["on_front"]]},
            customdata=[[row["run"], _hover(row, metric)] for _, row in group.iterrows()],
            hovertemplate="%{customdata[1]}<extra></extra>", unselected={"marker": {"opacity": 0.3}},
        )  # fmt: skip
    _draw_baselines(figure, points["score"] * metric.factor, baselines or {}, metric)
    figure.update_xaxes(title=X_AXES[x], type="log", **_powers_of_two(points[x], "bits" not in x))
    figure.update_yaxes(title=metric.axis + ("" if metric.higher_is_better else ", lower is better"))
    figure.update_layout(height=460, margin=MARGIN, clickmode="event+select", dragmode="zoom", legend=legend())
    best = "; ".join(
        f"{row['model']} {label_of(row['p'])} {metric.text(row['score'])} at {_size(row[x], x)}"
        for row in winners.to_dict("records")
    )
    beside = "; ".join(f"{name} {metric.text(value)}" for name, value in (baselines or {}).items())
    return with_alt(
        figure,
        f"Test {metric.label} against {X_AXES[x].split(' (')[0].lower()} of {len(points)} configurations. Pareto front: {best}."
        + (f" Trivial baselines: {beside}." if beside else ""),
    )


def _draw_baselines(
    figure: go.Figure, drawn: "pd.Series[float]", baselines: Mapping[str, float], metric: Metric
) -> None:
    """A dashed line a baseline. One so far from the points that it would flatten them is named at the edge instead."""
    low, high = drawn.min(), drawn.max()
    reach = max(2 * (high - low), 0.1 * abs(high))
    beyond: dict[str, list[str]] = {"below": [], "above": []}
    sides = itertools.cycle(("top left", "top right"))  # neighbours' words would lie on each other
    for name, value in sorted(baselines.items(), key=lambda item: item[1]):
        y, text = value * metric.factor, f"{name} {metric.text(value)}"
        if low - reach <= y <= high + reach:
            figure.add_hline(
                y=y, line={"color": NEUTRAL, "width": 1.2, "dash": "dash"}, layer="below",
                annotation={"text": text, "font": {"size": 11, "color": NEUTRAL}}, annotation_position=next(sides),
            )  # fmt: skip
        else:
            beyond["below" if y < low else "above"].append(text)
    for side, y, arrow in (("below", 0.0, "↓"), ("above", 1.0, "↑")):
        if beyond[side]:
            figure.add_annotation(
                text=f"{arrow} {', '.join(beyond[side])}", x=0.5, xref="paper", y=y, yref="paper", yanchor="bottom" if y == 0 else "top",
                showarrow=False, font={"size": 11, "color": NEUTRAL},
            )  # fmt: skip


def _hover(row: "pd.Series[Any]", metric: Metric) -> str:
    spread = f" ± {metric.text(row['score_std'])} (mean of {row['seeds']} seeds)" if row["seeds"] > 1 else " (one seed)"
    lines = [f"<b>{row['model']}, {label_of(row['p'])}</b>", f"{metric.label} {metric.text(row['score'])}{spread}"]
    lines.append(f"weights {int(row['weight_bytes']):,} bytes, {row['bits_per_weight']:.3g} bits a weight")
    lines.append(smaller_text(float(row["compression"])))
    if row["p"] > 0:
        lines.append(
            f"alpha per {row['alpha']}, source {row['alpha_source']}, min layer size {row['min_layer_size']:,}"
        )
    lines.append(f"{row['epochs']} epochs, {row['data_source']}")
    return "<br>".join(lines) + ("" if row["on_front"] else "<br><i>dominated</i>")


def _size(value: float, x: str) -> str:
    return f"{value:.3g} bits" if "bits" in x else bytes_text(value)


def _powers_of_two(values: Iterable[float], in_bytes: bool) -> dict[str, Any]:
    """Tick positions and words for a log axis, and a range with room for the marks at both ends."""
    found = [math.log2(value) for value in values] or [0.0]
    low, high = math.floor(min(found) - 0.35), math.ceil(max(found) + 0.35)
    powers = range(low, high + 1, max(1, round((high - low) / 8)))
    words = [_power_text(power, in_bytes) for power in powers]
    edge = math.log10(2)
    return {"tickvals": [2.0**power for power in powers], "ticktext": words, "range": [low * edge, high * edge]}


def _power_text(power: int, in_bytes: bool) -> str:
    if not in_bytes:
        return f"1/{2**-power}" if power < 0 else str(2**power)
    return f"{2**power} B" if power < 10 else f"{2 ** (power - 10)} KiB" if power < 20 else f"{2 ** (power - 20)} MiB"
