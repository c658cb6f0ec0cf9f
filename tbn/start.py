"""What a training starts with: its processes, network, optimiser and data on the device; what cannot work is refused before."""

from __future__ import annotations

import torch
from lightning.fabric import Fabric
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import tbn.tasks
from tbn import checkpoint, runs
from tbn.augment import augmentation
from tbn.batches import Split
from tbn.build import build, start_weights
from tbn.config import RunConfig
from tbn.errors import TBNError
from tbn.loop import Training
from tbn.objectives import Objective


def launch(config: RunConfig) -> Fabric:
    """Started for the run's devices; several of them train data-parallel (gloo on a CPU, NCCL on GPUs)."""
    kind, _, index = config.device.partition(":")
    fabric = Fabric(
        accelerator=kind,
        devices=[int(index)] if index else config.devices,
        num_nodes=config.nodes,
        precision=config.precision,  # type: ignore[arg-type]
        strategy="ddp" if config.devices * config.nodes > 1 else "auto",
    )
    fabric.launch()
    return fabric


def try_shapes(config: RunConfig, task: tbn.tasks.Task) -> None:
    """Refuse what cannot work before a folder is made: shapes alone, no memory."""
    augmentation(str(config.augment), task.kind, task.input_shape)
    if config.teacher and (taught := runs.complete(config.teacher).config["task"]) != task.name:
        raise TBNError(
            f"the teacher {config.teacher!r} is for task {taught!r}, this run for {task.name!r}",
            f"name a run of {task.name!r}",
        )
    world, samples = config.devices * config.nodes, len(task.train_targets)
    assert config.batch_size is not None
    if min(config.batch_size, samples) < world:
        raise TBNError(
            f"a batch of {min(config.batch_size, samples)} cannot be shared out over {world} processes",
            "raise the batch size or use fewer devices",
        )
    with torch.device("meta"):
        model, _ = build(config, task.model_arguments)
        outputs = model(torch.empty(2, *task.input_shape))
    target = tuple(task.train_targets.shape[1:])
    expected = (2, *target) if task.kind == "forecasting" else (2, len(task.classes), *target)
    if tuple(outputs.shape) != expected:
        raise TBNError(
            f"model {config.model!r} gives {tuple(outputs.shape)} for a batch of 2, task {task.name!r} needs {expected}",
            "leave classes and shapes to the task, or choose another model",
        )


def prepare(fabric: Fabric, config: RunConfig, task: tbn.tasks.Task) -> tuple[Training, str]:
    """Network, optimiser and data on the device, and the conversion report."""
    weights = start_weights(config.warm_start) if config.warm_start else None
    network, report = build(config, task.model_arguments, weights)
    network.to(fabric.device)
    teacher = None
    if config.teacher:
        from tbn.restore import latent_model

        teacher = latent_model(runs.complete(config.teacher)).to(fabric.device)
    average = None
    if config.ema:
        average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.ema), use_buffers=True)  # type: ignore[no-untyped-call]
    train, test = (
        Split(inputs, targets, task, fabric.device)
        for inputs, targets in (
            (task.train_inputs, task.train_targets),
            (task.test_inputs, task.test_targets),
        )
    )
    return Training(
        config, fabric, network, network, checkpoint.optimizer_of(config, network), average, teacher,
        Objective(task, config.label_smoothing or 0.0), train, test, augmentation(str(config.augment), task.kind, task.input_shape),
    ), report  # fmt: skip
