"""What an integer layer multiplies with, and how its sums become codes. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Shorts = NDArray[np.int16]


@dataclass(frozen=True)
class Piece:
    """Columns ``start`` to ``stop`` of a distinct row, which share one factor; ``tile`` counts from the first row on."""

    row: int
    start: int
    stop: int
    tile: int


@dataclass(frozen=True)
class Signs:
    """Rows of signs: ``tile`` (ceil(q/8),) uint8 in the bit order of ``kernels.layout``, repeated until all rows are filled.

    In the order "rolled" (``roll`` above 0) copy i of the tile is rolled by i * roll signs, all rows are distinct, and behind the tile's bits lie
    its first ones again, so that no row is broken by the tile's end. In the order "interleaved" the outputs change places.

    Attributes:
        rows, row_length: m outputs of n inputs.
        distinct_rows: R rows are computed, row ``copy * R + r`` has the signs of row r.
        tile_length: q.
        cut: rows are cut at tile borders, because the tiles' factors differ; each piece then has a sum of its own.
        interleaved: equal rows are neighbours: output ``r * copies + copy`` has the signs of row r. All else is as if they were not.
        roll: how far each copy of the tile is rolled beyond the one before.
    """

    rows: int
    row_length: int
    distinct_rows: int
    tile_length: int
    cut: bool
    tile: Bytes
    interleaved: bool = False
    roll: int = 0

    @property
    def copies(self) -> int:
        return self.rows // self.distinct_rows

    @property
    def tiles(self) -> int:
        """p."""
        return self.rows * self.row_length // self.tile_length

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """The R distinct rows, each whole or cut at tile borders."""
        found = []
        for row in range(self.distinct_rows):
            start, end = row * self.row_length, (row + 1) * self.row_length
            while start < end:
                tile = start // self.tile_length
                stop = min(end, (tile + 1) * self.tile_length) if self.cut else end
                found.append(Piece(row, start - row * self.row_length, stop - row * self.row_length, tile))
                start = stop
        return tuple(found)

    @cached_property
    def matrix(self) -> NDArray[np.int8]:
        """(pieces, row_length) of +1 and -1, and 0 outside of a piece."""
        bits = np.unpackbits(self.tile, bitorder="little")[: self.tile_length].astype(np.int8) * 2 - 1
        if self.roll:
            rows = np.concatenate([np.roll(bits, tile * self.roll) for tile in range(self.tiles)])
        else:
            rows = np.resize(bits, self.distinct_rows * self.row_length)
        rows = rows.reshape(self.distinct_rows, self.row_length)
        matrix = np.zeros((len(self.pieces), self.row_length), np.int8)
        for number, piece in enumerate(self.pieces):
            matrix[number, piece.start : piece.stop] = rows[piece.row, piece.start : piece.stop]
        return matrix

    @property
    def ordered(self) -> bool:
        """Whether the layer needs the operations for other orders than the paper's."""
        return self.interleaved or self.roll > 0

    @property
    def whole(self) -> bool:
        """Whether no tile ends within a row, so that fast ways to the sums take it."""
        if self.roll:
            return self.tile_length % self.row_length == 0
        return self.tile_length == self.distinct_rows * self.row_length


@dataclass(frozen=True)
class Weights:
    """int8 weights (rows, row_length) of a layer that was left in full precision; each row has a scale of its own."""

    matrix: NDArray[np.int8]

    @property
    def rows(self) -> int:
        return len(self.matrix)

    @property
    def row_length(self) -> int:
        return int(self.matrix.shape[1])

    @property
    def distinct_rows(self) -> int:
        return self.rows

    copies = tiles = 1
    cut = interleaved = ordered = whole = False
    roll = 0

    @property
    def tile_length(self) -> int:
        return self.matrix.size

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        return tuple(Piece(row, 0, self.row_length, 0) for row in range(self.rows))


@dataclass(frozen=True)
class Scaling:
    """From sums to codes: ``clip((sum over pieces of (sum >> sum_shift) * multiplier + (bias << bias_shift)) >> shift, low, high)``.

    ``>>`` rounds down; all steps fit into int32, whatever the input. ``multipliers`` are one for the layer, one a tile, or one a piece of
    each copy; ``biases`` one for the layer or one an output. The network's outputs have shift 0 and no ``low`` and ``high``.
    """

    sum_shift: int
    multipliers: Shorts
    biases: Shorts
    bias_shift: int
    shift: int
    low: int = 0
    high: int = 255
