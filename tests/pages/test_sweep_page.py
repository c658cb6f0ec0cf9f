"""The Sweep page: its form as a command and as Python, its cost, a real sweep started and shown, and sweeps that others made."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts import live
from tbn import job_keeping, jobs
from tbn.sweep import Sweep, status
from tbn.sweep.desk import Desk
from tbn.sweep.trial import Outcome

PAGE = "pages/run/sweep.py"
Open = Callable[..., AppTest]


def words(app: AppTest) -> str:
    kinds = (app.markdown, app.caption, app.info, app.warning, app.error, app.success)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def command(app: AppTest) -> str:
    return next(code.value for code in app.code if code.value.startswith("tbn sweep"))


@pytest.fixture
def tried(folder: Path) -> Sweep:
    """A sweep in the default storage of which three trials are done, one failed and two wait."""
    folder.mkdir()
    sweep = Sweep("digits", "mlp", {"p": (1, 2, 4)}, {"epochs": 1}, seeds=2, name="tried")
    desk = Desk.open(sweep, folder)
    for number in range(4):
        trial = desk.claim("test")
        assert trial is not None
        p = trial.params["p"]
        refused: dict[str, Any] = {"error": "p=4 tiles nothing", "fix": "lower lambda"}
        told = refused if number == 3 else {"values": (0.9 - p / 10, 1000.0 / p)}
        desk.tell(trial, Outcome(**told, seconds=1.0))
    return sweep


def test_the_form_is_a_command_and_python_that_make_the_same_sweep(folder: Path, open_page: Open) -> None:
    app = open_page(PAGE, task="digits", epochs="3", method="random", points="5", vary="model_args.hidden=[16];[32]\nlr=1e-4..1e-2:log",
                    set="min_layer_size=500", workers="1")  # fmt: skip
    assert not app.error, app.error[0].value
    assert command(app) == (
        "tbn sweep --task digits --model mlp --p 1,2,4,8 --epochs 3 --vary 'model_args.hidden=[16];[32]' --vary lr=1e-4..1e-2:log "
        "--set min_layer_size=500 --method random --trials 5 --seeds 2 --workers 1"
    )
    assert "**10 trainings**: 5 points, 2 seeds each" in words(app) and "is not known yet" in words(app)
    python = next(code.value for code in app.code if "Sweep(" in code.value)
    made: dict[str, Any] = {}
    exec(python.rpartition("print(")[0], made)
    assert made["sweep"] == Sweep(
        "digits", "mlp", {"p": (1, 2, 4, 8), "model_args.hidden": ([16], [32]), "lr": {"low": 1e-4, "high": 1e-2, "log": True}},
        {"epochs": 3, "min_layer_size": 500}, method="random", trials=5, seeds=2,
    )  # fmt: skip


def test_what_is_no_sweep_is_a_sentence_with_its_fix(folder: Path, open_page: Open) -> None:
    for query, told in (
        ({"vary": "width"}, "not NAME=VALUES"), ({"vary": "lr=1e-4..1e-2"}, "a grid takes single values"),
        ({"vary": "seed=1,2"}, "--seeds 3"), ({"storage": "postgresql://me:secret@host/db"}, "could be read by anybody"),
    ):  # fmt: skip
        app = open_page(PAGE, task="digits", **query)
        assert told in app.error[0].value.replace("\\", "") and "**What to do:**" in app.error[0].value, query


def test_a_sweep_that_somebody_else_made_is_shown(tried: Sweep, open_page: Open) -> None:
    app = open_page(PAGE, sweep="tried")
    assert app.selectbox(key="sweep").value == "tried"
    assert "p=4 tiles nothing" in app.error[0].value.replace("\\", "") and "lower lambda" in app.error[0].value
    told = [chart.proto.alt for chart in app.get("plotly_chart")]
    assert len(told) == 3 and "3 points of a sweep" in told[0] + told[1]
    front = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert front["layout"]["yaxis"]["title"]["text"] == "Test accuracy (%)"
    table = app.dataframe[0].value
    assert list(table["state"]) == ["complete", "complete", "complete", "failed", "waiting", "waiting"] and {
        "p",
        "score",
        "run",
    } <= set(table)
    assert "There is no sweep `nonsense`" in open_page(PAGE, sweep="nonsense").warning[0].value


def test_a_sweep_is_started_shown_and_gone_on_with(folder: Path, open_page: Open) -> None:
    app = open_page(
        PAGE, task="digits", vary_p=["binary", "4"], epochs="1", seeds="1", set="min_layer_size=500", workers="1"
    )
    app.button(key="start").click().run()
    (job,) = jobs.every(folder)
    assert job.kind == "sweep" and not app.error
    name = job.argv[job.argv.index("--name") + 1]
    assert app.selectbox(key="sweep").value == name
    end = time.monotonic() + 120
    while jobs.status(job.folder).running and time.monotonic() < end:
        time.sleep(0.2)
    assert jobs.status(job.folder).state == "done", jobs.status(job.folder).tail()
    found = status("", name)
    assert list(found["p"]) == [1, 4] and set(found["state"]) == {"complete"}
    shown = open_page(PAGE, job=job.folder.name)  # the link of the list of jobs
    assert shown.selectbox(key="sweep").value == name and len(shown.get("plotly_chart")) == 3
    assert all((folder / run / "result.json").is_file() for run in found["run"])
    assert "2 trainings" in words(
        open_page(PAGE, task="digits", vary_p=["binary", "4"], epochs="1", seeds="1", set="min_layer_size=500")
    )


def test_a_budget_is_a_command_and_its_answer_is_shown(folder: Path, open_page: Open) -> None:
    app = open_page(
        PAGE, way="budget", task="mnist", budget="3.2kB", fit_board="microbit", epochs="4", seeds="3", against="true"
    )
    assert not app.error, app.error[0].value
    told = next(code.value for code in app.code if code.value.startswith("tbn fit"))
    assert told == "tbn fit --task mnist --budget 3.2kB --board microbit --set epochs=4 --seeds 3 --against-uniform"
    python = next(code.value for code in app.code if "Goal(" in code.value)
    made: dict[str, Any] = {}
    exec(python.rpartition("found = search(")[0], made)
    goal = eval(python.partition("search(")[2].partition(", against_uniform")[0], made)
    assert (goal.limits.bytes, goal.limits.board, goal.seeds, goal.fixed) == (3200, "microbit", 3, {"epochs": 4})
    place = job_keeping.new_folder("budget")
    network = {"model_args": {"width": 16}, "layers": {"conv1": 1, "conv2": 8}, "bytes": 3100}
    answer = {
        "task": "mnist", "model": "micro_cnn", "sensitivity": {"conv2": 0.01}, "uniform": None,
        "best": network | {"runs": ["runs/fitted-s0"], "scores": [0.98, 0.99], "mean": 0.985},
        "candidates": [network | {"uniform": False, "score": 0.97, "trainings": 2}],
    }  # fmt: skip
    (place / jobs.OUTPUT).write_text(json.dumps(answer))
    record = {
        "kind": "budget",
        "module": "tbn",
        "argv": ["fit"],
        "pid": 1,
        "started": 1e9,
        "returncode": 0,
        "ended": 2e9,
    }
    (place / jobs.JOB).write_text(json.dumps(record))
    shown = open_page(PAGE, **live.address(jobs.status(place)))  # the link of the list of jobs
    assert "width 16, p = 1, 8" in shown.success[0].value and "98.50 %" in shown.success[0].value and not shown.error
    assert [chart.proto.alt for chart in shown.get("plotly_chart")][
        1
    ] == "Tiling factor of each layer: conv1 binary; conv2 p = 8."
