"""Your data: a file is checked, kept, shown and trained on; a packed model becomes a run by a job; what is refused says why."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tbn import jobs, uploads
from tests.pages.test_pages import command, words

Open = Callable[..., AppTest]
PAGE = "pages/run/data.py"
TABLE = b"a,b,kind\n" + b"".join(f"{k},{k % 3},{k % 2}\n".encode() for k in range(40))


def npz(**arrays: Any) -> bytes:
    found = io.BytesIO()
    np.savez_compressed(found, **arrays)
    return found.getvalue()


def bring(app: AppTest, name: str, content: bytes, key: str = "data_file", button: str = "keep") -> AppTest:
    app.file_uploader(key=key).upload(name, content).run()
    return app.button(key=button).click().run()


def test_pictures_are_kept_shown_and_trained_on(folder: Path, open_page: Open) -> None:
    app = open_page(PAGE)
    assert "No data set has been brought yet" in app.info[0].value and app.button(key="keep").disabled
    pictures = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    app = bring(app, "cats & dogs.npz", npz(x=pictures, y=["cat", "dog"] * 20))
    assert "**cats-dogs.npz** is kept" in app.success[0].value and not app.error
    assert {metric.label: metric.value for metric in app.metric} == {
        "Training": "32",
        "Test": "8",
        "One input": "1 x 8 x 8",
        "Classes": "2",
    }
    assert [chart.proto.alt[:24] for chart in app.get("plotly_chart")] == [
        "Samples of each class in",
        "The first 24 training pi",
    ]
    assert "tasks.create('npz_images'" in app.code[0].value and "--task-arg file=cats-dogs.npz" in app.code[1].value
    form = open_page("pages/run/train.py", task="npz_images", file="cats-dogs.npz", epochs="1")
    shown = command(form)
    assert (
        f"--task-arg file=cats-dogs.npz --epochs 1 --data-root {uploads.folder()}" in shown
        and "--min-layer-size 1000" in shown
    )
    app.button(key="delete_it").click().run()
    assert not uploads.every() and not app.error


def test_a_table_asks_for_its_classes_and_takes_the_perceptron_alone(folder: Path, open_page: Open) -> None:
    app = open_page(PAGE)
    app.file_uploader(key="data_file").upload("t.csv", TABLE).run()
    assert (
        app.selectbox(key="label").options == ["a", "b", "kind"] and app.selectbox(key="label").value == "kind"
    )  # the last
    app.selectbox(key="label").select("b").run()
    app.button(key="keep").click().run()
    (kept,) = uploads.every()
    assert kept.task_args == {"label": "b", "file": "t.csv"} and kept.classes == ("0", "1", "2")
    form = open_page("pages/run/train.py", task="csv_table")
    assert form.selectbox(key="model").options == ["mlp"] and "--task-arg label=b" in command(form)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.npz", b"nonsense", "damaged or no .npz"),
        ("a.csv", b"a,kind\n1,x\n?,y\n" * 9, "which is no finite number, in line 3"),
        ("a.npz", npz(x=np.array([{}] * 20, object).reshape(20, 1, 1), y=np.arange(20)), "Python objects"),
    ],
)
def test_a_refused_file_is_a_sentence_with_its_fix(
    name: str, content: bytes, told: str, folder: Path, open_page: Open
) -> None:
    app = bring(open_page(PAGE), name, content)
    assert told in app.error[0].value.replace("\\", "") and "**What to do:**" in app.error[0].value
    assert not uploads.every() and "Traceback" not in app.error[0].value


def test_the_example_is_a_file_that_is_taken(folder: Path, open_page: Open) -> None:
    from pages.parts.upload_panel import example

    kept = uploads.keep("digits-example.npz", example())
    assert (kept.task, kept.train, kept.test, kept.shape, len(kept.classes)) == ("npz_images", 1437, 360, (1, 8, 8), 10)


def test_a_packed_model_is_tested_by_a_job(
    folder: Path, open_page: Open, trained_digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("tbn.jobs.start", lambda folder, argv, kind, module: asked.append((argv, kind, module)))
    app = open_page(PAGE, what="Packed models", tested_on="digits")
    content = (trained_digits / "packed.safetensors").read_bytes()
    bring(app, "mine.safetensors", content, "model_file", "adopt")
    ((argv, kind, module),) = asked
    assert argv[1:] == ["--task", "digits", "--name", "mine.safetensors"] and (kind, module) == ("adopt", "tbn.adopt")
    assert Path(argv[0]).read_bytes() == content and Path(argv[0]).parent.parent.name == "jobs"


def test_a_file_that_is_no_packed_model_is_refused_at_once(folder: Path, open_page: Open) -> None:
    app = bring(open_page(PAGE, what="Packed models"), "a.safetensors", b"nonsense", "model_file", "adopt")
    assert "no safetensors file" in app.error[0].value and not jobs.every(folder)


def test_a_job_that_is_done_leads_to_its_run(folder: Path, open_page: Open, add_run: Callable[..., Path]) -> None:
    run, place = add_run(4), folder / "jobs" / "adopt-1"
    place.mkdir(parents=True)
    record = {
        "kind": "adopt",
        "module": "tbn.adopt",
        "argv": ["x"],
        "pid": 1,
        "started": 1.0,
        "ended": 2.0,
        "returncode": 0,
    }
    (place / "job.json").write_text(json.dumps(record))
    (place / "output.txt").write_text(json.dumps({"run": str(run)}))
    app = open_page(PAGE, what="Packed models")
    assert not app.error and "done" in words(app)


@pytest.fixture(scope="module")
def trained_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed file of a small untrained network for digits."""
    import torch

    import tbn
    from tbn import tasks

    torch.manual_seed(0)
    model = tbn.models.create("mlp", **tasks.create("digits").model_arguments)
    tbn.tile_(model, tbn.TilingConfig(p=4, min_layer_size=1000))
    place = tmp_path_factory.mktemp("packed")
    tbn.save(tbn.freeze(model), place / "packed.safetensors")
    return place
