"""The layers of a run as they are stored: numpy reads what torch packed, and the pictures show those bits."""

import shutil

import numpy as np
import pytest
import torch

import tbn
from kernels.orders import ORDERS
from tbn import layer_charts, runs
from tbn.artifact import load
from tbn.charts import alt_text
from tbn.errors import TBNError
from tbn.layer_views import DenseView, PackedView, views
from tbn.packed import PackedLayer


@pytest.mark.parametrize(
    "name", ["fashion_mnist-cnn-p4-s0", "appliances-forecaster_transformer-p8-s0", "fashion_mnist-mlp-binary-s0"]
)
def test_views_are_the_packed_layers(name):
    run = runs.find(name)
    packed = {
        key: layer
        for key, layer in load(run.path / "packed.safetensors").named_modules()
        if isinstance(layer, PackedLayer)
    }
    found = {view.name: view for view in views(run)}
    assert set(packed) <= set(found)
    for key, layer in packed.items():
        view = found[key]
        weight = layer.dense_weight().reshape(layer.weight_shape[0], -1).numpy()
        np.testing.assert_allclose(view.weight, weight)
        assert view.p == layer.p and view.shape == tuple(layer.weight_shape) and len(view.tile) * view.p == weight.size
        assert view.distinct_rows == len(np.unique(np.sign(weight), axis=0))
        assert (
            np.array_equal(view.grid.ravel()[: len(view.tile)], view.tile)
            and not view.grid.ravel()[len(view.tile) :].any()
        )


def test_full_precision_layers_are_their_weights():
    found = views(runs.find("fashion_mnist-mlp-fp32-s0"))
    assert [view.name for view in found] == ["fc1", "head"] and all(isinstance(view, DenseView) for view in found)
    assert found[0].weight.shape == (128, 784) and found[0].balance == pytest.approx(np.sign(found[0].weight).mean())
    figure = layer_charts.histogram(found[0])
    assert sum(figure.data[0].y) == 128 * 784 and "100,352 weights of fc1" in alt_text(figure)
    assert "in full precision" in alt_text(layer_charts.laid_back(found[0]))


def test_a_layer_left_dense_in_a_tiled_network(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(16, 8), torch.nn.Linear(8, 4))
    tbn.tile_(model, tbn.TilingConfig(p=2, min_layer_size=16, exclude=("1",)))
    folder = tmp_path / "run"
    folder.mkdir()
    tbn.save(tbn.freeze(model), folder / "packed.safetensors")
    (folder / "config.json").write_text('{"task": "digits", "model": "mlp", "p": 2}')
    (folder / "result.json").write_text(
        '{"size": {"layers": [{"name": "0", "shape": [8, 16]}, {"name": "1", "shape": [4, 8]}]}}'
    )
    tiled, dense = views(runs.Run(folder))
    assert isinstance(tiled, PackedView) and tiled.status == "tiled" and isinstance(dense, DenseView)
    np.testing.assert_array_equal(dense.weight, model[1].weight.detach().numpy())


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_is_laid_back(order, tmp_path):
    model = torch.nn.Sequential(torch.nn.Conv2d(8, 12, 3), torch.nn.Flatten(), torch.nn.Linear(12, 4))
    tbn.tile_(model, tbn.TilingConfig(p=4, min_layer_size=64, order=order))
    packed = tbn.freeze(model)
    tbn.save(packed, tmp_path / "packed.safetensors")
    (tmp_path / "config.json").write_text('{"task": "digits", "model": "cnn", "p": 4}')
    (tmp_path / "result.json").write_text('{"size": {"layers": [{"name": "0", "shape": [12, 8, 3, 3]}]}}')
    (view,) = views(runs.Run(tmp_path))
    assert view.order == order and view.weight.shape == (12, 72)
    np.testing.assert_allclose(view.weight, packed[0].dense_weight().reshape(12, 72).numpy())
    assert len(layer_charts.laid_back(view).layout.shapes) == (3 if order == "rows" else 0)


def test_pictures_show_the_bits():
    view = next(view for view in views(runs.find("fashion_mnist-cnn-p4-s0")) if view.name == "conv3")
    tile = layer_charts.tile_picture(view)
    assert np.array_equal(tile.data[0].z, view.tile.reshape(32, 576)) and "18,432 bits in 32 rows of 576" in alt_text(
        tile
    )
    whole = layer_charts.laid_back(view)
    assert whole.data[0].type == "image" and len(whole.layout.shapes) == 3, (
        "73,728 weights are an image, with a line between copies"
    )
    assert "the tile 4 times" in alt_text(whole)
    bars = layer_charts.alpha_bars(view)
    assert np.array_equal(bars.data[0].y, view.alphas) and "4 alphas of conv3" in alt_text(bars)
    rows = layer_charts.row_balance(view)
    assert np.allclose(rows.data[0].x, view.tile.reshape(32, 576).mean(1))
    assert layer_charts.title_of(view) == "conv3, 128x64x3x3, p = 4"


def test_balance_of_all_layers_beside_chance():
    found = views(runs.find("fashion_mnist-cnn-p4-s0"))
    figure = layer_charts.balance_of_layers(found, "conv3")
    band, marks = figure.data
    assert list(marks.x) == pytest.approx([view.balance for view in found])
    assert list(band.x) == pytest.approx([4 / len(view.tile) ** 0.5 for view in found])
    assert marks.marker.symbol[2] == "diamond" and "farthest from 0: " in alt_text(figure)


def test_a_tile_shorter_than_a_row():
    view = PackedView("head", (2, 12), 8, "rows", np.array([1, -1, 1], np.int8), np.arange(1, 9, dtype=np.float32))
    assert view.grid.shape == (1, 3) and view.weight.shape == (2, 12) and view.distinct_rows == 1
    assert np.array_equal(view.weight[0, :6], [1, -1, 1, 2, -2, 2])
    assert "1 rows of 3" in alt_text(layer_charts.tile_picture(view)) and "8 times" in alt_text(
        layer_charts.laid_back(view)
    )


def test_runs_without_weights_say_so(tmp_path):
    run = runs.find("fashion_mnist-mlp-p4-s0")
    shutil.copytree(run.path, tmp_path / "run")
    copy = runs.Run(tmp_path / "run")
    (copy.path / "packed.safetensors").write_bytes(b"no")
    with pytest.raises(TBNError, match=r"packed.safetensors cannot be read"):
        views(copy)
    (copy.path / "packed.safetensors").unlink()
    with pytest.raises(TBNError, match=r"keeps no packed.safetensors, so its layers cannot be looked at"):
        views(copy)
