"""A layer's weight as copies of a few rows: ``weight[i*R + j] = scales[i] * rows[j]``, for any linear layer or convolution.

A packed layer with one alpha, or with whole tiles in its R distinct rows, has g = gcd(m, p) copies. Where a row belongs to several tiles of
different alphas, where the weight lies (inputs, outputs), where a convolution is grouped, where its blocks lie in another order, and in a dense
layer there is one "copy": all rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from kernels.layout import unpack_bits
from tbn.packed import PackedConv1d, PackedConv2d, PackedLayer, PackedLinear, PackedTransposedLinear

LINEAR = (nn.Linear, PackedLinear, PackedTransposedLinear)
CONVOLUTIONS = {nn.Conv1d: 1, PackedConv1d: 1, nn.Conv2d: 2, PackedConv2d: 2}  # axes of space


def is_known(module: nn.Module | None) -> bool:
    """Whether a module is exactly one of the layers that are collapsed or contracted, called as torch's own are."""
    return type(module) in (*LINEAR, *CONVOLUTIONS)


def is_plain(module: nn.Module) -> bool:
    """Whether calling a module is no more than its forward."""
    return not (module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module))


def space(layer: nn.Module) -> int:
    """Axes behind the channels of what a layer takes and gives: 0 for a linear layer, 2 for a 2-d convolution."""
    return CONVOLUTIONS.get(type(layer), 0)


def has_zero_border(layer: nn.Module) -> bool:
    """Whether a convolution adds zeros around its input."""
    if not space(layer) or layer.padding_mode != "zeros" or layer.padding == "valid":
        return False
    return layer.padding == "same" or any(cast("tuple[int, ...]", layer.padding))


@dataclass(frozen=True)
class Factors:
    """The weight of a layer with m outputs as g copies of R = m / g rows.

    Attributes:
        rows: (R, inputs, *kernel) float32, those of the reference copy, the one with the largest alphas.
        tile_alphas: alphas of the reference copy: (1,), or one for each of its tiles; None for a layer that is not packed.
        scales: (g,) float64, each copy over the reference copy.
        bias: (m,) float64 or None.
    """

    rows: Tensor
    tile_alphas: Tensor | None
    scales: Tensor
    bias: Tensor | None

    @property
    def copies(self) -> int:
        """g."""
        return self.scales.numel()

    def bias_or_zeros(self) -> Tensor:
        """(g, R) float64."""
        shape = (self.copies, len(self.rows))
        return torch.zeros(shape, dtype=torch.float64) if self.bias is None else self.bias.reshape(shape)


def factors(layer: nn.Module) -> Factors:
    """The factors of a known layer (``is_known``), on the CPU."""
    bias = None if layer.bias is None else cast("Tensor", layer.bias).detach().double().cpu()
    if not isinstance(layer, PackedLayer):
        rows = cast("Tensor", layer.weight).detach().float().cpu()
        return Factors(rows, None, torch.ones(1, dtype=torch.float64), bias)
    geometry, alphas = layer.geometry, layer.alphas.detach().double().cpu()
    parts = alphas.expand(geometry.copies, 1) if alphas.numel() == 1 else alphas.reshape(geometry.copies, -1)
    reference = parts[parts.abs().sum(1).argmax()]
    length = reference.square().sum()
    scales = parts @ reference / length if length else torch.ones(geometry.copies, dtype=torch.float64)
    proportional = torch.allclose(scales[:, None] * reference, parts, rtol=1e-7, atol=0)
    if layer.transposed or not layer.share or not proportional or layer.order != "rows":
        whole = layer.dense_weight().cpu()
        return Factors(whole.T if layer.transposed else whole, None, torch.ones(1, dtype=torch.float64), bias)
    signs = unpack_bits(layer.tile.cpu(), geometry.tile_length)
    rows = (signs * reference[:, None].float()).expand(geometry.tiles_per_copy, -1)
    return Factors(rows.reshape(geometry.distinct_rows, *layer.weight_shape[1:]), reference.float(), scales, bias)


def macs(module: nn.Module) -> int:
    """Multiply-accumulates of a layer for one output position, with each distinct row computed once; 0 for anything else."""
    if isinstance(module, PackedLayer):
        return module.computed_rows * module.geometry.row_length
    return module.weight.numel() if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d) else 0


def dense_macs(module: nn.Module) -> int:
    """The same with every row computed."""
    return module.geometry.weights if isinstance(module, PackedLayer) else macs(module)
