"""Axes in another order as one exchange of neighbours."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tbn.errors import TBNError
from tbn.integer.graph import steps_of
from tbn.integer.steps import SwapStep, ViewStep
from tbn.integer.views import swap


@given(st.data(), st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_a_swap_is_the_transposition(data: st.DataObject, shape: list[int]) -> None:
    order = tuple(data.draw(st.permutations(range(len(shape)))))
    found = swap(tuple(shape), order)
    numbers = np.arange(np.prod(shape)).reshape(shape)
    wanted = numbers.transpose(order).reshape(-1)
    if found is None:
        return
    blocks = numbers.reshape(found.outer, found.rows, found.columns, found.inner)
    np.testing.assert_array_equal(blocks.swapaxes(1, 2).reshape(-1), wanted)


def test_which_orders_one_exchange_reaches() -> None:
    """Of three axes all but the reversed one: it takes two."""
    assert [order for order in permutations(range(3)) if swap((2, 3, 4), order) is None] == [(2, 1, 0)]
    assert swap((2, 1, 4), (2, 1, 0)) == SwapStep(1, 2, 4, 1)
    assert swap((2, 3), (0, 1)) == SwapStep(1, 1, 1, 6)


class Turned(nn.Module):
    """A linear layer behind axes in another order."""

    def __init__(self, turn) -> None:
        super().__init__()
        self.turn, self.head = turn, nn.Linear(24, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.turn(x).flatten(1))


@pytest.mark.parametrize(
    ("turn", "kind"),
    [
        (lambda x: x.permute(0, 2, 3, 1), SwapStep),
        (lambda x: x.transpose(1, 3), None),
        (lambda x: x.transpose(-1, -2), SwapStep),
        (lambda x: torch.permute(x, (0, 1, 2, 3)), ViewStep),
        (lambda x: x.reshape(x.shape[0], x.shape[1] * 3, 4), ViewStep),
        (lambda x: x.unsqueeze(1).squeeze(1), ViewStep),
        (lambda x: x.transpose(0, 1), None),
    ],
)
def test_how_torch_writes_it(turn, kind) -> None:
    model = Turned(turn).eval()
    if kind is None:
        with pytest.raises(TBNError, match="only neighbouring axes change places|on the axis of the batch"):
            steps_of(model, (2, 3, 4))
        return
    steps = steps_of(model, (2, 3, 4))
    assert isinstance(steps[0].what, kind)
    x = torch.randn(5, 2, 3, 4)
    values = {"input": x}
    for step in steps:
        values[step.name] = step(*(values[source] for source in step.sources))
    torch.testing.assert_close(values[steps[-1].name], model(x))
