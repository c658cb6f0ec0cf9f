"""Jobs with real processes: what a folder says while they run, end, fail, are cancelled and are killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tbn import jobs
from tbn.errors import TBNError

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


def test_jobs_need_no_torch_and_no_streamlit() -> None:
    code = "import sys, tbn.jobs, tbn.job_worker, tbn.pareto, tbn.charts, tbn.memory_charts; assert not {'torch', 'streamlit'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
