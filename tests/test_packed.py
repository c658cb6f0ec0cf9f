import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tbn.layers import TiledConv1d, TiledConv2d, TiledLinear, TiledTransposedLinear
from tbn.packed import packed_from, packed_like

shapes = st.tuples(
    st.integers(1, 12), st.integers(1, 12), st.integers(1, 9), st.sampled_from(["tile", "layer"]), st.booleans()
)


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5 * float(b.abs().max()) if b.numel() else 0)


@given(shapes)
def test_linear_equals_the_latent_layer(shape):
    rows, length, p, alpha, bias = shape
    length *= p  # so that p divides the weights, but not always the rows
    layer = TiledLinear(length, rows, bias, p=p, alpha=alpha)
    x = torch.randn(3, 2, length)
    close(packed_from(layer)(x), layer(x).detach())


@given(shapes)
def test_transposed_linear_equals_the_latent_layer(shape):
    inputs, outputs, p, alpha, bias = shape
    outputs *= p  # so that p divides the weights, but not always the inputs
    layer = TiledTransposedLinear(inputs, outputs, bias, p=p, alpha=alpha)
    x = torch.randn(3, 2, inputs)
    packed = packed_from(layer)
    close(packed(x), layer(x).detach())
    assert packed.outputs == outputs and packed.computed_rows <= inputs


def test_a_transposed_layer_multiplies_each_distinct_row_once():
    packed = packed_from(TiledTransposedLinear(784, 128, p=4))
    assert packed.computed_rows == 196 and packed.prepared(torch.float32).weight.shape == (196, 128)
    assert packed.bias.shape == (128,) and packed.dense_weight().shape == (784, 128)


@pytest.mark.parametrize(
    ("rows", "length", "p"), [(10, 128, 4), (6, 40, 16), (7, 64, 4), (13, 6, 6), (8, 1, 4), (4, 16, 8)]
)
@pytest.mark.parametrize("alpha", ["tile", "layer"])
@pytest.mark.parametrize("batch", [0, 1, 5])
def test_odd_shapes(rows, length, p, alpha, batch):
    layer = TiledLinear(length, rows, p=p, alpha=alpha)
    packed = packed_from(layer)
    x = torch.randn(batch, length)
    close(packed(x), layer(x).detach())
    assert packed.computed_rows <= rows


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("padding_mode", ["zeros", "reflect", "circular"])
@pytest.mark.parametrize("padding", [1, "same"])
@pytest.mark.parametrize("p", [1, 4, 6])
def test_convolutions_equal_the_latent_layer(groups, padding_mode, padding, p):
    common = {"groups": groups, "padding_mode": padding_mode, "padding": padding, "dilation": 2, "p": p}
    for layer, x in (
        (TiledConv1d(8, 12, 3, **common), torch.randn(2, 8, 11)),
        (TiledConv2d(8, 12, (3, 3), **common), torch.randn(2, 8, 9, 7)),
    ):
        packed = packed_from(layer)
        close(packed(x), layer(x).detach())
        close(packed(x[0]), layer(x[0]).detach())  # without a batch
        assert packed.computed_rows == (12 if groups > 1 or p == 1 else {4: 3, 6: 2}[p])


def test_bits_are_one_each_and_only_distinct_rows_are_multiplied():
    packed = packed_from(TiledLinear(784, 128, bias=False, p=4))
    assert packed.tile.numel() == 3136 and packed.tile.dtype == torch.uint8
    assert packed.prepared(torch.float32).weight.shape == (32, 784)


def test_the_cache_follows_load_and_cast():
    a, b = (packed_from(TiledLinear(16, 8, p=4)) for _ in range(2))
    x = torch.randn(3, 16)
    a(x)
    a.load_state_dict(b.state_dict())
    assert torch.equal(a(x), b(x))
    a.bfloat16()
    assert a.alphas.dtype == torch.float32 and a.bias.dtype == torch.bfloat16
    out = a(x.bfloat16())
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), b(x), rtol=0.05, atol=0.05)
    assert copy.deepcopy(a)._ready is None


def test_a_layer_made_in_inference_mode():
    with torch.inference_mode():
        packed = packed_from(TiledLinear(16, 8, p=4))
        packed(torch.randn(2, 16))
    packed(torch.randn(2, 16))


def test_inputs_get_gradients():
    layer = TiledLinear(16, 8, p=4)
    x, y = (torch.ones(2, 16, requires_grad=True) for _ in range(2))
    layer(x).sum().backward()
    packed_from(layer)(y).sum().backward()
    torch.testing.assert_close(x.grad, y.grad)


def test_a_wrong_width_is_an_error():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied|size mismatch"):
        packed_from(TiledLinear(16, 8, p=4))(torch.randn(2, 15))


def test_no_other_layer_is_packed():
    with pytest.raises(TypeError, match="ReLU"):
        packed_like(nn.ReLU(), 1, 1)
