"""Charts: the numbers drawn are the numbers given, colours keep their meaning, and every figure says itself in words."""

import math
from itertools import combinations
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest

from tbn import charts
from tbn.errors import TBNError
from tbn.run_rows import COLUMNS


def run(p: int, seed: int, score: float | None, size: int, model: str = "mlp", **more: Any) -> dict[str, Any]:
    tiled = (
        {"alpha": "tile", "alpha_source": "separate", "min_layer_size": 64000}
        if p
        else {"alpha": None, "alpha_source": None, "min_layer_size": 0}
    )
    return {
        "run": f"{model}-p{p}-s{seed}", "task": "digits", "model": model, "method": charts.method_of(p), "p": p, "seed": seed, "epochs": 2,
        "metric": "accuracy", "score": score,
        "weight_bytes": size, "bits_per_weight": 32 * size / 406528, "total_bytes": size, "compression": 406528 / size,
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
    assert len(found) == 5 and "mlp-p8-s0" not in found.index  # no score, no point
    four = found.loc["mlp-p4-s0"]  # the smallest seed stands for the configuration
    assert (
        four["seeds"] == 2
        and math.isclose(four["score"], 0.83)
        and math.isclose(four["score_std"], 0.02 / math.sqrt(2))
    )
    assert math.isnan(found.loc["mlp-p1-s0"]["score_std"])


def test_a_seed_trained_again_is_no_second_seed(runs: pd.DataFrame) -> None:
    again = pd.DataFrame([run(1, 0, 0.6, 12712, run="again", date="2026-11-24")])
    found = charts.configurations(pd.concat([runs, again])).set_index("run")
    assert found.loc["again", "seeds"] == 1 and found.loc["again", "score"] == 0.6 and "mlp-p1-s0" not in found.index


@pytest.mark.parametrize("x", ["weight_bytes", "bits_per_weight", "total_bytes"])
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
    assert "Pareto front: mlp p = 4 83.00 %" in charts.alt_text(figure) and figure.layout.xaxis.type == "log"
    low, high = figure.layout.xaxis.range
    assert low < math.log10(runs[x][runs["score"].notna()].min()) < math.log10(runs[x].max()) < high


def test_hover_holds_no_configuration_of_tiling_for_full_precision(runs: pd.DataFrame) -> None:
    words = {data[0]: data[1] for trace in charts.tradeoff(runs).data[1:] for data in trace.customdata}
    assert (
        "alpha per tile" in words["mlp-p4-s0"]
        and "122.6x smaller (0.008 of fp32)" in words["mlp-p4-s0"]
        and "2 seeds" in words["mlp-p4-s0"]
    )
    assert "alpha" not in words["mlp-p0-s0"] and "dominated" in words["mlp-p0-s0"]


@pytest.fixture
def forecasts() -> pd.DataFrame:
    """Runs whose score is an error: the smaller the better. p = 8 is beaten by p = 4, binary by fp32 in score only."""
    common = {"task": "beijing", "metric": "mse", "model": "forecaster_mlp"}
    return pd.DataFrame(
        [run(0, 0, 0.48, 400_000, **common), run(1, 0, 0.52, 12_500, **common), run(4, 0, 0.50, 3_200, **common), run(4, 1, 0.54, 3_200, **common),
         run(8, 0, 0.70, 3_300, **common), run(16, 0, 0.90, 1_000, **common)]
    )  # fmt: skip


def test_an_error_is_best_when_small(forecasts: pd.DataFrame) -> None:
    figure = charts.tradeoff(forecasts)
    assert figure.layout.yaxis.title.text == "Test MSE (standardised data), lower is better"
    line, *traces = figure.data
    assert list(line.x) == [1_000, 3_200, 400_000] and list(line.y) == pytest.approx(
        [0.90, 0.52, 0.48]
    )  # not in percent
    opacity = {data[0]: trace.marker.opacity[i] for trace in traces for i, data in enumerate(trace.customdata)}
    assert {name for name, value in opacity.items() if value < 1} == {"forecaster_mlp-p8-s0", "forecaster_mlp-p1-s0"}
    words = {data[0]: data[1] for trace in traces for data in trace.customdata}
    assert "MSE 0.5200 ± 0.0283 (mean of 2 seeds)" in words["forecaster_mlp-p4-s0"]
    told = charts.alt_text(figure)
    assert (
        told.startswith("Test MSE against stored weights of 5 configurations")
        and "p = 4 0.5200 at 3,200 B" in told
        and "%" not in told
    )


def test_front_is_of_the_metric(forecasts: pd.DataFrame) -> None:
    as_error = charts.front_of(charts.configurations(forecasts))
    as_share = charts.front_of(charts.configurations(forecasts.assign(metric="accuracy")))
    assert as_error.sum() == 3 and as_share.sum() == 1


def test_baselines_are_dashed_lines_and_far_ones_are_named_at_the_edge(forecasts: pd.DataFrame) -> None:
    figure = charts.tradeoff(forecasts, baselines={"repeat last": 0.852, "seasonal": 9.5})
    (line,) = figure.layout.shapes
    assert line.y0 == line.y1 == 0.852 and line.line.dash == "dash"
    assert [note.text for note in figure.layout.annotations] == ["repeat last 0.8520", "↑ seasonal 9.5000"]
    assert "Trivial baselines: repeat last 0.8520; seasonal 9.5000." in charts.alt_text(figure)
    assert "baseline" not in charts.alt_text(charts.tradeoff(forecasts))


def test_a_baseline_keeps_equal_scores_in_proportion(forecasts: pd.DataFrame) -> None:
    level = forecasts.assign(score=[0.5040, 0.5034, 0.5041, 0.5043, 0.5046, 0.5044])
    (line,) = charts.tradeoff(level, baselines={"linear": 0.5429, "repeat last": 0.8649}).layout.shapes
    assert line.y0 == 0.5429


def test_baselines_of_a_share_are_in_percent(runs: pd.DataFrame) -> None:
    figure = charts.tradeoff(runs, baselines={"majority class": 0.1, "nearest mean": 0.65})
    assert [shape.y0 for shape in figure.layout.shapes] == [65]
    assert [note.text for note in figure.layout.annotations] == ["nearest mean 65.00 %", "↓ majority class 10.00 %"]


def test_runs_of_several_tasks_are_refused(runs: pd.DataFrame, forecasts: pd.DataFrame) -> None:
    for mixed in (pd.concat([runs, forecasts]), pd.concat([runs, runs.assign(task="mnist")])):
        with pytest.raises(TBNError, match="of 2 tasks .* choose the finished runs of one task"):
            charts.tradeoff(mixed)
    with pytest.raises(TBNError, match="no run has a score"):
        charts.tradeoff(runs.assign(score=None))


def test_other_axes_other_scores_and_the_front_alone(forecasts: pd.DataFrame) -> None:
    measured = forecasts.assign(
        latency_ms=[0.4, 0.2, None, 0.1, 0.3, 0.05], metrics=[{"mse": v, "mae": 1 - v} for v in forecasts["score"]]
    )
    figure = charts.tradeoff(measured, "latency_ms", y="mae", log=False, where="on this machine")
    assert (
        figure.layout.xaxis.title.text == "Latency of one input on this machine (ms)"
        and figure.layout.xaxis.type == "linear"
    )
    assert figure.layout.yaxis.title.text.startswith("Test MAE") and list(figure.data[0].x) == [0.05]
    drawn = {data[0]: data[1] for trace in figure.data[1:] for data in trace.customdata}
    assert set(drawn) == set(forecasts["run"]) - {
        "forecaster_mlp-p4-s1"
    }  # a configuration has the latency of whichever seed was timed
    assert (
        "latency here: 0.1 ms" in drawn["forecaster_mlp-p4-s0"]
        and "MAE 0.4800 ± 0.0283" in drawn["forecaster_mlp-p4-s0"]
    )
    front = charts.tradeoff(forecasts, only_front=True)
    assert {data[0] for trace in front.data[1:] for data in trace.customdata} == {
        "forecaster_mlp-p0-s0", "forecaster_mlp-p4-s0", "forecaster_mlp-p16-s0"
    }  # fmt: skip
    with pytest.raises(TBNError, match="no run has a value for latency here"):
        charts.tradeoff(measured.assign(latency_ms=None), "latency_ms")


def test_networks_of_other_widths_are_other_configurations(runs: pd.DataFrame) -> None:
    narrow = pd.DataFrame([run(1, seed, 0.7, 6000, setup="hidden=[64]", fold=None) for seed in (0, 1)])
    found = charts.configurations(pd.concat([runs.assign(setup="", fold=None), narrow]))
    assert sorted(found.loc[found["p"] == 1, "seeds"]) == [1, 2] and len(found) == 6
    folds = pd.DataFrame([run(1, 0, 0.7 + fold / 10, 6000, setup="", fold=fold) for fold in range(4)])
    (merged,) = charts.configurations(folds).to_dict("records")
    assert merged["seeds"] == 4 and math.isclose(merged["score"], 0.85)


def test_what_tells_configurations_apart_is_in_the_frame_of_runs() -> None:
    """A name that the frame lacks would tell nothing apart, and say nothing."""
    assert set(charts.CONFIGURATION) <= set(COLUMNS)


def test_scores_in_words() -> None:
    assert charts.score_text("mean_iou", 0.595) == "59.50 %" and charts.score_text("mse", 0.5) == "0.5000"
    assert charts.score_text("loss", 1.23456) == "1.235"
    assert charts.score_text("mse", None) == charts.score_text("accuracy", math.nan) == "not measured"


def test_words() -> None:
    assert [charts.label_of(p) for p in (0, 1, 4)] == ["fp32", "binary", "p = 4"]
    assert [charts.bytes_text(n) for n in (3316, 406528, 3 * 2**20)] == ["3,316 B", "397.0 KiB", "3.00 MiB"]
    assert charts.smaller_text(32) == "32.0x smaller (0.031 of fp32)"


def test_a_crowd_is_labelled_on_its_front_only() -> None:
    crowd = pd.DataFrame(
        [run(4, 0, 0.5 + k / 100 * (-1) ** k, 1000 * (k + 1), f"model{k}") for k in range(charts.CROWD + 1)]
    )
    traces = [trace for trace in charts.tradeoff(crowd).data if trace.customdata is not None]
    merged = charts.configurations(crowd)
    front = set(merged["run"][charts.front_of(merged, "weight_bytes")])
    texts = [trace.text if trace.text is not None else [""] * len(trace.customdata) for trace in traces]
    pairs = zip(texts, traces, strict=True)
    labelled = {data[0] for text, trace in pairs for data, word in zip(trace.customdata, text, strict=True) if word}
    assert labelled == front and 0 < len(front) < len(crowd)
    figure = charts.tradeoff(crowd.iloc[:-1])
    assert all(text for trace in figure.data if trace.customdata is not None for text in trace.text)
    shown = [trace.name for trace in figure.data if trace.showlegend is not False]  # one entry a colour and one a model
    assert shown == ["Pareto front", "tiled", *sorted(f"model{k}" for k in range(charts.CROWD))]


def drawn_words(figure: go.Figure) -> dict[str, tuple[float, float, str]]:
    """Run -> x, y and side of the word beside its mark."""
    found = {}
    for trace in figure.data:
        if trace.customdata is None or trace.text is None:
            continue
        sides = trace.textposition
        for place, word in enumerate(trace.text):
            if word:
                side = sides if isinstance(sides, str) else sides[place]
                found[trace.customdata[place][0]] = (trace.x[place], trace.y[place], side)
    return found


def test_words_of_neighbours_do_not_lie_on_each_other() -> None:
    """The left end of Fashion-MNIST's front: five marks within a tenth of the axis, from 1.0 to 2.6 KiB, and fp32 far to the right."""
    close = [(16, 1007, 0.822, "mlp"), (4, 1598, 0.827, "convmixer"), (1, 1620, 0.8275, "mlp_mixer"), (8, 1764, 0.8365, "mlp"),
             (1, 2640, 0.858, "vgg_small"), (0, 940_000, 0.897, "cnn")]  # fmt: skip
    figure = charts.tradeoff(pd.DataFrame([run(p, 0, score, size, model) for p, size, score, model in close]))
    words = drawn_words(figure)
    assert len(words) >= 5  # of six
    low, high = figure.layout.xaxis.range
    for width, height in ((290, 240), (650, 310)):
        boxes = []
        for name, (x, y, side) in words.items():
            long = 6 * len(charts.label_of(int(name.split("-p")[1].split("-")[0])))
            right, up = 1 if "right" in side else -1, 1 if "top" in side else -1 if "bottom" in side else 0
            middle = (math.log10(x) - low) / (high - low) * width + right * (10 + long / 2)
            boxes.append((middle, (y - 82.2) / 7.5 / 1.12 * height + up * 16, long))
        for (x, y, long), (other, its, wide) in combinations(boxes, 2):
            assert abs(x - other) >= (long + wide) / 2 or abs(y - its) >= 12
