"""Steps in the making: where each activation of a graph comes from, its shape, and what merely looks at it differently."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from tbn.errors import TBNError
from tbn.fusion import _take_norm, _twin
from tbn.integer import operators, views
from tbn.integer.steps import FIX, INPUT, LayerStep, Step, ViewStep, What


class Steps:
    """The steps so far.

    Attributes:
        names: the step that makes an activation, by node; shapes: of one sample, by step.
        constants: what other nodes are.
        borders: zeros above and left of an image, by the step that has them.
        viewed: steps whose numbers lie as those of another shape.
        empty: activations without any number.
    """

    def __init__(self, root: nn.Module, input_shape: tuple[int, ...]) -> None:
        self.root = root
        self.modules = dict(root.named_modules(remove_duplicate=False))
        self.steps: list[Step] = []
        self.names: dict[fx.Node, str] = {}
        self.shapes: dict[str, tuple[int, ...]] = {INPUT: input_shape}
        self.constants: dict[fx.Node, Any] = {}
        self.borders: dict[str, tuple[int, int]] = {}
        self.viewed: set[str] = set()
        self.empty: set[fx.Node] = set()

    def put(
        self, node: fx.Node, what: What, compute: Callable[..., Tensor], clip: tuple[float, float] | None = None,
        sources: tuple[str, ...] = (), name: str = "",
    ) -> None:  # fmt: skip
        """Appends a step and finds its shape."""
        sources = sources or tuple(
            self.names[source] for source in node.args[:2] if isinstance(source, fx.Node) and source in self.names
        )
        found = [torch.zeros(views.SAMPLES, *self.shapes[source]) for source in sources]
        if not isinstance(what, LayerStep) and self.borders.keys() & set(sources):
            raise TBNError(f"the zeros around '{sources[0]}' are followed by no convolution", FIX)
        if getattr(what, "window", None) is not None and self.viewed & set(sources):
            raise TBNError(f"the model calls {called(node)} on an image in another shape", FIX)
        out = compute(*found)
        if len(out) != views.SAMPLES:
            raise TBNError(f"the model calls {called(node)} on the axis of the batch", FIX)
        name = name or node.name
        self.names[node] = name
        self.shapes[name] = shape = tuple(out.shape[1:])
        self.steps.append(Step(name, sources, shape, what, compute, clip))

    def view(self, node: fx.Node, module: nn.Module | None) -> None:
        """The same numbers in another shape."""
        zeros = torch.zeros(views.SAMPLES, *self.shapes[self.names[cast("fx.Node", node.args[0])]])
        out = module(zeros) if module is not None else views.call(node, self.constants, zeros)
        if len(out) != views.SAMPLES:
            raise TBNError(f"the model calls {called(node)} on the axis of the batch", FIX)
        self.put(node, ViewStep(), views.reshaped(tuple(out.shape[1:])))
        self.viewed.add(node.name)

    def turn(self, node: fx.Node, text: str, order: tuple[int, ...] | None, name: str) -> None:
        """Axes in another order: two neighbouring blocks of them change places."""
        source = self.names[cast("fx.Node", node.args[0])]
        what = None if order is None else views.swap(self.shapes[source], order)
        if what is None or order is None:
            raise TBNError(f"{text}: only neighbouring axes change places, and not the batch's", FIX)
        step: What = ViewStep() if what.rows == 1 or what.columns == 1 else what
        self.put(node, step, views.turned(order), name=name)
        if isinstance(step, ViewStep):
            self.viewed.add(name)

    def follows(self, node: fx.Node) -> Step | None:
        """The last step, if a node takes its value and nothing else does."""
        name = self.names[cast("fx.Node", node.args[0])]
        return self.steps[-1] if self.steps and self.steps[-1].name == name and self.alone(name) else None

    def alone(self, name: str) -> bool:
        """Whether a step's numbers are taken once; its shape and type may be, too."""
        takers = [other.users.keys() - self.constants.keys() for other, same in self.names.items() if same == name]
        return all(len(users) == 1 for users in takers)

    def take_in(self, index: int, scale: Tensor, shift: Tensor) -> None:
        """Folds (outputs,) float64 scale and shift into the layer of a step."""
        step = self.steps[index]
        what = cast("LayerStep", step.what)
        twin = _twin(what.layer)
        gain = getattr(twin, "gain", None)
        _take_norm(twin, scale, shift)
        if gain is not None:
            twin.gain = twin.gain * gain
        self.steps[index] = replace(step, what=replace(what, layer=twin), compute=cast("Callable[..., Tensor]", twin))

    def select(self, node: fx.Node, text: str, active: list[fx.Node]) -> None:
        """A part that is everything or nothing, and what is left of several."""
        if called(node) == "cat":
            full = [source for source in active if source not in self.empty]
            if len(full) != 1:
                raise TBNError(f"{text}: {operators.TWO_SCALES}", FIX)
            self.names[node] = self.names[full[0]]
            return
        shape = self.shapes[self.names[active[0]]]
        part = views.call(node, self.constants, torch.zeros(views.SAMPLES, *shape))
        if part.numel() == 0:
            self.empty.add(node)
        elif tuple(part.shape) == (views.SAMPLES, *shape):
            self.names[node] = self.names[active[0]]
        else:
            raise TBNError(f"{text}: a part of an activation has no twin", FIX)


def refused(text: str) -> TBNError:
    """What is said of an operation that this version has not."""
    return TBNError(f"{text}: integer networks have no such operation", FIX)


def text_of(node: fx.Node, module: nn.Module | None) -> str:
    """A node in words."""
    return f"'{node.target}' is a {type(module).__name__}" if module is not None else f"the model calls {called(node)}"


def called(node: fx.Node) -> str:
    """The name of what a node calls."""
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
