"""Where activations meet, or become fewer: sums, products, constants, means and maxima of a graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import cast

import torch
from torch import Tensor, fx

from tbn.errors import TBNError
from tbn.integer import views
from tbn.integer.building import Steps, refused
from tbn.integer.network import Window
from tbn.integer.steps import FIX, AddStep, LayerStep, PoolStep, ProductStep, Step, ViewStep


class Combining(Steps):
    """Steps of several activations, and of several positions."""

    def reduce(self, node: fx.Node, text: str, largest: bool) -> None:
        """Mean or maximum over all axes behind the channels, or over all vectors."""
        axes = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
        keep = bool(node.args[2] if len(node.args) > 2 else node.kwargs.get("keepdim", False))
        shape = self.shapes[self.names[cast("fx.Node", node.args[0])]]
        count = len(shape)
        wanted = axes if isinstance(axes, tuple | list) else (axes,)
        found = {axis % (count + 1) for axis in wanted if isinstance(axis, int)}
        if count == 2 and found == {1} and not keep:
            self.turn(node, text, (1, 0), f"{node.name}_turned")
            source = f"{node.name}_turned"
        elif count < 2 or found != set(range(2, count + 1)):
            raise TBNError(f"{text} over other axes than those of space", FIX)
        else:
            source = self.names[cast("fx.Node", node.args[0])]
        behind = tuple(range(2, count + 1))
        function = partial(torch.amax if largest else torch.mean, dim=behind, keepdim=keep)
        last = self.follows(node)
        if largest and last is not None and _of_one_pixel(last):
            shape = tuple(function(torch.zeros(1, *last.shape)).shape[1:])
            what = replace(cast("LayerStep", last.what), largest=True)
            self.steps[-1] = replace(last, shape=shape, what=what, compute=partial(_after, function, last.compute))
            self.names[node], self.shapes[last.name] = last.name, shape
        else:
            self.put(node, PoolStep(largest, None), function, sources=(source,))

    def combine(self, node: fx.Node, text: str, active: list[fx.Node], multiplies: bool) -> None:
        """Sum of two activations; a factor or a shift that is a constant joins the layer before it."""
        if set(node.kwargs) - {"alpha"} or node.kwargs.get("alpha", 1) != 1 or len(node.args) != 2:
            raise refused(text)
        if len(active) == 1 and node.args != (active[0], active[0]):
            other = next(argument for argument in node.args if argument is not active[0])
            value = torch.as_tensor(views.values((other,), self.constants)[0], dtype=torch.float64)
            self.fold(node, text, active[0], value, multiplies)
            return
        both = [self.shapes[self.names[source]] for source in node.args if isinstance(source, fx.Node)]
        if multiplies or len(both) != 2 or both[0] != both[1]:
            raise TBNError(f"{text} on something else than two activations of one shape", FIX)
        self.put(node, AddStep(), torch.add)

    def fold(self, node: fx.Node, text: str, source: fx.Node, value: Tensor, multiplies: bool) -> None:
        """Walks back over views to the linear layer that is to take in a constant."""
        shape = self.shapes[self.names[source]]
        name = self.names[source]
        step = next((index for index, step in enumerate(self.steps) if step.name == name), None)
        while step is not None and isinstance(self.steps[step].what, ViewStep) and self.alone(name):
            name = self.steps[step].sources[0]
            step = next((index for index, step in enumerate(self.steps) if step.name == name), None)
        what = None if step is None else self.steps[step].what
        vector = isinstance(what, LayerStep) and what.window is None and what.positions == 1
        if step is None or not vector or not self.alone(name) or self.steps[step].clip is not None:
            raise TBNError(f"{text} of an activation and a constant, behind something else than a linear layer", FIX)
        flat = value.expand(shape).reshape(-1)
        one, nothing = torch.ones_like(flat), torch.zeros_like(flat)
        self.take_in(step, flat if multiplies else one, nothing if multiplies else flat)
        self.names[node] = self.names[source]

    def product(self, node: fx.Node, text: str, active: list[fx.Node]) -> None:
        """Matrix product of two activations."""
        shapes = [self.shapes[self.names[source]] for source in active]
        if len(active) != 2 or list(node.args) != active or [len(shape) for shape in shapes] != [2, 2]:
            raise TBNError(f"{text}: only products of two matrices of activations have a twin", FIX)
        (rows, inner), (_, columns) = shapes
        self.put(node, ProductStep(rows, inner, columns), torch.matmul)


def _of_one_pixel(step: Step) -> bool:
    """Whether a step is a convolution whose largest output can be kept as it goes."""
    what = step.what
    one = isinstance(what, LayerStep) and what.groups == 1 and what.window in (Window((1, 1)),) and not what.largest
    return one and getattr(cast("LayerStep", what).layer, "order", "rows") in ("rows", "inputs")


def _after(second: Callable[..., Tensor], first: Callable[..., Tensor], x: Tensor) -> Tensor:
    return second(first(x))
