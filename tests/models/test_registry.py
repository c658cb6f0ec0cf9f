"""Every model of the registry: shapes, training, the packed engine, its file."""

import copy

import pytest
import torch
from safetensors import safe_open
from torch import nn
from torch.nn import functional as F

import tbn
from tbn import TBNError, TilingConfig, models
from tests.models.small import SHAPES, SMALL, inputs, output_shape

TILING = TilingConfig(p=4, min_layer_size=256)


@pytest.fixture(scope="module", params=SMALL)
def trained(request: pytest.FixtureRequest) -> tuple[str, nn.Module]:
    """Kind and a small tiled model after two steps of training, so that norms and signs are not those of the start."""
    torch.manual_seed(0)
    kind = models.kind_of(request.param)
    model = models.create(request.param, **SMALL[request.param])
    assert tbn.tile_(model, TILING).with_status("tiled")
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    for _ in range(2):
        outputs = model(inputs(kind, 8))
        assert outputs.shape == output_shape(kind, 8)
        if kind == "forecasting":
            loss = F.mse_loss(outputs, torch.randn(outputs.shape))
        else:
            loss = F.cross_entropy(outputs, torch.randint(outputs.shape[1], (8, *outputs.shape[2:])))
        optimizer.zero_grad()
        loss.backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        optimizer.step()
    return kind, model.eval()


def test_small_ones_of_all():
    assert tuple(SMALL) == models.names()
    assert set(SHAPES) == {models.kind_of(name) for name in models.names()}


def test_packed_equals_latent(trained):
    kind, model = trained
    x = inputs(kind, 5)
    packed = tbn.freeze(model)
    with torch.no_grad():
        expected = model(x)
        found = packed(x)
        assert torch.equal(copy.deepcopy(packed)(x), found)
    assert found.shape == output_shape(kind, 5)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_the_file_rebuilds_the_model_and_has_the_reported_bytes(trained, tmp_path):
    kind, model = trained
    packed = tbn.freeze(model)
    tbn.save(packed, tmp_path / "m.safetensors")
    again = tbn.load(tmp_path / "m.safetensors")
    x = inputs(kind, 3)
    with torch.no_grad():
        assert torch.equal(again(x), packed(x)) and not again.training
    with safe_open(tmp_path / "m.safetensors", framework="pt") as file:
        stored = sum(file.get_tensor(key).nbytes for key in file.keys())  # noqa: SIM118
    assert tbn.summary(packed).total_bytes == tbn.summary(model).total_bytes == stored


@pytest.mark.parametrize("name", models.names())
def test_default_sizes_tile_and_keep_the_head(name):
    kind = models.kind_of(name)
    with torch.device("meta"):
        model = models.create(name, **SHAPES[kind])
        assert model(torch.empty(2, *SHAPES[kind]["input_shape"])).shape == output_shape(kind, 2)
        report = tbn.tile_(model)
    assert report.with_status("tiled")
    assert list(dict(model.named_modules()))[-1] == "head"
    assert [row.name for row in report.layers if row.reason.startswith("the last layer")] == ["head"]


@pytest.mark.parametrize("name", models.names())
def test_an_argument_that_it_has_not(name):
    with pytest.raises(TBNError, match=r"unexpected keyword argument 'hight'; see help\(tbn.models"):
        models.create(name, hight=3)
