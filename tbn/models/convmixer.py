"""ConvMixer: patches, then depthwise and pointwise convolutions in turns (Trockman and Kolter, https://arxiv.org/abs/2201.09792)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from tbn.models.blocks import patch_grid, positive


class ConvMixerBlock(nn.Module):
    """Depthwise convolution beside a shortcut, then a pointwise one, each followed by GELU and BatchNorm.

    Shapes: input and output (batch, dim, rows, columns). An even kernel needs one more zero after the image than before it.
    """

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        self.pad = nn.ZeroPad2d(((kernel - 1) // 2, kernel // 2) * 2)
        self.depthwise = nn.Conv2d(dim, dim, kernel, groups=dim)
        self.bn1 = nn.BatchNorm2d(dim)
        self.pointwise = nn.Conv2d(dim, dim, 1)
        self.bn2 = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.bn1(F.gelu(self.depthwise(self.pad(x))))
        out: Tensor = self.bn2(F.gelu(self.pointwise(x)))
        return out


class ConvMixer(nn.Module):
    """Patch embedding with GELU and BatchNorm, blocks, global average, classifier ``head``.

    Shapes: input (batch, *input_shape), output (batch, classes).
    """

    def __init__(self, input_shape: Sequence[int], classes: int, dim: int, depth: int, kernel: int, patch: int) -> None:
        super().__init__()
        positive(dim=dim, depth=depth, kernel=kernel, classes=classes)
        channels, _, _ = patch_grid(input_shape, patch)
        self.embed = nn.Conv2d(channels, dim, patch, stride=patch)
        self.bn = nn.BatchNorm2d(dim)
        self.blocks = nn.Sequential(*(ConvMixerBlock(dim, kernel) for _ in range(depth)))
        self.head = nn.Linear(dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.blocks(self.bn(F.gelu(self.embed(x)))).mean((2, 3)))
        return out


def convmixer(
    input_shape: Sequence[int] = (3, 32, 32),
    classes: int = 10,
    dim: int = 256,
    depth: int = 16,
    kernel: int = 8,
    patch: int = 1,
) -> ConvMixer:
    """The paper's for CIFAR-10, ConvMixer-256/16 with kernel 8 and patches of one pixel; 1,314,048 weights.

    Args:
        input_shape: (channels, height, width) of an image.
        classes: how many.
        dim: channels.
        depth: blocks.
        kernel: side of the depthwise kernel.
        patch: side of a patch in pixels; divides the image's sides.
    """
    return ConvMixer(input_shape, classes, dim, depth, kernel, patch)
