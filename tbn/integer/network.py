"""A network in whole numbers: uint8 codes between the operations, int32 sums inside them. Needs no torch.

A value of the float network is ``scale * (code - zero)``; scales exist only while the network is made. An operation multiplies sums of
``code - zero`` (padding counts as 0) with int16 factors and shifts, so nothing on the device is wider than 32 bits and no bit is left to
the compiler's choice. The scheme is that of Jacob et al., https://arxiv.org/abs/1712.05877, with weights of one bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Shorts = NDArray[np.int16]


@dataclass(frozen=True)
class Codes:
    """A tensor between operations: ``shape`` uint8 codes of one sample, standing for ``scale * (code - zero)``."""

    name: str
    shape: tuple[int, ...]
    scale: float
    zero: int

    @property
    def count(self) -> int:
        return prod(self.shape)

    @property
    def image(self) -> tuple[int, int, int]:
        """The shape as (channels, height, width); a sequence has height 1."""
        channels, *space = self.shape
        height, width = (1, 1, *space)[-2:]
        return channels, height, width


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

    Attributes:
        rows, row_length: m outputs of n inputs.
        distinct_rows: R rows are computed, row ``copy * R + r`` has the signs of row r.
        tile_length: q.
        cut: rows are cut at tile borders, because the tiles' factors differ; each piece then has a sum of its own.
    """

    rows: int
    row_length: int
    distinct_rows: int
    tile_length: int
    cut: bool
    tile: Bytes

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
        rows = np.resize(bits, self.distinct_rows * self.row_length).reshape(self.distinct_rows, self.row_length)
        matrix = np.zeros((len(self.pieces), self.row_length), np.int8)
        for number, piece in enumerate(self.pieces):
            matrix[number, piece.start : piece.stop] = rows[piece.row, piece.start : piece.stop]
        return matrix


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
    cut = False

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


@dataclass(frozen=True)
class Window:
    """How a convolution or pooling goes over an image; ``before`` are the rows above and columns left of it that are padding."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    before: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class Layer:
    """Fully connected (no window: the codes are one vector) or a convolution of images (channels, height, width) in ``groups``.

    Attributes:
        source, target: which tensors of the network; the last layer writes int32 outputs, its target is -1.
        zero: zero point of the source.
        relu: whether a ReLU is part of it, for reports; ``scaling`` has its numbers.
    """

    name: str
    source: int
    target: int
    zero: int
    weights: Signs | Weights
    scaling: Scaling
    relu: bool = False
    window: Window | None = None
    groups: int = 1


@dataclass(frozen=True)
class MaxPool:
    """The largest code under each window; padding never wins."""

    name: str
    source: int
    target: int
    window: Window


@dataclass(frozen=True)
class AveragePool:
    """``clip((sum of code - zero under the window * multiplier + bias) >> shift, low, high)``; no padding, all int32."""

    name: str
    source: int
    target: int
    zero: int
    window: Window
    multiplier: int
    bias: int
    shift: int
    low: int = 0
    high: int = 255


@dataclass(frozen=True)
class Add:
    """``clip((a * multiplier + b * other_multiplier + bias) >> shift, low, high)`` of two tensors' codes, all int32."""

    name: str
    source: int
    other: int
    target: int
    multiplier: int
    other_multiplier: int
    bias: int
    shift: int
    low: int = 0
    high: int = 255


@dataclass(frozen=True)
class Affine:
    """A factor and a shift for each channel (a BatchNorm that follows no layer): ``Scaling`` with sums of one code each."""

    name: str
    source: int
    target: int
    zero: int
    scaling: Scaling


@dataclass(frozen=True)
class Table:
    """Any other function of one number: ``table[code]``, (256,) uint8."""

    name: str
    source: int
    target: int
    table: Bytes


Operation = Layer | MaxPool | AveragePool | Add | Affine | Table


@dataclass(frozen=True)
class IntegerNetwork:
    """Operations in order. Tensor 0 is the raw input, which the device gets as it is.

    The outputs are (outputs,) int32, all with one scale: the float network's output is about ``output_scale * value``.
    """

    tensors: tuple[Codes, ...]
    operations: tuple[Operation, ...]
    outputs: int
    output_scale: float

    @property
    def layers(self) -> tuple[Layer, ...]:
        return tuple(operation for operation in self.operations if isinstance(operation, Layer))

    def arrays(self) -> Iterator[tuple[str, str, NDArray[np.generic]]]:
        """What the device stores: (operation, part, array). Parts: tile, weights, multipliers, biases, table."""
        for operation in self.operations:
            if isinstance(operation, Layer):
                weights = operation.weights
                if isinstance(weights, Signs):
                    yield operation.name, "tile", weights.tile
                else:
                    yield operation.name, "weights", weights.matrix
            if isinstance(operation, Layer | Affine):
                yield operation.name, "multipliers", operation.scaling.multipliers
                yield operation.name, "biases", operation.scaling.biases
            if isinstance(operation, Table):
                yield operation.name, "table", operation.table

    def bytes_by_part(self) -> Mapping[str, int]:
        """Bytes of what is stored: {"tile": ..., "multipliers": ..., ...}."""
        parts: dict[str, int] = {}
        for _, part, array in self.arrays():
            parts[part] = parts.get(part, 0) + array.nbytes
        return parts
