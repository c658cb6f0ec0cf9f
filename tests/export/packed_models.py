"""Packed models made without random numbers or training, for golden files and shapes that training would not give."""

from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from tbn.packed import PackedLinear


def packed_linear(inputs: int, outputs: int, p: int, alphas: int, bias: bool, seed: int = 1) -> PackedLinear:
    """A PackedLinear whose bits and numbers follow from ``seed`` on every machine and torch version."""
    layer = PackedLinear(inputs, outputs, bias, p, alphas)
    numbers = np.random.default_rng(seed)
    bits = numbers.integers(0, 2, layer.geometry.tile_length, dtype=np.uint8)
    layer.tile.copy_(torch.from_numpy(np.packbits(bits, bitorder="little")))
    layer.alphas.copy_(torch.from_numpy(numbers.integers(1, 64, alphas).astype(np.float32) / 64))
    if layer.bias is not None:
        layer.bias.copy_(torch.from_numpy(numbers.integers(-32, 32, outputs).astype(np.float32) / 16))
    return layer


def network(*layers: nn.Module) -> nn.Sequential:
    """Flatten and the layers, in eval mode."""
    return nn.Sequential(nn.Flatten(), *layers).eval()


def example() -> nn.Sequential:
    """The model of pio_firmware/example_model and of the golden files: 64-32-10, a tiled layer with a ReLU and a binary one."""
    model = nn.Sequential()
    model.add_module("flatten", nn.Flatten())
    model.add_module("fc1", packed_linear(64, 32, p=4, alphas=4, bias=False))
    model.add_module("relu", nn.ReLU())
    model.add_module("head", packed_linear(32, 10, p=1, alphas=1, bias=True, seed=2))
    return model.eval()


def images(*shape: int, count: int = 40) -> SimpleNamespace:
    """A task of ``count`` random images of ``shape``."""
    inputs = np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)
    labels = np.zeros(count, np.int64)
    return SimpleNamespace(
        name="example",
        input_shape=shape,
        scale=1 / 255,
        offset=-0.25,
        train_inputs=inputs,
        test_inputs=inputs,
        test_targets=labels,
    )


def expected(model: nn.Module, task: SimpleNamespace) -> np.ndarray:
    """Logits of torch, (images, outputs) float32."""
    with torch.no_grad():
        return model(torch.from_numpy(task.test_inputs).float() * task.scale + task.offset).numpy()
