"""A run's network from its configuration: registry model, start weights, tiling."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

import tbn.models
from tbn import runs
from tbn.config import RunConfig
from tbn.convert import tile_
from tbn.errors import TBNError

ALPHA_SOURCE = ".alpha_source"


def build(
    config: RunConfig, arguments: Mapping[str, Any], weights: Mapping[str, Tensor] | None = None
) -> tuple[nn.Module, str]:
    """The model to train, seeded, and the conversion report as text ("" for full precision).

    Args:
        config: the run's.
        arguments: ``Task.model_arguments``, which every model of the task's kind is built with.
        weights: a state dict to start from (``start_weights``); dense weights become the latent ones.

    Raises:
        TBNError: the user's arguments contradict the task's, the weights do not fit, or p > 1 and no layer is large enough: such a run
            would be a binary network under a wrong name.
    """
    if taken := sorted(set(arguments) & set(config.model_args)):
        raise TBNError(f"{taken[0]} is {arguments[taken[0]]} by the task {config.task!r}", f"leave {taken[0]} out")
    torch.manual_seed(config.seed)
    model = tbn.models.create(config.model, **arguments, **config.model_args)
    if weights is not None:
        _start_from(model, weights, str(config.warm_start))
    if config.p == 0:
        return model, ""
    report = tile_(model, config.tiling())
    if weights is not None:  # those of a tiled network have alpha sources of their own
        sources = {name: tensor for name, tensor in weights.items() if name.endswith(ALPHA_SOURCE)}
        model.load_state_dict(
            {name: sources[name] for name in sources.keys() & model.state_dict().keys()}, strict=False
        )
    if (config.p > 1 or config.per_layer) and not report.with_status("tiled"):
        largest = max(report.with_status("binary")[:-1] or report.layers, key=lambda layer: layer.weights)
        raise TBNError(
            f"p={config.p} tiles nothing: the largest layer {largest.name!r} has {largest.weights:,} weights, min_layer_size is "
            f"{config.min_layer_size:,}",
            f"lower it: --min-layer-size {largest.weights}",
        )
    return model, str(report)


def start_weights(source: str) -> dict[str, Tensor]:
    """The state dict of a run or a .safetensors file.

    Raises:
        TBNError: no such run or file, or it holds packed bits.
    """
    path = Path(source)
    if path.suffix != ".safetensors":
        path = runs.find(source).path / "model.safetensors"
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise TBNError(
            f"{path} cannot be read as weights: {error}", "name a run that keeps its weights, or a .safetensors file"
        ) from error
    if any(name.endswith(".tile") for name in found):
        raise TBNError(f"{path} holds packed bits, not weights to go on from", "name the run's model.safetensors")
    return found


def _start_from(model: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    weights = {name: tensor for name, tensor in weights.items() if not name.endswith(ALPHA_SOURCE)}
    own = model.state_dict()
    for name in sorted(set(own) | set(weights)):
        here, there = (tuple(state[name].shape) if name in state else "nothing" for state in (own, weights))
        if here != there:
            raise TBNError(
                f"{name!r} is {there} in {source}, {here} in this model",
                "start from the same architecture, classes included",
            )
    model.load_state_dict(weights)
