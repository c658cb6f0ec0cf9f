"""The method on plain tensors: one binary tile, repeated p times and scaled by alphas.

Source: Gorbett, Shirazi, Ray, "Tiled Bit Networks", CIKM 2024, arXiv 2407.12075, figure 3. A latent weight W of N numbers is flattened
row-major and cut into p blocks of q = N / p. The tile is the sign of the SUM of the blocks (a sum of 0 gives -1), the binary weight is the
tile p times, and block i is scaled by alpha_i = mean |X_i|, where X is W itself or a second trainable tensor A.

Gradient: straight-through, the plain identity. dL/dW equals dL/db element by element, where b is the unscaled binary weight; nothing is clipped.
Other estimators are in ``tbn.estimators``, other places of the blocks (``order``) in ``kernels.orders``.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from kernels.orders import Order, from_blocks, to_blocks
from tbn.estimators import Estimator, gate

AlphaPer = Literal["tile", "layer"]


def blocks_of(weight: Tensor, p: int, order: Order = "rows") -> Tensor:
    """The p blocks of a weight: (p, q), each as the tile lies.

    Raises:
        ValueError: p does not divide the number of weights; the message names the nearest factors that do.
    """
    count = weight.numel()
    if p < 1 or count % p:
        raise ValueError(f"p={p} does not divide the {count} weights{nearest_factors(count, p)}")
    return to_blocks(weight, p, order)


def nearest_factors(count: int, p: int) -> str:
    """'; nearest are 2 and 4': the divisors of ``count`` around p, as the end of an error message."""
    lower = next((d for d in range(min(max(p - 1, 1), count), 0, -1) if count % d == 0), 1)
    upper = next((d for d in range(max(p, 1) + 1, min(count, max(p, 1) * 4) + 1) if count % d == 0), None)
    return f"; nearest are {lower} and {upper}" if upper else f"; nearest is {lower}"


def tile_of(weight: Tensor, p: int, order: Order = "rows") -> Tensor:
    """The tile: the sign of the sum over the p blocks.

    Args:
        weight: latent weights of any shape, N = p * q numbers.
        p: tiling factor.
        order: where the blocks lie in the weight.

    Returns:
        (q,) of +1 and -1 in the dtype of ``weight``; a sum of exactly 0 gives -1.
    """
    return _signs(blocks_of(weight, p, order).sum(0)).to(weight.dtype)


def _signs(sums: Tensor) -> Tensor:
    return torch.where(sums > 0, 1.0, -1.0)


def alphas_of(source: Tensor, p: int, per: AlphaPer = "tile", order: Order = "rows") -> Tensor:
    """The scales: mean |source| of each block, or of the whole tensor.

    Args:
        source: W or A, N = p * q numbers; or the p (or 1) scales themselves, where they are learned.
        per: "tile" gives (p,), "layer" gives (1,).
        order: where the blocks lie in W and A.
    """
    blocks = (
        blocks_of(source, p, order)
        if per == "tile" and source.dim() > 1
        else blocks_of(source, p if per == "tile" else 1)
    )
    wide = torch.promote_types(source.dtype, torch.float32)  # sums of many half-precision numbers would overflow
    sums: Tensor = torch.linalg.vector_norm(blocks, ord=1, dim=1, dtype=wide)  # no tensor of absolute values is made
    return (sums / blocks.shape[1]).to(source.dtype)


class _TiledWeight(torch.autograd.Function):
    """Scaled tile forward in one weight-sized buffer; backward straight through to the latent weights, and to the alphas.

    Kept for the backward pass: the tile, the alphas and what the estimator lets through, never a weight-sized tensor.
    """

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, alphas: Tensor, p: int, order: Order, estimator: Estimator, power: float
    ) -> Tensor:
        sums = blocks_of(weight, p, order).sum(0)
        tile = _signs(sums).to(weight.dtype)
        ctx.save_for_backward(tile, alphas, gate(sums, estimator, power))
        ctx.order, ctx.shared = order, estimator == "tile"
        return from_blocks((tile * alphas[:, None]).expand(p, -1), weight.shape, order)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        tile, alphas, passed = ctx.saved_tensors
        blocks = to_blocks(grads[0], grads[0].numel() // tile.numel(), ctx.order)  # (p, q)
        for_weight = None
        if ctx.needs_input_grad[0]:
            flow = blocks * alphas[:, None]
            if ctx.shared:
                flow = flow.sum(0).expand_as(flow)
            if passed is not None:
                flow = flow * passed
            for_weight = from_blocks(flow, grads[0].shape, ctx.order)
        for_alphas = None
        if ctx.needs_input_grad[1]:
            with torch.autocast(
                blocks.device.type, enabled=False
            ):  # a backward pass inside autocast would round q products
                per_tile = blocks @ tile
            for_alphas = per_tile if alphas.numel() == len(blocks) else per_tile.sum(0, keepdim=True)
        return for_weight, for_alphas, None, None, None, None


def binary_weight(weight: Tensor, p: int, order: Order = "rows") -> Tensor:
    """The unscaled binary weight b: the tile p times, in the shape of ``weight``.

    Its gradient passes straight through to ``weight``.
    """
    out: Tensor = _TiledWeight.apply(weight, weight.new_ones(1), p, order, "identity", 1.0)
    return out


def tiled_weight(
    weight: Tensor,
    source: Tensor,
    p: int,
    per: AlphaPer = "tile",
    order: Order = "rows",
    estimator: Estimator = "identity",
    power: float = 1.0,
) -> Tensor:
    """The weight that the layer multiplies with: alpha_i times the tile in block i.

    Args:
        weight: latent weights W, N = p * q numbers; receives the straight-through gradient.
        source: W again, the alpha source A of the same shape, or the alphas themselves; receives the gradient of the alphas.
        p: tiling factor. p = 1 is the binary-weight network (BWNN).
        per: one alpha per "tile" or per "layer".
        order: where the blocks lie (``kernels.orders``).
        estimator, power: what of the gradient reaches W (``tbn.estimators``).

    Returns:
        shape and dtype of ``weight``, differentiable in both arguments.
    """
    out: Tensor = _TiledWeight.apply(weight, alphas_of(source, p, per, order), p, order, estimator, power)
    return out
