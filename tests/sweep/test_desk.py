"""Handing out trials and taking outcomes, on a real SQLite file, with made-up outcomes."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tbn.errors import TBNError
from tbn.sweep import Range, aggregate, ledger, status, sweeps, workers
from tbn.sweep.desk import Desk
from tbn.sweep.trial import Outcome
from tests.sweep.conftest import outcome


def finish(desk, worker="w", limit=1000):
    """Take and tell trials; returns the keys in order."""
    done = []
    while len(done) < limit and (trial := desk.claim(worker)) is not None:
        desk.tell(trial, outcome(trial))
        done.append(trial.key)
    return done


def test_a_sweep_from_beginning_to_end(small, tmp_path):
    chosen = small(seeds=2)
    desk = Desk.open(chosen, tmp_path)
    assert desk.remaining() == 6 and list(status(chosen.storage, chosen.name)["state"]) == ["waiting"] * 6
    assert sorted(finish(desk)) == sorted(trial.key for trial in chosen.plan()) and desk.remaining() == 0
    found = status(chosen.storage, chosen.name)
    assert (
        found.attrs["directions"] == {"score": "maximize", "weight_bytes": "minimize"}
        and found.attrs["sweep"] == chosen
    )
    assert (
        list(found["p"]) == [1, 2, 4] * 2
        and set(found["state"]) == {"complete"}
        and found["score"].iloc[3] == pytest.approx(0.891)
    )
    assert sweeps(chosen.storage) == [chosen.name] and found["run"].iloc[1] == chosen.folder(list(chosen.plan())[1])
    points = aggregate(found)
    assert (
        list(points["seeds"]) == [2, 2, 2]
        and points["score"].iloc[0] == pytest.approx(0.8905)
        and points["on_front"].all()
    )
    assert points["score_std"].iloc[0] == pytest.approx(0.001 / 2**0.5) and points["weight_bytes_std"].eq(0).all()


def test_two_desks_share_a_sweep_and_nobody_trains_twice(small, tmp_path):
    chosen = small(space={"p": (1, 2, 4), "lr": (0.1, 0.2)})
    first, second = Desk.open(chosen, tmp_path), Desk.join(chosen.storage, chosen.name, tmp_path)
    taken = [desk.claim(name) for desk, name in ((first, "a"), (second, "b")) * 3]
    assert (
        len({trial.key for trial in taken}) == 6
        and first.claim("a") is None
        and second.claim("b") is None
        and second.remaining() == 6
    )
    for trial in taken:
        second.tell(trial, outcome(trial))
    assert first.remaining() == second.remaining() == 0


def test_a_crashed_trial_is_tried_once_more_and_reported(small, tmp_path):
    chosen = small()
    desk = Desk.open(chosen, tmp_path)
    trial = desk.claim("a")
    desk.crashed(trial, "signal 9")
    again = [desk.claim("b") for _ in range(3)]
    assert again[2].key == trial.key and again[2].folder == trial.folder and desk.claim("b") is None
    assert desk.worker_crashed("b", "its worker died (signal 11)") and desk.remaining() == 2, (
        "twice is enough for the first, not for the others"
    )
    finish(desk)
    found = status(chosen.storage, chosen.name).set_index("p")
    assert (
        list(found["state"]) == ["failed", "complete", "complete"]
        and list(found["crashes"]) == [2, 1, 1]
        and list(found["attempts"]) == [2, 2, 2]
    )
    assert found["error"].loc[1] == "its worker died (signal 11)" and desk.remaining() == 0
    Desk.open(chosen, tmp_path)
    assert desk.remaining() == 0, "opening again does not try failures again"
    Desk.open(chosen, tmp_path, retry_failed=True)
    assert finish(desk) == [trial.key] and set(status(chosen.storage, chosen.name)["state"]) == {"complete"}


def test_an_error_is_not_tried_again_and_an_interruption_is(small, tmp_path):
    chosen = small()
    desk = Desk.open(chosen, tmp_path)
    bad, stopped = desk.claim("a"), desk.claim("a")
    desk.tell(bad, Outcome(error="the loss is nan", fix="lower the learning rate"))
    desk.tell(stopped, Outcome(interrupted=True))
    assert desk.claim("a").params["p"] == 4 and desk.claim("a") is None
    Desk.open(chosen, tmp_path)
    assert desk.claim("a").key == stopped.key
    row = status(chosen.storage, chosen.name).iloc[0]
    assert row["state"] == "failed" and (row["error"], row["fix"]) == ("the loss is nan", "lower the learning rate")


def test_what_a_dead_process_had_is_free_at_once(small, tmp_path):
    """A worker is killed with a trial in its hands: the next opening sees that its lock is free, and does not wait for a heartbeat."""
    chosen = small()
    Desk.open(chosen, tmp_path)
    code = f"""
