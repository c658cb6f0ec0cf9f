"""Arguments that make every image model small, for images of 28 x 28 x 1 and 10 classes."""

from __future__ import annotations

from typing import Any

IMAGE = {"input_shape": [1, 28, 28], "classes": 10}
SMALL: dict[str, dict[str, Any]] = {
    "vgg_small": {**IMAGE, "width": 8},
    "resnet18": {**IMAGE, "width": 8},
    "resnet34": {**IMAGE, "width": 4},
    "resnet50": {**IMAGE, "width": 4},
    "mlp_mixer": {**IMAGE, "dim": 32, "depth": 2, "token_hidden": 32, "channel_hidden": 32},
    "convmixer": {**IMAGE, "dim": 32, "depth": 2, "kernel": 4, "patch": 2},
    "vit": {**IMAGE, "dim": 32, "depth": 2, "heads": 4, "hidden": 32},
    "swin_t": {**IMAGE, "dim": 16, "depths": [2, 2], "heads": [2, 4], "factors": [2, 2]},
}
