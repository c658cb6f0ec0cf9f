"""Every image model: shapes, the packed engine, its file, and bad arguments."""

import copy

import pytest
import torch
from safetensors import safe_open
from torch import nn

import tbn
from tbn import TBNError, TilingConfig, models
from tests.models.small import SMALL

TILING = TilingConfig(p=4, min_layer_size=256)


@pytest.fixture(scope="module", params=SMALL)
def trained(request: pytest.FixtureRequest) -> nn.Module:
    """A small tiled model after two steps of training, so that norms and signs are not those of the start."""
    torch.manual_seed(0)
    model = models.create(request.param, **SMALL[request.param])
    assert tbn.tile_(model, TILING).with_status("tiled")
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    for _ in range(2):
        loss = nn.functional.cross_entropy(model(torch.randn(8, 1, 28, 28)), torch.arange(8))
        optimizer.zero_grad()
        loss.backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        optimizer.step()
    return model.eval()


def test_packed_equals_latent(trained):
    x = torch.randn(5, 1, 28, 28)
    packed = tbn.freeze(trained)
    with torch.no_grad():
        expected = trained(x)
        found = packed(x)
        assert torch.equal(copy.deepcopy(packed)(x), found)
    assert found.shape == (5, 10)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_the_file_rebuilds_the_model_and_has_the_reported_bytes(trained, tmp_path):
    packed = tbn.freeze(trained)
    tbn.save(packed, tmp_path / "m.safetensors")
    again = tbn.load(tmp_path / "m.safetensors")
    x = torch.randn(3, 1, 28, 28)
    with torch.no_grad():
        assert torch.equal(again(x), packed(x)) and not again.training
    with safe_open(tmp_path / "m.safetensors", framework="pt") as file:
        stored = sum(file.get_tensor(key).nbytes for key in file.keys())  # noqa: SIM118
    assert tbn.summary(packed).total_bytes == tbn.summary(trained).total_bytes == stored


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (2, 12, 20)])
def test_default_sizes_take_small_images(name, shape):
    with torch.device("meta"):
        model = models.create(name, input_shape=shape, classes=7)
        assert model(torch.empty(2, *shape)).shape == (2, 7)
    assert list(dict(model.named_modules()))[-1] == "head"


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("shape", [(28, 28), (1, 0, 28), (1, 28.0, 28)])
def test_a_shape_that_is_none(name, shape):
    with pytest.raises(TBNError, match=r"is not \(channels, height, width\); write e.g. \(3, 32, 32\)"):
        models.create(name, input_shape=shape)


@pytest.mark.parametrize("name", SMALL)
def test_no_classes(name):
    with pytest.raises(TBNError, match="classes=0 is not a whole number of at least 1"):
        models.create(name, classes=0)


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("vgg_small", {"input_shape": (1, 7, 7)}, "7 x 7 pixels are too small .*; use images of at least 8 x 8"),
        ("resnet18", {"input_shape": (1, 4, 9)}, "4 x 9 pixels are too small"),
        ("resnet34", {"width": 0}, "width=0 is not a whole number"),
        ("resnet50", {"stem": "large"}, "stem='large' is unknown; use cifar"),
        ("resnet18", {"depths": [2, 0]}, r"depths=\[2, 0\] is not a whole number"),
        (
            "mlp_mixer",
            {"patch": 5},
            "patch=5 does not divide images of 32 x 32 pixels; use patch=4 or patch=8",
        ),
        ("convmixer", {"patch": 3, "input_shape": (1, 7, 11)}, "use patch=1$"),
        ("vit", {"input_shape": (1, 28, 30)}, "patch=4 does not divide .*; use patch=2$"),
        ("vit", {"dim": 30, "heads": 4}, "heads=4 does not divide dim=30; use dim=32"),
        ("swin_t", {"heads": (5, 6, 12, 24)}, "heads=5 does not divide dim=96"),
        ("swin_t", {"depths": (2, 2)}, "name 2, 4 and 4 stages; give one number a stage"),
        ("vit", {"hight": 3}, "unexpected keyword argument 'hight'"),
    ],
)
def test_wrong_arguments_say_what_to_do(name, arguments, says):
    with torch.device("meta"), pytest.raises(TBNError, match=says):
        models.create(name, **arguments)
