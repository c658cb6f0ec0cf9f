"""Layers that train a tile: torch's Linear, Conv1d and Conv2d with latent weights and a tiled forward (METHOD: arXiv 2407.12075, figure 3).

Each is its torch parent with the same arguments, parameters and shapes, plus ``p``, ``alpha`` and ``alpha_source``; only the weight that the
forward multiplies with differs. A state dict has the parent's names plus ``alpha_source`` where the alphas have a source of their own, and
a dense checkpoint loads as the latent weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tbn.tiling import AlphaPer, alphas_of, blocks_of, tile_of, tiled_weight

AlphaSource = Literal["separate", "latent"]


class TiledLayer(nn.Module):
    """What the three layers share. Mixed in before torch's layer, which owns ``weight`` (latent) and ``bias`` (full precision).

    Attributes:
        p: tiling factor; p = 1 is a plain binary layer.
        alpha: "tile" or "layer".
        alpha_source: the trainable tensor A, shape of ``weight``, or None where the alphas come from ``weight`` itself.
    """

    weight: Tensor
    alpha_source: nn.Parameter | None
    p: int
    alpha: AlphaPer

    def _init_tiling(self, p: int, alpha: AlphaPer, alpha_source: AlphaSource) -> None:
        blocks_of(self.weight, p)  # p must divide the weights
        if alpha not in ("tile", "layer"):
            raise ValueError(f"alpha={alpha!r} is unknown; use 'tile' or 'layer'")
        if alpha_source not in ("separate", "latent"):
            raise ValueError(f"alpha_source={alpha_source!r} is unknown; use 'separate' or 'latent'")
        self.p, self.alpha = p, alpha
        if alpha_source == "separate":
            fresh = torch.empty_like(self.weight)
            nn.init.kaiming_uniform_(fresh, a=5**0.5)  # torch's own default for these layers
            self.alpha_source = nn.Parameter(fresh)
        else:
            self.register_parameter("alpha_source", None)

    @property
    def source(self) -> Tensor:
        """The tensor whose mean |.| gives the alphas: A, or W."""
        return self.weight if self.alpha_source is None else self.alpha_source

    @property
    def tiled_weight(self) -> Tensor:
        """The scaled binary weight of this moment, shape of ``weight``, differentiable."""
        return tiled_weight(self.weight, self.source, self.p, self.alpha)

    @property
    def tile(self) -> Tensor:
        """(q,) of +1 and -1."""
        return tile_of(self.weight.detach(), self.p)

    @property
    def alphas(self) -> Tensor:
        """(p,) or (1,) float32."""
        return alphas_of(self.source.detach().float(), self.p, self.alpha)

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        key = prefix + "alpha_source"
        if key in missing_keys and prefix + "weight" in state_dict:  # a dense checkpoint: keep the fresh alpha source
            missing_keys.remove(key)

    def extra_repr(self) -> str:
        source = "latent" if self.alpha_source is None else "separate"
        return f"{super().extra_repr()}, p={self.p}, alpha={self.alpha}, alpha_source={source}"


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
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        nn.Linear.__init__(self, in_features, out_features, bias, device=device, dtype=dtype)
        self._init_tiling(p, alpha, alpha_source)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.tiled_weight, self.bias)


class TiledConv1d(TiledLayer, nn.Conv1d):
    """``torch.nn.Conv1d`` with a tiled weight; takes all of its arguments.

    Shapes: input (batch, in_channels, length); latent ``weight`` (out_channels, in_channels / groups, kernel).
    """

    def __init__(
        self, *args: Any, p: int = 4, alpha: AlphaPer = "tile", alpha_source: AlphaSource = "separate", **kwargs: Any
    ) -> None:
        nn.Conv1d.__init__(self, *args, **kwargs)
        self._init_tiling(p, alpha, alpha_source)

    def forward(self, input: Tensor) -> Tensor:
        out: Tensor = self._conv_forward(input, self.tiled_weight, self.bias)
        return out


class TiledConv2d(TiledLayer, nn.Conv2d):
    """``torch.nn.Conv2d`` with a tiled weight; takes all of its arguments.

    Shapes: input (batch, in_channels, height, width); latent ``weight`` (out_channels, in_channels / groups, kernel, kernel).
    """

    def __init__(
        self, *args: Any, p: int = 4, alpha: AlphaPer = "tile", alpha_source: AlphaSource = "separate", **kwargs: Any
    ) -> None:
        nn.Conv2d.__init__(self, *args, **kwargs)
        self._init_tiling(p, alpha, alpha_source)

    def forward(self, input: Tensor) -> Tensor:
        out: Tensor = self._conv_forward(input, self.tiled_weight, self.bias)
        return out


def tiled_from(layer: nn.Module, p: int, alpha: AlphaPer, alpha_source: AlphaSource) -> TiledLayer:
    """The tiled twin of a dense layer: the same parameters (not copies) as latent weights and bias, the same device, dtype and mode.

    Args:
        layer: exactly an ``nn.Linear``, ``nn.Conv1d`` or ``nn.Conv2d``.
    """
    with torch.device("meta"):
        if isinstance(layer, nn.Linear):
            twin: TiledLayer = TiledLinear(
                layer.in_features, layer.out_features, layer.bias is not None, p=p, alpha=alpha, alpha_source="latent"
            )
        else:
            conv = cast("nn.Conv2d", layer)
            kind = TiledConv1d if isinstance(layer, nn.Conv1d) else TiledConv2d
            twin = kind(
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
    twin._init_tiling(p, alpha, alpha_source)
    return twin.train(layer.training)
