"""How a run learned: its curves, and the signals of its tiles. Values in, plotly figure out, as in ``tbn.charts``.

The signals are of tiled and binary layers (``signals.jsonl``; see ``tbn.runs.Run.signals``). What to look for in them: Helwegen et al.,
Latent Weights Do Not Exist: Rethinking Binarized Neural Network Optimization, 2019, https://arxiv.org/abs/1906.02107: latent weights
are no weights but inertia, and what a step really does is to flip some signs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from tbn.charts import COLOURS, MARGIN, faded, legend, score_text, with_alt
from tbn.scores import METRICS

Signals = Sequence[Mapping[str, Any]]
NAMED_LAYERS = 8  # more are told apart by hovering: a legend of fifty names is read by nobody


def curves(metrics: pd.DataFrame, what: str, method: str = "tiled") -> go.Figure:
    """One training curve against the epoch: test solid, train dashed.

    Args:
        metrics: ``Run.metrics()``: columns epoch, ``train_<what>``, ``test_<what>``.
        what: "loss" or a metric, e.g. "accuracy", "mse".
        method: sets the colour.
    """
    metric = METRICS.get(what)
    factor, label = (metric.factor, metric.label) if metric else (1, what)
    figure, told = go.Figure(), []
    for part, dash in (("test", "solid"), ("train", "dash")):
        if (name := f"{part}_{what}") in metrics and metrics[name].notna().any():
            rows = metrics[metrics[name].notna()]
            figure.add_scatter(
                x=rows["epoch"], y=rows[name] * factor, name=part, mode="lines+markers", opacity=1.0 if part == "test" else 0.6,
                line={"color": COLOURS[method], "dash": dash, "width": 2}, customdata=[score_text(what, value) for value in rows[name]],
                hovertemplate=f"epoch %{{x}}: %{{customdata}}<extra>{part}</extra>",
            )  # fmt: skip
            told.append(f"{part} {label} {score_text(what, rows[name].iloc[-1])}")
    _epochs(figure, metrics["epoch"] if len(metrics) else [])
    figure.update_yaxes(title=_sentence(metric.axis.removeprefix("Test ") if metric else label))
    told_text = ", ".join(told) or "nothing yet"
    return with_alt(figure, f"{_sentence(label)} over {_count(metrics)}; in the last: {told_text}.")


def flips(signals: Signals, methods: Mapping[str, str]) -> go.Figure:
    """Flip ratio of each layer against the epoch, on a log axis. An epoch without a flip is an open triangle at the foot.

    Args:
        signals: ``Run.signals()``.
        methods: "tiled" or "binary" of each layer: its colour; the later the layer, the fainter.
    """
    rows = _rows(signals, "flip_ratio")
    flipped = rows["value"][rows["value"] > 0]
    foot = 10 ** np.floor(np.log10(flipped.min() * 0.7)) if len(flipped) else 1e-4
    rows["drawn"], rows["marker"] = rows["value"].where(rows["value"] > 0, foot), "circle"
    rows.loc[rows["value"] <= 0, "marker"] = "triangle-down-open"
    figure = _lines(rows, methods, "{value:.3%} of the signs flipped")
    figure.update_yaxes(title="Share of signs flipped (log axis)", type="log", dtick=1, exponentformat="power")
    last = rows[rows["epoch"] == rows["epoch"].max()]
    told = ", ".join(
        f"{row['layer']} {row['first']:.2%} to {row['value']:.2%}" for row in last.to_dict("records")[:NAMED_LAYERS]
    )
    return with_alt(
        figure, f"Share of each tile's signs that flipped, from the first to the last of {_count(signals)}: {told}."
    )


def balance(signals: Signals, methods: Mapping[str, str]) -> go.Figure:
    """Mean of the signs of each layer's tile against the epoch; arguments as ``flips``."""
    rows = _rows(signals, "balance").assign(marker="circle")
    rows["drawn"] = rows["value"]
    figure = _lines(rows, methods, "mean sign {value:+.4f}")
    figure.add_hline(y=0, line={"color": COLOURS["fp32"], "width": 1, "dash": "dot"}, layer="below")
    figure.update_yaxes(title="Mean sign of the tile")
    widest = rows.iloc[int(rows["value"].abs().to_numpy().argmax())]
    return with_alt(
        figure,
        f"Mean sign of each layer's tile over {_count(signals)}; farthest from 0: {widest['layer']} with {widest['value']:+.3f}.",
    )


