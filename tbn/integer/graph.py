"""A packed model as a list of float steps, each of which has an integer twin; whatever has none is refused by name.

The model is fused first (``tbn.fuse``), so norms and ReLUs that follow a packed layer are part of it already. What is left is traced with
torch.fx. A step computes its output from those of other steps, so that ranges can be measured on what the device will hold.
"""

from __future__ import annotations

import operator
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
from tbn.fusion import _rows_of, _take_norm, _twin, fuse
from tbn.integer.network import Window
from tbn.integer.steps import (
    CONVOLUTIONS,
    FIX,
    INPUT,
    AddStep,
    AffineStep,
    LayerStep,
    PoolStep,
    Step,
    TableStep,
    ViewStep,
    What,
    pool_of,
    window_of,
)
from tbn.packed import PackedLayer, PackedLinear

LINEAR = (nn.Linear, PackedLinear)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
ONE_BY_ONE = (
    nn.GELU, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid, nn.SiLU, nn.Tanh, nn.LeakyReLU, nn.ELU, nn.Softplus, nn.Mish, nn.SELU,
)  # fmt: skip
FUNCTIONS = frozenset({
    F.gelu, F.hardswish, F.hardsigmoid, torch.sigmoid, F.sigmoid, F.silu, torch.tanh, F.tanh, F.leaky_relu, F.elu, F.softplus, F.mish, F.selu,
})  # fmt: skip
METHODS = frozenset({"sigmoid", "tanh"})
CLIPS: dict[Any, tuple[float, float]] = {
    nn.ReLU: (0.0, float("inf")), F.relu: (0.0, float("inf")), torch.relu: (0.0, float("inf")), "relu": (0.0, float("inf")),
    F.relu_: (0.0, float("inf")), torch.relu_: (0.0, float("inf")), "relu_": (0.0, float("inf")), nn.ReLU6: (0.0, 6.0), F.relu6: (0.0, 6.0),
}  # fmt: skip
ADDITIONS = (operator.add, operator.iadd, torch.add, "add", "add_")
REASONS = {
    "LayerNorm": "it divides by a deviation that it measures on every sample, which needs a root on the device",
    "RMSNorm": "it divides by a size that it measures on every sample, which needs a root on the device",
    "matmul": "both factors are activations",
    "scaled_dot_product_attention": "both factors are activations",
    "Upsample": "only chains, sums and poolings are in this version",
    "interpolate": "only chains, sums and poolings are in this version",
    "cat": "tensors of two scales in one are not in this version",
    "Softmax": "the largest output is the same without it",
    "softmax": "the largest output is the same without it",
}


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
    steps = builder.steps
    if not steps or not isinstance(steps[-1].what, LayerStep) or steps[-1].what.window is not None or steps[-1].clip:
        raise TBNError("the model does not end with a linear layer", FIX)
    return tuple(steps)


