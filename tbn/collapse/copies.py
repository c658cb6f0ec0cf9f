"""What is known of a value whose channels are copies, and when something non-linear leaves them copies.

Channel ``i*R + j`` of such a value is ``scale[i, j] * v[j] + shift[i, j]``, where v has R channels. Operations that commute with that (a pooling, a
BatchNorm) leave scale and shift pending; the consumer's contraction takes them in. Before anything non-linear they have to be *settled*: written as
``a[i] * (r[j] * v[j] + u[j])``, so that v' = r v + u is computed once, by the layer before or the norm, and only the scales a stay pending. Any
elementwise function f then keeps the copies if all a are 1, and a positively homogeneous one (ReLU: f(a v) = a f(v)) if all a >= 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, fx

ROUNDING = 1e-6  # copies that differ by less than this part of the largest of them are equal: float32 has 6e-8


class Refused(Exception):
    """The copies do not survive an operation; the message is the reason, one sentence without its full stop."""


@dataclass(frozen=True)
class Copies:
    """A value with copies.

    Attributes:
        producers: the nodes that made the copies.
        scale, shift: (g, R) float64, pending.
        tail: axes behind the channels: 2 behind a 2-d convolution.
        flat: whether other axes were joined to the channels: "inner" ones behind them (channels, height, width) or "outer" ones before them.
        anchor: the producer or norm that can take in what is settled; None where nothing is left to settle.
        norm: the norm that last changed scale and shift, for the reason of a refusal; empty where they are the producer's own.
    """

    producers: frozenset[fx.Node]
    scale: Tensor
    shift: Tensor
    tail: int
    flat: Literal["", "inner", "outer"] = ""
    anchor: fx.Node | None = None
    norm: str = ""

    @property
    def channels(self) -> int:
        """m = g R."""
        return self.scale.numel()

    def same_layout(self, other: Copies) -> bool:
        """Whether channel for channel the copies of two values correspond."""
        return (self.scale.shape, self.tail, self.flat) == (other.scale.shape, other.tail, other.flat)


def settle(value: Copies, what: str, *, scaled: bool) -> tuple[Copies, Tensor, Tensor]:
    """Split the pending scale and shift into scales of whole copies and one affine map of v.

    Args:
        value: with anything pending.
        what: the operation that asks for it, for the reason.
        scaled: copies may keep scales a >= 0 of their own; otherwise all must be 1.

    Returns:
        the value with only the scales pending, and r, u: (R,) float64 for the value's anchor.

    Raises:
        Refused: the copies differ.
    """
    scale, shift = value.scale, value.shift
    reference = int(scale.abs().sum(1).argmax())
    r, u = scale[reference], shift[reference]
    copies = torch.ones(len(scale), dtype=scale.dtype)
    equal_shift = _close(shift, u.expand_as(shift))
    if not (equal_shift and _close(scale, r.expand_as(scale))):
        bias = "its bias does not grow with its alphas" if equal_shift else "its bias differs"
        only_alphas = equal_shift and not (scaled and shift.any())
        culprit = value.norm or ("its alphas differ" if only_alphas else bias)
        if not scaled:
            raise Refused(f"{what} needs equal copies, but {culprit} from copy to copy")
        copies = (scale @ r + shift @ u) / (r @ r + u @ u)
        proportional = _close(scale, copies[:, None] * r) and _close(shift, copies[:, None] * u)
        if not (proportional and bool((copies >= 0).all())):
            raise Refused(f"{what} needs copies that are equal up to a scale >= 0, but {culprit} from copy to copy")
    pending = copies[:, None].expand_as(scale)
    return replace(value, scale=pending, shift=torch.zeros_like(shift), anchor=None), r, u


def _close(a: Tensor, b: Tensor) -> bool:
    return bool(((a - b).abs() <= ROUNDING * a.abs().max()).all())  # false for NaN
