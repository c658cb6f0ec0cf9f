"""Compare and Layers: choices from the address, differences, the same inputs through each run, the bits of a layer; with the zoo's real runs."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from pages.parts.compare_choice import beside, usual
from tbn import runs
from tbn.layer_views import views
from tbn.predictions import predict

COMPARE, LAYERS = "pages/explore/compare.py", "pages/explore/layers.py"
ZOO = Path(runs.__file__).parent / "zoo"
Open = Callable[..., AppTest]
Add = Callable[..., Path]


def words(app: AppTest) -> str:
    kinds = (app.subheader, app.markdown, app.caption, app.info, app.warning, app.error)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def alts(app: AppTest) -> list[str]:
    return [chart.proto.alt for chart in app.get("plotly_chart")]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which the networks of these tests have answered already, so that a page waits for no network."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TBN_CACHE", str(cache))
        for name in ("fashion_mnist-mlp-fp32-s0", "fashion_mnist-mlp-p4-s0", *usual(beijing())):
            predict(name)
    return cache


def beijing() -> pd.DataFrame:
    frame = runs.frame()
    return frame[frame["task"] == "beijing"]


@pytest.fixture
def zoo(folder: Path, asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's zoo, and no other run."""
    monkeypatch.setattr(runs, "zoo_root", lambda: ZOO)
    monkeypatch.setenv("TBN_CACHE", str(asked))


def test_two_runs_by_address(zoo: None, open_page: Open) -> None:
    app = open_page(COMPARE, runs="fashion_mnist-mlp-fp32-s0,fashion_mnist-mlp-p4-s0")
    assert not app.error and not app.warning
    assert app.multiselect(key="runs").value == ["fashion_mnist-mlp-fp32-s0", "fashion_mnist-mlp-p4-s0"]
    compared, settings = (frame.value for frame in app.dataframe[:2])
    assert list(compared[""]) == ["A · mlp, fp32", "B · mlp, p = 4"]
    assert list(compared["weights (bytes)"]) == [406528, 3316]
    assert "p" in list(settings["setting"]) and "task" not in list(settings["setting"])
    app.toggle(key="equal").set_value(True).run()
    assert "task" in list(app.dataframe[1].value["setting"])
    told = "\n".join(alts(app))
    assert "Accuracy against the epoch; on the test set in the last: A · mlp, fp32" in told
    assert "A · mlp, fp32 says" in told and told.count("Confusion of 10 classes") == 2
    assert "only B" in words(app) and "agree on" in words(app)
    assert "('fashion_mnist-mlp-fp32-s0', 'fashion_mnist-mlp-p4-s0')" in app.code[0].value
    exec(app.code[0].value.replace(".show()", ""), {})  # what is copied runs
    assert not any(text.startswith("Bytes of 2 layers") for text in alts(app)), "drawn when somebody opens it"
    app.session_state["by_layer"] = True
    app.run()
    assert any(text.startswith("Bytes of 2 layers in 2 networks") for text in alts(app)) and not app.error
    app.segmented_control(key="samples_by").set_value("they differ").run()
    says = next(text for text in alts(app) if text.startswith("Truth: "))
    answers = [part.split(" says ")[1].split(" (")[0] for part in says.split(". ", 1)[1].split("; ")]
    assert answers[0] != answers[1], "a sample on which they differ"
    app.number_input(key="sample").set_value(3).run()
    assert says not in alts(app) and not app.error


def test_a_forecast_of_a_channel_and_the_usual_choice(zoo: None, open_page: Open) -> None:
    app = open_page(COMPARE, task="beijing")
    assert len(app.multiselect(key="runs").value) == 3, (
        "full precision, binary and tiled are there before anybody chose"
    )
    app.selectbox(key="channel").select_index(1).run()
    channel = app.selectbox(key="channel").value
    assert not app.error and any(text.startswith(f"{channel}: 96 steps seen") for text in alts(app))
    assert any(text.startswith("Mean squared error against the step") for text in alts(app))
    app.multiselect(key="runs").set_value([]).run()
    assert "Choose 2 more runs" in words(app) and not app.error


def test_fake_runs_keep_no_weights_and_say_so(trained: Path, open_page: Open) -> None:
    app = open_page(COMPARE, runs="fashion_mnist-mlp-4-s0,fashion_mnist-mlp-4-s1,nonsense")
    assert "There is no run `nonsense`" in app.warning[0].value and not app.error
    assert list(app.dataframe[0].value[""]) == ["A · mlp, p = 4, seed 0", "B · mlp, p = 4, seed 1"]
    assert list(app.dataframe[1].value["setting"]) == ["seed"]
    assert "keeps no packed.safetensors" in app.info[0].value and "**What to do:**" in app.info[0].value


