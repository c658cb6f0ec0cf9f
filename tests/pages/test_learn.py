"""The Learn pages: choices from the address, steps by button, errors as sentences, and no data needed."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tbn import learn_charts, toy
from tbn.cli import main
from tbn.scores import KINDS

Open = Callable[..., AppTest]


def figures(app: AppTest) -> list[dict[str, Any]]:
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def words(app: AppTest) -> str:
    return "\n".join(str(element.value) for kind in (app.markdown, app.caption, app.error) for element in kind)


def test_the_tile_by_address_and_by_steps(folder: Path, open_page: Open) -> None:
    app = open_page("pages/learn/tile.py", rows="4", columns="6", p="3", steps="5", seed="2")
    assert not app.error and not app.exception
    state = toy.play(4, 6, 3, seed=2, steps=5)[-1]
    drawings = [block.proto for block in app.get("bidi_component") if block.proto.component_name == "tbn_drawing"]
    assert [json.loads(proto.json) for proto in drawings] == [
        draw(state).svg for draw in (learn_charts.latent_figure, learn_charts.fold_figure, learn_charts.tiled_figure)
    ]
    assert "toy.play(4, 6, p=3, per='tile', seed=2, steps=5, lr=0.1)" in app.code[0].value
    assert f"Stored: {24 // 3} bits of tile and 96 of alphas instead of 768 bits" in words(app)
    app.button(key="ten").click().run()
    assert app.number_input(key="steps").value == 15 and "steps=15" in app.code[0].value
    app.button(key="again").click().run()
    assert app.number_input(key="steps").value == 0
    app.slider(key="rows").set_value(7).run()
    assert not app.error and not app.exception, "3 divides 42 as well"
    app.slider(key="columns").set_value(1).run()
    assert not app.error and not app.exception and app.select_slider(key="p").value in (1, 7), (
        "7 weights have two factors"
    )


def test_straight_through(folder: Path, open_page: Open) -> None:
    app = open_page("pages/learn/straight_through.py", p="8", rest="-1.0", gradient="0.5")
    assert not app.error and not app.exception
    assert "toy.straight_through(p=8, rest=-1.0, gradient=0.5)" in app.code[0].value
    app.select_slider(key="p").set_value(1).run()
    assert app.slider(key="rest").disabled and "rest=0.0" in app.code[0].value


def test_sizes_are_those_of_the_command(folder: Path, open_page: Open, capsys: pytest.CaptureFixture[str]) -> None:
    app = open_page("pages/learn/sizes.py", task="fashion_mnist", model="mlp", p="8")
    assert not app.error and not app.exception
    with pytest.raises(SystemExit):
        main([*app.code[1].value.split()[1:], "--json"])
    told = json.loads(capsys.readouterr().out)
    assert {metric.label: metric.value for metric in app.metric} == {
        "fp32": "397.0 KiB", "Tiles and alphas": "1,764 B", "Bits a weight": f"{told['bits_per_weight']:.3g}", "Biases, norms": "0 B",
        "Multiply-adds": f"{told['macs_dense'] / told['macs_computed']:.2f}x fewer",
    }  # fmt: skip
    assert list(app.dataframe[0].value["bytes"]) == [layer["bytes"] for layer in told["layers"]]
    app.text_input(key="own").set_value("fc1=16").run()
    assert list(app.dataframe[0].value["p"]) == [16, 1]
    app.segmented_control(key="alpha").set_value("layer").run()
    with pytest.raises(SystemExit):
        main([*shlex.split(app.code[1].value)[1:], "--json"])
    told = json.loads(capsys.readouterr().out)
    assert [(layer["p"], layer["alpha_bits"]) for layer in told["layers"]] == [(16, 32), (1, 32)]
    assert list(app.dataframe[0].value["bits"]) == [layer["weight_bits"] for layer in told["layers"]]
    app.text_input(key="own").set_value("fc1").run()
    assert "write PATTERN=P" in app.error[0].value


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_of_every_kind(kind: str, folder: Path, open_page: Open) -> None:
    task = {"images": "digits", "segmentation": "earthcover", "points": "sweethome", "parts": "kicad_parts", "scenes": "composed_rooms",
            "forecasting": "beijing"}[kind]  # fmt: skip
    app = open_page("pages/learn/sizes.py", task=task)
    assert not app.error and not app.exception and len(app.dataframe[0].value) > 1


def test_a_factor_that_tiles_nothing_is_a_sentence(folder: Path, open_page: Open) -> None:
    app = open_page("pages/learn/sizes.py", task="digits", model="mlp", min_layer_size="10000000")
    assert "tiles nothing" in app.error[0].value and "What to do" in app.error[0].value
