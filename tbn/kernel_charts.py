"""Recorded benchmarks as pictures: one layer on every engine, and whole networks. Values in, plotly figures out, as in ``tbn.charts``."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from tbn.charts import COLOURS, MARGIN, NEUTRAL, faded, legend, with_alt

SORTS = {  # of an engine, with its colour: the project's words first
    "ours, distinct rows only": COLOURS["tiled"],
    "ours, whole weight unpacked": faded(COLOURS["tiled"], 0.4),
    "others, full precision": COLOURS["fp32"],
    "others, fewer bits": faded(COLOURS["fp32"], 0.5),
}
KINDS = {  # of operations, as ``tbn.speed.where`` names them
    "tiled products": COLOURS["tiled"],
    "other products": COLOURS["fp32"],
    "attention": COLOURS["binary"],
    "copies and epilogue": faded(COLOURS["tiled"], 0.4),
    "norms and activations": COLOURS["code"],
    "rest": faded(COLOURS["fp32"], 0.4),
}


def sort_of(row: Mapping[str, Any]) -> str:
    """Which of ``SORTS`` a row of ``kernels.bench`` belongs to."""
    ours, others = list(SORTS)[:2], list(SORTS)[2:]
    if row["ours"]:
        return ours[int(str(row["engine"]).startswith("memory-only"))]
    return others[int(row["dtype"] != {"torch fp32": "float32", "torch bf16": "bfloat16"}[row["baseline"]])]


def speed_text(row: Mapping[str, Any]) -> str:
    """``217 us, 17x``."""
    return f"{time_text(row['median_us'])}, {row['ratio']:.{'2f' if row['ratio'] < 10 else '0f'}}x"


def time_text(microseconds: float) -> str:
    """``4.7 us``, ``217 us`` or ``57.7 ms``."""
    if microseconds >= 10_000:
        return f"{microseconds / 1e3:,.1f} ms"
    return f"{microseconds:,.1f} us" if microseconds < 100 else f"{microseconds:,.0f} us"


def engine_times(record: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Every engine of one case as a bar of its median time, fastest on top, with the roofline's floor as an upright line.

    Args:
        record: machine, date, versions, threads of ``kernels.bench``.
        rows: of one op, shape, batch and timing; of ours those of one p.
    """
    frame = pd.DataFrame(rows).sort_values("median_us", ascending=False)
    frame["sort"] = [sort_of(dict(row)) for row in frame.to_dict("records")]  # type: ignore[arg-type]
    frame["said"] = [speed_text(dict(row)) for row in frame.to_dict("records")]  # type: ignore[arg-type]
    figure = go.Figure()
    for sort, colour in SORTS.items():
        part = frame[frame["sort"] == sort]
        figure.add_bar(
            y=part["engine"], x=part["median_us"], orientation="h", name=sort, marker={"color": colour}, text=part["said"],
            textposition="outside", constraintext="none", textfont={"size": 11}, cliponaxis=False,
            customdata=part[["ratio", "baseline", "ratio_fastest", "fastest_dense", "weight_bytes", "relative_error", "repeats"]],
            hovertemplate="<b>%{y}</b><br>%{x:,.1f} us, median of %{customdata[6]} repeats<br>%{customdata[0]:.2f} times as fast as %{customdata[1]},"
            " %{customdata[2]:.2f} times as %{customdata[3]}<br>%{customdata[4]:,} bytes of weights, relative error %{customdata[5]:.0e}"
            "<extra></extra>",
        )  # fmt: skip
    floors = frame[frame["floor_us"].notna()]
    figure.add_scatter(
        y=floors["engine"], x=floors["floor_us"], mode="markers", name="least time by the roofline", customdata=floors[["bound"]],
        hovertemplate="<b>%{y}</b><br>at least %{x:,.2f} us: %{customdata[0]}<extra></extra>",
        marker={"symbol": "line-ns-open", "size": 14, "color": COLOURS["binary"], "line": {"width": 2}},
    )  # fmt: skip
    first = frame.iloc[0]
    low = min(frame["median_us"].min(), floors["floor_us"].min() if len(floors) else float("inf"))
    figure.update_xaxes(
        title="Time of a call (us, log axis)", type="log", range=_decades(low, frame["median_us"].max()), dtick=1
    )
    figure.update_yaxes(categoryorder="array", categoryarray=list(frame["engine"]))
    figure.update_layout(
        height=190 + 26 * len(frame),
        margin=MARGIN | {"r": 90, "t": 64},
        legend=legend(),
        barmode="overlay",
        bargap=0.25,
    )
    best = frame[frame["ours"]].iloc[-1] if frame["ours"].any() else frame.iloc[-1]
    what = f"{first['op']} {first['shape']}, batch {first['batch']}, on {record['machine']}, {source(record)}"
    told = f"fastest of ours {best['engine']} with {time_text(best['median_us'])}, {best['ratio_fastest']:.2f} times as {best['fastest_dense']}"
    return with_alt(figure, f"Time of a call of {len(frame)} engines, {what}: {told}, the fastest dense engine.")


