"""The Jobs page, and jobs on every page: with real processes, seen by two visitors at once."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tbn import job_keeping, jobs

PAGE = "pages/run/jobs.py"
Open = Callable[..., AppTest]
SCRIPT = """
import json, sys, time
from tbn import jobs
if sys.argv[1] == "done":
    jobs.Progress(jobs.here()).update(1.0, "all of it")
    print(json.dumps({"answer": 42}))
elif sys.argv[1] == "fail":
    print(json.dumps({"error": "no room_for it", "fix": "make room"})); sys.exit(1)
elif sys.argv[1] == "sleep":
    print("measuring linear 512x512", file=sys.stderr)
    time.sleep(120)
"""


@pytest.fixture
def begin(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., jobs.Job]]:
    """Start a toy job of a kind; what still runs at the end is cancelled."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "toy_page_job.py").write_text(SCRIPT)
    path = filter(None, [str(tmp_path / "code"), os.environ.get("PYTHONPATH")])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))

    def start(mode: str, kind: str = "bench", place: Path | None = None) -> jobs.Job:
        job = jobs.start(place or job_keeping.new_folder(kind), [mode], kind, module="toy_page_job")
        return job if mode == "sleep" else ended(job)

    yield start
    for job in jobs.every(folder):
        jobs.cancel(job.folder, grace_seconds=2)


def ended(job: jobs.Job) -> jobs.Job:
    deadline = time.monotonic() + 30
    while (now := jobs.status(job.folder)).running and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not now.running
    return now


def words(app: AppTest) -> str:
    kinds = (app.markdown, app.caption, app.info, app.warning, app.error, app.success)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def keys(app: AppTest) -> set[str]:
    return {button.key for button in app.button}


def test_nothing_was_started_yet(folder: Path, open_page: Open) -> None:
    app = open_page(PAGE)
    assert "Nothing has been started" in words(app) and not app.error


def test_jobs_of_every_kind_are_listed_and_one_is_shown(begin: Callable[..., jobs.Job], open_page: Open) -> None:
    done, failed, running = begin("done", "quantise"), begin("fail", "sweep"), begin("sleep")
    app = open_page(PAGE)
    table = app.dataframe[0].value.set_index("job")
    assert list(table.index) == [job.folder.name for job in (running, failed, done)]  # newest first
    assert list(table["state"]) == ["running", "failed", "done"] and list(table["progress"]) == [0.0, 0.0, 1.0]
    assert list(table["kind"]) == ["bench", "sweep", "quantise"] and (table["bytes"] > 100).all()
    assert [metric.value for metric in app.metric[:4]] == ["1", "1", "1", "0"]
    assert (
        app.selectbox(key="job").value == running.folder.name and keys(app) >= {"cancel"} and "retry" not in keys(app)
    )
    assert "measuring linear 512x512" in app.get("progress")[0].proto.text  # the log's last line stands for progress
    app.selectbox(key="job").select(failed.folder.name).run()
    assert "No room\\_for it." in app.error[0].value and "make room" in app.error[0].value
    assert failed.folder.name in app.query_params["job"] and keys(app) >= {"retry", "delete_now"}
    shown = open_page(PAGE, job=done.folder.name)
    assert shown.json[0].value and '"answer": 42' in shown.json[0].value
    codes = [code.value for code in shown.code]
    assert "python -m toy_page_job done" in codes and any("jobs.status(" in code for code in codes)


def test_filters_are_in_the_address(begin: Callable[..., jobs.Job], open_page: Open) -> None:
    done, failed = begin("done"), begin("fail", "sweep")
    assert list(open_page(PAGE, state="failed").dataframe[0].value["job"]) == [failed.folder.name]
    assert list(open_page(PAGE, kind="bench").dataframe[0].value["job"]) == [done.folder.name]
    assert "No job is left by these filters" in words(open_page(PAGE, state="cancelled"))


def test_an_unknown_job_is_said_to_be_unknown(begin: Callable[..., jobs.Job], open_page: Open) -> None:
    begin("done")
    assert "There is no job `nonsense`" in open_page(PAGE, job="nonsense").warning[0].value


def test_cancel_start_again_and_delete(begin: Callable[..., jobs.Job], folder: Path, open_page: Open) -> None:
    job = begin("sleep")
    app = open_page(PAGE)
    app.button(key="cancel").click().run()
    assert jobs.status(job.folder).state == "cancelled" and "cancelled" in words(app)
    app.button(key="retry").click().run()
    again = jobs.status(job.folder)
    assert again.running and again.started > job.started
    app.button(key="cancel").click().run()
    app.button(key="delete_now").click().run()
    assert not job.folder.exists() and jobs.every(folder) == []
    assert "free again" in app.toast[0].value and "Nothing has been started" in words(app)


def test_running_jobs_are_on_every_page(begin: Callable[..., jobs.Job], open_page: Open) -> None:
    job = begin("sleep", "sweep")
    for page in ("", "pages/run/train.py"):
        links = [link.proto for link in open_page(page).get("page_link")]
        (link,) = [link for link in links if "sweep" in link.label and "measuring" in link.label]
        assert job.folder.name in link.query_string


def test_two_visitors_see_the_same_and_corrupt_nothing(
    begin: Callable[..., jobs.Job], folder: Path, open_page: Open
) -> None:
    """Both press the same button at the same moment: one action happens, and both see its outcome."""
    job = begin("sleep")
    visitors = [open_page(PAGE), open_page(PAGE)]
    for key, outcome in (("cancel", "cancelled"), ("retry", "running"), ("cancel", "cancelled")):
        both_press(visitors, key)
        assert jobs.status(job.folder).state == outcome
        for visitor in visitors:
            visitor.run()
            assert list(visitor.dataframe[0].value["state"]) == [outcome] and not visitor.exception
    both_press(visitors, "delete_now")
    assert not job.folder.exists() and list((folder / "jobs").iterdir()) == []


def both_press(visitors: list[AppTest], key: str) -> None:
    barrier = threading.Barrier(len(visitors))

    def press(visitor: AppTest) -> None:
        barrier.wait()
        visitor.button(key=key).click().run()

    threads = [threading.Thread(target=press, args=(visitor,)) for visitor in visitors]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]


def test_a_broken_record_is_left_out(begin: Callable[..., jobs.Job], folder: Path, open_page: Open) -> None:
    job = begin("done")
    broken = job_keeping.new_folder("bench")
    (broken / jobs.JOB).write_text("{")
    app = open_page(PAGE)
    assert list(app.dataframe[0].value["job"]) == [job.folder.name] and not app.error


def test_a_training_says_what_it_will_cost(trained: Path, open_page: Open) -> None:
    app = open_page("pages/run/train.py", task="fashion_mnist", model="mlp", p="4", epochs="10")
    assert "Training takes **about 10 s**" in words(app) and "on other processors" in words(app)
    assert "is not known yet" in words(open_page("pages/run/train.py", task="digits"))
