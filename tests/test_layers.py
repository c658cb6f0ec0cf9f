import pytest
import torch
from torch import nn

from tbn.layers import TiledConv1d, TiledConv2d, TiledConv3d, TiledLinear, TiledTransposedLinear, tiled_from
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
    three = TiledConv3d(4, 6, (1, 3, 3), padding=(0, 1, 2) if padding == 2 else padding, padding_mode=padding_mode, p=3)
    for layer, kind, x in (
        (one, nn.Conv1d, torch.randn(2, 4, 9)),
        (two, nn.Conv2d, torch.randn(2, 4, 9, 8)),
        (three, nn.Conv3d, torch.randn(2, 4, 3, 5, 6)),
    ):
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


@pytest.mark.parametrize("alpha", ["tile", "layer"])
@pytest.mark.parametrize("bias", [True, False])
def test_transposed_linear_equals_the_loops(alpha, bias):
    layer = TiledTransposedLinear(6, 8, bias, p=4, alpha=alpha).double()
    assert layer.weight.shape == (6, 8) and (layer.bias is not None) == bias
    x = torch.randn(3, 6, dtype=torch.float64)
    weight = naive.tiled_weight(layer.weight, layer.source, 4, alpha)
    torch.testing.assert_close(layer(x), naive.linear(x, weight.T, layer.bias))
    assert "in_features=6, out_features=8" in repr(layer) and "p=4" in repr(layer)


KINDS = [
    (TiledLinear, (400, 300)),
    (TiledTransposedLinear, (400, 300)),
    (TiledConv2d, (40, 30, 3)),
    (TiledConv1d, (80, 30, 5)),
    (TiledConv3d, (40, 15, 2)),
]


@pytest.mark.parametrize(("kind", "shape"), KINDS)
def test_how_the_alpha_source_starts(kind, shape):
    """Variances of He et al. (arXiv 1502.01852) for n inputs of one output: 2 / n, and 1 / (3 n) for torch's default."""
    default, normal, copied = (kind(*shape, alpha_init=init) for init in ("default", "kaiming_normal", "weight"))
    inputs = normal.weight[:, 0].numel() if kind is TiledTransposedLinear else normal.weight[0].numel()
    assert normal.alpha_source.var().item() == pytest.approx(2 / inputs, rel=0.1)
    assert default.alpha_source.var().item() == pytest.approx(1 / (3 * inputs), rel=0.1)
    assert default.alpha_source.abs().max() <= inputs**-0.5
    assert torch.equal(copied.alpha_source, copied.weight) and copied.alpha_source is not copied.weight
    assert kind(*shape, alpha_source="latent", alpha_init="weight").alpha_source is None


def test_the_default_start_is_as_it_was():
    torch.manual_seed(0)
    layer = TiledLinear(6, 8, p=4)
    torch.manual_seed(0)
    expected = nn.Linear(6, 8), torch.nn.init.kaiming_uniform_(torch.empty(8, 6), a=5**0.5)
    assert torch.equal(layer.weight, expected[0].weight) and torch.equal(layer.alpha_source, expected[1])


def test_a_dense_checkpoint_sets_the_alpha_source_where_it_starts_from_the_weights():
    dense, tiled = nn.Linear(6, 8), TiledLinear(6, 8, p=4, alpha_init="weight")
    tiled.load_state_dict(dense.state_dict())
    assert torch.equal(tiled.alpha_source, dense.weight)
    torch.testing.assert_close(tiled.alphas, dense.weight.detach().reshape(4, -1).abs().mean(1))
    trained = TiledLinear(6, 8, p=4, alpha_init="weight")
    tiled.load_state_dict(trained.state_dict() | {"alpha_source": torch.ones(8, 6)})
    assert torch.equal(tiled.alpha_source, torch.ones(8, 6))  # a tiled checkpoint brings its own


@pytest.mark.parametrize("p", [1, 4])
def test_a_backward_pass_inside_autocast_is_that_after_it(p):
    layer, x = TiledLinear(64, 32, p=p), torch.randn(16, 64)
    found = []
    for inside in (True, False):
        layer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = layer(x).float().square().sum()
            if inside:
                loss.backward()
        if not inside:
            loss.backward()
        found.append((layer.weight.grad, layer.alpha_source.grad))
    for one, other in zip(*found, strict=True):
        assert one.dtype == torch.float32 and torch.equal(one, other)


@pytest.mark.parametrize(
    "arguments", [{"p": 5}, {"p": 0}, {"alpha": "row"}, {"alpha_source": "both"}, {"alpha_init": "zeros"}]
)
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match="does not divide|unknown"):
        TiledLinear(6, 8, **arguments)
