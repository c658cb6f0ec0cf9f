"""Turn any PyTorch model into a tiled one in place, and a tiled one into a packed one.

Which layers are tiled (the paper's rule): a layer with at least ``min_layer_size`` weights (lambda) gets tiling factor p, a smaller one is
binary (p = 1, one alpha). Biases, norms and embeddings keep full precision. The last layer stays at p = 1 unless a ``per_layer`` pattern
names it: where p divides the classes and all blocks share one alpha, classes r and r + m/p would get equal logits.
"""

from __future__ import annotations

import copy
import dataclasses
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from math import gcd
from typing import Literal

from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from kernels.orders import ORDERS, Order
from tbn.errors import TBNError
from tbn.estimators import ESTIMATORS, Estimator
from tbn.layers import (
    ALPHA_INITS,
    ALPHA_SOURCES,
    AlphaInit,
    AlphaSource,
    TiledLayer,
    is_layer,
    is_transposed,
    tiled_from,
)
from tbn.obstacles import obstacles, other_weights
from tbn.packed import packed_from
from tbn.tiling import AlphaPer, nearest_factors

Status = Literal["tiled", "binary", "left"]


@dataclass(frozen=True)
class TilingConfig:
    """How a model is tiled. Checked when it is made.

    Attributes:
        p: tiling factor, a whole number of at least 1; 1 makes a binary-weight network (BWNN).
        min_layer_size: lambda; layers with fewer weights are binary.
        alpha: one scale per "tile" or one per "layer".
        alpha_source: scales from a "separate" trainable tensor (W+A, the default), from the "latent" weights (W), or "learned" themselves, one
            number each.
        alpha_init: how the separate tensor A starts: "default" (torch's own of the layer), "kaiming_normal" (the paper's ResNets) or
            "weight" (a copy of W: the warm start of a trained model).
        exclude: name patterns (as in a shell) of layers that keep full precision.
        per_layer: name pattern -> tiling factor, over ``p`` and ``min_layer_size``; the last matching pattern counts.
        order: how blocks lie in the weight: "rows" is the paper's row-major order, "interleaved", "inputs" and "rolled" are told in
            ``kernels.orders``. Every engine takes every order, but generated C for now "rows" alone.
        estimator: what of the gradient reaches the latent weights: "identity" is the paper's, the others are told in ``tbn.estimators``.
        standardise: whether each output's latent weights get mean 0 and deviation 1 before their signs are taken.

    Raises:
        TBNError: a value makes no sense.
    """

    p: int = 4
    min_layer_size: int = 64_000
    alpha: AlphaPer = "tile"
    alpha_source: AlphaSource = "separate"
    alpha_init: AlphaInit = "default"
    exclude: tuple[str, ...] = ()
    per_layer: Mapping[str, int] = field(default_factory=dict)
    order: Order = "rows"
    estimator: Estimator = "identity"
    standardise: bool = False

    def __post_init__(self) -> None:
        _check_factor("p", self.p)
        for pattern, factor in self.per_layer.items():
            _check_factor(f"per_layer[{pattern!r}]", factor)
        if isinstance(self.min_layer_size, bool) or not isinstance(self.min_layer_size, int) or self.min_layer_size < 0:
            raise TBNError(
                f"min_layer_size={self.min_layer_size!r} is not a whole number of weights",
                "use 0 to tile every layer, 64000 for the paper's",
            )
        for name, value, known in (
            ("alpha", self.alpha, ("tile", "layer")),
            ("alpha_source", self.alpha_source, ALPHA_SOURCES),
            ("alpha_init", self.alpha_init, ALPHA_INITS),
            ("order", self.order, ORDERS),
            ("estimator", self.estimator, ESTIMATORS),
            ("standardise", self.standardise, (False, True)),
        ):
            if value not in known:
                raise TBNError(f"{name}={value!r} is unknown", f"use one of {', '.join(map(str, known))}")
        if isinstance(self.exclude, str):
            raise TBNError(f"exclude={self.exclude!r} is one string", f"use a tuple: exclude=({self.exclude!r},)")
        object.__setattr__(self, "exclude", tuple(self.exclude))
        object.__setattr__(self, "per_layer", dict(self.per_layer))

    def to_dict(self) -> dict[str, object]:
        """Plain values, ready for JSON."""
        return {**dataclasses.asdict(self), "exclude": list(self.exclude)}


