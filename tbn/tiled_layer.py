"""What the layers that train a tile share: latent weights, where the alphas come from, and the weight of the moment.

Source: arXiv 2407.12075, figure 3. ``tbn.layers`` has the layers themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from kernels.orders import ORDERS, Order
from tbn.estimators import Estimator
from tbn.tiling import AlphaPer, alphas_of, blocks_of, tile_of, tiled_weight

AlphaSource = Literal["separate", "latent", "learned"]
ALPHA_SOURCES = ("separate", "latent", "learned")
AlphaInit = Literal["default", "kaiming_normal", "weight"]
ALPHA_INITS = ("default", "kaiming_normal", "weight")


class TiledLayer(nn.Module):
    """What the layers share. Mixed in before torch's layer, which owns ``weight`` (latent) and ``bias`` (full precision).

    Attributes:
        p: tiling factor; p = 1 is a plain binary layer.
        alpha: "tile" or "layer".
        alpha_source: the trainable tensor A, shape of ``weight``; the alphas themselves, (p,) or (1,), where they are learned; or None where
            they come from ``weight`` itself.
        alpha_init: how A starts: "default" (Kaiming-uniform, torch's own of these layers), "kaiming_normal" (the paper's ResNets) or
            "weight" (a copy of W, also where a dense checkpoint is loaded: the warm start from trained weights). Learned alphas always start
            from W.
        order: where the blocks lie in ``weight`` (``kernels.orders``).
        estimator, power: what of the gradient reaches ``weight`` (``tbn.estimators``).
        standardise: whether each output's latent weights are shifted and scaled to mean 0 and deviation 1 before the blocks are summed
            (https://arxiv.org/abs/1903.10520): signs are balanced, and no output outvotes another.
        transposed: whether ``weight`` lies (inputs, outputs).
    """

    weight: Tensor
    alpha_source: nn.Parameter | None
    p: int
    alpha: AlphaPer
    alpha_init: AlphaInit
    order: Order
    estimator: Estimator = "identity"
    power = 1.0
    standardise = False
    transposed = False

    def _init_tiling(
        self, p: int, alpha: AlphaPer, alpha_source: AlphaSource, alpha_init: AlphaInit, order: Order
    ) -> None:
        blocks_of(self.weight, p)  # p must divide the weights
        if alpha not in ("tile", "layer"):
            raise ValueError(f"alpha={alpha!r} is unknown; use 'tile' or 'layer'")
        for name, value, known in (
            ("alpha_source", alpha_source, ALPHA_SOURCES),
            ("alpha_init", alpha_init, ALPHA_INITS),
            ("order", order, ORDERS),
        ):
            if value not in known:
                raise ValueError(f"{name}={value!r} is unknown; use one of {', '.join(known)}")
        self.p, self.alpha, self.alpha_init = p, alpha, alpha_init
        self.order = "rows" if order == "inputs" and self.transposed else order  # its rows are the inputs
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
        elif alpha_source == "learned":
            start = alphas_of(self.weight.detach(), p, alpha, self.order)
            self.alpha_source = nn.Parameter(start, requires_grad=self.weight.requires_grad)
        else:
            self.register_parameter("alpha_source", None)

    @property
    def source(self) -> Tensor:
        """The tensor whose mean |.| gives the alphas: A, W, or the alphas themselves."""
        return self.weight if self.alpha_source is None else self.alpha_source

    @property
    def latent(self) -> Tensor:
        """What the blocks are cut from: ``weight``, standardised or as it is, differentiable."""
        if not self.standardise:
            return self.weight
        axes = [axis for axis in range(self.weight.dim()) if axis != (1 if self.transposed else 0)]
        centred = self.weight - self.weight.mean(axes, keepdim=True)
        return centred / (centred.square().mean(axes, keepdim=True) + 1e-10).sqrt()

    @property
    def tiled_weight(self) -> Tensor:
        """The scaled binary weight of this moment, shape of ``weight``, differentiable."""
        return tiled_weight(self.latent, self.source, self.p, self.alpha, self.order, self.estimator, self.power)

    @property
    def tile(self) -> Tensor:
        """(q,) of +1 and -1."""
        return tile_of(self.latent.detach(), self.p, self.order)

    @property
    def alphas(self) -> Tensor:
        """(p,) or (1,) float32."""
        return alphas_of(self.source.detach().float(), self.p, self.alpha, self.order)

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
            with torch.no_grad():
                if self.alpha_source is not None and self.alpha_source.shape != self.weight.shape:
                    self.alpha_source.copy_(alphas_of(self.weight, self.p, self.alpha, self.order))
                elif self.alpha_source is not None and self.alpha_init == "weight":
                    self.alpha_source.copy_(self.weight)

    def extra_repr(self) -> str:
        learned = self.alpha_source is not None and self.alpha_source.shape != self.weight.shape
        source = "latent" if self.alpha_source is None else "learned" if learned else "separate"
        options = "".join(
            f", {name}={value}"
            for name, value, usual in (
                ("order", self.order, "rows"),
                ("estimator", self.estimator, "identity"),
                ("standardise", self.standardise, False),
            )
            if value != usual
        )
        return f"{super().extra_repr()}, p={self.p}, alpha={self.alpha}, alpha_source={source}{options}"
