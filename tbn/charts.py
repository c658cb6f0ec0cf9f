"""Charts: values in, plotly figure out. No streamlit and no torch, so a notebook draws the same picture as a page.

One meaning a colour (told apart by colour-blind eyes and on light and dark ground): grey is fp32, vermilion is binary (p = 1), blue is tiled,
green is whatever is no weight (code, buffers).
The model is a marker's shape. Every axis has its unit; a measured number has its machine and date. ``alt_text(figure)`` is the figure in words.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from tbn.pareto import front

COLOURS = {"fp32": "#8A8F98", "binary": "#D9601A", "tiled": "#2B87D1", "code": "#12A37F"}
NEUTRAL = "#8A8F98"
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "star", "x", "hexagon", "cross")
X_AXES = {
    "weight_bytes": "Stored weights (bytes, log2 axis)",
    "bits_per_weight": "Stored bits a weight (log2 axis)",
    "total_bytes": "Whole model with biases and norms (bytes, log2 axis)",
}
CONFIGURATION = ["task", "model", "method", "p", "alpha", "alpha_source", "min_layer_size", "epochs", "data_source"]
MARGIN = {"l": 10, "r": 10, "t": 34, "b": 10}


def alt_text(figure: go.Figure) -> str:
    """What the figure shows, in a sentence or two, for those who cannot see it."""
    return str((figure.layout.meta or {}).get("alt", ""))


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


def configurations(runs: pd.DataFrame) -> pd.DataFrame:
    """One row a configuration: accuracy as the mean over its seeds, ``accuracy_std`` (sample standard deviation, NaN for one seed), ``seeds``.

    ``run`` is the run with the smallest seed; everything else is as that run has it. A seed that was trained again counts once, as its newest.
    """
    keys = [name for name in CONFIGURATION if name in runs.columns]
    runs = (
        runs[runs["accuracy"].notna()]
        .sort_values(["seed", "date", "run"])
        .drop_duplicates([*keys, "seed"], keep="last")
    )
    groups = runs.groupby(keys, dropna=False, sort=False)
    merged = groups.first().reset_index()
    merged["run"] = groups["run"].first().to_numpy()
    merged["accuracy"], merged["accuracy_std"] = (
        groups["accuracy"].mean().to_numpy(),
        groups["accuracy"].std().to_numpy(),
    )
    merged["seeds"] = groups.size().to_numpy()
    return merged


def tradeoff(runs: pd.DataFrame, x: str = "weight_bytes") -> go.Figure:
    """Accuracy against size, one point a configuration with its spread over seeds, and the Pareto front; dominated points are faded.

    A point's ``customdata`` begins with the run id, so a click on it chooses the run.
    """
    points = configurations(runs)
    points = points[pd.to_numeric(points[x], errors="coerce") > 0].sort_values([x, "accuracy"])
    points["on_front"] = front(points, x, "accuracy")
    winners = points[points["on_front"]]
    figure = go.Figure()
    figure.add_scatter(
        x=winners[x], y=winners["accuracy"] * 100, mode="lines", name="Pareto front", hoverinfo="skip",
        line={"color": NEUTRAL, "width": 1.5, "dash": "dot", "shape": "hv"},
    )  # fmt: skip
    symbols = dict(zip(sorted(points["model"].unique()), SYMBOLS * 9, strict=False))
    for (model, method), group in points.sort_values("on_front", ascending=False, kind="stable").groupby(
        ["model", "method"]
    ):
        figure.add_scatter(
            x=group[x], y=group["accuracy"] * 100, mode="markers+text", name=f"{model}, {method}",
            text=group["p"].map(label_of), textposition="bottom right", cliponaxis=False,
            error_y={"type": "data", "array": group["accuracy_std"].fillna(0) * 100, "thickness": 1.2, "width": 4},
            marker={"size": 14, "symbol": symbols[model], "color": COLOURS[str(method)], "opacity": [1.0 if f else 0.4 for f in group["on_front"]]},
            customdata=[[row["run"], _hover(row)] for _, row in group.iterrows()],
            hovertemplate="%{customdata[1]}<extra></extra>", unselected={"marker": {"opacity": 0.3}},
        )  # fmt: skip
    figure.update_xaxes(title=X_AXES[x], type="log", **_powers_of_two(points[x], "bits" not in x))
    figure.update_yaxes(title="Test accuracy (%)")
    figure.update_layout(height=460, margin=MARGIN, clickmode="event+select", dragmode="zoom", legend=_legend())
    best = "; ".join(
        f"{row['model']} {label_of(row['p'])} {row['accuracy']:.1%} at {_size(row[x], x)}"
        for row in winners.to_dict("records")
    )
    return with_alt(
        figure,
        f"Test accuracy against {X_AXES[x].split(' (')[0].lower()} of {len(points)} configurations. Pareto front: {best}.",
    )


def curves(metrics: pd.DataFrame, what: str, method: str = "tiled") -> go.Figure:
    """One training curve, ``what`` = "accuracy" or "loss": test solid, train dashed, against the epoch."""
    factor, unit = (100, "accuracy (%)") if what == "accuracy" else (1, "loss")
    figure, told = go.Figure(), []
    for part, dash in (("test", "solid"), ("train", "dash")):
        if (name := f"{part}_{what}") in metrics and metrics[name].notna().any():
            rows = metrics[metrics[name].notna()]
            figure.add_scatter(
                x=rows["epoch"], y=rows[name] * factor, name=part, mode="lines+markers", opacity=1.0 if part == "test" else 0.6,
                line={"color": COLOURS[method], "dash": dash, "width": 2}, hovertemplate=f"epoch %{{x}}: %{{y:.3g}}<extra>{part}</extra>",
            )  # fmt: skip
            told.append(f"{part} {what} {rows[name].iloc[-1] * factor:.3g}")
    figure.update_xaxes(title="Epoch", tick0=1, dtick=max(1, round(len(metrics) / 8)))
    figure.update_yaxes(title=unit.capitalize())
    figure.update_layout(height=260, margin=MARGIN, legend=_legend())
    return with_alt(
        figure, f"{what.capitalize()} over {len(metrics)} epochs; in the last: {', '.join(told) or 'nothing yet'}."
    )


def kernel_ratios(record: Mapping[str, Any]) -> go.Figure:
    """Measured speed as a multiple of the baseline: bars for each shape and p, 1 = the baseline, an upright line = p.

    Args:
        record: as ``kernels.bench`` writes it: machine, date, versions, threads, rows (op, engine, baseline, m, n, batch, p, median_us,
            baseline_us, ratio, repeats).
    """
    rows = pd.DataFrame(record["rows"]).sort_values(["m", "n", "batch", "p"], ascending=False)
    rows["shape"] = [f"{r['m']} x {r['n']}, p = {r['p']}" for r in rows.to_dict("records")]
    figure, engines = go.Figure(), sorted(rows["engine"].unique())
    for engine in reversed(engines):
        part = rows[rows["engine"] == engine]
        figure.add_bar(
            y=part["shape"], x=part["ratio"], orientation="h", name=engine,
            marker={"color": _faded(COLOURS["tiled"], 1 - 0.6 * engines.index(engine) / max(1, len(engines) - 1))},
            text=[f"{ratio:.2f}x" for ratio in part["ratio"]], textposition="outside", constraintext="none", textangle=0,
            textfont={"size": 11}, cliponaxis=False,
            customdata=part[["median_us", "baseline_us", "baseline", "repeats", "batch"]],
            hovertemplate=f"<b>{engine}</b>, %{{y}}, batch %{{customdata[4]}}<br>%{{customdata[0]:,.1f}} us against %{{customdata[1]:,.1f}} us "
            "(%{customdata[2]})<br>medians of %{customdata[3]} repeats<extra></extra>",
        )  # fmt: skip
    ideal = rows.drop_duplicates("shape")
    figure.add_scatter(
        y=ideal["shape"], x=ideal["p"], mode="markers", name="p: bytes saved", hovertemplate="1/%{x} of the weight bytes<extra></extra>",
        marker={"symbol": "line-ns-open", "size": 16, "color": NEUTRAL, "line": {"width": 2}},
    )  # fmt: skip
    figure.add_vline(x=1, line={"color": COLOURS["fp32"], "width": 1, "dash": "dot"}, layer="below")
    figure.update_xaxes(title=f"Times as fast as {', '.join(sorted(rows['baseline'].unique()))}", rangemode="tozero")
    order = list(rows.drop_duplicates("shape")["shape"])
    figure.update_yaxes(title="Weight (m x n) and tiling factor", categoryorder="array", categoryarray=order)
    figure.update_layout(
        height=170 + 19 * len(rows),
        margin=MARGIN | {"r": 40},
        legend=_legend() | {"traceorder": "reversed"},
        barmode="group",
    )
    best = rows.sort_values("ratio").iloc[-1]
    told = (
        f"from {rows['ratio'].min():.2f} to {best['ratio']:.2f} times as fast, best {best['engine']} at {best['shape']}"
    )
    return with_alt(
        figure,
        f"Speed of {', '.join(engines)} beside {best['baseline']} on {record['machine']}, {kernel_source(record)}: {told}.",
    )


def kernel_source(record: Mapping[str, Any]) -> str:
    """When and with what a record was measured."""
    versions = ", ".join(f"{name} {version}" for name, version in record.get("versions", {}).items())
    return f"measured {str(record['date'])[:10]} with {record.get('threads', '?')} threads, {versions}"


def _hover(row: "pd.Series[Any]") -> str:
    spread = f" ± {row['accuracy_std']:.2%} (mean of {row['seeds']} seeds)" if row["seeds"] > 1 else " (one seed)"
    lines: list[str] = [f"<b>{row['model']}, {label_of(row['p'])}</b>", f"accuracy {row['accuracy']:.2%}{spread}"]
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


def _faded(colour: str, opacity: float) -> str:
    """``#rrggbb`` as rgba."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity:.2f})"


def _legend() -> dict[str, Any]:
    return {"orientation": "h", "yanchor": "bottom", "y": 1.0, "xanchor": "left", "x": 0.0, "title": {"text": ""}}


def with_alt(figure: go.Figure, text: str) -> go.Figure:
    """Give the figure its words."""
    figure.update_layout(meta={"alt": text})
    return figure
