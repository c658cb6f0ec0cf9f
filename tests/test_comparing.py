"""Runs beside each other: settings that differ, and the charts that overlay them."""

import subprocess
import sys

import numpy as np

from tbn import compare_charts, comparing, runs
from tbn.charts import alt_text
from tbn.marks import Network

IDS = ("fashion_mnist-cnn-fp32-s0", "fashion_mnist-cnn-p4-s0", "fashion_mnist-cnn-p8-s0")


def test_differences_put_what_differs_first():
    found = [runs.find(name) for name in IDS]
    table = comparing.differences([run.config for run in found], [run.result for run in found]).set_index("setting")
    assert list(table.columns) == ["A", "B", "C", "equal"]
    assert list(table.loc["p", ["A", "B", "C"]]) == ["0", "4", "8"] and not table.loc["p", "equal"]
    assert table.loc["task", "equal"] and table.loc["task", "A"] == "fashion_mnist"
    first = list(table["equal"])[: len(comparing.flat(found[0].config))]
    assert table.loc["lr", "A"] == str(found[0].config["lr"])
    assert first == sorted(first), "of the settings, those that differ come first"
    assert "cpu" in table.index and "commit" in table.index


def test_nested_settings_and_missing_ones():
    table = comparing.differences(
        [{"p": 4, "model_args": {"width": 16}, "exclude": []}, {"p": 4, "lr": 0.1, "limit": None}]
    ).set_index("setting")
    assert list(table.index) == ["model_args.width", "lr", "p", "limit"]
    assert list(table.loc["model_args.width", ["A", "B"]]) == ["16", "-"] and table.loc["limit", "equal"]


def test_overlaid_curves_and_sizes():
    found = [runs.find(name) for name in IDS]
    networks = [
        Network("A · cnn, fp32", "fp32"),
        Network("B · cnn, p = 4", "tiled", 1),
        Network("C · cnn, p = 8", "tiled", 2),
    ]
    metrics = [run.metrics() for run in found]
    figure = compare_charts.curves(metrics, networks, "accuracy")
    assert len(figure.data) == 6 and [line.showlegend for line in figure.data] == [False, True] * 3
    assert np.allclose(figure.data[3].y, 100 * metrics[1]["test_accuracy"])
    assert (
        figure.data[3].line.color == figure.data[5].line.color and figure.data[3].line.dash != figure.data[5].line.dash
    )
    assert "B · cnn, p = 4 86.00 %" in alt_text(figure)
    sizes = [run.result["size"] for run in found]
    bars = compare_charts.sizes(sizes, networks)
    assert list(bars.data[1].x) == [9456, 5704, 15160] and "9,456 B of weights" in alt_text(bars)
    layers = compare_charts.layers(sizes, networks)
    assert list(layers.data[2].x) == [layer["bytes"] for layer in sizes[2]["layers"]]
    nothing = compare_charts.curves([metrics[0].iloc[:0]], networks[:1], "accuracy")
    assert not nothing.data and "nothing yet" in alt_text(nothing)


def test_pages_that_compare_need_no_torch():
    modules = (
        "tbn.predictions, tbn.prediction_charts, tbn.comparing, tbn.compare_charts, tbn.layer_views, tbn.layer_charts"
    )
    subprocess.run([sys.executable, "-c", f"import sys, {modules}; assert 'torch' not in sys.modules"], check=True)
