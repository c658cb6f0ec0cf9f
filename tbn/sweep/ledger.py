"""The book of a sweep: which trials were tried, which attempt speaks for each, and what is still to be queued. Pure.

A trial (``Planned``, known by its key) has one attempt after another. Any number of processes write attempts without asking each other, so
a trial may come to have two at once; the rules below make that harmless, whoever looks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tbn.sweep.definition import Planned

WAITING, RUNNING, COMPLETE, PRUNED, FAILED = "waiting", "running", "complete", "pruned", "failed"
CRASHED, ERROR, INTERRUPTED, DROPPED = "crashed", "error", "interrupted", "dropped"  # why an attempt failed
RETRIES = 1
RANK = {COMPLETE: 0, PRUNED: 0, RUNNING: 1, WAITING: 2, FAILED: 3}


@dataclass(frozen=True)
class Attempt:
    """One try of a trial, as the storage has it.

    Attributes:
        id, number: in the storage; numbers rise with time.
        state: "waiting", "running", "complete", "pruned" or "failed".
        round: how often somebody asked to try failures again before this attempt.
        reason: why it failed: "crashed" (its worker died), "error" (the training refused), "interrupted", "dropped" (not needed).
    """

    id: int
    number: int
    state: str
    planned: Planned
    round: int = 0
    reason: str = ""
    worker: str = ""
    values: tuple[float, ...] = ()
    said: dict[str, Any] = field(default_factory=dict)
    started: float | None = None
    ended: float | None = None

    @property
    def live(self) -> bool:
        """Whether it can still give a result, or has."""
        return self.state != FAILED


def by_trial(attempts: Iterable[Attempt]) -> dict[str, list[Attempt]]:
    """Attempts by key, each list in the order of time, without those that were not needed."""
    found: dict[str, list[Attempt]] = {}
    for attempt in sorted(attempts, key=lambda attempt: attempt.number):
        if attempt.reason != DROPPED:
            found.setdefault(attempt.planned.key, []).append(attempt)
    return found


def speaker(attempts: Sequence[Attempt]) -> Attempt:
    """The attempt that speaks for its trial: a finished one before a running one before a waiting one; of equals the first, of failures the last."""
    live = [attempt for attempt in attempts if attempt.live]
    return min(live, key=lambda attempt: (RANK[attempt.state], attempt.number)) if live else attempts[-1]


def needed(attempts: Sequence[Attempt], retry_failed: bool = False) -> bool:
    """Whether a trial with these attempts has to be queued (again).

    An interrupted attempt is followed by another; a crashed one as well, but only ``RETRIES`` times; an error by none, as the same training
    would fail again. ``retry_failed`` gives every failure a fresh start.
    """
    if any(attempt.live for attempt in attempts):
        return False
    if not attempts or retry_failed or attempts[-1].reason == INTERRUPTED:
        return True
    crashes = sum(attempt.reason == CRASHED for attempt in attempts if attempt.round == attempts[-1].round)
    return attempts[-1].reason == CRASHED and crashes <= RETRIES


def missing(
    planned: Iterable[Planned], attempts: Iterable[Attempt], retry_failed: bool = False
) -> list[tuple[Planned, int]]:
    """The trials to be queued, in the order of the plan, then of the attempts, each with its round."""
    tried = by_trial(attempts)
    everything = {plan.key: plan for plan in planned}
    everything |= {key: found[-1].planned for key, found in tried.items() if key not in everything}
    queue = []
    for key, plan in everything.items():
        before = tried.get(key, [])
        if needed(before, retry_failed):
            again = bool(before) and not needed(before)
            queue.append((plan, (before[-1].round if before else 0) + again))
    return queue


def other_seeds(attempts: Iterable[Attempt], seeds: int) -> list[tuple[Planned, int]]:
    """Points of a search that are known by one seed: (a trial of the point, the seed that it lacks)."""
    points: dict[int, dict[int, Planned]] = {}
    for key_attempts in by_trial(attempts).values():
        plan = key_attempts[-1].planned
        points.setdefault(plan.point, {})[plan.seed] = plan
    return [
        (next(iter(known.values())), seed) for known in points.values() for seed in range(seeds) if seed not in known
    ]


def is_surplus(attempt: Attempt, attempts: Iterable[Attempt]) -> bool:
    """Whether an attempt that was just taken is not needed: another one of its trial has a result, or ran before it, or too many crashed."""
    same = [other for other in attempts if other.planned.key == attempt.planned.key and other.id != attempt.id]
    crashed = sum(other.reason == CRASHED and other.round == attempt.round for other in same)
    return crashed > RETRIES or any(
        other.state in (COMPLETE, PRUNED) or (other.state == RUNNING and other.number < attempt.number)
        for other in same
    )


def crashes(attempts: Iterable[Attempt]) -> list[Attempt]:
    """The attempts whose workers died."""
    return [attempt for attempt in attempts if attempt.reason == CRASHED]
