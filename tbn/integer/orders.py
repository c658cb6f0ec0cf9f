"""A packed layer in any order of its blocks (``kernels.orders``) as the C operations take it; ``kernels.ordered`` makes its bits.

- "inputs": the inputs that meet equal signs are added up (``Folded``); behind that comes a binary layer, p = 1, whose bits are the distinct
  ones: those of the tile, where p divides the inputs (of a group), else several tiles.
- "interleaved" and "rolled" stay as they are, and read their tile. Only the rows of a grouped convolution cannot change places: there
  "interleaved" becomes a binary layer with all its signs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kernels.dispatch import Prepared
from kernels.layout import geometry_of
from tbn.errors import TBNError
from tbn.packed import PackedLayer, PackedLinear


@dataclass(frozen=True)
class Folded:
    """Channels as (groups, copies, rest): the copies are scaled and added up. Shapes: (batch, channels, *space), or (..., channels)."""

    groups: int
    factors: Tensor
    last: bool

    def __call__(self, x: Tensor) -> Tensor:
        axis = x.dim() - 1 if self.last else 1
        parts = torch.unflatten(x, axis, (self.groups, len(self.factors), -1))
        factors = self.factors.to(x).reshape(-1, *(1,) * (x.dim() - axis))
        return (parts * factors).sum(axis + 1).flatten(axis, axis + 1)


def without_order(layer: Any, name: str) -> tuple[Folded | None, Any]:
    """What comes before a layer, and the layer behind it, of its class and in an order that the operations have; ``name`` is for messages.

    Raises:
        TBNError: an alpha ends within what an input or an output meets, so that the signs have no factor in common.
    """
    if not isinstance(layer, PackedLayer) or layer.p == 1 or layer.order in ("rows", "rolled"):
        return None, layer
    groups = 1 if layer.window is None else layer.window.groups
    geometry, several = layer.geometry, layer.alphas.numel() > 1
    if layer.order == "interleaved":
        if groups == 1:
            return None, layer
        if several and geometry.tile_length % geometry.row_length:
            raise _ends(layer, name, "outputs")
        return None, _like(layer, layer.weight_shape[1], 1, layer.prepared(torch.float32).ordered.plain)
    if geometry.rows == 1:  # one input: the same as the paper's order
        return None, _like(layer, layer.weight_shape[1], layer.p, layer.prepared(torch.float32))
    if several and geometry.tiles_per_copy > 1:
        raise _ends(layer, name, "inputs")
    binary = _like(layer, geometry.distinct_rows, 1, layer.prepared(torch.float32).ordered.plain)
    factors = layer.alphas.detach().cpu() if several else torch.ones(geometry.copies)
    return (None if geometry.copies == 1 else Folded(groups, factors, layer.window is None)), binary


def _like(layer: PackedLayer, inputs: int, p: int, ready: Prepared) -> PackedLayer:
    """A layer of the same class in the order "rows", of ``inputs`` inputs (in each group), with the bits and factors of ``ready``."""
    given: Any = layer
    bias, alphas = layer.bias is not None, ready.alphas.numel()
    if isinstance(layer, PackedLinear):
        made: PackedLayer = PackedLinear(inputs, layer.outputs, bias, p, alphas)
    else:
        made = type(given)(
            inputs * given.groups, given.out_channels, given.kernel_size, given.stride, given.padding, given.dilation, given.groups,
            given.padding_mode, bias, p, alphas,
        )  # fmt: skip
    assert made.geometry == geometry_of(made.weight_shape, p)
    made.tile, made.alphas, made.bias, made.gain = (
        ready.tile.clone(),
        ready.alphas.detach().clone(),
        layer.bias,
        ready.gain,
    )
    made.activation = layer.activation
    return made.eval()


def _ends(layer: PackedLayer, name: str, what: str) -> TBNError:
    return TBNError(
        f"an alpha of '{name}' ends within a row of the order {layer.order!r}, because p = {layer.p} does not divide its {layer.geometry.rows} "
        f"{what}: its signs have no factor in common",
        "train with alpha='layer', or give that layer a p that does, or p=1 (per_layer)",
    )
