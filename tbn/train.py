"""The one training loop: ``fit(config)`` makes a run folder, trains, and leaves the model, its packed twin and the result in it.

Order of things: task -> dense model -> ``tile_`` -> epochs -> ``freeze`` -> files. A CPU run repeats bit for bit: weights are drawn and batches are
shuffled from the seed and the epoch's number alone. So a killed run also resumes bit for bit from its last whole epoch.

Device, precision and processes are Lightning Fabric's: ``devices`` > 1 starts the command once a device, and ``torchrun`` may start it, too.
The first process writes the folder.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from lightning.fabric import Fabric
from safetensors.torch import save as to_bytes
from torch import nn

import tbn.tasks
from tbn import artifact, checkpoint, runs
from tbn.config import RunConfig
from tbn.convert import freeze
from tbn.errors import TBNError
from tbn.files import write_bytes, write_json
from tbn.loop import epoch, score
from tbn.objectives import score_baselines
from tbn.provenance import provenance
from tbn.schedule import Schedule, settle_norms
from tbn.scores import METRICS
from tbn.signals import signals, tiles_of
from tbn.size import summary
from tbn.start import launch, prepare, try_shapes

Listener = Callable[[dict[str, Any]], None]


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
    task = config.load_task()
    try_shapes(config, task)
    if folder is not None and (folder / "config.json").exists():
        raise TBNError(
            f"{folder} already holds a run", f"go on with tbn train --resume {folder}, or choose another folder"
        )
    fabric = launch(config)
    if fabric.is_global_zero:
        folder = folder or runs.new_folder(config.to_dict(), root)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "config.json", config.to_dict())
    folder = Path(fabric.broadcast(str(folder)))
    return _guarded(fabric, folder, config, task, listener)


def resume(run: str | Path, root: Path | None = None, *, listener: Listener | None = None) -> runs.Run:
    """Go on with an interrupted or failed run from its last whole epoch; a complete run is returned as it is.

    Raises:
        TBNError: no such run, it is running now, or as in ``fit``.
    """
    found = runs.find(run, root)
    if found.state == "complete":
        return found
    config = RunConfig.from_dict(found.config)
    task = config.load_task()
    return _guarded(launch(config), found.path, config, task, listener)


def is_first_process() -> bool:
    """Whether this is the process that writes and speaks; the only one, mostly."""
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


def _guarded(
    fabric: Fabric, folder: Path, config: RunConfig, task: tbn.tasks.Task, listener: Listener | None
) -> runs.Run:
    """Train under the folder's lock; a failure is written down before it is raised."""
    first = fabric.is_global_zero
    say: Listener = lambda event: listener({**event, "folder": folder}) if listener and first else None  # noqa: E731
    try:
        with FileLock(folder / ".lock", timeout=2) if first else nullcontext():
            if first:
                (folder / "error.json").unlink(missing_ok=True)
            try:
                _train(fabric, folder, config, task, say)
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


def _train(fabric: Fabric, folder: Path, config: RunConfig, task: tbn.tasks.Task, listener: Listener) -> None:
    assert config.epochs is not None
    started, first = time.monotonic(), fabric.is_global_zero
    training, report = prepare(fabric, config, task)
    if first:
        with (folder / "log.txt").open("a") as log:
            log.write("\n".join(filter(None, (f"data: {task.source}", report))) + "\n")
    done, before = checkpoint.restore(folder, training.network, training.optimizer, training.average)
    rows = runs.read_lines(folder / "metrics.jsonl")[:done]
    watched = runs.read_lines(folder / "signals.jsonl")[:done]
    training.model, training.optimizer = fabric.setup(training.network, training.optimizer)
    schedule = Schedule(config, (training.network, training.average))
    for number in range(done + 1, config.epochs + 1):
        schedule.enter(number)
        epoch_started, tiles = time.monotonic(), tiles_of(training.network)
        last: dict[str, Any] = rows[-1] if rows else {}
        say = partial(tell, listener, number, config.epochs)
        trained = epoch(training, number, partial(say, last))
        if number == config.epochs and config.norm_batches:
            settle_norms(training.tested, training.train, config.norm_batches, config.batch_size or 1)
        tested = score(training.tested, training.test, training.objective, fabric)
        row: dict[str, Any] = {"epoch": number}
        row |= {f"train_{name}": value for name, value in trained.items()}
        row |= {f"test_{name}": value for name, value in tested.items()}
        row |= {"lr": training.optimizer.param_groups[0]["lr"], "seconds": time.monotonic() - epoch_started}
        rows.append(row)
        watched.append({"epoch": number, "layers": signals(training.network, tiles)})
        if first:
            write_lines(folder / "metrics.jsonl", rows)
            if config.p:
                write_lines(folder / "signals.jsonl", watched)
            checkpoint.write(
                folder,
                training.network,
                training.optimizer,
                training.average,
                number,
                before + time.monotonic() - started,
            )
        fabric.barrier()
        metric = METRICS[task.metric]
        say(row, 1.0, f"epoch {number} of {config.epochs}: test {metric.label} {metric.text(tested[metric.name])}")
    if first:
        finish(folder, config, task, training.tested.float().cpu(), rows[-1], before + time.monotonic() - started)
    fabric.barrier()


def tell(listener: Listener, number: int, epochs: int, row: dict[str, Any], fraction: float, message: str) -> None:
    """How far a training is: ``fraction`` of epoch ``number``, with the last row of its curve."""
    listener({**row, "epochs": epochs, "fraction": (number - 1 + fraction) / epochs, "message": message})


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """A file of JSON lines."""
    write_bytes(path, "".join(json.dumps(line) + "\n" for line in rows).encode())


def finish(
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
            "kind": task.kind,
            "metric": task.metric,
            "source": task.source,
            "train": len(task.train_targets),
            "test": len(task.test_targets),
            "credit": task.credit,
        },
        "model": config.model,
        "metrics": {
            **{name.removeprefix("test_"): value for name, value in last.items() if name.startswith("test_")},
            f"train_{task.metric}": last[f"train_{task.metric}"],
        },
        "baselines": score_baselines(task),
        "size": summary(model, task.input_shape).to_dict(),
        "seconds": round(seconds, 3),
        "provenance": provenance(),
    }
    write_json(folder / "result.json", result)
    (folder / checkpoint.NAME).unlink(missing_ok=True)
