"""The networks and settings of the ablation (``tbn.ablation``), and what each of them stores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from tbn.config import RunConfig

SEEDS = (0, 1, 2)
IMAGES = {"input_shape": [1, 28, 28], "classes": 10}  # of all tasks here
DENSE = "the full-precision run of the same seed"  # stands for its folder


@dataclass(frozen=True)
class Base:
    """A tiled network and its task; ``narrow`` gives the model's arguments at a share of its width."""

    task: str
    model: str
    options: Mapping[str, Any]
    narrow: Callable[[float], dict[str, Any]]


@dataclass(frozen=True)
class Setting:
    """A choice that differs from the base.

    Attributes:
        options: fields of ``RunConfig``; ``DENSE`` stands for a run.
        model_args: of the model, over those of the base.
        narrow: a binary network of at least the bytes of this other setting.
        only: bases that it is for; all, if empty.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    model_args: Mapping[str, Any] = field(default_factory=dict)
    narrow: str = ""
    only: tuple[str, ...] = ()


def _whole(*sizes: float) -> list[int]:
    return [max(1, round(size)) for size in sizes]


BASES: Mapping[str, Base] = {
    "mlp": Base(
        "fashion_mnist", "mlp", {"model_args": {"hidden": [128]}, "min_layer_size": 10_000, "epochs": 10, "limit": 6_000},
        lambda share: {"hidden": _whole(128 * share)},
    ),
    "wide_mlp": Base(
        "fashion_mnist", "mlp", {"model_args": {"hidden": [256]}, "min_layer_size": 10_000, "epochs": 12, "limit": 10_000},
        lambda share: {"hidden": _whole(256 * share)},
    ),
    "cnn": Base(
        "mnist", "micro_cnn", {"model_args": {"channels": [16, 32, 32]}, "min_layer_size": 1_000, "epochs": 8, "limit": 6_000},
        lambda share: {"channels": _whole(16 * share, 32 * share, 32 * share)},
    ),
    "mixer": Base(
        "fashion_mnist", "mlp_mixer",
        {
            "model_args": {"dim": 32, "depth": 2, "patch": 4, "token_hidden": 32, "channel_hidden": 64}, "min_layer_size": 1_000, "epochs": 8,
            "limit": 6_000,
        },
        lambda share: dict(zip(("dim", "token_hidden", "channel_hidden"), _whole(32 * share, 32 * share, 64 * share), strict=True)),
    ),
}  # fmt: skip
SETTINGS: Mapping[str, Setting] = {
    "full precision": Setting({"p": 0}),
    "tiled": Setting(),
    "binary, same width": Setting({"p": 1}),
    "binary, narrow": Setting({"p": 1}, narrow="tiled"),
    "order interleaved": Setting({"order": "interleaved"}),
    "order inputs": Setting({"order": "inputs"}),
    "order rolled": Setting({"order": "rolled"}),
    "biases": Setting(model_args={"bias": True}, only=("mlp", "wide_mlp")),
    "alphas learned": Setting({"alpha_source": "learned"}),
    "alphas of W": Setting({"alpha_source": "latent"}),
    "one alpha a layer": Setting({"alpha": "layer"}),
    "estimator tile": Setting({"estimator": "tile"}),
    "estimator clip": Setting({"estimator": "clip"}),
    "estimator hat": Setting({"estimator": "hat"}),
    "estimator reste": Setting({"estimator": "reste"}),
    "weights standardised": Setting({"standardise": True}),
    "p raised in steps": Setting({"progressive": 0.6}),
    "moving average": Setting({"ema": 0.99}),
    "norms re-estimated": Setting({"norm_batches": 50}, only=("cnn",)),
    "warm start": Setting({"warm_start": DENSE}),
    "distillation": Setting({"teacher": DENSE}),
}
NAMES: Mapping[str, str] = {
    "mlp": "Fashion-MNIST, MLP 784-128-10",
    "wide_mlp": "Fashion-MNIST, MLP 784-256-10",
    "cnn": "MNIST, CNN of 16, 32 and 32 channels",
    "mixer": "Fashion-MNIST, MLPMixer of 32 channels",
}


def config_of(base: str, setting: str, seed: int, folder: Path | None = None) -> RunConfig:
    """The run's configuration.

    Args:
        folder: of the runs; where it is not known, no run is named.
    """
    from tbn.config import RunConfig

    ground, chosen = BASES[base], SETTINGS[setting]
    options: dict[str, Any] = {"p": 4, "data": "full", **ground.options, **chosen.options, "seed": seed}
    options["model_args"] = {**options["model_args"], **chosen.model_args}
    for name, value in options.items():
        if value == DENSE:
            options[name] = str(place(folder or Path(), base, "full precision", seed))
    config = RunConfig(ground.task, ground.model, **options)
    return _narrowed(config, config_of(base, chosen.narrow, seed, folder), ground) if chosen.narrow else config


def _narrowed(config: RunConfig, other: RunConfig, ground: Base) -> RunConfig:
    """The narrowest network of a configuration that has at least the bytes of another, so that the doubt is on our side."""
    from dataclasses import replace

    wanted, low, high = stored_bytes(other), 0, 1024  # thousandths, nearly; bytes grow with them
    while high - low > 1:
        middle = (low + high) // 2
        narrow = replace(config, model_args={**config.model_args, **ground.narrow(middle / 1024)})
        low, high = (low, middle) if stored_bytes(narrow) >= wanted else (middle, high)
    return replace(config, model_args={**config.model_args, **ground.narrow(high / 1024)})


def stored_bytes(config: RunConfig) -> int:
    """What a device stores of the network: layers as packed, every other number in two bytes, a BatchNorm as two numbers a channel."""
    import torch

    from tbn.build import build
    from tbn.size import summary

    with torch.device("meta"):
        model, _ = build(config, IMAGES)
    return summary(model).weight_bytes + 2 * _other_numbers(model)


def _other_numbers(model: nn.Module) -> int:
    """Biases, factors and shifts of norms, embeddings."""
    from tbn.layers import is_layer

    weights = {id(module.weight) for module in model.modules() if is_layer(module)}
    sources = {id(getattr(module, "alpha_source", None)) for module in model.modules()}
    return sum(parameter.numel() for parameter in model.parameters() if id(parameter) not in weights | sources)


def place(folder: Path, base: str, setting: str, seed: int) -> Path:
    """The folder of a run."""
    return folder / f"{base}-{setting.replace(' ', '_').replace(',', '')}-s{seed}"
