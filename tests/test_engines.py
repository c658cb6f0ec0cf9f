"""One answer from every engine: each model of the registry and odd layers, latent and packed, on torch and every native version, fused and
collapsed. ONNX Runtime's answers for every model are in ``tests/export/test_onnx.py``, those of Triton's interpreter in ``tests/kernels``.

Tolerance: the largest difference over the largest output is below 1e-5; a layer alone is at a few 1e-7, a network of them at 5e-6 or less. Engines
add the same float32 numbers in different orders, and an untrained network of a few channels (ResNet-50, PointNet) makes such a difference larger from
layer to layer; how much larger it may be on another machine is told by the latent model's own distance from its answer in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import pytest
import torch
from torch import Tensor, nn

import tbn
from kernels.cpu import conv, engine, linear
from kernels.layout import TileGeometry
from kernels.reference import tiled_linear, transposed_linear
from tbn import TilingConfig, models
from tbn.collapse import collapse
from tbn.fusion import fuse
from tbn.packed import PackedConv1d, PackedConv2d, PackedLayer, PackedLinear, PackedTransposedLinear
from tests.engines import ENGINES, forced
from tests.kernels.kernel_layers import layer as random_layer
from tests.models.small import SMALL, inputs

TOLERANCE = 1e-5


def difference(found: Tensor, expected: Tensor) -> float:
    """Largest difference over the largest expected value; 0 for two empty tensors."""
    assert found.shape == expected.shape and found.dtype == expected.dtype and bool(found.isfinite().all())
    return float((found - expected).abs().max() / expected.abs().max()) if expected.numel() else 0.0


@torch.no_grad()
def shaken(model: nn.Module, x: Tensor) -> nn.Module:
    """Gains, biases and statistics of its own in every norm and layer, some gains negative: nothing is equal because it is still 0 or 1. The
    statistics are near those of x, so that the signal reaches the end."""
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.add_(torch.randn_like(parameter) * 0.1)
    for norm in norms:
        norm.weight.mul_(torch.where(torch.rand_like(norm.weight) < 0.2, -0.3, 0.3))
        norm.momentum = 1.0
    model.train()(x)
    for norm in norms:
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.add_(torch.randn_like(norm.running_mean) * norm.running_var.sqrt() * 0.1)
        norm.running_var.mul_(torch.rand_like(norm.running_var) * 0.5 + 0.75)
    return model.eval()


@lru_cache
@torch.no_grad()
def prepared(name: str) -> tuple[nn.Module, tuple[tuple[Tensor, Tensor], ...], float]:
    """A packed model; inputs with what the latent model gives for them, for batches of 1 and 3; and how far those are from float64."""
    torch.manual_seed(7)
    model, kind = models.create(name, **SMALL[name]), models.kind_of(name)
    tbn.tile_(model, TilingConfig(p=4, min_layer_size=64))
    shaken(model, inputs(kind, 16))
    batches = tuple((x, model(x)) for x in (inputs(kind, 1), inputs(kind, 3)))
    packed = tbn.freeze(model)
    exact = [model.double()(x.double()).float() for x, _ in batches]
    own = max(difference(found, best) for (_, found), best in zip(batches, exact, strict=True))
    return packed, batches, own


def native_layers(model: nn.Module) -> set[str]:
    """Which native kernels the layers of a model are to go to, if one is forced."""
    layers = [module for module in model.modules() if isinstance(module, PackedLayer)]
    fit = [layer for layer in layers if linear.supports(layer.geometry, layer.alphas.numel())]
    kinds: set[str] = set()
    for layer in fit:
        if isinstance(layer, PackedLinear):
            kinds.add("linear")
        if isinstance(layer, PackedConv1d | PackedConv2d) and layer.window is not None and conv.supports(layer.window):
            kinds.add("conv")
    return kinds


FORMS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "packed": lambda packed: packed,
    "fused": fuse,
    "collapsed": lambda packed: collapse(packed)[0],
    "collapsed, fused": lambda packed: fuse(collapse(packed)[0]),
}


@pytest.mark.parametrize("name", models.names())
@torch.no_grad()
def test_every_model_on_every_engine(name: str) -> None:
    """Each form of the model on each engine against the latent model."""
    packed, batches, own = prepared(name)
    worst: dict[str, float] = {}
    for form, make in FORMS.items():
        model = make(packed)
        for chosen in ("torch", *engine.versions()):
            with forced(chosen) as calls:
                worst[f"{form} on {chosen}"] = max(difference(model(x), expected) for x, expected in batches)
            assert set(calls) == (set() if chosen == "torch" else native_layers(model)), (form, chosen)
    assert max(worst.values()) < max(TOLERANCE, 4 * own), worst


@pytest.mark.parametrize("name", models.names())
@torch.no_grad()
def test_a_wrong_bit_of_any_layer_would_be_seen(name: str) -> None:
    """The comparisons above can fail: the signs of each layer, turned one layer at a time, change the model's answer far beyond the tolerance."""
    packed, batches, _ = prepared(name)
    x, expected = batches[-1]
    for path, layer in packed.named_modules():
        if isinstance(layer, PackedLayer):
            layer.tile.bitwise_not_()
            assert difference(packed(x), expected) > 100 * TOLERANCE, path
            layer.tile.bitwise_not_()


ODD = [  # rows, row length, p
    (10, 128, 4),  # p does not divide the rows: a row has two alphas
    (6, 40, 16),  # more tiles than rows
    (7, 64, 4),  # nothing repeats
    (13, 16, 13),  # a prime number of rows, one distinct
    (13, 16, 4),  # and none equal
    (8, 1, 4),  # one input
    (4, 16, 8),  # two tiles a row
    (1, 24, 6),  # one output
]


@pytest.mark.parametrize("chosen", ENGINES)
@pytest.mark.parametrize("shape", ODD)
def test_odd_layers_on_every_engine(shape: tuple[int, int, int], chosen: str) -> None:
    """As linear layer and the other way round, with alphas per tile and per layer, against the weight written out in float64."""
    geometry = TileGeometry(*shape)
    with forced(chosen) as calls:
        for per_tile in (True, False):
            tile, alphas, bias = random_layer(geometry, per_tile)
            straight = PackedLinear(geometry.row_length, geometry.rows, True, geometry.p, len(alphas))
            across = PackedTransposedLinear(geometry.rows, geometry.row_length, True, geometry.p, len(alphas))
            straight.load_state_dict({"tile": tile, "alphas": alphas, "bias": bias})
            across.load_state_dict({"tile": tile, "alphas": alphas, "bias": torch.randn(geometry.row_length)})
            for lead in ((0,), (), (1,), (3,), (2, 0), (2, 3)):
                x = torch.randn(*lead, geometry.row_length)
                assert difference(straight(x), tiled_linear(x, tile, alphas, geometry, bias)) < TOLERANCE
                x = torch.randn(*lead, geometry.rows)
                assert difference(across(x), transposed_linear(x, tile, alphas, geometry, across.bias)) < TOLERANCE
    fits = linear.supports(geometry, geometry.p) or linear.supports(geometry, 1)
    assert bool(calls) == (chosen != "torch" and fits)
