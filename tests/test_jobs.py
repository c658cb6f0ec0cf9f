"""Jobs with real processes: what a folder says while they run, end, fail, are cancelled and are killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tbn import job_keeping, jobs
from tbn.errors import TBNError
from tbn.locks import is_locked

SCRIPT = """
import json, os, subprocess, sys, time
from tbn import jobs
mode, folder = sys.argv[1], sys.argv[2]
progress = jobs.Progress(folder, steps=["one", "two"])
progress.step("one", "done", "first half")
print("a line of the log", file=sys.stderr)
if mode == "done":
    print(json.dumps({"accuracy": 0.5}))
elif mode == "told":
    print(json.dumps({"error": "p is 0.5", "fix": "take p = 4"})); sys.exit(1)
elif mode == "crash":
    raise RuntimeError("out of luck")
elif mode == "sleep":
    time.sleep(60)
elif mode == "stubborn":
    while True:
        try: time.sleep(60)
        except KeyboardInterrupt: print("no", file=sys.stderr)
elif mode == "child":
    subprocess.run(["sleep", "60"])
elif mode == "where":
    print(json.dumps({"here": str(jobs.here())}))
elif mode == "tidy":
    try: time.sleep(60)
    finally:
        time.sleep(0.5)
        open(folder + "/tidied", "w").close()
elif mode == "bar":
    sys.stderr.write("0 %\\r50 %\\r\\x1b[32m100 %\\x1b[0m\\n")
