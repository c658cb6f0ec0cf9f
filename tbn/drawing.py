"""A drawing made ready for a network: grey levels in the data set's range, moved and scaled as its own pictures are.

MNIST's digits were scaled into a box of 20 x 20 pixels and put into 28 x 28 so that their centre of mass is in the middle (LeCun et al.,
"Gradient-based learning applied to document recognition", 1998, section III A). A network that was trained on such pictures expects that.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tbn.errors import TBNError

BOX = 20 / 28  # of the picture's side that MNIST's digits fill
Grey = NDArray[np.float64]


def prepare(drawing: NDArray[np.uint8], ink: int = 255, centred: bool = False) -> NDArray[np.uint8]:
    """A drawing as a sample of an image task.

    Args:
        drawing: (height, width) uint8, 0 is paper and 255 ink.
        ink: the data set's brightest value (16 of scikit-learn's digits).
        centred: scale and move it as MNIST's digits are.

    Returns:
        (1, height, width) uint8.

    Raises:
        TBNError: it is no picture, or nothing is drawn and there is nothing to centre.
    """
    if drawing.ndim != 2 or drawing.size == 0:
        raise TBNError(f"a drawing of shape {drawing.shape} is no picture", "draw on the canvas")
    grey: Grey = drawing.astype(np.float64) / 255
    if centred:
        grey = centre(grey)
    return np.clip(np.rint(grey * ink), 0, 255).astype(np.uint8)[None]


def centre(grey: Grey) -> Grey:
    """(height, width) in [0, 1]: what is drawn fills ``BOX`` of the shorter side, its centre of mass in the middle.

    Raises:
        TBNError: nothing is drawn.
    """
    rows, columns = np.flatnonzero(grey.any(1)), np.flatnonzero(grey.any(0))
    if not len(rows):
        raise TBNError("nothing is drawn", "draw something on the canvas")
    cut = grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = BOX * min(grey.shape) / max(cut.shape)
    height, width = (max(1, round(scale * side)) for side in cut.shape)
    small = _resized(_resized(cut, height).T, width).T
    weights = small / small.sum()
    middle = [float((weights.sum(1 - axis) * (np.arange(small.shape[axis]) + 0.5)).sum()) for axis in (0, 1)]
    found = np.zeros_like(grey)
    top, left = (
        min(max(0, round(whole / 2 - mass)), whole - part)
        for whole, mass, part in zip(grey.shape, middle, small.shape, strict=True)
    )
    found[top : top + height, left : left + width] = small
    return found


def _resized(picture: Grey, rows: int) -> Grey:
    """(rows, width): each new row is the mean of the stretch of old rows that it covers."""
    edges = np.linspace(0, len(picture), rows + 1)
    sums = np.concatenate([np.zeros((1, picture.shape[1])), np.cumsum(picture, 0)])
    at = np.stack([np.interp(edges, np.arange(len(sums)), column) for column in sums.T], axis=1)
    found: Grey = np.diff(at, axis=0) / np.diff(edges)[:, None]
    return found
