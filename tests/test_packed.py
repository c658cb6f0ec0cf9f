import copy
import pickle
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tbn import TBNError
from tbn.layers import TiledConv1d, TiledConv2d, TiledConv3d, TiledLayer, TiledLinear, TiledTransposedLinear
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
        (TiledConv3d(8, 12, (1, 3, 3), **common), torch.randn(2, 8, 4, 7, 5)),
    ):
        packed = packed_from(layer)
        close(packed(x), layer(x).detach())
        close(packed(x[0]), layer(x[0]).detach())  # without a batch
        assert packed.computed_rows == (12 if groups > 1 or p == 1 else {4: 3, 6: 2}[p])


@pytest.mark.parametrize("padding_mode", ["zeros", "replicate"])
@pytest.mark.parametrize("p", [2, 3])
def test_the_same_size_with_even_kernels(padding_mode, p):
    """torch then puts one more on the end than on the start."""
    common = {"padding": "same", "padding_mode": padding_mode, "p": p}
    for layer, x in (
        (TiledConv1d(2, 6, 4, **common), torch.randn(2, 2, 7)),
        (TiledConv2d(2, 6, (4, 3), dilation=(1, 2), **common), torch.randn(2, 2, 6, 7)),
        (TiledConv2d(2, 6, (2, 4), dilation=(3, 1), **common), torch.randn(2, 2, 6, 7)),
        (TiledConv3d(2, 6, (2, 3, 2), **common), torch.randn(2, 2, 4, 5, 3)),
    ):
        packed = packed_from(layer)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Using padding='same' with even kernel lengths", UserWarning)
            expected = layer(x).detach()
        close(packed(x), expected)
        close(packed(x[0]), expected[0])


def test_bits_are_one_each_and_only_distinct_rows_are_multiplied():
    packed = packed_from(TiledLinear(784, 128, bias=False, p=4))
    assert packed.tile.numel() == 3136 and packed.tile.dtype == torch.uint8
    assert packed.prepared(torch.float32).weight.shape == (32, 784)


LAYERS = {  # name: layer, shape of an input
    "linear": (lambda: TiledLinear(48, 64, p=4), (3, 48)),
    "pieces": (lambda: TiledLinear(48, 10, p=4), (2, 3, 48)),  # a row has several alphas
    "nothing shared": (lambda: TiledLinear(48, 7, p=4), (3, 48)),
    "transposed": (lambda: TiledTransposedLinear(48, 20, p=4), (3, 48)),
    "transposed pieces": (lambda: TiledTransposedLinear(10, 48, p=4), (3, 10)),
    "conv1d": (lambda: TiledConv1d(4, 8, 3, stride=2, p=4), (2, 4, 9)),
    "conv2d": (lambda: TiledConv2d(4, 16, 3, padding=1, p=4), (2, 4, 6, 5)),
    "conv2d pieces": (lambda: TiledConv2d(4, 10, 3, padding="same", padding_mode="reflect", p=4), (2, 4, 6, 5)),
    "grouped": (lambda: TiledConv2d(4, 8, 3, groups=2, p=4), (2, 4, 6, 5)),
    "conv3d": (lambda: TiledConv3d(2, 8, 2, p=4), (2, 2, 4, 3, 5)),
    "interleaved": (lambda: TiledConv2d(4, 16, 3, padding=1, p=4, order="interleaved"), (2, 4, 6, 5)),
    "over inputs": (lambda: TiledLinear(48, 20, p=4, order="inputs"), (2, 3, 48)),
    "over inputs, pieces": (lambda: TiledLinear(10, 48, p=4, order="inputs"), (3, 10)),
    "rolled": (lambda: TiledConv2d(4, 16, 3, padding=1, p=4, order="rolled"), (2, 4, 6, 5)),
}


@pytest.fixture(params=LAYERS)
def pair(request) -> tuple[TiledLayer, torch.Tensor]:
    """A tiled layer of each kind, and an input for it."""
    make, shape = LAYERS[request.param]
    return make(), torch.randn(shape)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float16, 3e-3), (torch.bfloat16, 2e-2)])
