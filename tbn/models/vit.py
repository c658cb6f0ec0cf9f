"""Vision transformer, ViT (Dosovitskiy et al., https://arxiv.org/abs/2010.11929)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tbn.models.blocks import Attention, FeedForward, PatchEmbedding, patch_grid, positive


class EncoderBlock(nn.Module):
    """LayerNorm and attention, then LayerNorm and perceptron, both beside a shortcut.

    Shapes: input and output (batch, tokens, dim).
    """

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = FeedForward(dim, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class ViT(nn.Module):
    """Patches behind a class token, positional embeddings, encoder blocks, LayerNorm, classifier ``head`` on the class token.

    Class token (1, 1, dim) and positional embeddings (1, 1 + patches, dim) keep full precision.
    Shapes: input (batch, *input_shape), output (batch, classes).
    """

    def __init__(
        self, input_shape: Sequence[int], classes: int, dim: int, depth: int, heads: int, hidden: int, patch: int
    ) -> None:
        super().__init__()
        positive(dim=dim, depth=depth, heads=heads, hidden=hidden, classes=classes)
        channels, rows, columns = patch_grid(input_shape, patch)
        self.embed = PatchEmbedding(channels, patch, dim)
        self.class_token = nn.Parameter(0.02 * torch.randn(1, 1, dim))
        self.position = nn.Parameter(0.02 * torch.randn(1, 1 + rows * columns, dim))
        self.blocks = nn.Sequential(*(EncoderBlock(dim, heads, hidden) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], 1) + self.position
        out: Tensor = self.head(self.norm(self.blocks(x)[:, 0]))
        return out


def vit(
    input_shape: Sequence[int] = (3, 32, 32),
    classes: int = 10,
    dim: int = 512,
    depth: int = 6,
    heads: int = 8,
    hidden: int = 512,
    patch: int = 4,
) -> ViT:
    """The paper's for CIFAR-10: 64 patches of 4 x 4 pixels; 9,466,880 weights.

    Args:
        input_shape: (channels, height, width) of an image.
        classes: how many.
        dim: width of a token; a multiple of ``heads``.
        depth: encoder blocks.
        heads: of the attention.
        hidden: hidden width of the perceptrons.
        patch: side of a patch in pixels; divides the image's sides.
    """
    return ViT(input_shape, classes, dim, depth, heads, hidden, patch)
