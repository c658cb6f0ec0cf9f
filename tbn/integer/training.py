"""Quantisation-aware fine-tuning: a run goes on for some epochs as its integer network will compute it (``tbn.integer.twin``).

The result is a run folder like any other. Its packed file holds the learned ranges, which ``quantise`` then takes in place of measured ones,
and ``result.json`` has the integer network's score on the whole test set and its bytes, under "integer". A killed fine-tuning leaves nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import tbn.tasks
from tbn import checkpoint, runs
from tbn.batches import Split
from tbn.config import RunConfig
from tbn.convert import freeze
from tbn.errors import TBNError
from tbn.files import read_json, write_json
from tbn.integer.network import IntegerNetwork
from tbn.integer.quantising import IMAGES, quantise
from tbn.integer.reference import run as run_integer
from tbn.integer.twin import Twin
from tbn.loop import epoch, score
from tbn.objectives import Objective
from tbn.restore import task_of
from tbn.start import launch, prepare
from tbn.train import Listener, finish, tell, write_lines

BATCH = 100
LR_SHARE = 0.1  # of the run's own peak learning rate


def fine_tune(
    run: str | Path,
    epochs: int = 3,
    lr: float | None = None,
    root: Path | None = None,
    *,
    folder: Path | None = None,
    listener: Listener | None = None,
) -> runs.Run:
    """Train a complete run further, quantised.

    Args:
        run: id or path of a run with p of at least 1 that keeps its latent weights.
        epochs: how many more.
        lr: peak learning rate; a tenth of the run's by default.
        root: the runs folder.
        folder: the new run's own folder instead of a new one below ``root``.
        listener: as in ``tbn.train.fit``.

    Returns:
        the new run.

    Raises:
        TBNError: no such run, the model or its inputs have no integer twin, or as in ``tbn.train.fit``.
    """
    found = runs.complete(run, root)
    before = RunConfig.from_dict(found.config)
    if not before.p:
        raise TBNError(f"run {found.id!r} is full precision", "choose a run with p of at least 1")
    if not (found.path / "model.safetensors").is_file():
        raise TBNError(f"run {found.id!r} keeps no latent weights", "train it again, then fine-tune it")
    if folder is not None and (folder / "config.json").exists():
        raise TBNError(f"{folder} already holds a run", "choose another folder")
    started, task = time.monotonic(), task_of(found)
    assert before.lr is not None
    config = replace(before, epochs=epochs, lr=lr or LR_SHARE * before.lr, warm_start=str(found.path))
    model, rows = _trained(config, task, listener or (lambda _: None))
    network = quantise(freeze(model), task, model.tbn_ranges)  # type: ignore[arg-type]
    whole = measured(network, task)
    folder = folder or runs.new_folder(config.to_dict(), root)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", {**config.to_dict(), "warm_start": found.id, "quantised": True})
    write_lines(folder / "metrics.jsonl", rows)
    spent = float((found.result or {}).get("seconds", 0.0)) + time.monotonic() - started
    finish(folder, config, task, model, rows[-1], spent)
    write_json(folder / "result.json", {**read_json(folder / "result.json"), "integer": whole})
    return runs.Run(folder)


def _trained(config: RunConfig, task: tbn.tasks.Task, listener: Listener) -> tuple[nn.Module, list[dict[str, Any]]]:
    """The model after the epochs, with ``tbn_ranges``, and a row an epoch."""
    fabric = launch(config)
    training, _ = prepare(fabric, config, task)
    raw = torch.from_numpy(np.asarray(task.train_inputs[:IMAGES]))
    if raw.dtype != torch.uint8:
        raise TBNError(
            f"the raw inputs of '{task.name}' are {raw.dtype}, and integer networks take bytes",
            "choose a task of images",
        )
    twin = Twin(training.network, training.train.normalise(raw))
    training.network, training.optimizer = twin, checkpoint.optimizer_of(config, twin)
    if config.ema:
        training.average = AveragedModel(twin, multi_avg_fn=get_ema_multi_avg_fn(config.ema), use_buffers=True)  # type: ignore[no-untyped-call]
    training.model, training.optimizer = fabric.setup(twin, training.optimizer)
    assert config.epochs is not None
    rows: list[dict[str, Any]] = []
    for number in range(1, config.epochs + 1):
        began, last = time.monotonic(), rows[-1] if rows else {}
        say = _saying(listener, number, config.epochs)
        trained = epoch(training, number, lambda fraction, text, say=say, last=last: say(last, fraction, text))  # type: ignore[misc]
        tested = score(training.tested, training.test, training.objective, fabric)
        row: dict[str, Any] = {"epoch": number}
        row |= {f"train_{name}": value for name, value in trained.items()}
        row |= {f"test_{name}": value for name, value in tested.items()}
        rows.append(row | {"lr": training.optimizer.param_groups[0]["lr"], "seconds": time.monotonic() - began})
        say(rows[-1], 1.0, f"epoch {number} of {config.epochs}, quantised")
    best = training.tested
    assert isinstance(best, Twin)
    best.model.tbn_ranges = dict(best.ranges)  # type: ignore[assignment]
    return best.model, rows


def _saying(listener: Listener, number: int, epochs: int) -> Callable[[dict[str, Any], float, str], None]:
    return lambda row, fraction, message: tell(listener, number, epochs, row, fraction, message)


def measured(network: IntegerNetwork, task: tbn.tasks.Task, limit: int | None = None) -> dict[str, Any]:
    """The integer network on the test set with the exact reference: its metrics, "samples", "bytes" of everything stored, and "parts"."""
    objective, data = Objective(task), Split(task.test_inputs, task.test_targets, task)
    metrics, count = objective.metrics(), min(limit or len(data), len(data))
    for start in range(0, count, BATCH):
        index = np.arange(start, min(start + BATCH, count))
        outputs = torch.from_numpy(
            run_integer(network, task.test_inputs[index]).astype(np.float32) * network.output_scale
        )
        inputs, targets = next(data.batches(len(index), torch.from_numpy(index)))
        metrics.update(objective.predictions(outputs, inputs), targets, inputs)
    parts = network.bytes_by_part()
    return {**metrics.compute(), "samples": count, "bytes": sum(parts.values()), "parts": dict(parts)}
