"""Choose the engine of a tiled layer: Triton on an NVIDIA GPU, a C kernel on a CPU, torch everywhere else. Each computes a distinct row once.

``prepare`` holds what the engine multiplies with, for one dtype; each engine expands what it needs at its first call (torch: the distinct
rows; Triton and C: a re-ordered copy of the bits). ``linear`` and ``conv`` do the work: one product z with the R distinct rows, then one pass that
writes the g copies, ``out[c*R + r] = activation(alpha[c] * gain[c*R + r] * z[r] + bias[c*R + r])``. ``transposed_linear`` has its copies on the
inputs: they are added up first. Layers whose blocks lie in another order than "rows" come here by way of ``kernels.ordered``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.layout import TileGeometry, Window, unpack_bits
from kernels.reference import dense_weight

if TYPE_CHECKING:
    from kernels.ordered import Ordered


@dataclass(frozen=True, eq=False)
class Prepared:
    """A packed layer made ready for one device and dtype. The expanded tensors are made when an engine first asks for them, outside of
    autograd and inference mode, so that a layer first used there can be used everywhere afterwards.

    Attributes:
        tile: (ceil(q / 8),) uint8, the packed bits.
        alphas: (p,) or (1,) float32.
        geometry: shape and tiling factor.
        dtype: of the products.
        window: of a convolution, None for a linear layer.
        gain: (rows,) float32, a factor for each output (a BatchNorm that was folded in), or None.
        activation: what ends the layer, one of ``ACTIVATIONS``.
    """

    tile: Tensor
    alphas: Tensor
    geometry: TileGeometry
    dtype: torch.dtype
    window: Window | None = None
    gain: Tensor | None = None
    activation: str = "none"

    @property
    def share(self) -> bool:
        """Whether equal rows see equal inputs; in a grouped convolution they do not, unless the rows are the inputs."""
        return self.window is None or self.window.groups == 1 or self.geometry.order == "inputs"

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
                weight = dense_weight(self.tile, self.alphas, self.geometry)
                return (weight if self.gain is None else weight * self.gain[:, None]).to(self.dtype)
            signs = unpack_bits(self.tile, self.geometry.tile_length, self.dtype)
            rows = signs.expand(self.geometry.tiles_per_copy, -1).reshape(
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
        """(g, K) the factor of each copy of each row of ``weight``, alpha times gain; not for a ``dense`` layer."""
        with torch.inference_mode(False), torch.no_grad():
            copies = self.geometry.copies
            if self.in_pieces:
                tiles = torch.tensor([piece[3] for piece in self.geometry.pieces], device=self.tile.device)
                scale = self.alphas.reshape(copies, -1)[:, tiles]
            else:
                scale = self.alphas.expand(copies)[:, None].expand(-1, self.computed_rows)
            if self.gain is not None:
                gain = self.gain.reshape(copies, -1)
                scale = scale * (gain if self.piece_rows is None else gain[:, self.piece_rows])
            return scale.to(self.dtype).contiguous()

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
    def ordered(self) -> Ordered:
        """What stands for a layer whose blocks lie in another order than "rows"."""
        from kernels.ordered import Ordered

        with torch.inference_mode(False), torch.no_grad():
            return Ordered.of(self)

    def expanded(self) -> Prepared:
        """Itself, with all that its engines may ask for already expanded: a compiled graph is not to do that."""
        if self.geometry.order != "rows":
            from kernels import ordered

            ordered.expand(self.ordered)
            return self
        if self.tile.is_cuda and _has_triton() and self.gpu_rows:
            self.planes  # noqa: B018
            return self
        if self.cpu_rows:
            self.codes  # noqa: B018
        self.weight, self.piece_rows, self.dense or self.scale  # noqa: B018
        return self

    @cached_property
    def gpu_rows(self) -> int:
        """R if a Triton kernel can take this layer, else 0. Needs triton."""
        from kernels import triton_conv, triton_linear

        if self.window is None:
            fits = triton_linear.supports(self.geometry, self.alphas.numel())
        else:
            fits = triton_conv.supports(self.geometry, self.alphas.numel(), self.window)
        return self.geometry.distinct_rows if fits else 0

    @cached_property
    def planes(self) -> Tensor:
        """The bits in the order of the Triton kernel (``kernels.triton_linear``, ``kernels.triton_conv``)."""
        from kernels import triton_conv, triton_linear

        with torch.inference_mode(False):
            if self.window is None:
                return triton_linear.pack_planes(self.tile, self.geometry)
            return triton_conv.pack_planes(self.tile, self.geometry, self.window)

    @cached_property
    def cpu_rows(self) -> int:
        """R if a C kernel can take this layer, else 0."""
        from kernels.cpu import conv, linear

        fits = self.tile.is_cpu and self.dtype == torch.float32 and linear.supports(self.geometry, self.alphas.numel())
        return self.geometry.distinct_rows if fits and (self.window is None or conv.supports(self.window)) else 0

    @cached_property
    def codes(self) -> tuple[Tensor, Tensor]:
        """The bits in the order of the C kernel (``kernels.cpu``), and its factors: (g,) the alpha of each copy, or (g, R) alpha times gain."""
        from kernels.cpu import conv, linear

        with torch.inference_mode(False), torch.no_grad():
            alphas = self.alphas.expand(self.geometry.copies)
            scale = alphas.contiguous() if self.gain is None else alphas[:, None] * self.gain.reshape(len(alphas), -1)
            if self.window is None:
                return linear.pack_codes(self.tile, self.geometry), scale
            channels = self.geometry.row_length // math.prod(self.window.kernel)
            return conv.pack_codes(self.tile, self.geometry, channels, self.window), scale


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"none": lambda x: x, "relu": torch.relu_, "gelu": F.gelu}


def computed_rows(geometry: TileGeometry, alpha_count: int, share: bool = True) -> int:
    """How many rows an engine multiplies: R, a few more where a row has several alphas, or all of them where that would not save."""
    if not share or geometry.copies == 1:
        return geometry.rows
    if alpha_count == 1 or geometry.tiles_per_copy == 1:
        return geometry.distinct_rows
    return min(len(geometry.pieces), geometry.rows)


def prepare(
    tile: Tensor,
    alphas: Tensor,
    geometry: TileGeometry,
    dtype: torch.dtype,
    window: Window | None = None,
    gain: Tensor | None = None,
    activation: str = "none",
) -> Prepared:
    """Make a packed layer ready.

    Args:
        tile: (ceil(q / 8),) uint8.
        alphas: (p,) or (1,) float32 on the same device.
        geometry: shape and tiling factor.
        dtype: of the products, e.g. float32 or bfloat16.
        window: of a convolution; rows = out_channels and row_length = channels / groups * prod(kernel). Of a grouped one all rows are computed.
        gain: (rows,) float32 or None.
        activation: one of ``ACTIVATIONS``.

    Raises:
        ValueError: the activation is unknown, or the gain has another shape.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation={activation!r} is not known here; use one of {', '.join(ACTIVATIONS)}")
    outputs = geometry.rows
    if geometry.order == "inputs":
        outputs = geometry.row_length // (1 if window is None else math.prod(window.kernel))
    if gain is not None and gain.shape != (outputs,):
        raise ValueError(f"gain has shape {tuple(gain.shape)}; it needs one factor for each of {outputs} outputs")
    return Prepared(tile, alphas, geometry, dtype, window, gain, activation)


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
    if layer.geometry.order != "rows":
        from kernels import ordered

        return ordered.linear(x, layer.ordered, bias)
    if uses_triton(x) and layer.gpu_rows:
        from kernels import triton_linear

        on_gpu = triton_linear.operator if torch.compiler.is_compiling() else triton_linear.tiled_linear
        return on_gpu(x, layer.tile, layer.alphas, layer.geometry, bias, layer.planes, layer.gain, layer.activation)
    if x.is_cpu:
        from kernels.cpu import linear as cpu

        if cpu.takes(x, layer, bias):
            multiply = cpu.operator if torch.compiler.is_compiling() else cpu.multiply
            out = multiply(x, *layer.codes, bias, layer.cpu_rows, layer.activation == "relu")
            return F.gelu(out) if layer.activation == "gelu" else out
    return linear_torch(x, layer, bias)


