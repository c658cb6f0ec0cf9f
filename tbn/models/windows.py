"""Attention within windows, the part of Swin that is its own (Liu et al., https://arxiv.org/abs/2103.14030, section 3.2).

Any grid of tokens works: one that the windows do not divide is padded, and the padding is hidden from the attention.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tbn.models.blocks import Attention


def pad_to(x: Tensor, multiple: int) -> Tensor:
    """(batch, height, width, channels), padded with zeros below and on the right to multiples."""
    return F.pad(x, (0, 0, 0, -x.shape[2] % multiple, 0, -x.shape[1] % multiple))


def windows_of(x: Tensor, side: int) -> Tensor:
    """(batch, height, width, channels) -> (batch, windows, side * side, channels), row by row."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // side, side, width // side, side, channels)
    return x.transpose(2, 3).reshape(batch, -1, side * side, channels)


def grid_of(windows: Tensor, side: int, height: int, width: int) -> Tensor:
    """The inverse of ``windows_of``."""
    batch, _, _, channels = windows.shape
    x = windows.reshape(batch, height // side, width // side, side, side, channels)
    return x.transpose(2, 3).reshape(batch, height, width, channels)


class WindowAttention(nn.Module):
    """Attention within windows of side x side tokens; with a shift, the windows lie half a window further down and right, wrapped around.

    A learned bias for each head and relative position is added to the products. Tokens of one window that are not neighbours in the
    image (wrapped around, or padding) do not see each other. A grid that fits one window is one window, without shift.
    Shapes: input and output (batch, *grid, dim); ``position`` ((2 side - 1)^2, heads), full precision.
    """

    index: Tensor
    hidden: Tensor | None

    def __init__(self, dim: int, heads: int, grid: tuple[int, int], window: int, shifted: bool) -> None:
        super().__init__()
        self.side = side = min(window, max(grid))
        self.shift = window // 2 if shifted and max(grid) > window else 0
        self.attention = Attention(dim, heads, qkv_bias=True)
        self.position = nn.Parameter(0.02 * torch.randn((2 * side - 1) ** 2, heads))
        line = torch.arange(side)
        apart = line[:, None] - line + side - 1  # (side, side), 0 ... 2 side - 2
        index = apart[:, None, :, None] * (2 * side - 1) + apart[None, :, None, :]
        self.register_buffer("index", index.reshape(side**2, side**2), persistent=False)
        self.register_buffer("hidden", self._hidden(grid), persistent=False)

    def _hidden(self, grid: tuple[int, int]) -> Tensor | None:
        """(windows, 1, tokens, tokens), True where a token must not see another; None where all see all."""
        rows, columns = (torch.arange(n + -n % self.side) for n in grid)
        if not self.shift and (len(rows), len(columns)) == grid:
            return None
        region = 2 * (rows < self.shift).long()[:, None] + (columns < self.shift).long()
        region = region.masked_fill((rows >= grid[0])[:, None] | (columns >= grid[1]), 4)
        region = region.roll((-self.shift, -self.shift), (0, 1))
        of_token = windows_of(region[None, :, :, None], self.side)[0]  # (windows, tokens, 1)
        return (of_token != of_token.transpose(1, 2))[:, None]

    def forward(self, x: Tensor) -> Tensor:
        _, height, width, _ = x.shape
        x = pad_to(x, self.side)
        _, rows, columns, _ = x.shape
        if self.shift:
            x = x.roll((-self.shift, -self.shift), (1, 2))
        bias = self.position[self.index].permute(2, 0, 1)  # (heads, tokens, tokens)
        if self.hidden is not None:
            bias = bias.masked_fill(self.hidden, float("-inf"))  # (windows, heads, tokens, tokens)
        x = grid_of(self.attention(windows_of(x, self.side), bias), self.side, rows, columns)
        if self.shift:
            x = x.roll((self.shift, self.shift), (1, 2))
        return x[:, :height, :width]
