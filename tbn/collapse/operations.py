"""What each operation does to copies. Anything that is not named here is refused.

Everything is known by one name, whether it is called as a module, a function or a method: ``nn.ReLU()(x)``, ``F.relu(x)`` and ``x.relu()``.
"""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import fx, nn
from torch.nn import functional as F

from tbn.collapse.copies import Copies, Refused
from tbn.collapse.factors import is_known, is_plain
from tbn.collapse.norms import BATCH_NORMS, LAYER_NORMS, pass_norm

if TYPE_CHECKING:
    from tbn.collapse.walk import Walk

IDENTITIES = {
    *("identity", "dropout", "dropout1d", "dropout2d", "alpha_dropout", "contiguous", "clone", "detach", "float"),
}
HOMOGENEOUS = {"relu", "relu_", "leaky_relu", "leaky_relu_"}  # f(a v) = a f(v) for a >= 0
ELEMENTWISE = {
    *("gelu", "silu", "mish", "tanh", "sigmoid", "elu", "selu", "celu", "softplus", "softsign", "logsigmoid", "relu6"),
    *("hardtanh", "hardswish", "hardsigmoid", "square", "exp", "abs", "sqrt", "rsqrt", "neg", "clamp", "erf"),
    "to",  # any dtype, also one that rounds
}
ARITHMETIC = {"add", "iadd", "sub", "isub", "mul", "imul", "truediv", "itruediv", "div", "pow"}
POOLINGS = {
    f"{adaptive}{kind}_pool{axes}d": (kind, axes)
    for adaptive in ("", "adaptive_")
    for kind in ("max", "avg")
    for axes in (1, 2)
}
REDUCTIONS = {"mean", "amax", "amin"}
RESHAPES = {"view", "reshape"}
NAMES = IDENTITIES | HOMOGENEOUS | ELEMENTWISE | ARITHMETIC | set(POOLINGS) | REDUCTIONS | RESHAPES
FUNCTIONS = {
    getattr(home, name): name
    for name in sorted(NAMES | {"flatten", "interpolate"})
    for home in (torch, F, operator)
    if callable(getattr(home, name, None))
}
_LIKE_THEIR_FUNCTION = (
    *(nn.ReLU, nn.GELU, nn.SiLU, nn.Mish, nn.Tanh, nn.Sigmoid, nn.ELU, nn.SELU, nn.CELU, nn.Softplus, nn.Softsign),
    *(nn.LogSigmoid, nn.ReLU6, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Flatten, nn.Identity),
)
MODULES: dict[type[nn.Module], str] = {
    **{kind: kind.__name__.lower() for kind in _LIKE_THEIR_FUNCTION},
    **dict.fromkeys((nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout), "identity"),  # in eval mode
    **dict.fromkeys((nn.Upsample, nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d), "interpolate"),
    nn.LeakyReLU: "leaky_relu",
    nn.MaxPool1d: "max_pool1d",
    nn.MaxPool2d: "max_pool2d",
    nn.AvgPool1d: "avg_pool1d",
    nn.AvgPool2d: "avg_pool2d",
    nn.AdaptiveMaxPool1d: "adaptive_max_pool1d",
    nn.AdaptiveMaxPool2d: "adaptive_max_pool2d",
    nn.AdaptiveAvgPool1d: "adaptive_avg_pool1d",
    nn.AdaptiveAvgPool2d: "adaptive_avg_pool2d",
}


class Call(NamedTuple):
    """A node as a call of one operation on its first argument."""

    name: str
    text: str  # as the model writes it, for reasons
    module: nn.Module | None
    args: tuple[Any, ...]  # behind the first
    kwargs: dict[str, Any]

    def option(self, name: str, position: int, default: Any) -> Any:
        """An argument, wherever it stands: attribute of the module, keyword, or ``args[position]``."""
        if self.module is not None:
            return getattr(self.module, name, default)
        return self.kwargs.get(name, self.args[position] if len(self.args) > position else default)


def _call(node: fx.Node, walk: Walk) -> Call:
    module = walk.modules[str(node.target)] if node.op == "call_module" else None
    args, kwargs = tuple(node.args[1:]), dict(node.kwargs)
    if module is not None:
        text = f"{type(module).__name__} {str(node.target)!r}"
        if not is_plain(module) or args or kwargs:
            raise Refused(f"{text} has hooks or further inputs")
        if is_known(module):
            raise Refused(f"{text} is called several times")
        return Call(MODULES.get(type(module), ""), text, module, args, kwargs)
    if node.op == "call_method":
        return Call(str(node.target), str(node.target), None, args, kwargs)
    if node.op == "output":
        raise Refused("it is an output of what was traced")
    name = FUNCTIONS.get(node.target, "") if callable(node.target) else ""
    return Call(name, getattr(node.target, "__name__", str(node.target)), None, args, kwargs)


def apply(node: fx.Node, walk: Walk) -> Copies | None:
    """What is known of a node's value, where at least one of its inputs has copies.

    Raises:
        Refused: the copies do not survive.
    """
    call = _call(node, walk)
    first = node.args[0] if node.args else None
    value = walk.values.get(first) if isinstance(first, fx.Node) else None
    if call.name in ARITHMETIC:
        return _arithmetic(node, call, walk)
    if _reads_shape(node, call, value, walk):
        return None
    if value is None:
        raise Refused(f"{call.text} joins it with something else")
    if call.name in RESHAPES or call.name == "flatten":
        return _flatten(call, value, walk)
    for other in node.all_input_nodes[1:]:
        if other in walk.values or other in walk.batches or call.name not in ("to", "interpolate"):
            raise Refused(f"{call.text} joins it with something else")
    if type(call.module) in BATCH_NORMS or type(call.module) in LAYER_NORMS:
        return pass_norm(node, call.text, call.module, value, walk)
    return _alone(call, value, walk)


