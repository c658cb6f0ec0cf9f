"""All cases of a recorded benchmark in one picture: how many times as fast as the fastest dense engine, at each p. Values in, plotly figure out."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from tbn.charts import COLOURS, MARGIN, NEUTRAL, faded, legend, with_alt
from tbn.kernel_charts import SORTS, sort_of, source

MINOR = {
    "dtick": "D2",
    "ticks": "outside",
    "ticklen": 3,
    "tickcolor": NEUTRAL,
}  # 2 and 5; their numbers would overlap in a narrow window


def best_of_ours(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The fastest engine of ours for each case and p, beside the fastest peer of fewer bits: a row a case and p.

    Columns: case, op, shape, batch, timing, p (0: the peer), engine, ratio_fastest, median_us, limit (the same by the roofline's floor, or NaN).
    """
    frame = pd.DataFrame(rows)
    frame["sort"] = [sort_of(dict(row)) for row in frame.to_dict("records")]  # type: ignore[arg-type]
    ours, *_, fewer = SORTS
    frame = frame[frame["sort"].isin([ours, fewer])].copy()
    frame["p"] = frame["p"].where(frame["sort"] == ours, 0).astype(int)
    frame["case"] = [case_text(dict(row)) for row in frame.to_dict("records")]  # type: ignore[arg-type]
    frame["limit"] = frame["ratio_fastest"] * frame["median_us"] / pd.to_numeric(frame["floor_us"])
    best = frame.sort_values("median_us").drop_duplicates(["case", "timing", "p"])
    kept = [
        "case",
        "op",
        "shape",
        "batch",
        "timing",
        "p",
        "engine",
        "ratio_fastest",
        "fastest_dense",
        "median_us",
        "limit",
    ]
    return best[kept].sort_values(["op", "case", "p"]).reset_index(drop=True)


def case_text(row: Mapping[str, Any]) -> str:
    """``linear 3072x768, batch 64``."""
    counted = "tokens" if row["op"] == "mlp" else "batch"
    name = {"conv": "conv", "mlp": "ViT-B perceptron"}.get(str(row["op"]), str(row["op"]))
    return f"{name} {row['shape']}, {counted} {row['batch']}"


def speedups(record: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Every case on a line: how many times as fast as the fastest dense engine our fastest one is, at each p, and the fastest of fewer bits.

    Args:
        record: machine, date, versions, threads.
        rows: of one timing.
    """
    best, figure = best_of_ours(rows), go.Figure()
    factors = sorted(int(p) for p in best["p"].unique() if p)
    for p in [0, *factors]:
        part = best[best["p"] == p]
        name = f"p = {p}" if p else "others, fewer bits"
        colour = faded(COLOURS["tiled"], 0.35 + 0.65 * (factors.index(p) + 1) / len(factors)) if p else COLOURS["fp32"]
        figure.add_scatter(
            y=part["case"], x=part["ratio_fastest"], mode="markers", name=name, customdata=part[["engine", "median_us", "fastest_dense", "limit"]],
            marker={"color": colour, "size": 11, "symbol": "circle" if p else "x-thin-open", "line": {"width": 0 if p else 2}},
            hovertemplate=f"<b>%{{y}}</b>, {name}<br>%{{customdata[0]}}: %{{customdata[1]:,.1f}} us, %{{x:.2f}} times as fast as %{{customdata[2]}}"
            "<extra></extra>",
        )  # fmt: skip
    last = best[(best["p"] == max(factors, default=0)) & best["limit"].notna()]
    figure.add_scatter(
        y=last["case"], x=last["limit"], mode="markers", name=f"roofline at p = {max(factors, default=0)}",
        hovertemplate="<b>%{y}</b><br>at most %{x:.1f} times by its bytes and multiply-adds<extra></extra>",
        marker={"symbol": "line-ns-open", "size": 14, "color": COLOURS["binary"], "line": {"width": 2}},
    )  # fmt: skip
    figure.add_vline(x=1, line={"color": NEUTRAL, "width": 1, "dash": "dot"}, layer="below")
    figure.update_xaxes(title="x fastest dense engine (log)", type="log", dtick=1, minor=MINOR)
    figure.update_yaxes(categoryorder="array", categoryarray=list(best["case"].unique())[::-1], automargin=True)
    figure.update_layout(height=140 + 26 * best["case"].nunique(), margin=MARGIN | {"t": 64}, legend=legend())
    top = best[best["p"] > 0].sort_values("ratio_fastest")
    low, high = (
        f"{row['ratio_fastest']:.2f} times for {row['case']} at p = {row['p']}" for row in (top.iloc[0], top.iloc[-1])
    )
    head = f"Our fastest engine beside the fastest dense one, {best['case'].nunique()} cases, on {record['machine']}, {source(record)}"
    return with_alt(figure, f"{head}: from {low} to {high}.")
