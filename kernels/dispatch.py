"""Choose the engine of a tiled layer: Triton on an NVIDIA GPU, a C kernel on a CPU, torch everywhere else. Each computes a distinct row once.

``prepare`` holds what the engine multiplies with, for one dtype; each engine expands what it needs at its first call (torch: the distinct
rows; Triton and C: a re-ordered copy of the bits). ``linear`` and ``conv`` do the work: one product with the R distinct rows, then one pass that
writes the g copies with their alphas and the bias. ``transposed_linear`` has its copies on the inputs: they are added up first.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.util import find_spec

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.layout import TileGeometry, unpack_bits
from kernels.reference import dense_weight


@dataclass(frozen=True, eq=False)
class Prepared:
    """A packed layer made ready for one device and dtype. The expanded tensors are made when an engine first asks for them, outside of
    autograd and inference mode, so that a layer first used there can be used everywhere afterwards.

    Attributes:
        tile: (ceil(q / 8),) uint8, the packed bits.
        alphas: (p,) or (1,) float32.
        geometry: shape and tiling factor.
        dtype: of the products.
        share: False where equal rows see different inputs.
    """

    tile: Tensor
    alphas: Tensor
    geometry: TileGeometry
    dtype: torch.dtype
    share: bool

    @cached_property
    def computed_rows(self) -> int:
        """K, the rows that the torch engine multiplies for one output vector (the dense layer multiplies ``geometry.rows``)."""
        return computed_rows(self.geometry, self.alphas.numel(), self.share)

    @cached_property
    def dense(self) -> bool:
        """Whether nothing can be saved: ``weight`` is then the whole scaled weight."""
        return self.computed_rows == self.geometry.rows

    @cached_property
    def in_pieces(self) -> bool:
        """Whether a row may have several alphas, so that pieces of rows are multiplied."""
        return not self.dense and self.alphas.numel() > 1 and self.geometry.tiles_per_copy > 1

    @cached_property
    def weight(self) -> Tensor:
        """(K, row_length) what is multiplied: signs of the R distinct rows, of their pieces, or the whole scaled weight."""
        with torch.inference_mode(False), torch.no_grad():
            if self.dense:
                return dense_weight(self.tile, self.alphas, self.geometry).to(self.dtype)
            signs = unpack_bits(self.tile, self.geometry.tile_length, self.dtype)
            rows = signs.repeat(self.geometry.tiles_per_copy).reshape(
                self.geometry.distinct_rows, self.geometry.row_length
            )
            if not self.in_pieces:
                return rows
            weight = rows.new_zeros(self.computed_rows, self.geometry.row_length)
            for k, (row, start, stop, _) in enumerate(self.geometry.pieces):
                weight[k, start:stop] = rows[row, start:stop]
            return weight

    @cached_property
    def scale(self) -> Tensor:
        """(g, K) the alpha of each copy of each row of ``weight``; not for a ``dense`` layer."""
        with torch.inference_mode(False), torch.no_grad():
            if not self.in_pieces:
                return (
                    self.alphas.expand(self.geometry.copies)[:, None]
                    .expand(-1, self.computed_rows)
                    .to(self.dtype)
                    .contiguous()
                )
            tiles = torch.tensor([piece[3] for piece in self.geometry.pieces], device=self.tile.device)
            copies = torch.arange(self.geometry.copies, device=self.tile.device)[:, None] * self.geometry.tiles_per_copy
            return self.alphas[copies + tiles].to(self.dtype)

    @cached_property
    def piece_rows(self) -> Tensor | None:
        """(K,) int64, the distinct row that each piece belongs to; None where a piece is a whole row."""
        with torch.inference_mode(False):
            return (
                torch.tensor([piece[0] for piece in self.geometry.pieces], device=self.tile.device)
                if self.in_pieces
                else None
            )

    @cached_property
    def planes(self) -> Tensor:
        """The bits in the Triton kernel's order (``kernels.triton_linear``)."""
        from kernels import triton_linear

        with torch.inference_mode(False):
            return triton_linear.pack_planes(self.tile, self.geometry)

    @cached_property
    def cpu_rows(self) -> int:
        """R if the C kernel can take this layer, else 0."""
        from kernels.cpu import linear as cpu

        fits = self.tile.is_cpu and self.dtype == torch.float32 and cpu.supports(self.geometry, self.alphas.numel())
        return self.geometry.distinct_rows if fits else 0

    @cached_property
    def codes(self) -> tuple[Tensor, Tensor]:
        """The bits in the CPU kernel's order (``kernels.cpu``), and (g,) the alpha of each copy."""
        from kernels.cpu import linear as cpu

        with torch.inference_mode(False), torch.no_grad():
            return cpu.pack_codes(self.tile, self.geometry), self.alphas.expand(self.geometry.copies).contiguous()


def computed_rows(geometry: TileGeometry, alpha_count: int, share: bool = True) -> int:
    """How many rows an engine multiplies: R, a few more where a row has several alphas, or all of them where that would not save."""
    if not share or geometry.copies == 1:
        return geometry.rows
    if alpha_count == 1 or geometry.tiles_per_copy == 1:
        return geometry.distinct_rows
    return min(len(geometry.pieces), geometry.rows)


