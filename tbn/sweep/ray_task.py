"""A trial as a Ray task: what runs on the cluster's machines. They need this package and the ``cluster`` extra, not the storage."""

from __future__ import annotations

import tempfile
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from tbn.errors import TBNError
from tbn.sweep.artefacts import Store, files_of
from tbn.sweep.trial import Outcome, Trial, carry_out

PUSH_SECONDS = 30.0  # between copies of an unfinished run to the artefacts' URL
ANSWER_SECONDS = 10.0  # a trial waits so long to be told whether it is pruned
Files = dict[str, bytes]


def carried_out(trial: Trial, root: str, mark: str, artefacts: str | None, talk: Any) -> tuple[Outcome, Files | None]:
    """The task: a trial on whatever machine this is. The files come along where the driver would not see them otherwise."""
    report = partial(_reported, talk, trial) if talk is not None else None
    if (Path(root) / mark).exists():
        return carry_out(trial, Path(root), report), None
    with tempfile.TemporaryDirectory(prefix="tbn-trial-") as scratch:
        folder = Path(scratch) / trial.folder
        if artefacts is None:
            outcome = carry_out(trial, Path(scratch), report)
            return outcome, files_of(folder) if folder.is_dir() else {}
        try:
            store = Store(artefacts)
            store.pull(folder)
            outcome = carry_out(trial, Path(scratch), report, _Copying(store, folder))
            if folder.is_dir():
                store.push(folder)
            return outcome, None
        except TBNError as error:
            return Outcome(error=error.message, fix=error.fix), None


class _Copying:
    """A training's listener that copies the folder away every now and then."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder, self.last = store, folder, time.monotonic()

    def __call__(self, event: dict[str, Any]) -> None:
        if time.monotonic() - self.last > PUSH_SECONDS:
            with suppress(TBNError):  # the end will say so
                self.store.push(self.folder)
            self.last = time.monotonic()


def _reported(talk: Any, trial: Trial, epoch: int, value: float) -> bool:
    """Ask the driver whether a trial is to be stopped; where it does not answer, it goes on."""
    import ray

    ray.get(talk.tell.remote(trial.id, epoch, value))
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        if (answer := ray.get(talk.asked.remote(trial.id, epoch))) is not None:
            return bool(answer)
        time.sleep(0.02)
    return False


class Talk:
    """An actor: scores go up to the driver, and whether a trial is pruned comes back.

    When its machine dies it starts again elsewhere, without what it knew: a trial that waits for an answer then goes on after ``ANSWER_SECONDS``.
    """

    def __init__(self) -> None:
        self.told: list[tuple[int, int, float]] = []
        self.answers: dict[tuple[int, int], bool] = {}

    def tell(self, number: int, epoch: int, value: float) -> None:
        self.told.append((number, epoch, value))

    def take(self) -> list[tuple[int, int, float]]:
        told, self.told = self.told, []
        return told

    def answer(self, number: int, epoch: int, stop: bool) -> None:
        self.answers[number, epoch] = stop

    def asked(self, number: int, epoch: int) -> bool | None:
        return self.answers.pop((number, epoch), None)
