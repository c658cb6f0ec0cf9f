"""What Optuna's trials mean to a sweep: reading only."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from tbn.errors import TBNError
from tbn.sweep import asking, ledger
from tbn.sweep.definition import Planned, Sweep
from tbn.sweep.ledger import Attempt
from tbn.sweep.storage import shown

STATES = {
    TrialState.WAITING: ledger.WAITING,
    TrialState.RUNNING: ledger.RUNNING,
    TrialState.COMPLETE: ledger.COMPLETE,
    TrialState.PRUNED: ledger.PRUNED,
    TrialState.FAIL: ledger.FAILED,
}


def definition(storage: Any, name: str, url: str) -> Sweep:
    """The sweep of that name, as it was opened.

    Raises:
        TBNError: there is none.
    """
    studies = {study.study_name: study for study in storage.get_all_studies() if "sweep" in study.user_attrs}
    if name not in studies:
        known = f"there are {', '.join(list(studies)[-5:])}" if studies else "run one: tbn sweep --p 1,2,4,8"
        raise TBNError(f"there is no sweep {name!r} in {shown(url)}", known)
    return Sweep.from_dict({**studies[name].user_attrs["sweep"], "storage": url})


def attempt(trial: FrozenTrial) -> Attempt | None:
    """A trial as an attempt; None for one that nobody has named yet."""
    told, attrs = trial.user_attrs.get("tbn"), trial.user_attrs
    if told is None:
        return None
    said = {**attrs.get("outcome", {}), **(attrs.get("end", {}) if trial.state == TrialState.FAIL else {})}
    planned = Planned(told["key"], told["point"], told["seed"], asking.plain(trial.params, trial.distributions))
    begun, ended = trial.datetime_start, trial.datetime_complete
    return Attempt(
        trial._trial_id, trial.number, STATES[trial.state], planned, told["round"], said.get("reason", ""), attrs.get("worker", ""),
        tuple(trial.values or ()) if trial.state == TrialState.COMPLETE else (), said,
        None if begun is None else begun.timestamp(), None if ended is None else ended.timestamp(),
    )  # fmt: skip


def stale(storage: Any, study_id: int) -> list[int]:
    """Running trials whose last sign of life is too old."""
    found: list[int] = storage._get_stale_trial_ids(study_id)
    return found


def blanks(trials: Iterable[FrozenTrial], grace: float) -> list[int]:
    """Running trials without a name for longer than the grace (in seconds)."""
    now = time.time()
    return [
        trial._trial_id
        for trial in trials
        if trial.state == TrialState.RUNNING
        and "tbn" not in trial.user_attrs
        and trial.datetime_start is not None
        and now - trial.datetime_start.timestamp() > grace
    ]


def points(trials: Iterable[FrozenTrial]) -> int:
    """How many points a search has chosen, those included that are being named."""
    named, unnamed = set(), 0
    for trial in trials:
        told = trial.user_attrs.get("tbn")
        if told is None:
            unnamed += trial.state == TrialState.RUNNING
        elif not _dropped(trial):
            named.add(told["point"])
    return len(named) + unnamed


def is_new_point(trials: Sequence[FrozenTrial], mine: int, key: str, limit: int) -> bool:
    """Whether a point that a search has just chosen is new, and among the first ``limit`` ones."""
    before = set()
    for trial in trials:
        if trial._trial_id >= mine or _dropped(trial):
            continue
        told = trial.user_attrs.get("tbn")
        if told is None:
            if trial.state == TrialState.RUNNING:
                before.add(trial.number)
            continue
        if told["key"] == key:
            return False
        before.add(told["point"])
    return len(before) < limit


def remaining(sweep: Sweep, plan: Iterable[Planned], attempts: Iterable[Attempt], exhausted: bool) -> int:
    """How many trials are not finished."""
    tried = ledger.by_trial(attempts)
    count = sum(planned.key not in tried for planned in plan)
    for found in tried.values():
        count += ledger.speaker(found).state in (ledger.WAITING, ledger.RUNNING) or ledger.needed(found)
    if sweep.method == "search" and not exhausted:
        chosen = {(found[-1].planned.point, found[-1].planned.seed) for found in tried.values()}
        lacking = (sweep.point_limit - len({point for point, _ in chosen})) * sweep.seeds
        lacking += sum(
            (point, seed) not in chosen for point in {point for point, _ in chosen} for seed in range(sweep.seeds)
        )
        count += max(0, lacking)
    return count


def _dropped(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.FAIL and trial.user_attrs.get("end", {}).get("reason") in (ledger.DROPPED, None)
