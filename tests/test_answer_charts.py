"""A board's answer beside the float model's: both are drawn, the truth is marked, and the words say who is wrong."""

import numpy as np

from tbn import answer_charts
from tbn.charts import COLOURS, alt_text

NAMES = tuple(f"class {k}" for k in range(20))


def shares(*largest: int) -> np.ndarray:
    found = np.full(20, 0.001, np.float32)
    for place, k in enumerate(largest):
        found[k] = 0.5 / (place + 1)
    return found


def test_both_answers_are_drawn() -> None:
    figure = answer_charts.classes(NAMES, {"the board": shares(3, 4), "the float model": shares(5)}, 5, "binary")
    board, model = figure.data
    assert (board.name, model.name) == ("the board", "the float model")
    drawn = dict(zip(board.y, board.x, strict=True))
    assert drawn["class 3"] == 50 and len(drawn) == answer_charts.SHOWN and "✓ class 5" in drawn
    assert (
        board.marker.color == model.marker.color == COLOURS["binary"]
        and board.marker.pattern.shape != model.marker.pattern.shape
    )
    assert (
        alt_text(figure)
        == "It is class 5. the board says class 3, 50%, which is wrong; the float model says class 5, 50%."
    )


def test_the_truth_is_there_even_if_nobody_thought_of_it() -> None:
    figure = answer_charts.classes(NAMES, {"the board": shares(*range(12))}, 19)
    assert figure.data[0].y[-1] == "✓ class 19" and len(figure.data[0].y) == answer_charts.SHOWN


def test_a_drawing_has_no_truth() -> None:
    figure = answer_charts.classes(NAMES[:3], {"the board": np.array([0.1, 0.7, 0.2], np.float32)})
    assert list(figure.data[0].y) == list(NAMES[:3]) and alt_text(figure) == "the board says class 1, 70%."
