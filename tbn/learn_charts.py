"""Pictures of the method on small weights (``tbn.toy``): values in, plotly figure out, as in ``tbn.charts``.

On these pages colour is sign: blue above zero, amber below, and the stronger the larger. Lines part the blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from tbn.charts import COLOURS, MARGIN, NEUTRAL, faded, legend, with_alt

if TYPE_CHECKING:
    from tbn.toy import Curves, Floats, Toy

PLUS, MINUS = "#2B87D1", "#C98B00"
SIGNS = [[0.0, MINUS], [0.5, "#ECEEF1"], [1.0, PLUS]]
WRITTEN = 96  # cells, beyond which numbers would not fit into them
CELL = 34  # pixels


def _panels(heights: Sequence[float], gap: float, titles: Sequence[str], **axis: Any) -> dict[str, Any]:
    """Layout of panels one below the other, which share their x axis; ``axis`` is of all. (``make_subplots`` is slower by far.)

    Args:
        heights: of the panels, in any unit.
        gap: between them, as a share of the whole.
    """
    last, unit, top = len(heights), (1 - gap * (len(heights) - 1)) / sum(heights), 1.0
    layout: dict[str, Any] = {"annotations": []}
    for number, (height, title) in enumerate(zip(heights, titles, strict=True), 1):
        end = "" if number == 1 else str(number)
        shared = {"matches": f"x{last}", "showticklabels": False} if number < last else {}
        layout[f"xaxis{end}"] = axis | {"anchor": f"y{end}"} | shared
        layout[f"yaxis{end}"] = axis | {"anchor": f"x{end}", "domain": [max(0.0, top - height * unit), top]}
        layout["annotations"].append(
            {"text": title, "x": 0, "xanchor": "left", "xref": "paper", "y": top, "yanchor": "bottom", "yref": "paper", "showarrow": False,
             "font": {"size": 13}}
        )  # fmt: skip
        top -= height * unit + gap
    return layout


def _on(panel: int) -> dict[str, str]:
    """The axes of a panel, counted from 1, for a trace."""
    end = "" if panel == 1 else str(panel)
    return {"xaxis": f"x{end}", "yaxis": f"y{end}"}


def _cells(values: Floats, limit: float, hover: list[list[str]], digits: int = 2, panel: int = 1) -> go.Heatmap:
    """A matrix as coloured cells, with its numbers where there is room."""
    text = f"%{{z:.{digits}f}}" if values.size <= WRITTEN else None
    return go.Heatmap(
        z=values, zmin=-limit, zmax=limit, colorscale=SIGNS, showscale=False, xgap=1, ygap=1, texttemplate=text,
        customdata=hover, hovertemplate="%{customdata}<extra></extra>", **_on(panel),
    )  # fmt: skip


def _borders(rows: int, columns: int, q: int) -> go.Scatter:
    """Lines between neighbours of different blocks, of weights that are cut row by row."""
    block = (np.arange(rows * columns) // q).reshape(rows, columns)
    xs: list[float | None] = []
    ys: list[float | None] = []
    for row, column in zip(*np.nonzero(block[:, 1:] != block[:, :-1]), strict=True):
        xs += [column + 0.5, column + 0.5, None]
        ys += [row - 0.5, row + 0.5, None]
    for row, column in zip(*np.nonzero(block[1:] != block[:-1]), strict=True):
        xs += [column - 0.5, column + 0.5, None]
        ys += [row + 0.5, row + 0.5, None]
    return go.Scatter(x=xs, y=ys, mode="lines", line={"color": NEUTRAL, "width": 3}, hoverinfo="skip", showlegend=False)


def _rings(mask: np.ndarray[Any, Any], name: str, panel: int) -> go.Scatter:
    """A ring on each cell that is True."""
    rows, columns = np.nonzero(np.atleast_2d(mask))
    ring = {"symbol": "circle-open", "size": 22, "color": COLOURS["binary"], "line": {"width": 2}}
    own = {"name": name, "showlegend": False, "hoverinfo": "skip"} | _on(panel)
    return go.Scatter(x=columns, y=rows, mode="markers", marker=ring, **own)


def _matrix(traces: list[Any], rows: int, text: str) -> go.Figure:
    """Cells on a ground without axes."""
    layout = {
        "xaxis": {"visible": False, "constrain": "domain"}, "yaxis": {"visible": False, "autorange": "reversed"},
        "height": max(110, CELL * rows + 30), "margin": MARGIN | {"t": 10}, "plot_bgcolor": "rgba(0,0,0,0)",
    }  # fmt: skip
    return with_alt(go.Figure(traces, layout), text)


def latent_figure(toy: Toy) -> go.Figure:
    """W as it lies in the layer, the p blocks parted by lines."""
    rows, columns = toy.weight.shape
    q = toy.weight.size // toy.p
    hover = [
        [
            f"<b>W[{r}, {c}] = {toy.weight[r, c]:+.3f}</b><br>block {(r * columns + c) // q}, place {(r * columns + c) % q} of {q}"
            for c in range(columns)
        ]
        for r in range(rows)
    ]
    traces = [_cells(toy.weight, 2.0, hover), _borders(rows, columns, q)]
    return _matrix(traces, rows, f"{rows} x {columns} latent weights, cut row by row into {toy.p} blocks of {q}.")


def fold_figure(toy: Toy) -> go.Figure:
    """The blocks one below the other, their sum, and its sign: the tile. Rings: weights of the other sign than the tile; bits that just flipped."""
    p, q = toy.blocks.shape
    verdict = np.where(toy.disagrees, "against the tile's sign", "as the tile's sign")
    hover = [[f"<b>X[{i}, {j}] = {toy.blocks[i, j]:+.3f}</b><br>{verdict[i, j]}" for j in range(q)] for i in range(p)]
    added = [
        "<b>s[{}] = {:+.3f}</b><br>= {}".format(j, toy.sums[j], " ".join(f"{x:+.2f}" for x in toy.blocks[:, j]))
        for j in range(q)
    ]
    signs = [
        f"<b>t[{j}] = {toy.tile[j]:+.0f}</b><br>= sign({toy.sums[j]:+.3f})"
        + "<br>flipped by the last step" * bool(toy.flipped[j])
        for j in range(q)
    ]
    traces = [
        _cells(toy.blocks, 2.0, hover), _rings(toy.disagrees, "disagrees", 1), _cells(toy.sums[None], 2.0 * p**0.5, [added], panel=2),
        _cells(toy.tile[None], 1.0, [signs], 0, panel=3), _rings(toy.flipped[None], "flipped", 3),
    ]  # fmt: skip
    titles = (f"the {p} blocks X" if p > 1 else "one block X", "their sum", "its sign: the tile")
    layout = _panels([p, 1, 1], 0.5 / (p + 4), titles, visible=False)
    for number in ("", "2", "3"):
        layout[f"yaxis{number}"]["autorange"] = "reversed"
    layout |= {"height": CELL * (p + 2) + 110, "margin": MARGIN | {"t": 28}, "plot_bgcolor": "rgba(0,0,0,0)"}
    text = (
        f"{p} blocks of {q} latent weights, their sum and its sign. {toy.disagrees.mean():.0%} of the weights have another sign than the tile; "
        f"the last step flipped {toy.flipped.sum()} of {q} bits."
    )
    return with_alt(go.Figure(traces, layout), text)


def tiled_figure(toy: Toy) -> go.Figure:
    """The weight that the layer multiplies with: alpha_i times the tile in block i."""
    rows, columns = toy.tiled.shape
    q = toy.tiled.size // toy.p
    alphas = np.broadcast_to(toy.alphas, (toy.p,))
    hover = [
        [
            f"<b>{toy.tiled[r, c]:+.3f} = alpha[{(r * columns + c) // q}] t[{(r * columns + c) % q}]</b><br>"
            f"{alphas[(r * columns + c) // q]:.3f} x {toy.tile[(r * columns + c) % q]:+.0f}; the target is {toy.target[r, c]:+.2f}"
            for c in range(columns)
        ]
        for r in range(rows)
    ]
    return _matrix(
        [_cells(toy.tiled, 2.0, hover), _borders(rows, columns, q)],
        rows,
        f"The tile {toy.p} times in {rows} x {columns} weights; {toy.distinct_rows} rows have signs of their own.",
    )


def progress_figure(toys: Sequence[Toy]) -> go.Figure:
    """Loss, and how many bits each step flipped."""
    steps, flips = list(range(len(toys))), [int(toy.flipped.sum()) for toy in toys]
    bars = go.Bar(
        x=steps, y=flips, name="bits flipped by the step", marker_color=faded(COLOURS["tiled"], 0.45), yaxis="y2"
    )
    line = go.Scatter(x=steps, y=[toy.loss for toy in toys], name="loss", mode="lines+markers", line_color=NEUTRAL)
    beside = {"overlaying": "y", "side": "right", "showgrid": False, "dtick": max(1, -(-max(flips) // 4))}
    layout = {
        "xaxis": {"title": "Step", "range": [-0.5, len(toys) - 0.5], "domain": [0, 0.94]}, "yaxis": {"title": "Loss", "rangemode": "tozero"},
        "yaxis2": {"title": "Flipped bits", "rangemode": "tozero"} | beside,
        "height": 280, "margin": MARGIN, "legend": legend(),
    }  # fmt: skip
    figure = go.Figure([bars, line], layout)
    return with_alt(
        figure,
        f"Loss {toys[0].loss:.1f} before the first step and {toys[-1].loss:.1f} after {len(toys) - 1}; {sum(flips)} bits flipped.",
    )


def forward_figure(curves: Curves, gradient: float) -> go.Figure:
    """The step that the layer sees, and below it what comes back: nothing by the rules of calculus, everything straight through."""
    limit = 1.25 * max(1.0, abs(gradient))
    traces = [
        go.Scatter(x=curves.w, y=curves.forward, line={"color": COLOURS["tiled"], "shape": "hv"}, name="b = sign of the sum"),
        go.Scatter(x=curves.w, y=curves.true, line={"color": NEUTRAL, "dash": "dot"}, name="the step's derivative: 0", **_on(2)),
        go.Scatter(x=curves.w, y=curves.straight, line={"color": COLOURS["binary"]}, name="straight through: dL/db", **_on(2)),
    ]  # fmt: skip
    layout = _panels([1, 1], 0.12, ("forward: the binary weight b", "backward: dL/dw"))
    layout["xaxis2"]["title"] = "Latent weight w"
    layout["yaxis"]["range"], layout["yaxis2"]["range"] = [-1.25, 1.25], [-limit, limit]
    figure = go.Figure(traces, layout | {"height": 460, "margin": MARGIN | {"t": 60}, "legend": legend() | {"y": 1.08}})
    flips = curves.w[1:][np.diff(curves.forward) != 0]
    where = f"jumps at {flips[0]:.2f}" if len(flips) else "does not jump here"
    return with_alt(
        figure,
        f"The binary weight {where}; its derivative is 0 elsewhere, the straight-through gradient is {gradient:g} everywhere.",
    )


def inertia_figure(latent: Floats, binary: Floats) -> go.Figure:
    """A latent weight gathers gradients until its tile's sign flips."""
    steps = list(range(len(latent)))
    figure = go.Figure()
    figure.add_scatter(x=steps, y=latent, name="latent weight w", line_color=NEUTRAL, mode="lines+markers")
    figure.add_scatter(x=steps, y=binary, name="binary weight b", line={"color": COLOURS["tiled"], "shape": "hv"})
    figure.update_xaxes(title="Step of gradient descent")
    figure.update_layout(height=280, margin=MARGIN, legend=legend())
    flips = np.nonzero(np.diff(binary))[0]
    told = f"the bit flips at step {flips[0] + 1}" if len(flips) else "the bit does not flip"
    return with_alt(figure, f"The latent weight goes from {latent[0]:.2f} to {latent[-1]:.2f}; {told}.")
