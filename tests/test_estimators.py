"""Each estimator's gradient against its definition."""

import pytest
import torch

from tbn.estimators import ESTIMATORS, gate, power_at
from tbn.tiling import alphas_of, tiled_weight


def gradient(weight: torch.Tensor, upstream: torch.Tensor, p: int, **options: object) -> torch.Tensor:
    weight = weight.clone().requires_grad_()
    tiled_weight(weight, torch.ones_like(weight), p, **options).backward(upstream)
    return weight.grad


WEIGHT = torch.tensor([[0.1, -2.0, 9.0, -0.4], [0.2, 0.0, 3.0, 0.1]])  # sums over two blocks: 0.3, -2, 12, -0.3
SIZES = torch.tensor([0.3, 2.0, 12.0, 0.3]) / 3.65
UPSTREAM = torch.arange(1.0, 9.0).reshape(2, 4)


def test_the_paper_s_is_the_identity():
    assert torch.equal(gradient(WEIGHT, UPSTREAM, 2), UPSTREAM)


def test_of_the_tile_is_the_sum_over_the_blocks():
    assert torch.equal(gradient(WEIGHT, UPSTREAM, 2, estimator="tile"), UPSTREAM.sum(0).expand(2, -1))


def test_clipped_stops_where_the_sign_is_sure():
    assert torch.equal(gradient(WEIGHT, UPSTREAM, 2, estimator="clip"), UPSTREAM * torch.tensor([1.0, 1.0, 0.0, 1.0]))


def test_hat_falls_to_nothing():
    torch.testing.assert_close(gradient(WEIGHT, UPSTREAM, 2, estimator="hat"), UPSTREAM * (1 - SIZES / 3).clamp(min=0))


def test_reste_grows_steeper():
    assert torch.equal(gate(WEIGHT.sum(0), "reste", 1.0), torch.ones(4)) and [power_at(x) for x in (0, 0.5, 1)] == [
        1,
        2,
        3,
    ]
    expected = (SIZES ** (1 / 3 - 1) / 3).clamp(max=4)
    torch.testing.assert_close(gradient(WEIGHT, UPSTREAM, 2, estimator="reste", power=3.0), UPSTREAM * expected)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_sum_of_zero_has_a_finite_gradient(estimator):
    assert gradient(torch.zeros(2, 4), torch.ones(2, 4), 2, estimator=estimator, power=3.0).isfinite().all()


@pytest.mark.parametrize("order", ["interleaved", "inputs", "rolled"])
def test_thresholds_follow_the_blocks_of_any_order(order):
    """The gate of a place in the tile reaches all weights that it stands in: the same weights with the gradient of the tile."""
    torch.manual_seed(0)
    weight = torch.randn(8, 6)
    passed = gradient(weight, torch.ones(8, 6), 4, order=order, estimator="clip")
    from kernels.orders import to_blocks

    blocks = to_blocks(passed, 4, order)
    assert torch.equal(blocks, blocks[:1].expand_as(blocks)) and torch.equal(
        blocks[0], gate(to_blocks(weight, 4, order).sum(0), "clip")
    )


def test_learned_alphas_get_the_gradient_of_their_block():
    weight, alphas = torch.randn(4, 6), torch.tensor([0.5, -0.25], requires_grad=True)
    out = tiled_weight(weight, alphas, 2)
    assert alphas_of(alphas, 2).tolist() == [0.5, 0.25]
    (out * UPSTREAM.repeat(1, 3).reshape(4, 6)).sum().backward()
    flow = (UPSTREAM.repeat(1, 3).reshape(2, 12) * out.detach().sign().reshape(2, 12)).sum(1)
    torch.testing.assert_close(alphas.grad, flow * torch.tensor([1.0, -1.0]))
