"""Words beside marks: none lies on another in a narrow window or a wide one, and a word without a place is left out."""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbn.labels import LETTER, LINE, SIDES, SIZES, placed

LOG = {"type": "log", "range": [3.0, 6.0]}


def boxes(table: pd.DataFrame, x: Any, y: Any, size: Any) -> list[tuple[float, float, float, float]]:
    """Left, right, bottom and top of each word, in a plot of ``size`` pixels; ``x`` and ``y`` are shares of it."""
    found = []
    for text, side, left, up in zip(table["text"], table["side"], x, y, strict=True):
        if text:
            (right, above), half = SIDES[side], LETTER * len(text) / 2
            middle = left * size[0] + right * (half + 9.75), up * size[1] + above * (LINE / 2 + 9.75)
            found.append((middle[0] - half, middle[0] + half, middle[1] - LINE / 2, middle[1] + LINE / 2))
    return found


def overlapping(found: list[tuple[float, float, float, float]]) -> int:
    """Pairs of boxes that share ground, by more than a rounding error."""
    return sum(
        min(a[1], b[1]) - max(a[0], b[0]) > 1e-6 and min(a[3], b[3]) - max(a[2], b[2]) > 1e-6
        for a, b in combinations(found, 2)
    )


def table_of(x: list[float], y: list[float], words: list[str], front: list[bool] | None = None) -> pd.DataFrame:
    across, up = pd.Series(10.0 ** (3 + 3 * np.array(x))), pd.Series(y)
    on_front = pd.Series(front if front is not None else [True] * len(x), dtype=bool)
    return placed(across, up, 0 * up, pd.Series(words), on_front, LOG, (0.5 - 0.5 / 1.12, 0.5 + 0.5 / 1.12))


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.06, 0.94), st.booleans()), min_size=1, max_size=12), st.data())
def test_no_word_lies_on_another_at_any_size(places: list[tuple[float, float, bool]], data: st.DataObject) -> None:
    x, y, front = (list(part) for part in zip(*places, strict=True))
    words = data.draw(st.lists(st.sampled_from(["", "fp32", "binary", "p = 16"]), min_size=len(x), max_size=len(x)))
    table = table_of(x, y, words, front)
    assert all(text in ("", word) for text, word in zip(table["text"], words, strict=True))
    for size in SIZES:
        assert overlapping(boxes(table, x, y, size)) == 0
    first = min(range(len(x)), key=lambda k: (not words[k], not front[k], x[k]))
    assert table["text"][first] == words[first]  # nothing is in its way


def test_a_word_keeps_off_marks_and_inside() -> None:
    alone = table_of([0.5], [0.5], ["p = 4"])
    assert list(alone["side"]) == ["bottom right"]
    assert list(table_of([1.0], [0.5], ["p = 4"])["side"]) == ["top left"]
    crowded = table_of([0.5, 0.55, 0.53], [0.5, 0.44, 0.47], ["p = 4", "", ""])
    assert crowded["side"].iloc[0] == "top left"


def test_the_front_chooses_first_and_what_has_no_place_is_left_out() -> None:
    many = table_of([0.5] * 9, [0.5] * 9, ["binary"] * 9, [False] * 8 + [True])
    assert many["text"][8] == "binary" and 2 <= (many["text"] != "").sum() < 9


@pytest.mark.parametrize("axis", [{}, {"type": "linear", "rangemode": "tozero"}])
def test_axes_that_plotly_scales_itself(axis: dict[str, Any]) -> None:
    """One mark, or marks at one height, have no extent."""
    one, flat = pd.Series([3.0]), pd.Series([1.0, 1.0, 1.0])
    for across, up in ((one, one), (pd.Series([1.0, 2.0, 3.0]), flat), (flat, flat)):
        words, yes = pd.Series(["p = 4"] * len(up)), pd.Series([True] * len(up))
        found = placed(across, up, up * np.nan, words, yes, axis)
        assert list(found["text"]) == list(words) and list(found.index) == list(up.index)
