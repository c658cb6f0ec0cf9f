"""The bits of packed rows in the order in which the CPU kernels read them (see the head of ``lut.h``); still one bit a weight."""

from __future__ import annotations

import torch
from torch import Tensor

from kernels.layout import TileGeometry, unpack_bits

LANES = 16  # rows of a block
CHUNK = 32  # columns of a word


def distinct_minus(tile: Tensor, geometry: TileGeometry) -> Tensor:
    """(distinct_rows, row_length) bool: where the distinct rows hold -1. ``tile``: (ceil(q / 8),) uint8."""
    minus = unpack_bits(tile, geometry.tile_length, torch.int8) < 0
    return minus.repeat(geometry.tiles_per_copy).reshape(geometry.distinct_rows, geometry.row_length)


def pack_rows(minus: Tensor) -> Tensor:
    """Pack rows of signs.

    Args:
        minus: (rows, columns) bool, where a sign is -1.

    Returns:
        (ceil(rows / 16), ceil(columns / 32), 16) int32.
    """
    rows = torch.nn.functional.pad(minus, (0, -minus.shape[1] % CHUNK, 0, -minus.shape[0] % LANES))
    groups = rows.to(torch.uint8).reshape(-1, LANES, rows.shape[1] // CHUNK, 4, 2, 4)  # ..., bytes, nibbles, columns
    last = groups[..., 3:]
    shifts = torch.arange(4, dtype=torch.uint8)
    nibbles = (torch.cat([groups[..., :3] ^ last, last], -1) << shifts).sum(-1, dtype=torch.uint8)
    words = (nibbles[..., 0] | nibbles[..., 1] << 4).transpose(1, 2).contiguous()
    return words.view(torch.int32).squeeze(-1)
