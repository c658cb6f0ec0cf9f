"""What a board answered beside what the model says in floating point: values in, plotly figure out, as in ``tbn.charts``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from tbn.charts import COLOURS, MARGIN, legend, with_alt

SHOWN = 10  # classes; of more the likeliest
HATCHES = ("", "/", "x")  # of the answers, in their order


def classes(
    names: Sequence[str], answers: Mapping[str, NDArray[np.float32]], truth: int | None = None, method: str = "tiled"
) -> go.Figure:
    """How sure each answer is of each class: a bar an answer, classes in the order of the labels.

    Args:
        names: of the classes.
        answers: who answered -> (classes,) probabilities.
        truth: the right class, where it is known; it is marked.
        method: "fp32", "binary" or "tiled", which gives the colour.
    """
    shares = np.stack([*answers.values()])
    shown = np.sort(np.argsort(-shares.max(0), kind="stable")[:SHOWN])
    if truth is not None and truth not in shown:
        shown = np.sort(np.append(shown[:-1], truth))
    ticks = [("✓ " if k == truth else "") + names[k] for k in shown]
    figure, told = go.Figure(), []
    for (who, row), hatch in zip(answers.items(), HATCHES, strict=False):
        figure.add_bar(
            y=ticks, x=100 * row[shown], name=who, orientation="h", marker={"color": COLOURS[method], "pattern": {"shape": hatch}},
            hovertemplate="%{y}: %{x:.1f} %<extra>" + who + "</extra>",
        )  # fmt: skip
        best = int(row.argmax())
        wrong = ", which is wrong" * (truth is not None and best != truth)
        told.append(f"{who} says {names[best]}, {row[best]:.0%}{wrong}")
    figure.update_xaxes(title="Probability (%)", range=[0, 100])
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_layout(
        height=130 + 15 * len(shown) * max(2, len(answers)),
        margin=MARGIN,
        legend=legend(),
        showlegend=True,
        barmode="group",
        bargap=0.3,
    )
    right = "" if truth is None else f"It is {names[truth]}. "
    return with_alt(figure, f"{right}{'; '.join(told)}.")
