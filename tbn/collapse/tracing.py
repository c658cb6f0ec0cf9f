"""A module's forward as a graph (torch.fx), with the layers that are collapsed as its leaves."""

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
    shared = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    try:
        return _Tracer().trace(copy.deepcopy(module, dict(shared)))  # a forward may keep what it sees on the module
    except Exception as error:  # the model's own code runs here: anything can be raised
        lines = str(error).strip().splitlines()
        raise Untraceable(f"{type(error).__name__}{': ' + lines[0] if lines else ''}") from error


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
