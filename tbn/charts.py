"""Charts: values in, plotly figure out. No streamlit and no torch, so a notebook draws the same picture as a page.

Here is score against size, and the words that all charts share; ``tbn.palette`` has their colours, ``tbn.axes`` what a trade-off can be drawn
against, ``tbn.training_charts`` how a run learned, ``tbn.memory_charts`` where its bytes are, ``tbn.kernel_charts`` how fast the kernels are.
Every axis has its unit; a measured number has its machine and date. ``alt_text(figure)`` is the figure in words.
"""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from tbn.axes import AXES
from tbn.axes import bytes_text as bytes_text
from tbn.errors import TBNError
from tbn.labels import placed
from tbn.palette import COLOURS as COLOURS
from tbn.palette import MARGIN as MARGIN
from tbn.palette import NEUTRAL as NEUTRAL
from tbn.palette import SYMBOLS as SYMBOLS
from tbn.palette import alt_text as alt_text
from tbn.palette import faded as faded
from tbn.palette import legend as legend
from tbn.palette import with_alt as with_alt
from tbn.pareto import front
from tbn.scores import METRICS, Metric
from tbn.tradeoff_marks import draw_baselines, draw_legend

CONFIGURATION = [
    "task",
    "metric",
    "model",
    "method",
    "p",
    "alpha",
    "alpha_source",
    "min_layer_size",
    "setup",
    "epochs",
    "data_source",
]
CROWD = 16  # points, beyond which only those of the front are labelled
LABELLED = 24  # points of a front, beyond which none is


def method_of(p: float) -> str:
    """0 is full precision, 1 the binary-weight network, more is tiled."""
    return "fp32" if p == 0 else "binary" if p == 1 else "tiled"


