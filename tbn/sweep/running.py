"""``run``: begin a sweep or go on with it until every trial is finished."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tbn import runs
from tbn.errors import TBNError
from tbn.sweep import definition, local
from tbn.sweep import workers as crew
from tbn.sweep.definition import Sweep
from tbn.sweep.report import Report, frame
from tbn.sweep.storage import normalised

if TYPE_CHECKING:
    from tbn.sweep.desk import Desk

Listener = Callable[[dict[str, Any]], None]
SPEAK_SECONDS = 1.0


def run(
    sweep: Sweep,
    root: Path | None = None,
    workers: int = 1,
    engine: local.Engine | None = None,
    listener: Listener | None = None,
    retry_failed: bool = False,
) -> Report:
    """Train every trial of a sweep that is not finished; called again, or from several processes at once, it does the rest only.

    Args:
        sweep: what to train.
        root: the runs folder (``runs.runs_root()`` by default); each trial leaves a run folder there.
        workers: processes that train side by side; 0 trains in this process.
        engine: other than this machine's processes, e.g. ``tbn.sweep.ray_engine``'s.
        listener: called with {"fraction", "message"} about once a second.
        retry_failed: try failed trials again.

    Returns:
        the report: a row a trial.

    Raises:
        TBNError: a point that cannot be trained, a storage that cannot be reached, or no trial succeeded.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or not 0 <= workers <= 1024:
        raise TBNError(f"workers={workers!r} is not a whole number from 0 to 1024", "use --workers 2")
    root = Path(root or runs.runs_root())
    sweep = replace(sweep, storage=normalised(sweep.storage))
    definition.check_points(sweep)
    _check_writable(root)
    from tbn.sweep.desk import Desk

    started = time.monotonic()
    speaker = _Speaker(listener)
    desk = Desk.open(sweep, root, speaker.say, retry_failed)
    chosen = engine or (local.processes(workers) if workers else local.here)
    with speaker.watching(desk):
        chosen(desk, root, speaker.say)
    found = Report(desk.sweep, frame(desk.sweep, desk.attempts()), time.monotonic() - started)
    if not (found.trials["state"] == "complete").any():
        first = found.trials[found.trials["state"] == "failed"].head(1)
        why = (
            first[["error", "fix"]].iloc[0].tolist()
            if len(first)
            else ["every trial was stopped early", "leave --prune out"]
        )
        raise TBNError(f"no trial of sweep {desk.sweep.name!r} succeeded: {why[0]}", why[1])
    return found


def _check_writable(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TBNError(f"cannot make the runs folder {root}: {error.strerror}", "choose another with --runs") from error
    if not os.access(root, os.W_OK):
        raise TBNError(f"cannot write to the runs folder {root}", "choose another with --runs or TBN_RUNS")


class _Speaker:
    """Says how far the sweep is, about once a second, and what else there is to say."""

    def __init__(self, listener: Listener | None) -> None:
        self.listener, self.fraction, self.last = listener, 0.0, ""

    def say(self, message: str) -> None:
        if self.listener is not None:
            self.listener({"fraction": self.fraction, "message": message})

    @contextmanager
    def watching(self, desk: Desk) -> Iterator[None]:
        """Look at the desk from a thread while the block runs."""
        if self.listener is None:
            yield
            return
        with crew.regularly(SPEAK_SECONDS, lambda: self._look(desk)):
            yield
        self._look(desk)

    def _look(self, desk: Desk) -> None:
        from tbn.sweep import ledger

        try:
            attempts = desk.attempts()
        except TBNError:
            return
        left = desk.remaining(attempts)
        states = [ledger.speaker(found).state for found in ledger.by_trial(attempts).values()]
        done = sum(state in (ledger.COMPLETE, ledger.PRUNED, ledger.FAILED) for state in states)
        self.fraction = done / max(1, done + left)
        running, failed = states.count(ledger.RUNNING), states.count(ledger.FAILED)
        message = f"{done} of {done + left} trials, {running} running" + f", {failed} failed" * bool(failed)
        if message != self.last:
            self.last = message
            self.say(message)
