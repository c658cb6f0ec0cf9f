"""Recorded benchmarks of the kernels as a picture. Values in, plotly figure out, as in ``tbn.charts``."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from tbn.charts import COLOURS, MARGIN, NEUTRAL, faded, legend, with_alt


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
            marker={"color": faded(COLOURS["tiled"], 1 - 0.6 * engines.index(engine) / max(1, len(engines) - 1))},
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
        legend=legend() | {"traceorder": "reversed"},
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