def _decades(low: float, high: float) -> list[float]:
    """Range of a log axis; the text behind the longest bar stands in the margin."""

    start, stop = math.log10(low) - 0.15, math.log10(high)
    return [start, stop + 0.03]


def model_ratios(record: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Whole networks: how many times as fast as the fastest dense engine, a bar an engine of ours; upright lines are the limit by MACs.

    Args:
        record: machine, date, versions, threads of ``tbn.speed``.
        rows: of one batch and p.
    """
    frame = pd.DataFrame([row for row in rows if row["ours"]])
    frame["network"] = [
        f"{row['model']}<br>{row['baseline']}, {row['baseline_ms']:,.3g} ms" for row in frame.to_dict("records")
    ]
    networks, engines, figure = list(frame["network"].unique())[::-1], list(frame["engine"].unique()), go.Figure()
    for index, engine in reversed(list(enumerate(engines))):
        part = frame[frame["engine"] == engine]
        figure.add_bar(
            y=part["network"], x=part["ratio"], orientation="h", name=engine,
            marker={"color": faded(COLOURS["tiled"], 1 - 0.75 * index / len(engines))},
            text=[f"{ratio:.2f}x" for ratio in part["ratio"]], textposition="outside", constraintext="none", textfont={"size": 11}, cliponaxis=False,
            customdata=part[["median_ms", "inputs_per_second", "repeats", "limit"]],
            hovertemplate=f"<b>{engine}</b>, %{{y}}<br>%{{customdata[0]:,.2f}} ms a call, %{{customdata[1]:,.0f}} inputs a second, median of "
            "%{customdata[2]} repeats<br>limit by MACs %{customdata[3]:.2f}x<extra></extra>",
        )  # fmt: skip
    limits = frame.drop_duplicates("network")
    figure.add_scatter(
        y=limits["network"], x=limits["limit"], mode="markers", name="limit by MACs", hovertemplate="%{y}: %{x:.2f}x fewer MACs<extra></extra>",
        marker={"symbol": "line-ns-open", "size": 46, "color": COLOURS["binary"], "line": {"width": 2}},
    )  # fmt: skip
    figure.add_vline(x=1, line={"color": NEUTRAL, "width": 1, "dash": "dot"}, layer="below")
    figure.update_xaxes(title="x the fastest dense engine", rangemode="tozero")
    figure.update_yaxes(categoryorder="array", categoryarray=networks, automargin=True)
    figure.update_layout(
        height=150 + 24 * len(frame),
        margin=MARGIN | {"r": 40, "t": 64},
        legend=legend() | {"traceorder": "reversed"},
        barmode="group",
    )
    best = frame.sort_values("ratio").iloc[-1]
    range_of = f"from {frame['ratio'].min():.2f} to {best['ratio']:.2f} times as fast"
    told = f"{range_of}, best {best['model']} with {best['engine']} (limit by MACs {best['limit']:.2f})"
    head = f"Whole networks at p = {best['p']}, batch {best['batch']}, beside the fastest dense engine of each"
    return with_alt(figure, f"{head}, on {record['machine']}, {source(record)}: {told}.")


def where_time_goes(record: Mapping[str, Any]) -> go.Figure:
    """Milliseconds of a call by kind of operation, dense beside compute-once, in ONNX Runtime's own profile.

    Args:
        record: of ``tbn.speed``, with "where_time_goes".
    """
    bars = {}
    for entry in record["where_time_goes"]:
        name = f"{entry['model']}, batch {entry['batch']}"
        bars[f"{name},<br>dense"] = entry["dense_milliseconds"]
        bars[f"{name},<br>p = {entry['p']}"] = entry["milliseconds"]
    figure = go.Figure()
    for kind, colour in KINDS.items():
        figure.add_bar(
            y=list(bars), x=[times[kind] for times in bars.values()], orientation="h", name=kind, marker={"color": colour},
            hovertemplate=f"%{{y}}<br>{kind}: %{{x:.2f}} ms<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title="Call in ONNX Runtime (ms)")
    figure.update_yaxes(categoryorder="array", categoryarray=list(bars)[::-1], automargin=True)
    figure.update_layout(
        height=150 + 42 * len(bars),
        margin=MARGIN | {"t": 64},
        legend=legend() | {"traceorder": "normal"},
        barmode="stack",
    )
    parts = [
        f"{name.replace('<br>', ' ')}: "
        + ", ".join(f"{kind} {value:.2f} ms" for kind, value in times.items() if value >= 0.005)
        for name, times in bars.items()
    ]
    return with_alt(
        figure, f"Where the time of a call goes, on {record['machine']}, {source(record)}. {'; '.join(parts)}."
    )


def source(record: Mapping[str, Any]) -> str:
    """When and with what a record was measured."""
    versions = ", ".join(f"{name} {version}" for name, version in record.get("versions", {}).items())
    threads = record.get("threads", "?")
    return f"measured {str(record['date'])[:10]} with {threads} thread{'s' * (threads != 1)}, {versions}"
