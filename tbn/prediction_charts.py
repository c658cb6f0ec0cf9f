"""Charts of what networks say of a test set (``tbn.predictions``): values in, plotly figure out, as in ``tbn.charts``.

Each network is drawn as its ``tbn.marks.Network`` says; one sample as a picture is drawn by ``tbn.sample_pictures``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from tbn import sample_pictures
from tbn.charts import COLOURS, MARGIN, NEUTRAL, legend, with_alt
from tbn.errors import TBNError
from tbn.marks import Network

if TYPE_CHECKING:
    from tbn.predictions import Predictions

__all__ = [
    "Network",
    "Panel",
    "confusion",
    "counts",
    "forecast",
    "forecast_errors",
    "overview",
    "probabilities",
    "sample",
]

OBSERVED = COLOURS["code"]  # a series, which is no network's
HEAT = [[0.0, "#ECEEF1"], [1.0, "#5B3F8C"]]
MOST_CLASSES = 40  # of a confusion matrix; of more classes those with the most mistakes
WRITTEN = 12  # classes, beyond which numbers would not fit into the cells
LONGEST = 16  # letters of a class beside an axis
TOP = 5  # classes a network that bars are drawn of


@dataclass(frozen=True)
class Panel:
    """A figure with its title; a wide one takes a whole line."""

    title: str
    figure: go.Figure
    wide: bool = False


def counts(found: Predictions) -> NDArray[np.int64]:
    """(classes, classes): how often class i (row) was called class j (column); what does not count is left out.

    Raises:
        TBNError: a forecast has no classes.
    """
    if found.kind == "forecasting":
        raise TBNError("a forecast has no classes to confuse", "use forecast_errors")
    many, truth = len(found.classes), found.targets.astype(np.int64).ravel()
    counted = truth < many
    said = found.answers.astype(np.int64).ravel()[counted]
    return np.bincount(truth[counted] * many + said, minlength=many * many).reshape(many, many)


def confusion(found: Predictions) -> go.Figure:
    """What each class is taken for: a row is a class, its cells add up to 100 %."""
    table = counts(found)
    shown = np.arange(len(table))
    if len(table) > MOST_CLASSES:
        mistakes = table.sum(0) + table.sum(1) - 2 * table.diagonal()
        shown = np.sort(np.argsort(-mistakes, kind="stable")[:MOST_CLASSES])
    names = [_short(found.classes[k]) for k in shown]
    ticks = [name if names.count(name) == 1 else f"{name} {k}" for name, k in zip(names, shown, strict=True)]
    part, rows = table[np.ix_(shown, shown)], np.maximum(table.sum(1)[shown], 1)
    what = {"images": "images", "segmentation": "pixels", "points": "shapes"}.get(found.kind, "points")
    hover = [
        [f"<b>{found.classes[i]}</b> taken for <b>{found.classes[j]}</b><br>{table[i, j]:,} of {table[i].sum():,} {what}" for j in shown]
        for i in shown
    ]  # fmt: skip
    figure = go.Figure(go.Heatmap(
        z=100 * part / rows[:, None], x=ticks, y=ticks, zmin=0, zmax=100, colorscale=HEAT, xgap=1, ygap=1, customdata=hover,
        hovertemplate="%{customdata}<extra></extra>", texttemplate="%{z:.0f}" if len(shown) <= WRITTEN else None,
        colorbar={"title": {"text": "%"}, "thickness": 10},
    ))  # fmt: skip
    figure.update_xaxes(title=f"Predicted (% of the row's {what})", tickangle=-45, type="category")
    figure.update_yaxes(title="True class", autorange="reversed", type="category")
    figure.update_layout(height=min(760, 190 + max(14, 30 - len(shown) // 2) * len(shown)), margin=MARGIN | {"t": 10})
    off = table - np.diag(table.diagonal())
    worst = np.argsort(off, axis=None)[::-1][:3]
    pairs = [(i, j) for i, j in zip(*np.unravel_index(worst, off.shape), strict=True) if off[i, j]]
    told = "; ".join(f"{found.classes[i]} for {found.classes[j]} {off[i, j]:,} times" for i, j in pairs)
    right = table.diagonal().sum() / max(1, table.sum())
    kept = f" The {MOST_CLASSES} classes with the most mistakes are shown." if len(table) > MOST_CLASSES else ""
    return with_alt(
        figure,
        f"Confusion of {len(table)} classes, {right:.1%} of {table.sum():,} {what} right. Most taken: {told or 'none'}.{kept}",
    )


def forecast_errors(found: Sequence[Predictions], networks: Sequence[Network] = ()) -> go.Figure:
    """Mean squared error against the step of the forecast, a line a network."""
    figure, told = go.Figure(), []
    for one, network in zip(found, networks or _plain(found), strict=True):
        error = np.square(one.outputs - one.targets)
        known = ~np.isnan(error)
        steps = np.where(known, error, 0).sum((0, 2)) / np.maximum(known.sum((0, 2)), 1)
        figure.add_scatter(
            x=np.arange(1, len(steps) + 1), y=steps, name=network.name, mode="lines", line={"color": network.colour, "dash": network.dash},
            hovertemplate="step %{x}: MSE %{y:.4f}<extra>" + network.name + "</extra>",
        )  # fmt: skip
        told.append(f"{network.name} {steps[0]:.3f} at the first step, {steps[-1]:.3f} at the last")
    figure.update_xaxes(title="Step of the forecast")
    figure.update_yaxes(title="MSE (standardised data)", rangemode="tozero")
    figure.update_layout(height=280, margin=MARGIN, legend=legend(), showlegend=True)
    return with_alt(figure, f"Mean squared error against the step of the forecast: {'; '.join(told)}.")


def overview(found: Predictions, network: Network | None = None) -> go.Figure:
    """Where one network errs: its confusion, or a forecast's error step by step."""
    if found.kind == "forecasting":
        return forecast_errors([found], [network or Network(found.run, "tiled")])
    return confusion(found)


