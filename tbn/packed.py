"""Packed layers: a tile as bits, its alphas, and a forward that computes each distinct row once.

A layer with m outputs and factor p has R = m / gcd(m, p) distinct rows; the others are copies up to the alphas. The forward multiplies
the R rows and writes the copies in one pass (``kernels.dispatch``). In a grouped convolution equal filters see different channels, so all
of them are computed: smaller, not faster. A weight that lies (inputs, outputs) repeats over the inputs: those that meet equal signs are added
up first, with the same saving.

Stored: ``tile`` (ceil(q / 8),) uint8 with the bit order of ``kernels.layout``; ``alphas`` (p,) or (1,) float32; ``bias`` (m,) or None. What the
engine expands from them is a cache beside the state dict, made at the first forward and again after a move, a cast or a load.
"""

from __future__ import annotations

from math import prod
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels import dispatch, layout
from kernels.layout import TileGeometry
from tbn.errors import TBNError
from tbn.layers import TiledLayer, is_transposed


def _state(tensor: Tensor) -> tuple[int, int]:
    """Tells one content of a tensor from another: its memory and torch's count of writes (none for inference tensors)."""
    return tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version


class WeightFacts:
    """What a packed layer can tell of its ``weight``: shape, dtype and device, for models that ask (``x.to(self.fc.weight.dtype)``).

    It has no values. A model that multiplies with it goes around the layer and is told so; ``tile_`` leaves such layers where it sees them.
    """

    requires_grad = False

    def __init__(self, shape: tuple[int, ...], like: Tensor) -> None:
        self.shape, self.dtype, self.device = torch.Size(shape), like.dtype, like.device

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> None:
        raise TBNError(
            f"the model passes the weight of a packed layer to {getattr(function, '__name__', function)} itself, and so goes around the layer",
            "keep that layer dense: tile_(model, TilingConfig(exclude=(its name,)))",
        )


class PackedLayer(nn.Module):
    """What the packed layers share.

    Args:
        weight_shape: shape of the weight that the layer stands for; the first number is m (the inputs where ``transposed``).
        p: tiling factor.
        alpha_count: p, or 1 for one alpha a layer.
        bias: whether there is one.
        share: False where no product can be shared (grouped convolution).
    """

    tile: Tensor
    alphas: Tensor
    bias: Tensor | None
    like: Tensor
    transposed = False

    def __init__(self, weight_shape: tuple[int, ...], p: int, alpha_count: int, bias: bool, share: bool = True) -> None:
        super().__init__()
        self.weight_shape = weight_shape
        self.p = p
        self.share = share
        self.geometry = TileGeometry(weight_shape[0], prod(weight_shape[1:]), p)
        self.register_buffer("tile", torch.zeros(layout.packed_length(self.geometry.tile_length), dtype=torch.uint8))
        self.register_buffer("alphas", torch.zeros(alpha_count))
        self.register_buffer("bias", torch.zeros(self.outputs) if bias else None)
        self.register_buffer(
            "like", torch.empty(0), persistent=False
        )  # the model's dtype and device, through all casts
        self._ready: tuple[object, dispatch.Prepared] | None = None

    def _apply(self, fn: Any, recurse: bool = True) -> nn.Module:
        """Moves and casts as torch does, but alphas stay float32: they are few and they scale everything."""
        alphas = self.alphas
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.alphas = alphas.to(self.alphas.device)
        return self

    def prepared(self, dtype: torch.dtype) -> dispatch.Prepared:
        """What the engine multiplies with, for one dtype; made once and kept until the bits or alphas change."""
        key = (dtype, self.tile.device, _state(self.tile), _state(self.alphas))
        if self._ready is None or self._ready[0] != key:
            self._ready = key, dispatch.prepare(self.tile, self.alphas, self.geometry, dtype, self.share)
        return self._ready[1]

    @property
    def outputs(self) -> int:
        """Outputs (or output channels) of the layer."""
        return self.weight_shape[1 if self.transposed else 0]

    @property
    def weight(self) -> WeightFacts:
        """Shape, dtype and device of the weight that the layer stands for; no values."""
        return WeightFacts(self.weight_shape, self.like)

    @property
    def computed_rows(self) -> int:
        """Rows that are multiplied (the dense layer multiplies m)."""
        return dispatch.computed_rows(self.geometry, self.alphas.numel(), self.share)

    def dense_weight(self) -> Tensor:
        """The scaled weight that the bits stand for: ``weight_shape`` float32."""
        from kernels.reference import dense_weight

        return dense_weight(self.tile, self.alphas, self.geometry).reshape(self.weight_shape)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_ready": None}

    def extra_repr(self) -> str:
        return f"{'x'.join(map(str, self.weight_shape))}, p={self.p}, alphas={self.alphas.numel()}, bias={self.bias is not None}"


