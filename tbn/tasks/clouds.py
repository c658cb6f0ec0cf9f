"""What the point-cloud tasks share: folders, files of numbers, unit spheres, resampling."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tbn.errors import TBNError

FETCH_AGAIN = "fetch the data set again"


def find_folder(root: Path | None, names: tuple[str, ...], markers: tuple[str, ...]) -> Path | None:
    """The folder of a set: one of ``names`` below the root, else the root itself if it holds one of ``markers``."""
    if root is None:
        return None
    below = next((root / name for name in names if (root / name).is_dir()), None)
    return below or (root if any((root / marker).exists() for marker in markers) else None)


def not_found(title: str, wanted: str, root: Path | None, instead: str) -> TBNError:
    """The error for a set that does not come along; ``instead`` is the task that does."""
    return TBNError(
        f"{title} does not come with the package and was not found in {root or 'any folder: none was named'}",
        f"name the folder that holds {wanted}: --data-root FOLDER, or TBN_DATA; task {instead} needs no files",
    )


def source_of(train: int, test: int, official: tuple[int, int], folder: Path) -> str:
    """What a set of shapes is called: full by its official counts, else by its own counts and folder."""
    counts = f"{train:,} training and {test:,} test shapes"
    return f"full set, {counts}" if (train, test) == official else f"{counts} from {folder}"


def read_lines(path: Path) -> list[str]:
    """The lines of a list of names, blank ones left out.

    Raises:
        TBNError: the file is missing, unreadable or empty.
    """
    try:
        lines = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise TBNError(f"{path} is missing or cannot be read", FETCH_AGAIN) from error
    if not lines:
        raise TBNError(f"{path} is empty", FETCH_AGAIN)
    return lines


def read_table(path: Path, columns: int, delimiter: str | None = None, rows: int | None = None) -> NDArray[np.float32]:
    """Read a text file of numbers; at most the first ``rows`` lines.

    Returns:
        (lines, columns) float32, all finite.

    Raises:
        TBNError: missing file, other number of columns, anything that is no number, or no line at all.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # an empty file: refused below
            table = np.loadtxt(path, np.float32, comments=None, delimiter=delimiter, ndmin=2, max_rows=rows)
    except OSError as error:
        raise TBNError(f"{path} is missing or cannot be read", FETCH_AGAIN) from error
    except ValueError as error:
        raise TBNError(f"{path} is no table of numbers: {error}", f"mend that line, or {FETCH_AGAIN}") from error
    if not table.size or table.shape[1] != columns:
        found = f"{table.shape[1]} columns" if table.size else "no lines"
        raise TBNError(f"{path} has {found} where {columns} columns are expected", FETCH_AGAIN)
    if not np.isfinite(table).all():
        raise TBNError(f"{path} holds values that are not finite", FETCH_AGAIN)
    return table


def unit_sphere(points: NDArray[Any]) -> NDArray[np.float32]:
    """Move the centroid of each cloud to the origin, and its farthest point to distance 1.

    Args:
        points: (..., points, 3).

    Returns:
        The same shape, float32.
    """
    centred = points - points.mean(-2, keepdims=True, dtype=np.float32)
    radius = np.linalg.norm(centred, axis=-1).max(-1)[..., None, None]
    unit: NDArray[np.float32] = (centred / np.maximum(radius, 1e-9)).astype(np.float32)
    return unit


def resample(count: int, points: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Indices of ``points`` of ``count`` points, shuffled; a point comes twice only after all have come once."""
    return np.resize(random.permutation(count), points)
