"""Fusion: the BatchNorm and the activation behind a packed layer are done where its copies are written.

``activation(norm(layer(x)))`` becomes one pass over the outputs, ``activation(alpha * gain * z + bias)`` with the products z of the distinct
rows: in eval mode a BatchNorm is a factor and a shift of each channel; the factor joins the alphas (``gain``), the shift the bias. The answer is
the same up to float rounding. Activations that are fused: ReLU and the exact GELU. Dense layers take in their BatchNorm, too.
"""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from tbn.collapse.factors import is_plain
from tbn.collapse.norms import norm_affine
from tbn.collapse.rewrite import Replicate, place
from tbn.collapse.tracing import Descent
from tbn.errors import TBNError
from tbn.layers import TiledLayer
from tbn.packed import PackedConv1d, PackedConv2d, PackedConv3d, PackedLayer, PackedLinear

# layer -> the norm over its outputs
NORMS: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: nn.BatchNorm1d,
    PackedLinear: nn.BatchNorm1d,
    nn.Conv1d: nn.BatchNorm1d,
    PackedConv1d: nn.BatchNorm1d,
    nn.Conv2d: nn.BatchNorm2d,
    PackedConv2d: nn.BatchNorm2d,
    nn.Conv3d: nn.BatchNorm3d,
    PackedConv3d: nn.BatchNorm3d,
}
REPLICATED = {0: nn.BatchNorm1d, 1: nn.BatchNorm1d, 2: nn.BatchNorm2d}  # by the axes behind the channels
FUNCTIONS: dict[Any, str] = {F.relu: "relu", F.relu_: "relu", torch.relu: "relu", torch.relu_: "relu", F.gelu: "gelu"}


def fuse(packed: nn.Module) -> nn.Module:
    """Take norms and activations into the layers before them. The model itself is unchanged.

    A model whose forward torch.fx can trace becomes a ``torch.fx.GraphModule``; of one that it cannot, the parts that it can. Inputs come in
    batches. The result is for inference, and no packed file holds it: save the packed model, and fuse it after loading.

    Args:
        packed: what ``tbn.freeze``, ``tbn.load`` or ``tbn.collapse.collapse`` returned, in eval mode.

    Raises:
        TBNError: the model is not packed or not in eval mode.
    """
    modules = list(packed.modules())
    if any(isinstance(module, TiledLayer) for module in modules):
        raise TBNError("the model has latent weights, and only packed layers are fused", "fuse(tbn.freeze(model))")
    if not any(isinstance(module, PackedLayer) for module in modules):
        raise TBNError(
            f"{type(packed).__name__} has no packed layer", "call tbn.tile_(model), train, then fuse(tbn.freeze(model))"
        )
    if any(module.training for module in modules):
        raise TBNError("the model is in training mode, where a BatchNorm is no fixed map", "call model.eval()")
    fused = _Fusion().region(copy.deepcopy(packed))
    if hasattr(packed, "tbn_model"):
        fused.tbn_model = packed.tbn_model  # its name in the registry
    return fused


class _Fusion(Descent):
    """Fuses what can be traced."""

    def traced(self, module: nn.Module, graph: fx.Graph, name: str) -> nn.Module:
        modules = dict(module.named_modules(remove_duplicate=False))
        changed = [_fuse_node(node, module, modules) for node in list(graph.nodes) if node.op == "call_module"]
        if not any(changed):
            return module
        graph.lint()
        return fx.GraphModule(module, graph, type(module).__name__).eval()


@torch.no_grad()
def _fuse_node(node: fx.Node, root: nn.Module, modules: dict[str, nn.Module]) -> bool:
    """Takes into a layer what comes behind it, if its output goes nowhere else; whether there was anything."""
    layer = modules.get(str(node.target))  # None: a norm or activation that was taken in
    if layer is None or not is_plain(layer) or (type(layer) not in NORMS and type(layer) is not Replicate):
        return False
    twin = _twin(layer)
    norm = _only_user(node)
    found = norm is not None and _is_norm_of(layer, norm, modules)
    if norm is not None and found:
        _take_norm(twin, *norm_affine(modules[str(norm.target)], _outputs(layer)))
        if isinstance(layer, nn.Linear | PackedLinear) or (isinstance(layer, Replicate) and not layer.tail):
            with node.graph.inserting_before(norm):
                norm.replace_all_uses_with(node.graph.call_function(_rows_of, (node,)))
        else:
            norm.replace_all_uses_with(node)
        node.graph.erase_node(norm)
    last = node
    if isinstance(twin, PackedLayer | Replicate):
        after = _only_user(node)
        if after is not None and after.target is _rows_of:
            last, after = after, _only_user(after)
        if after is not None and (activation := _activation(after, modules)):
            twin.activation = activation
            after.replace_all_uses_with(last)
            node.graph.erase_node(after)
            found = True
    if found:
        node.target = place(root, f"{node.target}_fused", twin)
    return found


