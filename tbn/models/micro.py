"""A convolutional network for microcontrollers: small grey images in a few thousand signs.

Most of its weights work on few positions, as in BitNetMCU's networks (https://github.com/cpldcpu/BitNetMCU), which look at 16 x 16 pixels.
Here the first convolution makes 16 x 16 positions of the whole 28 x 28 pixels, with windows of 6 x 6.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from tbn.errors import TBNError
from tbn.models.blocks import image_shape, positive

STEM, BORDER = 6, 4  # window of the first convolution, and the zeros around the image
LARGE = 24  # pixels a side, from which it takes every second position


def micro_cnn(
    input_shape: Sequence[int] = (1, 28, 28), classes: int = 10, channels: Sequence[int] = (64, 128, 128)
) -> nn.Sequential:
    """Convolutions of ``channels``, the first one 6x6, the others 3x3, with BatchNorm, ReLU and a 2x2 max-pooling each, and ``head``.

    With the default channels conv2 (73,728 weights) and conv3 (147,456) reach the paper's minimum layer size; a microcontroller wants fewer.
    28 x 28 pixels become 16, 8, 4 and 2 a side; the first convolution of images below 24 pixels has stride 1.
    Shapes: input (batch, *input_shape), output (batch, classes).

    Raises:
        TBNError: nothing is left of the image behind so many poolings.
    """
    inputs, *sides = image_shape(input_shape, smallest=8)
    positive(channels=channels, classes=classes)
    stride = 2 if min(sides) >= LARGE else 1
    last = [((side + 2 * BORDER - STEM) // stride + 1) >> len(channels) for side in sides]
    if not all(last):
        raise TBNError(
            f"{len(channels)} poolings leave nothing of {sides[0]} x {sides[1]} pixels", "use fewer channels"
        )
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for index, size in enumerate(channels, 1):
        window = (STEM, stride, BORDER) if index == 1 else (3, 1, 1)
        layers[f"conv{index}"] = nn.Conv2d(inputs, size, *window, bias=False)
        layers[f"bn{index}"] = nn.BatchNorm2d(size)
        layers[f"relu{index}"] = nn.ReLU()
        layers[f"pool{index}"] = nn.MaxPool2d(2)
        inputs = size
    layers["flatten"] = nn.Flatten()
    layers["head"] = nn.Linear(inputs * last[0] * last[1], classes)
    return nn.Sequential(layers)
