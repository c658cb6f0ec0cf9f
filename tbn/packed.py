"""Packed layers: a tile as bits, its alphas, and a forward that computes each distinct row once.

A layer with m outputs and factor p has R = m / gcd(m, p) distinct rows; the others are copies up to the alphas. The forward multiplies
the R rows and writes the copies in one pass (``kernels.dispatch``). In a grouped convolution equal filters see different channels, so all
of them are computed: smaller, not faster. A weight that lies (inputs, outputs) repeats over the inputs: those that meet equal signs are added
up first, with the same saving; so it is in the order "inputs". ``packed_layer`` says what is stored, ``kernels.orders`` where the blocks lie.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from kernels import dispatch, layout
from kernels.layout import Window
from kernels.orders import Order
from tbn.layers import TiledLayer, is_transposed
from tbn.packed_layer import PackedLayer

__all__ = [
    "PackedConv1d",
    "PackedConv2d",
    "PackedConv3d",
    "PackedLayer",
    "PackedLinear",
    "PackedTransposedLinear",
    "packed_from",
    "packed_like",
]


class PackedLinear(PackedLayer):
    """A linear layer on packed bits. Shapes: input (..., in_features), output (..., out_features), any floating dtype."""

    def __init__(
        self, in_features: int, out_features: int, bias: bool, p: int, alpha_count: int, order: Order = "rows"
    ) -> None:
        super().__init__((out_features, in_features), p, alpha_count, bias, order=order)
        self.in_features, self.out_features = in_features, out_features

    def forward(self, input: Tensor) -> Tensor:
        x, bias, layer = self._given(input)
        if self.order == "inputs":
            self._fits(x)
        return dispatch.linear(x, layer, bias)


class PackedTransposedLinear(PackedLayer):
    """A linear layer on packed bits whose weight lies (in_features, out_features). Shapes as ``PackedLinear``."""

    transposed = True

    def __init__(
        self, in_features: int, out_features: int, bias: bool, p: int, alpha_count: int, order: Order = "rows"
    ) -> None:
        super().__init__((in_features, out_features), p, alpha_count, bias, order=order)
        self.in_features, self.out_features = in_features, out_features

    def forward(self, input: Tensor) -> Tensor:
        x, bias, layer = self._given(input)
        self._fits(x)
        return dispatch.transposed_linear(x, layer, bias)


class _PackedConv(PackedLayer):
    """Convolution of any rank on packed bits, with torch's arguments."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, ...],
        stride: tuple[int, ...],
        padding: tuple[int, ...] | str,
        dilation: tuple[int, ...],
        groups: int,
        padding_mode: str,
        bias: bool,
        p: int,
        alpha_count: int,
        order: Order = "rows",
    ) -> None:
        border = _border(padding, kernel_size, dilation)
        own = padding_mode == "zeros" and border[::2] == border[1::2]  # else the border is put around the input first
        zeros = tuple(border[::-2]) if own else (0,) * len(kernel_size)
        window = Window(kernel_size, stride, zeros, dilation, groups)
        super().__init__((out_channels, in_channels // groups, *kernel_size), p, alpha_count, bias, window, order)
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, kernel_size
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.groups, self.padding_mode = groups, padding_mode
        self.border = None if own else border

    def forward(self, input: Tensor) -> Tensor:
        x, bias, layer = self._given(input)
        if self.order == "inputs":
            self._fits(x)
        return dispatch.conv(self.framed(x), layer, bias)


class PackedConv1d(_PackedConv):
    """A 1-d convolution on packed bits. Shapes: input (batch, in_channels, length), as ``torch.nn.Conv1d``."""


class PackedConv2d(_PackedConv):
    """A 2-d convolution on packed bits. Shapes: input (batch, in_channels, height, width), as ``torch.nn.Conv2d``."""


class PackedConv3d(_PackedConv):
    """A 3-d convolution on packed bits. Shapes: input (batch, in_channels, depth, height, width), as ``torch.nn.Conv3d``."""


def _border(padding: tuple[int, ...] | str, kernel: tuple[int, ...], dilation: tuple[int, ...]) -> list[int]:
    """Padding of both ends of each axis, last axis first, as ``F.pad`` takes it."""
    if padding == "valid":
        return [0, 0] * len(kernel)
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return [side for t in reversed(total) for side in (t // 2, t - t // 2)]
    return [side for pad in reversed(padding) for side in (cast("int", pad), cast("int", pad))]


def packed_like(layer: nn.Module, p: int, alpha_count: int, order: Order = "rows") -> PackedLayer:
    """An empty packed layer with the shapes and arguments of a linear layer or convolution (dense or tiled), its device and dtype."""
    packed: PackedLayer
    if is_transposed(layer):
        inputs, outputs = cast("Tensor", layer.weight).shape
        packed = PackedTransposedLinear(inputs, outputs, layer.bias is not None, p, alpha_count, order)
    elif isinstance(layer, nn.Linear):
        packed = PackedLinear(layer.in_features, layer.out_features, layer.bias is not None, p, alpha_count, order)
    elif isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        kind = {1: PackedConv1d, 2: PackedConv2d, 3: PackedConv3d}[len(layer.kernel_size)]
        packed = kind(
            layer.in_channels,
            layer.out_channels,
            tuple(layer.kernel_size),
            tuple(layer.stride),
            layer.padding if isinstance(layer.padding, str) else tuple(layer.padding),
            tuple(layer.dilation),
            layer.groups,
            layer.padding_mode,
            layer.bias is not None,
            p,
            alpha_count,
            order,
        )
    else:
        raise TypeError(f"no packed layer for {type(layer).__name__}")
    return packed.to(cast("Tensor", layer.weight)).eval()


def packed_from(layer: TiledLayer) -> PackedLayer:
    """The packed twin of a tiled layer; shares nothing with it."""
    packed = packed_like(layer, layer.p, layer.alphas.numel(), layer.order)
    packed.tile.copy_(layout.pack_bits(layer.tile))
    packed.alphas.copy_(layer.alphas)
    if isinstance(layer.bias, Tensor):
        packed.bias = layer.bias.detach().clone()
    return packed
