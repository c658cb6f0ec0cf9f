"""Charts: the numbers drawn are the numbers given, colours keep their meaning, and every figure says itself in words."""

import math
from typing import Any

import pandas as pd
import pytest

from tbn import charts


def run(p: int, seed: int, accuracy: float | None, size: int, model: str = "mlp", **more: Any) -> dict[str, Any]:
    tiled = (
        {"alpha": "tile", "alpha_source": "separate", "min_layer_size": 64000}
        if p
        else {"alpha": None, "alpha_source": None, "min_layer_size": 0}
    )
    return {
        "run": f"{model}-p{p}-s{seed}", "task": "digits", "model": model, "method": charts.method_of(p), "p": p, "seed": seed, "epochs": 2,
        "accuracy": accuracy, "weight_bytes": size, "bits_per_weight": 32 * size / 406528, "total_bytes": size, "compression": 406528 / size,
        "data_source": "embedded", "date": "2026-11-23", **tiled, **more,
    }  # fmt: skip


@pytest.fixture
def runs() -> pd.DataFrame:
    return pd.DataFrame(
        [run(0, 0, 0.90, 406528), run(1, 0, 0.80, 12712), run(4, 1, 0.84, 3316), run(4, 0, 0.82, 3316), run(8, 0, None, 1764),
         run(2, 0, 0.70, 6452), run(4, 0, 0.95, 9000, "cnn")]
    )  # fmt: skip


def test_seeds_become_one_configuration(runs: pd.DataFrame) -> None:
    found = charts.configurations(runs).set_index("run")
    assert len(found) == 5 and "mlp-p8-s0" not in found.index  # no accuracy, no point
    four = found.loc["mlp-p4-s0"]  # the smallest seed stands for the configuration
    assert (
        four["seeds"] == 2
        and math.isclose(four["accuracy"], 0.83)
        and math.isclose(four["accuracy_std"], 0.02 / math.sqrt(2))
    )
    assert math.isnan(found.loc["mlp-p1-s0"]["accuracy_std"])


def test_a_seed_trained_again_is_no_second_seed(runs: pd.DataFrame) -> None:
    again = pd.DataFrame([run(1, 0, 0.6, 12712, run="again", date="2026-11-24")])
    found = charts.configurations(pd.concat([runs, again])).set_index("run")
    assert found.loc["again", "seeds"] == 1 and found.loc["again", "accuracy"] == 0.6 and "mlp-p1-s0" not in found.index


@pytest.mark.parametrize("x", list(charts.X_AXES))
def test_tradeoff(runs: pd.DataFrame, x: str) -> None:
    figure = charts.tradeoff(runs, x)
    line, *traces = figure.data
    assert list(line.y) == sorted(line.y) and list(line.x) == sorted(line.x)
    drawn = {data[0]: (trace, place) for trace in traces for place, data in enumerate(trace.customdata)}
    assert set(drawn) == {"mlp-p0-s0", "mlp-p1-s0", "mlp-p4-s0", "mlp-p2-s0", "cnn-p4-s0"}
    for name, (trace, place) in drawn.items():
        row = runs.set_index("run").loc[name]
        assert trace.x[place] == row[x]
        assert trace.marker.color == charts.COLOURS[row["method"]]
        assert row["model"] in trace.customdata[place][1] and "bits a weight" in trace.customdata[place][1]
    trace, place = drawn["mlp-p4-s0"]
    assert math.isclose(trace.y[place], 83) and math.isclose(trace.error_y["array"][place], 100 * 0.02 / math.sqrt(2))
    opacity = {name: trace.marker.opacity[place] for name, (trace, place) in drawn.items()}
    assert opacity["mlp-p4-s0"] == opacity["cnn-p4-s0"] == 1 and opacity["mlp-p2-s0"] < 1 and opacity["mlp-p0-s0"] < 1
    assert "Pareto front: mlp p = 4 83.0%" in charts.alt_text(figure) and figure.layout.xaxis.type == "log"
    low, high = figure.layout.xaxis.range
    assert low < math.log10(runs[x][runs["accuracy"].notna()].min()) < math.log10(runs[x].max()) < high


def test_hover_holds_no_configuration_of_tiling_for_full_precision(runs: pd.DataFrame) -> None:
    words = {data[0]: data[1] for trace in charts.tradeoff(runs).data[1:] for data in trace.customdata}
    assert (
        "alpha per tile" in words["mlp-p4-s0"]
        and "122.6x smaller (0.008 of fp32)" in words["mlp-p4-s0"]
        and "2 seeds" in words["mlp-p4-s0"]
    )
    assert "alpha" not in words["mlp-p0-s0"] and "dominated" in words["mlp-p0-s0"]


def test_curves() -> None:
    metrics = pd.DataFrame(
        {
            "epoch": [1, 2],
            "train_loss": [2.0, 1.0],
            "test_loss": [2.1, 1.5],
            "train_accuracy": [0.1, 0.5],
            "test_accuracy": [0.2, 0.4],
        }
    )
    figure = charts.curves(metrics, "accuracy", "binary")
    assert [trace.name for trace in figure.data] == ["test", "train"] and list(figure.data[0].y) == [20, 40]
    assert figure.data[0].line.color == charts.COLOURS["binary"] and figure.data[1].line.dash == "dash"
    assert charts.alt_text(figure) == "Accuracy over 2 epochs; in the last: test accuracy 40, train accuracy 50."
    assert "nothing yet" in charts.alt_text(charts.curves(metrics.iloc[:0], "loss"))


def test_kernel_ratios() -> None:
    common = {
        "op": "linear",
        "baseline": "torch fp32 linear",
        "m": 4096,
        "n": 4096,
        "batch": 64,
        "median_us": 10.0,
        "repeats": 31,
    }
    rows = [
        {**common, "engine": e, "p": p, "baseline_us": 10 * r, "ratio": r}
        for e, p, r in (("once", 4, 3.5), ("once", 8, 7.0), ("memory", 4, 0.5))
    ]
    figure = charts.kernel_ratios(
        {
            "device": "cpu",
            "machine": "AMD",
            "date": "2026-11-23T01:02:03",
            "threads": 2,
            "versions": {"torch": "2"},
            "rows": rows,
        }
    )
    bars = {trace.name: trace for trace in figure.data if trace.type == "bar"}
    assert sorted(bars["once"].x) == [3.5, 7.0] and list(bars["memory"].x) == [0.5]
    assert "times as fast as torch fp32 linear" in figure.layout.xaxis.title.text.lower()
    assert "on AMD, measured 2026-11-23 with 2 threads, torch 2: from 0.50 to 7.00" in charts.alt_text(figure)


def test_words() -> None:
    assert [charts.label_of(p) for p in (0, 1, 4)] == ["fp32", "binary", "p = 4"]
    assert [charts.bytes_text(n) for n in (3316, 406528, 3 * 2**20)] == ["3,316 B", "397.0 KiB", "3.00 MiB"]
    assert charts.smaller_text(32) == "32.0x smaller (0.031 of fp32)"
