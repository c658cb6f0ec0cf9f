"""Charts of a budget search (``tbn fit --task``): its candidates, and the factor that each layer got. Values in, plotly figure out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from tbn.axes import bytes_text
from tbn.charts import COLOURS, MARGIN, NEUTRAL, label_of, legend, method_of, with_alt


def candidates(rows: Sequence[Mapping[str, Any]], budget: int | None = None) -> go.Figure:
    """Each network that short trainings compared: its bytes and its score on samples held out of the training set; the larger, the longer it stayed.

    Args:
        rows: "candidates" of the answer: model_args, layers, bytes, uniform, score (higher is better), trainings.
        budget: in bytes, drawn as a line.
    """
    figure = go.Figure()
    for uniform, name, symbol in (
        (False, "factors from the solver", "circle"),
        (True, "the same factor everywhere", "diamond-open"),
    ):
        chosen = [row for row in rows if bool(row["uniform"]) == uniform and row["score"] is not None]
        figure.add_scatter(
            x=[row["bytes"] for row in chosen], y=[row["score"] for row in chosen], mode="markers", name=name,
            marker={"symbol": symbol, "size": [8 + 4 * int(row["trainings"]) for row in chosen], "color": COLOURS["tiled"]},
            customdata=[described(row) for row in chosen],
            hovertemplate="%{customdata}<br>%{x:,} bytes, held-out score %{y:.4f}<extra></extra>",
        )  # fmt: skip
    if budget is not None:
        figure.add_vline(
            x=budget,
            line={"color": NEUTRAL, "dash": "dash", "width": 1.2},
            annotation={"text": f"budget {bytes_text(budget)}", "font": {"size": 11, "color": NEUTRAL}},
            annotation_position="top left",
        )
    figure.update_xaxes(title="Packed network with biases and norms (bytes)", rangemode="normal")
    figure.update_yaxes(title="Held-out score of the last short training, up is better")
    figure.update_layout(height=360, margin=MARGIN, legend=legend())
    ranked = sorted(
        (row for row in rows if row["score"] is not None),
        key=lambda row: (-int(row["trainings"]), -float(row["score"])),
    )
    best = f"; the best is {described(ranked[0])} with {bytes_text(ranked[0]['bytes'])}" if ranked else ""
    return with_alt(figure, f"Bytes and held-out score of {len(rows)} networks under the budget{best}.")


def layers(factors: Mapping[str, int], sensitivity: Mapping[str, float]) -> go.Figure:
    """The tiling factor of each layer as a bar, beside how much the loss grew when that layer alone was tiled.

    Args:
        factors: layer -> p.
        sensitivity: layer -> growth of the loss; layers without one were never tiled.
    """
    figure, names = go.Figure(), list(factors)
    colours = [COLOURS[method_of(factors[name])] for name in names]
    figure.add_bar(
        y=names, x=[factors[name] for name in names], orientation="h", name="factor p", marker={"color": colours},
        text=[label_of(factors[name]) for name in names], textposition="outside", cliponaxis=False,
        customdata=[f"{sensitivity[name]:.4f}" if name in sensitivity else "not measured" for name in names],
        hovertemplate="%{y}: %{text}<br>loss grew by %{customdata} when it alone was tiled<extra></extra>",
    )  # fmt: skip
    top = max([*factors.values(), 2])
    ticks = [2**k for k in range(top.bit_length())]
    figure.update_xaxes(
        title="Tiling factor p (log2 axis)",
        type="log",
        tickvals=ticks,
        range=[-0.3, 1.25 * math.log10(top)],
    )
    figure.update_yaxes(autorange="reversed", title="")
    figure.update_layout(height=90 + 32 * len(names), margin=MARGIN, showlegend=False)
    told = "; ".join(f"{name} {label_of(p)}" for name, p in factors.items())
    return with_alt(figure, f"Tiling factor of each layer: {told}.")


def described(row: Mapping[str, Any]) -> str:
    """``width 16, p = 1, 4, 8``."""
    size = ", ".join(f"{name} {value}" for name, value in row["model_args"].items())
    factors = list(row["layers"].values())
    shown = label_of(factors[0]) if len(set(factors)) == 1 else "p = " + ", ".join(map(str, factors))
    return f"{size}, {shown}" if size else shown
