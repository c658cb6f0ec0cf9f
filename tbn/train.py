"""The one training loop: ``fit(config)`` makes a run folder, trains, and leaves the model, its packed twin and the result in it.

Order of things: task -> dense model -> ``tile_`` -> epochs -> ``freeze`` -> files. A CPU run repeats bit for bit: weights are drawn and batches are
shuffled from the seed and the epoch's number alone. So a killed run also resumes bit for bit from its last whole epoch.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors.torch import save as to_bytes
from torch import Tensor, nn
from torch.nn import functional as F

import tbn.models
import tbn.tasks
from tbn import artifact, checkpoint, runs
from tbn.config import RunConfig
from tbn.convert import freeze, tile_
from tbn.errors import TBNError
from tbn.files import write_bytes, write_json
from tbn.provenance import provenance
from tbn.recipes import recipe
from tbn.size import summary

Listener = Callable[[dict[str, Any]], None]


def build(config: RunConfig, input_shape: tuple[int, ...], classes: int) -> tuple[nn.Module, str]:
    """The model to train, seeded, and the conversion report as text ("" for full precision).

    Raises:
        TBNError: p > 1 and no layer is large enough: such a run would be a binary network under a wrong name.
    """
    torch.manual_seed(config.seed)
    model = tbn.models.create(config.model, input_shape=list(input_shape), classes=classes, **config.model_args)
    if config.p == 0:
        return model, ""
    report = tile_(model, config.tiling())
    if (config.p > 1 or config.per_layer) and not report.with_status("tiled"):
        largest = max(report.with_status("binary")[:-1] or report.layers, key=lambda layer: layer.weights)
        raise TBNError(
            f"p={config.p} tiles nothing: the largest layer {largest.name!r} has {largest.weights:,} weights, min_layer_size is "
            f"{config.min_layer_size:,}",
            f"lower it: --min-layer-size {largest.weights}",
        )
    return model, str(report)


def fit(
    config: RunConfig, root: Path | None = None, *, folder: Path | None = None, listener: Listener | None = None
) -> runs.Run:
    """Train from the start.

    Args:
        config: what to train.
        root: the runs folder (``runs.runs_root()`` by default).
        folder: the run's own folder instead of a new one below ``root``; must not hold a run yet.
        listener: called with {"folder", "epoch", "epochs", "fraction", "message", and the epoch's metrics} as training goes on.

    Returns:
        the complete run.

    Raises:
        TBNError: bad configuration, no data, loss not finite, disk full; ``error.json`` in the folder says the same.
    """
    task = tbn.tasks.create(config.task, config.data_root, config.data)
    with torch.device("meta"):  # shapes alone: refuse before a folder is made
        build(config, task.input_shape, len(task.classes))
    if folder is not None and (folder / "config.json").exists():
        raise TBNError(
            f"{folder} already holds a run", f"go on with tbn train --resume {folder}, or choose another folder"
        )
    folder = folder or runs.new_folder(config.to_dict(), root)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config.to_dict())
    return _guarded(folder, config, task, listener)


def resume(run: str | Path, root: Path | None = None, *, listener: Listener | None = None) -> runs.Run:
    """Go on with an interrupted or failed run from its last whole epoch; a complete run is returned as it is.

    Raises:
        TBNError: no such run, it is running now, or as in ``fit``.
    """
    found = runs.find(run, root)
    if found.state == "complete":
        return found
    config = RunConfig.from_dict(found.config)
    return _guarded(found.path, config, tbn.tasks.create(config.task, config.data_root, config.data), listener)


def _guarded(folder: Path, config: RunConfig, task: tbn.tasks.Task, listener: Listener | None) -> runs.Run:
    """Train under the folder's lock; a failure is written down before it is raised."""
    try:
        with FileLock(folder / ".lock", timeout=2):
            (folder / "error.json").unlink(missing_ok=True)
            try:
                _train(folder, config, task, lambda event: listener({**event, "folder": folder}) if listener else None)
            except Exception as error:
                known = isinstance(error, TBNError)
                said = (
                    error
                    if isinstance(error, TBNError)
                    else TBNError(f"training failed: {type(error).__name__}: {error}", "see log.txt in the run folder")
                )
                with suppress(TBNError):  # the disk may be full: then the first error is the one to report
                    write_json(folder / "error.json", {"error": said.message, "fix": said.fix})
                raise said from (None if known else error)
    except Timeout:
        raise TBNError(
            f"run {folder.name!r} is being trained by another process", "wait for it, or cancel it"
        ) from None
    return runs.Run(folder)


def _train(folder: Path, config: RunConfig, task: tbn.tasks.Task, listener: Listener) -> None:
    assert config.epochs is not None and config.batch_size is not None
    started = time.monotonic()
    model, report = build(config, task.input_shape, len(task.classes))
    with (folder / "log.txt").open("a") as log:
        log.write(f"data: {task.source}\n{report}\n" if report else f"data: {task.source}\n")
    model.to(config.device)
    optimizer = checkpoint.optimizer_of(config, model)
    done, before = checkpoint.restore(folder, model, optimizer)
    rows = runs.read_metrics(folder)[:done]
    train = Split(task.train_inputs, task.train_labels, task, config.device)
    test = Split(task.test_inputs, task.test_labels, task, config.device)
    for epoch in range(done + 1, config.epochs + 1):
        epoch_started = time.monotonic()
        loss, accuracy = _epoch(model, optimizer, train, config, epoch, rows[-1] if rows else {}, listener)
        test_loss, test_accuracy = score(model, test)
        row = {
            "epoch": epoch,
            "train_loss": loss,
            "train_accuracy": accuracy,
            "test_loss": test_loss,
            "test_accuracy": test_accuracy,
            "lr": optimizer.param_groups[0]["lr"],
            "seconds": time.monotonic() - epoch_started,
        }
        rows.append(row)
        write_bytes(folder / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in rows).encode())
        checkpoint.write(folder, model, optimizer, epoch, before + time.monotonic() - started)
        listener(
            {
                **row,
                "epochs": config.epochs,
                "fraction": epoch / config.epochs,
                "message": f"epoch {epoch} of {config.epochs}: test accuracy {100 * test_accuracy:.2f} %",
            }
        )
    _finish(folder, config, task, model.cpu(), rows[-1], before + time.monotonic() - started)


