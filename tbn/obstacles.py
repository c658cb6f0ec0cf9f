"""Why a layer has to stay as it is: another forward needs its dense weight, or its own forward is not plain torch.

A layer can be replaced where it is exactly a layer that ``tile_`` knows, owns its weight alone, and is only ever called. A parent that uses
``self.qkv.weight`` itself (``nn.MultiheadAttention`` does) would go around the tiled forward without a sign of it. Such reads are found in the
source: from ``forward`` along the methods that it calls on ``self``. A weight that is reached in another way, or source that is not at hand, is
not seen; the packed model then raises (``tbn.packed_layer.WeightFacts``).
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from types import FunctionType

from torch import nn
from torch.nn.parameter import UninitializedParameter

from tbn.layers import DENSE, is_layer, is_transposed
from tbn.packed import PackedLayer

ASKS = frozenset(
    ["dtype", "device", "shape", "ndim", "size", "dim", "numel", "requires_grad", "is_cuda"]
)  # of a weight, but not its values


def obstacles(model: nn.Module) -> dict[int, str]:
    """The layers of ``model`` that cannot be replaced: id of the layer -> why."""
    named = dict(model.named_modules())
    owners: dict[int, list[str]] = {}
    for name, module in named.items():
        for parameter in module.parameters(recurse=False):
            owners.setdefault(id(parameter), []).append(name)
    found = {id(layer): f"{type(parent).__name__} uses its weight directly" for parent, layer in _direct_reads(model)}
    for name, module in named.items():
        if not is_layer(module):
            continue
        weight = module._parameters.get("weight")
        others = [owner for owner in owners.get(id(weight), ()) if owner != name]
        if isinstance(weight, UninitializedParameter):
            found[id(module)] = "it has no weights yet: pass one batch through the model first"
        elif type(module) not in DENSE and not is_transposed(module):
            found.setdefault(id(module), f"{_full_name(type(module))} is a subclass, which may do more than its parent")
        elif weight is None:
            found[id(module)] = "its weight is computed by a hook, as weight_norm does"
        elif others:
            found.setdefault(id(module), f"its weight is shared with {others[0]!r}")
        elif module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module):
            found.setdefault(id(module), "it has forward hooks, which would be lost: set them after tile_")
    return found


def _full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def other_weights(model: nn.Module) -> list[tuple[str, int, str]]:
    """Matrices outside of the layers, each once: (name, weights, what they belong to). Embeddings, packed attention, LSTMs, own parameters."""
    found: dict[int, tuple[str, int, str]] = {}
    for name, module in model.named_modules():
        for key, parameter in module.named_parameters(recurse=False):
            if is_layer(module) and key in ("weight", "alpha_source"):
                continue
            if not isinstance(parameter, UninitializedParameter) and parameter.dim() > 1:
                path = f"{name}.{key}" if name else key
                found.setdefault(id(parameter), (path, parameter.numel(), f"a parameter of {type(module).__name__}"))
    return list(found.values())


def _direct_reads(model: nn.Module) -> list[tuple[nn.Module, nn.Module]]:
    """(parent, layer) for each layer whose weight the parent's forward uses without calling the layer."""
    reads: dict[type[nn.Module], set[str]] = {}
    found = []
    for parent in model.modules():
        kind = type(parent)
        if not parent._modules or isinstance(parent, PackedLayer):
            continue
        if kind not in reads:
            reads[kind] = _weights_read(kind)
        for path in reads[kind]:
            try:
                layer = parent.get_submodule(path)
            except AttributeError:
                continue
            if is_layer(layer):
                found.append((parent, layer))
    return found


def _weights_read(kind: type[nn.Module]) -> set[str]:
    """Dotted paths of the submodules whose ``weight`` the forward of a class uses, e.g. {"self_attn.out_proj"}."""
    found: set[str] = set()
    seen: set[str] = set()
    todo = ["forward"]
    while todo:
        name = todo.pop()
        for owner in kind.__mro__[: kind.__mro__.index(nn.Module)] if name not in seen else ():
            if owner is nn.TransformerEncoderLayer:
                break  # only its fast path does, and tile_ turns that off
            tree = _source_of(vars(owner).get(name))
            if tree is None:
                continue
            asked = {id(part) for node in ast.walk(tree) for part in _only_asked(node)}
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute) and (path := _path(node)):
                    todo.append(path.partition(".")[0])
                    if path.endswith(".weight") and id(node) not in asked:
                        found.add(path.removesuffix(".weight"))
            if not any(isinstance(node, ast.Name) and node.id == "super" for node in ast.walk(tree)):
                break
        seen.add(name)
    return found


def _source_of(member: object) -> ast.AST | None:
    """The parsed source of a method or property; None where there is none to read."""
    if isinstance(member, property):
        member = member.fget
    function = inspect.unwrap(member) if isinstance(member, FunctionType) else None
    if function is None:
        return None
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return None


def _only_asked(node: ast.AST) -> list[ast.AST]:
    """The expressions that a node asks for something else than their values: ``x`` in ``x.dtype`` and in ``isinstance(x, Tensor)``."""
    if isinstance(node, ast.Attribute) and node.attr in ASKS:
        return [node.value]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
        return list(node.args)
    return []


def _path(node: ast.expr) -> str:
    """ "a.b" of ``self.a.b``; empty for anything else."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join(reversed(names)) if isinstance(node, ast.Name) and node.id == "self" else ""