import os, pathlib, signal
from tbn.sweep import workers
from tbn.sweep.desk import Desk
root = pathlib.Path({str(tmp_path)!r})
with workers.alive(root, "doomed"):
    Desk.join({chosen.storage!r}, {chosen.name!r}, root).claim("doomed")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    before = status(chosen.storage, chosen.name)
    assert (
        list(before["state"]) == ["running", "waiting", "waiting"]
        and (tmp_path / workers.FOLDER / "worker-doomed").exists()
    )
    desk = Desk.open(chosen, tmp_path)
    assert not (tmp_path / workers.FOLDER / "worker-doomed").exists()
    assert len(finish(desk)) == 3 and list(status(chosen.storage, chosen.name)["crashes"]) == [0, 0, 0], (
        "interrupted, not crashed"
    )


def test_a_living_worker_keeps_its_trial(small, tmp_path):
    chosen = small()
    desk = Desk.open(chosen, tmp_path)
    with workers.alive(tmp_path, "busy"):
        trial = desk.claim("busy")
        Desk.open(chosen, tmp_path)
        desk.tend()
        assert status(chosen.storage, chosen.name)["state"].iloc[0] == "running"
        desk.tell(trial, outcome(trial))
    assert status(chosen.storage, chosen.name)["state"].iloc[0] == "complete"


def test_a_silent_worker_of_another_machine_is_given_up_and_its_late_result_is_kept(small, tmp_path, monkeypatch):
    chosen = small()
    desk = Desk.open(chosen, tmp_path)
    trial = desk.claim("far-away")
    desk.tend()
    assert desk.remaining() == 3 and status(chosen.storage, chosen.name)["state"].iloc[0] == "running", (
        "it was heard just now"
    )
    monkeypatch.setattr("tbn.sweep.book.stale", lambda storage, study: [trial.id])
    desk.tend()
    monkeypatch.undo()
    again = [desk.claim("here") for _ in range(3)][-1]
    assert again.key == trial.key
    desk.crashed(again, "signal 9")
    assert status(chosen.storage, chosen.name)["state"].iloc[0] == "failed"
    desk.tell(
        trial, outcome(trial)
    )  # it was alive after all; its folder is complete, so whoever takes it next is done at once
    assert desk.claim("here").key == trial.key


def test_more_seeds_or_trials_go_on_and_anything_else_is_another_sweep(small, tmp_path):
    done = finish(Desk.open(small(name="mine"), tmp_path))
    desk = Desk.open(small(name="mine", seeds=2), tmp_path)
    assert len(done) == 3 and len(finish(desk)) == 3 and desk.sweep.seeds == 2
    assert Desk.open(small(name="mine"), tmp_path).sweep.seeds == 2, "what was asked for stays"
    with pytest.raises(
        TBNError,
        match=r'sweep .mine. in sqlite.* has fixed \{"epochs": 1\}, not \{"epochs": 2\}; give this one another --name',
    ):
        Desk.open(small(name="mine", fixed={"epochs": 2}), tmp_path)


def test_a_search_gives_exactly_the_points_asked_for_whoever_asks(small, tmp_path):
    chosen = small(space={"p": (1, 2, 4, 8), "lr": Range(1e-4, 1e-2, log=True)}, method="search", trials=7, seeds=2)
    desks = [Desk.open(chosen, tmp_path), Desk.join(chosen.storage, chosen.name, tmp_path)]
    assert desks[0].remaining() == 14
    while any(desk.remaining() for desk in desks):
        for number, desk in enumerate(desks):
            if (trial := desk.claim(str(number))) is not None:
                desk.tell(trial, outcome(trial))
    found = status(chosen.storage, chosen.name)
    assert (
        len(found) == 14
        and Counter(found["seed"]) == {0: 7, 1: 7}
        and found.groupby("point")["lr"].nunique().eq(1).all()
    )
    assert found["lr"].nunique() == 7 and set(found["state"]) == {"complete"}


def test_a_search_of_a_small_space_ends_when_all_of_it_is_known(small, tmp_path):
    chosen = small(method="search", trials=50)
    assert len(finish(Desk.open(chosen, tmp_path))) == 3 and chosen.point_limit == 3


def test_a_search_finds_what_is_good(small, tmp_path):
    chosen = small(space={"lr": Range(0.0, 1.0)}, method="search", trials=30, objectives=("score",))
    desk = Desk.open(chosen, tmp_path)
    while (trial := desk.claim("w")) is not None:
        desk.tell(trial, Outcome((-((trial.params["lr"] - 0.7) ** 2),)))
    found = status(chosen.storage, chosen.name)["lr"]
    assert (found.iloc[-10:] - 0.7).abs().median() < 0.1 < (found.iloc[:8] - 0.7).abs().median()


