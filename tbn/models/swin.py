"""Swin transformer: attention within windows that shift from block to block (Liu et al., https://arxiv.org/abs/2103.14030).

Any image size works: what patches or windows do not divide is padded with zeros, and the padding is hidden from the attention.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from tbn.errors import TBNError
from tbn.models.blocks import FeedForward, image_shape, positive, space_to_depth
from tbn.models.windows import WindowAttention, pad_to


class SwinBlock(nn.Module):
    """LayerNorm and window attention, then LayerNorm and perceptron (4 times as wide), both beside a shortcut.

    Shapes: input and output (batch, *grid, dim).
    """

    def __init__(self, dim: int, heads: int, grid: tuple[int, int], window: int, shifted: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.window = WindowAttention(dim, heads, grid, window, shifted)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = FeedForward(dim, 4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.window(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class PatchMerging(nn.Module):
    """Joins factor x factor neighbours into one token: LayerNorm and ``proj`` (at the image itself ``proj`` and LayerNorm).

    Shapes: input (batch, height, width, channels), output (batch, ceil(height / factor), ceil(width / factor), dim).
    """

    def __init__(self, channels: int, dim: int, factor: int, first: bool) -> None:
        super().__init__()
        self.factor, self.first = factor, first
        joined = factor * factor * channels
        self.norm = nn.LayerNorm(dim if first else joined)
        self.proj = nn.Linear(joined, dim, bias=first)

    def forward(self, x: Tensor) -> Tensor:
        x = space_to_depth(pad_to(x, self.factor), self.factor)
        out: Tensor = self.norm(self.proj(x)) if self.first else self.proj(self.norm(x))
        return out


class Swin(nn.Module):
    """Stages of a patch merging and blocks, every second block shifted; LayerNorm, average over the tokens, classifier ``head``.

    Shapes: input (batch, *input_shape), output (batch, classes).
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        classes: int,
        dim: int,
        depths: Sequence[int],
        heads: Sequence[int],
        window: int,
        factors: Sequence[int],
    ) -> None:
        super().__init__()
        channels, *sides = image_shape(input_shape)
        positive(dim=dim, depths=depths, heads=heads, window=window, factors=factors, classes=classes)
        if not len(depths) == len(heads) == len(factors) > 0:
            raise TBNError(
                f"depths, heads and factors name {len(depths)}, {len(heads)} and {len(factors)} stages",
                "give one number a stage to each",
            )
        layers: list[nn.Module] = []
        for stage, (depth, count, factor) in enumerate(zip(depths, heads, factors, strict=True)):
            size = dim * 2**stage
            layers.append(PatchMerging(channels, size, factor, first=stage == 0))
            sides = [-(-side // factor) for side in sides]
            layers += [SwinBlock(size, count, (sides[0], sides[1]), window, bool(k % 2)) for k in range(depth)]
            channels = size
        self.layers = nn.Sequential(*layers)
        self.norm = nn.LayerNorm(channels)
        self.head = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.norm(self.layers(x.permute(0, 2, 3, 1))).mean((1, 2)))
        return out


def swin_t(
    input_shape: Sequence[int] = (3, 32, 32),
    classes: int = 10,
    dim: int = 96,
    depths: Sequence[int] = (2, 2, 6, 2),
    heads: Sequence[int] = (3, 6, 12, 24),
    window: int = 4,
    factors: Sequence[int] = (2, 2, 2, 1),
) -> Swin:
    """The paper's for CIFAR-10, grids of 16, 8, 4 and 4 tokens a side; 26,550,912 weights.

    For ImageNet: ``input_shape=(3, 224, 224), classes=1000, window=7, factors=(4, 2, 2, 2)``.

    Args:
        input_shape: (channels, height, width) of an image.
        classes: how many.
        dim: width of a token in the first stage, doubled in each further one.
        depths: blocks of each stage.
        heads: of each stage's attention; divide its width.
        window: side of a window in tokens.
        factors: by how much each stage shrinks the sides of the grid before its blocks.
    """
    return Swin(input_shape, classes, dim, depths, heads, window, factors)
