"""The truth, in plain torch and as plainly as possible: every other engine is tested against these functions."""

from __future__ import annotations

import torch
from torch import Tensor

from kernels.layout import TileGeometry, unpack_bits
from kernels.orders import from_blocks


def dense_weight(tile: Tensor, alphas: Tensor, geometry: TileGeometry) -> Tensor:
    """The whole scaled weight that a packed layer stands for.

    Args:
        tile: (ceil(q / 8),) uint8, packed as ``kernels.layout`` says.
        alphas: (p,) one scale a tile, or (1,) one for the layer.
        geometry: shape and tiling factor.

    Returns:
        (rows, row_length) float32.
    """
    signs = unpack_bits(tile, geometry.tile_length)
    blocks = signs.expand(geometry.p, -1) * alphas.float().reshape(-1, 1)
    order = "rows" if geometry.order == "inputs" else geometry.order  # its rows are the inputs
    return from_blocks(blocks, (geometry.rows, geometry.row_length), order)


def tiled_linear(x: Tensor, tile: Tensor, alphas: Tensor, geometry: TileGeometry, bias: Tensor | None = None) -> Tensor:
    """``x @ W.T + bias`` with the whole weight written out.

    Args:
        x: (..., row_length) floating.
        tile, alphas, geometry: as in ``dense_weight``.
        bias: (rows,) or None.

    Returns:
        (..., rows) float32, computed in float64 so that engines are compared with the exact answer.
    """
    weight = dense_weight(tile, alphas, geometry).double()
    out = x.double() @ weight.T
    return (out if bias is None else out + bias.double()).to(torch.float32)


def transposed_linear(
    x: Tensor, tile: Tensor, alphas: Tensor, geometry: TileGeometry, bias: Tensor | None = None
) -> Tensor:
    """``x @ W + bias`` with the whole weight written out, for a weight that lies (inputs, outputs).

    Args:
        x: (..., rows) floating.
        tile, alphas, geometry: as in ``dense_weight``; the rows are the inputs.
        bias: (row_length,) or None.

    Returns:
        (..., row_length) float32, computed in float64.
    """
    out = x.double() @ dense_weight(tile, alphas, geometry).double()
    return (out if bias is None else out + bias.double()).to(torch.float32)