def test_other_dtypes(pair, dtype, tolerance):
    """A cast layer, and one that stayed float32, give the dtype of their input; the alphas stay float32."""
    layer, x = pair
    expected = layer(x).detach()
    packed = packed_from(layer)
    for one in (packed, packed.to(dtype)):
        found = one(x.to(dtype))
        assert found.dtype == dtype and one.alphas.dtype == torch.float32
        assert (found.float() - expected).abs().max() < tolerance * expected.abs().max()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_gives_what_it_gives_of_a_dense_layer(pair, dtype):
    layer, x = pair
    packed = packed_from(layer)
    expected = layer(x).detach()
    packed(x)  # as float32 before, in between and behind
    for gain in (None, torch.ones(packed.outputs)):
        packed.gain = None if packed.transposed else gain
        with torch.autocast("cpu", dtype):
            found, dense = packed(x), layer(x)
        assert found.dtype == dense.dtype == dtype and found.shape == dense.shape
        assert (found.float() - expected).abs().max() < 3e-2 * expected.abs().max()
        with torch.autocast("cpu", dtype, enabled=False):
            close(packed(x), expected)
        with torch.autocast("cpu", dtype):
            assert packed(x.double()).dtype == torch.float64, "autocast leaves float64 alone"
            assert packed(x.to(dtype)).dtype == dtype


def test_a_change_in_place_is_noticed():
    for make, shape in (LAYERS["linear"], LAYERS["conv2d"], LAYERS["transposed"]):
        packed, x = packed_from(make()), torch.randn(shape)
        packed.bias.zero_()
        before = packed(x)
        packed.alphas.mul_(2)
        close(packed(x), 2 * before)
        packed.tile.bitwise_not_()
        close(packed(x), -2 * before)
        if not packed.transposed:
            packed.gain = torch.ones(packed.outputs)
            close(packed(x), -2 * before)
            packed.gain.mul_(0.5)
            close(packed(x), -before)
            packed.activation = "relu"
            close(packed(x), (-before).relu())
            packed.gain, packed.activation = None, "none"
        packed.tile = packed.tile.bitwise_not()
        close(packed(x), 2 * before)


def test_a_tensor_in_the_place_of_a_freed_one_is_another():
    """Python gives the address of what it freed to what comes next."""
    packed, x = packed_from(TiledLinear(16, 8, bias=False, p=4)), torch.randn(3, 16)
    unit = packed(x)
    for factor in range(2, 20):
        packed.alphas = packed.alphas * factor
        close(packed(x), unit * factor)
        packed.alphas = packed.alphas / factor


def test_the_cache_follows_load_and_cast():
    a, b = (packed_from(TiledLinear(16, 8, p=4)) for _ in range(2))
    x = torch.randn(3, 16)
    a(x)
    a.load_state_dict(b.state_dict())
    assert torch.equal(a(x), b(x))
    a.load_state_dict(
        {name: tensor * 2 if name == "alphas" else tensor for name, tensor in b.state_dict().items()}, assign=True
    )
    close(a(x) - a.bias, 2 * (b(x) - b.bias))
    a.alphas.div_(2)
    a.bfloat16()
    assert a.alphas.dtype == torch.float32 and a.bias.dtype == torch.bfloat16
    out = a(x.bfloat16())
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), b(x), rtol=0.05, atol=0.05)


def test_casts_there_and_back_cost_the_factors_nothing():
    packed = packed_from(TiledLinear(16, 8, p=4))
    packed.gain = torch.rand(8)
    alphas, gain = packed.alphas.clone(), packed.gain.clone()
    packed.half().double().float()
    assert torch.equal(packed.alphas, alphas) and torch.equal(packed.gain, gain)
    empty = packed_from(TiledLinear(16, 8, p=4)).bfloat16().to("meta").to_empty(device="cpu")
    assert empty.alphas.dtype == torch.float32 and empty.bias.dtype == torch.bfloat16 and empty.tile.is_cpu


def test_copies_and_pickles_work_after_use(pair):
    layer, x = pair
    packed = packed_from(layer)
    expected = packed(x)
    for other in (copy.deepcopy(packed), pickle.loads(pickle.dumps(packed))):
        assert other._ready is None, "what is expanded is not copied"
        assert torch.equal(other(x), expected)
        other.alphas.zero_()
    assert torch.equal(packed(x), expected)