def test_runs_of_another_task_and_too_many(trained: Path, open_page: Open, add_run: Add) -> None:
    add_run(4, task="digits")
    app = open_page(COMPARE, runs="digits-mlp-4-s0,fashion_mnist-mlp-4-s0", task="fashion_mnist")
    assert "of different tasks do not compare" in app.warning[0].value
    assert app.multiselect(key="runs").value == ["fashion_mnist-mlp-4-s0", "fashion_mnist-mlp-0-s0"], (
        "with its full-precision sister"
    )
    app.multiselect(key="runs").set_value(["fashion_mnist-mlp-4-s0"]).run()
    assert app.multiselect(key="runs").value == ["fashion_mnist-mlp-4-s0"] and "Choose 1 more run above" in words(app)
    ids = ",".join(f"fashion_mnist-mlp-{p}-s{seed}" for p in (1, 4, 8) for seed in (0, 1))
    app = open_page(COMPARE, runs=ids)
    assert "the first 4 are shown" in app.warning[0].value and len(app.dataframe[0].value) == 4


def test_nothing_and_one_run(folder: Path, open_page: Open, add_run: Add) -> None:
    assert "nothing to compare" in words(open_page(COMPARE)) and "no layers to look at" in words(open_page(LAYERS))
    add_run(4)
    app = open_page(COMPARE)
    assert "only one finished run" in words(app) and not app.error


def test_layers_by_address(zoo: None, open_page: Open) -> None:
    app = open_page(LAYERS, run="fashion_mnist-cnn-p4-s0", layer="conv4")
    assert not app.error and not app.warning
    assert app.subheader[0].value == "conv4, 128x128x3x3, p = 4, of cnn, p = 4"
    view = next(view for view in views(runs.find("fashion_mnist-cnn-p4-s0")) if view.name == "conv4")
    assert f"{view.distinct_rows} of 128 rows have signs of their own" in words(app)
    assert any(text.startswith("The tile of conv4: 36,864 bits in 32 rows of 1,152") for text in alts(app))
    flips = next(
        json.loads(chart.proto.spec) for chart in app.get("plotly_chart") if "signs that flipped" in chart.proto.alt
    )
    assert len(flips["data"]) == 1 and len(flips["data"][0]["customdata"]) == 20
    app.segmented_control(key="scope").set_value("all layers").run()
    flips = next(
        json.loads(chart.proto.spec) for chart in app.get("plotly_chart") if "signs that flipped" in chart.proto.alt
    )
    assert len(flips["data"]) == 5
    table = app.dataframe[0].value.set_index("name")
    assert table.loc["conv4", "q"] == 36864 and table.loc["conv4", "bytes"] == 4624
    app.selectbox(key="layer").select("conv1").run()
    assert app.subheader[0].value.startswith("conv1, ") and not app.error
    exec(app.code[0].value.replace(".show()", ""), {})


def test_layers_of_a_full_precision_run_and_of_one_without_weights(zoo: None, open_page: Open, add_run: Add) -> None:
    app = open_page(LAYERS, run="fashion_mnist-mlp-fp32-s0", layer="nonsense")
    assert "no layer `nonsense`" in app.warning[0].value and not app.error
    assert "in full precision and has no tile" in words(app) and "No signals: full precision" in words(app)
    add_run(4)
    app = open_page(LAYERS, run="fashion_mnist-mlp-4-s0")
    assert "keeps no packed.safetensors" in app.error[0].value and "What to do" in app.error[0].value


def test_what_is_compared_at_first_was_tested_on_the_same_data(trained: Path) -> None:
    frame = runs.frame(trained, zoo=False)
    assert usual(frame) == [f"fashion_mnist-mlp-{p}-s0" for p in (0, 1, 4)]
    frame.loc[frame["p"] == 0, "data_source"] = "full set, 60,000 training and 10,000 test images"
    assert usual(frame) == [f"fashion_mnist-mlp-{p}-s0" for p in (1, 4)]
    assert beside(frame, "fashion_mnist-mlp-8-s1") == ["fashion_mnist-mlp-1-s1"]
    assert beside(frame, "fashion_mnist-mlp-0-s1") == ["fashion_mnist-mlp-0-s0"], "nothing else is of its data"
