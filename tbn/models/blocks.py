"""What several image models share: checked arguments, patches, attention and the two-layer perceptron.

Attention is made of ``nn.Linear`` layers (``qkv``, ``proj``), so that tiling reaches all of its weights; torch's own
``nn.MultiheadAttention`` keeps its input projections in a bare parameter.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from tbn.errors import TBNError


def is_shape(shape: Sequence[int], axes: int) -> bool:
    """Whether ``shape`` is ``axes`` whole numbers of at least 1."""
    return len(shape) == axes and all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in shape)


def image_shape(input_shape: Sequence[int], smallest: int = 1) -> tuple[int, int, int]:
    """``input_shape`` as (channels, height, width).

    Raises:
        TBNError: it is not three positive whole numbers, or an image side is below ``smallest`` pixels.
    """
    if not is_shape(input_shape, 3):
        raise TBNError(
            f"input_shape={tuple(input_shape)} is not (channels, height, width)",
            "write e.g. (3, 32, 32) or (1, 28, 28)",
        )
    channels, height, width = input_shape
    if min(height, width) < smallest:
        raise TBNError(
            f"images of {height} x {width} pixels are too small for this model",
            f"use images of at least {smallest} x {smallest}, or the model cnn or mlp",
        )
    return channels, height, width


def positive(**sizes: int | Sequence[int]) -> None:
    """Raise TBNError unless every number is a whole one of at least 1: ``positive(width=width, depths=depths)``."""
    for name, value in sizes.items():
        for number in value if isinstance(value, Sequence) else (value,):
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise TBNError(f"{name}={value!r} is not a whole number of at least 1", f"e.g. {name}=4")


def patch_grid(input_shape: Sequence[int], patch: int) -> tuple[int, int, int]:
    """(channels, rows of patches, columns of patches) of an image cut into squares of ``patch`` pixels.

    Raises:
        TBNError: the squares do not cover the image exactly.
    """
    channels, height, width = image_shape(input_shape)
    positive(patch=patch)
    if height % patch or width % patch:
        fitting = [n for n in range(1, min(height, width) + 1) if height % n == 0 == width % n]
        nearest = [max(n for n in fitting if n < patch), *[n for n in fitting if n > patch][:1]]
        raise TBNError(
            f"patch={patch} does not divide images of {height} x {width} pixels",
            f"use {' or '.join(f'patch={n}' for n in nearest)}",
        )
    return channels, height // patch, width // patch


def space_to_depth(x: Tensor, factor: int) -> Tensor:
    """(batch, height, width, channels) -> (batch, height / factor, width / factor, factor * factor * channels)."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // factor, factor, width // factor, factor, channels)
    return x.transpose(2, 3).reshape(batch, height // factor, width // factor, factor * factor * channels)


class PatchEmbedding(nn.Module):
    """Cuts an image into patches and multiplies each with one matrix, ``proj``.

    Shapes: input (batch, channels, height, width), output (batch, patches, dim), patches row by row.
    """

    def __init__(self, channels: int, patch: int, dim: int) -> None:
        super().__init__()
        self.patch = patch
        self.proj = nn.Linear(channels * patch * patch, dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.proj(space_to_depth(x.permute(0, 2, 3, 1), self.patch).flatten(1, 2))
        return out


class Attention(nn.Module):
    """Multi-head self-attention (https://arxiv.org/abs/1706.03762): softmax(q k' / sqrt(d) + bias) v, then ``proj``.

    Shapes: input and output (..., tokens, dim); ``bias`` broadcasts to (..., heads, tokens, tokens).

    Raises:
        TBNError: the heads do not divide ``dim``.
    """

    def __init__(self, dim: int, heads: int, qkv_bias: bool = False) -> None:
        super().__init__()
        if dim % heads:
            raise TBNError(f"heads={heads} does not divide dim={dim}", f"use dim={max(1, round(dim / heads)) * heads}")
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).transpose(-4, -2).unbind(-3)  # (..., heads, tokens, d)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=None if bias is None else bias.to(q.dtype))
        out: Tensor = self.proj(mixed.transpose(-3, -2).flatten(-2))
        return out


class FeedForward(nn.Module):
    """Linear, GELU, Linear on the last axis. Shapes: input and output (..., dim)."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out
