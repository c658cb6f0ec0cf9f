"""The desk of a sweep: hands out its trials and takes their outcomes. The one module that speaks with the storage's trials.

Any number of desks, in any number of processes and on any machine, may be open on one sweep. What each of them does to a trial is one
transaction of the database; what happens between two of them is put right by the rules in ``tbn.sweep.ledger``.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState, create_trial

from tbn.errors import TBNError
from tbn.sweep import asking, book, ledger, workers
from tbn.sweep.definition import MAY_GROW, Planned, Sweep
from tbn.sweep.ledger import Attempt
from tbn.sweep.storage import GRACE_SECONDS, open_storage, patiently, shown
from tbn.sweep.trial import Outcome, Trial

Say = Callable[[str], None]


class Desk:
    """A sweep in its storage. Use ``Desk.open`` to begin or go on, ``Desk.join`` to work on a sweep that somebody has opened."""

    def __init__(self, sweep: Sweep, study: optuna.Study, storage: Any, root: Path, say: Say) -> None:
        self.sweep, self.study, self.storage, self.root, self.say = sweep, study, storage, root, say
        self.study_id = storage.get_study_id_from_name(sweep.name)
        self._plan = list(sweep.plan())
        self._waiting: deque[int] = deque()
        self._exhausted = False

    @classmethod
    def open(cls, sweep: Sweep, root: Path, say: Say = lambda _: None, retry_failed: bool = False) -> Desk:
        """Begin a sweep, or go on with it: every trial that is not finished is queued.

        Raises:
            TBNError: the storage cannot be reached, or holds another sweep of that name.
        """
        storage = optuna.storages.get_storage(open_storage(sweep.storage))
        directions = [optuna.study.StudyDirection[way.upper()] for way in sweep.directions.values()]
        with suppress(DuplicatedStudyError):
            storage.create_new_study(directions, sweep.name)
        stored = storage.get_study_user_attrs(storage.get_study_id_from_name(sweep.name)).get("sweep")
        if stored is not None:
            before = Sweep.from_dict({**stored, "storage": sweep.storage})
            if told := sweep.difference(before):
                raise TBNError(
                    f"sweep {sweep.name!r} in {shown(sweep.storage)} has {told}", "give this one another --name"
                )
            grown = {key: max(getattr(before, key) or 0, getattr(sweep, key) or 0) or None for key in MAY_GROW}
            sweep = Sweep.from_dict({**sweep.to_dict(), **grown})
        if stored is None or any(stored[key] != getattr(sweep, key) for key in MAY_GROW):
            study_id = storage.get_study_id_from_name(sweep.name)
            storage.set_study_user_attr(study_id, "sweep", {**sweep.to_dict(), "storage": ""})
        desk = cls(sweep, asking.study_of(sweep, storage, 0), storage, root, say)
        desk.tend(opening=True, retry_failed=retry_failed)
        return desk

    @classmethod
    def join(cls, storage_url: str, name: str, root: Path, say: Say = lambda _: None) -> Desk:
        """Work on a sweep that is in the storage.

        Raises:
            TBNError: there is none of that name.
        """
        storage = optuna.storages.get_storage(open_storage(storage_url, create=False))
        sweep = book.definition(storage, name, storage_url)
        return cls(sweep, asking.study_of(sweep, storage, 0), storage, root, say)

    def attempts(self) -> list[Attempt]:
        """Every attempt of every trial, as the storage has them now."""
        return [attempt for trial in self._all() if (attempt := book.attempt(trial)) is not None]

    def remaining(self, attempts: Sequence[Attempt] | None = None) -> int:
        """How many trials are not finished: waiting, running, or still to be asked for; of ``attempts`` where they have just been read."""
        now = self.attempts() if attempts is None else attempts
        return book.remaining(self.sweep, self._plan, now, self._exhausted)

    def claim(self, worker: str) -> Trial | None:
        """The next trial, now this worker's; None where none is waiting at the moment (``remaining`` says whether to come again)."""
        while (taken := self._take() or self._ask()) is not None:
            try:
                self._set(taken, "worker", worker)
                self.beat([taken])
                attempts = self.attempts()
                mine = next(attempt for attempt in attempts if attempt.id == taken)
            except (UpdateFinishedTrialError, StopIteration):
                continue  # somebody has given it up meanwhile
            if ledger.is_surplus(mine, attempts):
                self._fail(taken, ledger.DROPPED)
                continue
            plan, sweep = mine.planned, self.sweep
            return Trial(
                mine.id, mine.number, plan.key, plan.point, plan.seed, plan.params, sweep.config(plan.params, plan.seed),
                sweep.folder(plan), sweep.name, sweep.objectives, sweep.threads, sweep.prune,
            )  # fmt: skip
        return None

    def tell(self, trial: Trial, outcome: Outcome) -> None:
        """Put down what became of a trial. It is as good as done when this returns; before, it would be tried again."""
        said: dict[str, Any] = {
            "folder": trial.folder,
            "seconds": outcome.seconds,
            "train_seconds": outcome.train_seconds,
        }
        if outcome.interrupted:
            self._fail(trial.id, ledger.INTERRUPTED, **said)
        elif outcome.error:
            self._fail(trial.id, ledger.ERROR, outcome.error, outcome.fix, **said)
        else:
            try:
                self._set(trial.id, "outcome", {**said, "metrics": outcome.metrics})
                state = TrialState.PRUNED if outcome.pruned else TrialState.COMPLETE
                self._patiently(lambda: self.storage.set_trial_state_values(trial.id, state, outcome.values or None))
            except UpdateFinishedTrialError:
                self._late(trial)

    def crashed(self, trial: Trial, why: str) -> None:
        """The worker that had this trial died: it is queued once more; the second time it stays failed."""
        self._given_up([trial.id], ledger.CRASHED, why)

    def worker_crashed(self, worker: str, why: str) -> bool:
        """As ``crashed``, for whatever trial the worker had; whether it had any."""
        lost = [
            attempt.id for attempt in self.attempts() if attempt.worker == worker and attempt.state == ledger.RUNNING
        ]
        self._given_up(lost, ledger.CRASHED, why)
        return bool(lost)

    def beat(self, trials: Iterable[int | Trial]) -> None:
        """A sign of life of running trials; wanted every ``BEAT_SECONDS``."""
        for trial in trials:
            number = trial.id if isinstance(trial, Trial) else trial
            with suppress(TBNError, UpdateFinishedTrialError):
                patiently(partial(self.storage.record_heartbeat, number), seconds=1.0)

    def report(self, trial: Trial, epoch: int, value: float) -> bool:
        """Put down the score after an epoch; whether to stop the trial."""
        try:
            self._patiently(lambda: self.storage.set_trial_intermediate_value(trial.id, epoch, value))
        except UpdateFinishedTrialError:
            return False
        return bool(self._patiently(lambda: asking.should_stop(self.study, self.storage.get_trial(trial.id))))

    def tend(self, opening: bool = False, retry_failed: bool = False) -> None:
        """Give up what dead workers left, and queue what is missing. ``opening``: dead workers were interrupted, they did not crash."""
        lost, attempts = [], self.attempts()
        stale = set(self._patiently(lambda: book.stale(self.storage, self.study_id)))
        for attempt in attempts:
            if attempt.state == ledger.RUNNING and workers.is_dead(self.root, attempt.worker, attempt.id in stale):
                lost.append(attempt.id)
        self._abandon_blanks()
        reason = ledger.INTERRUPTED if opening else ledger.CRASHED
        why = "" if opening else f"its worker died, or gave no sign of life for {GRACE_SECONDS} s"
        self._given_up(lost, reason, why, retry_failed)
        workers.clean(self.root)

    def _given_up(self, ids: Iterable[int], reason: str, why: str, retry_failed: bool = False) -> None:
        for number in ids:
            self._fail(number, reason, why)
        with workers.one_at_a_time(self.root, self.sweep.name):
            attempts = self.attempts()
            for plan, round_ in ledger.missing(self._plan, attempts, retry_failed):
                self._queue(plan, round_)
            if self.sweep.method == "search":
                for known, seed in ledger.other_seeds(attempts, self.sweep.seeds):
                    self._queue(self.sweep.planned(known.params, known.point, seed), 0)

    def _queue(self, plan: Planned, round_: int) -> None:
        params, distributions = asking.encoded(self.sweep, plan.params)
        attrs = {"tbn": {"key": plan.key, "point": plan.point, "seed": plan.seed, "round": round_}}
        template = create_trial(
            state=TrialState.WAITING, params=params, distributions=distributions, user_attrs=attrs
        )  # fmt: skip
        self._patiently(lambda: self.storage.create_new_trial(self.study_id, template))

    def _late(self, trial: Trial) -> None:
        """A result came after the trial was given up: its folder is complete, so whoever takes it again is done at once."""
        mine = [attempt for attempt in self.attempts() if attempt.planned.key == trial.key]
        if not any(attempt.live for attempt in mine):
            self._queue(mine[-1].planned, mine[-1].round + 1)  # a round of its own: this one is no crash

    def _take(self) -> int | None:
        """A waiting trial's id, now running."""
        if not self._waiting:
            self._waiting.extend(trial._trial_id for trial in self._all((TrialState.WAITING,)))
        while self._waiting:
            number = self._waiting.popleft()
            with suppress(UpdateFinishedTrialError):
                if self._patiently(partial(self.storage.set_trial_state_values, number, TrialState.RUNNING)):
                    return number
        return None

    def _ask(self) -> int | None:
        """A new point of a search, chosen by what came out so far; None where there are enough, or no new one is found."""
        tries = 0
        while self.sweep.method == "search" and tries < asking.TRIES:
            everything = self._all()
            if book.points(everything) >= self.sweep.point_limit:
                return None
            trial: FrozenTrial = self._patiently(partial(asking.ask, self.sweep, self.storage, len(everything), tries))
            mine = trial._trial_id
            if "tbn" in trial.user_attrs:
                return mine
            plan = self.sweep.planned(asking.decoded(self.sweep, trial.params), trial.number, 0)
            try:
                self._set(mine, "tbn", {"key": plan.key, "point": plan.point, "seed": 0, "round": 0})
            except UpdateFinishedTrialError:
                continue
            if book.is_new_point(self._all(), mine, plan.key, self.sweep.point_limit):
                for seed in range(1, self.sweep.seeds):
                    self._queue(self.sweep.planned(plan.params, plan.point, seed), 0)
                return mine
            self._fail(mine, ledger.DROPPED)
            tries += 1
        self._exhausted = self.sweep.method == "search" and tries >= asking.TRIES
        return None

    def _abandon_blanks(self) -> None:
        """Trials that somebody made and did not live to name."""
        for number in book.blanks(self._all(), GRACE_SECONDS):
            self._fail(number, ledger.DROPPED)

    def _fail(self, number: int, reason: str, error: str = "", fix: str = "", **said: Any) -> None:
        with suppress(UpdateFinishedTrialError):
            self._set(number, "end", {"reason": reason, "error": error, "fix": fix, **said})
            self._patiently(lambda: self.storage.set_trial_state_values(number, TrialState.FAIL))

    def _set(self, number: int, key: str, value: Any) -> None:
        self._patiently(lambda: self.storage.set_trial_user_attr(number, key, value))

    def _all(self, states: tuple[TrialState, ...] | None = None) -> list[FrozenTrial]:
        found: list[FrozenTrial] = self._patiently(
            lambda: self.storage.get_all_trials(self.study_id, deepcopy=False, states=states)
        )
        return found

    def _patiently(self, call: Callable[[], Any]) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return patiently(call, self.say)
