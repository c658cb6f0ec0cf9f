import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tbn.tiling import alphas_of, binary_weight, nearest_factors, tile_of, tiled_weight
from tests import naive


@st.composite
def cases(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor, int, str]:
    p, q = draw(st.integers(1, 8)), draw(st.integers(1, 12))
    rows = draw(st.sampled_from([d for d in range(1, p * q + 1) if p * q % d == 0]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    weight = torch.randint(
        -3, 4, (rows, p * q // rows), generator=generator
    ).double()  # whole numbers: sums of 0 are common
    source = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
    return weight, source, p, draw(st.sampled_from(["tile", "layer"]))


@given(cases())
def test_equals_the_loops(case):
    weight, source, p, per = case
    torch.testing.assert_close(tiled_weight(weight, source, p, per), naive.tiled_weight(weight, source, p, per))


@given(cases())
def test_gradients_equal_the_closed_forms(case):
    """dL/dW_f = dL/dw_f * alpha of f's block (identity STE through b); dL/dA_f = sign(A_f) / |block| * sum over the block of dL/dw * tile."""
    weight, source, p, per = case
    weight, source = weight.requires_grad_(), source.requires_grad_()
    upstream = torch.randn(weight.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (tiled_weight(weight, source, p, per) * upstream).sum().backward()
    blocks = p if per == "tile" else 1
    alphas = alphas_of(source.detach(), p, per)
    signs = tile_of(weight.detach(), p).repeat(p)
    flow = upstream.reshape(blocks, -1)
    torch.testing.assert_close(weight.grad, (flow * alphas[:, None]).reshape(weight.shape))
    per_block = (flow * signs.reshape(blocks, -1)).mean(1, keepdim=True)
    torch.testing.assert_close(
        source.grad, (source.detach().reshape(blocks, -1).sign() * per_block).reshape(source.shape)
    )


def test_straight_through_gradient_is_the_identity():
    weight = torch.randn(4, 6, requires_grad=True)
    upstream = 100 * torch.randn(4, 6)  # large: a clipped estimator would differ
    binary_weight(weight, 4).backward(upstream)
    assert torch.equal(weight.grad, upstream)


def test_latent_source_gets_both_paths():
    weight = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(4, 6, dtype=torch.float64)
    tiled_weight(weight, weight, 2).backward(upstream)
    a, b = (weight.detach().clone().requires_grad_() for _ in range(2))
    tiled_weight(a, b, 2).backward(upstream)
    torch.testing.assert_close(weight.grad, a.grad + b.grad)


def test_sum_of_zero_gives_minus_one():
    weight = torch.tensor([[1.0, 2.0, 0.0], [-1.0, -1.0, 0.0]])
    assert tile_of(weight, 2).tolist() == [-1.0, 1.0, -1.0]


def test_the_sum_decides_not_the_majority():
    assert tile_of(torch.tensor([5.0, -1.0, -1.0]), 3).tolist() == [1.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_keeps_the_dtype(dtype):
    weight = torch.randn(4, 4).to(dtype)
    assert tiled_weight(weight, weight, 4).dtype == dtype


def test_half_precision_sums_do_not_overflow():
    assert alphas_of(torch.full((1 << 20,), 0.25, dtype=torch.float16), 2).tolist() == [0.25, 0.25]


@pytest.mark.parametrize("per", ["tile", "layer"])
def test_nothing_weight_sized_is_kept_for_the_backward_pass(per):
    """Of a layer with N weights autograd keeps the tile, the alphas and the alpha source itself: no copy of N numbers."""
    weight, source = (torch.randn(64, 64, requires_grad=True) for _ in range(2))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        tiled_weight(weight, source, 4, per)
    own = source.untyped_storage().data_ptr()
    assert kept and all(tensor.numel() <= 64 * 64 // 4 or tensor.untyped_storage().data_ptr() == own for tensor in kept)


def test_a_factor_that_does_not_divide_names_the_nearest():
    with pytest.raises(ValueError, match="p=3 does not divide the 1024 weights; nearest are 2 and 4"):
        tile_of(torch.zeros(32, 32), 3)
    assert nearest_factors(7, 5) == "; nearest are 1 and 7"