def prepare(tile: Tensor, alphas: Tensor, geometry: TileGeometry, dtype: torch.dtype, share: bool = True) -> Prepared:
    """Make a packed layer ready.

    Args:
        tile: (ceil(q / 8),) uint8.
        alphas: (p,) or (1,) float32 on the same device.
        geometry: shape and tiling factor.
        dtype: of the products, e.g. float32 or bfloat16.
        share: False where equal rows see different inputs (grouped convolution): all rows are computed.
    """
    return Prepared(tile, alphas, geometry, dtype, share)


def replicate(z: Tensor, layer: Prepared, bias: Tensor | None, dim: int) -> Tensor:
    """Write the g copies: ``out[c*R + r] = sum of alpha * z over the pieces of row r, + bias[c*R + r]``.

    Args:
        z: products with ``layer.weight``; axis ``dim`` has K entries.
        bias: (rows,) or None.
        dim: the axis of the rows, counted from the front.

    Returns:
        as ``z`` with ``geometry.rows`` entries in axis ``dim``.
    """
    tail = (1,) * (z.dim() - dim - 1)
    copies, count = layer.scale.shape
    scale = layer.scale.reshape(copies, count, *tail)
    z = z.unsqueeze(dim)
    if layer.piece_rows is None and bias is not None:
        return torch.addcmul(bias.reshape(copies, count, *tail), z, scale).flatten(dim, dim + 1)
    out = z * scale
    if layer.piece_rows is not None:
        shape = list(out.shape)
        shape[dim + 1] = layer.geometry.distinct_rows
        out = out.new_zeros(shape).index_add(dim + 1, layer.piece_rows, out)
    out = out.flatten(dim, dim + 1)
    return out if bias is None else out + bias.reshape(-1, *tail)


@lru_cache(maxsize=1)
def _has_triton() -> bool:
    return torch.version.cuda is not None and find_spec("triton") is not None


def uses_triton(x: Tensor) -> bool:
    """Whether ``linear`` may take the Triton kernel for this input: CUDA, a dtype that it knows and no gradient asked for (it has no
    backward). ``TBN_ENGINE=torch`` in the environment turns it off."""
    if (
        not x.is_cuda
        or x.dtype not in (torch.float32, torch.float16, torch.bfloat16)
        or (x.requires_grad and torch.is_grad_enabled())
    ):
        return False
    return _has_triton() and os.environ.get("TBN_ENGINE", "") != "torch"


def linear(x: Tensor, layer: Prepared, bias: Tensor | None = None) -> Tensor:
    """A tiled linear layer, on the engine that fits the device.

    Args:
        x: (..., row_length) in the dtype that ``layer`` was prepared for.
        bias: (rows,) or None.

    Returns:
        (..., rows) in the dtype of ``x``.
    """
    if not layer.dense and not layer.in_pieces and uses_triton(x):
        from kernels import triton_linear

        return triton_linear.tiled_linear(x, layer.tile, layer.alphas, layer.geometry, bias, layer.planes)
    if x.is_cpu:
        from kernels.cpu import linear as cpu

        if cpu.takes(x, layer, bias):
            multiply = cpu.operator if torch.compiler.is_compiling() else cpu.multiply
            return multiply(x, *layer.codes, bias, layer.cpu_rows)
    return linear_torch(x, layer, bias)


def linear_torch(x: Tensor, layer: Prepared, bias: Tensor | None = None) -> Tensor:
    """``linear`` with torch on any device, differentiable in ``x``."""
    if layer.dense:
        return F.linear(x, layer.weight, bias)
    return replicate(F.linear(x, layer.weight), layer, bias, x.dim() - 1)


def fold(x: Tensor, layer: Prepared) -> Tensor:
    """Add up the inputs that meet equal rows, the transpose of ``replicate``: ``z[k] = sum over c of alpha * x[c*R + r]``, r the row of piece k.

    Args:
        x: (..., rows).

    Returns:
        (..., K) in the dtype of ``x``.
    """
    parts = x.reshape(*x.shape[:-1], layer.geometry.copies, layer.geometry.distinct_rows)
    if layer.piece_rows is not None:
        parts = parts.index_select(-1, layer.piece_rows)
    return (parts * layer.scale).sum(-2)


def transposed_linear(x: Tensor, layer: Prepared, bias: Tensor | None = None) -> Tensor:
    """``x @ W + bias`` for a weight that lies (inputs, outputs), with torch on any device, differentiable in ``x``.

    The same K x row_length products are left as in ``linear``, and all outputs are distinct.

    Args:
        x: (..., rows) in the dtype that ``layer`` was prepared for.
        bias: (row_length,) or None.

    Returns:
        (..., row_length) in the dtype of ``x``.
    """
    return F.linear(x if layer.dense else fold(x, layer), layer.weight.T, bias)


def conv(
    x: Tensor,
    layer: Prepared,
    bias: Tensor | None,
    convolve: Callable[[Tensor, Tensor, Tensor | None], Tensor],
    kernel: tuple[int, ...],
) -> Tensor:
    """A tiled convolution of any rank.

    Args:
        x: (batch, channels, *space) or (channels, *space).
        layer: prepared with rows = out_channels and row_length = channels / groups * prod(kernel).
        bias: (rows,) or None.
        convolve: (input, weight, bias) -> output, e.g. ``F.conv2d`` with its stride and padding bound.
        kernel: the kernel's size, one number an axis of space.

    Returns:
        (batch, rows, *space) or (rows, *space).
    """
    filters = layer.weight.reshape(layer.computed_rows, -1, *kernel)
    if layer.dense:
        return convolve(x, filters, bias)
    return replicate(convolve(x, filters, None), layer, bias, x.dim() - len(kernel) - 1)
