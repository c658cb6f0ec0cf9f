"""Where the p blocks of a tiled weight lie: the paper's order and three others. The only place that knows it.

A weight of N numbers is p blocks of q = N / p, and block i is the tile times alpha_i. With m = ``shape[0]`` rows, n numbers a row:

- "rows" (the paper's): block i is the i-th run of q numbers, row-major. Rows r and r + m/p have equal signs.
- "interleaved": the same rows in another order, so that the g = gcd(m, p) equal ones are neighbours: row c*m/g + r of "rows" is row r*g + c here.
- "inputs": as "rows", with the axis of the inputs first. The tile repeats over the inputs: those that meet equal signs are added up
  before they are multiplied, and all outputs are distinct.
- "rolled": as "rows", with block i rolled by i * ``roll`` numbers. No two rows are equal, so nothing but bits is saved.

The first three save gcd-fold products (m, or the inputs, with p), the last none. One weight of p = 1 is the same in every order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

Order = Literal["rows", "interleaved", "inputs", "rolled"]
ORDERS: tuple[Order, ...] = get_args(Order)


def roll(row_length: int, p: int, tile_length: int) -> int:
    """How far each block of "rolled" is rolled beyond the one before: the smallest number from n / p on that is prime to q.

    So the p blocks begin about evenly spread over one row, and a row meets another part of the tile in each of them.
    """
    step = max(1, -(-row_length // p))
    while math.gcd(step, tile_length) != 1:
        step += 1
    return step


def to_blocks(weight: Tensor, p: int, order: Order = "rows") -> Tensor:
    """The blocks of a weight, each as the tile lies: (p, q). A view where the order is that of the memory.

    Args:
        weight: (m, n) or (m, channels, *kernel); any shape in the order "rows".
        p: tiling factor, a divisor of the number of weights.
    """
    if order == "inputs":
        weight = weight.transpose(0, 1)
    elif order == "interleaved":
        copies = math.gcd(weight.shape[0], p)
        weight = weight.reshape(-1, copies, weight.numel() // weight.shape[0]).transpose(0, 1)
    blocks = weight.reshape(p, weight.numel() // p)
    return _rolled(blocks, weight.shape[0], -1) if order == "rolled" else blocks


def from_blocks(blocks: Tensor, shape: Sequence[int], order: Order = "rows") -> Tensor:
    """The inverse of ``to_blocks``: the weight of this shape whose blocks these are, (p, q) -> ``shape``."""
    if order == "rows":
        return blocks.reshape(*shape)
    if order == "inputs":
        return blocks.reshape(shape[1], shape[0], *shape[2:]).transpose(0, 1).contiguous()
    if order == "interleaved":
        copies = math.gcd(shape[0], len(blocks))
        return blocks.reshape(copies, shape[0] // copies, -1).transpose(0, 1).reshape(*shape)
    return _rolled(blocks, shape[0], 1).reshape(*shape)


def _rolled(blocks: Tensor, rows: int, sign: int) -> Tensor:
    """(p, q) with block i rolled by sign * i * ``roll``."""
    p, length = blocks.shape
    step = sign * roll(blocks.numel() // rows, p, length)
    return torch.stack([block.roll(index * step) for index, block in enumerate(blocks)])
