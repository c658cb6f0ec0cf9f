"""The charts of the zoo's analysis, on the zoo itself and on numbers whose answer is known."""

import pandas as pd
import pytest

from tbn import analysis_charts
from tbn.charts import alt_text
from tbn.zoo import results


@pytest.fixture(scope="module")
def rows():
    return results.entries()


@pytest.fixture(scope="module")
def versions(rows):
    return results.versions(rows)


def made_up(scores, metric="accuracy", family="one"):
    """Rows of ``results.versions``: version -> (p, rival_of, score, bytes)."""
    return pd.DataFrame([
        {"family": family, "model": "mlp", "version": version, "p": p, "rival_of": rival, "metric": metric, "score": score, "deviation": 0.01,
         "seeds": 3, "weight_bytes": size, "total_bytes": size + 10, "macs_computed": 8 * size, "bits_per_weight": size / 1000, "baseline": 0.1}
        for version, (p, rival, score, size) in scores.items()
    ])  # fmt: skip


ONE = made_up({
    "fp32": (0, 0, 0.9, 32_000), "binary": (1, 0, 0.8, 1_000), "p2": (2, 0, 0.7, 500), "p4": (4, 0, 0.5, 250), "narrow2": (1, 2, 0.75, 490),
    "narrow4": (1, 4, 0.6, 240), "p4-other": (4, 0, 0.99, 250),
})  # fmt: skip


@pytest.mark.parametrize("x", ["weight_bytes", "total_bytes", "macs_computed"])
def test_fronts_are_a_line_of_tiled_and_one_of_narrow_networks(x):
    figure = analysis_charts.fronts(ONE, x)
    tiled, narrow = figure.data
    assert list(tiled.y) == [80, 70, 50] and list(narrow.y) == [
        80,
        75,
        60,
    ]  # both begin at p = 1; other versions are none of them
    assert list(tiled.x) == list(ONE.set_index("version").loc[["binary", "p2", "p4"], x])
    assert list(tiled.error_y.array) == [1, 1, 1]
    assert figure.layout.shapes[0].y0 == 90 and "80.00 % at" in alt_text(figure)


def test_a_panel_for_each_family_with_rivals(versions):
    figure = analysis_charts.fronts(versions)
    families = len(analysis_charts.with_fronts(versions))
    assert len(figure.data) == 2 * families and sum(trace.showlegend for trace in figure.data) == 2
    low = [axis.range[0] for axis in figure.select_xaxes()]
    assert len(low) >= families


def test_equal_bytes_shows_each_pair_once(rows):
    pairs = results.rivals(rows)
    figure = analysis_charts.equal_bytes(pairs)
    assert sum(len(trace.y) for trace in figure.data) == len(pairs) > 0
    labels = [label for trace in figure.data for label in trace.y]
    assert len(set(labels)) == len(pairs)
    assert alt_text(figure).startswith("Tiled networks against narrower binary ones of the same bytes")


def test_differences_are_points_or_percent_of_the_error():
    pairs = pd.DataFrame({
        "family": ["a", "b"], "metric": ["accuracy", "mse"], "p": [4, 4], "tiled": [0.9, 0.45], "narrow": [0.88, 0.5], "difference": [0.02, 0.05],
        "spread": [0.01, 0.1], "verdict": ["tiled", "neither"], "tiled_weight_bytes": [10, 10], "narrow_weight_bytes": [9, 9],
    })  # fmt: skip
    figure = analysis_charts.equal_bytes(pairs)
    found = {trace.name: (trace.x[0], trace.error_x.array[0]) for trace in figure.data}
    assert found["tiled is better"] == pytest.approx((2, 1)) and found["within the spread"] == pytest.approx((10, 20))


def test_kept_gain():
    kept = analysis_charts.kept_gain(ONE).set_index("p")["kept"]
    assert kept.to_dict() == pytest.approx({1: 0.7 / 0.8, 2: 0.6 / 0.8, 4: 0.4 / 0.8})
    falling = made_up({"fp32": (0, 0, 0.5, 9), "binary": (1, 0, 0.75, 3)}, "mse").assign(baseline=1.0)
    assert analysis_charts.kept_gain(falling)["kept"].tolist() == [0.5]


def test_scaling_has_a_line_a_family_and_the_median(versions):
    figure = analysis_charts.scaling(versions)
    assert len(figure.data) == versions["family"].nunique() + 1
    middle = figure.data[-1]
    assert list(middle.text) == ["binary", "p = 2", "p = 4", "p = 8", "p = 16"], "half of the families have these"
    assert all(0 < y < 120 for y in middle.y)


def test_ablation_is_a_row_a_variant():
    figure = analysis_charts.ablation(ONE.assign(label=ONE["version"]))
    assert list(figure.data[0].y) == list(ONE["version"]) and figure.data[0].x[0] == 90


def test_empty_frames_are_empty_charts():
    empty = ONE[:0]
    assert len(analysis_charts.fronts(empty).data) == 0
    assert len(analysis_charts.ablation(empty.assign(label="")).data) == 0
    pairs = pd.DataFrame(columns=["family", "metric", "p", "tiled", "narrow", "difference", "spread", "verdict"])
    assert len(analysis_charts.equal_bytes(pairs).data) == 0
