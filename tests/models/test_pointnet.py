"""PointNet: what must not change its answer, its two transforms and their penalty, categories, and bad arguments."""

import copy

import pytest
import torch
from torch import nn

import tbn
from tbn import TBNError, TilingConfig, models
from tests.models.small import SMALL, inputs

NAMES = ["pointnet_cls", "pointnet_part", "pointnet_sem"]


def small(name: str, tiled: bool = False) -> nn.Module:
    torch.manual_seed(0)
    model = models.create(name, **SMALL[name])
    if tiled:
        tbn.tile_(model, TilingConfig(p=4, min_layer_size=256))
    return model


def with_transforms(name: str) -> nn.Module:
    """A small one in eval mode whose transforms have left the identity."""
    model = small(name).eval()
    for transform in (model.encoder.input_transform, model.encoder.feature_transform):
        transform.gain.data.fill_(0.3)
    return model


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_the_points_does_not_matter(name):
    model = with_transforms(name)
    x, order = inputs(models.kind_of(name), 3), torch.randperm(64)
    expected = model(x)
    expected = expected if expected.dim() == 2 else expected[:, :, order]
    torch.testing.assert_close(model(x[:, :, order]), expected)


@pytest.mark.parametrize("name", NAMES)
def test_points_may_be_more_and_copies_of_one_do_not_matter(name):
    """A maximum, not a sum or mean."""
    model, x = with_transforms(name), inputs(models.kind_of(name), 3)
    expected = model(x)
    longer = model(torch.cat([x, x[:, :, :1].expand(-1, -1, 30)], 2))
    assert longer.shape[2:] == (() if name == "pointnet_cls" else (94,))
    torch.testing.assert_close(longer[..., :64], expected)
    assert not torch.allclose(model(x[:, :, :17]), expected[..., :17], rtol=1e-3)


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_transforms_start_at_the_identity(name, tiled):
    model = small(name, tiled)
    for transform, channels in (
        (model.encoder.input_transform, 9 if name == "pointnet_sem" else 3),
        (model.encoder.feature_transform, None),
    ):
        channels = channels or transform.size
        matrix = transform(torch.randn(2, channels, 20))
        assert torch.equal(matrix, torch.eye(transform.size).expand(2, -1, -1))
    model(inputs(models.kind_of(name), 4))
    assert model.penalty().item() == 0


@pytest.mark.parametrize("name", NAMES)
def test_the_input_transform_turns_x_y_z_alone(name):
    model, seen = small(name).eval(), []
    transform = model.encoder.input_transform
    transform.forward = lambda x: torch.tensor([[0.0, 2, 0], [1, 0, 0], [0, 0, 3]]).expand(len(x), 3, 3)
    model.encoder.layers[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    x = inputs(models.kind_of(name), 2)
    model(x)
    rest = x[:, 3:-1] if name == "pointnet_part" else x[:, 3:]
    assert torch.equal(seen[0], torch.cat([2 * x[:, 1:2], x[:, :1], 3 * x[:, 2:3], rest], 1))


@pytest.mark.parametrize("name", NAMES)
def test_the_feature_transform_turns_the_features_of_the_next_layer(name):
    model, before, behind = with_transforms(name), [], []
    encoder = model.encoder
    swap = torch.eye(encoder.feature_transform.size).flip(0)
    encoder.feature_transform.forward = lambda x: swap.expand(len(x), -1, -1)
    encoder.layers[encoder.transformed - 1].register_forward_hook(lambda _module, _inputs, out: before.append(out))
    encoder.layers[encoder.transformed].register_forward_pre_hook(lambda _, given: behind.append(given[0]))
    described = encoder(inputs(models.kind_of(name), 2)[:, : 3 if name == "pointnet_part" else None])
    assert torch.equal(behind[0], before[0].flip(1))
    assert torch.equal(described.aligned, behind[0]) and torch.equal(
        described.layers[encoder.transformed - 1], before[0]
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_penalty_is_the_papers_and_forgotten(name):
    model, x = small(name), inputs(models.kind_of(name), 4)
    model.encoder.feature_transform.gain.data.fill_(0.3)
    matrices = []
    model.encoder.feature_transform.register_forward_hook(lambda _module, _inputs, out: matrices.append(out.detach()))
    assert model.penalty() is None
    model(x)
    expected = sum(float(torch.linalg.matrix_norm(torch.eye(len(a)) - a @ a.T) ** 2) for a in matrices[0]) / 4 * 0.001
    penalty = model.penalty()
    assert penalty.item() == pytest.approx(expected, rel=1e-4) and expected > 0
    penalty.backward()
    assert model.encoder.feature_transform.gain.grad.abs() > 0
    assert model.penalty() is None
    model(x)
    model.eval()(x)
    assert model.penalty() is None


def test_a_model_is_copied_and_frozen_between_forward_and_penalty():
    model = small("pointnet_cls", tiled=True)
    model(inputs("points", 4))
    assert copy.deepcopy(model).penalty() is None
    assert tbn.freeze(model).penalty() is None
    assert model.penalty() is not None


def test_the_last_row_chooses_the_category():
    model, seen = small("pointnet_part").eval(), []
    model.mlp.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    x = inputs("parts", 3)
    x[:, 3] = torch.tensor([2.0, 0, 1])[:, None]
    model(x)
    one_hot = seen[0][:, 8 * 32 : 8 * 32 + 3]  # behind the cloud's 32 x width numbers
    assert torch.equal(one_hot, torch.eye(3)[[2, 0, 1]][:, :, None].expand(-1, -1, 64))


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        (
            "pointnet_cls",
            {"input_shape": (2, 64)},
            r"is not \(rows, points\) with rows x, y, z; write e.g. \(3, 1024\)",
        ),
        ("pointnet_cls", {"input_shape": (3,)}, r"input_shape=\(3,\) is not \(rows, points\)"),
        ("pointnet_part", {"input_shape": (3, 64)}, r"with rows x, y, z and category; write e.g. \(4, 1024\)"),
        ("pointnet_sem", {"input_shape": (9, 0)}, r"input_shape=\(9, 0\) is not \(rows, points\)"),
        ("pointnet_part", {"categories": 0}, "categories=0 is not a whole number of at least 1; e.g. categories=4"),
        ("pointnet_sem", {"width": 0.5}, "width=0.5 is not a whole number"),
        ("pointnet_cls", {"classes": 0}, "classes=0 is not a whole number"),
    ],
)
def test_wrong_arguments_say_what_to_do(name, arguments, says):
    with torch.device("meta"), pytest.raises(TBNError, match=says):
        models.create(name, **arguments)
