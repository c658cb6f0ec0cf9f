"""Collapse: never write a layer's copies where the next layer can add them up (the reuse of equal rows taken one step further).

A packed layer with m outputs has R = m / gcd(m, p) distinct rows. If what lies between it and the next layer keeps its copies equal up to scales
a_i, the next layer needs the R values alone: ``sum over i, j of W2[:, iR + j] a_i v_j = sum over j of W2c[:, j] v_j`` with
``W2c[:, j] = sum over i of a_i W2[:, iR + j]``. The answer is the same up to float rounding.

Exact with one alpha and any elementwise activation, with alphas per tile and ReLU, LeakyReLU or none, through poolings, dropout, flattening and
resizing, LayerNorm and RMSNorm over all copies, and a BatchNorm or bias that is equal for all copies or has nothing non-linear behind it. Everything
else is refused with its reason: residual sums, joins, attention heads, a BatchNorm of each copy's own before an activation.

``copies`` has the algebra, ``operations`` the rules, ``walk`` follows a graph, ``rewrite`` builds the new layers.
"""

from __future__ import annotations

import copy

from torch import fx, nn

from tbn.collapse.factors import dense_macs, macs
from tbn.collapse.report import CollapseReport, CollapseRow
from tbn.collapse.rewrite import Replicate, rewrite
from tbn.collapse.tracing import Descent
from tbn.collapse.walk import is_tiled, plan
from tbn.errors import TBNError
from tbn.layers import TiledLayer
from tbn.packed import PackedLayer

__all__ = ["CollapseReport", "CollapseRow", "Replicate", "collapse"]


def collapse(packed: nn.Module) -> tuple[nn.Module, CollapseReport]:
    """Contract what can be contracted exactly. The model itself is unchanged.

    A model whose forward torch.fx can trace becomes a ``torch.fx.GraphModule``; of one that it cannot, the parts that it can. Inputs come in batches,
    as they do to ``nn.Flatten``. The result is for inference, and no packed file holds it: save the packed model, and collapse it after loading.

    Args:
        packed: what ``tbn.freeze`` or ``tbn.load`` returned, in eval mode.

    Returns:
        the collapsed model and the report: collapsed or refused, a row a producer, each refusal with its reason.

    Raises:
        TBNError: the model is not packed or not in eval mode, or it is fused already.
    """
    modules = list(packed.modules())
    if any(isinstance(module, TiledLayer) for module in modules):
        raise TBNError(
            "the model has latent weights, and only packed layers are collapsed", "collapse(tbn.freeze(model))"
        )
    if not any(isinstance(module, PackedLayer) for module in modules):
        raise TBNError(
            f"{type(packed).__name__} has no packed layer",
            "call tbn.tile_(model), train, then collapse(tbn.freeze(model))",
        )
    if any(module.training for module in modules):
        raise TBNError("the model is in training mode, and its copies are equal in eval mode only", "call model.eval()")
    if any(module.fused for module in modules if isinstance(module, PackedLayer)):
        raise TBNError(
            "the model is fused: what comes behind its layers is hidden in them", "fuse(collapse(packed)[0])"
        )
    work = _Work()
    model = work.region(copy.deepcopy(packed))
    report = CollapseReport(
        rows=tuple(work.rows),
        macs_dense=sum(map(dense_macs, modules)),
        macs_before=sum(map(macs, modules)),
        macs_after=sum(map(macs, model.modules())),
        bytes_before=_bytes(packed),
        bytes_after=_bytes(model),
        untraced=tuple(work.untraced),
    )
    return model, report


def _bytes(model: nn.Module) -> int:
    return sum({id(tensor): tensor.nbytes for tensor in model.state_dict(keep_vars=True).values()}.values())


NOTHING = "no layer takes it in"


class _Work(Descent):
    """Collapses what can be traced, and writes a row for each producer."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[CollapseRow] = []

    def alone(self, layer: PackedLayer, name: str, above: str) -> None:
        if is_tiled(layer):
            repeats = layer.order in ("rows", "interleaved") and not layer.transposed
            cost, distinct = macs(layer), layer.outputs // (layer.geometry.copies if repeats else 1)
            self.rows.append(CollapseRow(name, layer.outputs, distinct, (), cost, cost, above or NOTHING))

    def traced(self, module: nn.Module, graph: fx.Graph, name: str) -> nn.Module:
        found = plan(graph, dict(module.named_modules(remove_duplicate=False)))
        layers = {node: module.get_submodule(str(node.target)) for node in graph.nodes if node.op == "call_module"}
        names = {node: f"{name}.{node.target}" if name else str(node.target) for node in layers}
        collapsed = rewrite(module, graph, found) if found.contractions else module
        for node, layer in {id(layer): (node, layer) for node, layer in layers.items()}.values():
            if not is_tiled(layer):
                continue
            takers = [other for other, value in found.contractions.items() if node in value.producers]
            pair = (node, *takers)
            self.rows.append(
                CollapseRow(
                    names[node],
                    layer.outputs,
                    layer.outputs // found.factors[node].copies if node in found.factors else layer.outputs,
                    tuple(names[other] for other in takers),
                    sum(macs(layers[other]) for other in pair),
                    sum(macs(part) for other in pair for part in collapsed.get_submodule(str(other.target)).modules()),
                    found.refused.get(node, ""),
                )
            )
        return collapsed
