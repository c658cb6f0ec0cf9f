"""Where the words beside the marks of a scatter stand, so that no two lie on each other, in a narrow window or in a wide one.

A figure does not know how wide it will be drawn: a place is free that is free of words in plots of all ``SIZES``, and in more
than half of them of the front's marks and of all but one other. A word without a free place is left out; its mark says it when it is pointed at.
Places are chosen one after the other, those of the front first.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# (s, 2): pixels of a plot without its margins, from a telephone's to a wide window's
SIZES = np.array([(290, 240), (420, 280), (640, 320), (1000, 330)], float)
SIDES = {  # (to the right, up), the better first; one in the middle would lie on the mark's own error bar
    "bottom right": (1, -1),
    "top left": (-1, 1),
    "top right": (1, 1),
    "bottom left": (-1, -1),
    "middle right": (1, 0),
    "middle left": (-1, 0),
}
LETTER, LINE = 6.2, 13.0  # pixels of a letter and of a line
RADIUS = 7.0  # pixels of a mark
MARGIN = 8.0  # pixels beside the plot that a word may take
Array = NDArray[np.float64]


def placed(
    across: "pd.Series[float]", up: "pd.Series[float]", spread: "pd.Series[float]", words: "pd.Series[str]", on_front: "pd.Series[bool]",
    axis: Mapping[str, Any], levels: Sequence[float] = (),
) -> pd.DataFrame:  # fmt: skip
    """One row a mark with plotly's ``text`` ("" where there is no word, or no place for it) and ``textposition``.

    Args:
        across, up: where the marks are.
        spread: half of each error bar, in the unit of ``up``; NaN for none.
        words: one a mark, "" for none.
        on_front: whose words come first, and are kept clear.
        axis: plotly's layout of the axis of ``across``.
        levels: of lines from side to side, which stretch the axis of ``up``.
    """
    spread = spread.fillna(0.0)
    low, high = min([*(up - spread), *levels]), max([*(up + spread), *levels])
    room = 1.12 * (high - low) or 1.0  # plotly leaves a twentieth free at both ends
    heights = 0.5 + (up.to_numpy(float) - (low + high) / 2) / room
    centres = np.stack([_shares(across, axis), heights], -1)[:, None] * SIZES  # (n, s, 2) pixels
    lengths = spread.to_numpy(float)[:, None] / room * SIZES[:, 1]
    bars = np.stack([np.ones_like(lengths), lengths], -1)  # (n, s, 2) half of each error bar
    weights = np.where(on_front, 6.0, 1.0)[:, None]
    texts, sides, taken = [""] * len(words), [next(iter(SIDES))] * len(words), list[tuple[Array, Array]]()
    for k in sorted(range(len(words)), key=lambda k: (not on_front.iloc[k], across.iloc[k])):
        if not (word := words.iloc[k]):
            continue
        half = np.array([LETTER * len(word), LINE]) / 2
        ways = np.array(list(SIDES.values()))[:, None] * (half + RADIUS / 0.8 + 1)  # as plotly does
        middles = centres[k] + ways  # (6, s, 2)
        hit = sum((_meet(middles, other, half + its).any(-1) for other, its in taken), np.zeros(len(SIDES), bool))
        marks = _meet(middles[:, None], centres, half + RADIUS)  # (6, n, s)
        errors = _meet(middles[:, None], centres, half + bars)
        covers = (marks & on_front.to_numpy(bool)[:, None]).any(1) | ((marks | errors).sum(1) > 1)
        hit = hit | (2 * covers.sum(-1) >= len(SIZES))
        under = marks + 0.5 * errors
        outside = (np.abs(middles - SIZES / 2) > SIZES / 2 + MARGIN - half).any(-1).sum(-1)
        cost = np.where(hit, np.inf, (weights * under).sum((1, 2)) + 4 * outside)
        best = int(cost.argmin())
        if cost[best] < np.inf:
            texts[k], sides[k] = word, list(SIDES)[best]
            taken.append((middles[best], half))
    return pd.DataFrame({"text": texts, "side": sides}, words.index)


def _shares(across: "pd.Series[float]", axis: Mapping[str, Any]) -> Array:
    """(n,): how far from the left each value is, 0..1."""
    values = np.asarray(across, float)
    values = np.log10(values) if axis.get("type") == "log" else values
    low, high = axis.get("range") or (0.0 if axis.get("rangemode") == "tozero" else values.min(), values.max())
    return np.asarray((values - low) / ((high - low) or 1.0), float)


def _meet(here: Array, there: Array, reach: Array) -> NDArray[np.bool_]:
    """Whether boxes with these middles (..., 2) share ground; ``reach``: half of both their sizes."""
    return np.asarray((np.abs(here - there) < reach).all(-1))
