"""Charts of a budget search, drawn from an answer as ``tbn fit --task --json`` prints it."""

import pytest

from tbn import budget_charts
from tbn.charts import COLOURS, alt_text

ROWS = [
    {
        "model_args": {"width": 16},
        "layers": {"conv1": 1, "conv2": 8},
        "bytes": 3100,
        "uniform": False,
        "score": 0.91,
        "trainings": 3,
    },
    {
        "model_args": {"width": 8},
        "layers": {"conv1": 2, "conv2": 2},
        "bytes": 2900,
        "uniform": True,
        "score": 0.88,
        "trainings": 1,
    },
]


def test_candidates_by_bytes_and_score_the_solver_s_apart_from_the_uniform() -> None:
    figure = budget_charts.candidates(ROWS, budget=3200)
    solver, uniform = figure.data
    assert (list(solver.x), list(solver.y), list(uniform.x)) == ([3100], [0.91], [2900])
    assert solver.marker.size[0] > uniform.marker.size[0] and solver.marker.symbol != uniform.marker.symbol
    assert figure.layout.shapes[0].x0 == 3200
    assert (
        alt_text(figure)
        == "Bytes and held-out score of 2 networks under the budget; the best is width 16, p = 1, 8 with 3,100 B."
    )


def test_each_layer_s_factor_in_the_colour_of_its_method() -> None:
    figure = budget_charts.layers(ROWS[0]["layers"], {"conv2": 0.0125})
    (bars,) = figure.data
    assert list(bars.y) == ["conv1", "conv2"] and list(bars.x) == [1, 8]
    assert list(bars.marker.color) == [COLOURS["binary"], COLOURS["tiled"]]
    assert (
        list(bars.customdata) == ["not measured", "0.0125"]
        and alt_text(figure) == "Tiling factor of each layer: conv1 binary; conv2 p = 8."
    )


@pytest.mark.parametrize(
    ("row", "text"),
    [(ROWS[0], "width 16, p = 1, 8"), (ROWS[1], "width 8, p = 2"), ({"model_args": {}, "layers": {"fc": 1}}, "binary")],
)
def test_a_network_in_words(row: dict, text: str) -> None:
    assert budget_charts.described(row) == text
