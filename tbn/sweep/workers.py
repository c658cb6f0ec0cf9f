"""Workers: who they are, how others see that they live, and what each of them does.

A worker holds a lock file below the runs folder as long as it lives; the kernel drops it however the process ends. Where the file cannot be
seen (another machine), the heartbeat in the storage tells.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from tbn.errors import TBNError
from tbn.locks import is_locked
from tbn.sweep.storage import BEAT_SECONDS
from tbn.sweep.trial import Outcome, Trial, carry_out

if TYPE_CHECKING:
    from tbn.sweep.desk import Desk

FOLDER = ".sweeps"  # below the runs folder
STORAGE = (
    "TBN_SWEEP_STORAGE"  # in a worker's environment: a URL may hold a password, and anybody can read a command line
)
PAUSE_SECONDS = 0.3  # until an idle worker looks again


def new_name() -> str:
    """A name that no other worker has."""
    return f"{os.getpid()}-{secrets.token_hex(4)}"


@contextmanager
def alive(root: Path, worker: str) -> Iterator[None]:
    """Hold the worker's lock file."""
    path = root / FOLDER / f"worker-{worker}"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    lock.acquire()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def is_dead(root: Path, worker: str, stale: bool) -> bool:
    """Whether a worker is surely gone: its lock is free, or, where there is no lock to see, its heartbeat is ``stale``."""
    path = root / FOLDER / f"worker-{worker}"
    return not is_locked(path) if worker and path.exists() else stale


def clean(root: Path) -> None:
    """Remove the lock files of dead workers."""
    for path in (root / FOLDER).glob("worker-*") if (root / FOLDER).is_dir() else ():
        if not is_locked(path):
            path.unlink(missing_ok=True)


def work(desk: Desk, root: Path, worker: str) -> None:
    """Take one trial after the other until all of the sweep's are finished, by whomever."""
    with alive(root, worker):
        while True:
            trial = desk.claim(worker)
            if trial is not None:
                attend(desk, trial, root)
            elif not desk.remaining():
                return
            else:
                time.sleep(PAUSE_SECONDS)


def attend(desk: Desk, trial: Trial, root: Path) -> None:
    """Carry out one trial with its heart beating, and tell the desk."""
    with regularly(BEAT_SECONDS, lambda: desk.beat([trial])):
        try:
            outcome = carry_out(trial, root, lambda epoch, score: desk.report(trial, epoch, score))
        except KeyboardInterrupt:
            with suppress(TBNError):
                desk.tell(trial, Outcome(interrupted=True))
            raise
    desk.tell(trial, outcome)


@contextmanager
def regularly(seconds: float, call: Callable[[], None]) -> Iterator[None]:
    """Call something every so many seconds, from a thread, while the block runs."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(seconds):
            call()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(5)


@contextmanager
def one_at_a_time(root: Path, sweep: str) -> Iterator[None]:
    """Where several processes of one machine open a sweep together, one of them queues. (Twice would do no harm, but looks odd.)"""
    lock = FileLock(root / FOLDER / f"{sweep}.lock", timeout=30)
    try:
        (root / FOLDER).mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, Timeout):
        yield
        return
    try:
        yield
    finally:
        lock.release()