class Split:
    """Inputs and labels on a device; normalised batch by batch."""

    def __init__(self, inputs: Any, labels: Any, task: tbn.tasks.Task, device: str = "cpu") -> None:
        self.inputs, self.labels = torch.from_numpy(inputs).to(device), torch.from_numpy(labels).to(device)
        self.scale, self.offset = task.scale, task.offset

    def __len__(self) -> int:
        return len(self.labels)

    def normalise(self, raw: Tensor) -> Tensor:
        """raw * scale + offset, float32: what the network sees."""
        return raw.float() * self.scale + self.offset

    def batches(self, size: int, order: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """(inputs, labels) of ``size`` at a time, in order or in the given one."""
        for start in range(0, len(self), size):
            index = slice(start, start + size) if order is None else order[start : start + size]
            yield self.normalise(self.inputs[index]), self.labels[index]


def _epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    train: Split,
    config: RunConfig,
    epoch: int,
    last: dict[str, Any],
    listener: Listener,
) -> tuple[float, float]:
    """One pass over the training data: mean loss and accuracy."""
    assert config.epochs is not None and config.batch_size is not None
    model.train()
    torch.manual_seed(config.seed * 100_003 + epoch)
    order = torch.randperm(len(train)).to(train.labels.device)
    steps = math.ceil(len(train) / config.batch_size)
    loss_sum = torch.zeros((), device=config.device)
    hits = torch.zeros((), device=config.device)
    spoken = time.monotonic()
    for step, (inputs, labels) in enumerate(train.batches(config.batch_size, order)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, (epoch - 1) * steps + step, config.epochs * steps)
        logits = model(inputs)
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        loss_sum += loss.detach() * len(labels)
        hits += (logits.argmax(1) == labels).sum()
        if time.monotonic() - spoken > 0.5:
            spoken = time.monotonic()
            listener(
                {
                    **last,
                    "epochs": config.epochs,
                    "fraction": (epoch - 1 + (step + 1) / steps) / config.epochs,
                    "message": f"epoch {epoch} of {config.epochs}, step {step + 1} of {steps}",
                }
            )
    mean = loss_sum.item() / len(train)
    if not math.isfinite(mean):
        raise TBNError(
            f"the training loss is {mean} in epoch {epoch}", f"lower the learning rate: --lr {(config.lr or 1) / 4:g}"
        )
    return mean, hits.item() / len(train)


def learning_rate(config: RunConfig, step: int, steps: int) -> float:
    """The learning rate of one step of all ``steps``: a function of its arguments alone, so that resuming needs no state."""
    schedule = recipe(config.recipe)
    assert config.lr is not None and config.epochs is not None
    if schedule.schedule == "step":
        return float(config.lr * 0.75 ** (step * config.epochs // steps // 4))
    warm = max(1, steps // 10)
    if step < warm:
        return float(config.lr * (step + 1) / warm)
    return float(config.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm))))


@torch.no_grad()
def score(model: nn.Module, split: Split, batch_size: int = 500) -> tuple[float, float]:
    """Mean cross-entropy and accuracy (0..1) on a split, in eval mode."""
    model.eval()
    loss, hits = 0.0, 0
    for inputs, labels in split.batches(batch_size):
        logits = model(inputs)
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
        hits += int((logits.argmax(1) == labels).sum())
    return loss / len(split), hits / len(split)


def _finish(
    folder: Path, config: RunConfig, task: tbn.tasks.Task, model: nn.Module, last: dict[str, Any], seconds: float
) -> None:
    """Write the weights, the packed twin and, last of all, the result."""
    write_bytes(
        folder / "model.safetensors",
        to_bytes({name: tensor.contiguous() for name, tensor in model.state_dict().items()}),
    )
    if config.p:
        artifact.save(freeze(model), folder / "packed.safetensors")
    result = {
        "run": folder.name,
        "task": {
            "name": task.name,
            "source": task.source,
            "train": len(task.train_labels),
            "test": len(task.test_labels),
            "credit": task.credit,
        },
        "model": config.model,
        "metrics": {
            "accuracy": last["test_accuracy"],
            "loss": last["test_loss"],
            "train_accuracy": last["train_accuracy"],
        },
        "size": summary(model, task.input_shape).to_dict(),
        "seconds": round(seconds, 3),
        "provenance": provenance(),
    }
    write_json(folder / "result.json", result)
    (folder / checkpoint.NAME).unlink(missing_ok=True)
