"""Builds what a plan asks for: producers of R rows, norms over R channels, contracted consumers, and the graph that calls them."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from kernels.dispatch import ACTIVATIONS
from tbn.collapse.copies import Copies
from tbn.collapse.factors import Factors, space
from tbn.collapse.norms import Affine, map_of, narrowed, set_parameter
from tbn.collapse.walk import Plan, by_copy, contract_shift
from tbn.packed import PackedConv1d, PackedConv2d, PackedLayer, PackedLinear

CONVOLUTION = ("kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")


class Replicate(nn.Module):
    """A layer with R outputs, and then its g copies: ``out[i*R + j] = activation(scales[i, j] * layer(x)[j] + bias[i*R + j])``.

    Args:
        layer: without bias.
        scales: (g, 1), or (g, R) where a norm was folded in.
        bias: (g R,) or None.
        tail: axes behind the channels.
    """

    scales: Tensor
    bias: Tensor | None

    def __init__(self, layer: nn.Module, scales: Tensor, bias: Tensor | None, tail: int) -> None:
        super().__init__()
        self.layer, self.tail, self.activation = layer, tail, "none"
        self.register_buffer("scales", scales)
        self.register_buffer("bias", bias)

    def forward(self, input: Tensor) -> Tensor:
        axis, behind = -1 - self.tail, (1,) * self.tail
        out: Tensor = self.layer(input).unsqueeze(axis - 1) * self.scales.reshape(*self.scales.shape, *behind)
        out = out.flatten(axis - 1, axis)
        return ACTIVATIONS[self.activation](out if self.bias is None else out + self.bias.reshape(-1, *behind))


@torch.no_grad()
def rewrite(root: nn.Module, graph: fx.Graph, plan: Plan) -> fx.GraphModule:
    """The collapsed module. Replaced layers get names of their own, so that nobody takes them for what they replace.

    Args:
        root: the module that was traced; it loses nothing and gets the new layers beside the old ones.
        graph: its graph, changed in place.
        plan: what to do.
    """
    for node in {**plan.affine, **plan.contractions}:
        module = root.get_submodule(str(node.target))
        if node not in plan.factors:
            new, ending = narrowed(module, plan.affine[node], plan.norms[node]), "distinct"
        elif node in plan.contractions:
            new, ending = _contracted(module, plan, node), "contracted"
        else:
            new, ending = _distinct(cast("PackedLayer", module), plan.factors[node], plan.affine[node]), "distinct"
        node.target = place(root, f"{node.target}_{ending}", new)
    graph.lint()
    return fx.GraphModule(root, graph, type(root).__name__).eval()


def place(root: nn.Module, name: str, module: nn.Module) -> str:
    """Puts a module under a name that is free, and gives that name: a norm that is called twice is replaced twice."""
    above, _, last = name.rpartition(".")
    parent = root.get_submodule(above)
    free = next(
        f"{last}{count or ''}"
        for count in range(len(parent._modules) + 1)
        if not hasattr(parent, f"{last}{count or ''}")
    )
    parent.add_module(free, module)
    return f"{above}.{free}" if above else free


def _like(module: nn.Module) -> Tensor:
    """A tensor of the module's dtype and device."""
    return module.like if isinstance(module, PackedLayer) else cast("Tensor", module.weight).detach()


def _distinct(layer: PackedLayer, factors: Factors, affine: Affine | None) -> nn.Module:
    """The producer without its copies, on the same bits: a packed layer whose p / g tiles fill its R rows."""
    count = len(factors.rows)
    r, u = map_of(affine, count)
    alphas = cast("Tensor", factors.tile_alphas)
    p, bias = layer.geometry.tiles_per_copy, bool(u.any())
    new: PackedLayer
    if isinstance(layer, PackedLinear):
        new = PackedLinear(layer.in_features, count, bias, p, alphas.numel())
    else:
        kind = PackedConv1d if isinstance(layer, PackedConv1d) else PackedConv2d
        new = kind(
            **{name: getattr(layer, name) for name in ("in_channels", *CONVOLUTION)},
            out_channels=count, bias=bias, p=p, alpha_count=alphas.numel(),
        )  # fmt: skip
    new.tile.copy_(layer.tile)
    new.alphas.copy_(alphas * r[0])  # all r are equal: a producer has nothing else than the scales of whole copies
    if new.bias is not None:
        new.bias.copy_(u)
    return new.to(layer.like).eval()


def _contracted(module: Any, plan: Plan, node: fx.Node) -> nn.Module:
    """The consumer of R inputs in place of g R: ``W2c[:, j] = sum over i of scale[i, j] * W2[:, i R + j]`` in float, and the shift in its bias.

    If it is a producer itself, it gives its R rows; otherwise its own copies, if it has any, are written behind it.
    """
    value, own = plan.contractions[node], plan.factors[node]
    weight = _contract(own.rows, value)
    shift = contract_shift(own, value) if value.shift.any() else None
    produces = node in plan.affine
    if produces:
        r, bias = map_of(plan.affine[node], len(weight))
        weight = weight * r.float().reshape(-1, *(1,) * (weight.dim() - 1))
    else:
        bias = own.bias_or_zeros() if shift is None else own.bias_or_zeros() + shift * own.scales[:, None]
        bias = bias.flatten()
    copies = 1 if produces else own.copies
    has_bias = bool(bias.any()) and copies == 1
    layer: nn.Module
    if space(module):
        kind = nn.Conv1d if space(module) == 1 else nn.Conv2d
        options = {name: getattr(module, name) for name in CONVOLUTION}
        layer = kind(weight.shape[1], len(weight), **options, bias=has_bias)
    else:
        layer = nn.Linear(weight.shape[1], len(weight), bias=has_bias)
    set_parameter(layer, "weight", weight)
    if has_bias:
        set_parameter(layer, "bias", bias)
    if copies > 1:
        layer = Replicate(layer, own.scales.float()[:, None], bias.float() if bool(bias.any()) else None, space(module))
    return layer.to(_like(module))


def _contract(weight: Tensor, value: Copies) -> Tensor:
    """(outputs, inputs, *kernel) -> (outputs, inputs / g, *kernel) float32."""
    cut = by_copy(weight, value)
    scale = value.scale.float()[None, None, :, :, None]
    contracted = (cut * scale).sum(2)
    return contracted.reshape(len(weight), -1, *weight.shape[2:])
