"""A small convolutional network with BatchNorm for images of 8 x 8 pixels and more."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn


def cnn(input_shape: Sequence[int] = (1, 28, 28), classes: int = 10, width: int = 32) -> nn.Sequential:
    """Four 3x3 convolutions of width, 2, 4 and 4 times width, two max-poolings, global average pooling and the classifier ``head``.

    With the default width conv3 (73,728 weights) and conv4 (147,456) reach the paper's minimum layer size of 64,000.
    Shapes: input (batch, *input_shape), output (batch, classes).
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = input_shape[0]
    for index, size in enumerate((width, 2 * width, 4 * width, 4 * width), 1):
        layers[f"conv{index}"] = nn.Conv2d(channels, size, 3, padding=1, bias=False)
        layers[f"bn{index}"] = nn.BatchNorm2d(size)
        layers[f"relu{index}"] = nn.ReLU()
        if index <= 2:
            layers[f"pool{index}"] = nn.MaxPool2d(2)
        channels = size
    layers["average"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["head"] = nn.Linear(channels, classes)
    return nn.Sequential(layers)