def linear_torch(x: Tensor, layer: Prepared, bias: Tensor | None = None) -> Tensor:
    """``linear`` with torch on any device, differentiable in ``x``."""
    product = F.linear(x, layer.weight, bias if layer.dense else None)
    return ACTIVATIONS[layer.activation](product if layer.dense else replicate(product, layer, bias, x.dim() - 1))


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
    if layer.geometry.order != "rows":
        from kernels import ordered

        return ordered.transposed_linear(x, layer.ordered, bias)
    return F.linear(x if layer.dense else fold(x, layer), layer.weight.T, bias)


CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def conv(x: Tensor, layer: Prepared, bias: Tensor | None = None) -> Tensor:
    """A tiled convolution of one, two or three axes of space, on the engine that fits the device.

    Args:
        x: (batch, channels, *space) or (channels, *space) in the dtype that ``layer`` was prepared for, with its window.
        bias: (rows,) or None.

    Returns:
        (batch, rows, *space) or (rows, *space) in the dtype of ``x``.
    """
    assert layer.window is not None
    if layer.geometry.order != "rows":
        from kernels import ordered

        return ordered.conv(x, layer.ordered, bias)
    if uses_triton(x) and layer.gpu_rows:
        from kernels import triton_conv

        on_gpu = triton_conv.operator if torch.compiler.is_compiling() else triton_conv.tiled_conv
        packed = (x, layer.tile, layer.alphas, layer.geometry, layer.window)
        return on_gpu(*packed, bias, layer.planes, layer.gain, layer.activation)
    if x.is_cpu:
        from kernels.cpu import conv as cpu

        if cpu.takes(x, layer, bias, layer.window):
            multiply = cpu.operator if torch.compiler.is_compiling() else cpu.multiply
            out = multiply(x, *layer.codes, bias, layer.cpu_rows, layer.window, layer.activation == "relu")
            return F.gelu(out) if layer.activation == "gelu" else out
    return conv_torch(x, layer, bias)


def conv_torch(x: Tensor, layer: Prepared, bias: Tensor | None = None) -> Tensor:
    """``conv`` with torch on any device, differentiable in ``x``."""
    assert layer.window is not None
    axes = len(layer.window.kernel)
    filters = layer.weight.reshape(layer.computed_rows, -1, *layer.window.kernel)
    out = convolve(x, filters, bias if layer.dense else None, layer.window)
    return ACTIVATIONS[layer.activation](out if layer.dense else replicate(out, layer, bias, x.dim() - axes - 1))


def convolve(x: Tensor, filters: Tensor, bias: Tensor | None, window: Window) -> Tensor:
    """torch's convolution. Shapes: x as in ``conv``, filters (any number, channels / groups, *kernel)."""
    function = CONVOLUTIONS[len(window.kernel)]
    return function(x, filters, bias, window.stride, window.padding, window.dilation, window.groups)
