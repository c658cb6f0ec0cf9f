"""Runs beside each other in one chart: curves and bytes. Values in, plotly figure out, as in ``tbn.charts``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from tbn.charts import MARGIN, bytes_text, legend, score_text, with_alt
from tbn.marks import Network
from tbn.scores import METRICS


def curves(metrics: Sequence[pd.DataFrame], networks: Sequence[Network], what: str) -> go.Figure:
    """One training curve of each network against the epoch: on the test set, and fainter on the training set.

    Args:
        metrics: ``Run.metrics()`` of each; one without the curve has no line.
        networks: how each is called and drawn.
        what: "loss" or a metric, e.g. "accuracy".
    """
    metric = METRICS.get(what)
    factor, label = (metric.factor, metric.label) if metric else (1, what)
    figure, told = go.Figure(), []
    for table, network in zip(metrics, networks, strict=True):
        for part, opacity in (("train", 0.35), ("test", 1.0)):
            name = f"{part}_{what}"
            if name not in table or not table[name].notna().any():
                continue
            rows = table[table[name].notna()]
            figure.add_scatter(
                x=rows["epoch"], y=rows[name] * factor, name=network.name, mode="lines", opacity=opacity, legendgroup=network.name,
                showlegend=part == "test", line={"color": network.colour, "dash": network.dash, "width": 2.5 if part == "test" else 1.5},
                customdata=[score_text(what, value) for value in rows[name]],
                hovertemplate=f"{part}, epoch %{{x}}: %{{customdata}}<extra>{network.name}</extra>",
            )  # fmt: skip
            if part == "test":
                told.append(f"{network.name} {score_text(what, rows[name].iloc[-1])}")
    last = max((int(table["epoch"].max()) for table in metrics if len(table)), default=1)
    figure.update_xaxes(title="Epoch", tick0=1, dtick=max(1, round(last / 8)))
    axis = metric.axis.removeprefix("Test ") if metric else label
    figure.update_yaxes(title=axis[:1].upper() + axis[1:])
    figure.update_layout(height=300, margin=MARGIN | {"t": 60}, legend=legend(), showlegend=True)
    told_text = "; ".join(told) or "nothing yet"
    return with_alt(
        figure, f"{label[:1].upper()}{label[1:]} against the epoch; on the test set in the last: {told_text}."
    )


def sizes(found: Sequence[Mapping[str, Any]], networks: Sequence[Network]) -> go.Figure:
    """Bytes of weights and of the rest of each network, on a log axis.

    Args:
        found: ``result["size"]`` of each run.
        networks: how each is called and drawn.
    """
    figure = go.Figure()
    for size, network in zip(found, networks, strict=True):
        amounts = (size["weight_bytes"], size["other_bytes"], size["total_bytes"])
        figure.add_bar(
            y=["weights", "biases, norms", "all"], x=[max(1, amount) for amount in amounts], name=network.name, orientation="h",
            marker=network.bar, text=[bytes_text(amount) for amount in amounts], textposition="outside", cliponaxis=False,
            hovertemplate="%{y}: %{text}<extra>" + network.name + "</extra>",
        )  # fmt: skip
    most = max(size["total_bytes"] for size in found)
    figure.update_xaxes(
        title="Bytes (log axis)", type="log", range=[0, 1.18 * math.log10(max(10, most))]
    )  # with room for the words
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_layout(
        height=130 + 66 * len(networks), margin=MARGIN | {"t": 60}, legend=legend(), showlegend=True, barmode="group"
    )
    told = "; ".join(
        f"{network.name} {bytes_text(size['weight_bytes'])} of weights, {bytes_text(size['total_bytes'])} in all"
        for size, network in zip(found, networks, strict=True)
    )
    return with_alt(figure, f"Bytes: {told}.")


def layers(found: Sequence[Mapping[str, Any]], networks: Sequence[Network]) -> go.Figure:
    """Bytes of each layer of each network, on a log axis; a layer that a network has not is left out."""
    names = list(dict.fromkeys(layer["name"] for size in found for layer in size["layers"]))
    figure = go.Figure()
    for size, network in zip(found, networks, strict=True):
        figure.add_scatter(
            x=[layer["bytes"] for layer in size["layers"]], y=[layer["name"] for layer in size["layers"]], name=network.name, mode="markers",
            marker={"color": network.colour, "size": 11, "symbol": network.symbol, "line": {"width": 1}},
            customdata=[f"{layer['bytes']:,} bytes, {layer['status']}, p = {layer['p']}" for layer in size["layers"]],
            hovertemplate="<b>%{y}</b>: %{customdata}<extra>" + network.name + "</extra>",
        )  # fmt: skip
    figure.update_xaxes(title="Bytes of weights (log axis)", type="log")
    figure.update_yaxes(autorange="reversed", type="category", categoryorder="array", categoryarray=names)
    height = 140 + max(16, min(30, 500 // max(1, len(names)))) * len(names)
    figure.update_layout(height=height, margin=MARGIN | {"t": 60}, legend=legend(), showlegend=True)
    return with_alt(
        figure,
        f"Bytes of {len(names)} layers in {len(found)} networks: {', '.join(network.name for network in networks)}.",
    )
