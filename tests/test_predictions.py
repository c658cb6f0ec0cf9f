"""Predictions of a test set: they score what the run's result says, come back from the cache without torch, and are drawn for every kind."""

import base64
import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tbn import comparing, prediction_charts, predictions, runs, sample_pictures
from tbn.charts import alt_text
from tbn.errors import TBNError
from tbn.marks import Network
from tbn.predictions import predict
from tbn.restore import deployed_model, logits_of, task_of
from tbn.tasks import IGNORED

KINDS = {
    "images": "fashion_mnist-mlp-p4-s0",
    "segmentation": "earthcover-unet-p4-s0",
    "points": "sweethome-pointnet_cls-p4-s0",
    "parts": "kicad_parts-pointnet_part-p4-s0",
    "scenes": "composed_rooms-pointnet_sem-p4-s0",
    "forecasting": "beijing-forecaster_mlp-p4-s0",
}


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """A cache of this module's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TBN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def zoo():
    """Run folders of small trained networks."""
    return {
        name: runs.find(run).path
        for name, run in (("tiled", "fashion_mnist-mlp-p4-s0"), ("fp32", "fashion_mnist-mlp-fp32-s0"))
    }


@pytest.fixture(scope="module")
def found(cache):
    """Predictions of a zoo entry of every kind."""
    return {kind: predict(run) for kind, run in KINDS.items()}


def mean_iou(table):
    union = table.sum(0) + table.sum(1) - table.diagonal()
    return (table.diagonal()[union > 0] / union[union > 0]).mean()


def instance_iou(one):
    ious = []
    for answer, truth, category in zip(one.answers, one.targets, one.inputs[:, 3, 0].round().astype(int), strict=True):
        counted, parts = truth != IGNORED, one.categories[category][1]
        pairs = [((answer == part) & counted, (truth == part) & counted) for part in parts]
        ious.append(np.mean([(a & b).sum() / (a | b).sum() if (a | b).any() else 1.0 for a, b in pairs]))
    return np.mean(ious)


SCORES = {
    "images": lambda one: one.per_sample.mean(),
    "points": lambda one: one.per_sample.mean(),
    "segmentation": lambda one: mean_iou(prediction_charts.counts(one)),
    "scenes": lambda one: mean_iou(prediction_charts.counts(one)),
    "parts": instance_iou,
    "forecasting": lambda one: np.nanmean(np.square(one.outputs - one.targets)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_they_score_what_the_result_says(kind, found):
    one, result = found[kind], runs.find(KINDS[kind]).result
    assert one.kind == kind and len(one) == one.total == len(one.targets) and one.answers.shape == one.targets.shape
    # the result was made on another processor: a pixel in a thousand may fall otherwise
    assert SCORES[kind](one) == pytest.approx(result["metrics"][result["task"]["metric"]], rel=3e-3)


@pytest.mark.parametrize(("name", "engine"), [("tiled", "packed"), ("fp32", "latent")])
def test_the_outputs_are_the_networks(name, engine, zoo):
    run = runs.Run(zoo[name])
    one = predict(run.path, count=50)
    assert one.engine == engine and list(one.indices[[0, -1]]) == [0, 999] and len(one) == 50
    whole = logits_of(deployed_model(run), task_of(run))
    np.testing.assert_allclose(one.outputs, whole[one.indices], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(one.probabilities.sum(1), 1)
    if engine == "packed":
        np.testing.assert_allclose(predict(run, 50, "native").outputs, one.outputs, rtol=1e-3, atol=1e-3)


def test_a_second_call_needs_no_torch(zoo):
    first = predict(zoo["tiled"])
    code = f"""import sys
