"""Layers whose blocks lie in another order than the paper's rows, done by the engines of those (``kernels.orders`` has the orders).

Each order is turned into a layer of "rows" and something before or behind it, so that torch and the C kernel take every order:

- "interleaved": the same layer in the order "rows"; its outputs change places. A grouped convolution's cannot: it becomes a binary layer.
- "inputs": the inputs that meet equal signs are scaled and added up, then comes a binary layer (p = 1) over the R sums.
- "rolled": a binary layer (p = 1) whose alphas are a factor of each output.

Where an alpha ends within a row, the signs have no factor in common: then the weight is written out in floats, for torch alone.

On a GPU, Triton takes the layer behind "interleaved"; the binary layers behind "inputs" and "rolled" have one copy of each row, which its kernel
does not take, so torch multiplies them. ``tests/kernels/triton_orders_cases.py`` holds that, in Triton's interpreter and wherever there is a GPU;
no GPU has run it so far.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import torch
from torch import Tensor

from kernels import dispatch
from kernels.dispatch import Prepared
from kernels.layout import TileGeometry, pack_bits, unpack_bits
from kernels.orders import Order, from_blocks
from kernels.reference import dense_weight


@dataclass(frozen=True, eq=False)
class Ordered:
    """What stands for a layer in another order than "rows" (``of``).

    Attributes:
        order: of the layer.
        copies: how many inputs or outputs are alike.
        groups: of a convolution.
        plain: the layer in the order "rows" that does the work.
        folding: how the inputs are added up, or None where they are not.
    """

    order: Order
    copies: int
    groups: int
    plain: Prepared
    folding: Prepared | None = None

    @staticmethod
    def of(layer: Prepared) -> Ordered:
        """What stands for a layer."""
        geometry = layer.geometry
        order, copies = geometry.order, geometry.copies
        groups = 1 if layer.window is None else layer.window.groups
        rows = replace(geometry, order="rows")
        if order == "inputs":
            folding = Prepared(layer.tile, layer.alphas, rows, layer.dtype)
            return Ordered(order, copies, groups, _over_sums(layer), None if folding.dense else folding)
        if order == "rolled" or not layer.share:  # rows of a grouped convolution cannot change places
            return Ordered(order, 1, groups, _binary(layer))
        gain = None if layer.gain is None else _apart(layer.gain, copies)
        return Ordered(order, copies, groups, replace(layer, geometry=rows, gain=gain))


def expand(layer: Ordered) -> None:
    """Makes all that the engines may ask for."""
    layer.plain.expanded()
    if layer.folding is not None:
        layer.folding.scale, layer.folding.piece_rows  # noqa: B018


# functions and not methods: torch.compile calls no method of a constant


def linear(x: Tensor, layer: Ordered, bias: Tensor | None) -> Tensor:
    """As ``kernels.dispatch.linear``."""
    return _behind(dispatch.linear(_before(x, layer, 0), layer.plain, _bias(bias, layer)), layer, 0)


def conv(x: Tensor, layer: Ordered, bias: Tensor | None) -> Tensor:
    """As ``kernels.dispatch.conv``."""
    assert layer.plain.window is not None
    axes = len(layer.plain.window.kernel)
    return _behind(dispatch.conv(_before(x, layer, axes), layer.plain, _bias(bias, layer)), layer, axes)


def transposed_linear(x: Tensor, layer: Ordered, bias: Tensor | None) -> Tensor:
    """As ``kernels.dispatch.transposed_linear``: in the order "interleaved" its inputs change places."""
    return dispatch.transposed_linear(_apart(x, layer.copies) if layer.order == "interleaved" else x, layer.plain, bias)


def _bias(bias: Tensor | None, layer: Ordered) -> Tensor | None:
    return bias if bias is None or layer.order != "interleaved" else _apart(bias, layer.copies)


def _before(x: Tensor, layer: Ordered, axes: int) -> Tensor:
    """Adds up the inputs that meet equal signs: (..., C, *space) -> (..., K, *space), group by group; ``axes`` of space."""
    folding = layer.folding
    if folding is None:
        return x
    axis = x.dim() - axes - 1
    tail = (1,) * axes
    parts = torch.unflatten(x, axis, (layer.groups, layer.copies, -1))
    if folding.piece_rows is not None:
        parts = parts.index_select(axis + 2, folding.piece_rows)
    if folding.alphas.numel() > 1:  # one alpha is the binary layer's
        parts = parts * folding.scale.reshape(layer.copies, -1, *tail)
    return parts.sum(axis + 1).flatten(axis, axis + 1)


def _behind(out: Tensor, layer: Ordered, axes: int) -> Tensor:
    """Puts equal outputs side by side: (..., m, *space)."""
    if layer.order != "interleaved" or layer.copies == 1:
        return out
    axis = out.dim() - axes - 1
    return torch.unflatten(out, axis, (layer.copies, -1)).transpose(axis, axis + 1).flatten(axis, axis + 1)


def _apart(x: Tensor, copies: int) -> Tensor:
    """(..., m) from the order "interleaved" to "rows": copies are no longer neighbours."""
    return torch.unflatten(x, -1, (-1, copies)).transpose(-1, -2).flatten(-2)


def _binary(layer: Prepared) -> Prepared:
    """A layer of any order over the outputs as a binary one: as many bits as weights, in memory only."""
    geometry, alphas = layer.geometry, layer.alphas
    shape = (geometry.rows, geometry.row_length)
    if alphas.numel() > 1 and geometry.tile_length % geometry.row_length:
        return _written(layer, dense_weight(layer.tile, alphas, geometry))
    signs = unpack_bits(layer.tile, geometry.tile_length).expand(geometry.p, -1)
    gain = layer.gain
    if alphas.numel() > 1:
        of_blocks = alphas[:, None].expand(-1, geometry.rows // geometry.p)
        own = from_blocks(of_blocks, (geometry.rows, 1), "interleaved" if geometry.order == "interleaved" else "rows")
        gain = own[:, 0] if gain is None else own[:, 0] * gain
        alphas = torch.ones_like(alphas[:1])
    bits = pack_bits(from_blocks(signs, shape, geometry.order))
    return replace(layer, tile=bits, alphas=alphas, geometry=TileGeometry(*shape, 1), gain=gain)


def _over_sums(layer: Prepared) -> Prepared:
    """The layer behind the sums of its inputs: (outputs, K, *kernel), mostly signs alone."""
    kernel = () if layer.window is None else layer.window.kernel
    geometry = layer.geometry
    outputs = geometry.row_length // prod(kernel)
    whole_rows = layer.alphas.numel() == 1 or geometry.tiles_per_copy == 1  # one alpha each
    if whole_rows:
        signs = unpack_bits(layer.tile, geometry.tile_length).expand(geometry.tiles_per_copy, -1)
        weight = signs.reshape(geometry.distinct_rows, geometry.row_length)
    else:  # of a layer that is not kept: nobody multiplies with this
        weight = Prepared(layer.tile, layer.alphas, replace(geometry, order="rows"), layer.dtype).weight
    weight = torch.unflatten(weight, 1, (outputs, -1)).transpose(0, 1).flatten(1)  # (outputs, K * kernel)
    if not whole_rows:
        return _written(layer, weight.float())
    alphas = layer.alphas if layer.alphas.numel() == 1 else torch.ones_like(layer.alphas[:1])
    return replace(layer, tile=pack_bits(weight), alphas=alphas, geometry=TileGeometry(outputs, weight.shape[1], 1))


def _written(layer: Prepared, weight: Tensor) -> Prepared:
    """A weight (outputs, columns) float32 as a layer that no engine but torch takes; a gain is one of each output."""
    weight = (weight if layer.gain is None else weight * layer.gain[:, None]).to(layer.dtype)
    rows, columns = weight.shape
    found = replace(layer, geometry=TileGeometry(rows, columns, 1))
    # what others expand from their bits is given: its cached properties are filled, and its bits are not looked at
    vars(found).update(weight=weight, dense=True, in_pieces=False, computed_rows=rows, cpu_rows=0, gpu_rows=0)
    return found
