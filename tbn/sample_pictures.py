"""One sample as a picture: an image, an image under its labels, a point cloud in three dimensions. Values in, plotly figure out.

In these pictures colour is the class, by colours that colour-blind eyes tell apart; after the twelfth class they begin again. Where an answer is
wrong, a pixel is opaque and a point is a cross.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from tbn.palette import MARGIN, NEUTRAL, rgb, with_alt
from tbn.tasks import IGNORED

if TYPE_CHECKING:
    from tbn.predictions import Predictions

LABELS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#882255", "#44AA99", "#999933", "#332288", "#AA4499",
)  # fmt: skip
SIDE = 260  # pixels of a picture
Y_UP = ("sweethome", "modelnet40", "shapenet_part")  # whose second coordinate is the height
Array = NDArray[Any]


def picture_of(found: Predictions, place: int) -> NDArray[np.uint8]:
    """A sample of the kinds images and segmentation as (height, width, 3) bytes, brightest where the test set is brightest."""
    raw = np.asarray(found.inputs[place], np.float32)
    low = min(0.0, float(found.inputs.min()))
    bright = (raw - low) * (255 / max(float(found.inputs.max()) - low, 1e-9))
    rgb = bright[:3] if len(bright) >= 3 else np.repeat(bright[:1], 3, 0)
    return rgb.transpose(1, 2, 0).round().astype(np.uint8)


def image(found: Predictions, place: int) -> go.Figure:
    """The image, with the class that it is of where it has one."""
    told = f"Test image {found.indices[place]} of {found.task}"
    if found.kind == "images":
        told += f": {found.classes[int(found.targets[place])]}"
    if found.inputs.shape[-2] == 1:
        return with_alt(_row(found, place), told + ".")
    return with_alt(bitmap(picture_of(found, place)), told + ".")


def _row(found: Predictions, place: int) -> go.Figure:
    """An image of one line is a row of a table: its numbers as bars."""
    figure = go.Figure(
        go.Bar(
            y=found.inputs[place].reshape(-1), marker_color=NEUTRAL, hovertemplate="column %{x}: %{y}<extra></extra>"
        )
    )
    figure.update_xaxes(title="Column")
    figure.update_yaxes(title="Value as the network reads it")
    figure.update_layout(width=SIDE, height=SIDE, margin=MARGIN | {"t": 10})
    return figure


def overlay(found: Predictions, place: int, labels: Array, name: str, key: Sequence[int] = ()) -> go.Figure:
    """The image under the colours of ``labels`` (height, width); opaque where they are wrong, bare where nothing counts.

    Args:
        name: whose labels these are, e.g. "the truth".
        key: classes whose colours are said below it.
    """
    truth = found.targets[place]
    picture = picture_of(found, place).astype(np.float32)
    colours = np.array([_rgb(k) for k in range(len(found.classes))])
    grey = picture.mean(2, keepdims=True)
    counted, wrong = truth != IGNORED, (labels != truth) & (truth != IGNORED)
    drawn = np.where(labels == IGNORED, 0, labels)
    weight = np.where(wrong, 1.0, 0.55)[:, :, None]
    mixed = np.where(
        (counted & (labels != IGNORED))[:, :, None], (1 - weight) * grey + weight * colours[drawn], picture
    )
    figure = bitmap(mixed.round().astype(np.uint8))
    present = np.unique(labels[labels != IGNORED])
    _key(figure, found.classes, key)
    shares = ", ".join(f"{found.classes[k]} {(labels[counted] == k).mean():.0%}" for k in present)
    told = f"Test image {found.indices[place]} as {name} labels it: {shares}."
    return with_alt(
        figure, told + (f" {wrong.sum() / max(1, counted.sum()):.1%} of it is wrong." if wrong.any() else "")
    )


def cloud(found: Predictions, place: int, labels: Array | None, name: str, key: Sequence[int] = ()) -> go.Figure:
    """The points in three dimensions, in the colours of ``labels`` (points,), or grey where there are none; crosses where they are wrong."""
    x, y, z = np.asarray(found.inputs[place][:3], np.float32)
    if found.task in Y_UP:
        x, y, z = x, -z, y
    figure, told = go.Figure(), f"Test cloud {found.indices[place]} of {found.task}, {len(x):,} points"
    if labels is None:
        figure.add_scatter3d(
            x=x, y=y, z=z, mode="markers", marker={"size": 2.5, "color": z, "colorscale": "Cividis"}, hoverinfo="skip", showlegend=False
        )  # fmt: skip
    else:
        truth = found.targets[place]
        for label in np.unique(labels[labels != IGNORED]).tolist():
            inside, wrong = labels == label, (labels != truth) & (truth != IGNORED)
            for chosen, symbol, size in ((inside & ~wrong, "circle", 2.5), (inside & wrong, "cross", 4.5)):
                if chosen.any():
                    figure.add_scatter3d(
                        x=x[chosen], y=y[chosen], z=z[chosen], mode="markers", showlegend=False,
                        marker={"size": size, "color": colour_of(label), "symbol": symbol},
                        hovertemplate=found.classes[label] + (", wrong" if symbol == "cross" else "") + "<extra></extra>",
                    )  # fmt: skip
        counted = truth != IGNORED
        shares = (
            f"{found.classes[k]} {(labels[counted] == k).mean():.0%}"
            for k in np.unique(labels[counted]).tolist()
            if k != IGNORED
        )
        told += f", as {name} labels them: {', '.join(shares)}"
    hidden, extent = {"visible": False}, [float(np.ptp(axis)) for axis in (x, y, z)]
    shape = {axis: max(0.02, size / max(*extent, 1e-9)) for axis, size in zip("xyz", extent, strict=True)}
    figure.update_scenes(
        xaxis=hidden, yaxis=hidden, zaxis=hidden, aspectmode="manual", aspectratio=shape, camera={"eye": {"x": 0.8, "y": -1.05, "z": 0.5}},
    )  # fmt: skip
    figure.update_layout(width=SIDE, height=SIDE, margin=dict.fromkeys("lrtb", 0), uirevision="camera")
    _key(figure, found.classes, key)
    return with_alt(figure, told + ".")


def colour_of(label: int) -> str:
    """The colour of a class in pictures of labels."""
    return LABELS[label % len(LABELS)]


def _rgb(label: int) -> tuple[int, int, int]:
    return rgb(colour_of(label))


def bitmap(rgb: NDArray[np.uint8]) -> go.Figure:
    """(height, width, 3) bytes as a figure without axes, its pixels sharp."""
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(rgb).save(data, "PNG")
    source = "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
    figure = go.Figure(go.Image(source=source, zsmooth=False, hoverinfo="skip"))
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    height = round(SIDE * rgb.shape[0] / rgb.shape[1])
    figure.update_layout(
        width=SIDE, height=max(60, min(2 * SIDE, height)), margin=dict.fromkeys("lrtb", 0), plot_bgcolor="rgba(0,0,0,0)"
    )
    return figure


def _key(figure: go.Figure, classes: Sequence[str], key: Sequence[int]) -> None:
    """The colours of these classes below the picture, a line each."""
    solid = any(trace.type == "scatter3d" for trace in figure.data)
    for label in key:
        square = {"symbol": "square", "size": 11, "color": colour_of(label)}
        mark = {"x": [None], "y": [None], "mode": "markers", "name": classes[label], "marker": square}
        figure.add_trace(go.Scatter3d(z=[None], **mark) if solid else go.Scatter(**mark))
    if key:
        below = {"orientation": "v", "y": 0, "yanchor": "top", "x": 0, "xanchor": "left", "itemsizing": "constant"}
        figure.update_layout(height=figure.layout.height + 24 * len(key), margin_b=24 * len(key), legend=below)
