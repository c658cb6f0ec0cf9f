"""VGG-small: the six convolutions and one classifier on which binary networks compare themselves on CIFAR-10.

VGG: Simonyan and Zisserman, https://arxiv.org/abs/1409.1556; this small one as in BinaryConnect's and LQ-Nets' line of work,
https://arxiv.org/abs/1807.10029.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from tbn.errors import TBNError
from tbn.models.blocks import image_shape, positive


def vgg_small(input_shape: Sequence[int] = (3, 32, 32), classes: int = 10, width: int = 128) -> nn.Sequential:
    """3x3 convolutions of width 1, 1, 2, 2, 4 and 4 times ``width`` with BatchNorm and ReLU, a 2x2 max-pooling after every second, ``head``.

    Weights at the defaults: 4,656,512. Images have at least 8 x 8 pixels.
    Shapes: input (batch, *input_shape), output (batch, classes).
    """
    channels, height, columns = image_shape(input_shape, smallest=8)
    positive(width=width, classes=classes)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for index, size in enumerate((width, width, 2 * width, 2 * width, 4 * width, 4 * width), 1):
        layers[f"conv{index}"] = nn.Conv2d(channels, size, 3, padding=1, bias=False)
        layers[f"bn{index}"] = nn.BatchNorm2d(size)
        layers[f"relu{index}"] = nn.ReLU()
        if index % 2 == 0:
            layers[f"pool{index // 2}"] = nn.MaxPool2d(2)
        channels = size
    layers["flatten"] = nn.Flatten()
    layers["head"] = nn.Linear(channels * (height // 8) * (columns // 8), classes)
    return nn.Sequential(layers)


def published_factors(model: nn.Module, p: int) -> dict[str, int]:
    """``per_layer`` of the paper's VGG-small: 1, 1, p, p, p, p, 1 in order of construction.

    Use: ``TilingConfig(p=4, per_layer=published_factors(model, 4))``, before ``tile_``.

    Raises:
        TBNError: the model has not the seven layers of a VGG-small.
    """
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    if len(names) != 7:
        raise TBNError(f"a VGG-small has 7 layers, this model {len(names)}", "pass what vgg_small() returned")
    return dict(zip(names, (1, 1, p, p, p, p, 1), strict=True))
