"""Norms between producer and consumer: what they do to copies, and the norm over R channels that takes their place.

A BatchNorm in eval mode is an affine map of each channel. LayerNorm and RMSNorm have the same statistics over R numbers as over g copies of them,
and multiply and add behind that. Where something non-linear follows, the map has to be the same for all copies, and stays in the norm; otherwise it
goes into the consumer.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn

from tbn.collapse.copies import Copies, Refused

if TYPE_CHECKING:
    from tbn.collapse.walk import Walk

Affine = tuple[Tensor, Tensor]  # r, u: (R,) float64
# axes that may be behind the channels
BATCH_NORMS: dict[type[nn.Module], tuple[int, ...]] = {nn.BatchNorm1d: (0, 1), nn.BatchNorm2d: (2,)}
LAYER_NORMS = (nn.LayerNorm, nn.RMSNorm)


def pass_norm(node: fx.Node, text: str, norm: Any, value: Copies, walk: Walk) -> Copies:
    """The value behind a norm.

    Raises:
        Refused: the norm is over something else than the copies' channels, or the copies differ before a LayerNorm.
    """
    batch = isinstance(norm, nn.modules.batchnorm._BatchNorm)
    width = norm.num_features if batch else prod(norm.normalized_shape)
    fits = value.tail in BATCH_NORMS[type(norm)] if batch else value.tail == 0 and len(norm.normalized_shape) == 1
    if width != value.channels or not fits:
        raise Refused(f"{text} is over other axes than that of the copies")
    if batch and norm.running_mean is None:
        raise Refused(f"{text} has no running statistics")
    shape = value.scale.shape
    if not batch:
        value = walk.settled(value, text, scaled=False)
    scale, shift = (tensor.reshape(shape) for tensor in norm_affine(norm, width))
    walk.plan.affine[node], walk.plan.norms[node] = None, shape[1]
    differs = any(not torch.equal(own, own[:1].expand_as(own)) for own in (scale, shift))
    return replace(
        value,
        scale=value.scale * scale,
        shift=value.shift * scale + shift,
        anchor=node,
        norm=f"{text} differs" if differs else value.norm,
    )


def norm_affine(norm: Any, width: int) -> tuple[Tensor, Tensor]:
    """What a norm multiplies its channels with and adds to them, (width,) float64 each: of a BatchNorm everything, of the others gamma and beta."""
    weight, bias = (getattr(norm, name, None) for name in ("weight", "bias"))
    scale = torch.ones(width, dtype=torch.float64) if weight is None else weight.detach().double().cpu()
    shift = torch.zeros(width, dtype=torch.float64) if bias is None else bias.detach().double().cpu()
    if isinstance(norm, nn.modules.batchnorm._BatchNorm):
        assert norm.running_mean is not None and norm.running_var is not None
        scale = scale * (norm.running_var.double().cpu() + norm.eps).rsqrt()
        shift = shift - scale * norm.running_mean.double().cpu()
    return scale, shift


def map_of(affine: Affine | None, count: int) -> Affine:
    """The settled map, or the one that does nothing."""
    return affine or (torch.ones(count, dtype=torch.float64), torch.zeros(count, dtype=torch.float64))


def narrowed(norm: Any, affine: Affine | None, count: int) -> nn.Module:
    """The norm over R channels: of a BatchNorm the settled affine map alone, of the others with it in place of gamma and beta.

    A BatchNorm whose map went into the consumer stays, as one that does nothing: it knows its channels from other axes, and raises.
    """
    batch = type(norm) in BATCH_NORMS
    r, u = map_of(affine, count)
    learnt = not torch.equal(r, torch.ones_like(r)) or bool(u.any())
    options: dict[str, Any] = (
        {"eps": 0.0, "affine": learnt} if batch else {"eps": norm.eps, "elementwise_affine": learnt}
    )
    new: nn.Module = type(norm)(count, **options)
    if learnt:
        set_parameter(new, "weight", r)
        if not isinstance(norm, nn.RMSNorm):
            set_parameter(new, "bias", u)
    like = norm.running_mean if batch else norm.weight
    return new if like is None else new.to(like)


def set_parameter(module: nn.Module, name: str, value: Tensor) -> None:
    """Writes a parameter of a new module, which is not trained."""
    parameter = getattr(module, name)
    parameter.requires_grad_(False).copy_(value)
