"""Who sees whom in Swin's windows, read off the gradients."""

import pytest
import torch

from tbn.models.windows import WindowAttention


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("grid", [(8, 8), (7, 5), (3, 6), (3, 4), (1, 1)])
def test_a_token_sees_its_window_and_nothing_else(grid, shifted):
    torch.manual_seed(1)
    layer = WindowAttention(4, 2, grid, window=4, shifted=shifted)
    x = torch.randn(1, *grid, 4, requires_grad=True)
    out = layer(x)
    assert out.shape == x.shape and out.isfinite().all()
    shift = 2 if shifted and max(grid) > 4 else 0
    windows = [[(i - shift) // 4 for i in range(n)] for n in grid]
    for i in range(grid[0]):
        for j in range(grid[1]):
            (seen,) = torch.autograd.grad(out[0, i, j].square().sum(), x, retain_graph=True)
            expected = [
                [(windows[0][k], windows[1][m]) == (windows[0][i], windows[1][j]) for m in range(grid[1])]
                for k in range(grid[0])
            ]
            assert torch.equal(seen[0].abs().sum(-1) > 0, torch.tensor(expected))


def test_the_position_bias_is_that_of_the_offset():
    index = WindowAttention(4, 1, (6, 6), window=3, shifted=False).index
    found = {}
    for a in range(9):
        for b in range(9):
            offset = a // 3 - b // 3, a % 3 - b % 3
            assert found.setdefault(offset, int(index[a, b])) == int(index[a, b])
    assert len(set(found.values())) == len(found) == 25
