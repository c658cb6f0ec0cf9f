"""Turn any PyTorch model into a tiled one in place, and a tiled one into a packed one.

Which layers are tiled (the paper's rule): a layer with at least ``min_layer_size`` weights (lambda) gets tiling factor p, a smaller one is
binary (p = 1, one alpha). Biases, norms and embeddings keep full precision. The last layer stays at p = 1 unless a ``per_layer`` pattern
names it: where p divides the classes and all blocks share one alpha, classes r and r + m/p would get equal logits.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from torch import nn

from kernels.orders import ORDERS, Order
from tbn.decisions import ConversionReport, LayerReport, decide
from tbn.errors import TBNError
from tbn.estimators import ESTIMATORS, Estimator
from tbn.layers import (
    ALPHA_INITS,
    ALPHA_SOURCES,
    AlphaInit,
    AlphaSource,
    TiledLayer,
    is_layer,
    tiled_from,
)
from tbn.obstacles import obstacles, other_weights
from tbn.packed import packed_from
from tbn.tiling import AlphaPer

__all__ = ["ConversionReport", "LayerReport", "TilingConfig", "freeze", "tile_"]


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
            ``kernels.orders``. Torch, the C kernel, ONNX and generated C take every order. On a GPU, Triton multiplies "rows" and "interleaved",
            torch the others: for orders but "rows" that is tested in Triton's interpreter, and no GPU has run it so far.
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
        row = decide(names[key], module, config, is_last=key == last, strict=strict, obstacle=why_left.get(key))
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
