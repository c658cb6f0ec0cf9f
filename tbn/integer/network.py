"""A network in whole numbers: uint8 codes between the operations, int32 sums inside them. Needs no torch.

A value of the float network is ``scale * (code - zero)``; scales exist only while the network is made. An operation multiplies sums of
``code - zero`` (padding counts as 0) with int16 factors and shifts, so nothing on the device is wider than 32 bits and no bit is left to
the compiler's choice. The scheme is that of Jacob et al., https://arxiv.org/abs/1712.05877, with weights of one bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from tbn.integer.fold import Fold
from tbn.integer.weights import Bytes, Piece, Scaling, Signs, Weights

__all__ = [
    "Add", "Affine", "AveragePool", "Codes", "Fold", "IntegerNetwork", "Layer", "MaxPool", "Norm", "Operation", "Piece", "Product", "Scaling",
    "Signs", "Swap", "Table", "Weights", "Window",
]  # fmt: skip


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
class Window:
    """How a convolution or pooling goes over an image; ``before`` are the rows above and columns left of it that are padding."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    before: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class Layer:
    """Fully connected (no window: the codes are vectors, ``positions`` of them) or a convolution of images in ``groups``.

    Attributes:
        source, target: which tensors of the network; the last layer writes int32 outputs, its target is -1.
        positions: vectors behind each other, all multiplied alike.
        largest: of a convolution of one pixel: only the largest output of each channel is kept, over all positions.
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
    positions: int = 1
    largest: bool = False


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


@dataclass(frozen=True)
class Norm:
    """LayerNorm over vectors of n codes: ``(code - mean) / sqrt(variance + epsilon)`` in steps of 1/1024, then ``Scaling`` by channel.

    With S the sum of the codes: ``d = n * code - S``; ``u = n * (sum of code**2) - S**2 + epsilon`` (below 2**32), at least 1; u is shifted left by
    2 * k until it is 2**30 or more; ``r = 2**30 // isqrt(u)``; ``v = ((((d << k) >> 5) * r) >> 15)``;
    ``clip((v * multiplier + (bias << bias_shift)) >> shift, low, high)``. ``>>`` rounds down.
    """

    name: str
    source: int
    target: int
    epsilon: int
    scaling: Scaling


@dataclass(frozen=True)
class Swap:
    """Codes of shape (outer, rows, columns, inner) as (outer, columns, rows, inner)."""

    name: str
    source: int
    target: int
    outer: int
    rows: int
    columns: int
    inner: int


@dataclass(frozen=True)
class Product:
    """Two tensors' matrix product, (rows, n) by (n, columns): sums of ``(a - zero) * (b - other_zero)``, then one ``Scaling`` for all."""

    name: str
    source: int
    other: int
    target: int
    rows: int
    inner: int
    columns: int
    zero: int
    other_zero: int
    scaling: Scaling


Operation = Layer | MaxPool | AveragePool | Add | Affine | Table | Norm | Swap | Product | Fold


@dataclass(frozen=True)
class IntegerNetwork:
    """Operations in order. Tensor 0 is the raw input, which the device gets as it is.

    The outputs are (outputs,) int32, all with one scale: the float network's output is about ``output_scale * value``.
    ``front`` is what the host does around it: "" nothing, or a kind of ``tbn.integer.series``.
    """

    tensors: tuple[Codes, ...]
    operations: tuple[Operation, ...]
    outputs: int
    output_scale: float
    front: str = ""

    @property
    def layers(self) -> tuple[Layer, ...]:
        return tuple(operation for operation in self.operations if isinstance(operation, Layer))

    @property
    def products(self) -> int:
        """Multiplications of a sample: of each layer's distinct rows, at every position, and of products of activations."""
        count = 0
        for operation in self.operations:
            if isinstance(operation, Product):
                count += operation.rows * operation.inner * operation.columns
            elif isinstance(operation, Layer):
                places = self.tensors[operation.source if operation.largest else max(operation.target, 0)].image
                positions = operation.positions if operation.window is None else places[1] * places[2]
                count += operation.weights.distinct_rows * operation.weights.row_length * positions
        return count

    def arrays(self) -> Iterator[tuple[str, str, NDArray[np.generic]]]:
        """What the device stores: (operation, part, array). Parts: tile, weights, multipliers, biases, table."""
        for operation in self.operations:
            if isinstance(operation, Layer):
                weights = operation.weights
                if isinstance(weights, Signs):
                    yield operation.name, "tile", weights.tile
                else:
                    yield operation.name, "weights", weights.matrix
            if isinstance(operation, Layer | Affine | Norm):
                yield operation.name, "multipliers", operation.scaling.multipliers
                yield operation.name, "biases", operation.scaling.biases
            if isinstance(operation, Fold):
                yield operation.name, "multipliers", operation.multipliers
            if isinstance(operation, Table):
                yield operation.name, "table", operation.table

    def bytes_by_part(self) -> Mapping[str, int]:
        """Bytes of what is stored: {"tile": ..., "multipliers": ..., ...}."""
        parts: dict[str, int] = {}
        for _, part, array in self.arrays():
            parts[part] = parts.get(part, 0) + array.nbytes
        return parts
