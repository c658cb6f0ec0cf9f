"""Optimiser and checkpoint of a training run: one safetensors file, replaced after every epoch; no pickle."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from tbn.config import RunConfig
from tbn.files import write_bytes
from tbn.recipes import recipe

NAME = "checkpoint.safetensors"


def optimizer_of(config: RunConfig, model: nn.Module) -> torch.optim.Optimizer:
    """The recipe's optimiser over the model's parameters."""
    assert config.lr is not None
    chosen = recipe(config.recipe)
    kinds: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adamw": torch.optim.AdamW,
        "adam": torch.optim.Adam,
        "adadelta": torch.optim.Adadelta,
        "sgd": lambda parameters, **kwargs: torch.optim.SGD(parameters, momentum=chosen.momentum, **kwargs),
    }
    return kinds[chosen.optimizer](model.parameters(), lr=config.lr, weight_decay=chosen.weight_decay)


def write(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: nn.Module | None,
    epoch: int,
    seconds: float,
) -> None:
    """Model, its moving average where there is one, and optimiser after a whole epoch, as one safetensors file."""
    tensors = {
        f"{part}.{name}": tensor.detach().cpu().contiguous()
        for part, module in (("model", model), ("average", average))
        if module is not None
        for name, tensor in module.state_dict().items()
    }
    plain: dict[str, dict[str, Any]] = {}
    for index, values in optimizer.state_dict()["state"].items():
        for key, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{key}"] = value.detach().cpu().contiguous()
            else:
                plain.setdefault(str(index), {})[key] = value
    write_bytes(
        folder / NAME,
        to_bytes(tensors, {"epoch": str(epoch), "seconds": str(seconds), "plain": json.dumps(plain)}),
    )


def restore(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, average: nn.Module | None = None
) -> tuple[int, float]:
    """Load the last checkpoint into all of them: (epochs done, seconds spent), or (0, 0.0) where there is none."""
    path = folder / NAME
    if not path.is_file():
        return 0, 0.0
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    for part, module in (("model", model), ("average", average)):
        if module is not None:
            start = f"{part}."
            module.load_state_dict(
                {key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)}
            )
    state: dict[int, dict[str, Any]] = {
        int(index): dict(values) for index, values in json.loads(metadata["plain"]).items()
    }
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return int(metadata["epoch"]), float(metadata["seconds"])
