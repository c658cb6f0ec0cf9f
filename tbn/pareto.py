"""The Pareto front: which runs nobody beats on both axes at once. Pure; works on any two columns of a frame."""

import numpy as np
import pandas as pd


def front(frame: pd.DataFrame, x: str, y: str, maximise_y: bool = True) -> "pd.Series[bool]":
    """Mark the rows on the Pareto front: ``x`` as small as can be (bytes, bits), ``y`` as large (accuracy) or as small (loss).

    A row is dominated when another is at least as good on both axes and better on one; so rows with equal values stand or fall together.
    A row whose x or y is missing or not finite is never on the front, and dominates nobody.

    Returns:
        Booleans, one a row, with the index of ``frame``.
    """
    cost = pd.to_numeric(frame[x], errors="coerce").to_numpy(dtype=float)
    gain = pd.to_numeric(frame[y], errors="coerce").to_numpy(dtype=float) * (1.0 if maximise_y else -1.0)
    on_front = np.isfinite(cost) & np.isfinite(gain)
    best, rows = -np.inf, np.flatnonzero(on_front)
    rows = rows[np.lexsort((-gain[rows], cost[rows]))]  # cheapest first, among equally cheap ones the best first
    reached_at = -np.inf  # the cost at which ``best`` was reached
    for row in rows:
        if gain[row] > best:
            best, reached_at = gain[row], cost[row]
        elif gain[row] < best or cost[row] > reached_at:
            on_front[row] = False
    return pd.Series(on_front, index=frame.index, name="on_front")