from tbn.predictions import predict
found = predict({str(zoo["tiled"])!r})
assert "torch" not in sys.modules
print(found.outputs.sum())"""
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert float(told) == pytest.approx(float(first.outputs.sum()), abs=1e-2)


def test_new_weights_are_asked_again_and_a_damaged_cache_is_made_again(zoo, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(zoo["tiled"], run)
    true = predict(run).outputs
    (kept,) = [file for file in _cached() if np.array_equal(np.load(file)["outputs"], true)][-1:]
    np.savez(kept, indices=np.arange(1000), outputs=np.zeros_like(true))
    assert not predict(run).outputs.any(), "read from the cache"
    kept.write_bytes(kept.read_bytes()[:100])
    np.testing.assert_array_equal(predict(run).outputs, true)
    np.savez(kept, indices=np.arange(1000), outputs=np.zeros_like(true))
    os.utime(run / "packed.safetensors", ns=(1, 1))
    np.testing.assert_array_equal(predict(run).outputs, true)


def _cached():
    from tbn.export.run import cache_root

    return sorted((cache_root() / "predictions").glob("*.npz"), key=lambda file: file.stat().st_mtime)


def test_the_cache_stays_within_its_bytes(zoo, tmp_path, monkeypatch):
    monkeypatch.setenv("TBN_CACHE", str(tmp_path))
    monkeypatch.setattr(predictions, "CACHED", 3000)
    for count in (20, 21, 22, 23):
        predict(zoo["tiled"], count)
    assert len(_cached()) < 4 and sum(file.stat().st_size for file in _cached()) <= 3000


def test_bad_input_says_what_to_do(zoo, tmp_path):
    with pytest.raises(TBNError, match="engine 'magic' is not one of packed, latent, native; use packed"):
        predict(zoo["tiled"], engine="magic")
    with pytest.raises(TBNError, match="count=0 leaves no test sample"):
        predict(zoo["tiled"], count=0)
    shutil.copytree(zoo["tiled"], tmp_path / "run")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    result["task"]["source"] = "full set of another planet"
    (tmp_path / "run" / "result.json").write_text(json.dumps(result))
    with pytest.raises(TBNError, match="was trained on the full set of another planet.*bring the data back"):
        predict(tmp_path / "run")
    (tmp_path / "run" / "packed.safetensors").unlink()
    with pytest.raises(TBNError, match=r"keeps no packed.safetensors, so nothing can be predicted; train it again"):
        predict(tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    with pytest.raises(TBNError, match="not complete"):
        predict(tmp_path / "run")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "forecasting"])
def test_confusion(kind, found):
    one = found[kind]
    table = prediction_charts.counts(one)
    rng = np.random.default_rng(0)
    for _ in range(20):  # any cell is what counting by hand gives
        i, j = rng.integers(len(one.classes), size=2)
        assert table[i, j] == ((one.targets == i) & (one.answers == j)).sum()
    assert table.sum() == (one.targets < len(one.classes)).sum()
    figure = prediction_charts.overview(one)
    assert figure.data[0].type == "heatmap" and f"Confusion of {len(one.classes)} classes" in alt_text(figure)
    assert np.allclose(np.asarray(figure.data[0].z).sum(1)[table.sum(1) > 0], 100)


def test_many_classes_are_thinned_to_the_most_confused():
    truth = np.arange(120) % 60
    said = np.where(truth < 5, truth + 1, truth)
    one = predictions.Predictions(
        "a", "t", "images", "packed", "s", "c", np.zeros((120, 1, 2, 2), np.uint8), truth, np.eye(60, dtype=np.float32)[said],
        tuple(f"class {k}" for k in range(60)), np.arange(120), 120,
    )  # fmt: skip
    figure = prediction_charts.confusion(one)
    assert len(figure.data[0].x) == 40 and {f"class {k}" for k in range(6)} <= set(figure.data[0].x)
    assert "91.7% of 120 images right" in alt_text(figure)


def test_a_forecast_has_errors_by_step(found):
    one = found["forecasting"]
    with pytest.raises(TBNError, match="no classes to confuse; use forecast_errors"):
        prediction_charts.confusion(one)
    figure = prediction_charts.overview(one)
    error = np.square(one.outputs - one.targets)
    assert (
        np.allclose(figure.data[0].y, np.nanmean(error, axis=(0, 2)), atol=1e-5)
        and len(figure.data[0].y) == one.targets.shape[1]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_is_drawn_for_two_networks(kind, found):
    one = found[kind]
    other = replace(one, run="other", outputs=np.roll(one.outputs, 1, 0))
    networks = [Network("A · tiled"), Network("B · fp32", "fp32", 1)]
    panels = prediction_charts.sample([one, other], 2, networks, 1)
    assert all(alt_text(panel.figure) for panel in panels)
    pictures = {"images": 2, "points": 2, "segmentation": 4, "parts": 3, "scenes": 3, "forecasting": 1}
    assert len(panels) == pictures[kind] and panels[-1].wide == (kind in ("images", "points", "forecasting"))
    if kind in ("images", "points"):
        bars = panels[-1].figure.data
        assert [bar.name for bar in bars] == ["A · tiled", "B · fp32"] and bars[1].marker.pattern.shape == "/"
        shown = [tick.removesuffix(" ✓") for tick in bars[0].y]
        assert shown[0] == one.classes[one.targets[2]][:16]
        assert bars[0].x[0] == pytest.approx(100 * one.probabilities[2, one.targets[2]])
    elif kind == "forecasting":
        lines = {line.name: np.asarray(line.y) for line in panels[0].figure.data}
        assert np.array_equal(lines["B · fp32"], one.outputs[1][:, 1]) and np.array_equal(
            lines["truth"], one.targets[2][:, 1], equal_nan=True
        )
        seen = one.inputs[2]
        assert np.array_equal(np.isnan(lines["input"]), seen[:, len(one.classes) + 1] == 0), "gaps are gaps, not zeros"
    else:
        assert panels[-2].title == f"A · tiled: {(one.answers[2] == one.targets[2]).mean():.1%} right"
    if kind in ("parts", "scenes"):
        crosses = sum(len(trace.x) for trace in panels[-1].figure.data if trace.marker.symbol == "cross")
        assert crosses == (other.answers[2] != other.targets[2]).sum()
        assert sum(len(trace.x) for trace in panels[0].figure.data if trace.name is None) == one.targets.shape[1]
        there = {*np.unique(one.targets[2]), *np.unique(one.answers[2]), *np.unique(other.answers[2])}
        assert {trace.name for trace in panels[0].figure.data} - {None} == {
            one.classes[k] for k in there if k != IGNORED
        }


def test_a_row_of_a_table_is_drawn_as_bars(found):
    one = replace(found["images"], inputs=found["images"].inputs.reshape(1000, 1, 1, 784))
    bars = sample_pictures.image(one, 3).data[0]
    assert bars.type == "bar" and np.array_equal(bars.y, one.inputs[3].ravel())


def test_wrong_pixels_are_opaque(found):
    one = found["segmentation"]
    place = int(np.argmin(one.per_sample))
    figure = sample_pictures.overlay(one, place, one.answers[place], "a network")
    with Image.open(io.BytesIO(base64.b64decode(figure.data[0].source.partition(",")[2]))) as image:
        drawn = np.asarray(image)
    wrong = one.answers[place] != one.targets[place]
    colour = np.array([sample_pictures._rgb(k) for k in range(len(one.classes))])[one.answers[place]]
    assert np.array_equal(drawn[wrong], colour[wrong]) and not np.array_equal(drawn[~wrong], colour[~wrong])
    assert f"{wrong.mean():.1%} of it is wrong" in alt_text(figure)


def test_samples_of_different_sets_are_refused(found):
    with pytest.raises(TBNError, match="asked about different samples"):
        prediction_charts.sample([found["images"], found["points"]])
    with pytest.raises(TBNError, match="no sample 1000; choose 0 to 999"):
        prediction_charts.sample([found["images"]], 1000)
    with pytest.raises(TBNError, match="were tested on different data"):
        comparing.aligned([found["images"], found["points"]])


def test_orders_and_agreement(found):
    one = found["images"]
    outputs = one.outputs.copy()
    outputs[:30] = 0
    outputs[np.arange(30), one.targets[:30]] = 1  # the other has the first thirty right
    other = replace(one, outputs=outputs)
    assert np.array_equal(comparing.order([one, other], "test set"), np.arange(1000))
    apart = comparing.order([one, other], "they differ")
    assert set(apart) == {k for k in range(30) if one.answers[k] != one.targets[k]}
    merit = one.per_sample + other.per_sample
    hardest = comparing.order([one, other], "hardest")
    assert (np.diff(merit[hardest]) >= 0).all() and sorted(hardest) == list(range(1000))
    row = comparing.agreement([one, other]).iloc[0]
    assert row["same"] == 1 - len(apart) / 1000 and row["only_first"] == 0 and row["only_second"] == len(apart) / 1000
    forecasts = [found["forecasting"], replace(found["forecasting"], outputs=found["forecasting"].outputs + 1)]
    assert comparing.agreement(forecasts).empty and len(comparing.order(forecasts, "they differ")) == len(forecasts[0])
    worst = comparing.order(forecasts[:1], "hardest")[0]
    assert forecasts[0].per_sample[worst] == np.nanmax(forecasts[0].per_sample)
    with pytest.raises(TBNError, match="no order 'best'; choose one of test set"):
        comparing.order([one], "best")


def test_alignment_takes_the_common_samples(zoo):
    few, many = predict(zoo["tiled"], 10), predict(zoo["tiled"])
    a, b = comparing.aligned([few, many])
    assert np.array_equal(a.indices, b.indices) and len(a) == 10 and np.array_equal(a.outputs, b.outputs)