"""


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., jobs.Job]:
    module = tmp_path / "code" / "toy_job.py"
    module.parent.mkdir()
    module.write_text(SCRIPT)
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(module.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    )

    def start(mode: str, folder: Path = tmp_path / "runs" / "toy") -> jobs.Job:
        return jobs.start(folder, [mode, str(folder)], kind="train", module="toy_job")

    return start


def wait(
    folder: Path, until: Callable[[jobs.Job], bool] = lambda job: not job.running, seconds: float = 20
) -> jobs.Job:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if until(job := jobs.status(folder)):
            return job
        time.sleep(0.02)
    raise AssertionError(f"still {jobs.status(folder)}")


def test_a_job_runs_and_is_done(begin: Callable[..., jobs.Job]) -> None:
    job = wait(begin("done").folder)
    assert (job.state, job.returncode, job.kind, job.error) == ("done", 0, "train", "")
    assert job.fraction == 0.5 and job.message == "first half" and job.seconds > 0
    assert [step["state"] for step in job.progress["steps"]] == ["done", "waiting"]
    assert job.tail() == ["a line of the log"] and jobs.output(job.folder) == {"accuracy": 0.5}


def test_a_failure_is_told_in_the_command_s_own_words(begin: Callable[..., jobs.Job]) -> None:
    job = wait(begin("told").folder)
    assert (job.state, job.returncode, job.error, job.fix) == ("failed", 1, "p is 0.5", "take p = 4")
    job = wait(begin("crash").folder)  # the same folder again: nothing of the old job is left
    assert (job.state, job.error) == ("failed", "RuntimeError: out of luck")
    assert wait(begin("done").folder).state == "done"


@pytest.mark.parametrize("whole_group", [False, True])
def test_a_killed_job_has_failed_and_does_not_run_for_ever(begin: Callable[..., jobs.Job], whole_group: bool) -> None:
    job = begin("sleep")
    wait(job.folder, lambda job: job.fraction > 0)
    assert job.running
    (os.killpg if whole_group else os.kill)(job.pid, signal.SIGKILL)
    job = wait(job.folder)
    assert (job.state, job.returncode) == ("failed", None)
    assert "killed" in job.error and job.fix
    assert job.ended is not None


def test_a_living_stranger_with_the_same_process_id_is_not_the_job(begin: Callable[..., jobs.Job]) -> None:
    job = begin("sleep")
    os.killpg(job.pid, signal.SIGKILL)
    wait(job.folder)
    record = json.loads((job.folder / "job.json").read_text())
    (job.folder / "job.json").write_text(json.dumps(record | {"pid": os.getpid()}))
    assert jobs.status(job.folder).state == "failed"
    assert jobs.cancel(job.folder).state == "failed"  # and cancelling it harms nobody


@pytest.mark.parametrize("mode", ["sleep", "child"])
def test_cancel_interrupts(begin: Callable[..., jobs.Job], mode: str) -> None:
    job = begin(mode)
    wait(job.folder, lambda job: job.fraction > 0)
    job = jobs.cancel(job.folder)
    assert (job.state, job.returncode) == ("cancelled", 130)
    assert wait(begin("done").folder).state == "done"  # and may be started again


def test_cancel_kills_what_does_not_listen(begin: Callable[..., jobs.Job]) -> None:
    job = begin("stubborn")
    wait(job.folder, lambda job: job.fraction > 0)
    assert jobs.cancel(job.folder, grace_seconds=0.3).state == "cancelled"


def test_an_ended_job_is_not_cancelled(begin: Callable[..., jobs.Job]) -> None:
    job = wait(begin("done").folder)
    assert jobs.cancel(job.folder).state == "done"


def test_two_jobs_on_one_folder(begin: Callable[..., jobs.Job]) -> None:
    job = begin("sleep")
    with pytest.raises(TBNError, match=r"already runs .*; wait until it ends, or cancel it"):
        begin("done")
    assert jobs.status(job.folder).running
    jobs.cancel(job.folder)


def test_two_jobs_at_the_same_moment(begin: Callable[..., jobs.Job]) -> None:
    begun: list[jobs.Job] = []
    refused: list[TBNError] = []

    def attempt() -> None:
        try:
            begun.append(begin("sleep"))
        except TBNError as error:
            refused.append(error)

    threads = [threading.Thread(target=attempt) for _ in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(begun) == 1 and len(refused) == 2
    jobs.cancel(begun[0].folder)


def test_the_job_survives_the_process_that_started_it(begin: Callable[..., jobs.Job], tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "toy"
    code = f"from tbn import jobs; jobs.start({str(folder)!r}, ['sleep', {str(folder)!r}], 'train', 'toy_job')"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert jobs.status(folder).running
    assert jobs.cancel(folder).state == "cancelled"


def test_many_lookers_never_disagree(begin: Callable[..., jobs.Job]) -> None:
    job = wait(begin("done").folder)
    record = json.loads((job.folder / "job.json").read_text()) | {"returncode": None}
    (job.folder / "job.json").write_text(json.dumps(record))  # as if it had been killed
    seen: list[str] = []
    threads = [
        threading.Thread(target=lambda: seen.extend(jobs.status(job.folder).state for _ in range(50))) for _ in range(4)
    ]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert set(seen) == {"failed"}


def test_the_log_shows_a_redrawn_bar_once(begin: Callable[..., jobs.Job]) -> None:
    assert wait(begin("bar").folder).tail() == ["a line of the log", "100 %"]


def test_every_job_is_found_newest_first(begin: Callable[..., jobs.Job], tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    assert jobs.every(runs) == []
    for folder in (runs / "a", runs / "a" / "firmware" / "nucleo", runs / "b"):
        folder.mkdir(parents=True)
        wait(begin("done", folder).folder)
    (runs / "broken").mkdir()
    (runs / "broken" / "job.json").write_text("{")
    assert [str(job.folder.relative_to(runs)) for job in jobs.every(runs)] == ["b", "a/firmware/nucleo", "a"]


def test_no_job_and_no_room(begin: Callable[..., jobs.Job], tmp_path: Path) -> None:
    with pytest.raises(TBNError, match="no job"):
        jobs.status(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(TBNError, match="cannot start a job"):
        begin("done", tmp_path / "file" / "run")


def both(*actions: Callable[[], object]) -> list[TBNError]:
    """All at the same moment; returns what was refused."""
    barrier, refused = threading.Barrier(len(actions)), []

    def attempt(action: Callable[[], object]) -> None:
        barrier.wait()
        try:
            action()
        except TBNError as error:
            refused.append(error)

    threads = [threading.Thread(target=attempt, args=(action,)) for action in actions]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return refused


def test_two_that_cancel_at_once_leave_the_tidying_up_alone(begin: Callable[..., jobs.Job]) -> None:
    job = begin("tidy")
    wait(job.folder, lambda job: job.fraction > 0)
    assert not both(*[lambda: jobs.cancel(job.folder)] * 3)
    assert jobs.status(job.folder).state == "cancelled" and jobs.status(job.folder).returncode == 130
    assert (job.folder / "tidied").exists()


def test_a_cancellation_does_not_outlive_its_job(begin: Callable[..., jobs.Job]) -> None:
    folder = begin("sleep").folder
    wait(folder, lambda job: job.fraction > 0)
    jobs.cancel(folder)
    mark = (folder / jobs.CANCELLED).read_text()
    assert wait(begin("crash").folder).state == "failed"
    (folder / jobs.CANCELLED).write_text(mark)  # as if that canceller had been slow to write it
    assert jobs.status(folder).state == "failed"


def test_a_job_knows_its_folder(begin: Callable[..., jobs.Job]) -> None:
    job = wait(begin("where").folder)
    assert jobs.output(job.folder) == {"here": str(job.folder)} and jobs.here() is None
    assert job.command.startswith("python -m toy_job where ")


def test_a_job_is_started_again_as_it_was_asked_for(begin: Callable[..., jobs.Job]) -> None:
    first = wait(begin("crash").folder)
    again = wait(job_keeping.retry(first.folder).folder)
    assert (again.argv, again.module, again.kind) == (first.argv, "toy_job", "train") and again.started > first.started
    (first.folder / "config.json").write_text("{}")  # a run now: it goes on, as tbn train --resume
    with pytest.raises(TBNError, match="no job"):
        job_keeping.retry(first.folder.parent)
    job = begin("sleep")
    with pytest.raises(TBNError, match="already runs"):
        job_keeping.retry(job.folder)
    jobs.cancel(job.folder)


def test_folders_of_jobs_that_belong_to_no_run(runs_folder: Path) -> None:
    made = [job_keeping.new_folder("bench") for _ in range(3)]
    assert len(set(made)) == 3 and all(path.is_dir() and path.parent == runs_folder / "jobs" for path in made)
    with pytest.raises(TBNError, match="TBN_RUNS"):
        (runs_folder / "file").touch()
        job_keeping.new_folder("bench", runs_folder / "file")


def test_delete_frees_what_it_says_and_leaves_nothing(begin: Callable[..., jobs.Job]) -> None:
    job = wait(begin("done").folder)
    (job.folder / "firmware").mkdir()
    (job.folder / "firmware" / "image").write_bytes(b"0" * 1000)
    used = job_keeping.used_bytes(job.folder)
    assert used > 1000 and job_keeping.delete(job.folder) == used
    assert list(job.folder.parent.iterdir()) == [] and jobs.every(job.folder.parent) == []
    with pytest.raises(TBNError, match="no job"):
        job_keeping.delete(job.folder)
    assert job_keeping.free_bytes(job.folder / "missing" / "too") > 0


def test_two_that_delete_at_once_leave_nothing(begin: Callable[..., jobs.Job]) -> None:
    for _ in range(5):
        job = wait(begin("done").folder)
        refused = both(*[partial(job_keeping.delete, job.folder)] * 3)
        assert len(refused) == 2 and all(
            "no job" in error.message or "somebody works" in error.message for error in refused
        )
        assert list(job.folder.parent.iterdir()) == []


def test_what_runs_is_not_deleted(begin: Callable[..., jobs.Job]) -> None:
    inner = begin("sleep", wait(begin("done").folder).folder / "firmware" / "board")
    for folder in (inner.folder, inner.folder.parents[1]):
        with pytest.raises(TBNError, match="somebody works in"):
            job_keeping.delete(folder)
    assert jobs.status(inner.folder).running and not is_locked(inner.folder.parents[1] / jobs.LOCK)
    jobs.cancel(inner.folder)


def test_start_retry_cancel_and_delete_at_the_same_moment_corrupt_nothing(begin: Callable[..., jobs.Job]) -> None:
    folder = wait(begin("done").folder).folder
    for _ in range(4):
        refused = both(
            lambda: begin("sleep"), lambda: job_keeping.retry(folder), lambda: jobs.cancel(folder, grace_seconds=5),
            lambda: job_keeping.delete(folder), lambda: jobs.every(folder.parent),
        )  # fmt: skip
        assert all(error.fix for error in refused)
        if (folder / jobs.JOB).exists():  # whole: it says one thing, and that is true
            assert json.loads((folder / jobs.JOB).read_text())["kind"] == "train"
            assert jobs.status(folder).running == is_locked(folder / jobs.LOCK)
            jobs.cancel(folder)
        assert [path.name for path in folder.parent.iterdir()] in ([], [folder.name])
        if not (folder / jobs.JOB).exists():
            wait(begin("done").folder)


def test_a_list_of_jobs_is_kept_until_one_changes(begin: Callable[..., jobs.Job], tmp_path: Path) -> None:
    folder = wait(begin("done").folder).folder
    old = time.time() - 100
    for path in (folder, folder.parent):
        os.utime(path, (old, old))
    (first,) = jobs.every(folder.parent)
    assert jobs.every(folder.parent)[0] is first  # nothing was read again
    wait(begin("crash").folder)
    assert [job.state for job in jobs.every(folder.parent)] == ["failed"]
    wait(begin("done", folder / "firmware" / "new").folder)
    assert len(jobs.every(folder.parent)) == 2


def test_jobs_need_no_torch_and_no_streamlit() -> None:
    modules = "tbn.jobs, tbn.job_worker, tbn.job_keeping, tbn.estimate, tbn.pareto, tbn.charts, tbn.memory_charts"
    code = f"import sys, {modules}; assert not {{'torch', 'streamlit'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
