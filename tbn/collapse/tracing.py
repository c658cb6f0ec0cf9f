"""A module's forward as a graph (torch.fx), with the packed layers as its leaves; and the way down to the forwards that have one."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor, fx, nn

from tbn.collapse.factors import is_plain
from tbn.errors import TBNError
from tbn.packed import PackedLayer


class Untraceable(Exception):
    """The forward has no graph; the message says why, in one line."""


def trace(module: nn.Module) -> fx.Graph:
    """The graph of a module's forward, whatever the inputs; the module is unchanged.

    Arguments with a default are traced at it, and the graph raises where it is called with something else. As torch.fx always does, a forward that
    asks for the type of its input (``isinstance(x, Tensor)``) is followed with one that is no Tensor.

    Raises:
        Untraceable: control flow that depends on the inputs, or anything else that torch.fx does not follow.
    """
    if not is_plain(module):
        raise Untraceable("it has forward hooks, or a forward of its own")
    if isinstance(module, fx.GraphModule):
        return copy.deepcopy(module.graph)
    shared = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    try:
        return _Tracer().trace(copy.deepcopy(module, dict(shared)))  # a forward may keep what it sees on the module
    except Exception as error:  # the model's own code runs here: anything can be raised
        lines = str(error).strip().splitlines()
        raise Untraceable(f"{type(error).__name__}{': ' + lines[0] if lines else ''}") from error


CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)  # no forward of their own to trace


class Descent:
    """Goes down the modules of a model to those that can be traced, and puts what ``traced`` makes of them in their place.

    A ``Sequential`` below a forward that cannot be traced is left as it is: that forward may loop over its layers.

    Attributes:
        untraced: modules whose forward has no graph, and why.
    """

    def __init__(self) -> None:
        self.untraced: list[str] = []
        self._done: dict[int, nn.Module] = {}

    def traced(self, module: nn.Module, graph: fx.Graph, name: str) -> nn.Module:
        """What takes the place of a module that has a graph; ``name`` is its path in the model."""
        raise NotImplementedError

    def alone(self, layer: PackedLayer, name: str, above: str) -> None:
        """A packed layer whose caller has no graph; ``above`` says why."""

    def region(self, module: nn.Module, name: str = "", above: str = "") -> nn.Module:
        """The module worked on, or itself; ``above`` says why the forward that calls it was not traced."""
        if id(module) not in self._done:
            self._done[id(module)] = self._region(module, name, above)
        return self._done[id(module)]

    def _region(self, module: nn.Module, name: str, above: str) -> nn.Module:
        if not any(isinstance(part, PackedLayer) for part in module.modules()):
            return module
        if isinstance(module, PackedLayer):
            self.alone(module, name, above)
            return module
        if type(module) not in CONTAINERS or (type(module) is nn.Sequential and not above):
            try:
                graph = trace(module)
            except Untraceable as error:
                what = f"{type(module).__name__}{f' {name!r}' if name else ''}"
                self.untraced.append(f"{what}: {error}")
                above = f"the forward of {what} cannot be traced"
            else:
                return self.traced(module, graph, name)
        for child_name, child in list(module._modules.items()):
            if child is not None:
                module._modules[child_name] = self.region(child, f"{name}.{child_name}" if name else child_name, above)
        return module


class _Tracer(fx.Tracer):
    """Enters every module but packed layers and torch's own; torch's own too where it holds packed layers."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, PackedLayer):
            return True
        holds_packed = any(isinstance(child, PackedLayer) for child in m.modules())
        return not holds_packed and super().is_leaf_module(m, module_qualified_name)

    def create_args_for_root(
        self, root_fn: Callable[..., Any], is_module: bool, concrete_args: Any = None
    ) -> tuple[Callable[..., Any], list[Any]]:
        """An input for each argument of the forward. One that has a default keeps it; keyword-only ones and ``*args`` are left out."""
        args: list[Any] = [self.root]
        for name, parameter in list(inspect.signature(root_fn).parameters.items())[1:]:
            if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                break
            if parameter.default is parameter.empty:
                args.append(self.create_proxy("placeholder", name, (), {}))
            else:
                given = self.create_proxy("placeholder", name, (parameter.default,), {})
                self.create_proxy("call_function", _only_the_default, (given, name, parameter.default), {})
                args.append(parameter.default)
        return root_fn, args


def _only_the_default(value: object, name: str, default: object) -> None:
    if isinstance(value, Tensor) or (value is not default and value != default):
        raise TBNError(
            f"a collapsed model takes no other {name!r} than {default!r}, for which it was made",
            "use the packed model for this call",
        )
