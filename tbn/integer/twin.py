"""A tiled model as its integer network will compute it, in floats with gradients: what quantisation-aware training trains.

Between the operations stand values of 256 codes, where the integer network has a tensor of its own; norms use the statistics that will be folded
into the multipliers; dense layers have int8 weights. The signs and alphas are the tiled layers' own. What stays float is less than a code:
int16 multipliers and biases, and sums rounded down.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from tbn.collapse.tracing import _Tracer
from tbn.convert import freeze
from tbn.errors import TBNError
from tbn.integer.graph import steps_of
from tbn.integer.operators import LINEAR, NORMS
from tbn.integer.ranges import Range, coding, measure
from tbn.integer.steps import CONVOLUTIONS, FoldStep
from tbn.layers import TiledLayer

SUM = "_sum"  # the end of a step's name: a layer before its table


class Coded(nn.Module):
    """Values as 256 codes give them back; the gradient passes straight through inside of the range.

    The range is learned: one factor for both its ends, whose gradient is that of the values that are clipped
    (PACT, https://arxiv.org/abs/1805.06085). Shapes: any.
    """

    def __init__(self, limits: Range) -> None:
        super().__init__()
        self.step, self.zero = coding(*limits)
        self.growth = nn.Parameter(torch.zeros(()))  # natural logarithm

    @property
    def limits(self) -> Range:
        """The ends of the range, as ``coding`` takes them."""
        step = self.step * float(self.growth.detach().double().exp())
        return -self.zero * step, (255 - self.zero) * step

    def forward(self, x: Tensor) -> Tensor:
        step = self.step * self.growth.exp()
        inside = torch.minimum(torch.maximum(x, -self.zero * step), (255 - self.zero) * step)
        rounded = (inside / step).round() * step
        return inside + (rounded - inside).detach()


class Twin(nn.Module):
    """The twin of a tiled model, sharing its parameters. Shapes: as the model.

    Args:
        model: tiled, with the statistics of its norms settled.
        inputs: (samples, *shape) float32 as the network gets them, which the first ranges are measured on.

    Raises:
        TBNError: the model is not tiled, or something in it has no integer twin.
    """

    def __init__(self, model: nn.Module, inputs: Tensor) -> None:
        super().__init__()
        if not any(isinstance(module, TiledLayer) for module in model.modules()):
            raise TBNError(f"{type(model).__name__} has no tiled layer", "choose a run with p of at least 1")
        self.model = model.eval()
        steps = steps_of(freeze(model), tuple(inputs.shape[1:]))
        # sums of inputs are within a layer of the model
        sums = {step.name for step in steps if isinstance(step.what, FoldStep)}
        ranges = {name: limits for name, limits in measure(steps, inputs).items() if name not in sums}
        names = {step.name for step in steps}
        self.graph = _with_codes(model, ranges, names)
        self.dense = tuple(
            f"{name}.weight"
            for name, module in self.graph.named_modules()
            if type(module) in (*LINEAR, *CONVOLUTIONS) and not isinstance(module, TiledLayer)
        )

    def forward(self, x: Tensor) -> Tensor:
        weights = {name: as_int8(self.graph.get_parameter(name)) for name in self.dense}
        out: Tensor = torch.func.functional_call(self.graph, weights, (x,)) if weights else self.graph(x)
        return out

    def train(self, mode: bool = True) -> Twin:
        """Norms keep their statistics."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, NORMS):
                module.eval()
        return self

    @property
    def ranges(self) -> Mapping[str, Range]:
        """What ``quantise`` takes."""
        coded = cast("Mapping[str, Coded]", self.graph.get_submodule("codes")._modules)
        return {name: module.limits for name, module in coded.items()}


def as_int8(weight: Tensor) -> Tensor:
    """(rows, ...) what int8 with a scale a row gives back; the gradient passes straight through."""
    step = weight.detach().flatten(1).abs().amax(1).clamp(min=1e-30).div(127).reshape(-1, *(1,) * (weight.dim() - 1))
    return weight + ((weight / step).round() * step - weight).detach()


class _TiledTracer(_Tracer):
    """Enters neither packed nor tiled layers, so that names are those of the packed model's graph."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, TiledLayer) or super().is_leaf_module(m, module_qualified_name)


def _with_codes(model: nn.Module, ranges: Mapping[str, Range], names: set[str]) -> fx.GraphModule:
    """The model with a ``Coded`` behind what each step with a range is made of; steps have the names of their first nodes."""
    graph = _TiledTracer().trace(model)
    nodes = {node.name: node for node in graph.nodes}
    parts: dict[str, Any] = {
        str(node.target): attrgetter(str(node.target))(model)
        for node in graph.nodes
        if node.op in ("call_module", "get_attr")
    }
    for name, limits in ranges.items():
        first = nodes.get(name) or nodes.get(name.removesuffix(SUM))
        if first is None:
            raise TBNError(
                f"'{name}' is not in the model's own graph", "use the ranges that are measured at the export"
            )
        last = first
        while (after := _next_of(last)) is not None and after.name not in names:
            if first.name != name and _is_gelu(after, parts):
                break
            last = after
        parts[f"codes.{name}"] = Coded(limits)
        with graph.inserting_after(last):
            coded = graph.call_module(f"codes.{name}")
        last.replace_all_uses_with(coded)
        coded.args = (last,)
    return fx.GraphModule(parts, graph)


def _is_gelu(node: fx.Node, parts: Mapping[str, Any]) -> bool:
    return node.target is F.gelu or isinstance(parts.get(str(node.target)), nn.GELU)


def _next_of(node: fx.Node) -> fx.Node | None:
    """The node that takes this one's value, if nothing else does, and it takes nothing else."""
    user = next(iter(node.users)) if len(node.users) == 1 else None
    return user if user is not None and user.op != "output" and user.all_input_nodes == [node] else None
