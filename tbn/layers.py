"""Layers that train a tile: torch's Linear, Conv1d, Conv2d and Conv3d with latent weights and a tiled forward (METHOD: arXiv 2407.12075, figure 3).

Each is its torch parent with the same arguments, parameters and shapes, plus ``p``, ``alpha``, ``alpha_source`` and ``alpha_init``; only the
weight that the forward multiplies with differs. A state dict has the parent's names plus ``alpha_source`` where the alphas have a source of
their own, and a dense checkpoint loads as the latent weights. ``TiledTransposedLinear`` is the linear layer whose weight lies (inputs, outputs).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tbn.tiling import AlphaPer, alphas_of, blocks_of, tile_of, tiled_weight

AlphaSource = Literal["separate", "latent"]
AlphaInit = Literal["default", "kaiming_normal", "weight"]
ALPHA_INITS = ("default", "kaiming_normal", "weight")


class TiledLayer(nn.Module):
    """What the layers share. Mixed in before torch's layer, which owns ``weight`` (latent) and ``bias`` (full precision).

    Attributes:
        p: tiling factor; p = 1 is a plain binary layer.
        alpha: "tile" or "layer".
        alpha_source: the trainable tensor A, shape of ``weight``, or None where the alphas come from ``weight`` itself.
        alpha_init: how A starts: "default" (Kaiming-uniform, torch's own of these layers), "kaiming_normal" (the paper's ResNets) or
            "weight" (a copy of W, also where a dense checkpoint is loaded: the warm start from trained weights).
        transposed: whether ``weight`` lies (inputs, outputs).
    """

    weight: Tensor
    alpha_source: nn.Parameter | None
    p: int
    alpha: AlphaPer
    alpha_init: AlphaInit
    transposed = False

    def _init_tiling(self, p: int, alpha: AlphaPer, alpha_source: AlphaSource, alpha_init: AlphaInit) -> None:
        blocks_of(self.weight, p)  # p must divide the weights
        if alpha not in ("tile", "layer"):
            raise ValueError(f"alpha={alpha!r} is unknown; use 'tile' or 'layer'")
        if alpha_source not in ("separate", "latent"):
            raise ValueError(f"alpha_source={alpha_source!r} is unknown; use 'separate' or 'latent'")
        if alpha_init not in ALPHA_INITS:
            raise ValueError(f"alpha_init={alpha_init!r} is unknown; use one of {', '.join(ALPHA_INITS)}")
        self.p, self.alpha, self.alpha_init = p, alpha, alpha_init
        if alpha_source == "separate":
            fresh = self.weight.detach().clone()
            by_output = (
                fresh.T if self.transposed else fresh
            )  # torch counts the inputs of one output in the second axis
            if alpha_init == "default":
                nn.init.kaiming_uniform_(by_output, a=5**0.5)
            elif alpha_init == "kaiming_normal":
                nn.init.kaiming_normal_(by_output)
            self.alpha_source = nn.Parameter(fresh, requires_grad=self.weight.requires_grad)
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
        if key in missing_keys and prefix + "weight" in state_dict:  # a dense checkpoint
            missing_keys.remove(key)
            if self.alpha_init == "weight" and self.alpha_source is not None:
                with torch.no_grad():
                    self.alpha_source.copy_(self.weight)

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
        alpha_init: AlphaInit = "default",
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        nn.Linear.__init__(self, in_features, out_features, bias, device=device, dtype=dtype)
        self._init_tiling(p, alpha, alpha_source, alpha_init)

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
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._init_tiling(p, alpha, alpha_source, alpha_init)

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
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        dense = nn.Linear(in_features, out_features, bias, device=device, dtype=dtype)  # torch's initialisation
        self.weight = nn.Parameter(dense.weight.detach().T.contiguous())
        self.register_parameter("bias", dense.bias)
        self._init_tiling(p, alpha, alpha_source, alpha_init)

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
    layer: nn.Module, p: int, alpha: AlphaPer, alpha_source: AlphaSource, alpha_init: AlphaInit = "default"
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
    twin._init_tiling(p, alpha, alpha_source, alpha_init)
    twin.__dict__.update({name: value for name, value in vars(layer).items() if name not in vars(twin)})
    return twin.train(layer.training)
