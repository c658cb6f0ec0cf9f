"""Where each sign of a tile lies: the only place that knows the bit order and the geometry of the repetition.

Bit order: element ``8*j + k`` of the flat tile is bit ``k`` of byte ``j`` (least significant bit first); 1 means +1, 0 means -1; the
padding bits of the last byte are 0. The same bytes lie in the packed file, in the C source and in the flash of a board.

Geometry: a layer of ``rows`` x ``row_length`` weights, flattened row-major, is p copies of one tile of ``q = rows * row_length / p``
signs. With ``g = gcd(rows, p)`` the first ``R = rows / g`` rows hold ``p / g`` whole tiles, and the other rows are exact copies of them up
to the alphas. So R rows are computed and written g times (Tiled Bit Networks, arXiv 2407.12075, equation of the forward pass;
the reuse of the products is this project's consequence of it). Rows are outputs; in a weight that lies (inputs, outputs) they are inputs.
Other orders of the blocks are told in ``kernels.orders``: in "inputs" the rows are inputs, too, "rolled" has no two equal rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kernels.orders import Order


def packed_length(count: int) -> int:
    """Bytes that hold ``count`` signs."""
    return (count + 7) // 8


def pack_bits(signs: Tensor) -> Tensor:
    """Pack signs, 8 a byte.

    Args:
        signs: any shape; a value above 0 is +1, everything else -1.

    Returns:
        (ceil(numel / 8),) uint8, on the same device.
    """
    bits = (signs.reshape(-1) > 0).to(torch.uint8)
    padded = torch.nn.functional.pad(bits, (0, -bits.numel() % 8)).reshape(-1, 8)
    weights = torch.tensor([1, 2, 4, 8, 16, 32, 64, 128], dtype=torch.uint8, device=signs.device)
    return (padded * weights).sum(1, dtype=torch.uint8)


def unpack_bits(packed: Tensor, count: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """The signs again.

    Args:
        packed: (ceil(count / 8),) uint8.
        count: how many signs are wanted.

    Returns:
        (count,) of +1 and -1 in ``dtype``.

    Raises:
        ValueError: ``packed`` is not uint8 or holds another number of bytes than ``count`` signs need.
    """
    if packed.dtype != torch.uint8 or packed.shape != (packed_length(count),):
        raise ValueError(
            f"{count} signs need ({packed_length(count)},) uint8, got {tuple(packed.shape)} {packed.dtype}"
        )
    shifts = torch.arange(8, dtype=torch.uint8, device=packed.device)
    bits = (packed[:, None] >> shifts) & 1
    return bits.reshape(-1)[:count].to(dtype).mul_(2).sub_(1)


@dataclass(frozen=True)
class TileGeometry:
    """How p copies of one tile cover a (rows, row_length) weight.

    Attributes:
        rows: of the weight as its blocks lie: outputs, or inputs in the order "inputs".
        order: where the blocks lie (``kernels.orders``).

    Raises:
        ValueError: p does not divide the number of weights.
    """

    rows: int
    row_length: int
    p: int
    order: Order = "rows"

    def __post_init__(self) -> None:
        if self.rows < 1 or self.row_length < 1 or self.p < 1 or self.rows * self.row_length % self.p:
            raise ValueError(f"p={self.p} does not divide the {self.rows} x {self.row_length} weights")

    @property
    def weights(self) -> int:
        """N, the number of weights."""
        return self.rows * self.row_length

    @property
    def tile_length(self) -> int:
        """q = N / p."""
        return self.weights // self.p

    @property
    def copies(self) -> int:
        """g = gcd(rows, p): how often each distinct row is repeated; in the order "rolled" once."""
        return 1 if self.order == "rolled" else math.gcd(self.rows, self.p)

    @property
    def distinct_rows(self) -> int:
        """R = rows / g."""
        return self.rows // self.copies

    @property
    def tiles_per_copy(self) -> int:
        """p / g: whole tiles in the R distinct rows (1 where p divides the rows)."""
        return self.p // self.copies

    @cached_property
    def pieces(self) -> tuple[tuple[int, int, int, int], ...]:
        """The R distinct rows cut at tile borders: (row, first column, end column, tile) of each piece.

        R pieces where p divides the rows. Otherwise a row may belong to several tiles, which can have different alphas; then each piece
        gets a partial sum of its own. There are at most R + p/g - 1 of them.
        """
        found = []
        for row in range(self.distinct_rows):
            start, end = row * self.row_length, (row + 1) * self.row_length
            while start < end:
                tile = start // self.tile_length
                stop = min(end, (tile + 1) * self.tile_length)
                found.append((row, start - row * self.row_length, stop - row * self.row_length, tile))
                start = stop
        return tuple(found)


def geometry_of(shape: Sequence[int], p: int, order: Order = "rows") -> TileGeometry:
    """The geometry of a weight (m, n) or (m, channels, *kernel)."""
    rows = shape[1] if order == "inputs" else shape[0]
    return TileGeometry(rows, math.prod(shape) // rows, p, order)


@dataclass(frozen=True)
class Window:
    """How a convolution goes over its input: one number for each axis of space, as in ``torch.nn.functional.conv2d``.

    Attributes:
        kernel: the kernel's size.
        padding: zeros added on both sides.
        groups: of channels; equal rows see different inputs where there are several.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1

    def outputs(self, space: Sequence[int]) -> tuple[int, ...]:
        """The size of the output for an input of this size."""
        each = zip(space, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        return tuple(
            (size + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1 for size, kernel, stride, pad, dilation in each
        )
