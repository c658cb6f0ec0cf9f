"""Packed models whose blocks lie in each order, made without training, for tests of generated C."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

import tbn
from tests.export.packed_models import images

ORDERS = ("interleaved", "inputs", "rolled")


def packed(model: nn.Module, order: str, p: int, alpha: str = "tile", exclude: tuple[str, ...] = ()) -> nn.Module:
    """A model with every layer but ``exclude`` tiled, on the seed that torch has; its norms have statistics of their own."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, -1.5, 1.5)
    config = tbn.TilingConfig(p=p, min_layer_size=0, order=order, alpha=alpha, exclude=exclude)  # type: ignore[arg-type]
    tbn.tile_(model, config)
    return tbn.freeze(model.eval())


def perceptron(*sizes: int) -> nn.Module:
    """Linear layers with ReLUs between them."""
    torch.manual_seed(1)
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def convolutions() -> nn.Module:
    """Padding, strides, a norm, groups of four inputs, one input each, a single pixel, more than 256 inputs of a row. For (4, 9, 7)."""
    torch.manual_seed(2)
    return nn.Sequential(
        nn.Conv2d(4, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(),
        nn.Conv2d(12, 36, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(36, 36, (3, 1), padding=(1, 0), groups=9), nn.ReLU(),
        nn.Conv2d(36, 36, 3, padding=1, groups=36), nn.ReLU(),
        nn.Conv2d(36, 20, 3, padding=1, bias=False), nn.ReLU(),
        nn.Conv2d(20, 12, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 6),
    )  # fmt: skip


class Mixer(nn.Module):
    """Layers on each of several vectors, across a transposition, and the largest output of a convolution of one pixel. For (12, 5)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.tokens, self.channels = nn.Linear(5, 10), nn.Linear(12, 16)
        self.points, self.head = nn.Conv1d(10, 8, 1), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mixed = torch.relu(self.channels(torch.relu(self.tokens(x)).transpose(1, 2)))
        return self.head(torch.relu(self.points(mixed)).amax(2))


def task(*shape: int) -> SimpleNamespace:
    """Random raw inputs of a shape."""
    return images(*shape, count=24)


def logits(model: nn.Module, given: SimpleNamespace) -> np.ndarray:
    """Of torch, (samples, outputs) float32."""
    with torch.no_grad():
        return model(torch.from_numpy(given.test_inputs).float() * given.scale + given.offset).numpy()
