"""Curves and signals: what is drawn is what was written down, and what a log axis cannot show is still there."""

from typing import Any

import pandas as pd
import pytest

from tbn import charts, training_charts

METRICS = pd.DataFrame(
    {
        "epoch": [1, 2],
        "train_loss": [2.0, 1.0],
        "test_loss": [2.1, 1.5],
        "train_accuracy": [0.1, 0.5],
        "test_accuracy": [0.2, 0.4],
        "train_mse": [0.9, 0.6],
        "test_mse": [0.8, 0.7],
    }
)
METHODS = {"fc1": "tiled", "head": "binary"}


def layer(flip_ratio: float, balance: float, alphas: list[int], low: float, high: float) -> dict[str, Any]:
    return {"flip_ratio": flip_ratio, "balance": balance, "alphas": alphas, "alpha_low": low, "alpha_high": high}


@pytest.fixture
def signals() -> list[dict[str, Any]]:
    wide = [1, *[0] * 14, 3]
    return [
        {"epoch": 1, "layers": {"fc1": layer(0.02, 0.1, wide, 0.1, 0.5), "head": layer(0.01, -0.3, [1], 0.2, 0.2)}},
        {"epoch": 2, "layers": {"fc1": layer(0.004, 0.05, wide, 0.2, 0.6), "head": layer(0.0, -0.2, [1], 0.3, 0.3)}},
    ]


def test_curves() -> None:
    figure = training_charts.curves(METRICS, "accuracy", "binary")
    assert [trace.name for trace in figure.data] == ["test", "train"] and list(figure.data[0].y) == [20, 40]
    assert figure.data[0].line.color == charts.COLOURS["binary"] and figure.data[1].line.dash == "dash"
    assert figure.layout.yaxis.title.text == "Accuracy (%)"
    assert (
        charts.alt_text(figure) == "Accuracy over 2 epochs; in the last: test accuracy 40.00 %, train accuracy 50.00 %."
    )


def test_curves_of_an_error_and_of_the_loss_are_not_in_percent() -> None:
    figure = training_charts.curves(METRICS, "mse")
    assert list(figure.data[0].y) == [0.8, 0.7] and figure.layout.yaxis.title.text == "MSE (standardised data)"
    assert charts.alt_text(figure).endswith("test MSE 0.7000, train MSE 0.6000.")
    assert training_charts.curves(METRICS, "loss").layout.yaxis.title.text == "Loss"


def test_curves_before_the_first_epoch() -> None:
    for what in ("loss", "mean_iou"):
        assert "nothing yet" in charts.alt_text(training_charts.curves(METRICS.iloc[:0], what))
    assert "nothing yet" in charts.alt_text(training_charts.curves(pd.DataFrame(), "loss"))


def test_flips(signals: list[dict[str, Any]]) -> None:
    figure = training_charts.flips(signals, METHODS)
    first, head = figure.data
    assert figure.layout.yaxis.type == "log" and [trace.name for trace in figure.data] == ["fc1", "head"]
    assert list(first.x) == [1, 2] and list(first.y) == [0.02, 0.004] and "markers" in first.mode
    assert first.line.color.startswith("rgba(43, 135, 209") and head.line.color.startswith("rgba(217, 96, 26")
    assert "fc1 2.00% to 0.40%, head 1.00% to 0.00%" in charts.alt_text(figure)


def test_an_epoch_without_a_flip_is_drawn_at_the_foot_of_the_log_axis(signals: list[dict[str, Any]]) -> None:
    head = training_charts.flips(signals, METHODS).data[1]
    assert list(head.marker.symbol) == ["circle", "triangle-down-open"]
    assert 0 < head.y[1] < 0.004 and head.customdata[1].startswith("0.000%")
    for line in signals:
        for values in line["layers"].values():
            values["flip_ratio"] = 0.0
    assert all(y > 0 for trace in training_charts.flips(signals, METHODS).data for y in trace.y)


def test_balance(signals: list[dict[str, Any]]) -> None:
    figure = training_charts.balance(signals, METHODS)
    assert list(figure.data[1].y) == [-0.3, -0.2] and figure.layout.yaxis.type != "log"
    assert "farthest from 0: head with -0.300" in charts.alt_text(figure)


def test_alphas_of_the_last_epoch(signals: list[dict[str, Any]]) -> None:
    figure = training_charts.alphas(signals, METHODS)
    tiled, binary = figure.data
    assert list(tiled.y) == ["fc1"] * 2 and list(tiled.base) == pytest.approx(
        [0.2, 0.575]
    )  # the first and the last of 16 bins
    assert list(tiled.x) == pytest.approx([0.025] * 2) and [text[:6] for text in tiled.customdata] == [
        "1 of 4",
        "3 of 4",
    ]
    assert tiled.marker.color[0] != tiled.marker.color[1] == "rgba(43, 135, 209, 1.00)"
    assert binary.base[0] < 0.3 < binary.base[0] + binary.x[0]  # one alpha still has a width
    assert charts.alt_text(figure) == "Alphas after epoch 2: fc1 4 from 0.2 to 0.6; head 1 from 0.3 to 0.3."


def test_many_layers_have_no_legend(signals: list[dict[str, Any]]) -> None:
    assert training_charts.flips(signals, METHODS).layout.showlegend
    for line in signals:
        line["layers"] = {f"layer{k}": line["layers"]["fc1"] for k in range(50)}
    figure = training_charts.flips(signals, {})
    assert not figure.layout.showlegend and len({trace.line.color for trace in figure.data}) > 20
