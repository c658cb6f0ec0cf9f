"""What the zoo's fronts say, drawn: tiled networks beside narrower binary ones of the same bytes, and what each halving of the bits costs.

Values in, plotly figure out, as in ``tbn.charts``; the frames are those of ``tbn.zoo.results``. Blue is tiled, vermilion is binary, grey is
full precision or no difference. Bars are one standard deviation over the seeds, or over the folds of the data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tbn.charts import COLOURS, MARGIN, NEUTRAL, bytes_text, faded, label_of, legend, with_alt
from tbn.scores import METRICS, Metric

TILED, NARROW = "tiled, p = 2, 4, 8, ...", "narrower and binary (p = 1)"
PANELS_A_ROW, PANEL_HEIGHT = 3, 300


def fronts(versions: pd.DataFrame, x: str = "weight_bytes") -> go.Figure:
    """A panel a family: score against size of its tiled versions and of the binary ones, both from p = 1 on; full precision as a dashed line.

    Args:
        versions: rows of ``tbn.zoo.results.versions``; families with fewer than two narrow networks are left out.
        x: "weight_bytes", "total_bytes" or "macs_computed".
    """
    families = with_fronts(versions)
    columns = min(PANELS_A_ROW, max(1, len(families)))
    lines = max(1, math.ceil(len(families) / columns))
    figure = make_subplots(
        lines, columns, subplot_titles=families, horizontal_spacing=0.08, vertical_spacing=0.13 if lines < 3 else 0.09
    )
    told = []
    for place, family in enumerate(families):
        row, column = place // columns + 1, place % columns + 1
        told.append(_panel(figure, versions[versions["family"] == family], x, row, column, first=place == 0))
    figure.update_layout(
        height=PANEL_HEIGHT * lines + 60, margin={**MARGIN, "t": 80}, legend={**legend(), "y": 1 + 42 / (300 * lines)}
    )
    return with_alt(figure, f"Test score against {SIZE_WORDS[x]}, tiled and narrower binary networks. {' '.join(told)}")


def with_fronts(versions: pd.DataFrame) -> list[str]:
    """The families with two narrow networks or more."""
    return [str(name) for name, group in versions.groupby("family", sort=False) if (group["rival_of"] > 0).sum() > 1]


SIZE_WORDS = {
    "weight_bytes": "bytes of weights",
    "total_bytes": "bytes with biases and norms",
    "macs_computed": "computed multiply-adds",
}


def _panel(figure: go.Figure, rows: pd.DataFrame, x: str, row: int, column: int, first: bool) -> str:
    metric = METRICS[str(rows["metric"].iloc[0])]
    binary = rows[rows["version"] == "binary"]
    tiled = pd.concat([binary, rows[(rows["p"] > 1) & rows["version"].str.fullmatch(r"p\d+")]]).sort_values("p")
    narrow = pd.concat([binary, rows[rows["rival_of"] > 0]]).sort_values(x)
    said = []
    for name, part, method, symbol in (
        (TILED, tiled, "tiled", "circle"),
        (NARROW, narrow.sort_values(x, ascending=False), "binary", "diamond"),
    ):
        labels = [label_of(p if not rival else 1) for p, rival in zip(part["p"], part["rival_of"], strict=True)]
        figure.add_scatter(
            x=part[x], y=part["score"] * metric.factor, name=name, legendgroup=name, showlegend=first, mode="lines+markers",
            line={"color": COLOURS[method], "width": 2}, marker={"size": 9, "symbol": symbol, "color": COLOURS[method]},
            error_y={"type": "data", "array": part["deviation"].fillna(0) * metric.factor, "thickness": 1.5, "width": 3},
            customdata=[
                [label, metric.text(score), f"{size:,.0f}", f"{seeds} seeds"]
                for label, score, size, seeds in zip(labels, part["score"], part[x], part["seeds"], strict=True)
            ],
            hovertemplate="<b>%{customdata[0]}</b>, %{customdata[3]}<br>%{customdata[1]}<br>%{customdata[2]}<extra>" + name + "</extra>",
            row=row, col=column,
        )  # fmt: skip
        said.append(
            f"{method}: "
            + ", ".join(
                f"{metric.text(score)} at {size:,.0f}" for score, size in zip(part["score"], part[x], strict=True)
            )
        )
    dense = rows[rows["version"] == "fp32"]
    if len(dense):
        figure.add_hline(
            y=float(dense["score"].iloc[0]) * metric.factor, line={"color": NEUTRAL, "width": 1.5, "dash": "dash"}, layer="below",
            annotation={"text": f"fp32 {metric.text(float(dense['score'].iloc[0]))}", "font": {"size": 11, "color": NEUTRAL}},
            annotation_position="bottom right" if metric.higher_is_better else "top right", row=row, col=column,
        )  # fmt: skip
    title = f"{SIZE_WORDS[x][0].upper()}{SIZE_WORDS[x][1:]} (log axis)"
    figure.update_xaxes(title=title, type="log", row=row, col=column, **_ticks([*tiled[x], *narrow[x]], "bytes" in x))
    figure.update_yaxes(title=metric.axis.removeprefix("Test ") if column == 1 else "", row=row, col=column)
    return f"{rows['family'].iloc[0]}, {metric.label}: {'; '.join(said)}."


def _ticks(values: Sequence[float], in_bytes: bool) -> dict[str, Any]:
    """Powers of four on a log axis, with room at both ends."""
    low, high = math.floor(math.log2(min(values)) - 0.2), math.ceil(math.log2(max(values)) + 0.2)
    powers = range(low, high + 1, max(1, round((high - low) / 4)))
    words = [
        bytes_text(2.0**power).replace(".0 K", " K") if in_bytes else f"{2**power / 1e6:.3g} M" for power in powers
    ]
    edge = math.log10(2)
    return {"tickvals": [2.0**power for power in powers], "ticktext": words, "range": [low * edge, high * edge]}


def equal_bytes(rivals: pd.DataFrame) -> go.Figure:
    """How much better the tiled network is than its narrow rival of the same bytes, a row a pair; bars are the spread of the difference.

    Scores in percent differ by points; errors (MSE) by percent of the rival's.

    Args:
        rivals: rows of ``tbn.zoo.results.rivals``.
    """
    figure = go.Figure()
    drawn = rivals.assign(
        label=[f"{family}, p = {p}" for family, p in zip(rivals["family"], rivals["p"], strict=True)],
        scale=[
            _scale(METRICS[metric], rival) for metric, rival in zip(rivals["metric"], rivals["narrow"], strict=True)
        ],
    )
    names = {"tiled": "tiled is better", "narrow": "narrow is better", "neither": "within the spread"}
    colours = {"tiled": COLOURS["tiled"], "narrow": COLOURS["binary"], "neither": NEUTRAL}
    symbols = {"tiled": "circle", "narrow": "diamond", "neither": "circle-open"}
    for verdict, name in names.items():
        part = drawn[drawn["verdict"] == verdict]
        if not len(part):
            continue
        figure.add_scatter(
            x=part["difference"] * part["scale"], y=part["label"], mode="markers", name=name,
            marker={"size": 10, "symbol": symbols[verdict], "color": colours[verdict]},
            error_x={"type": "data", "array": part["spread"] * part["scale"], "thickness": 1.5, "width": 3, "color": colours[verdict]},
            customdata=[
                [METRICS[m].text(a), METRICS[m].text(b), f"{s:,}", f"{n:,}"]
                for m, a, b, s, n in zip(
                    part["metric"], part["tiled"], part["narrow"], part["tiled_weight_bytes"], part["narrow_weight_bytes"], strict=True
                )
            ],
            hovertemplate="<b>%{y}</b><br>tiled %{customdata[0]} in %{customdata[2]} bytes<br>"
            "narrow %{customdata[1]} in %{customdata[3]} bytes<extra></extra>",
        )  # fmt: skip
    figure.add_vline(x=0, line={"color": NEUTRAL, "width": 1, "dash": "dot"}, layer="below")
    figure.update_yaxes(categoryorder="array", categoryarray=list(drawn["label"])[::-1], automargin=True)
    figure.update_xaxes(
        title="Tiled minus narrow: points of accuracy or IoU; MSE: percent less (right of 0: tiled is better)"
    )
    figure.update_layout(height=130 + 24 * max(1, len(drawn)), margin={**MARGIN, "t": 50}, legend=legend())
    counts = ", ".join(f"{name} in {(drawn['verdict'] == verdict).sum()}" for verdict, name in names.items())
    return with_alt(
        figure, f"Tiled networks against narrower binary ones of the same bytes, {len(drawn)} pairs: {counts}."
    )


def _scale(metric: Metric, rival: float) -> float:
    return 100.0 if metric.percent else 100.0 / rival


def kept_gain(versions: pd.DataFrame) -> pd.DataFrame:
    """How much of what full precision gains over the best trivial method is left: family, model, p, bits_per_weight, kept (1 is all of it)."""
    found = []
    for family, group in versions.groupby("family", sort=False):
        dense = group[group["version"] == "fp32"]
        if not len(dense):
            continue
        gain = dense["score"].iloc[0] - dense["baseline"].iloc[0]
        for row in group[
            (group["p"] > 0) & (group["rival_of"] == 0) & group["version"].str.fullmatch(r"binary|p\d+")
        ].to_dict("records"):
            kept = (row["score"] - row["baseline"]) / gain
            found.append((family, row["model"], row["p"], row["bits_per_weight"], kept))
    return pd.DataFrame(found, columns=["family", "model", "p", "bits_per_weight", "kept"])


def median_gain(kept: pd.DataFrame) -> pd.DataFrame:
    """The medians of ``kept_gain`` by p, where at least half of the families have that p: others would be medians of other families."""
    groups = kept.groupby("p")[["bits_per_weight", "kept"]]
    return groups.median()[groups.size() * 2 >= kept["family"].nunique()]


def scaling(versions: pd.DataFrame) -> go.Figure:
    """Share of full precision's gain over the trivial method that is left, against bits a weight: a line a family, and ``median_gain``."""
    kept, figure = kept_gain(versions), go.Figure()
    for family, part in kept.groupby("family", sort=False):
        part = part.sort_values("p")
        figure.add_scatter(
            x=part["bits_per_weight"], y=100 * part["kept"], mode="lines+markers", name=str(family), showlegend=False,
            line={"color": faded(COLOURS["tiled"], 0.35), "width": 1.5}, marker={"size": 6},
            customdata=[[label_of(p)] for p in part["p"]],
            hovertemplate=f"<b>{family}</b>, %{{customdata[0]}}<br>%{{y:.0f}} % of the gain, %{{x:.3g}} bits a weight<extra></extra>",
        )  # fmt: skip
    middle = median_gain(kept)
    figure.add_scatter(
        x=middle["bits_per_weight"], y=100 * middle["kept"], mode="lines+markers+text", name="median of the families",
        text=[label_of(p) for p in middle.index], textposition="bottom right", line={"color": COLOURS["tiled"], "width": 3}, marker={"size": 11},
        hovertemplate="median, %{text}<br>%{y:.0f} % of the gain<extra></extra>",
    )  # fmt: skip
    figure.add_hline(
        y=100, line={"color": NEUTRAL, "width": 1.5, "dash": "dash"}, layer="below", annotation={"text": "fp32", "font": {"color": NEUTRAL}}
    )  # fmt: skip
    low = math.floor(math.log2(kept["bits_per_weight"].min())) if len(kept) else -5
    figure.update_xaxes(
        title="Stored bits a weight (log axis)", type="log", tickvals=[2.0**k for k in range(low, 1)],
        ticktext=[f"1/{2**-k}" if k else "1" for k in range(low, 1)], autorange="reversed",
    )  # fmt: skip
    figure.update_yaxes(title="Of full precision's gain over the trivial method (%)")
    figure.update_layout(height=440, margin={**MARGIN, "t": 50}, legend=legend())
    told = ", ".join(
        f"{label} {share:.0f} %" for label, share in zip(figure.data[-1].text, figure.data[-1].y, strict=True)
    )
    return with_alt(
        figure, f"Share of full precision's gain that is left in {kept['family'].nunique()} families; median: {told}."
    )