def alphas(signals: Signals, methods: Mapping[str, str]) -> go.Figure:
    """The alphas of each layer after the last epoch: a row a layer, the stronger the colour the more alphas have that value."""
    figure, told, layers = go.Figure(), [], signals[-1]["layers"]
    for name, layer in layers.items():
        low, high, counts = float(layer["alpha_low"]), float(layer["alpha_high"]), np.asarray(layer["alphas"])
        told.append(f"{name} {counts.sum()} from {low:.3g} to {high:.3g}")
        if high <= low:  # one value only: a bin around it
            low, high, counts = low - 0.01 * abs(low), high + 0.01 * abs(high), counts.sum(keepdims=True)
        edges, found = np.linspace(low, high, len(counts) + 1), np.flatnonzero(counts)
        colour = COLOURS[methods.get(name, "tiled")]
        figure.add_bar(
            y=[name] * len(found), base=edges[found], x=np.diff(edges)[found], orientation="h", name=name, showlegend=False,
            marker={"color": [faded(colour, 0.25 + 0.75 * n / counts.max()) for n in counts[found]], "line": {"width": 0}},
            customdata=[f"{counts[k]} of {counts.sum()} alphas, {edges[k]:.3g} to {edges[k + 1]:.3g}" for k in found],
            hovertemplate="<b>%{y}</b><br>%{customdata}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title="Alpha", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", type="category")
    height = 90 + max(18, min(40, 320 // max(1, len(layers)))) * len(layers)
    figure.update_layout(height=height, margin=MARGIN | {"t": 10}, barmode="overlay", bargap=0.3)
    return with_alt(figure, f"Alphas after epoch {signals[-1]['epoch']}: {'; '.join(told[:NAMED_LAYERS])}.")


def _rows(signals: Signals, key: str) -> pd.DataFrame:
    """epoch, layer, value and the layer's first value, a row for each epoch and layer."""
    found = [(line["epoch"], name, layer[key]) for line in signals for name, layer in line["layers"].items()]
    rows = pd.DataFrame(found, columns=["epoch", "layer", "value"]).astype({"value": float})
    rows["first"] = rows.groupby("layer")["value"].transform("first")
    return rows


def _lines(rows: pd.DataFrame, methods: Mapping[str, str], words: str) -> go.Figure:
    """A line with markers for each layer."""
    figure, layers = go.Figure(), list(dict.fromkeys(rows["layer"]))
    for place, name in enumerate(layers):
        part = rows[rows["layer"] == name]
        colour = faded(COLOURS[methods.get(name, "tiled")], 1 - 0.55 * place / max(1, len(layers) - 1))
        figure.add_scatter(
            x=part["epoch"], y=part["drawn"], name=name, mode="lines+markers", line={"color": colour, "width": 2},
            marker={"symbol": list(part["marker"]), "size": 7}, customdata=[words.format(value=value) for value in part["value"]],
            hovertemplate=f"<b>{name}</b>, epoch %{{x}}<br>%{{customdata}}<extra></extra>",
        )  # fmt: skip
    _epochs(figure, rows["epoch"])
    figure.update_layout(showlegend=1 < len(layers) <= NAMED_LAYERS)
    return figure


def _epochs(figure: go.Figure, epochs: "Sequence[int] | pd.Series[int]") -> None:
    """The axis of epochs, in whole numbers."""
    figure.update_xaxes(title="Epoch", tick0=1, dtick=max(1, round(max(epochs, default=1) / 8)))
    figure.update_layout(height=260, margin=MARGIN, legend=legend())


def _count(epochs: Signals | pd.DataFrame) -> str:
    return f"{len(epochs)} epoch{'s' * (len(epochs) != 1)}"


def _sentence(text: str) -> str:
    """With a capital first letter, the rest as it is: ``Mean IoU``."""
    return text[:1].upper() + text[1:]
