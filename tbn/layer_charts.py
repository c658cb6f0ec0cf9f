"""A run's layers as they are stored (``tbn.layer_views``): the tile's bits, the weight it stands for, alphas, balance. View in, plotly figure out.

As on the Learn pages colour is sign here: blue is above zero, amber below. How the bits came to be, epoch by epoch, is in ``tbn.training_charts``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from tbn.cells import MIDDLE, MINUS, PLUS
from tbn.charts import COLOURS, MARGIN, NEUTRAL, label_of, with_alt
from tbn.palette import rgb
from tbn.sample_pictures import bitmap

if TYPE_CHECKING:
    from tbn.layer_views import DenseView, PackedView, View

POINTED = 65_536  # cells, beyond which a picture is drawn as an image, without words for the pointer
TALLEST = 460  # pixels
CELL = 14  # pixels at most
SIGNS = [[0.0, MINUS], [0.5, MIDDLE], [1.0, PLUS]]


def tile_picture(view: PackedView) -> go.Figure:
    """The bits of the tile, as they lie in the first rows of the weight."""
    grid, q = view.grid, len(view.tile)
    figure = _signs(grid, 1.0, "row %{y}, column %{x}: %{z:+d}")
    figure.update_xaxes(
        title=f"Column of the weight, {_inputs(view)}" if grid.shape[1] == view.columns else "Place in the tile"
    )
    figure.update_yaxes(title="Row of the tile")
    told = f"The tile of {view.name}: {q:,} bits in {grid.shape[0]:,} rows of {grid.shape[1]:,}, {(view.tile > 0).mean():.1%} of them +1."
    return with_alt(figure, told)


def laid_back(view: View) -> go.Figure:
    """The weight that the layer multiplies with: the tile p times, each copy times its alpha, with lines between the copies."""
    weight = view.weight
    limit = float(np.abs(weight).max()) or 1.0
    figure = _signs(weight, limit, "row %{y}, column %{x}: %{z:+.4f}")
    figure.update_xaxes(title=f"Input, {_inputs(view)}")
    figure.update_yaxes(title="Output")
    rows, columns = weight.shape
    if view.status == "fp32":
        return with_alt(
            figure, f"The {rows:,} x {columns:,} weights of {view.name} in full precision, {-limit:.3g} to {limit:.3g}."
        )
    if view.p > 1 and view.order == "rows" and rows % view.p == 0:  # type: ignore[union-attr]
        for row in range(rows // view.p, rows, rows // view.p):
            figure.add_hline(y=row - 0.5, line={"color": NEUTRAL, "width": 1.5})
    copies = f"the tile {view.p} times" if view.p > 1 else "one tile"
    return with_alt(
        figure, f"The {rows:,} x {columns:,} weights of {view.name}: {copies}, from {-limit:.3g} to {limit:.3g}."
    )


def alpha_bars(view: PackedView) -> go.Figure:
    """The alpha of each copy of the tile; where the layer has one, one bar."""
    alphas = view.alphas
    names = [str(i) for i in range(len(alphas))] if len(alphas) > 1 else ["all copies" if view.p > 1 else "the layer"]
    figure = go.Figure(go.Bar(
        x=names, y=alphas, marker_color=COLOURS[view.status], hovertemplate="alpha %{x}: %{y:.5f}<extra></extra>"
    ))  # fmt: skip
    figure.update_xaxes(title="Copy of the tile", type="category")
    figure.update_yaxes(title="Alpha", rangemode="tozero")
    figure.update_layout(height=240, margin=MARGIN | {"t": 10})
    spread = f", from {alphas.min():.4g} to {alphas.max():.4g}" if len(alphas) > 1 else f", {alphas[0]:.4g}"
    return with_alt(figure, f"{len(alphas)} alpha{'s' * (len(alphas) != 1)} of {view.name}{spread}.")


def balance_of_layers(views: Sequence[View], chosen: str | None = None) -> go.Figure:
    """The mean sign of each layer, beside what as many coin tosses would give: the grey band is two standard deviations."""
    names = [view.name for view in views]
    chance = [2 / np.sqrt(len(view.tile) if view.status != "fp32" else view.weight.size) for view in views]  # type: ignore[union-attr]
    figure = go.Figure()
    figure.add_bar(
        y=names, x=[2 * c for c in chance], base=[-c for c in chance], orientation="h", marker={"color": NEUTRAL, "opacity": 0.3}, width=0.9,
        name="chance", hovertemplate="as many tosses of a coin: within ±%{customdata:.4f}<extra></extra>", customdata=chance,
    )  # fmt: skip
    figure.add_scatter(
        y=names, x=[view.balance for view in views], mode="markers", name="mean sign", hovertemplate="<b>%{y}</b>: %{x:+.4f}<extra></extra>",
        marker={
            "color": [COLOURS[view.status] for view in views], "size": [14 if view.name == chosen else 9 for view in views],
            "symbol": ["diamond" if view.name == chosen else "circle" for view in views],
        },
    )  # fmt: skip
    figure.update_xaxes(title="Mean sign (0 = as many +1 as -1)")
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_layout(
        height=100 + max(16, min(34, 400 // len(views))) * len(views),
        margin=MARGIN | {"t": 10},
        showlegend=False,
        barmode="overlay",
    )
    widest = max(views, key=lambda view: abs(view.balance))
    return with_alt(
        figure,
        f"Mean sign of the tiles of {len(views)} layers; farthest from 0: {widest.name} with {widest.balance:+.3f}.",
    )


def row_balance(view: View) -> go.Figure:
    """How many rows have which mean sign. A row near +1 or -1 hardly tells its inputs apart."""
    grid: NDArray[Any] = np.sign(view.weight) if view.status == "fp32" else view.grid  # type: ignore[union-attr]
    counted = np.abs(grid).sum(1)
    means = grid.sum(1) / np.maximum(counted, 1)
    colour = COLOURS[view.status]
    figure = go.Figure(go.Histogram(
        x=means, xbins={"start": -1.025, "end": 1.025, "size": 0.05}, marker_color=colour, hovertemplate="mean sign %{x}: %{y} rows<extra></extra>"
    ))  # fmt: skip
    figure.update_xaxes(title="Mean sign of a row", range=[-1.05, 1.05])
    figure.update_yaxes(title="Rows")
    figure.update_layout(height=240, margin=MARGIN | {"t": 10})
    return with_alt(
        figure, f"Mean signs of {len(means):,} rows of {view.name}, from {means.min():+.2f} to {means.max():+.2f}."
    )


def histogram(view: DenseView) -> go.Figure:
    """The values of full-precision weights."""
    counts, edges = np.histogram(view.weight, 61)
    figure = go.Figure(go.Bar(
        x=(edges[1:] + edges[:-1]) / 2, y=counts, width=np.diff(edges), marker_color=COLOURS["fp32"],
        hovertemplate="%{x:.4f}: %{y:,} weights<extra></extra>",
    ))  # fmt: skip
    figure.update_xaxes(title="Weight")
    figure.update_yaxes(title="Weights")
    figure.update_layout(height=240, margin=MARGIN | {"t": 10})
    return with_alt(
        figure,
        f"{view.weight.size:,} weights of {view.name}, from {view.weight.min():.3g} to {view.weight.max():.3g}, mean {view.weight.mean():.3g}.",
    )


def title_of(view: View) -> str:
    """``conv3, 128x64x3x3, p = 4``."""
    return f"{view.name}, {'x'.join(map(str, view.shape))}, {label_of(view.p)}"


def _inputs(view: View) -> str:
    return "channel by channel" if len(view.shape) > 2 else "one an input"


def _signs(values: NDArray[Any], limit: float, words: str) -> go.Figure:
    """Numbers as coloured cells; a large picture as an image, which a browser draws at once."""
    rows, columns = values.shape
    height = int(max(120, min(TALLEST, CELL * rows + 60)))
    if values.size <= POINTED:
        figure = go.Figure(
            go.Heatmap(
                z=values,
                zmin=-limit,
                zmax=limit,
                colorscale=SIGNS,
                showscale=False,
                hovertemplate=words + "<extra></extra>",
            )
        )
        figure.update_yaxes(range=[rows - 0.5, -0.5])
        figure.update_xaxes(range=[-0.5, columns - 0.5])
    else:
        plus, minus, middle = (np.array(rgb(colour), np.float32) for colour in (PLUS, MINUS, MIDDLE))
        share = np.abs(values / limit)[:, :, None]
        mixed = share * np.where(values[:, :, None] > 0, plus, minus) + (1 - share) * middle
        figure = bitmap(mixed.round().astype(np.uint8))
        figure.update_layout(width=None)
        figure.update_yaxes(scaleanchor=False, visible=True, showgrid=False)
        figure.update_xaxes(visible=True, showgrid=False)
    figure.update_layout(height=height, margin=MARGIN | {"t": 10}, plot_bgcolor="rgba(0,0,0,0)")
    return figure