def ablation(rows: pd.DataFrame) -> go.Figure:
    """Score of one network in variants of the method, a row a variant, with the deviation over its seeds.

    Args:
        rows: of ``tbn.zoo.results.versions``, of one metric, with a column ``label``; the first is the default.
    """
    figure = go.Figure()
    if len(rows):
        metric = METRICS[str(rows["metric"].iloc[0])]
        figure.add_vline(
            x=rows["score"].iloc[0] * metric.factor, line={"color": NEUTRAL, "width": 1, "dash": "dot"}, layer="below"
        )
        figure.add_scatter(
            x=rows["score"] * metric.factor, y=rows["label"], mode="markers", marker={"size": 11, "color": COLOURS["tiled"]}, showlegend=False,
            error_x={"type": "data", "array": rows["deviation"].fillna(0) * metric.factor, "thickness": 1.5, "width": 3},
            customdata=[[metric.text(score), f"{size:,}"] for score, size in zip(rows["score"], rows["weight_bytes"], strict=True)],
            hovertemplate="<b>%{y}</b><br>%{customdata[0]}, %{customdata[1]} bytes of weights<extra></extra>",
        )  # fmt: skip
        figure.update_xaxes(title=metric.axis)
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_layout(height=110 + 34 * max(1, len(rows)), margin=MARGIN)
    told = "; ".join(f"{label} {100 * score:.2f}" for label, score in zip(rows["label"], rows["score"], strict=True))
    return with_alt(figure, f"Variants of the method: {told}.")
