"""What the zoo trains: every model family on data that comes with the package, small enough for a quarter of a minute or so on one CPU core.

All factors of a family share its configuration. ``min_layer_size`` is set so that the layers that make up most of a network are tiled. Test windows
of a forecast begin every 25 steps, which is prime to the steps of a day: all hours are tested. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SEEDS = (0, 1)


@dataclass(frozen=True)
class Family:
    """One model on one task.

    Attributes:
        task, model: names of the registries.
        options: further fields of ``RunConfig``, the same for all factors.
        factors: the values of p; 0 is full precision.
    """

    task: str
    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    factors: tuple[int, ...] = (0, 1, 4, 8)

    def name(self, p: int, seed: int) -> str:
        """The name of an entry: ``fashion_mnist-vit-p4-s0``."""
        method = {0: "fp32", 1: "binary"}.get(p, f"p{p}")
        return f"{self.task}-{self.model}-{method}-s{seed}"


def _forecast(task: str, model: str, epochs: int, **model_args: Any) -> Family:
    shared = {"recipe": "forecast", "min_layer_size": 4_000, "task_args": {"stride": 25}}
    return Family(task, model, {"model_args": model_args, "epochs": epochs, **shared})


MLP_LAYERS: dict[str, Any] = {"hidden": [128, 128]}
TRANSFORMER: dict[str, Any] = {"dim": 64, "depth": 1, "heads": 4, "hidden": 128}

# fmt: off
FAMILIES = (
    Family("fashion_mnist", "mlp", factors=(0, 1, 2, 4, 8, 16)),
    Family("fashion_mnist", "cnn", factors=(0, 1, 2, 4, 8, 16)),
    Family("fashion_mnist", "vgg_small", {"model_args": {"width": 16}, "min_layer_size": 2_000, "epochs": 8}),
    Family("fashion_mnist", "resnet18", {"model_args": {"width": 6}, "min_layer_size": 2_000, "epochs": 8}),
    Family("fashion_mnist", "mlp_mixer", {
        "model_args": {"dim": 64, "depth": 2, "patch": 4, "token_hidden": 64, "channel_hidden": 128}, "min_layer_size": 1_000, "epochs": 15,
    }),
    Family("fashion_mnist", "convmixer", {
        "model_args": {"dim": 64, "depth": 4, "kernel": 5, "patch": 4}, "min_layer_size": 4_000, "epochs": 10,
    }),
    Family("fashion_mnist", "vit", {
        "model_args": {"dim": 64, "depth": 3, "heads": 4, "hidden": 128, "patch": 7}, "min_layer_size": 3_000, "epochs": 15,
    }),
    Family("fashion_mnist", "swin_t", {
        "model_args": {"dim": 24, "depths": [2, 2], "heads": [2, 4], "window": 4, "factors": [4, 2]}, "min_layer_size": 1_000, "epochs": 10,
    }),
    Family("earthcover", "unet", {
        "model_args": {"width": 8, "depth": 3}, "min_layer_size": 4_000, "epochs": 20, "batch_size": 8, "lr": 4e-3, "augment": "flips",
    }),
    Family("sweethome", "pointnet_cls", {
        "model_args": {"width": 8}, "min_layer_size": 6_000, "epochs": 25, "batch_size": 8, "augment": "scale_shift",
    }),
    Family("kicad_parts", "pointnet_part", {
        "model_args": {"width": 8}, "min_layer_size": 6_000, "epochs": 12, "batch_size": 16,
    }),
    Family("composed_rooms", "pointnet_sem", {
        "model_args": {"width": 8}, "min_layer_size": 6_000, "epochs": 30, "batch_size": 6, "lr": 4e-3, "task_args": {"points": 512},
    }),
    _forecast("appliances", "forecaster_mlp", 8, **MLP_LAYERS),
    _forecast("appliances", "forecaster_transformer", 6, **TRANSFORMER),
    _forecast("beijing", "forecaster_mlp", 6, **MLP_LAYERS),
    _forecast("beijing", "forecaster_transformer", 5, **TRANSFORMER),
    _forecast("household", "forecaster_mlp", 8, **MLP_LAYERS),
    _forecast("household", "forecaster_transformer", 6, **TRANSFORMER),
)
# fmt: on
