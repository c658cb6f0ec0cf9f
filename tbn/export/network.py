"""A packed model as a plain list of steps that the C runtime has: fully connected layers, each with or without a ReLU.

The model's graph is traced with torch.fx; anything but a chain of Flatten, PackedLinear, Linear, ReLU, Dropout and Identity is refused by
name, because a model that is exported in part would give wrong answers.
"""

import itertools
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import fx, nn
from torch.nn import functional as F

from kernels.layout import TileGeometry
from tbn.errors import TBNError
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

    @property
    def geometry(self) -> TileGeometry:
        return TileGeometry(self.rows, self.row_length, max(1, self.p))

    @property
    def operation(self) -> str:
        """The C operation: "tiled" wants whole rows in the tile, on byte borders; "pieces" takes any geometry."""
        if self.weight is not None:
            return "float32"
        return "tiled" if self.geometry.copies == self.p and self.row_length % 8 == 0 else "pieces"


@dataclass(frozen=True)
class Relu:
    """A ReLU that follows no layer (on the input, or twice in a row): done in place."""


Step = FullyConnected | Relu


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
        if before.rows != after.row_length:
            raise TBNError(
                f"'{before.name}' gives {before.rows} values but '{after.name}' takes {after.row_length}", FIX
            )
    return tuple(steps)


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
            step = _step(node, modules)
            if step is not None:
                steps.append(step)
        previous = node
    return steps


def _step(node: fx.Node, modules: dict[str, nn.Module]) -> Step | None:
    if node.op == "call_module":
        return _module_step(str(node.target), modules[str(node.target)])
    if node.target in (torch.flatten, "flatten") and _flattens(node):
        return None
    if node.target in (torch.relu, F.relu, "relu"):
        return Relu()
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    raise TBNError(
        f"the model calls '{name}': the C runtime of this version has fully connected layers and ReLU only in float32",
        FIX,
    )


def _flattens(node: fx.Node) -> bool:
    start = node.args[1] if len(node.args) > 1 else node.kwargs.get("start_dim", 0)
    end = node.args[2] if len(node.args) > 2 else node.kwargs.get("end_dim", -1)
    return (start, end) == (1, -1)


def _module_step(name: str, module: nn.Module) -> Step | None:
    if isinstance(module, PackedLinear):
        if module.order != "rows" and module.p > 1:
            raise TBNError(
                f"the blocks of '{name}' lie in the order {module.order!r}, and the C runtime reads 'rows'",
                "train with order='rows' for a board, or use another engine",
            )
        return FullyConnected(
            name, module.out_features, module.in_features, _floats(name, "bias", module.bias),
            tile=module.tile.detach().cpu().numpy().copy(), alphas=_floats(name, "alphas", module.alphas), p=module.p,
        )  # fmt: skip
    if type(module) is nn.Linear:
        weight = _floats(name, "weight", module.weight)
        return FullyConnected(
            name, module.out_features, module.in_features, _floats(name, "bias", module.bias), weight=weight
        )
    if isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1):
        return None
    if isinstance(module, nn.ReLU):
        return Relu()
    if isinstance(module, nn.Identity) or (isinstance(module, nn.Dropout) and not module.training):
        return None
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
