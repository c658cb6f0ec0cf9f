"""Estimators: what of the binary weight's gradient reaches the latent weights, where the sign itself has none.

Let s be the sum over the blocks and u = s / mean |s|, so that thresholds mean the same in every layer. The gradient of block i is that of the
binary weight there, times

- "identity" (the paper's): 1.
- "tile": 1, but summed over the p blocks first: the gradient of the tile, the same for each block. With Adam, whose steps do not grow with the
  gradient, the blocks otherwise vote.
- "clip": 1 where abs(u) <= 3, else 0 (BinaryNet's, https://arxiv.org/abs/1602.02830): a sign that is sure is left alone.
- "hat": max(0, 1 - abs(u) / 3), the derivative of a piecewise quadratic sign (Bi-Real Net, https://arxiv.org/abs/1808.00278).
- "reste": the derivative of sign(u) |u|^(1/o), at most 4 (ReSTE, https://arxiv.org/abs/2308.06689); o ("power") grows from 1 to 3 while training.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

Estimator = Literal["identity", "tile", "clip", "hat", "reste"]
ESTIMATORS: tuple[Estimator, ...] = get_args(Estimator)
REACH = 3.0  # of u, in mean absolute sums
STEEPEST = 4.0
LAST_POWER = 3.0


def gate(sums: Tensor, estimator: Estimator, power: float = 1.0) -> Tensor | None:
    """What the gradient is multiplied with: (q,) in the dtype of ``sums``, or None for 1.

    Args:
        sums: (q,) sums of the latent blocks.
        power: o of "reste", at least 1.
    """
    if estimator in ("identity", "tile"):
        return None
    size = sums.abs()
    size = size / size.mean().clamp(min=torch.finfo(size.dtype).tiny)
    if estimator == "clip":
        return (size <= REACH).to(sums.dtype)
    if estimator == "hat":
        return (1 - size / REACH).clamp(min=0)
    slope: Tensor = (size.pow(1 / power - 1) / power).clamp(max=STEEPEST)  # infinite at 0, where power > 1
    return slope


def power_at(progress: float) -> float:
    """o of "reste" when this share of the training (0..1) is done: linear, as in the paper."""
    return 1 + (LAST_POWER - 1) * progress
