"""Laws of the Pareto front, and the cases that are easily got wrong."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbn.pareto import front

VALUES = st.one_of(st.integers(-4, 4).map(float), st.just(float("nan")))
FRAMES = st.lists(st.tuples(VALUES, VALUES), max_size=25).map(
    lambda rows: pd.DataFrame(rows, columns=["bytes", "accuracy"], dtype=float)
)


def by_definition(frame: pd.DataFrame, maximise: bool) -> list[bool]:
    sign = 1 if maximise else -1
    points = [(x, sign * y) for x, y in zip(frame["bytes"], frame["accuracy"], strict=True)]

    def beats(a: tuple[float, float], b: tuple[float, float]) -> bool:
        return a[0] <= b[0] and a[1] >= b[1] and a != b

    return [not np.isnan(point).any() and not any(beats(other, point) for other in points) for point in points]


@given(FRAMES, st.booleans())
def test_is_the_definition(frame: pd.DataFrame, maximise: bool) -> None:
    assert front(frame, "bytes", "accuracy", maximise).tolist() == by_definition(frame, maximise)


@given(FRAMES, st.randoms())
def test_order_of_rows_does_not_matter(frame: pd.DataFrame, random: object) -> None:
    order = list(range(len(frame)))
    random.shuffle(order)  # type: ignore[attr-defined]
    whole = front(frame, "bytes", "accuracy")
    assert front(frame.iloc[order], "bytes", "accuracy").sort_index().tolist() == whole.tolist()


@given(FRAMES)
def test_front_of_the_front_is_itself_and_someone_always_wins(frame: pd.DataFrame) -> None:
    winners = frame[front(frame, "bytes", "accuracy")]
    assert front(winners, "bytes", "accuracy").all()
    assert len(winners) > 0 or frame.isna().any(axis=1).all()


def test_ties_share_the_front_and_the_index_is_kept() -> None:
    frame = pd.DataFrame({"b": [10, 10, 10, 20], "a": [0.9, 0.9, 0.8, 0.9]}, index=["r1", "r2", "r3", "r4"])
    marked = front(frame, "b", "a")
    assert marked.to_dict() == {"r1": True, "r2": True, "r3": False, "r4": False}


def test_missing_values_are_never_on_the_front() -> None:
    frame = pd.DataFrame({"b": [1.0, None, float("inf"), 5.0], "a": [None, 0.99, 1.0, 0.5]})
    assert front(frame, "b", "a").tolist() == [False, False, False, True]
    assert front(frame.iloc[:0], "b", "a").empty


def test_a_missing_column_says_so() -> None:
    with pytest.raises(KeyError, match="bits"):
        front(pd.DataFrame({"b": [1]}), "bits", "b")
