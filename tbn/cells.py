"""Small matrices as pictures in SVG: coloured cells with their numbers, lines between blocks, rings. Values in, ``Picture`` out.

Colour is sign: blue above zero, amber below, and the stronger the larger. A browser redraws such a picture much faster than a chart with axes and
tools. Each cell carries what it stands for (``data-part``, ``data-i``, ``data-j``) for whatever listens to the pointer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tbn.files import write_bytes
from tbn.palette import COLOURS, NEUTRAL, rgb

if TYPE_CHECKING:
    from tbn.toy import Floats

PLUS, MIDDLE, MINUS = "#2B87D1", "#ECEEF1", "#C98B00"
INK = "#10141A"  # of numbers, at least 5 to 1 on every one of these colours
WRITTEN, ROOM = 96, 28  # the most cells, and the fewest pixels of a cell's width, that numbers are written into
CELL, WIDE, HIGH = 34, 480, 900  # pixels: a cell's side; the most that all columns take, and all rows
TITLE, EDGE = 24, 2  # pixels: a line above a matrix, the margin


@dataclass(frozen=True)
class Picture:
    """A drawing that notebooks show as it is.

    Attributes:
        svg: the whole picture.
        alt: what it shows, for those who cannot see it.
    """

    svg: str
    alt: str

    def _repr_html_(self) -> str:
        return self.svg

    def save(self, path: str | Path) -> None:
        """Write the picture as an SVG file."""
        write_bytes(Path(path), self.svg.encode())


@dataclass(frozen=True)
class Matrix:
    """One matrix of a picture.

    Attributes:
        values: (rows, columns).
        limit: the value with the strongest colour.
        part: the symbol of the formula that the cells are.
        places: (rows, columns, 2) which block i and place j of the tile a cell belongs to; i is -1 where it is of all blocks.
        told: what each cell says when it is pointed at, row by row.
        title: the line above it.
        digits: behind the point.
        rings: (rows, columns) which cells have a ring.
        parted: whether lines part cells of different blocks.
    """

    values: Floats
    limit: float
    part: str
    places: np.ndarray[Any, Any]
    told: Sequence[Sequence[str]]
    title: str = ""
    digits: int = 2
    rings: np.ndarray[Any, Any] | None = None
    parted: bool = False


def drawn(matrices: Sequence[Matrix], alt: str) -> Picture:
    """The matrices one below the other, all with the same columns."""
    columns = matrices[0].values.shape[1]
    rows = sum(matrix.values.shape[0] for matrix in matrices)
    wide, high = min(CELL, WIDE / columns), min(CELL, HIGH / rows)
    parts, top = [], float(EDGE)
    for matrix in matrices:
        if matrix.title:
            parts.append(
                f'<text x="{EDGE}" y="{top + 15:g}" font-size="13" fill="currentColor">{escape(matrix.title)}</text>'
            )
            top += TITLE
        parts.append(
            f'<g transform="translate({EDGE} {top:g})">{_cells(matrix, wide, high)}{_marks(matrix, wide, high)}</g>'
        )
        top += matrix.values.shape[0] * high + 2 * EDGE
    width = columns * wide + 2 * EDGE
    if any(matrix.title for matrix in matrices):
        width = max(width, 140.0)
    size = f'viewBox="0 0 {width:g} {top:g}" width="{width:g}" height="{top:g}" style="max-width:100%;height:auto"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(alt)}" font-family="sans-serif">'
    return Picture(f"{head}{''.join(parts)}</svg>", alt)


def _cells(matrix: Matrix, wide: float, high: float) -> str:
    """The coloured cells, each with its place and its words."""
    found = []
    for (row, column), value in np.ndenumerate(matrix.values):
        i, j = matrix.places[row, column]
        found.append(
            f'<rect x="{column * wide + 0.5:g}" y="{row * high + 0.5:g}" width="{max(wide - 1, 0.5):g}" height="{max(high - 1, 0.5):g}"'
            f' fill="{_colour(float(value) / matrix.limit)}" data-part="{matrix.part}" data-i="{i}" data-j="{j}">'
            f"<title>{escape(matrix.told[row][column])}</title></rect>"
        )
    return "".join(found)


def _marks(matrix: Matrix, wide: float, high: float) -> str:
    """Numbers, rings and lines, which let the pointer through."""
    found = []
    if wide >= ROOM and matrix.values.size <= WRITTEN:
        found += [
            f'<text x="{(column + 0.5) * wide:g}" y="{(row + 0.5) * high + 4:g}">{value:.{matrix.digits}f}</text>'
            for (row, column), value in np.ndenumerate(matrix.values)
        ]
    if matrix.rings is not None:
        shape = f'r="{max(1.0, min(wide, high) / 2 - 4):g}" fill="none" stroke="{COLOURS["binary"]}" stroke-width="2"'
        found += [
            f'<circle cx="{(column + 0.5) * wide:g}" cy="{(row + 0.5) * high:g}" {shape}/>'
            for row, column in zip(*np.nonzero(matrix.rings), strict=True)
        ]
    if matrix.parted:
        found.append(
            f'<path d="{borders(matrix.places[:, :, 0], wide, high)}" fill="none" stroke="{NEUTRAL}" stroke-width="3"/>'
        )
    return f'<g pointer-events="none" font-size="11" text-anchor="middle" fill="{INK}">{"".join(found)}</g>'


def borders(block: np.ndarray[Any, Any], wide: float, high: float) -> str:
    """The path between neighbours of different blocks: a stroke for each pair."""
    upright = zip(*np.nonzero(block[:, 1:] != block[:, :-1]), strict=True)
    level = zip(*np.nonzero(block[1:] != block[:-1]), strict=True)
    strokes = [f"M{(column + 1) * wide:g} {row * high:g}v{high:g}" for row, column in upright]
    return "".join([*strokes, *(f"M{column * wide:g} {(row + 1) * high:g}h{wide:g}" for row, column in level)])


def _colour(share: float) -> str:
    """Between the colours of -1, 0 and 1; beyond them the strongest."""
    strength = min(1.0, abs(share))
    mixed = (
        round(strength * one + (1 - strength) * other)
        for one, other in zip(rgb(PLUS if share > 0 else MINUS), rgb(MIDDLE), strict=True)
    )
    return "#" + "".join(f"{byte:02x}" for byte in mixed)
