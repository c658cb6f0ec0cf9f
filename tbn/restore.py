"""A run's data and models, back from its folder."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn

import tbn.tasks
from tbn import artifact, runs
from tbn.config import RunConfig
from tbn.errors import TBNError
from tbn.train import Split, build

Logits = NDArray[np.float32]


def task_of(run: runs.Run) -> tbn.tasks.Task:
    """The data that the run was trained on.

    Raises:
        TBNError: it is another set now (a full set was removed, or came later).
    """
    config, result = run.config, run.result
    source = result["task"]["source"] if result else None
    task = tbn.tasks.create(config["task"], config.get("data_root"), config.get("data", "auto"))
    if source is not None and task.source != source and "embedded" in source:
        task = tbn.tasks.create(config["task"], data="embedded")
    if source is not None and task.source != source:
        raise TBNError(
            f"run {run.id!r} was trained on the {source}, here is the {task.source}",
            "bring the data back (see --data-root), or train again",
        )
    return task


def latent_model(run: runs.Run) -> nn.Module:
    """The trained model with its latent (or dense) weights, in eval mode.

    Raises:
        TBNError: the run keeps none.
    """
    path = run.path / "model.safetensors"
    if not path.is_file():
        raise TBNError(f"run {run.id!r} keeps no latent weights", "use --engine packed, or train it again")
    task = task_of(run)
    model, _ = build(RunConfig.from_dict(run.config), task.input_shape, len(task.classes))
    model.load_state_dict(load_file(path))
    return model.eval()


def deployed_model(run: runs.Run) -> nn.Module:
    """What goes onto a device: the packed model, or the dense one of a full-precision run."""
    return artifact.load(run.path / "packed.safetensors") if run.config["p"] else latent_model(run)


def logits_of(model: nn.Module, task: tbn.tasks.Task, limit: int | None = None, device: str = "cpu") -> Logits:
    """(samples, classes) float32 of the first ``limit`` test inputs."""
    split = Split(task.test_inputs[:limit], task.test_labels[:limit], task, device)
    model.to(device).eval()
    with torch.no_grad():
        return np.concatenate([model(inputs).float().cpu().numpy() for inputs, _ in split.batches(500)])
