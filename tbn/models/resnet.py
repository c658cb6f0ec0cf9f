"""Residual networks: ResNet-18, 34 and 50 (He et al., https://arxiv.org/abs/1512.03385), for CIFAR-sized and ImageNet-sized images."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from tbn.errors import TBNError
from tbn.models.blocks import image_shape, positive

Stem = Literal["cifar", "imagenet"]


class Block(nn.Module):
    """Convolutions with BatchNorm beside a shortcut: two of 3x3 (basic) or 1x1, 3x3, 1x1 (bottleneck, 4 times as wide at its end).

    The stride sits in the (first) 3x3 convolution; where the shape changes, the shortcut is a 1x1 convolution with BatchNorm.
    Shapes: input (batch, channels, h, w), output (batch, out, h / stride, w / stride), out = size or 4 size.
    """

    def __init__(self, channels: int, size: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        out = 4 * size if bottleneck else size
        if bottleneck:
            plan = [(channels, size, 1, 1), (size, size, 3, stride), (size, out, 1, 1)]
        else:
            plan = [(channels, size, 3, stride), (size, size, 3, 1)]
        body: OrderedDict[str, nn.Module] = OrderedDict()
        for index, (before, after, kernel, step) in enumerate(plan, 1):
            body[f"conv{index}"] = nn.Conv2d(before, after, kernel, stride=step, padding=kernel // 2, bias=False)
            body[f"bn{index}"] = nn.BatchNorm2d(after)
            if index < len(plan):
                body[f"relu{index}"] = nn.ReLU()
        self.body = nn.Sequential(body)
        self.shortcut = nn.Sequential()  # the identity
        if stride != 1 or channels != out:
            self.shortcut.append(nn.Conv2d(channels, out, 1, stride=stride, bias=False))
            self.shortcut.append(nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


class ResNet(nn.Module):
    """Stem, four stages of blocks (each but the first halves the image), global average, classifier ``head``.

    Shapes: input (batch, *input_shape), output (batch, classes).
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        classes: int,
        width: int,
        depths: Sequence[int],
        stem: Stem,
        bottleneck: bool,
    ) -> None:
        super().__init__()
        if stem not in ("cifar", "imagenet"):
            raise TBNError(f"stem={stem!r} is unknown", "use cifar (3x3) or imagenet (7x7 and max-pooling)")
        channels, _, _ = image_shape(input_shape, smallest=8)
        positive(width=width, depths=depths, classes=classes)
        self.bottleneck = bottleneck
        large = stem == "imagenet"
        self.conv1 = (
            nn.Conv2d(channels, width, 7, 2, 3, bias=False)
            if large
            else nn.Conv2d(channels, width, 3, 1, 1, bias=False)
        )
        self.bn1 = nn.BatchNorm2d(width)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1) if large else nn.Identity()
        channels, stages = width, []
        for index, depth in enumerate(depths):
            size, blocks = width * 2**index, []
            for position in range(depth):
                blocks.append(Block(channels, size, 2 if index and not position else 1, bottleneck))
                channels = 4 * size if bottleneck else size
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.bn1(self.conv1(x))))
        out: Tensor = self.head(self.stages(x).mean((2, 3)))
        return out


def resnet18(
    input_shape: Sequence[int] = (3, 32, 32),
    classes: int = 10,
    width: int = 64,
    depths: Sequence[int] = (2, 2, 2, 2),
    stem: Stem = "cifar",
) -> ResNet:
    """Basic blocks of ``width``, 2, 4 and 8 times that; 11,164,352 weights at the defaults.

    Args:
        input_shape: (channels, height, width) of an image, at least 8 x 8 pixels.
        classes: how many.
        width: channels of the first stage.
        depths: blocks of each stage.
        stem: "cifar", one 3x3 convolution, or "imagenet", 7x7 with stride 2 and a max-pooling.
    """
    return ResNet(input_shape, classes, width, depths, stem, bottleneck=False)


def resnet34(
    input_shape: Sequence[int] = (3, 32, 32),
    classes: int = 10,
    width: int = 64,
    depths: Sequence[int] = (3, 4, 6, 3),
    stem: Stem = "cifar",
) -> ResNet:
    """As ``resnet18`` with 3, 4, 6 and 3 blocks; the paper's is for ImageNet: ``input_shape=(3, 224, 224), classes=1000, stem="imagenet"``."""
    return ResNet(input_shape, classes, width, depths, stem, bottleneck=False)


def resnet50(
    input_shape: Sequence[int] = (3, 32, 32),
    classes: int = 10,
    width: int = 64,
    depths: Sequence[int] = (3, 4, 6, 3),
    stem: Stem = "cifar",
) -> ResNet:
    """Bottleneck blocks of ``width``, 2, 4 and 8 times that, 4 times as wide at their ends; 23,467,712 weights at the defaults.

    Arguments as of ``resnet18``; for ImageNet ``input_shape=(3, 224, 224), classes=1000, stem="imagenet"``.
    """
    return ResNet(input_shape, classes, width, depths, stem, bottleneck=True)


def published_factors(model: ResNet, p: int) -> dict[str, int]:
    """``per_layer`` of the paper's CIFAR-10 configuration; take it before ``tile_``: ``TilingConfig(p=4, per_layer=published_factors(model, 4))``.

    ResNet-18 and 34: 1, 1, 1, 1, p, ..., p, 1 in order of construction (conv1; of each block conv1, conv2, shortcut; head), whatever the
    layer's size. ResNet-50: nothing, it has one p and the minimum layer size of 64,000.
    """
    if model.bottleneck:
        return {}
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    return {name: 1 if index < 4 or name == names[-1] else p for index, name in enumerate(names)}
