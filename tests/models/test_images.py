"""The image models: images of any sensible size, and bad arguments."""

import pytest
import torch

from tbn import TBNError, models

NAMES = [name for name in models.names("images") if name not in ("mlp", "cnn")]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (2, 12, 20)])
def test_default_sizes_take_small_images(name, shape):
    with torch.device("meta"):
        model = models.create(name, input_shape=shape, classes=7)
        assert model(torch.empty(2, *shape)).shape == (2, 7)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(28, 28), (1, 0, 28), (1, 28.0, 28)])
def test_a_shape_that_is_none(name, shape):
    with pytest.raises(TBNError, match=r"is not \(channels, height, width\); write e.g. \(3, 32, 32\)"):
        models.create(name, input_shape=shape)


@pytest.mark.parametrize("name", NAMES)
def test_no_classes(name):
    with pytest.raises(TBNError, match="classes=0 is not a whole number of at least 1"):
        models.create(name, classes=0)


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        (
            "micro_cnn",
            {"input_shape": (1, 8, 9), "channels": (4, 4, 4, 4)},
            "4 poolings leave nothing of 8 x 9 pixels; use fewer channels",
        ),
        ("micro_cnn", {"channels": (8, 0)}, r"channels=\(8, 0\) is not a whole number"),
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
    ],
)
def test_wrong_arguments_say_what_to_do(name, arguments, says):
    with torch.device("meta"), pytest.raises(TBNError, match=says):
        models.create(name, **arguments)
