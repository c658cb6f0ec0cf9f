"""The tile: alphas by hand, the numbers that the formula in the browser gets, and playing."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tbn import toy

PAGE = "pages/learn/tile.py"
Open = Callable[..., AppTest]


def test_alphas_by_hand(folder: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(PAGE, rows="4", columns="6", p="3", steps="2", alpha_size="0.5")
    state = toy.play(4, 6, 3, steps=2, alpha=0.5)[-1]
    assert "steps=2, lr=0.1, alpha=0.5)" in app.code[0].value
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    exec(app.code[0].value, {})  # what is copied runs
    drawing = next(block for block in app.get("bidi_component") if block.proto.id.endswith("drawing_fold"))
    assert (folder / "tile.svg").read_text() == json.loads(drawing.proto.json)
    told = next(caption.value for caption in app.caption if caption.value.startswith("By hand all alphas are 0.5."))
    assert ", ".join(f"{alpha:.2f}" for alpha in state.best_alphas) + " would be nearest to the target." in told
    app.select_slider(key="alpha_size").set_value("learned").run()
    assert not app.error and "alpha=" not in app.code[0].value


def test_the_formula_has_the_numbers_of_the_pictures(folder: Path, open_page: Open) -> None:
    app = open_page(PAGE, rows="4", columns="6", p="3", steps="1", alpha_kind="one a layer")
    state = toy.play(4, 6, 3, "layer", steps=1)[-1]
    (formula,) = (block for block in app.get("bidi_component") if block.proto.component_name == "tbn_formula")
    given = json.loads(formula.proto.json)
    assert given["p"] == 3 and given["q"] == 8 and given["columns"] == 6 and len(given["alphas"]) == 1
    assert (
        np.allclose(given["blocks"], state.blocks)
        and np.allclose(given["sums"], state.sums)
        and given["tile"] == state.tile.tolist()
    )


def test_playing_takes_a_step_a_tick_until_it_is_stopped(folder: Path, open_page: Open) -> None:
    app = open_page(PAGE)
    app.toggle(key="playing").set_value(True).run()
    assert app.number_input(key="steps").value == 0, "the page itself takes no step"
    app.session_state["next_steps"] = 1  # what the clock leaves
    app.run()
    assert app.number_input(key="steps").value == 1 and "steps=1" in app.code[0].value
    app.session_state["next_steps"] = 2
    app.button(key="again").click().run()
    assert app.number_input(key="steps").value == 0 and not app.toggle(key="playing").value, (
        "a tick under way does not come back"
    )


@pytest.mark.parametrize("p", ["1", "24"])
def test_all_factors_are_drawn(p: str, folder: Path, open_page: Open) -> None:
    app = open_page(PAGE, rows="8", columns="6", p=p)
    assert app.select_slider(key="p").value == int(p) and not app.error
