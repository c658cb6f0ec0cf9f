"""Charts of sweeps: drawn from real storages whose outcomes are made up."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tbn import sweep_charts, sweep_words
from tbn.charts import COLOURS, alt_text
from tbn.errors import TBNError
from tbn.sweep import Range, Sweep, aggregate, status
from tbn.sweep.desk import Desk
from tbn.sweep.trial import Outcome


def tried(
    folder: Path, values: Any = lambda p, width, seed: (0.9 - p / 50 + seed / 100, 4000.0 * width / p), **changes: Any
) -> pd.DataFrame:
    """The trials of a sweep, each told its outcome."""
    usual = {
        "space": {"p": (1, 4), "model_args.width": (8, 16)},
        "fixed": {"epochs": 1},
        "seeds": 2,
        "storage": str(folder / "s.db"),
    }
    sweep = Sweep("digits", "cnn", **(usual | changes))
    desk = Desk.open(sweep, folder)
    while (trial := desk.claim("test")) is not None:
        told = values(trial.params.get("p", 4), trial.params.get("model_args.width", 8), trial.seed)
        desk.tell(trial, Outcome(tuple(told)[: len(sweep.objectives)], seconds=1.0, train_seconds=0.5))
    return status(sweep.storage, sweep.name)


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return tried(tmp_path_factory.mktemp("sweep"))


def test_the_front_has_a_point_a_mark_in_the_colour_of_its_method(trials: pd.DataFrame) -> None:
    points = aggregate(trials)
    figure = sweep_charts.front(points)
    marks = {trace.name: trace for trace in figure.data if "markers" in trace.mode}
    assert set(marks) == {"binary", "tiled"} and marks["binary"].marker.color == COLOURS["binary"]
    for name, p in (("binary", 1), ("tiled", 4)):  # each mark stands where its own point is
        rows = points[points["p"] == p].sort_values(["on_front", "weight_bytes"], ascending=[False, True])
        assert list(marks[name].x) == list(rows["weight_bytes"]) and list(marks[name].y) == pytest.approx(
            list(100 * rows["score"])
        )
        assert [data[0] for data in marks[name].customdata] == list(rows["point"])
        assert list(marks[name].error_y.array) == pytest.approx(list(100 * rows["score_std"]))
    assert (
        figure.layout.yaxis.title.text == "Test accuracy (%)" and "bytes, log2 axis" in figure.layout.xaxis.title.text
    )
    assert "p = 4" in "".join(marks["tiled"].text) and "mean of 2 seeds" in marks["tiled"].customdata[0][1]
    assert "against Stored weights (bytes) of 4 points" in alt_text(figure) and "82.50 %" in alt_text(figure)


def test_equal_sizes_do_not_put_one_word_on_another(tmp_path: Path) -> None:
    """Three of the front at nearly the same size and score, and one far from them."""
    said = {8: (0.5, 500.0)}
    found = tried(
        tmp_path, lambda p, width, seed: said.get(p, (0.9 - p / 5000, 4000.0 - p)), space={"p": (1, 2, 4, 8)}, seeds=1
    )
    figure = sweep_charts.front(aggregate(found))
    places = [
        (side, word)
        for trace in figure.data
        if "markers" in trace.mode
        for side, word in zip(trace.textposition, trace.text, strict=True)
        if word and word != "p = 8"
    ]
    assert len(places) == len(dict(places)) == 3


def test_parallel_coordinates_have_what_differs_and_up_is_better(trials: pd.DataFrame) -> None:
    points = aggregate(trials)
    figure = sweep_charts.parallel(points)
    titles = [note.text for note in figure.layout.annotations if note.y > 1]
    assert titles == ["p", "width", "<b>Accuracy</b>", "<b>Stored weights</b><br>(bytes)"]
    assert sweep_words.differing(points) == ["p", "model_args.width"]
    lines = {trace.customdata[0][0]: trace.y for trace in figure.data if trace.customdata is not None}
    assert len(lines) == len(points)
    best, least = points.set_index("point")["score"].idxmax(), points.set_index("point")["weight_bytes"].idxmin()
    assert lines[best][2] == 1.0 and lines[least][3] == 1.0
    assert all(0 <= y <= 1 for line in lines.values() for y in line)
    assert "4 points of a sweep as lines over p, width" in alt_text(figure)


def test_the_history_is_in_the_order_of_time_with_the_best_so_far(trials: pd.DataFrame) -> None:
    figure = sweep_charts.history(trials)
    best = figure.data[0]
    assert best.name == "best so far" and list(best.y) == sorted(best.y) and len(best.x) == len(trials)
    assert "8 finished trials" in alt_text(figure) and "the best 89.00 %" in alt_text(figure)


def test_an_error_is_better_when_small_and_many_values_get_a_scale(tmp_path: Path) -> None:
    found = tried(
        tmp_path, lambda p, width, seed: (0.1 * p,), space={"lr": Range(1e-4, 1e-1, log=True)}, method="random", trials=12, seeds=1,
        fixed={"epochs": 1, "p": 1}, objectives=("score",),
    )  # fmt: skip
    points = aggregate(found)
    figure = sweep_charts.parallel(points)
    lines = {trace.customdata[0][0]: trace.y[0] for trace in figure.data if trace.customdata is not None}
    order = points.sort_values("lr")["point"]
    heights = [lines[point] for point in order]
    assert heights == sorted(heights) and heights[0] == 0 and heights[-1] == 1  # by the logarithm
    assert {trace.line.color for trace in figure.data} == {COLOURS["binary"]}  # p is set, not varied
    with pytest.raises(TBNError, match="one objective has no front"):
        sweep_charts.front(points)


def test_boards_and_forecasts_have_their_words(tmp_path: Path) -> None:
    sweep = Sweep(
        "beijing",
        "forecaster_mlp",
        {"p": (1, 4)},
        objectives=("score", "flash:pico", "latency", "macs"),
        storage=str(tmp_path / "s.db"),
    )
    frame = pd.DataFrame()
    frame.attrs = {"sweep": sweep, "directions": sweep.directions}
    aims = sweep_words.objectives_of(frame)
    assert [aim.words for aim in aims] == [
        "Test MSE (standardised data)", "Flash of the firmware on pico (bytes)", "Latency of one input (ms)",
        "Computed multiply-adds of one input (MACs)"
    ]  # fmt: skip
    assert (
        not aims[0].maximise
        and aims[0].text(0.5) == "0.5000"
        and aims[1].text(2048) == "2,048 B"
        and aims[2].text(0.25) == "0.25 ms"
    )


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    sweep = Sweep("digits", "mlp", {"p": (1, 4)}, storage=str(tmp_path / "s.db"))
    Desk.open(sweep, tmp_path)
    waiting = status(sweep.storage, sweep.name)
    for draw, frame in (
        (sweep_charts.front, aggregate(waiting)),
        (sweep_charts.parallel, aggregate(waiting)),
        (sweep_charts.history, waiting),
    ):
        with pytest.raises(TBNError, match="no trial has a result yet"):
            draw(frame)