def sample(
    found: Sequence[Predictions], place: int = 0, networks: Sequence[Network] = (), channel: int = 0
) -> list[Panel]:
    """One test sample, and what each network makes of it: pictures first, in the order of the networks.

    Args:
        found: predictions of the same samples.
        place: which of them; ``found[0].indices[place]`` is its place in the test set.
        networks: how each is called and drawn.
        channel: of a forecast.

    Raises:
        TBNError: the predictions are not of the same samples, or there is no such place.
    """
    first, networks = found[0], networks or _plain(found)
    if any(one.task != first.task or not np.array_equal(one.indices, first.indices) for one in found):
        raise TBNError("these networks were asked about different samples", "choose runs of one task and one data set")
    if not 0 <= place < len(first):
        raise TBNError(f"there is no sample {place}", f"choose 0 to {len(first) - 1}")
    if first.kind == "forecasting":
        return [
            Panel(
                f"{first.classes[channel]}, window {first.indices[place]}",
                forecast(found, place, networks, channel),
                wide=True,
            )
        ]
    pictures = sample_pictures
    if first.kind in ("images", "points"):
        shape = pictures.image(first, place) if first.kind == "images" else pictures.cloud(first, place, None, "")
        truth = first.classes[int(first.targets[place])]
        return [
            Panel(f"Truth: {truth}", shape),
            Panel("What the networks say", probabilities(found, place, networks), wide=True),
        ]
    draw = pictures.overlay if first.kind == "segmentation" else pictures.cloud
    panels = [Panel("Input", pictures.image(first, place))] if first.kind == "segmentation" else []
    there = {int(k) for labels in (first.targets, *(one.answers for one in found)) for k in np.unique(labels[place])}
    key = sorted(k for k in there if k < len(first.classes))
    panels.append(Panel("Truth", draw(first, place, first.targets[place], "the truth", key)))
    for one, network in zip(found, networks, strict=True):
        title = f"{network.name}: {one.per_sample[place]:.1%} right"
        panels.append(Panel(title, draw(one, place, one.answers[place], network.name)))
    return panels


