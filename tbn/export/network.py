"""A packed model as a plain list of steps that the C runtime has: fully connected layers, each with or without a ReLU.

The model's graph is traced with torch.fx; anything but a chain of Flatten, PackedLinear, Linear, ReLU, Dropout and Identity is refused by
name, because a model that is exported in part would give wrong answers.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import fx, nn
from torch.nn import functional as F

from kernels.layout import TileGeometry
from kernels.orders import Order, roll
from tbn.errors import TBNError
from tbn.integer.orders import without_order
from tbn.packed import PackedLayer, PackedLinear

Floats = npt.NDArray[np.float32]
FIX = "export it in integers (--precision integer), or evaluate it with another engine"


@dataclass(frozen=True)
class FullyConnected:
    """One layer. Either ``tile`` (ceil(q/8),) uint8 and ``alphas`` (p,) or (1,), or ``weight`` (rows, row_length); ``bias`` (rows,) or None."""

    name: str
    rows: int
    row_length: int
    bias: Floats | None
    tile: npt.NDArray[np.uint8] | None = None
    alphas: Floats | None = None
    p: int = 0
    weight: Floats | None = None
    relu: bool = False
    order: Order = "rows"

    @property
    def geometry(self) -> TileGeometry:
        return TileGeometry(self.rows, self.row_length, max(1, self.p), self.order)

    @property
    def operation(self) -> str:
        """The C operation: "tiled" and "interleaved" want whole rows in the tile, on byte borders; "pieces" and "ordered" take any geometry."""
        if self.weight is not None:
            return "float32"
        whole = self.geometry.copies == self.p and self.row_length % 8 == 0
        if self.order == "rows":
            return "tiled" if whole else "pieces"
        return "interleaved" if whole else "ordered"

    @property
    def roll(self) -> int:
        """How far each tile is rolled beyond the one before."""
        return roll(self.row_length, self.p, self.geometry.tile_length) if self.order == "rolled" else 0


@dataclass(frozen=True)
class Fold:
    """Inputs that meet equal signs, added up in place before the layer ``name``: ``count`` sums of ``copies`` inputs, with alphas or none."""

    name: str
    count: int
    copies: int
    alphas: Floats | None = None


@dataclass(frozen=True)
class Relu:
    """A ReLU that follows no layer (on the input, or twice in a row): done in place."""


Step = FullyConnected | Fold | Relu


def steps_of(model: nn.Module) -> tuple[Step, ...]:
    """The steps of ``model`` in order; a ReLU right after a layer is part of it."""
    steps: list[Step] = []
    for step in _walk(model):
        last = steps[-1] if steps else None
        if isinstance(step, Relu) and isinstance(last, FullyConnected) and not last.relu:
            steps[-1] = replace(last, relu=True)
        else:
            steps.append(step)
    layers = [step for step in steps if isinstance(step, FullyConnected)]
    if not layers:
        raise TBNError("the model has no fully connected layer, so there is nothing to export", FIX)
    if not isinstance(steps[-1], FullyConnected):
        raise TBNError("the model does not end with a fully connected layer", FIX)
    for before, after in itertools.pairwise(layers):
        if before.rows != inputs_of(steps, after):
            raise TBNError(
                f"'{before.name}' gives {before.rows} values but '{after.name}' takes {inputs_of(steps, after)}", FIX
            )
    return tuple(steps)


def inputs_of(steps: Iterable[Step], layer: FullyConnected) -> int:
    """Inputs of a layer, before some of them are added up."""
    folded = next((step for step in steps if isinstance(step, Fold) and step.name == layer.name), None)
    return layer.row_length if folded is None else folded.count * folded.copies


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, PackedLayer) or super().is_leaf_module(m, module_qualified_name)


def _walk(model: nn.Module) -> list[Step]:
    try:
        graph = _Tracer().trace(model)
    except Exception as error:  # torch.fx raises many kinds; all mean that the forward is no fixed graph
        raise TBNError(f"the forward of {type(model).__name__} cannot be traced: {error}", FIX) from error
    modules = dict(model.named_modules())
    steps: list[Step] = []
    previous: fx.Node | None = None
    for node in graph.nodes:
        if node.op == "output":
            if node.args[0] is not previous:
                raise TBNError("the model returns something else than its last layer's output", FIX)
            break
        if node.op == "placeholder":
            if previous is not None:
                raise TBNError("the model takes more than one input", FIX)
        else:
            if list(node.all_input_nodes) != [previous]:
                raise TBNError(f"'{node.target}' does not simply follow the step before it (a branch or a sum)", FIX)
            steps += _step(node, modules)
        previous = node
    return steps


def _step(node: fx.Node, modules: dict[str, nn.Module]) -> tuple[Step, ...]:
    if node.op == "call_module":
        return _module_step(str(node.target), modules[str(node.target)])
    if node.target in (torch.flatten, "flatten") and _flattens(node):
        return ()
    if node.target in (torch.relu, F.relu, "relu"):
        return (Relu(),)
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    raise TBNError(
        f"the model calls '{name}': the C runtime of this version has fully connected layers and ReLU only in float32",
        FIX,
    )


def _flattens(node: fx.Node) -> bool:
    start = node.args[1] if len(node.args) > 1 else node.kwargs.get("start_dim", 0)
    end = node.args[2] if len(node.args) > 2 else node.kwargs.get("end_dim", -1)
    return (start, end) == (1, -1)


def _module_step(name: str, module: nn.Module) -> tuple[Step, ...]:
    if isinstance(module, PackedLinear):
        folded, plain = without_order(module, name)
        layer = FullyConnected(
            name, plain.out_features, plain.in_features, _floats(name, "bias", plain.bias),
            tile=plain.tile.detach().cpu().numpy().copy(), alphas=_floats(name, "alphas", plain.alphas), p=plain.p,
            order=plain.order if plain.geometry.copies > 1 or plain.order == "rolled" else "rows",
        )  # fmt: skip
        if folded is None:
            return (layer,)
        alphas = None if bool((folded.factors == 1).all()) else _floats(name, "alphas", folded.factors)
        return Fold(name, plain.in_features, len(folded.factors), alphas), layer
    if type(module) is nn.Linear:
        weight = _floats(name, "weight", module.weight)
        bias = _floats(name, "bias", module.bias)
        return (FullyConnected(name, module.out_features, module.in_features, bias, weight=weight),)
    if isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1):
        return ()
    if isinstance(module, nn.ReLU):
        return (Relu(),)
    if isinstance(module, nn.Identity) or (isinstance(module, nn.Dropout) and not module.training):
        return ()
    kind = f"{type(module).__name__} in training mode" if isinstance(module, nn.Dropout) else type(module).__name__
    raise TBNError(
        f"'{name}' is a {kind}: the C runtime of this version has fully connected layers and ReLU only in float32", FIX
    )


def _floats(layer: str, what: str, values: torch.Tensor | None) -> Floats | None:
    if values is None:
        return None
    array = values.detach().cpu().to(torch.float32).numpy().copy()
    if not np.isfinite(array).all():
        raise TBNError(
            f"the {what} of '{layer}' holds numbers that are not finite",
            "train the run again with a lower learning rate",
        )
    return array
