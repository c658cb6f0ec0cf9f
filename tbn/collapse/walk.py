"""Follows copies through a model's graph: which producers' copies reach only layers that can contract them, and what settles on the way.

A producer is a packed layer with g > 1 copies of R rows. ``plan`` assumes of every producer that it computes its R rows only, meets the
operations in order (``tbn.collapse.operations`` has the rules), and begins again without those that some operation refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeGuard

import torch
from torch import Tensor, fx, nn

from tbn.collapse import operations
from tbn.collapse.copies import Copies, Refused, settle
from tbn.collapse.factors import Factors, factors, has_zero_border, is_known, is_plain, macs, space
from tbn.collapse.norms import Affine
from tbn.packed import PackedLayer, PackedTransposedLinear


@dataclass
class Plan:
    """What to do with a graph.

    Attributes:
        factors: of every layer that may produce or contract; a layer that is called several times may not.
        affine: producers and norms on the way -> the affine map that was settled there (none: r = 1, u = 0).
        norms: norms on the way -> R, their channels.
        contractions: consumer -> the copies that it meets.
        refused: producer -> the reason.
    """

    factors: dict[fx.Node, Factors]
    affine: dict[fx.Node, Affine | None] = field(default_factory=dict)
    norms: dict[fx.Node, int] = field(default_factory=dict)
    contractions: dict[fx.Node, Copies] = field(default_factory=dict)
    refused: dict[fx.Node, str] = field(default_factory=dict)


def plan(graph: fx.Graph, modules: Mapping[str, nn.Module]) -> Plan:
    """The largest collapse of a graph that is exact.

    Args:
        graph: of a forward, packed layers and torch's modules being its leaves.
        modules: by the names in the graph.
    """
    layers = {node: modules[node.target] for node in graph.nodes if node.op == "call_module"}
    calls = Counter(map(id, layers.values()))
    known = {
        node: layer for node, layer in layers.items() if is_known(layer) and is_plain(layer) and calls[id(layer)] == 1
    }
    factored = {node: factors(layer) for node, layer in known.items()}
    refused = {}
    for node, layer in layers.items():
        if is_tiled(layer) and (node not in factored or factored[node].copies == 1):
            refused[node] = _no_copies(layer) if calls[id(layer)] == 1 else "it is called several times"
    while True:
        walk = Walk(modules, factored, refused)
        for node in graph.nodes:
            walk.visit(node)
        for node in walk.producers - {node for value in walk.plan.contractions.values() for node in value.producers}:
            walk.plan.refused.setdefault(node, "no layer takes it in")
        if walk.plan.refused == refused:
            return walk.plan
        refused = walk.plan.refused


def is_tiled(module: nn.Module) -> TypeGuard[PackedLayer]:
    """Whether a module repeats a tile, so that it may have copies."""
    return isinstance(module, PackedLayer) and module.p > 1


def _no_copies(module: nn.Module) -> str:
    if not is_plain(module):
        return "it has forward hooks"
    if isinstance(module, PackedTransposedLinear) or getattr(module, "order", "rows") == "inputs":
        return "its copies are on its inputs, all outputs are distinct"
    if getattr(module, "groups", 1) > 1:
        return "a grouped convolution: equal filters see different channels"
    if isinstance(module, PackedLayer) and module.geometry.copies > 1 and module.order == "interleaved":
        return "its copies lie side by side (order 'interleaved'), and only those of 'rows' are contracted"
    if isinstance(module, PackedLayer) and module.geometry.copies > 1:
        return "its rows belong to several tiles, and their alphas are not in proportion"
    return "no two of its rows are equal"


class Walk:
    """One pass over the graph.

    Attributes:
        modules: by the names in the graph.
        plan: what was found so far.
        values: what is known of the nodes that have copies.
        batches: nodes that are the first size of a value with copies -> the producers of those.
    """

    def __init__(
        self, modules: Mapping[str, nn.Module], factored: dict[fx.Node, Factors], refused: dict[fx.Node, str]
    ) -> None:
        self.modules = modules
        self.plan = Plan(factored, refused=dict(refused))
        self.values: dict[fx.Node, Copies] = {}
        self.batches: dict[fx.Node, frozenset[fx.Node]] = {}
        self.producers: set[fx.Node] = set()

    def visit(self, node: fx.Node) -> None:
        """Find out what is known of a node's value."""
        given = [self.values[other] for other in node.all_input_nodes if other in self.values]
        try:
            value = self._consume(node, given) if node in self.plan.factors else self._pass_on(node, given)
        except Refused as reason:
            read = [self.batches.get(other, frozenset()) for other in node.all_input_nodes]
            self._refuse(frozenset().union(*read, *(other.producers for other in given)), reason)
            return
        if value is None:
            return
        try:
            self.values[node] = (
                self.settled(value, "its use in several places", scaled=True) if len(node.users) > 1 else value
            )
        except Refused as reason:
            self._refuse(value.producers, reason)

    def _refuse(self, producers: frozenset[fx.Node], reason: Refused) -> None:
        for producer in producers:
            self.plan.refused.setdefault(producer, str(reason))

    def settled(self, value: Copies, what: str, *, scaled: bool) -> Copies:
        """``settle`` and note what the anchor takes in."""
        after, r, u = settle(value, what, scaled=scaled)
        if value.anchor is not None:
            self.plan.affine[value.anchor] = (r, u)
        return after

    def _pass_on(self, node: fx.Node, given: list[Copies]) -> Copies | None:
        if not given and not any(other in self.batches for other in node.all_input_nodes):
            return None
        return operations.apply(node, self)

    def _consume(self, node: fx.Node, given: list[Copies]) -> Copies | None:
        """A layer: contracts the copies that it is given, and may make its own."""
        module, own = self.modules[str(node.target)], self.plan.factors[node]
        bias = own.bias_or_zeros()
        if given:
            value = self._contractible(node, module, own, given[0])
            self.plan.contractions[node] = value
            if value.shift.any():
                bias = bias + contract_shift(own, value) * own.scales[:, None]
        if not is_tiled(module) or node in self.plan.refused:
            return None
        self.producers.add(node)
        self.plan.affine[node] = None
        scale = own.scales[:, None].expand(own.copies, len(own.rows))
        return Copies(frozenset([node]), scale, bias, tail=space(module), anchor=node)

    def _contractible(self, node: fx.Node, module: nn.Module, own: Factors, value: Copies) -> Copies:
        """The value as the layer contracts it, or Refused."""
        what = f"{node.target!r}"
        if len(node.args) != 1 or node.kwargs:
            raise Refused(f"{what} is called with more than its input")
        if getattr(module, "groups", 1) > 1:
            raise Refused(f"{what} is a grouped convolution, which sees each copy in another group")
        inputs = own.rows.shape[1]
        if value.tail != space(module) or (inputs % value.channels if value.flat else inputs != value.channels):
            raise Refused(f"{what} takes in another axis than that of the copies")
        if has_zero_border(module) and value.shift.any():
            value = self.settled(value, f"the zero border of {what}", scaled=True)
        before, after = macs(module), own.rows.numel() // len(value.scale)
        if after > before:
            raise Refused(f"{what} contracted would multiply more, {after:,} times in place of {before:,}")
        return value


def contract_shift(layer: Factors, value: Copies) -> Tensor:
    """What the pending shift of a layer's input adds to each of its R rows. Returns: (R,) float64."""
    weight = by_copy(layer.rows, value).double()
    return torch.einsum("otgrs,gr->o", weight, value.shift)


def by_copy(weight: Tensor, value: Copies) -> Tensor:
    """A weight with the axis of its inputs cut into copies: (outputs, T, g, R, S).

    T is what was joined before the channels, S what was joined behind them and the kernel.
    """
    copies, distinct = value.scale.shape
    outer = weight.shape[1] // value.channels if value.flat == "outer" else 1
    return weight.reshape(len(weight), outer, copies, distinct, -1)