def probabilities(found: Sequence[Predictions], place: int, networks: Sequence[Network] = ()) -> go.Figure:
    """How sure each network is: bars of the truth and of the classes that any of them finds likeliest."""
    truth, classes = int(found[0].targets[place]), found[0].classes
    shares = np.stack([one.probabilities[place] for one in found])
    likely = {int(k) for row in shares for k in np.argsort(-row, kind="stable")[:TOP]} | {truth}
    shown = sorted(likely, key=lambda k: (k != truth, -shares[:, k].max()))[: TOP + 2]
    ticks = [_short(classes[k]) + " ✓" * (k == truth) for k in shown]
    figure, told = go.Figure(), []
    for network, row in zip(networks or _plain(found), shares, strict=True):
        figure.add_bar(
            y=ticks, x=[100 * row[k] for k in shown], name=network.name, orientation="h", marker=network.bar,
            hovertemplate="%{y}: %{x:.1f} %<extra>" + network.name + "</extra>",
        )  # fmt: skip
        best = int(row.argmax())
        told.append(f"{network.name} says {classes[best]} ({row[best]:.0%}{'' if best == truth else ', wrong'})")
    figure.update_xaxes(title="Probability (%)", range=[0, 100])
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_layout(
        height=max(280, 26 * len(found) * len(shown) // 2 + 120),
        margin=MARGIN,
        legend=legend(),
        showlegend=True,
        barmode="group",
    )
    return with_alt(figure, f"Truth: {classes[truth]}. {'; '.join(told)}.")


def forecast(found: Sequence[Predictions], place: int, networks: Sequence[Network] = (), channel: int = 0) -> go.Figure:
    """One channel of one window: what the networks saw, what came, and what each said would come."""
    first = found[0]
    seen, truth = first.inputs[place][:, channel].astype(np.float64), first.targets[place][:, channel]
    if first.inputs.shape[2] == 2 * len(first.classes):  # the second half says where a value was observed
        seen = np.where(first.inputs[place][:, len(first.classes) + channel] > 0, seen, np.nan)
    before, after = np.arange(-len(seen) + 1, 1), np.arange(1, len(truth) + 1)
    figure, told = go.Figure(), []
    figure.add_scatter(x=before, y=seen, name="input", mode="lines", line={"color": OBSERVED, "width": 1.5})
    figure.add_scatter(x=after, y=truth, name="truth", mode="lines", line={"color": OBSERVED, "width": 4})
    for one, network in zip(found, networks or _plain(found), strict=True):
        said = one.outputs[place][:, channel]
        figure.add_scatter(
            x=after,
            y=said,
            name=network.name,
            mode="lines",
            line={"color": network.colour, "dash": network.dash, "width": 2},
        )
        error = np.nanmean(np.square(said - truth)) if not np.isnan(truth).all() else np.nan
        told.append(f"{network.name} {error:.3f}")
    figure.add_vline(x=0.5, line={"color": NEUTRAL, "width": 1, "dash": "dot"})
    figure.update_xaxes(title="Step; the forecast begins at 1")
    figure.update_yaxes(title=f"{first.classes[channel]} (standardised)")
    figure.update_layout(height=360, margin=MARGIN, legend=legend(), hovermode="x")
    return with_alt(
        figure,
        f"{first.classes[channel]}: {len(seen)} steps seen, {len(truth)} forecast. Mean squared error here: {', '.join(told)}.",
    )


def _plain(found: Sequence[Predictions]) -> list[Network]:
    return [Network(one.run, "fp32" if one.engine == "latent" else "tiled", place) for place, one in enumerate(found)]


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else name[: LONGEST - 1].rstrip(" ,") + "…"