def test_a_layer_made_in_inference_mode():
    """torch counts no writes to its tensors; a load is noticed all the same."""
    with torch.inference_mode():
        packed, other = (packed_from(TiledLinear(16, 8, p=4)) for _ in range(2))
        packed(torch.randn(2, 16))
    x = torch.randn(2, 16)
    packed(x)
    with torch.inference_mode():
        packed.load_state_dict(other.state_dict())
        assert torch.equal(packed(x), other(x))


def test_inputs_get_gradients(pair):
    layer, x = pair
    packed = packed_from(layer)
    with torch.inference_mode():
        packed(x)  # what is expanded here serves below
    x, y = x.clone().requires_grad_(), x.clone().requires_grad_()
    layer(x).square().sum().backward()
    packed(y).square().sum().backward()
    close(y.grad, x.grad)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")  # torch's own use in jvp
def test_transforms_of_functions(pair):
    layer, x = pair
    packed = packed_from(layer)
    expected = packed(x)
    close(torch.vmap(packed)(x), expected)
    gradient = torch.func.grad(lambda x: packed(x).square().sum())(x)
    (wanted,) = torch.autograd.grad(layer(leaf := x.clone().requires_grad_()).square().sum(), leaf)
    close(gradient, wanted)
    tangent = torch.randn_like(x)
    close(torch.func.jvp(packed, (x,), (tangent,))[1], layer(tangent).detach() - layer(torch.zeros_like(x)).detach())
    two = {name: torch.stack([tensor, tensor]) for name, tensor in packed.state_dict().items()}
    both = torch.vmap(lambda state: torch.func.functional_call(packed, state, (x,)))(two)
    close(both, torch.stack([expected, expected]))
    assert torch.equal(packed(x), expected)


def test_layouts_and_empty_batches(pair):
    layer, x = pair
    packed = packed_from(layer)
    expected = layer(x).detach()
    close(packed(x.mT.contiguous().mT), expected)
    close(packed(torch.stack([x, x], -1)[..., 0]), expected)
    if x.dim() == 4:
        close(packed(x.to(memory_format=torch.channels_last)), expected)
    close(packed(x[:1].expand(3, *x.shape[1:])), layer(x[:1].expand(3, *x.shape[1:])).detach())
    assert packed(x[:0]).shape == layer(x[:0]).shape
    described = packed.to("meta")(x.to("meta"))
    assert described.is_meta and described.shape == expected.shape


def test_wrong_inputs_are_refused(pair):
    layer, x = pair
    packed = packed_from(layer)
    for dtype in (torch.int64, torch.uint8, torch.bool, torch.complex64, torch.float8_e4m3fn):
        with pytest.raises(
            TBNError, match=rf"{type(packed).__name__} got {dtype} for input; give it a tensor of floats"
        ):
            packed(x.to(dtype))
    for other in (x.numpy(), x.tolist(), None):
        with pytest.raises(
            TBNError, match=rf"got {type(other).__name__} for input; give it a tensor of floats, x.float"
        ):
            packed(other)
    own = packed.window is not None and (not packed.share or packed.order == "rolled")
    if not own:  # torch's own convolution takes a description of an input with any weight
        for expanded in (False, True):
            if expanded:
                packed(x)
            with pytest.raises(RuntimeError, match="device meta.*device cpu|device cpu.*device meta"):
                packed(x.to("meta"))
    axis = -1 if packed.window is None else 1
    narrow = x.narrow(axis, 0, x.shape[axis] - 1)
    for wrong in (narrow, narrow[:0]):
        if packed.window is None:
            message = "cannot be multiplied|size mismatch|got an input of shape.*; its last axis must have"
        else:
            message = "to have 4 channels|to have 2 channels"
        with pytest.raises((RuntimeError, TBNError), match=message):
            packed(wrong)
    with pytest.raises((RuntimeError, TBNError), match="at least 1D|last axis must have|Expected|Padding length"):
        packed(torch.tensor(1.0))


def test_the_state_of_another_layer_is_refused():
    packed = packed_from(TiledLinear(16, 8, p=4))
    for other in (TiledLinear(16, 8, p=2), TiledLinear(16, 8, p=4, alpha="layer"), TiledLinear(16, 8, bias=False, p=4)):
        with pytest.raises(RuntimeError, match="size mismatch for|Missing key"):
            packed.load_state_dict(packed_from(other).state_dict())


def test_no_other_layer_is_packed():
    with pytest.raises(TypeError, match="ReLU"):
        packed_like(nn.ReLU(), 1, 1)
