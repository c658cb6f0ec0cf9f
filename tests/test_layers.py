import pytest
import torch
from torch import nn

from tbn.layers import TiledConv1d, TiledConv2d, TiledLinear, tiled_from
from tests import naive


@pytest.mark.parametrize("alpha", ["tile", "layer"])
@pytest.mark.parametrize("alpha_source", ["separate", "latent"])
def test_linear_equals_the_loops(alpha, alpha_source):
    layer = TiledLinear(6, 8, p=4, alpha=alpha, alpha_source=alpha_source).double()
    x = torch.randn(3, 6, dtype=torch.float64)
    weight = naive.tiled_weight(layer.weight, layer.source, 4, alpha)
    torch.testing.assert_close(layer(x), naive.linear(x, weight, layer.bias))


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"), [(1, 0, 1, 1), (2, 1, 1, 1), (1, 2, 2, 2), (1, 1, 1, 4)]
)
def test_conv2d_equals_the_loops(stride, padding, dilation, groups):
    layer = TiledConv2d(4, 8, 3, stride=stride, padding=padding, dilation=dilation, groups=groups, p=4).double()
    x = torch.randn(2, 4, 7, 6, dtype=torch.float64)
    weight = naive.tiled_weight(layer.weight, layer.source, 4, "tile")
    torch.testing.assert_close(layer(x), naive.conv2d(x, weight, layer.bias, stride, padding, dilation, groups))


@pytest.mark.parametrize("padding_mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [2, "same"])
def test_convolutions_are_torchs_with_the_tiled_weight(padding_mode, padding):
    one = TiledConv1d(4, 6, 5, padding=padding, padding_mode=padding_mode, p=3)
    two = TiledConv2d(4, 6, (3, 5), padding=(1, 2) if padding == 2 else padding, padding_mode=padding_mode, p=3)
    for layer, kind, x in ((one, nn.Conv1d, torch.randn(2, 4, 9)), (two, nn.Conv2d, torch.randn(2, 4, 9, 8))):
        twin = kind(4, 6, layer.kernel_size, padding=layer.padding, padding_mode=padding_mode)
        twin.load_state_dict({"weight": layer.tiled_weight.detach(), "bias": layer.bias})
        torch.testing.assert_close(layer(x), twin(x))


def test_the_latent_weight_gets_a_gradient():
    layer = TiledLinear(6, 8, p=4)
    layer(torch.randn(3, 6)).square().sum().backward()
    assert layer.weight.grad.abs().min() > 0
    assert layer.alpha_source.grad.abs().min() > 0


def test_a_dense_checkpoint_loads_as_the_latent_weights():
    dense, tiled = nn.Linear(6, 8), TiledLinear(6, 8, p=4)
    before = tiled.alpha_source.detach().clone()
    tiled.load_state_dict(dense.state_dict())
    assert torch.equal(tiled.weight, dense.weight) and torch.equal(tiled.alpha_source, before)
    assert set(tiled.state_dict()) == {"weight", "bias", "alpha_source"}
    with pytest.raises(RuntimeError, match="weight"):
        tiled.load_state_dict({"bias": dense.bias})


def test_the_twin_shares_the_dense_layers_parameters():
    conv = nn.Conv2d(4, 8, 3, stride=2, padding="valid", bias=False, groups=2, dtype=torch.float64).eval()
    twin = tiled_from(conv, 4, "tile", "separate")
    assert twin.weight is conv.weight and twin.bias is None and not twin.training
    assert twin.alpha_source.dtype == torch.float64 and twin.alpha_source.device == conv.weight.device
    assert (
        twin(torch.randn(1, 4, 9, 9, dtype=torch.float64)).shape
        == conv(torch.randn(1, 4, 9, 9, dtype=torch.float64)).shape
    )


@pytest.mark.parametrize("arguments", [{"p": 5}, {"p": 0}, {"alpha": "row"}, {"alpha_source": "both"}])
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match="does not divide|unknown"):
        TiledLinear(6, 8, **arguments)