def _alone(call: Call, value: Copies, walk: Walk) -> Copies:
    """Operations of one input."""
    name = call.name
    if name in IDENTITIES:
        if "dropout" in name and call.option("training", 1, True) is not False:
            raise Refused(f"{call.text} is random")
        return value
    if name in HOMOGENEOUS or name in ELEMENTWISE:
        return walk.settled(value, call.text, scaled=name in HOMOGENEOUS)
    if name in POOLINGS:
        kind, axes = POOLINGS[name]
        if value.tail != axes or value.flat:
            raise Refused(f"{call.text} pools over another axis than those behind the copies")
        if call.option("return_indices", 1 if "adaptive" in name else 5, False):
            raise Refused(f"{call.text} returns indices")
        return _monotone(call, value, walk, zeros=kind == "avg" and _adds_zeros(call), ordered=kind == "max")
    if name == "interpolate" and value.tail:
        return value  # a mean of neighbours with weights that add up to 1
    if name in REDUCTIONS:
        return _reduce(call, value, walk)
    raise Refused(f"{call.text} is not known to keep copies")


def _adds_zeros(call: Call) -> bool:
    """Whether the weights of an average pooling may add up to something else than 1."""
    padding, divisor = call.option("padding", 2, 0), call.option("divisor_override", 5, None)
    return "adaptive" not in call.name and (padding not in (0, (0,), (0, 0)) or divisor is not None)


def _monotone(call: Call, value: Copies, walk: Walk, *, zeros: bool, ordered: bool) -> Copies:
    """Poolings commute with a scale >= 0 and a shift of a channel; an average also with a negative one, but not with a shift beside zeros."""
    if (zeros and value.shift.any()) or (ordered and bool((value.scale < 0).any())):
        return walk.settled(value, call.text, scaled=True)
    return value


def _reduce(call: Call, value: Copies, walk: Walk) -> Copies:
    axes = call.option("dim", 0, None)
    axes = (axes,) if isinstance(axes, int) else axes
    behind = isinstance(axes, tuple | list) and all(
        isinstance(axis, int) and (-value.tail <= axis < 0 or (value.tail and axis >= 2)) for axis in axes
    )
    if not behind or not axes or value.flat:
        raise Refused(f"{call.text} is not over axes behind the copies only")
    value = _monotone(call, value, walk, zeros=False, ordered=call.name != "mean")
    keep = call.option("keepdim", 1, False)
    return value if keep else replace(value, tail=value.tail - len({axis % (value.tail + 2) for axis in axes}))


def _reads_shape(node: fx.Node, call: Call, value: Copies | None, walk: Walk) -> bool:
    """Whether a node asks a value for its dtype, device or first size (the batch); that may only be used to flatten what is behind it."""
    asked = node.args[1] if node.target is getattr else call.name
    if value is None:  # then it is an index into a shape
        if node.target is operator.getitem and node.args[0] in walk.batches:
            walk.batches[node] = walk.batches[cast("fx.Node", node.args[0])]
            return True
        return False
    if node.target is getattr and asked in ("dtype", "device"):
        return True
    if node.target is getattr and asked != "shape":
        raise Refused(f"the model reads its {asked}")
    if asked not in ("shape", "size"):
        return False
    whole = not call.args if asked == "size" else True
    if call.args != (0,) and not (
        whole and all(user.target is operator.getitem and user.args[1] == 0 for user in node.users)
    ):
        raise Refused("the model reads its shape")
    walk.batches[node] = value.producers
    return True


def _flatten(call: Call, value: Copies, walk: Walk) -> Copies:
    """Joins the axes behind the channels to them, or those before. The batch is the first axis and stays."""
    if call.name == "flatten":
        start = call.option("start_dim", 0, 1 if call.module is not None else 0)
        end = call.option("end_dim", 1, -1)
    else:
        shape = call.args[0] if len(call.args) == 1 else call.args
        pair = isinstance(shape, tuple | list) and len(shape) == 2 and shape[1] == -1
        own = pair and isinstance(shape[0], fx.Node) and walk.batches.get(shape[0]) == value.producers
        start, end = (1, -1) if own else (None, None)
    if value.tail and not value.flat and start in (1, -1 - value.tail) and end in (-1, 1 + value.tail):
        return replace(value, tail=0, flat="inner")
    if not value.tail and value.flat != "inner" and start == 1 and end == -1:
        return replace(value, flat="outer")
    raise Refused(f"{call.text} moves the copies in a way that is not followed")


def _arithmetic(node: fx.Node, call: Call, walk: Walk) -> Copies:
    """A number beside the copies, or copies beside copies."""
    operands = node.args[:2]
    given = [walk.values.get(other) if isinstance(other, fx.Node) else None for other in operands]
    if any(isinstance(other, fx.Node) and known is None for other, known in zip(operands, given, strict=True)) or len(
        node.all_input_nodes
    ) != len({other for other in operands if isinstance(other, fx.Node)}):
        verb = "multiplied with" if call.name in ("mul", "imul", "truediv", "itruediv", "div", "pow") else "added to"
        raise Refused(f"it is {verb} something that has no copies")
    values = [known for known in given if known is not None]
    if len(values) == 1:
        scales = call.name in ("mul", "imul") or (call.name in ("truediv", "itruediv", "div") and given[0] is not None)
        return walk.settled(values[0], call.text, scaled=scales and not call.kwargs)
    one, other = (walk.settled(value, call.text, scaled=False) for value in values)
    if not one.same_layout(other):
        raise Refused(f"{call.text} joins it with copies that lie in another way")
    return replace(one, producers=one.producers | other.producers)
