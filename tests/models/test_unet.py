"""U-Net: every image size, what a pixel sees, and bad arguments."""

import pytest
import torch
from torch import nn

from tbn import TBNError, models


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 8, 8), (2, 7, 30), (3, 65, 33), (4, 1, 1)])
@pytest.mark.parametrize("depth", [1, 3, 5])
def test_images_of_any_size(shape, depth):
    model = models.create("unet", input_shape=shape, classes=4, width=2, depth=depth).eval()
    out = model(torch.randn(2, *shape))
    assert out.shape == (2, 4, *shape[1:]) and out.isfinite().all()


def test_the_published_shape_is_the_papers():
    """Width 64 and depth 4: convolutions of 64, 128, 256, 512 and 1024 channels, and the same numbers back (figure 1 of the paper)."""
    with torch.device("meta"):
        model = models.create("unet", input_shape=(1, 572, 572), classes=2, width=64, depth=4)
    outputs = [layer.out_channels for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    down = [64, 64, 128, 128, 256, 256, 512, 512, 1024, 1024]
    assert outputs == [*down, *reversed(down[:-2]), 2]


def test_a_pixel_sees_its_level_directly_and_the_image_through_the_bottom():
    torch.manual_seed(0)
    model = models.create("unet", input_shape=(1, 40, 40), classes=2, width=8, depth=3).eval()
    x = torch.randn(1, 1, 40, 40, requires_grad=True)
    (through_all,) = torch.autograd.grad(model(x)[0, :, 20, 20].sum(), x)
    assert through_all[0, 0, 20, 20] != 0 and through_all[0, 0, 20, 0] != 0
    for parameter in model.up[0].parameters():
        parameter.data.zero_()
    (skips_alone,) = torch.autograd.grad(model(x)[0, :, 20, 20].sum(), x)
    assert skips_alone[0, 0, 20, 20] != 0 and skips_alone[0, 0, 20, 0] == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            {"input_shape": (64, 64)},
            r"input_shape=\(64, 64\) is not \(channels, height, width\); write e.g. \(3, 32, 32\)",
        ),
        ({"input_shape": (3, 0, 64)}, r"is not \(channels, height, width\)"),
        ({"classes": 0}, "classes=0 is not a whole number of at least 1; e.g. classes=4"),
        ({"width": 1.5}, "width=1.5 is not a whole number"),
        ({"depth": 0}, "depth=0 is not a whole number"),
    ],
)
def test_wrong_arguments_say_what_to_do(arguments, says):
    with pytest.raises(TBNError, match=says):
        models.create("unet", **arguments)
