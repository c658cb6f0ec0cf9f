"""Raised factors, steeper estimators and re-estimated norms; a run with every option goes on bit for bit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import tbn
from tbn import TBNError, TilingConfig, train
from tbn.batches import Split
from tbn.config import RunConfig
from tbn.layers import TiledLayer, TiledLinear
from tbn.schedule import Schedule, chain, factor_at, settle_norms
from tbn.tasks import create

EVERYTHING = {
    "task": "digits", "model": "cnn", "model_args": {"width": 8}, "p": 4, "epochs": 3, "limit": 200, "order": "rolled", "estimator": "reste",
    "standardise": True, "alpha_source": "learned", "progressive": 0.9, "norm_batches": 2, "ema": 0.9,
}  # fmt: skip


def test_factors_on_the_way():
    assert [chain(p) for p in (1, 2, 8, 12, 7)] == [(1,), (1, 2), (1, 2, 4, 8), (1, 2, 4, 12), (1, 7)]
    assert [factor_at(8, epoch, 10, 0.6) for epoch in range(1, 11)] == [1, 1, 2, 2, 4, 4, 8, 8, 8, 8]
    assert [factor_at(4, epoch, 3, 0.9) for epoch in (1, 2, 3)] == [1, 1, 4] and factor_at(4, 1, 1, 0.9) == 4
    assert {factor_at(8, epoch, 10, 0.0) for epoch in range(1, 11)} == {8}


def test_layers_go_through_the_schedule_and_end_with_their_own_factor():
    model = nn.Sequential(nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 4))
    tbn.tile_(model, TilingConfig(p=4, min_layer_size=0, estimator="reste", per_layer={"1": 2}))
    schedule = Schedule(RunConfig("digits", "mlp", epochs=4, progressive=0.5), (model, None))
    seen = []
    for epoch in range(1, 5):
        schedule.enter(epoch)
        seen.append([layer.p for layer in model if isinstance(layer, TiledLayer)] + [round(model[0].power, 3)])
    assert seen == [[1, 1, 1, 1.0], [2, 1, 1, 1.667], [4, 2, 1, 2.333], [4, 2, 1, 3.0]]


@pytest.mark.parametrize("source", ["separate", "latent", "learned"])
def test_alphas_are_those_of_the_blocks_at_every_stage(source):
    layer = TiledLinear(8, 8, p=4, alpha_source=source)
    whole = layer.alphas
    layer.p = 2
    torch.testing.assert_close(layer.alphas, whole.reshape(2, 2).mean(1))


def test_settled_norms_have_the_statistics_of_the_data():
    task = create("digits", data="embedded")
    split = Split(task.train_inputs, task.train_targets, task)
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(0.5), nn.Flatten(), nn.BatchNorm1d(64)).train()
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    settle_norms(model, split, 50, 64)  # more than there is: all of it
    (inputs, _), *_ = split.batches(len(split))
    assert abs(float(model[0].running_mean - inputs.mean())) < 0.01 and not model.training and model[0].momentum == 0.1
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
    again = [model[0].running_mean.clone(), model[3].running_var.clone()]
    settle_norms(model, split, 50, 64)  # no randomness: dropout is off, the batches are the same
    assert torch.equal(again[0], model[0].running_mean) and torch.equal(again[1], model[3].running_var)


class Stop(BaseException):
    """As a kill: nothing is written after it."""


def test_every_option_at_once_repeats_and_resumes_bit_for_bit(tmp_path):
    whole = train.fit(RunConfig(**EVERYTHING), folder=tmp_path / "whole")

    def stop(event):
        if event.get("epoch") == 2:
            raise Stop

    with pytest.raises(Stop):
        train.fit(RunConfig(**EVERYTHING), folder=tmp_path / "cut", listener=stop)
    resumed = train.resume(tmp_path / "cut")
    assert (whole.path / "model.safetensors").read_bytes() == (resumed.path / "model.safetensors").read_bytes()
    digests = [tbn.artifact.read(run.path / "packed.safetensors")[2] for run in (whole, resumed)]
    assert digests[0] == digests[1]
    assert whole.result["metrics"] == resumed.result["metrics"] and RunConfig.from_dict(whole.config) == RunConfig(
        **EVERYTHING
    )
    assert {layer["order"] for layer in whole.result["size"]["layers"] if layer["p"] > 1} == {"rolled"}
    # what was trained is what is packed
    from tbn.evaluate import evaluate

    found = evaluate(whole.path, "packed")
    assert found.max_relative_difference < 1e-5 and found.score == whole.result["metrics"]["accuracy"]


def test_a_configuration_of_before_is_the_default():
    old = {"task": "digits", "model": "mlp", "p": 4}
    config = RunConfig.from_dict(old)
    assert (
        config.tiling() == TilingConfig(p=4, min_layer_size=1_000)
        and not config.progressive
        and not config.norm_batches
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [({"order": "columns"}, "order='columns'"), ({"progressive": 1.5}, "progressive=1.5 is not a number from 0 to 0.9"),
     ({"norm_batches": -1}, "norm_batches=-1"), ({"estimator": ""}, "estimator=''"), ({"alpha_source": "given"}, "separate, latent, learned")],
)  # fmt: skip
def test_bad_values(options, message):
    with pytest.raises(TBNError, match=message):
        RunConfig("digits", "mlp", **options)


def test_learned_alphas_start_from_the_weights_and_load_from_a_dense_checkpoint():
    layer = TiledLinear(8, 8, p=4, alpha_source="learned")
    assert layer.alpha_source.shape == (4,)
    torch.testing.assert_close(layer.alphas, layer.weight.detach().reshape(4, -1).abs().mean(1))
    dense = nn.Linear(8, 8)
    layer.load_state_dict(dense.state_dict())
    torch.testing.assert_close(layer.alphas, dense.weight.detach().reshape(4, -1).abs().mean(1))


def test_standardised_weights_are_balanced():
    """Each output's signs are decided around its own mean: a row that is all positive is not all +1."""
    layer = TiledLinear(64, 8, p=1)
    with torch.no_grad():
        layer.weight.add_(1.0)
    assert layer.tile.mean() == 1
    layer.standardise = True
    assert layer.tile.reshape(8, 64).mean(1).abs().max() < 0.5
    layer(torch.randn(2, 64)).sum().backward()
    assert layer.weight.grad.isfinite().all() and layer.weight.grad.sum(1).abs().max() < 1e-3  # the mean is free
