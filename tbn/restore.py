"""A run's data and models, back from its folder."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn

from tbn import artifact, runs
from tbn.batches import Split
from tbn.build import build
from tbn.config import RunConfig
from tbn.errors import TBNError
from tbn.tasks import Task
from tbn.tasks.of_run import task_of

__all__ = ["Outputs", "deployed_model", "latent_model", "logits_of", "outputs_of", "task_of"]
Outputs = NDArray[np.float32]


def latent_model(run: runs.Run) -> nn.Module:
    """The trained model with its latent (or dense) weights, in eval mode.

    Raises:
        TBNError: the run keeps none.
    """
    path = run.path / "model.safetensors"
    if not path.is_file():
        raise TBNError(f"run {run.id!r} keeps no latent weights", "use --engine packed, or train it again")
    task = task_of(run)
    model, _ = build(RunConfig.from_dict(run.config), task.model_arguments)
    model.load_state_dict(load_file(path))
    return model.eval()


def deployed_model(run: runs.Run) -> nn.Module:
    """What goes onto a device: the packed model, or the dense one of a full-precision run."""
    return artifact.load(run.path / "packed.safetensors") if run.config["p"] else latent_model(run)


def outputs_of(
    model: nn.Module, task: Task, limit: int | None = None, device: str = "cpu", batch_size: int = 500
) -> Iterator[Outputs]:
    """The model's outputs, float32, for the first ``limit`` test inputs, batch by batch."""
    split = Split(task.test_inputs, task.test_targets, task, device)
    model.to(device).eval()
    count = min(len(split), limit or len(split))
    for inputs, _ in split.batches(batch_size, torch.arange(count)):
        with torch.no_grad():  # not around the yield: the caller would run without gradients, too
            outputs = model(inputs)
        yield outputs.float().cpu().numpy()


def logits_of(model: nn.Module, task: Task, limit: int | None = None, device: str = "cpu") -> Outputs:
    """All of ``outputs_of`` as one array, (samples, ...)."""
    return np.concatenate(list(outputs_of(model, task, limit, device)))
