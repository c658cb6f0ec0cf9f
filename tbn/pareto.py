"""The Pareto front: which runs nobody beats on all axes at once, how much it covers, and where it bends. Pure; works on any columns of a frame."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray


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


def undominated(frame: pd.DataFrame, maximise: Mapping[str, bool]) -> "pd.Series[bool]":
    """Mark the rows that no other row is at least as good as on every axis and better on one; ``front`` on any number of axes.

    Args:
        frame: one row a candidate.
        maximise: axis -> whether more of it is better.

    Returns:
        Booleans, one a row, with the index of ``frame``; a row with a value that is missing or not finite is never marked.
    """
    values = np.column_stack([
        pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=float) * (1.0 if more else -1.0) for name, more in maximise.items()
    ])  # fmt: skip
    whole = np.isfinite(values).all(axis=1)
    marked, others = np.array(whole), values[whole]
    for row in np.flatnonzero(whole):
        marked[row] = not ((others >= values[row]).all(axis=1) & (others > values[row]).any(axis=1)).any()
    return pd.Series(marked, index=frame.index, name="on_front")


def hypervolume(
    frame: pd.DataFrame, x: str, y: str, worst_x: float, worst_y: float, maximise_y: bool = True, log_x: bool = False
) -> float:
    """The area that a front covers up to a reference point: one number for how good a set of runs is (Zitzler and Thiele 1998).

    Args:
        frame: one row a run; rows that are not on the front, or worse than the reference point, add nothing.
        x, y: columns; ``x`` as small as can be, ``y`` as large (or as small, without ``maximise_y``).
        worst_x, worst_y: the reference point, the same for all sets that are compared.
        log_x: measure x in doublings (log2), as sizes are best compared.

    Returns:
        the area, in units of x (or doublings) times units of y; 0 where nothing is better than the reference point.
    """
    points = _front_points(frame, x, y, maximise_y)
    sign = 1.0 if maximise_y else -1.0
    points = points[(points[:, 0] < worst_x) & (points[:, 1] > sign * worst_y)]
    if not len(points):
        return 0.0
    if log_x:
        points[:, 0], worst_x = np.log2(points[:, 0]), float(np.log2(worst_x))
    right = np.append(points[1:, 0], worst_x)
    return float(((right - points[:, 0]) * (points[:, 1] - sign * worst_y)).sum())


def knee(frame: pd.DataFrame, x: str, y: str, maximise_y: bool = True, log_x: bool = False) -> object | None:
    """Where the front bends: the run farthest above the straight line between the front's ends, both axes scaled to 0..1 (Das 1999).

    Returns:
        the run's label in the index of ``frame``; None where the front has fewer than three points or is nowhere above that line.
    """
    points = _front_points(frame, x, y, maximise_y)
    if len(points) < 3:
        return None
    cost = np.log2(points[:, 0]) if log_x else points[:, 0]
    along = (cost - cost[0]) / (cost[-1] - cost[0])
    up = (points[:, 1] - points[0, 1]) / (points[-1, 1] - points[0, 1])
    bend = up - along
    best = int(bend.argmax())
    return frame.index[int(points[best, 2])] if bend[best] > 1e-12 else None


def _front_points(frame: pd.DataFrame, x: str, y: str, maximise_y: bool) -> NDArray[np.float64]:
    """(points, 3): x, y turned so that more is better, row number; the front alone, without equal points, rising in both."""
    rows = np.flatnonzero(front(frame, x, y, maximise_y).to_numpy())
    points = np.column_stack([
        pd.to_numeric(frame[x]).to_numpy(dtype=float)[rows],
        pd.to_numeric(frame[y]).to_numpy(dtype=float)[rows] * (1.0 if maximise_y else -1.0), rows,
    ])  # fmt: skip
    points = points[np.argsort(points[:, 0], kind="stable")]
    return points[np.append(True, np.diff(points[:, 0]) > 0)] if len(points) else points
