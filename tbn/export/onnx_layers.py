"""Packed layers in operations that every ONNX runtime has: bits are unpacked in the graph, each distinct row is multiplied once.

The graph of a layer has two parts. What hangs on constants alone (tile -> signs -> the rows to multiply) is folded by the runtime when it
loads the file: the file holds bits, the session floats. What hangs on the input is the product with the K distinct rows and one multiplication
that writes the copies with their alphas, as ``kernels.dispatch`` does in torch; see ``kernels.layout`` for K, the g copies and the pieces, and
``kernels.orders`` for where the blocks lie.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from itertools import groupby
from math import sqrt
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from kernels.dispatch import ACTIVATIONS, convolve
from kernels.orders import Order, from_blocks, roll
from tbn.packed import PackedLayer

BITS = (1, 2, 4, 8, 16, 32, 64, 128)  # of a byte, in the order of kernels.layout


def unpacking(model: nn.Module) -> nn.Module:
    """A copy of a packed model whose packed layers run ``forward``; float32, in eval mode, on the CPU."""
    twin = copy.deepcopy(model).cpu().float().eval()
    for layer in twin.modules():
        if isinstance(layer, PackedLayer):
            layer.forward = partial(forward, layer)
    return twin


def forward(layer: PackedLayer, input: Tensor) -> Tensor:
    """What a packed layer does while it is traced. Shapes: the layer's; float32."""
    dense = layer.computed_rows == layer.geometry.rows
    weight, over_inputs = unpack(layer), layer.order == "inputs"
    if layer.transposed:
        return F.linear(input if dense else fold(layer, input), weight.T, layer.bias)
    product: Callable[[Tensor, Tensor, Tensor | None], Tensor] = F.linear
    axis = input.dim() - 1  # of the rows in the product
    if layer.window is not None:
        input, product = layer.framed(input), partial(convolve, window=layer.window)
        axis -= len(layer.window.kernel)
    if over_inputs:
        input = input if dense else fold(layer, input, axis)
        weight = torch.unflatten(weight, 1, (layer.outputs, -1)).transpose(0, 1).flatten(1)
        weight = weight if layer.gain is None else weight * layer.gain[:, None]
    if layer.window is not None:
        weight = weight.reshape(len(weight), -1, *layer.window.kernel)
    whole = dense or over_inputs
    out = product(input, weight, layer.bias) if whole else replicate(layer, product(input, weight, None), axis)
    return gelu(out) if layer.activation == "gelu" else ACTIVATIONS[layer.activation](out)


def unpack(layer: PackedLayer) -> Tensor:
    """(K, row_length) what is multiplied: the whole scaled weight, or the signs of the distinct rows or of their pieces."""
    geometry, alphas = layer.geometry, layer.alphas
    ones = torch.bitwise_and(layer.tile[:, None], torch.tensor(BITS, dtype=torch.uint8)).bool()
    signs = torch.where(ones, 1.0, -1.0).flatten()
    if len(signs) != geometry.tile_length:
        signs = signs[: geometry.tile_length]
    if layer.computed_rows == geometry.rows:
        tiles = signs * alphas[:, None]  # (p, q), or (1, q) for one alpha
        if len(tiles) != geometry.p:
            tiles = tiles.expand(geometry.p, -1)
        if layer.order == "rolled":
            tiles = rolled(tiles, roll(geometry.row_length, geometry.p, geometry.tile_length))
        order: Order = "interleaved" if layer.order == "interleaved" else "rows"
        rows = from_blocks(tiles, (geometry.rows, geometry.row_length), order)
        return rows if layer.gain is None or layer.order == "inputs" else rows * layer.gain[:, None]
    if geometry.tiles_per_copy > 1:
        signs = signs.repeat(geometry.tiles_per_copy)
    rows = signs.reshape(geometry.distinct_rows, geometry.row_length)
    if not in_pieces(layer):
        return rows
    row, start, stop, _ = torch.tensor(geometry.pieces, dtype=torch.int32).T[..., None]
    column = torch.arange(geometry.row_length, dtype=torch.int32)
    return torch.where((start <= column) & (column < stop), rows.index_select(0, row.flatten()), 0.0)


def rolled(tiles: Tensor, step: int) -> Tensor:
    """(p, q) with block i rolled by i * step, in slices: the file holds no indices."""
    count = tiles.shape[1]
    parts = []
    for index, block in enumerate(tiles):
        start = -index * step % count
        parts.append(torch.cat([block[start:], block[:start]]) if start else block)
    return torch.stack(parts)


def in_pieces(layer: PackedLayer) -> bool:
    """Whether a row may have several alphas, so that pieces of rows are multiplied."""
    return layer.computed_rows < layer.geometry.rows and layer.alphas.numel() > 1 and layer.geometry.tiles_per_copy > 1


