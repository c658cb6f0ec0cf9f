"""What a trade-off has beside its points: baselines as lines, and a legend that stays short however many networks there are."""

import itertools
from collections.abc import Iterable, Mapping

import pandas as pd
import plotly.graph_objects as go

from tbn.palette import COLOURS, NEUTRAL
from tbn.scores import Metric

MOST_NAMED = 8  # traces with an entry of their own


def draw_legend(figure: go.Figure, symbols: Mapping[str, str], methods: Iterable[str]) -> None:
    """Beyond a few traces, one entry a colour and one a shape instead of one for each pair: a click on a model hides all of it."""
    traces = [trace for trace in figure.data if trace.customdata is not None]
    if len(traces) <= MOST_NAMED:
        return
    for trace in traces:
        trace.update(showlegend=False, legendgroup=trace.name.rpartition(", ")[0])
    present = set(methods)
    for method in (name for name in COLOURS if name in present):
        figure.add_scatter(x=[None], y=[None], mode="markers", name=method, hoverinfo="skip", legendgroup=f"colour {method}",
                           marker={"size": 11, "symbol": "square", "color": COLOURS[method]})  # fmt: skip
    for model, symbol in symbols.items():
        figure.add_scatter(x=[None], y=[None], mode="markers", name=model, hoverinfo="skip", legendgroup=model,
                           marker={"size": 11, "symbol": f"{symbol}-open", "color": NEUTRAL, "line": {"width": 2}})  # fmt: skip


def draw_baselines(
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
