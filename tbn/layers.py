"""Layers that train a tile: torch's Linear, Conv1d, Conv2d and Conv3d with latent weights and a tiled forward (METHOD: arXiv 2407.12075, figure 3).

Each is its torch parent with the same arguments, parameters and shapes, plus ``p``, ``alpha``, ``alpha_source``, ``alpha_init`` and ``order``; only
the weight that the forward multiplies with differs. A state dict has the parent's names plus ``alpha_source`` where the alphas have a source of
their own, and a dense checkpoint loads as the latent weights. ``TiledTransposedLinear`` is the linear layer whose weight lies (inputs, outputs).
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.orders import Order
from tbn.tiled_layer import ALPHA_INITS, ALPHA_SOURCES, AlphaInit, AlphaSource, TiledLayer
from tbn.tiling import AlphaPer

__all__ = [
    "ALPHA_INITS",
    "ALPHA_SOURCES",
    "AlphaInit",
    "AlphaSource",
    "TiledConv1d",
    "TiledConv2d",
    "TiledConv3d",
    "TiledLayer",
    "TiledLinear",
    "TiledTransposedLinear",
]


class TiledLinear(TiledLayer, nn.Linear):
    """``torch.nn.Linear`` with a tiled weight.

    Shapes: input (..., in_features), output (..., out_features); latent ``weight`` (out_features, in_features).

    Raises:
        ValueError: p does not divide out_features * in_features.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        p: int = 4,
        alpha: AlphaPer = "tile",
        alpha_source: AlphaSource = "separate",
        alpha_init: AlphaInit = "default",
        order: Order = "rows",
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        nn.Linear.__init__(self, in_features, out_features, bias, device=device, dtype=dtype)
        self._init_tiling(p, alpha, alpha_source, alpha_init, order)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.tiled_weight, self.bias)


class _TiledConv(TiledLayer):
    """What the convolutions share; mixed in before ``nn.Conv1d``, ``nn.Conv2d`` or ``nn.Conv3d``, which takes all other arguments."""

    def __init__(
        self,
        *args: Any,
        p: int = 4,
        alpha: AlphaPer = "tile",
        alpha_source: AlphaSource = "separate",
        alpha_init: AlphaInit = "default",
        order: Order = "rows",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._init_tiling(p, alpha, alpha_source, alpha_init, order)

    def forward(self, input: Tensor) -> Tensor:
        out: Tensor = cast("nn.Conv2d", self)._conv_forward(input, self.tiled_weight, cast("Tensor | None", self.bias))
        return out


class TiledConv1d(_TiledConv, nn.Conv1d):
    """``torch.nn.Conv1d`` with a tiled weight; takes all of its arguments.

    Shapes: input (batch, in_channels, length); latent ``weight`` (out_channels, in_channels / groups, kernel).
    """


class TiledConv2d(_TiledConv, nn.Conv2d):
    """``torch.nn.Conv2d`` with a tiled weight; takes all of its arguments.

    Shapes: input (batch, in_channels, height, width); latent ``weight`` (out_channels, in_channels / groups, kernel, kernel).
    """


class TiledConv3d(_TiledConv, nn.Conv3d):
    """``torch.nn.Conv3d`` with a tiled weight; takes all of its arguments.

    Shapes: input (batch, in_channels, depth, height, width); latent ``weight`` (out_channels, in_channels / groups, kernel, kernel, kernel).
    """


class TiledTransposedLinear(TiledLayer):
    """A linear layer whose weight lies (inputs, outputs), tiled: the Conv1D of GPT-2 in ``transformers``.

    The tile repeats over the inputs, so its packed twin adds up the inputs that meet equal signs and computes every output once.

    Shapes: input (..., in_features), output (..., out_features); latent ``weight`` (in_features, out_features).

    Raises:
        ValueError: p does not divide in_features * out_features.
    """

    transposed = True

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        p: int = 4,
        alpha: AlphaPer = "tile",
        alpha_source: AlphaSource = "separate",
        alpha_init: AlphaInit = "default",
        order: Order = "rows",
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        dense = nn.Linear(in_features, out_features, bias, device=device, dtype=dtype)  # torch's initialisation
        self.weight = nn.Parameter(dense.weight.detach().T.contiguous())
        self.register_parameter("bias", dense.bias)
        self._init_tiling(p, alpha, alpha_source, alpha_init, order)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.tiled_weight.T, cast("Tensor | None", self.bias))

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}{super().extra_repr()}"


CONVOLUTIONS: dict[int, type[_TiledConv]] = {1: TiledConv1d, 2: TiledConv2d, 3: TiledConv3d}  # by axes of space
DENSE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def is_transposed(layer: nn.Module) -> bool:
    """Whether a dense or tiled layer is linear with a weight (inputs, outputs). That of ``transformers`` is known by its name, not imported."""
    kind = type(layer)
    return isinstance(layer, TiledTransposedLinear) or (
        (kind.__module__, kind.__name__) == ("transformers.pytorch_utils", "Conv1D")
    )


def is_layer(module: nn.Module) -> bool:
    """Whether a module is a layer that can be tiled or is: linear or a convolution."""
    return isinstance(module, DENSE) or is_transposed(module)


def tiled_from(
    layer: nn.Module,
    p: int,
    alpha: AlphaPer,
    alpha_source: AlphaSource,
    alpha_init: AlphaInit = "default",
    order: Order = "rows",
) -> TiledLayer:
    """The tiled twin of a dense layer: the same parameters (not copies) as latent weights and bias, the same device, dtype and mode, and
    whatever else was set on the layer.

    Args:
        layer: exactly an ``nn.Linear``, ``nn.Conv1d``, ``nn.Conv2d``, ``nn.Conv3d`` or the transposed linear layer of ``transformers``.
    """
    with torch.device("meta"):
        if is_transposed(layer):
            inputs, outputs = cast("Tensor", layer.weight).shape
            twin: TiledLayer = TiledTransposedLinear(inputs, outputs, p=p, alpha=alpha, alpha_source="latent")
        elif isinstance(layer, nn.Linear):
            twin = TiledLinear(
                layer.in_features, layer.out_features, layer.bias is not None, p=p, alpha=alpha, alpha_source="latent"
            )
        else:
            conv = cast("nn.Conv2d", layer)
            twin = CONVOLUTIONS[len(conv.kernel_size)](
                conv.in_channels,
                conv.out_channels,
                conv.kernel_size,
                stride=conv.stride,
                padding=conv.padding,
                dilation=conv.dilation,
                groups=conv.groups,
                bias=conv.bias is not None,
                padding_mode=conv.padding_mode,
                p=p,
                alpha=alpha,
                alpha_source="latent",
            )
    twin.register_parameter("weight", cast("nn.Parameter", layer.weight))
    twin.register_parameter("bias", cast("nn.Parameter | None", layer.bias))
    twin._init_tiling(p, alpha, alpha_source, alpha_init, order)
    twin.__dict__.update({name: value for name, value in vars(layer).items() if name not in vars(twin)})
    return twin.train(layer.training)