def scale(layer: PackedLayer) -> Tensor:
    """(g, K) the factor of each copy of each row of ``unpack``, or (g, 1) where a copy has one."""
    copies, gain = (
        layer.geometry.copies,
        None if layer.gain is None or layer.order == "inputs" else by_copy(layer, layer.gain),
    )
    if not in_pieces(layer):
        factors = layer.alphas.expand(copies)[:, None]
        return factors if gain is None else factors * gain
    rows, tiles = (torch.tensor([piece[part] for piece in layer.geometry.pieces], dtype=torch.int32) for part in (0, 3))
    factors = layer.alphas.reshape(copies, -1).index_select(1, tiles)
    return factors if gain is None else factors * gain.index_select(1, rows)


def by_copy(layer: PackedLayer, values: Tensor) -> Tensor:
    """(m,) one an output -> (g, R)."""
    if layer.order == "interleaved":
        return values.reshape(-1, layer.geometry.copies).T
    return values.reshape(layer.geometry.copies, -1)


def replicate(layer: PackedLayer, z: Tensor, axis: int) -> Tensor:
    """Write the copies: K products in ``axis`` of z become all outputs, scaled, summed over the pieces of a row, with the bias."""
    copies, rows, tail = layer.geometry.copies, layer.geometry.distinct_rows, (1,) * (z.dim() - axis - 1)
    out = z.unsqueeze(axis) * scale(layer).reshape(copies, -1, *tail)
    if in_pieces(layer):
        out = sum_of_pieces(out, [piece[0] for piece in layer.geometry.pieces], axis + 1)
    if layer.bias is not None:
        out = out + by_copy(layer, layer.bias).reshape(copies, rows, *tail)
    if layer.order == "interleaved":
        out = out.transpose(axis, axis + 1)
    return out.flatten(axis, axis + 1)


def fold(layer: PackedLayer, x: Tensor, axis: int | None = None) -> Tensor:
    """The transpose of ``replicate``: the inputs that meet equal signs, in ``axis`` (the last), are scaled and added up, group by group.

    Shapes: (..., inputs, *space) -> (..., K, *space).
    """
    axis = x.dim() - 1 if axis is None else axis
    copies, distinct, tail = layer.geometry.copies, layer.geometry.distinct_rows, (1,) * (x.dim() - axis - 1)
    groups = 1 if layer.window is None else layer.window.groups
    if layer.order == "interleaved":
        parts = torch.unflatten(x, axis, (groups, distinct, copies)).transpose(axis + 1, axis + 2)
    else:
        parts = torch.unflatten(x, axis, (groups, copies, distinct))
    if in_pieces(layer):
        rows = torch.tensor([piece[0] for piece in layer.geometry.pieces], dtype=torch.int32)
        parts = parts.index_select(axis + 2, rows)
    return (parts * scale(layer).reshape(copies, -1, *tail)).sum(axis + 1).flatten(axis, axis + 1)


def sum_of_pieces(z: Tensor, row_of_piece: list[int], axis: int) -> Tensor:
    """Adds up neighbours in ``axis`` that belong to one row: the first piece of every row, plus the second where there is one, and so on."""
    pieces = [[k for k, _ in found] for _, found in groupby(enumerate(row_of_piece), key=itemgetter(1))]
    deepest = max(map(len, pieces))
    nothing = len(row_of_piece)  # the index of a zero behind the last piece
    if any(len(found) < deepest for found in pieces):
        z = torch.cat([z, torch.zeros_like(z.narrow(axis, 0, 1))], axis)
    parts = [[*found, *[nothing] * (deepest - len(found))] for found in pieces]
    first, *others = (torch.tensor(index, dtype=torch.int32) for index in zip(*parts, strict=True))
    out = z.index_select(axis, first)
    for index in others:
        out = out + z.index_select(axis, index)
    return out


class RecognisedForms(TorchFunctionMode):
    """While a model is traced: attention and GELU in the operations that runtimes look for.

    The exporter's own attention works out shapes in the graph and takes four axes at most (windows bring a fifth); its own GELU is one that
    ONNX Runtime does not fuse.
    """

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is F.scaled_dot_product_attention:
            function = attention
        elif function is F.gelu and (kwargs or {}).get("approximate", "none") == "none":
            function = gelu
        return function(*args, **(kwargs or {}))


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(scale * q k' + mask) v, without dropout. Arguments and shapes as ``F.scaled_dot_product_attention``, any number of axes."""
    if enable_gqa:
        key, value = (x.repeat_interleave(query.shape[-3] // x.shape[-3], -3) for x in (key, value))
    if is_causal:
        attn_mask = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool).tril()
    scores = (query * (query.shape[-1] ** -0.5 if scale is None else scale)) @ key.mT
    if attn_mask is not None:
        hidden = attn_mask.dtype is torch.bool
        scores = scores.masked_fill(~attn_mask, float("-inf")) if hidden else scores + attn_mask
    return scores.softmax(-1) @ value


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """The exact GELU. Shapes: any."""
    return input * (torch.erf(input / sqrt(2)) + 1) * 0.5