def _check_factor(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise TBNError(
            f"{name}={value!r} is not a whole number of at least 1",
            "use p=1 for a binary network, p=4 for the paper's default",
        )


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


def tile_(model: nn.Module, config: TilingConfig | None = None, *, strict: bool = False) -> ConversionReport:
    """Replace the model's Linear, Conv1d, Conv2d and Conv3d layers by tiled ones, in place; the Conv1D of ``transformers``' GPT-2 too.

    The layers' parameters become the latent weights, so a trained model can be warm-started (best with ``alpha_init="weight"``); names in the
    state dict stay. Layers that cannot be replaced, and all other weights, are left and reported (``tbn.obstacles``).

    Args:
        model: any module that contains layers (not itself a bare layer).
        config: ``TilingConfig()`` by default.
        strict: raise where p does not divide a layer's weights, instead of taking the largest divisor of p that does.

    Returns:
        the report: what was tiled, made binary or left, and why.

    Raises:
        TBNError: nothing to tile, a factor larger than its layer, a tiled classifier with one alpha, or a misfit under ``strict``.
    """
    config = config or TilingConfig()
    if is_layer(model):
        raise TBNError("a bare layer cannot be replaced in place", "wrap it: tile_(nn.Sequential(layer))")
    places: dict[int, list[tuple[nn.Module, str]]] = {}
    names: dict[int, str] = {}
    modules: dict[int, nn.Module] = {}
    for parent in model.modules():
        for child_name, child in parent._modules.items():  # with all names of a child that has several
            places.setdefault(id(child), []).append((parent, child_name))
    for name, module in model.named_modules():
        if is_layer(module):
            names[id(module)], modules[id(module)] = name, module
    if not modules:
        raise TBNError(f"{type(model).__name__} has no Linear or Conv layer to tile", "pass a model with such layers")
    for pattern in (*config.exclude, *config.per_layer):
        if not any(fnmatchcase(name, pattern) for name in names.values()):
            raise TBNError(
                f"pattern {pattern!r} matches no layer",
                f"layers are {', '.join(list(names.values())[:8])}{', ...' if len(names) > 8 else ''}",
            )
    last = list(modules)[-1]
    why_left = obstacles(model)
    rows = []
    plan: list[tuple[int, int]] = []
    for key, module in modules.items():
        row = _decide(names[key], module, config, is_last=key == last, strict=strict, obstacle=why_left.get(key))
        rows.append(row)
        if row.status != "left":
            plan.append((key, row.p))
    for key, p in plan:  # only after every layer passed: an error leaves the model as it was
        alpha = config.alpha if p > 1 else "layer"
        order = config.order if p > 1 else "rows"
        twin = tiled_from(modules[key], p, alpha, config.alpha_source, config.alpha_init, order)
        twin.estimator, twin.standardise = config.estimator, config.standardise
        for parent, child_name in places[key]:
            setattr(parent, child_name, twin)
            if isinstance(parent, nn.TransformerEncoderLayer):
                parent.activation_relu_or_gelu = 0  # torch's fast path in eval mode would use linear1.weight itself
    for module in model.modules():
        if isinstance(module, nn.TransformerEncoder):
            module.use_nested_tensor = False  # only the fast path knows nested tensors
    return ConversionReport(
        (*rows, *(LayerReport(name, count, 0, "left", of) for name, count, of in other_weights(model)))
    )


def _decide(
    name: str, module: nn.Module, config: TilingConfig, *, is_last: bool, strict: bool, obstacle: str | None
) -> LayerReport:
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


def freeze(model: nn.Module) -> nn.Module:
    """The packed twin of a model: tiles as bits, each distinct row computed once. The model itself is unchanged.

    Returns:
        a new module in eval mode with equal outputs (float32: 1e-5 relative); layers that are not tiled are copied as they are.

    Raises:
        TBNError: the model has no tiled layer.
    """
    if not any(isinstance(module, TiledLayer) for module in model.modules()):
        raise TBNError(f"{type(model).__name__} has no tiled layer to freeze", "call tbn.tile_(model) first")
    memo: dict[int, object] = {}
    for module in model.modules():
        if isinstance(module, TiledLayer):
            memo[id(module)] = packed_from(module)
    return copy.deepcopy(model, memo).eval()
