"""Pictures of the method on small weights (``tbn.toy``): values in; out come curves as plotly figures, as in ``tbn.charts``, and small matrices
as pictures of ``tbn.cells``, where colour is sign and lines part the blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from tbn.cells import Matrix, Picture, drawn
from tbn.charts import COLOURS, MARGIN, NEUTRAL, faded, legend, with_alt

if TYPE_CHECKING:
    from tbn.toy import Curves, Floats, Toy


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


def _places(toy: Toy) -> np.ndarray[Any, Any]:
    """(rows, columns, 2) block and place in the tile of each weight of the layer."""
    rows, columns = toy.weight.shape
    return np.stack(np.divmod(np.arange(rows * columns), toy.weight.size // toy.p), axis=-1).reshape(rows, columns, 2)


def latent_figure(toy: Toy) -> Picture:
    """W as it lies in the layer, the p blocks parted by lines."""
    rows, columns = toy.weight.shape
    places, q = _places(toy), toy.weight.size // toy.p
    told = [
        [
            f"W[{r}, {c}] = {toy.weight[r, c]:+.3f}: block {places[r, c, 0]}, place {places[r, c, 1]} of {q}"
            for c in range(columns)
        ]
        for r in range(rows)
    ]
    weights = Matrix(toy.weight, 2.0, "x", places, told, parted=True)
    return drawn([weights], f"{rows} x {columns} latent weights, cut row by row into {toy.p} blocks of {q}.")


def fold_figure(toy: Toy) -> Picture:
    """The blocks one below the other, their sum, and its sign: the tile. Rings: weights of the other sign than the tile; bits that just flipped."""
    p, q = toy.blocks.shape
    blocks = _places(toy).reshape(p, q, 2)
    of_all = blocks[:1] * [0, 1] - [1, 0]  # block -1
    verdict = np.where(toy.disagrees, "against the tile's sign", "as the tile's sign")
    told = [[f"X[{i}, {j}] = {toy.blocks[i, j]:+.3f}: {verdict[i, j]}" for j in range(q)] for i in range(p)]
    added = [f"s[{j}] = {toy.sums[j]:+.3f} = {' '.join(f'{x:+.2f}' for x in toy.blocks[:, j])}" for j in range(q)]
    signs = [
        f"t[{j}] = {toy.tile[j]:+.0f} = sign({toy.sums[j]:+.3f})" + ", flipped by the last step" * bool(toy.flipped[j])
        for j in range(q)
    ]
    text = (
        f"{p} blocks of {q} latent weights, their sum and its sign. {toy.disagrees.mean():.0%} of the weights have another sign than the tile; "
        f"the last step flipped {toy.flipped.sum()} of {q} bits."
    )
    return drawn(
        [
            Matrix(
                toy.blocks, 2.0, "x", blocks, told, f"the {p} blocks X" if p > 1 else "one block X", rings=toy.disagrees
            ),
            Matrix(toy.sums[None], 2.0 * p**0.5, "s", of_all, [added], "their sum"),
            Matrix(toy.tile[None], 1.0, "t", of_all, [signs], "its sign: the tile", digits=0, rings=toy.flipped[None]),
        ],
        text,
    )


def tiled_figure(toy: Toy) -> Picture:
    """The weight that the layer multiplies with: alpha_i times the tile in block i."""
    rows, columns = toy.tiled.shape
    places, alphas = _places(toy), np.broadcast_to(toy.alphas, (toy.p,))

    def words(row: int, column: int) -> str:
        i, j = places[row, column]
        product = f"{toy.tiled[row, column]:+.3f} = alpha[{i}] t[{j}] = {alphas[i]:.3f} x {toy.tile[j]:+.0f}"
        return f"{product}; the target is {toy.target[row, column]:+.2f}"

    told = [[words(row, column) for column in range(columns)] for row in range(rows)]
    weights = Matrix(toy.tiled, 2.0, "w", places, told, parted=True)
    return drawn(
        [weights],
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
