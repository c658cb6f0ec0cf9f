"""A packed layer in any order of its blocks (``kernels.orders``) as the integer operations take it.

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

from kernels.layout import geometry_of, pack_bits, unpack_bits
from kernels.orders import from_blocks
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
    if layer.order == "interleaved":
        return None, (layer if groups == 1 else _written_out(layer, name))
    geometry = layer.geometry
    if geometry.rows == 1:  # one input: the same as the paper's order
        return None, _like(layer, layer.weight_shape[1], layer.p, layer.tile, layer.alphas)
    if layer.alphas.numel() > 1 and geometry.tiles_per_copy > 1:
        raise _ends(layer, name, f"p = {layer.p} does not divide its {geometry.rows} inputs", "a p that does")
    signs = unpack_bits(layer.tile, geometry.tile_length).expand(geometry.tiles_per_copy, -1)
    kept = geometry.distinct_rows
    shape = (layer.outputs, kept, *layer.weight_shape[2:])
    bits = pack_bits(from_blocks(signs.reshape(1, -1), shape, "inputs"))
    if layer.alphas.numel() == 1:
        factors, alphas = torch.ones(geometry.copies), layer.alphas
    else:
        factors, alphas = layer.alphas.detach().cpu(), torch.ones_like(layer.alphas[:1])
    binary = _like(layer, kept, 1, bits, alphas)
    return (None if geometry.copies == 1 else Folded(groups, factors, layer.window is None)), binary


def _written_out(layer: PackedLayer, name: str) -> PackedLayer:
    """A grouped convolution in the order "interleaved" as a binary one; its alphas are a factor of each output."""
    geometry = layer.geometry
    if layer.alphas.numel() > 1 and geometry.tile_length % geometry.row_length:
        raise _ends(layer, name, f"p = {layer.p} does not divide its {geometry.rows} outputs", "a p that does")
    signs = unpack_bits(layer.tile, geometry.tile_length).expand(layer.p, -1)
    bits = pack_bits(from_blocks(signs, layer.weight_shape, "interleaved"))
    binary = _like(layer, layer.weight_shape[1], 1, bits, layer.alphas[:1])
    if layer.alphas.numel() > 1:
        own = from_blocks(layer.alphas[:, None].expand(-1, geometry.rows // layer.p), (geometry.rows, 1), "interleaved")
        binary.alphas = torch.ones_like(layer.alphas[:1])
        binary.gain = own[:, 0] if layer.gain is None else own[:, 0] * layer.gain
    return binary


def _like(layer: PackedLayer, inputs: int, p: int, bits: Tensor, alphas: Tensor) -> PackedLayer:
    """A layer of the same class in the order "rows", of ``inputs`` inputs (in each group)."""
    given: Any = layer
    bias = layer.bias is not None
    if isinstance(layer, PackedLinear):
        made: PackedLayer = PackedLinear(inputs, layer.outputs, bias, p, alphas.numel())
    else:
        made = type(given)(
            inputs * given.groups, given.out_channels, given.kernel_size, given.stride, given.padding, given.dilation, given.groups,
            given.padding_mode, bias, p, alphas.numel(),
        )  # fmt: skip
    assert made.geometry == geometry_of(made.weight_shape, p)
    made.tile, made.alphas, made.bias, made.gain = bits.clone(), alphas.detach().clone(), layer.bias, layer.gain
    made.activation = layer.activation
    return made.eval()


def _ends(layer: PackedLayer, name: str, why: str, other: str) -> TBNError:
    return TBNError(
        f"an alpha of '{name}' ends within a row of the order {layer.order!r}, because {why}: its signs have no factor in common",
        f"train with alpha='layer', or give that layer {other}, or p=1 (per_layer)",
    )
