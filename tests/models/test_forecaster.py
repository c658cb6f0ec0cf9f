"""Forecasters: scale and offset of a channel, gaps, one channel from another, and bad arguments."""

import pytest
import torch
from torch import nn

from tbn import TBNError, models
from tests.models.small import ARGUMENTS, SHAPES, inputs

NAMES = ["forecaster_transformer", "forecaster_mlp"]
PLAIN = {"input_shape": [24, 3], "output_shape": [12, 3]}


def small(name: str, **shapes) -> nn.Module:
    torch.manual_seed(0)
    return models.create(name, **{**SHAPES["forecasting"], **shapes}, **ARGUMENTS[name]).eval()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("masked", [False, True])
def test_scale_and_offset_of_each_channel_go_through(name, masked):
    x = inputs("forecasting", 5) if masked else torch.randn(5, 24, 3)
    model = small(name, **({} if masked else PLAIN))
    scale, offset = torch.tensor([10.0, 100.0, 7.0]), torch.tensor([-3.0, 40.0, 0.0])
    moved = x[..., :3] * scale + offset
    if masked:
        moved = torch.cat([moved * x[..., 3:], x[..., 3:]], 2)
    torch.testing.assert_close(model(moved), model(x) * scale + offset, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_missing_values_count_in_nothing(name):
    model, x = small(name), inputs("forecasting", 4)
    expected = model(x)
    x[..., :3] = torch.where(x[..., 3:] == 1, x[..., :3], 1e3)
    torch.testing.assert_close(model(x), expected)
    less = x.clone()
    less[:, 5, 3] = 1 - less[:, 5, 3]
    assert not torch.allclose(model(less)[..., 0], expected[..., 0])


@pytest.mark.parametrize("name", NAMES)
def test_the_network_sees_standardised_values_and_the_mask(name, monkeypatch):
    model, x, seen = small(name), inputs("forecasting", 4), []
    monkeypatch.setattr(model, "forecast", lambda series: seen.append(series) or torch.zeros(4, 3, 12))
    model(x)
    values, observed = seen[0].split(24, 2)
    assert torch.equal(observed, x[..., 3:].transpose(1, 2))
    for series, mask in zip(values.flatten(0, 1), observed.flatten(0, 1).bool(), strict=True):
        assert not series[~mask].any()
        assert series[mask].mean().abs() < 1e-5 and series[mask].std(correction=0) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_a_series_without_any_observation_gives_finite_numbers(name):
    model = small(name).train()
    out = model(torch.zeros(2, 24, 6))
    out.square().sum().backward()
    assert out.isfinite().all() and all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_what_is_added_back_is_the_mean(name):
    """A head of zeros forecasts the mean of the window, a constant one too."""
    model = small(name)
    for parameter in model.head.parameters():
        parameter.data.zero_()
    x = torch.cat([torch.randn(2, 24, 3), torch.ones(2, 24, 3)], 2)
    x[..., 1] = 5
    torch.testing.assert_close(model(x), x[..., :3].mean(1, keepdim=True).expand(-1, 12, -1))


def test_who_sees_whom():
    for name, others in (("forecaster_transformer", True), ("forecaster_mlp", False)):
        model, x = small(name, **PLAIN), torch.randn(2, 24, 3, requires_grad=True)
        (gradient,) = torch.autograd.grad(model(x)[..., 0].square().sum(), x)
        assert gradient[..., 0].any() and bool(gradient[..., 1:].any()) == others


def test_without_hidden_layers_it_is_linear():
    model = models.create("forecaster_mlp", **PLAIN, hidden=())
    assert [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear)] == ["head"]
    assert model(torch.randn(2, 24, 3)).shape == (2, 12, 3)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            {"input_shape": (24, 5)},
            r"5 input channels do not fit 3 .*; use input_shape=\(24, 3\), or \(24, 6\) with a mask",
        ),
        ({"input_shape": (24,)}, r"input_shape=\(24,\) is not \(time steps, channels\); write e.g. \(96, 26\)"),
        ({"output_shape": (0, 3)}, r"output_shape=\(0, 3\) is not \(time steps, channels\)"),
        ({"hidden": 0}, "hidden=0 is not a whole number of at least 1"),
    ],
)
def test_wrong_arguments_say_what_to_do(name, arguments, says):
    with pytest.raises(TBNError, match=says):
        models.create(name, **{**PLAIN, **arguments})


def test_heads_that_do_not_divide():
    with pytest.raises(TBNError, match="heads=5 does not divide dim=256; use dim=255"):
        models.create("forecaster_transformer", heads=5)
