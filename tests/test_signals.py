"""Flip ratio, balance and alphas of a layer, against what was done to it."""

import torch
from torch import nn

import tbn
from tbn import runs
from tbn.signals import signals, tiles_of


def test_signals_say_what_changed():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 8), nn.Linear(8, 4))
    tbn.tile_(model, tbn.TilingConfig(p=4, min_layer_size=64))
    before = tiles_of(model)
    layer = model[0]
    assert layer.tile.shape == (32,)
    with torch.no_grad():
        layer.weight.view(4, 32)[:, :8] = -5 * layer.tile[:8]  # turns the first 8 of the tile's 32 signs
        layer.alpha_source.view(4, 32).copy_(torch.arange(1.0, 5.0)[:, None].expand(4, 32))
    found = signals(model, before)
    assert found["0"]["flip_ratio"] == 8 / 32 and found["1"]["flip_ratio"] == 0
    assert found["0"]["balance"] == round(layer.tile.mean().item(), 7)
    assert (found["0"]["alpha_low"], found["0"]["alpha_high"]) == (1.0, 4.0)
    assert sum(found["0"]["alphas"]) == 4 and found["0"]["alphas"][0] == found["0"]["alphas"][-1] == 1
    assert found["1"]["alphas"] == [1]  # binary: one alpha


def test_a_run_keeps_them_epoch_by_epoch(trained):
    lines = runs.Run(trained["cnn"]).signals()
    assert [line["epoch"] for line in lines] == [1]
    layers = lines[0]["layers"]
    assert {"conv1", "conv2", "head"} <= set(layers)
    assert all(0 < layer["flip_ratio"] < 0.5 and abs(layer["balance"]) < 0.5 for layer in layers.values())
    assert runs.Run(trained["fp32"]).signals() == []