def label_of(p: float) -> str:
    """A tiling factor as it stands beside a point."""
    return "fp32" if p == 0 else "binary" if p == 1 else f"p = {p:g}"


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

    ``run`` is the run with the smallest seed; everything else is as that run has it, or where it has no value, as the next seed's has it. A seed
    that was trained again counts once, as its newest.
    Folds of a cross-validation count as seeds.
    """
    keys = [name for name in CONFIGURATION if name in runs.columns]
    once = [name for name in ("seed", "fold") if name in runs.columns]
    runs = runs[pd.to_numeric(runs["score"], errors="coerce").notna()].astype({"score": float})
    runs = runs.sort_values(["seed", "date", "run"]).drop_duplicates([*keys, *once], keep="last")
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


def scored(runs: pd.DataFrame, metric: str | None) -> pd.DataFrame:
    """The runs judged by another metric of their tasks (a key of ``tbn.scores.METRICS``): ``metric`` and ``score`` are set; None leaves them."""
    if metric is None:
        return runs
    scores = pd.to_numeric(
        pd.Series([(found or {}).get(metric) for found in runs["metrics"]], index=runs.index, dtype="object")
    )
    return runs.assign(metric=metric, score=scores)


def tradeoff(
    runs: pd.DataFrame,
    x: str = "weight_bytes",
    baselines: Mapping[str, float] | None = None,
    *,
    y: str | None = None,
    log: bool = True,
    only_front: bool = False,
    where: str = "",
) -> go.Figure:
    """Score against size, one point a configuration with its spread over seeds, and the Pareto front; dominated points are faded.

    A point's ``customdata`` begins with the run id, so a click on it chooses the run. A run without a value on ``x`` is left out.

    Args:
        runs: rows of ``tbn.runs.frame`` of one task, for some axes with ``tbn.measured.with_measured``.
        x: one of ``tbn.axes.AXES``.
        baselines: what trivial methods score on the task, by name; drawn as dashed lines.
        y: another metric than the one that the task is judged by.
        log: logarithmic x axis.
        only_front: leave the dominated ones out.
        where: the board or machine, as the axis names it.

    Raises:
        TBNError: the runs are of several tasks, or none has a score, or none was measured on ``x``.
    """
    points, axis = configurations(scored(runs, y)), AXES[x]
    metric = _metric(points)
    points = points[pd.to_numeric(points[x], errors="coerce") > 0].sort_values([x, "score"])
    if points.empty:
        raise TBNError(f"no run has a value for {axis.short}", "measure some, or choose another axis")
    points["on_front"] = front_of(points, x)
    count, winners = len(points), points[points["on_front"]]
    points = winners if only_front else points
    figure = go.Figure()
    figure.add_scatter(
        x=winners[x], y=winners["score"] * metric.factor, mode="lines", name="Pareto front", hoverinfo="skip",
        line={"color": NEUTRAL, "width": 1.5, "dash": "dot", "shape": "hv"},
    )  # fmt: skip
    symbols = dict(zip(sorted(points["model"].unique()), SYMBOLS * 9, strict=False))
    named = (points["on_front"] & (len(winners) <= LABELLED)) | (
        len(points) <= CROWD
    )  # a crowd's labels would lie on each other
    labels = points["p"].map(label_of).where(named, "")
    layout, spreads = axis.layout(points[x], log), points["score_std"].fillna(0) * metric.factor
    draw_baselines(figure, points["score"] * metric.factor, baselines or {}, metric)
    levels = [line.y0 for line in figure.layout.shapes]
    texts = placed(points[x], points["score"] * metric.factor, spreads, labels, points["on_front"], layout, levels)
    for (model, method), group in points.sort_values("on_front", ascending=False, kind="stable").groupby(
        ["model", "method"]
    ):
        said, spread = texts.loc[group.index], spreads[group.index]
        figure.add_scatter(
            x=group[x], y=group["score"] * metric.factor, name=f"{model}, {method}", mode="markers+text" if said["text"].any() else "markers",
            text=said["text"] if said["text"].any() else None, textposition=list(said["side"]), cliponaxis=False,
            error_y={"type": "data", "array": spread, "thickness": 1.5, "width": 0} if spread.any() else None,
            marker={"size": 14 if count <= 200 else 10, "symbol": symbols[model], "color": COLOURS[str(method)],
                    "opacity": group["on_front"].map({True: 1.0, False: 0.4}).tolist()},
            customdata=[[row["run"], _hover(row, metric, x)] for row in group.to_dict("records")],
            hovertemplate="%{customdata[1]}<extra></extra>", unselected={"marker": {"opacity": 0.3}},
        )  # fmt: skip
    draw_legend(figure, symbols, points["method"])
    figure.update_xaxes(title=axis.title(log, where), **layout)
    figure.update_yaxes(title=metric.axis + ("" if metric.higher_is_better else ", lower is better"))
    figure.update_layout(height=460, margin=MARGIN, clickmode="event+select", dragmode="zoom", legend=legend())
    best = [
        f"{row['model']} {label_of(row['p'])} {metric.text(row['score'])} at {axis.text(row[x])}"
        for row in winners.to_dict("records")
    ]
    more = f"; and {len(best) - CROWD} more" if len(best) > CROWD else ""
    beside = "; ".join(f"{name} {metric.text(value)}" for name, value in (baselines or {}).items())
    return with_alt(
        figure,
        f"Test {metric.label} against {axis.words[:1].lower() + axis.words[1:]} of {count} configurations. "
        f"Pareto front: {'; '.join(best[:CROWD])}{more}." + (f" Trivial baselines: {beside}." if beside else ""),
    )


def _hover(row: Mapping[Any, Any], metric: Metric, x: str) -> str:
    spread = f" ± {metric.text(row['score_std'])} (mean of {row['seeds']} seeds)" if row["seeds"] > 1 else " (one seed)"
    lines = [f"<b>{row['model']}, {label_of(row['p'])}</b>", f"{metric.label} {metric.text(row['score'])}{spread}"]
    lines.append(f"weights {int(row['weight_bytes']):,} bytes, {row['bits_per_weight']:.3g} bits a weight")
    lines.append(smaller_text(float(row["compression"])))
    if x not in ("weight_bytes", "bits_per_weight"):
        how = f" ({row['how']})" if AXES[x].on_board and row.get("how") and x != "instructions" else ""
        lines.append(f"{AXES[x].short}: {AXES[x].text(row[x])}{how}")
    if row["p"] > 0:
        least = f", min layer size {row['min_layer_size']:,}" if row["min_layer_size"] else ""
        source = row["alpha_source"] if isinstance(row["alpha_source"], str) else "not known"
        lines.append(f"alpha per {row['alpha']}, source {source}{least}")
    if row.get("setup"):
        lines.append(str(row["setup"]))
    lines.append(f"{row['epochs']} epochs, {row['data_source']}")
    return "<br>".join(lines) + ("" if row["on_front"] else "<br><i>dominated</i>")
