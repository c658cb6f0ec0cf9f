"""A drawing becomes a sample: the data set's range, and MNIST's box and centre of mass."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbn import drawing
from tbn.errors import TBNError


def blob(top: int, left: int, height: int, width: int, side: int = 28) -> np.ndarray:
    picture = np.zeros((side, side), np.uint8)
    picture[top : top + height, left : left + width] = 255
    return picture


def test_the_range_of_the_data_set() -> None:
    picture = np.array([[0, 128], [255, 64]], np.uint8)
    assert drawing.prepare(picture).tolist() == [[[0, 128], [255, 64]]]
    assert drawing.prepare(picture, ink=16).tolist() == [[[0, 8], [16, 4]]]


@given(st.integers(0, 15), st.integers(0, 15), st.integers(2, 12), st.integers(2, 12))
def test_it_fills_the_box_and_its_mass_is_in_the_middle(top: int, left: int, height: int, width: int) -> None:
    found = drawing.prepare(blob(top, left, height, width), centred=True)[0].astype(float)
    rows, columns = np.flatnonzero(found.any(1)), np.flatnonzero(found.any(0))
    sides = (rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1)
    assert max(sides) == 20
    assert abs(sides[0] / sides[1] - height / width) < 0.15 * max(height / width, 1)
    for axis, size in ((1, 28), (0, 28)):
        mass = (found.sum(axis) * (np.arange(size) + 0.5)).sum() / found.sum()
        assert abs(mass - 14) <= 0.5


def test_where_it_was_drawn_and_how_large_does_not_matter() -> None:
    small, large = (drawing.prepare(blob(*at), centred=True) for at in ((0, 0, 5, 5), (8, 17, 10, 10)))
    assert np.array_equal(small, large)


def test_a_centred_picture_of_the_data_stays() -> None:
    """A bar of 20 pixels whose mass is in the middle is as MNIST makes it."""
    picture = blob(4, 12, 20, 4)
    assert np.array_equal(drawing.prepare(picture, centred=True)[0], picture)


def test_a_small_canvas() -> None:
    assert drawing.prepare(blob(0, 0, 2, 1, side=8), ink=16, centred=True).max() == 16


def test_nothing_drawn() -> None:
    assert not drawing.prepare(np.zeros((28, 28), np.uint8)).any()
    with pytest.raises(TBNError, match="nothing is drawn; draw something"):
        drawing.prepare(np.zeros((28, 28), np.uint8), centred=True)
    with pytest.raises(TBNError, match="no picture"):
        drawing.prepare(np.zeros(5, np.uint8))