def _rows_of(x: Tensor) -> Tensor:
    """The outputs of a linear layer, which a BatchNorm1d takes for channels only where there is no axis between batch and outputs."""
    if x.dim() != 2:
        raise TBNError(
            f"a fused Linear and BatchNorm1d got {x.dim() - 1} axes behind the batch",
            "use the packed model for this input",
        )
    return x


def _only_user(node: fx.Node) -> fx.Node | None:
    """The node that takes this one's value, if it is one and takes it once, as its first and only input."""
    user = next(iter(node.users)) if len(node.users) == 1 else None
    fits = user is not None and user.op != "output" and user.args[:1] == (node,) and user.all_input_nodes == [node]
    return user if fits else None


def _is_norm_of(layer: nn.Module, node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    """Whether a node is a BatchNorm over the layer's outputs, with statistics of its own, and nothing else."""
    norm = modules.get(str(node.target)) if node.op == "call_module" else None
    kind = REPLICATED[layer.tail] if isinstance(layer, Replicate) else NORMS[type(layer)]
    if type(norm) is not kind or not is_plain(norm) or len(node.args) > 1 or node.kwargs:
        return False
    return getattr(norm, "running_mean", None) is not None and bool(getattr(norm, "num_features", 0) == _outputs(layer))


def _outputs(layer: Any) -> int:
    if isinstance(layer, PackedLayer):
        return layer.outputs
    if isinstance(layer, Replicate):
        return len(layer.scales) * len(cast("Tensor", layer.layer.weight))
    return cast("int", layer.weight.shape[0])


def _activation(node: fx.Node, modules: dict[str, nn.Module]) -> str:
    """The activation's name in ``kernels.dispatch.ACTIVATIONS``, or nothing."""
    if node.op == "call_module":
        module = modules.get(str(node.target))
        if module is None or not is_plain(module) or len(node.args) > 1 or node.kwargs:
            return ""
        if type(module) is nn.GELU:
            return "gelu" if module.approximate == "none" else ""
        return "relu" if type(module) is nn.ReLU else ""
    if node.op == "call_method":
        return "relu" if node.target in ("relu", "relu_") and not node.args[1:] and not node.kwargs else ""
    name = FUNCTIONS.get(node.target, "") if node.op == "call_function" else ""
    exact = node.kwargs.get("approximate", "none") == "none"  # it is a keyword only
    return name if name != "gelu" or exact else ""


def _twin(layer: nn.Module) -> nn.Module:
    """A module of its own with the layer's tensors."""
    twin = copy.copy(layer)
    for name in ("_buffers", "_parameters", "_modules"):
        setattr(twin, name, dict(getattr(layer, name)))
    if isinstance(twin, PackedLayer):
        twin._ready = None
    return twin


def _take_norm(twin: Any, scale: Tensor, shift: Tensor) -> None:
    """Folds (m,) float64 scale and shift into a layer: its gain, scales or weight, and its bias."""
    like = twin.scales if isinstance(twin, Replicate) else twin.alphas if isinstance(twin, PackedLayer) else twin.weight
    old = 0 if twin.bias is None else twin.bias.double().cpu()
    bias = (old * scale + shift).to(like if not isinstance(twin, PackedLayer) else twin.like)
    if isinstance(twin, PackedLayer):
        twin.gain, twin.bias = scale.to(like), bias
    elif isinstance(twin, Replicate):
        twin.scales = (twin.scales.double().cpu() * scale.reshape(len(twin.scales), -1)).to(like)
        twin.bias = bias
    else:
        weight = twin.weight.double().cpu() * scale.reshape(-1, *(1,) * (twin.weight.dim() - 1))
        twin.weight = nn.Parameter(weight.to(like), requires_grad=False)
        twin.bias = nn.Parameter(bias, requires_grad=False)
