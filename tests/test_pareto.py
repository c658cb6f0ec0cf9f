"""Laws of the Pareto front, and the cases that are easily got wrong."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbn.pareto import front, hypervolume, knee, undominated

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


@given(FRAMES, st.booleans())
def test_undominated_on_two_axes_is_the_front(frame: pd.DataFrame, maximise: bool) -> None:
    marked = undominated(frame, {"bytes": False, "accuracy": maximise})
    assert marked.tolist() == front(frame, "bytes", "accuracy", maximise).tolist()


def test_a_third_axis_keeps_what_two_would_drop() -> None:
    frame = pd.DataFrame({"b": [1, 2, 3], "a": [0.9, 0.8, 0.7], "ms": [5.0, 4.0, 6.0]}, index=["x", "y", "z"])
    assert undominated(frame, {"b": False, "a": True}).to_dict() == {"x": True, "y": False, "z": False}
    assert undominated(frame, {"b": False, "a": True, "ms": False}).to_dict() == {"x": True, "y": True, "z": False}


GRID = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), max_size=8)


@given(GRID, st.booleans())
def test_hypervolume_counts_the_squares_that_are_covered(points: list[tuple[int, int]], maximise: bool) -> None:
    frame = pd.DataFrame(points, columns=["bytes", "y"], dtype=float)
    worst_y = 0.0 if maximise else 9.0
    covered = sum(
        any(x <= column and (y > row if maximise else y <= row) for x, y in points)
        for column in range(10)
        for row in range(9)
    )
    assert hypervolume(frame, "bytes", "y", 10, worst_y, maximise) == pytest.approx(covered)


@given(GRID, st.tuples(st.integers(1, 9), st.integers(0, 9)))
def test_hypervolume_never_shrinks_with_another_point(points: list[tuple[int, int]], more: tuple[int, int]) -> None:
    few, many = (pd.DataFrame(rows, columns=["b", "a"], dtype=float) for rows in (points, [*points, more]))
    assert hypervolume(many, "b", "a", 10, 0) >= hypervolume(few, "b", "a", 10, 0)


def test_hypervolume_in_doublings() -> None:
    frame = pd.DataFrame({"b": [1.0, 4.0], "a": [0.5, 1.0]})
    assert hypervolume(frame, "b", "a", 8, 0, log_x=True) == pytest.approx(2 * 0.5 + 1 * 1.0)
    assert hypervolume(frame, "b", "a", 0.5, 0) == hypervolume(frame, "b", "a", 8, 2) == 0.0


def test_the_knee_is_where_the_front_bends() -> None:
    frame = pd.DataFrame({"b": [1, 2, 3, 10, 5], "a": [0.1, 0.8, 0.85, 0.9, 0.2]}, index=list("pqrst"))
    assert knee(frame, "b", "a") == "q"
    assert knee(frame.assign(a=-frame["a"]), "b", "a", maximise_y=False) == "q"
    straight = pd.DataFrame({"b": [1, 2, 3], "a": [0.1, 0.2, 0.3]})
    assert knee(straight, "b", "a") is None and knee(frame.iloc[:2], "b", "a") is None
    doubling = pd.DataFrame({"b": [1, 2, 4, 64], "a": [0.0, 0.5, 0.6, 0.7]})
    assert knee(doubling, "b", "a", log_x=True) == 1