class PackedLinear(PackedLayer):
    """A linear layer on packed bits. Shapes: input (..., in_features), output (..., out_features), any floating dtype."""

    def __init__(self, in_features: int, out_features: int, bias: bool, p: int, alpha_count: int) -> None:
        super().__init__((out_features, in_features), p, alpha_count, bias)
        self.in_features, self.out_features = in_features, out_features

    def forward(self, input: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.to(input.dtype)
        return dispatch.linear(input, self.prepared(input.dtype), bias)


class PackedTransposedLinear(PackedLayer):
    """A linear layer on packed bits whose weight lies (in_features, out_features). Shapes as ``PackedLinear``."""

    transposed = True

    def __init__(self, in_features: int, out_features: int, bias: bool, p: int, alpha_count: int) -> None:
        super().__init__((in_features, out_features), p, alpha_count, bias)
        self.in_features, self.out_features = in_features, out_features

    def forward(self, input: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.to(input.dtype)
        return dispatch.transposed_linear(input, self.prepared(input.dtype), bias)


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
    ) -> None:
        super().__init__((out_channels, in_channels // groups, *kernel_size), p, alpha_count, bias, share=groups == 1)
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, kernel_size
        self.stride, self.padding, self.dilation, self.groups, self.padding_mode = (
            stride,
            padding,
            dilation,
            groups,
            padding_mode,
        )

    def _border(self) -> list[int]:
        """Padding of both ends of each axis, last axis first, as ``F.pad`` takes it."""
        if self.padding == "valid":
            return [0, 0] * len(self.kernel_size)
        if self.padding == "same":
            total = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            return [side for t in reversed(total) for side in (t // 2, t - t // 2)]
        return [side for pad in reversed(self.padding) for side in (cast("int", pad), cast("int", pad))]

    def convolve(self, input: Tensor, filters: Tensor, bias: Tensor | None) -> Tensor:
        """torch's convolution with this layer's arguments. Shapes: ``filters`` (any number, in_channels / groups, *kernel_size)."""
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._border(), mode=self.padding_mode), 0
        function: Any = F.conv1d if len(self.kernel_size) == 1 else F.conv2d
        out: Tensor = function(
            input, filters, bias, stride=self.stride, padding=padding, dilation=self.dilation, groups=self.groups
        )
        return out

    def forward(self, input: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.to(input.dtype)
        return dispatch.conv(input, self.prepared(input.dtype), bias, self.convolve, self.kernel_size)


class PackedConv1d(_PackedConv):
    """A 1-d convolution on packed bits. Shapes: input (batch, in_channels, length), as ``torch.nn.Conv1d``."""


class PackedConv2d(_PackedConv):
    """A 2-d convolution on packed bits. Shapes: input (batch, in_channels, height, width), as ``torch.nn.Conv2d``."""


def packed_like(layer: nn.Module, p: int, alpha_count: int) -> PackedLayer:
    """An empty packed layer with the shapes and arguments of a linear layer or convolution (dense or tiled), its device and dtype."""
    packed: PackedLayer
    if is_transposed(layer):
        inputs, outputs = cast("Tensor", layer.weight).shape
        packed = PackedTransposedLinear(inputs, outputs, layer.bias is not None, p, alpha_count)
    elif isinstance(layer, nn.Linear):
        packed = PackedLinear(layer.in_features, layer.out_features, layer.bias is not None, p, alpha_count)
    elif isinstance(layer, nn.Conv1d | nn.Conv2d):
        kind = PackedConv1d if isinstance(layer, nn.Conv1d) else PackedConv2d
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
        )
    else:
        raise TypeError(f"no packed layer for {type(layer).__name__}")
    return packed.to(cast("Tensor", layer.weight)).eval()


def packed_from(layer: TiledLayer) -> PackedLayer:
    """The packed twin of a tiled layer; shares nothing with it."""
    packed = packed_like(layer, layer.p, layer.alphas.numel())
    packed.tile.copy_(layout.pack_bits(layer.tile))
    packed.alphas.copy_(layer.alphas)
    if isinstance(layer.bias, Tensor):
        packed.bias = layer.bias.detach().clone()
    return packed
