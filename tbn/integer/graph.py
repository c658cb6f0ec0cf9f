"""A packed model as a list of float steps, each of which has an integer twin; whatever has none is refused by name.

The model is fused first (``tbn.fuse``), so norms and ReLUs that follow a packed layer are part of it already. What is left is traced with
torch.fx. A step computes its output from those of other steps, so that ranges can be measured on what the device will hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from tbn.collapse.factors import is_plain
from tbn.collapse.norms import norm_affine
from tbn.collapse.tracing import Untraceable, _only_the_default, trace
from tbn.errors import TBNError
from tbn.fusion import _rows_of, _twin, fuse
from tbn.integer import operators, views
from tbn.integer.building import called, refused, text_of
from tbn.integer.combining import Combining
from tbn.integer.network import Window
from tbn.integer.orders import without_order
from tbn.integer.steps import (
    CONVOLUTIONS,
    FIX,
    FOLDED,
    INPUT,
    AddStep,
    AffineStep,
    FoldStep,
    LayerStep,
    NormStep,
    Step,
    TableStep,
    ViewStep,
    pool_of,
    window_of,
)
from tbn.packed import PackedLayer

RELU = (0.0, float("inf"))


@torch.no_grad()
def steps_of(model: nn.Module, input_shape: tuple[int, ...]) -> tuple[Step, ...]:
    """The steps of a packed (or dense) model in eval mode, for inputs of a shape; the model is unchanged.

    Raises:
        TBNError: something in it has no integer twin; the message names it.
    """
    if any(module.training for module in model.modules()):
        raise TBNError("the model is in training mode", "call model.eval()")
    packed = [module for module in model.modules() if isinstance(module, PackedLayer)]
    fused = model if not packed or any(layer.fused for layer in packed) else fuse(model)
    try:
        graph = trace(fused)
    except Untraceable as error:
        raise TBNError(f"the forward of {type(model).__name__} cannot be traced: {error}", FIX) from error
    builder = _Builder(fused, input_shape)
    builder.look(graph)
    for node in graph.nodes:
        builder.take(node)
    last = builder.steps[-1] if builder.steps else None
    head = last.what if last is not None and last.clip is None else None
    if not isinstance(head, LayerStep) or head.window is not None or head.positions != 1:
        raise TBNError("the model does not end with a linear layer", FIX)
    return tuple(builder.steps)


class _Builder(Combining):
    """Goes through a graph in order."""

    def look(self, graph: fx.Graph) -> None:
        """Refuses what is known to have no twin, before what merely surrounds it."""
        for node in graph.nodes:
            module = self.modules.get(str(node.target)) if node.op == "call_module" else None
            name = type(module).__name__ if module is not None else called(node)
            if name in operators.REASONS:
                raise TBNError(f"{text_of(node, module)}: {operators.REASONS[name]}", FIX)

    def take(self, node: fx.Node) -> None:
        if node.op == "placeholder" and node.args == ():
            if self.names:
                raise TBNError("the model takes more than one input", FIX)
            self.names[node] = INPUT
        elif node.op == "output":
            if self.names.get(cast("fx.Node", node.args[0])) != (self.steps[-1].name if self.steps else INPUT):
                raise TBNError("the model returns something else than its last layer's output", FIX)
        elif node.op != "placeholder" and node.target is not _only_the_default:
            shapes = {found: self.shapes[name] for found, name in self.names.items()}
            value = views.constant(node, self.root, self.constants, shapes)
            if value is views.NOTHING:
                self.node(node)
            else:
                self.constants[node] = value

    def node(self, node: fx.Node) -> None:
        """Appends what an operation on activations becomes."""
        module: Any = self.modules.get(str(node.target)) if node.op == "call_module" else None
        key: Any = type(module) if module is not None else node.target
        text = text_of(node, module)
        active = [source for source in node.all_input_nodes if source not in self.constants]
        if node.op not in ("call_module", "call_function", "call_method") or any(
            source not in self.names and source not in self.empty for source in active
        ):
            raise TBNError(f"{text} on something that is no activation", FIX)
        if module is not None and not is_plain(module):
            raise TBNError(f"{text} with hooks, or a forward of its own", FIX)
        if key is torch.cat or key in operators.SELECTIONS:
            self.select(node, text, active)
        elif key in operators.ADDITIONS or key in operators.FACTORS:
            self.combine(node, text, active, key in operators.FACTORS)
        elif key in operators.PRODUCTS:
            self.product(node, text, active)
        elif len(active) != 1 or node.args[:1] != (active[0],):
            raise refused(text)
        elif key in operators.CLIPS:
            self.clip(node, operators.CLIPS[key])
        elif type(module) in operators.LINEAR or type(module) in CONVOLUTIONS:
            self.layer(node, text, module)
        elif type(module) in operators.NORMS:
            self.norm(node, text, module)
        elif type(module) is nn.LayerNorm:
            self.layer_norm(node, text, module)
        elif type(module) in operators.ONE_BY_ONE:
            self.put(node, TableStep(module), module)
        elif key in operators.FUNCTIONS or (node.op == "call_method" and key in operators.METHODS):
            called = getattr(torch, key) if isinstance(key, str) else key
            function = partial(_with, called, tuple(node.args[1:]), dict(node.kwargs))
            self.put(node, TableStep(function), function)
        elif isinstance(module, operators.IDENTITIES) or key is _rows_of:
            self.names[node] = self.names[active[0]]
        elif isinstance(module, nn.ZeroPad2d):
            left, _, top, _ = cast("tuple[int, ...]", module.padding)
            self.put(node, ViewStep(), module)
            self.borders[node.name] = (top, left)
        elif (window := pool_of(module)) is not None:
            self.put(node, window, module)
        elif key in operators.MEANS or key in operators.MAXIMA:
            self.reduce(node, text, key in operators.MAXIMA)
        elif isinstance(module, nn.Flatten | nn.Unflatten) or key in operators.VIEWS:
            self.view(node, module)
        elif key in operators.TURNS:
            order = views.order_of(node, self.constants, self.shapes[self.names[active[0]]])
            self.turn(node, text, order, node.name)
        else:
            raise refused(text)

    def clip(self, node: fx.Node, limits: tuple[float, float]) -> None:
        """A ReLU is part of the step that it follows, where nothing else wants that; otherwise a table."""
        last = self.follows(node)
        if last is not None and isinstance(last.what, LayerStep | AffineStep | AddStep | NormStep):
            self.steps[-1] = replace(last, clip=limits if last.clip is None else (0.0, min(limits[1], last.clip[1])))
            self.names[node] = last.name
        else:
            function = partial(torch.clamp, min=limits[0], max=limits[1])
            self.put(node, TableStep(function), function)

    def layer(self, node: fx.Node, text: str, layer: Any) -> None:
        """A layer without what it does behind its copies; that becomes a clip or a step of its own."""
        window, groups, positions = None, 1, 1
        shape = self.shapes[self.names[cast("fx.Node", node.args[0])]]
        if type(layer) in CONVOLUTIONS:
            axes = CONVOLUTIONS[type(layer)]
            window, groups = window_of(layer, axes, text), layer.groups
            if len(shape) != axes + 1:
                raise TBNError(f"{text} on {len(shape)} axes behind the batch", FIX)
            window = self.with_border(node, window)
        else:
            positions = int(torch.Size(shape[:-1]).numel())
        activation = getattr(layer, "activation", "none")
        plain: Any
        folded, plain = without_order(layer, str(node.target).removesuffix("_fused"))
        sources: tuple[str, ...] = ()
        if folded is not None:
            outer, sources = (positions if window is None else groups), (f"{node.name}{FOLDED}",)
            inner = torch.Size(shape).numel() // outer // len(folded.factors)
            self.put(node, FoldStep(outer, folded.factors.double(), inner), folded, name=sources[0])
        if activation != "none":
            plain = _twin(plain)
            plain.activation = "none"
        clip = RELU if activation == "relu" else None
        name = f"{node.name}_sum" if activation == "gelu" else node.name
        self.put(node, LayerStep(plain, window, groups, positions), plain, clip, sources, name)
        if activation == "gelu":
            self.put(node, TableStep(F.gelu), F.gelu, sources=(name,))

    def with_border(self, node: fx.Node, window: Window) -> Window:
        """The window with the zeros that a ZeroPad2d in front of it has put there."""
        before = self.borders.get(self.names[cast("fx.Node", node.args[0])])
        if before is None:
            return window
        if any(window.before):
            raise TBNError(f"'{node.target}' pads an image that is padded already", FIX)
        return replace(window, before=before)

    def norm(self, node: fx.Node, text: str, norm: Any) -> None:
        """A BatchNorm joins the dense layer before it, or is a factor and a shift of each channel."""
        if norm.running_mean is None:
            raise TBNError(f"{text} without running statistics", FIX)
        shape = self.shapes[self.names[cast("fx.Node", node.args[0])]]
        scale, shift = norm_affine(norm, shape[0])
        last = self.follows(node)
        if (
            last is not None
            and isinstance(last.what, LayerStep)
            and last.clip is None
            and last.what.positions == 1
            and not isinstance(last.what.layer, PackedLayer)
        ):
            self.take_in(len(self.steps) - 1, scale, shift)
            self.names[node] = last.name
        else:
            self.put(node, AffineStep(scale, shift), norm)

    def layer_norm(self, node: fx.Node, text: str, norm: Any) -> None:
        """Over the last axis only."""
        if len(norm.normalized_shape) != 1:
            raise TBNError(f"{text} over {len(norm.normalized_shape)} axes: only the last one has a twin", FIX)
        count = norm.normalized_shape[0]
        scale = torch.ones(count) if norm.weight is None else norm.weight.detach()
        shift = torch.zeros(count) if norm.bias is None else norm.bias.detach()
        self.put(node, NormStep(scale.double(), shift.double(), float(norm.eps)), norm)


def _with(function: Callable[..., Tensor], args: tuple[Any, ...], kwargs: dict[str, Any], x: Tensor) -> Tensor:
    return function(x, *args, **kwargs)
