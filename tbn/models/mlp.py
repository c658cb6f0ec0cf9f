"""Multi-layer perceptron; by default the paper's microcontroller network 784-128-10 without biases."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from math import prod

from torch import nn


def mlp(
    input_shape: Sequence[int] = (1, 28, 28), classes: int = 10, hidden: Sequence[int] = (128,), bias: bool = False
) -> nn.Sequential:
    """Flatten, then Linear and ReLU for each hidden width, then the classifier ``head``.

    Shapes: input (batch, *input_shape), output (batch, classes).
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    width = prod(input_shape)
    for index, size in enumerate(hidden, 1):
        layers[f"fc{index}"] = nn.Linear(width, size, bias=bias)
        layers[f"relu{index}"] = nn.ReLU()
        width = size
    layers["head"] = nn.Linear(width, classes, bias=bias)
    return nn.Sequential(layers)
