"""Small shapes for every kind of task, and arguments that make every model of the registry small."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tbn import models

# what the task gives (``Task.model_arguments``), by kind
SHAPES: dict[str, dict[str, Any]] = {
    "images": {"input_shape": [1, 28, 28], "classes": 10},
    "segmentation": {"input_shape": [3, 18, 13], "classes": 5},
    "points": {"input_shape": [3, 64], "classes": 7},
    "parts": {"input_shape": [4, 64], "classes": 6, "categories": 3},
    "scenes": {"input_shape": [9, 64], "classes": 5},
    "forecasting": {"input_shape": [24, 6], "output_shape": [12, 3]},
}
# what the user gives, by model
ARGUMENTS: dict[str, dict[str, Any]] = {
    "mlp": {},
    "cnn": {"width": 8},
    "micro_cnn": {"channels": [8, 16, 16]},
    "vgg_small": {"width": 8},
    "resnet18": {"width": 8},
    "resnet34": {"width": 4},
    "resnet50": {"width": 4},
    "mlp_mixer": {"dim": 32, "depth": 2, "token_hidden": 32, "channel_hidden": 32},
    "convmixer": {"dim": 32, "depth": 2, "kernel": 4, "patch": 2},
    "vit": {"dim": 32, "depth": 2, "heads": 4, "hidden": 32},
    "swin_t": {"dim": 16, "depths": [2, 2], "heads": [2, 4], "factors": [2, 2]},
    "unet": {"width": 8, "depth": 2},
    "pointnet_cls": {"width": 8},
    "pointnet_part": {"width": 8},
    "pointnet_sem": {"width": 8},
    "forecaster_transformer": {"dim": 32, "depth": 2, "heads": 4, "hidden": 32},
    "forecaster_mlp": {"hidden": [32, 32]},
}
SMALL = {name: {**SHAPES[models.kind_of(name)], **arguments} for name, arguments in ARGUMENTS.items()}


def inputs(kind: str, count: int) -> Tensor:
    """(count, *input_shape) random inputs of ``SHAPES``, with categories and masks where they belong."""
    x = torch.randn(count, *SHAPES[kind]["input_shape"])
    if kind == "parts":
        x[:, -1] = torch.randint(SHAPES[kind]["categories"], (count, 1)).float()
    if kind == "forecasting":
        x[:, :, 3:] = (x[:, :, 3:] > -1).float()
        x[:, :, :3] *= x[:, :, 3:]
    return x


def output_shape(kind: str, count: int) -> tuple[int, ...]:
    """Shape of what a model of a kind gives for ``count`` inputs of ``SHAPES``."""
    shapes = SHAPES[kind]
    if kind == "forecasting":
        return (count, *shapes["output_shape"])
    everywhere = kind in ("segmentation", "parts", "scenes")  # an answer for each pixel or point
    return (count, shapes["classes"], *(shapes["input_shape"][1:] if everywhere else ()))