class _Builder:
    """Goes through a graph in order."""

    def __init__(self, root: nn.Module, input_shape: tuple[int, ...]) -> None:
        self.modules = dict(root.named_modules(remove_duplicate=False))
        self.steps: list[Step] = []
        self.names: dict[fx.Node, str] = {}
        self.shapes: dict[str, tuple[int, ...]] = {INPUT: input_shape}
        self.borders: dict[str, tuple[int, int]] = {}  # zeros above and left of an image, by the tensor that has them
        self.views: set[str] = set()

    def look(self, graph: fx.Graph) -> None:
        """Refuses what is known to have no twin, before what merely surrounds it."""
        for node in graph.nodes:
            module = self.modules.get(str(node.target)) if node.op == "call_module" else None
            name = type(module).__name__ if module is not None else _called(node)
            if name in REASONS:
                raise TBNError(f"{_text(node, module)}: {REASONS[name]}", FIX)

    def take(self, node: fx.Node) -> None:
        if node.op == "placeholder" and node.args == ():
            if self.names:
                raise TBNError("the model takes more than one input", FIX)
            self.names[node] = INPUT
        elif node.op == "output":
            if self.names.get(cast("fx.Node", node.args[0])) != (self.steps[-1].name if self.steps else INPUT):
                raise TBNError("the model returns something else than its last layer's output", FIX)
        elif node.op != "placeholder" and node.target is not _only_the_default:
            self.node(node)

    def node(self, node: fx.Node) -> None:
        module = self.modules.get(str(node.target)) if node.op == "call_module" else None
        key: Any = type(module) if module is not None else node.target
        text = _text(node, module)
        if node.op not in ("call_module", "call_function", "call_method") or any(
            source not in self.names for source in node.all_input_nodes
        ):
            raise TBNError(f"{text} on something that is no activation", FIX)
        if module is not None and not is_plain(module):
            raise TBNError(f"{text} with hooks, or a forward of its own", FIX)
        if key in ADDITIONS:
            self.add_sum(node, text)
            return
        if len(node.all_input_nodes) != 1 or node.args[:1] != (node.all_input_nodes[0],):
            raise refused(text)
        options = (*node.args[1:], *node.kwargs.values())
        if key in CLIPS:
            self.clip(node, CLIPS[key])
        elif type(module) in LINEAR or type(module) in CONVOLUTIONS:
            self.layer(node, text, module)
        elif type(module) in NORMS:
            self.norm(node, text, module)
        elif type(module) in ONE_BY_ONE:
            self.put(node, TableStep(cast("nn.Module", module)), cast("nn.Module", module))
        elif key in FUNCTIONS or (node.op == "call_method" and key in METHODS):
            called = getattr(torch, key) if isinstance(key, str) else key
            function = partial(_with, called, tuple(node.args[1:]), dict(node.kwargs))
            self.put(node, TableStep(function), function)
        elif isinstance(module, nn.Identity | nn.Dropout | nn.Dropout1d | nn.Dropout2d) or key is _rows_of:
            self.names[node] = self.names[cast("fx.Node", node.args[0])]
        elif isinstance(module, nn.ZeroPad2d):
            left, _, top, _ = cast("tuple[int, ...]", module.padding)
            self.put(node, ViewStep(), module)
            self.borders[node.name] = (top, left)
        elif (window := pool_of(module)) is not None:
            self.put(node, window, cast("nn.Module", module))
        elif key in (torch.mean, "mean", torch.amax, "amax"):
            self.reduce(node, text, key in (torch.amax, "amax"))
        elif isinstance(module, nn.Flatten) or key in (torch.flatten, "flatten"):
            self.put(node, ViewStep(), module or partial(_with, torch.flatten, options, {}))
            self.views.add(node.name)
        else:
            raise refused(text)

    def put(
        self, node: fx.Node, what: What, compute: Callable[..., Tensor], clip: tuple[float, float] | None = None
    ) -> None:
        """Appends a step and finds its shape."""
        sources = tuple(self.names[source] for source in node.args[:2] if isinstance(source, fx.Node))
        found = [torch.zeros(2, *self.shapes[source]) for source in sources]
        if not isinstance(what, LayerStep) and self.borders.keys() & set(sources):
            raise TBNError(f"the zeros around '{sources[0]}' are followed by no convolution", FIX)
        if getattr(what, "window", None) is not None and self.views & set(sources):
            raise TBNError(f"the model calls {_called(node)} on an image in another shape", FIX)
        out = compute(*found)
        if len(out) != len(found[0]):
            raise TBNError(f"the model calls {_called(node)} on the axis of the batch", FIX)
        self.names[node] = node.name
        self.shapes[node.name] = shape = tuple(out.shape[1:])
        self.steps.append(Step(node.name, sources, shape, what, compute, clip))

    def clip(self, node: fx.Node, limits: tuple[float, float]) -> None:
        """A ReLU is part of the step that it follows, where nothing else wants that; otherwise a table."""
        last = self.follows(node)
        if last is not None and isinstance(last.what, LayerStep | AffineStep | AddStep):
            self.steps[-1] = replace(last, clip=limits if last.clip is None else (0.0, min(limits[1], last.clip[1])))
            self.names[node] = last.name
        else:
            function = partial(torch.clamp, min=limits[0], max=limits[1])
            self.put(node, TableStep(function), function)

    def follows(self, node: fx.Node) -> Step | None:
        """The last step, if a node takes its value and nothing else does."""
        name = self.names[cast("fx.Node", node.args[0])]
        alone = all(len(other.users) == 1 for other, same in self.names.items() if same == name)
        return self.steps[-1] if self.steps and self.steps[-1].name == name and alone else None

    def layer(self, node: fx.Node, text: str, layer: Any) -> None:
        """A layer without what it does behind its copies; that becomes a clip or a step of its own."""
        window, groups = None, 1
        shape = self.shapes[self.names[cast("fx.Node", node.args[0])]]
        if type(layer) in CONVOLUTIONS:
            axes = CONVOLUTIONS[type(layer)]
            window, groups = window_of(layer, axes, text), layer.groups
            if len(shape) != axes + 1:
                raise TBNError(f"{text} on {len(shape)} axes behind the batch", FIX)
            window = self.with_border(node, window)
        elif len(shape) != 1:
            raise TBNError(
                f"{text} that is shared by positions, an input of shape {shape}: only vectors have a twin", FIX
            )
        activation = getattr(layer, "activation", "none")
        plain: Any = layer
        if activation != "none":
            plain = _twin(layer)
            plain.activation = "none"
        clip = CLIPS[nn.ReLU] if activation == "relu" else None
        self.put(node, LayerStep(plain, window, groups), plain, clip)
        if activation == "gelu":
            before = self.steps.pop()
            self.steps.append(replace(before, name=f"{before.name}_sum"))
            self.steps.append(Step(before.name, (f"{before.name}_sum",), before.shape, TableStep(F.gelu), F.gelu))

    def with_border(self, node: fx.Node, window: Window) -> Window:
        """The window with the zeros that a ZeroPad2d in front of it has put there."""
        before = self.borders.get(self.names[cast("fx.Node", node.args[0])])
        if before is None:
            return window
        if any(window.before):
            raise TBNError(f"'{node.target}' pads an image that is padded already", FIX)
        return replace(window, before=before)

    def norm(self, node: fx.Node, text: str, norm: Any) -> None:
        if norm.running_mean is None:
            raise TBNError(f"{text} without running statistics", FIX)
        shape = self.shapes[self.names[cast("fx.Node", node.args[0])]]
        scale, shift = norm_affine(norm, shape[0])
        last = self.follows(node)
        if (
            last is not None
            and isinstance(last.what, LayerStep)
            and last.clip is None
            and not isinstance(last.what.layer, PackedLayer)
        ):
            twin = _twin(last.what.layer)
            _take_norm(twin, scale, shift)
            self.steps[-1] = replace(last, what=replace(last.what, layer=twin), compute=twin)
            self.names[node] = last.name
        else:
            self.put(node, AffineStep(scale, shift), norm)

    def reduce(self, node: fx.Node, text: str, largest: bool) -> None:
        """Mean or maximum over all axes behind the channels."""
        axes = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
        keep = node.args[2] if len(node.args) > 2 else node.kwargs.get("keepdim", False)
        count = len(self.shapes[self.names[cast("fx.Node", node.args[0])]])
        wanted = axes if isinstance(axes, tuple | list) else (axes,)
        if count < 2 or {axis % (count + 1) for axis in wanted if isinstance(axis, int)} != set(range(2, count + 1)):
            raise TBNError(f"{text} over other axes than those of space", FIX)
        function = partial(torch.amax if largest else torch.mean, dim=tuple(range(2, count + 1)), keepdim=bool(keep))
        self.put(node, PoolStep(largest, None), function)

    def add_sum(self, node: fx.Node, text: str) -> None:
        both = [self.shapes[self.names[source]] for source in node.args if isinstance(source, fx.Node)]
        if len(both) != 2 or both[0] != both[1] or set(node.kwargs) - {"alpha"} or node.kwargs.get("alpha", 1) != 1:
            raise TBNError(f"{text} on something else than two activations of one shape", FIX)
        self.put(node, AddStep(), torch.add)


def refused(text: str) -> TBNError:
    """What is said of an operation that this version has not."""
    return TBNError(f"{text}: integer networks have no such operation", FIX)


def _text(node: fx.Node, module: nn.Module | None) -> str:
    return f"'{node.target}' is a {type(module).__name__}" if module is not None else f"the model calls {_called(node)}"


def _with(function: Callable[..., Tensor], args: tuple[Any, ...], kwargs: dict[str, Any], x: Tensor) -> Tensor:
    return function(x, *args, **kwargs)


def _called(node: fx.Node) -> str:
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
