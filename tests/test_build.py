"""Start weights: dense and tiled runs, files, and what does not fit."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from tbn import TBNError
from tbn.build import build, start_weights
from tbn.config import RunConfig

MLP = {"task": "fashion_mnist", "model": "mlp", "data": "embedded"}
SHAPE = {"input_shape": [1, 28, 28], "classes": 10}


def test_a_dense_run_becomes_the_latent_weights(trained):
    config = RunConfig(**MLP, warm_start=str(trained["fp32"]))
    model, _ = build(config, SHAPE, start_weights(str(trained["fp32"])))
    dense = load_file(trained["fp32"] / "model.safetensors")
    assert torch.equal(model.fc1.weight, dense["fc1.weight"])
    assert torch.equal(model.fc1.alpha_source, dense["fc1.weight"]) and config.alpha_init == "weight"
    assert RunConfig(**MLP).alpha_init == "default"


def test_a_tiled_run_keeps_its_alpha_sources(trained):
    model, _ = build(RunConfig(**MLP, warm_start=str(trained["tiled"])), SHAPE, start_weights(str(trained["tiled"])))
    latent = load_file(trained["tiled"] / "model.safetensors")
    assert all(torch.equal(tensor, latent[name]) for name, tensor in model.state_dict().items())
    dense, _ = build(RunConfig(**MLP, p=0, warm_start="x"), SHAPE, start_weights(str(trained["tiled"])))
    assert torch.equal(dense.fc1.weight, latent["fc1.weight"])


def test_what_does_not_fit(trained, tmp_path):
    config = RunConfig(**MLP, warm_start=str(trained["fp32"]))
    weights = start_weights(str(trained["fp32"]))
    with pytest.raises(
        TBNError, match=r"'head.weight' is \(10, 128\) in .*, \(7, 128\) in this model; start from the same"
    ):
        build(config, SHAPE | {"classes": 7}, weights)
    save_file({"fc1.weight": torch.zeros(128, 784)}, tmp_path / "part.safetensors")
    with pytest.raises(TBNError, match=r"'head.weight' is nothing in "):
        build(config, SHAPE, start_weights(str(tmp_path / "part.safetensors")))
    with pytest.raises(TBNError, match="holds packed bits"):
        start_weights(str(trained["tiled"] / "packed.safetensors"))
    with pytest.raises(TBNError, match="there is no run 'nope'"):
        start_weights("nope")
    (tmp_path / "bad.safetensors").write_bytes(b"no weights")
    with pytest.raises(TBNError, match="cannot be read as weights"):
        start_weights(str(tmp_path / "bad.safetensors"))
