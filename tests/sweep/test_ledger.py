"""The book's rules, with attempts made up, and in a simulation in which everything dies."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbn.sweep import ledger
from tbn.sweep.definition import Planned
from tbn.sweep.ledger import COMPLETE, CRASHED, DROPPED, ERROR, FAILED, INTERRUPTED, RUNNING, WAITING, Attempt


def attempt(number, state, key="a", reason="", round=0):
    return Attempt(number, number, state, Planned(key, 0, 0, {}), round, reason)


@pytest.mark.parametrize(
    ("tried", "wanted"),
    [((), True), (((WAITING, ""),), False), (((RUNNING, ""),), False), (((COMPLETE, ""),), False), (((FAILED, ERROR),), False),
     (((FAILED, INTERRUPTED),), True), (((FAILED, INTERRUPTED),) * 5, True), (((FAILED, CRASHED),), True),
     (((FAILED, CRASHED), (FAILED, CRASHED)), False),
     (((FAILED, CRASHED), (FAILED, INTERRUPTED)), True), (((FAILED, CRASHED), (FAILED, ERROR)), False), (((FAILED, CRASHED), (WAITING, "")), False)],
)  # fmt: skip
def test_what_is_tried_again(tried, wanted):
    assert (
        ledger.needed([attempt(number, state, reason=reason) for number, (state, reason) in enumerate(tried)]) is wanted
    )


def test_a_fresh_start_counts_crashes_anew():
    before = [attempt(0, FAILED, reason=CRASHED), attempt(1, FAILED, reason=CRASHED)]
    plan = before[0].planned
    assert ledger.missing([plan], before) == [] and ledger.missing([plan], before, retry_failed=True) == [(plan, 1)]
    assert ledger.missing([plan], [*before, attempt(2, FAILED, reason=CRASHED, round=1)]) == [(plan, 1)]


def test_a_result_speaks_before_everything_else():
    tried = [attempt(0, FAILED, reason=CRASHED), attempt(1, RUNNING), attempt(2, COMPLETE), attempt(3, WAITING)]
    assert ledger.speaker(tried).number == 2
    assert ledger.is_surplus(tried[3], tried) and ledger.is_surplus(tried[1], tried)
    assert not ledger.is_surplus(tried[1], tried[:2]), "of two that run, the first goes on"


def test_attempts_that_were_not_needed_are_as_if_they_never_were():
    assert ledger.by_trial([attempt(0, FAILED, reason=DROPPED)]) == {}
    assert len(ledger.missing([attempt(0, FAILED).planned], [attempt(0, FAILED, reason=DROPPED)])) == 1


def test_seeds_that_a_point_of_a_search_lacks():
    tried = [
        Attempt(n, n, COMPLETE, Planned(f"{point}-{seed}", point, seed, {}))
        for n, (point, seed) in enumerate([(0, 0), (0, 1), (4, 0)])
    ]
    assert [(plan.point, seed) for plan, seed in ledger.other_seeds(tried, 2)] == [(4, 1)]


@given(st.integers(0, 10**6))
def test_whatever_dies_every_trial_ends_with_one_result_or_two_crashes(seed):
    """Many workers, two queuers who do not know of each other, deaths at any moment: nothing is lost and nothing done twice."""
    dice, plan = random.Random(seed), [Planned(f"k{n}", n, 0, {}) for n in range(4)]
    book: list[Attempt] = []

    def change(number, **what):
        old = book[number]
        book[number] = Attempt(old.id, old.number, what["state"], old.planned, old.round, what.get("reason", ""))

    for _ in range(400):
        action = dice.random()
        if action < 0.25:
            before = list(book)  # two look at the same moment and both queue
            for _ in range(dice.choice((1, 1, 2))):
                for planned, round_ in ledger.missing(plan, before):
                    book.append(Attempt(len(book), len(book), WAITING, planned, round_))
        elif waiting := [one.number for one in book if one.state == WAITING]:
            taken = waiting[0]
            change(taken, state=RUNNING)
            if ledger.is_surplus(book[taken], book):
                change(taken, state=FAILED, reason=DROPPED)
                continue
            assert not any(one.state == COMPLETE and one.planned.key == book[taken].planned.key for one in book), (
                "trained twice"
            )
            what = dice.choice((COMPLETE, COMPLETE, FAILED))
            change(taken, state=what, reason=dice.choice((CRASHED, INTERRUPTED)) if what == FAILED else "")
        if not ledger.missing(plan, book) and not any(one.state == WAITING for one in book):
            break
    for tried in ledger.by_trial(book).values():
        done, crashes = [one for one in tried if one.state == COMPLETE], [one for one in tried if one.reason == CRASHED]
        assert len(done) == 1 or len(crashes) == 2, tried
    assert set(ledger.by_trial(book)) == {planned.key for planned in plan}
