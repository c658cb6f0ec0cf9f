"""U-Net for the segmentation of images (Ronneberger et al., https://arxiv.org/abs/1505.04597).

As in the paper but for three things: convolutions are padded, so that the output has the size of the input; BatchNorm follows each of them;
and the way up repeats pixels in place of a transposed convolution, which tiling does not know.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tbn.models.blocks import image_shape, positive


def double_convolution(channels: int, size: int) -> nn.Sequential:
    """Two 3x3 convolutions, each with BatchNorm and ReLU. Shapes: (batch, channels, h, w) -> (batch, size, h, w)."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for index, before in enumerate((channels, size), 1):
        layers[f"conv{index}"] = nn.Conv2d(before, size, 3, padding=1, bias=False)
        layers[f"bn{index}"] = nn.BatchNorm2d(size)
        layers[f"relu{index}"] = nn.ReLU()
    return nn.Sequential(layers)


class UNet(nn.Module):
    """``depth`` levels down, the bottom, as many levels up beside what was seen on the way down, and a 1x1 convolution ``head``.

    A level halves the sides, rounded up, and the way up returns to each level's own size: images of any size go through.
    Shapes: input (batch, *input_shape), output (batch, classes, height, width).
    """

    def __init__(self, input_shape: Sequence[int], classes: int, width: int, depth: int) -> None:
        super().__init__()
        channels, _, _ = image_shape(input_shape)
        positive(width=width, depth=depth, classes=classes)
        sizes = [width * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(double_convolution(*pair) for pair in pairwise((channels, *sizes[:-1])))
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.bottom = double_convolution(sizes[-2], sizes[-1])
        self.up = nn.ModuleList(double_convolution(3 * size, size) for size in reversed(sizes[:-1]))
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        seen = []
        for level in self.down:
            seen.append(level(x))
            x = self.pool(seen[-1])
        x = self.bottom(x)
        for level, beside in zip(self.up, reversed(seen), strict=True):
            x = level(torch.cat([beside, F.interpolate(x, size=beside.shape[2:])], 1))
        out: Tensor = self.head(x)
        return out


def unet(input_shape: Sequence[int] = (3, 64, 64), classes: int = 5, width: int = 16, depth: int = 3) -> UNet:
    """A small one: 3x3 convolutions of ``width``, 2, 4, ... times that on ``depth`` levels; 486,656 weights at the defaults.

    Args:
        input_shape: (channels, height, width) of an image, of any size.
        classes: how many a pixel can have.
        width: channels of the first level (the paper's has 64).
        depth: how often the sides are halved (the paper's 4 times).
    """
    return UNet(input_shape, classes, width, depth)