def test_a_search_that_is_killed_goes_on_as_it_would_have(small, tmp_path):
    straight = small(space={"lr": Range(0.0, 1.0)}, method="search", trials=12, name="straight")
    finish(Desk.open(straight, tmp_path))
    broken = small(space={"lr": Range(0.0, 1.0)}, method="search", trials=12, name="broken")
    for _ in range(6):
        finish(Desk.open(broken, tmp_path), limit=2)
    lrs = [list(status(one.storage, one.name)["lr"]) for one in (straight, broken)]
    assert lrs[0] == lrs[1]


def test_trials_that_fall_behind_are_stopped(small, tmp_path):
    chosen = small(space={"lr": tuple(k / 10 for k in range(1, 9))}, objectives=("score",), prune=True)
    desk = Desk.open(chosen, tmp_path)
    for number in range(8):
        trial = desk.claim("w")
        stop = any(desk.report(trial, epoch, 0.5 + epoch / 100 - (0.3 if number == 7 else 0)) for epoch in (1, 2, 3))
        assert stop == (number == 7)
        desk.tell(trial, Outcome(pruned=True) if stop else Outcome((0.53,)))
    assert list(status(chosen.storage, chosen.name)["state"]) == ["complete"] * 7 + ["pruned"] and desk.remaining() == 0


def test_values_that_optuna_cannot_hold(small, tmp_path):
    chosen = small(space={"model_args.hidden": ([16, 8], [32]), "alpha": ("tile", "layer"), "exclude": ((), ("fc1",))})
    desk = Desk.open(chosen, tmp_path)
    trial = desk.claim("w")
    assert trial.params == {"model_args.hidden": [16, 8], "alpha": "tile", "exclude": []} and trial.config[
        "model_args"
    ] == {"hidden": [16, 8]}


def test_a_study_of_somebody_else_and_a_sweep_that_is_not_there(small, tmp_path):
    chosen = small()
    with pytest.raises(TBNError, match="there is no sweep yet"):
        status(chosen.storage, "x")
    assert sweeps(chosen.storage) == [] and not Path(chosen.storage).exists()
    Desk.open(chosen, tmp_path)
    with pytest.raises(TBNError, match=f"there is no sweep 'x' in sqlite.*; there are {chosen.name}"):
        status(chosen.storage, "x")


FOUR = """
import sys, time, pathlib
from tbn.sweep import Sweep, workers
from tbn.sweep.desk import Desk
from tests.sweep.conftest import outcome
storage, root = sys.argv[1], pathlib.Path(sys.argv[2])
sweep = Sweep("digits", "mlp", {"p": (1, 2, 4), "lr": (0.1, 0.2, 0.3, 0.4)}, {"epochs": 1}, seeds=2, storage=storage, name="four")
while time.time() < float(sys.argv[3]):
    pass
desk, mine = Desk.open(sweep, root), 0
with workers.alive(root, worker := workers.new_name()):
    while True:
        if (trial := desk.claim(worker)) is not None:
            time.sleep(0.3)
            desk.tell(trial, outcome(trial))
            mine += 1
        elif desk.remaining():
            time.sleep(workers.PAUSE_SECONDS)
        else:
            break
print(mine)
"""


def test_four_processes_at_once_lose_nothing(tmp_path):
    """They open the same new file at the same moment, and share out 24 trials."""
    import time

    storage, begin = str(tmp_path / "four.db"), str(time.time() + 3)
    command = [sys.executable, "-c", FOUR, storage, str(tmp_path), begin]
    crowd = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) for _ in range(4)
    ]
    shares = [int(process.communicate(timeout=100)[0]) for process in crowd]
    assert [process.returncode for process in crowd] == [0] * 4
    found = status(storage, "four")
    assert len(found) == 24 == sum(shares) and set(found["state"]) == {"complete"} and set(found["attempts"]) == {1}


def test_the_rules_hold_in_the_storage_as_in_the_book(small, tmp_path):
    """Two processes that queue the same trial at the same moment do no harm."""
    chosen = small()
    desk = Desk.open(chosen, tmp_path)
    for plan in chosen.plan():
        desk._queue(plan, 0)
    assert len(finish(desk)) == 3 and desk.remaining() == 0
    assert (
        Counter(one.reason for one in desk.attempts()) == {"": 3, ledger.DROPPED: 3}
        and len(status(chosen.storage, chosen.name)) == 3
    )
