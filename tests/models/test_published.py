"""The paper's shapes: exact weight counts, and bit-widths as published or derived (tile bits over weights; alphas come on top)."""

from collections import Counter

import pytest
import torch
from torch import nn

import tbn
from tbn import TBNError, TilingConfig, models
from tbn.models import resnet, vgg

IMAGENET = {"input_shape": (3, 224, 224), "classes": 1000}


def dense(name: str, **arguments) -> nn.Module:
    with torch.device("meta"):  # shapes without memory
        return models.create(name, **arguments)


def tile_bits(model: nn.Module, p: int, min_layer_size: int = 64_000, **per_layer: int) -> float:
    with torch.device("meta"):
        tbn.tile_(model, TilingConfig(p=p, min_layer_size=min_layer_size, per_layer=per_layer))
    size = tbn.summary(model)
    assert size.weight_bits == sum(layer.tile_bits + 32 * max(1, layer.p) for layer in size.layers)
    return sum(layer.tile_bits for layer in size.layers) / size.weights


def kinds(model: nn.Module) -> Counter[str]:
    """Weights of convolutions larger than 1x1 (or 1), of 1x1 ones, of linear layers and of the classifier."""
    found: Counter[str] = Counter()
    for row in tbn.summary(model).layers:
        kind = row.kind if row.kind == "linear" else "1x1" if set(row.shape[2:]) == {1} else "larger"
        found["head" if row.name == "head" else kind] += row.weights
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # the published 1x1 counts of the ResNets, 177,152 and 12,148,736, contain the classifier
        ("resnet18", {"larger": 10_987_200, "1x1": 177_152 - 5_120, "head": 5_120}),
        ("resnet50", {"larger": 11_318_976, "1x1": 12_148_736 - 20_480, "head": 20_480}),
        ("vgg_small", {"larger": 4_574_592, "head": 81_920}),
        ("mlp_mixer", {"linear": 1_799_168 - 5_120, "head": 5_120}),
        ("convmixer", {"larger": 16 * 64 * 256, "1x1": 16 * 256 * 256 + 3 * 256, "head": 2_560}),
        ("vit", {"linear": 9_466_880 - 5_120, "head": 5_120}),
        ("swin_t", {"linear": 26_550_912 - 7_680, "head": 7_680}),
    ],
)
def test_weights(name, expected):
    assert kinds(dense(name)) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("convmixer", 1_314_048),
        ("pointnet_cls", 3_449_472),
        ("pointnet_part", 8_303_872),
        ("pointnet_sem", 3_507_200),
    ],
)
def test_weights_in_all(name, expected):
    assert tbn.summary(dense(name)).weights == expected


def test_pointnet_layer_by_layer():
    """T-nets of 3 and 64, encoder and classifier; parts without normals have 3 rows less in two layers of 64."""
    rows = {row.name: row.weights for row in tbn.summary(dense("pointnet_cls")).layers}
    parts = Counter()
    for name, weights in rows.items():
        parts[name.split(".")[1] if name.startswith("encoder") else "classifier"] += weights
    assert parts == {
        "input_transform": 797_120,
        "layers": 139_456,
        "feature_transform": 1_847_296,
        "classifier": 665_600,
    }
    assert tbn.summary(dense("pointnet_part", input_shape=(4, 2048))).weights == 8_303_872 - 2 * 3 * 64


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", (0.258, 0.134, 0.072, 0.041)),
        ("mlp_mixer", (0.344, 0.235, 0.180, 0.153)),
        ("convmixer", (0.402, 0.302, 0.252, 0.227)),
        ("vit", (0.252, 0.128)),
        ("swin_t", (0.259, 0.135)),
    ],
)
def test_bit_widths(name, expected):
    found = []
    for p in (4, 8, 16, 32)[: len(expected)]:
        model = dense(name)
        found.append(tile_bits(model, p, **(resnet.published_factors(model, p) if name == "resnet18" else {})))
    assert tuple(round(width, 3) for width in found) == expected


def test_bit_widths_of_pointnet():
    assert [round(tile_bits(dense("pointnet_cls"), p), 3) for p in (2, 4, 8)] == [0.506, 0.259, 0.136]


def test_resnet50_at_p_4_takes_6_07_megabits():
    model = dense("resnet50")
    assert resnet.published_factors(model, 4) == {}
    assert round(tile_bits(model, 4) * 23_467_712 / 1e6, 2) == 6.07


@pytest.mark.parametrize(
    ("name", "arguments", "parameters"),
    [
        ("resnet18", {"stem": "imagenet"}, 11_689_512),
        ("resnet34", {"stem": "imagenet"}, 21_797_672),
        ("resnet50", {"stem": "imagenet"}, 25_557_032),
        ("swin_t", {"window": 7, "factors": (4, 2, 2, 2)}, 28_288_354),
    ],
)
def test_parameters_of_the_imagenet_models_are_as_many_as_torchvisions(name, arguments, parameters):
    model = dense(name, **IMAGENET, **arguments)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert model(torch.empty(2, 3, 224, 224, device="meta")).shape == (2, 1000)


def test_resnet34_for_imagenet_at_p_2_with_a_tiled_classifier():
    model = dense("resnet34", **IMAGENET, stem="imagenet")
    assert round(tile_bits(model, 2, 150_000, head=2), 3) == 0.535


def test_the_published_list_of_resnet18():
    factors = resnet.published_factors(dense("resnet18"), 8)
    assert list(factors.values()) == [1, 1, 1, 1, *[8] * 16, 1]
    assert list(factors)[:5] == ["conv1", *(f"stages.0.{k}.body.conv{c}" for k in (0, 1) for c in (1, 2))]
    assert [name for name in factors if "shortcut" in name] == [f"stages.{k}.0.shortcut.0" for k in (1, 2, 3)]
    model = dense("resnet18")
    with torch.device("meta"):
        report = tbn.tile_(model, TilingConfig(p=8, per_layer=factors), strict=True)
    assert {row.name: row.p for row in report.layers} == factors


def test_the_published_list_of_vgg_small():
    factors = vgg.published_factors(dense("vgg_small"), 4)
    assert list(factors.items()) == [*((f"conv{k}", 1 if k < 3 else 4) for k in range(1, 7)), ("head", 1)]
    assert round(tile_bits(dense("vgg_small"), 4, **factors), 4) == 0.2875
    with pytest.raises(TBNError, match="a VGG-small has 7 layers, this model 21; pass what"):
        vgg.published_factors(dense("resnet18"), 4)
