"""Points of a space, and what is written on the command line."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbn.errors import TBNError
from tbn.sweep import Range
from tbn.sweep.space import checked, grid, parse, random, size

CHOICES = st.lists(st.integers(0, 50), min_size=1, max_size=4, unique=True).map(tuple)
FINITE = st.dictionaries(st.sampled_from(["p", "epochs", "lr"]), CHOICES, min_size=1)


@given(FINITE)
def test_a_grid_has_every_point_once(space):
    points = list(grid(space))
    assert len(points) == size(space) == len({tuple(point.items()) for point in points})
    assert all(point[name] in values for point in points for name, values in space.items())


@given(FINITE, st.integers(0, 9))
def test_random_points_differ_and_end_where_the_space_ends(space, seed):
    points = [tuple(point.items()) for point in random(space, seed)]
    assert len(set(points)) == len(points) == size(space)


def test_random_points_begin_alike():
    space = {"lr": Range(1e-4, 1e-2, log=True), "p": (1, 2), "width": Range(8, 64, whole=True)}
    few, many = (list(itertools.islice(random(space, 3), count)) for count in (5, 40))
    assert many[:5] == few and size(space) is None
    assert few != list(itertools.islice(random(space, 4), 5))
    for point in many:
        assert 1e-4 <= point["lr"] <= 1e-2 and isinstance(point["width"], int) and 8 <= point["width"] <= 64
    assert sum(point["lr"] < 1e-3 for point in many) > 10, (
        "a logarithmic range draws small numbers as often as large ones"
    )


@pytest.mark.parametrize(
    ("text", "values"),
    [("1,2,4", (1, 2, 4)), ("0.5", (0.5,)), ("tile,layer", ("tile", "layer")), ("true,false", (True, False)),
     ("[64,32];[32,32]", ([64, 32], [32, 32])), ("[64,32],[32]", ([64, 32], [32])),
     ("1e-4..1e-2:log", Range(1e-4, 1e-2, log=True)), ("8..64", Range(8, 64, whole=True)), ("0.1..0.9", Range(0.1, 0.9))],
)  # fmt: skip
def test_values_as_they_are_written(text, values):
    assert parse("x", text) == values


@pytest.mark.parametrize(
    ("text", "words"),
    [("1,,2", "leaves a value out"), ("a..b", "is not a range"), ("1..2:cubic", "is not a range"), ("2..1", "is empty"),
     ("0..1:log", "cannot begin at 0"), ("[64],[32", "not one list or more")],
)  # fmt: skip
def test_bad_values_are_told(text, words):
    with pytest.raises(TBNError, match=words):
        parse("x", text)


@pytest.mark.parametrize(
    ("space", "words"),
    [({"p": ()}, "the space is empty: 'p' has no values"), ({"p": 4}, "not a list"), ({"p": (1, 1)}, "has the value 1 twice"),
     ({"p": (object(),)}, "cannot be a value"), ({"p": (float("nan"),)}, "cannot be a value"), ({"alpha": "tile"}, "not a list")],
)  # fmt: skip
def test_bad_spaces_are_told(space, words):
    with pytest.raises(TBNError, match=words):
        checked(space)


def test_a_grid_takes_no_range():
    with pytest.raises(TBNError, match="'lr' is a range, and a grid takes single values; list values"):
        next(grid({"lr": Range(0.1, 0.2)}))
