"""Which layer gets which tiling factor, and why: the paper's rule, a row for each layer."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import gcd
from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from kernels.orders import Order
from tbn.errors import TBNError
from tbn.layers import TiledLayer, is_transposed
from tbn.tiling import nearest_factors

if TYPE_CHECKING:
    from tbn.convert import TilingConfig

Status = Literal["tiled", "binary", "left"]


@dataclass(frozen=True)
class LayerReport:
    """What became of one layer and why."""

    name: str
    weights: int
    p: int
    status: Status
    reason: str


@dataclass(frozen=True)
class ConversionReport:
    """What ``tile_`` did, a row a layer; ``str()`` is the printed table."""

    layers: tuple[LayerReport, ...]

    def with_status(self, status: Status) -> tuple[LayerReport, ...]:
        """The layers of one status: "tiled", "binary" or "left"."""
        return tuple(layer for layer in self.layers if layer.status == status)

    def __str__(self) -> str:
        width = max(len(layer.name) for layer in self.layers)
        return "\n".join(
            f"{layer.name:{width}}  {layer.weights:>12,}  {layer.status:6}  p={layer.p:<4} {layer.reason}"
            for layer in self.layers
        )


def decide(
    name: str, module: nn.Module, config: TilingConfig, *, is_last: bool, strict: bool, obstacle: str | None
) -> LayerReport:
    """What becomes of one layer.

    Args:
        is_last: of the model, its classifier or forecast head.
        strict: raise where p does not divide the weights.
        obstacle: why it cannot be replaced, if so.

    Raises:
        TBNError: a factor larger than its layer, a tiled classifier with one alpha, or a misfit under ``strict``.
    """
    weight = module._parameters.get("weight")
    count = 0 if weight is None or isinstance(weight, UninitializedParameter) else weight.numel()

    def row(status: Status, p: int, reason: str) -> LayerReport:
        return LayerReport(name, count, p, status, reason)

    if isinstance(module, TiledLayer):
        return row("left", module.p, "tiled already")
    if obstacle or weight is None:
        return row("left", 0, obstacle or "it has no weight of its own")
    if any(fnmatchcase(name, pattern) for pattern in config.exclude):
        return row("left", 0, "excluded")
    asked = [factor for pattern, factor in config.per_layer.items() if fnmatchcase(name, pattern)]
    p = asked[-1] if asked else config.p
    if not asked and is_last:
        return row("binary", 1, "the last layer is tiled only when per_layer names it")
    if not asked and count < config.min_layer_size:
        return row("binary", 1, f"{count:,} weights < min_layer_size {config.min_layer_size:,}")
    if p > count:
        raise TBNError(
            f"p={p} is larger than the {count} weights of {name!r}", f"use p <= {count}, or exclude={name!r}"
        )
    if is_last and config.alpha == "layer" and p > 1 and _repeats_outputs(module, config.order):
        raise TBNError(
            f"the last layer {name!r} cannot be tiled with one alpha: classes r and r + m/p would get equal logits",
            "use alpha='tile', or leave the layer at p=1",
        )
    fitting = p
    while count % fitting:  # the largest divisor of p that divides the weights
        fitting = next(d for d in range(fitting - 1, 0, -1) if p % d == 0)
    if fitting != p and strict:
        raise TBNError(
            f"p={p} does not divide the {count} weights of {name!r}{nearest_factors(count, p)}",
            "or pass strict=False to take a divisor of p",
        )
    if fitting == 1:
        return row("binary", 1, "p = 1" if p == 1 else f"no divisor of p={p} divides the {count:,} weights")
    notes = [] if fitting == p else [f"p={p} does not divide the {count:,} weights: its divisor {fitting} does"]
    notes += _notes(name, module, weight, fitting, config.order)
    return row("tiled", fitting, "; ".join(notes))


def _repeats_outputs(module: nn.Module, order: Order) -> bool:
    """Whether outputs can have equal signs."""
    return order in ("rows", "interleaved") and not is_transposed(module)


def _notes(name: str, module: nn.Module, weight: Tensor, p: int, order: Order) -> list[str]:
    """What is to be said of a layer whose products are not p-fold fewer, and a warning where all signs repeat."""
    if order == "rolled":
        return ["rolled, no two rows are equal: smaller, but not faster"]
    first = order == "inputs" and not is_transposed(module)  # the second axis of the weight comes first
    rows, what = (
        (weight.shape[1], "inputs") if first else (weight.shape[0], "inputs" if is_transposed(module) else "rows")
    )
    if p > rows and (weight.numel() // rows) % (weight.numel() // p) == 0 and not (first and rows == 1):
        note = f"all {rows} {what} have equal signs: p is larger than the {what}"
        warnings.warn(f"{name!r}: {note}; use p <= {rows}", stacklevel=4)
        return [note]
    if getattr(module, "groups", 1) > 1 and not first:
        return ["grouped, equal filters see different channels: smaller, but not faster"]
    return [f"p is prime to the {rows} {what}: smaller, but not faster"] if gcd(p, rows) == 1 else []
