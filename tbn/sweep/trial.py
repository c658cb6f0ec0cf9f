"""One trial, from its configuration to its outcome. Runs wherever a worker is; knows no storage."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tbn.tasks
from tbn import runs
from tbn.errors import TBNError
from tbn.files import read_json, write_json
from tbn.sweep import objectives as aims
from tbn.threads import threads

Report = Callable[[int, float], bool]
Listener = Callable[[dict[str, Any]], None]
SWEEP_FILE = "sweep.json"  # in the run folder: which trial of which sweep it is


@dataclass(frozen=True)
class Trial:
    """What a worker needs to know; plain values only, so it can be sent anywhere.

    Attributes:
        id, number: in the storage.
        key: decides the result, and the name of the run folder.
        config: what ``RunConfig(**config)`` takes.
        folder: name of the run folder.
    """

    id: int
    number: int
    key: str
    point: int
    seed: int
    params: dict[str, Any]
    config: dict[str, Any]
    folder: str
    sweep: str
    objectives: tuple[str, ...]
    threads: int = 1
    prune: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a trial: values, or pruned, or interrupted, or an error with its fix.

    Attributes:
        values: one for each objective, () where there are none.
        seconds: from the moment a worker took it; ``train_seconds`` of them were training.
        metrics: of the test set.
    """

    values: tuple[float, ...] = ()
    pruned: bool = False
    interrupted: bool = False
    error: str = ""
    fix: str = ""
    seconds: float = 0.0
    train_seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)


class _Pruned(BaseException):
    """Leaves the training; not an error, so nobody writes one down."""


def carry_out(trial: Trial, root: Path, report: Report | None = None, listener: Listener | None = None) -> Outcome:
    """Train the trial's network in its folder below ``root``, or go on with it, or read what is there already; then measure the objectives.

    Args:
        trial: what to train.
        root: the runs folder.
        report: called with (epoch, score) after each epoch of a trial that may be pruned; True stops it.
        listener: as of ``tbn.train.fit``.

    Returns:
        the outcome; errors are in it. KeyboardInterrupt passes through, and the folder can be gone on with.
    """
    started = time.monotonic()
    kind = tbn.tasks.kind_of(trial.config["task"])
    watch = _Watch(aims.metric(trial.objectives[0], kind), report, listener) if trial.prune and report else listener
    folder = root / trial.folder
    try:
        run = _trained(trial, folder, watch)
        values = tuple(aims.measure(name, run, kind) for name in trial.objectives)
        result = run.result
        assert result is not None
        return Outcome(
            values, seconds=time.monotonic() - started, train_seconds=result["seconds"], metrics=result["metrics"]
        )
    except _Pruned as stop:
        write_json(
            folder / "error.json", {"error": str(stop), "fix": f"train it to the end: tbn train --resume {folder}"}
        )
        return Outcome(pruned=True, seconds=time.monotonic() - started)
    except TBNError as error:
        return Outcome(error=error.message, fix=error.fix, seconds=time.monotonic() - started)
    except Exception as error:  # whatever it is, the sweep goes on and says so
        return Outcome(error=f"{type(error).__name__}: {error}", fix="report it", seconds=time.monotonic() - started)


class _Watch:
    """A training's listener that asks after each epoch whether to go on."""

    def __init__(self, metric: str, report: Report, listener: Listener | None) -> None:
        self.metric, self.report, self.listener, self.done = f"test_{metric}", report, listener, 0

    def __call__(self, event: dict[str, Any]) -> None:
        if self.listener is not None:
            self.listener(event)
        epoch, last = event.get("epoch", 0), event.get("epoch", 0) == event.get("epochs")
        if self.metric in event and epoch > self.done and not last:
            self.done = epoch
            if self.report(epoch, event[self.metric]):
                raise _Pruned(f"stopped after epoch {epoch}: its score stayed below the other trials' median")


def _trained(trial: Trial, folder: Path, listener: Listener | None) -> runs.Run:
    """The complete run in the folder."""

    from tbn.config import RunConfig
    from tbn.train import fit, resume

    config = RunConfig(**trial.config)
    while runs.Run(folder).state == "running" and (folder / "config.json").is_file():
        time.sleep(0.2)  # a worker that was given up is at it after all
    if (folder / "config.json").is_file() and RunConfig.from_dict(read_json(folder / "config.json")) != config:
        raise TBNError(f"{folder} holds another run", "give the sweep another --name, or choose another --runs")
    several = config.devices * config.nodes > 1
    with threads(trial.threads):
        if several and not (folder / "result.json").is_file():
            _in_processes(folder, config.to_dict())
        done = (folder / "config.json").is_file()
        run = resume(folder, listener=listener) if done else fit(config, folder=folder, listener=listener)
    if not (folder / SWEEP_FILE).is_file():
        about = {
            "sweep": trial.sweep,
            "trial": trial.number,
            "point": trial.point,
            "seed": trial.seed,
            "params": trial.params,
        }
        write_json(folder / SWEEP_FILE, about)
    return run


def _in_processes(folder: Path, config: dict[str, Any]) -> None:
    """Train data-parallel in processes of their own: ``tbn train`` starts one for each device."""
    if not (folder / "config.json").is_file():
        write_json(folder / "config.json", config)
    command = [sys.executable, "-m", "tbn", "train", "--resume", str(folder), "--json"]
    environment = os.environ | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        _, told = process.communicate()
    except BaseException:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        raise
    if process.returncode:
        error = runs.Run(folder).error or {}
        raise TBNError(
            error.get("error") or f"training ended with status {process.returncode}: {told.strip().splitlines()[-1:]}",
            error.get("fix") or "see log.txt in the run folder",
        )
