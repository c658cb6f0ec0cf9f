"""The trade-off's axes, filters and data, each by its address; the run's panel part by part."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tbn import jobs, measured, runs
from tests.pages.test_pages import words

Open = Callable[..., AppTest]
Add = Callable[..., Path]
RUN = "fashion_mnist-mlp-4-s0"

PARTS = [
    ("Layers", "Biases, norms"),
    ("Answers", "keeps no"),
    ("Take away", "nothing to take away"),
    ("Setup", "a processor"),
]


def figure(app: AppTest, place: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(app.get("plotly_chart")[place].proto.spec)
    return found


def drawn(app: AppTest) -> set[str]:
    """The runs that stand for the points of the chart."""
    return {point[0] for trace in figure(app)["data"] for point in trace.get("customdata", ())}


def change(folder: Path, file: str, **values: object) -> None:
    found = json.loads((folder / file).read_text())
    for key, value in values.items():
        if isinstance(value, dict):
            found[key] = found.get(key, {}) | value
        else:
            found[key] = value
    (folder / file).write_text(json.dumps(found))


def test_filters_by_address(trained: Path, open_page: Open) -> None:
    for path in (trained / RUN, trained / "fashion_mnist-mlp-4-s1"):
        change(path, "config.json", alpha="layer")
    assert drawn(open_page(factors="p4")) == {RUN}
    assert drawn(open_page(alphas="layer")) == {
        RUN,
        "fashion_mnist-mlp-0-s0",
    }  # full precision has no alphas, and stays
    app = open_page(factors="fp32")
    app.button_group(key="factors").set_value(["binary", "p8"]).run()
    assert drawn(app) == {"fashion_mnist-mlp-1-s0", "fashion_mnist-mlp-8-s0"} and len(app.dataframe[0].value) == 4
    assert "frame[\"task\"] == 'fashion_mnist'" in app.code[0].value and "isin([1, 8])" in app.code[0].value


def test_scale_and_front(trained: Path, open_page: Open, add_run: Add) -> None:
    add_run(2, score=0.5)
    assert "fashion_mnist-mlp-2-s0" in drawn(open_page()) and "fashion_mnist-mlp-2-s0" not in drawn(
        open_page(front="true")
    )
    axis = figure(open_page(log="false"))["layout"]["xaxis"]
    assert axis["type"] == "linear" and axis["title"]["text"] == "Stored weights (bytes)"


def test_data_sets_are_never_on_one_front(trained: Path, open_page: Open, add_run: Add) -> None:
    path = add_run(16, score=0.99)
    change(path, "result.json", task={"source": "full set"})
    assert "fashion_mnist-mlp-16-s0" not in drawn(open_page())  # the set with most runs comes first
    app = open_page(data="full set")
    assert drawn(open_page(run="fashion_mnist-mlp-16-s0")) == {
        "fashion_mnist-mlp-16-s0"
    }  # a link to a run opens its data
    assert drawn(app) == {"fashion_mnist-mlp-16-s0"} and "shown[\"data_source\"] == 'full set'" in app.code[0].value


def test_another_score(open_page: Open, add_run: Add) -> None:
    add_run(4, score=0.5, kind="forecasting")
    app = open_page(task="beijing", score="MAE")
    assert figure(app)["layout"]["yaxis"]["title"]["text"].startswith("Test MAE")
    assert [note["text"] for note in figure(app)["layout"]["annotations"]] == ["↑ seasonal 0.6000, repeat last 0.6100"]
    assert app.dataframe[0].value["score"].tolist() == [0.5]


def test_networks_of_other_widths_stand_apart(trained: Path, open_page: Open) -> None:
    change(trained / "fashion_mnist-mlp-1-s1", "config.json", model_args={"hidden": [64]})
    app = open_page()
    assert {"fashion_mnist-mlp-1-s0", "fashion_mnist-mlp-1-s1"} <= drawn(app)
    assert app.dataframe[0].value.set_index("run").loc["fashion_mnist-mlp-1-s1", "setup"] == "hidden=[64]"


def test_no_run_passes(trained: Path, open_page: Open) -> None:
    app = open_page(factors="p8")
    change(trained / RUN, "config.json", alpha="layer")
    app.run()
    app.button_group(key="alphas").set_value(["layer"]).run()
    assert "No run passes the filters" in app.info[0].value and not app.error


def test_latency_is_measured_by_a_job(trained: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(
        "tbn.jobs.start", lambda folder, argv, kind, module: asked.append((folder.parent.name, argv, kind, module))
    )
    app = open_page(size="latency here")
    assert "**0 of the 8 runs**" in words(app) and not app.get("plotly_chart") and not app.error
    assert not [button for button in app.button if button.key == "measure"]  # none keeps weights
    (trained / RUN / "packed.safetensors").write_bytes(b"")
    app.run()
    app.button(key="measure").click().run()
    assert asked == [("jobs", ["latency", str(trained / RUN)], "measure", "tbn.measure")]
    record = {"median_ms": 0.25, "cpu": measured.cpu_name()}
    (trained / RUN / measured.LATENCY).write_text(json.dumps(record))
    app = open_page(size="latency here", run=RUN)
    assert (
        drawn(app) == {RUN}
        and figure(app)["layout"]["xaxis"]["title"]["text"] == "Latency of one input on this machine (ms, log axis)"
    )
    assert "**1 of the 8 runs** has a value" in words(
        app
    ) and "0.25 ms an input on one thread of this machine" in words(app)
    assert "with_measured(shown, board=None)" in app.code[0].value


def test_boards_by_address(trained: Path, open_page: Open) -> None:
    place = trained / RUN / "firmware" / "microbit"
    place.mkdir(parents=True)
    (place / "build.json").write_text(json.dumps({"flash_bytes": 9000, "ram_bytes": 2000, "precision": "integer"}))
    app = open_page(size="board flash", board="microbit")
    assert drawn(app) == {RUN} and "1 read from a built image, 0 predicted" in words(app)
    assert figure(app)["layout"]["xaxis"]["title"]["text"].startswith("Flash of the firmware on BBC micro:bit")
    assert "board flash: 9,000 B (linked)" in str(figure(app)["data"])
    app = open_page(size="board instructions", board="microbit")
    assert "**0 of the 8 runs**" in words(app) and not app.error
    (place / "report.json").write_text(json.dumps({"ticks": 52778, "tick_unit": "instructions"}))
    assert drawn(open_page(size="board instructions", board="microbit")) == {RUN}


def test_nonsense_in_the_address_is_left_out(trained: Path, open_page: Open) -> None:
    app = open_page(
        size="nonsense", board="nonsense", factors="p3", data="nonsense", score="nonsense", part="nonsense", run=RUN
    )
    assert not app.error and len(drawn(app)) == 4


@pytest.mark.parametrize(("part", "told"), PARTS)
def test_parts_of_the_panel_by_address(part: str, told: str, trained: Path, open_page: Open) -> None:
    app = open_page(run=RUN, part=part)
    assert told in words(app) and not app.error


def test_an_uploaded_run_says_so(trained: Path, open_page: Open) -> None:
    change(trained / RUN, "config.json", uploaded="mine.safetensors", alpha_source=None, min_layer_size=None)
    app = open_page(run=RUN, part="Setup")
    assert (
        "uploaded as `mine.safetensors`" in words(app)
        and not app.error
        and "source not known" in str(figure(app)["data"])
    )


def test_a_run_to_take_away(trained: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("tbn.jobs.start", lambda folder, argv, kind: asked.append((argv, kind)))
    (trained / RUN / "packed.safetensors").write_bytes(bytes(4052))
    app = open_page(run=RUN, part="Take away")
    assert [button.label for button in app.download_button if button.key == "packed_file"] == [
        "packed.safetensors, 4,052 B"
    ]
    app.button(key="write_onnx").click().run()
    app.button(key="write_c").click().run()
    run = str(trained / RUN)
    assert asked == [(["export", run, "--to", form, "--json"], "export") for form in ("onnx", "c")]
    (trained / RUN / "model.onnx").write_bytes(bytes(100))
    app = open_page(run=RUN, part="Take away")
    assert "model.onnx, 100 B" in [button.label for button in app.download_button]


def test_a_refused_export_is_a_sentence(trained: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    (trained / RUN / "packed.safetensors").write_bytes(b"")
    (trained / "jobs").write_text("a file in the way")
    app = open_page(run=RUN, part="Take away")
    app.button(key="write_c").click().run()
    assert "cannot make a job's folder" in app.error[0].value.lower() or "Cannot make a job" in app.error[0].value
    assert not jobs.every(runs.runs_root())
