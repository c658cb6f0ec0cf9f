"""One epoch of training, and the test: the inside of the one training loop (``tbn.train``)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from tbn.augment import Augmentation
from tbn.batches import Split, edges
from tbn.config import RunConfig
from tbn.errors import TBNError
from tbn.objectives import Objective
from tbn.recipes import recipe

Said = Callable[[float, str], None]


@dataclass
class Training:
    """Everything that an epoch works on.

    Attributes:
        fabric: device, precision, processes.
        model: wrapped by Fabric; ``network`` is the module itself.
        average: moving average of ``network``, or None.
        teacher: eval-mode network whose outputs are learned beside the targets, or None.
        change: augmentation of raw batches, or None.
    """

    config: RunConfig
    fabric: Fabric
    network: nn.Module
    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None
    teacher: nn.Module | None
    objective: Objective
    train: Split
    test: Split
    change: Augmentation | None

    @property
    def tested(self) -> nn.Module:
        """The module that is tested and kept: the moving average where there is one."""
        return self.network if self.average is None else self.average.module


def epoch(training: Training, number: int, say: Said) -> dict[str, float]:
    """One pass over the training data.

    Every process draws the same order from the seed and the epoch's number, and takes its share of each batch; the gradient is that of the mean
    over the whole batch, however it is shared out over processes and parts.

    Args:
        training: what is trained.
        number: of the epoch, from 1.
        say: called about twice a second with the fraction of the epoch done (0..1) and a message.

    Returns:
        "loss" (mean over the targets that count) and the metrics.

    Raises:
        TBNError: the loss is not finite.
    """
    config, fabric = training.config, training.fabric
    assert config.epochs is not None and config.batch_size is not None
    training.model.train()
    torch.manual_seed(config.seed * 100_003 + number)
    order = torch.randperm(len(training.train))
    if fabric.world_size > 1:  # augmentation and dropout differ from process to process
        torch.manual_seed((config.seed * 100_003 + number) * 1009 + fabric.global_rank)
    steps = len(edges(len(training.train), config.batch_size, fabric.world_size)) - 1
    total = torch.zeros(2, dtype=torch.float64, device=fabric.device)  # loss, count
    metrics = training.objective.metrics(fabric.device)
    spoken = time.monotonic()
    batches = training.train.batches(config.batch_size, order, fabric.global_rank, fabric.world_size, training.change)
    for step, (inputs, targets) in enumerate(batches):
        for group in training.optimizer.param_groups:
            group["lr"] = learning_rate(config, (number - 1) * steps + step, config.epochs * steps)
        total += _step(training, inputs, targets, metrics.update)
        if training.average is not None:
            training.average.update_parameters(training.network)
        if time.monotonic() - spoken > 0.5:
            spoken = time.monotonic()
            say((step + 1) / steps, f"epoch {number} of {config.epochs}, step {step + 1} of {steps}")
    loss, count = _over_processes(fabric, total).tolist()
    if not math.isfinite(loss):
        raise TBNError(
            f"the training loss is {loss / count} in epoch {number}",
            f"lower the learning rate: --lr {(config.lr or 1) / 4:g}",
        )
    return {"loss": loss / count, **metrics.compute()}


def _step(
    training: Training, inputs: Tensor, targets: Tensor, update: Callable[[Tensor, Tensor, Tensor], None]
) -> Tensor:
    """One optimiser step on this process's share of a batch: (2,) float64, its loss summed and its targets counted."""
    config, fabric, objective = training.config, training.fabric, training.objective
    mine = objective.count(targets)
    everyone = max(1.0, float(_over_processes(fabric, mine.double())))
    parts = list(zip(inputs.chunk(config.accumulate), targets.chunk(config.accumulate), strict=True))
    loss_sum = torch.zeros((), device=fabric.device)
    training.optimizer.zero_grad(set_to_none=True)
    for index, (x, y) in enumerate(parts):
        with fabric.no_backward_sync(training.model, enabled=index < len(parts) - 1):  # type: ignore[arg-type]
            outputs = training.model(x)
            loss = objective.loss_sum(outputs, y)
            if training.teacher is not None:
                with torch.no_grad():
                    taught = training.teacher(x)
                apart = objective.distillation_sum(outputs, taught, y, config.temperature)
                loss = (1 - config.distillation) * loss + config.distillation * apart
            whole = loss * (fabric.world_size / everyone)  # DDP takes the mean over processes
            penalty = getattr(training.network, "penalty", None)
            if penalty is not None and (extra := penalty()) is not None:
                whole = whole + extra * (len(y) / len(targets))
            fabric.backward(whole)
        loss_sum += loss.detach()
        update(objective.predictions(outputs.detach(), x), y, x)
    training.optimizer.step()
    return torch.stack([loss_sum.double(), mine.double()])


def _over_processes(fabric: Fabric, value: Tensor) -> Tensor:
    """The sum over all processes."""
    if fabric.world_size == 1:
        return value
    summed = fabric.all_reduce(value, reduce_op="sum")
    assert isinstance(summed, Tensor)
    return summed


def learning_rate(config: RunConfig, step: int, steps: int) -> float:
    """The learning rate of one step of all ``steps``: a function of its arguments alone, so that resuming needs no state."""
    chosen = recipe(config.recipe)
    assert config.lr is not None and config.epochs is not None
    warm = max(1, int(steps * chosen.warmup)) if chosen.warmup else 0
    if step < warm:
        return float(config.lr * (step + 1) / warm)
    if chosen.schedule == "step":
        return float(config.lr * chosen.step_factor ** (step * config.epochs // steps // chosen.step_epochs))
    return float(config.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm))))


@torch.no_grad()
def score(
    model: nn.Module, split: Split, objective: Objective, fabric: Fabric | None = None, batch_size: int = 500
) -> dict[str, float]:
    """Mean loss and metrics on a split in eval mode; over several processes each takes its share."""
    model.eval()
    rank, world = (fabric.global_rank, fabric.world_size) if fabric is not None else (0, 1)
    dtype = next((parameter.dtype for parameter in model.parameters()), torch.float32)
    metrics, total = objective.metrics(split.device), torch.zeros(2, dtype=torch.float64, device=split.device)
    for inputs, targets in split.batches(batch_size, rank=rank, world=world):
        if len(targets):
            outputs = model(inputs.to(dtype)).float()
            total += torch.stack(
                [objective.loss_sum(outputs, targets, smooth=False), objective.count(targets)]
            ).double()
            metrics.update(objective.predictions(outputs, inputs), targets, inputs)
    loss, count = (total if fabric is None else _over_processes(fabric, total)).tolist()
    return {"loss": loss / max(count, 1.0), **metrics.compute()}
