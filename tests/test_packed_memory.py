"""What a packed layer allocates: its output at inference, and no more than its distinct rows when it is first used; never a weight.

Measured as the allocations and releases that torch's profiler sees, so it needs no quiet machine.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from tbn.packed import PackedConv2d, PackedLayer, PackedLinear, PackedTransposedLinear
from tests.engines import ENGINES, forced


def peak_bytes(call: Callable[[], object]) -> int:
    """Most bytes of tensors held at once that were allocated during the call."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as seen:
        call()
    assert seen.profiler is not None
    events = [event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = highest = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        highest = max(highest, held)
    return highest


def filled(layer: PackedLayer) -> PackedLayer:
    layer.tile.random_(0, 256)
    layer.alphas.uniform_(0.1, 1)
    return layer


def kept_bytes(layer: PackedLayer) -> int:
    """Bytes of what the engine expanded and keeps beside the layer's own tensors."""
    own = {id(tensor) for tensor in layer.buffers()}
    ready = layer.prepared(torch.float32)
    parts = [ready] if layer.order == "rows" else [ready, ready.ordered.plain, *filter(None, [ready.ordered.folding])]
    kept = [value for part in parts for value in vars(part).values()]
    tensors = [
        one for value in kept for one in (value if isinstance(value, tuple) else (value,)) if torch.is_tensor(one)
    ]
    return sum(tensor.nbytes for tensor in tensors if id(tensor) not in own)


@pytest.mark.parametrize("chosen", ENGINES)
@torch.no_grad()
def test_a_big_linear_layer(chosen: str) -> None:
    layer = filled(PackedLinear(4096, 4096, True, p=8, alpha_count=8))
    weight, rows, output = 4 * 4096 * 4096, 4 * 512 * 4096, 4 * 4096
    one, many = torch.randn(1, 4096), torch.randn(64, 4096)
    assert peak_bytes(layer.dense_weight) >= weight, "a weight would be seen"
    with forced(chosen) as calls:
        assert peak_bytes(lambda: layer(one)) <= 1.3 * rows + 4 * output
        assert peak_bytes(lambda: layer(one)) <= 2 * output
        assert peak_bytes(lambda: layer(many)) <= 3 * 64 * output
        assert kept_bytes(layer) <= (rows if chosen == "torch" else 1.1 * layer.tile.nbytes) + 4 * output
        assert bool(calls) == (chosen != "torch")


@pytest.mark.parametrize("chosen", ENGINES)
@torch.no_grad()
def test_a_convolution(chosen: str) -> None:
    layer = filled(PackedConv2d(512, 512, (3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros", True, p=8, alpha_count=8))
    rows, output = 4 * 64 * 512 * 9, 4 * 512 * 7 * 7
    x = torch.randn(1, 512, 7, 7)
    with forced(chosen) as calls:
        assert peak_bytes(lambda: layer(x)) <= 2.2 * rows + 4 * output  # torch's convolution lays the filters out anew
        assert peak_bytes(lambda: layer(x)) <= (1.1 * rows if chosen == "torch" else rows / 2) + 4 * output
        assert kept_bytes(layer) <= (rows if chosen == "torch" else 1.1 * layer.tile.nbytes) + output
        assert bool(calls) == (chosen != "torch")


@pytest.mark.parametrize("count", [1, 8])
@torch.no_grad()
def test_a_layer_over_its_inputs(count: int) -> None:
    """It keeps the signs behind the sums of its inputs, once."""
    layer = filled(PackedLinear(2048, 1024, True, p=8, alpha_count=count, order="inputs"))
    with forced("torch"):
        layer(torch.randn(1, 2048))
        assert 0 < kept_bytes(layer) <= 1.1 * 4 * 256 * 1024


@torch.no_grad()
def test_layers_that_only_torch_multiplies() -> None:
    """The transposed layer, and one whose rows have several alphas: a few rows more, and the signs that they are cut from."""
    across = filled(PackedTransposedLinear(2048, 1024, True, p=8, alpha_count=8))
    x = torch.randn(1, 2048)
    assert peak_bytes(lambda: across(x)) <= 1.3 * 4 * 256 * 1024 + 8 * x.nbytes
    assert peak_bytes(lambda: across(x)) <= 2 * x.nbytes
    pieces = filled(PackedLinear(2048, 1000, True, p=16, alpha_count=16))
    x = torch.randn(1, 2048)
    assert peak_bytes(lambda: pieces(x)) <= 2.6 * 4 * pieces.computed_rows * 2048
    assert peak_bytes(lambda: pieces(x)) <= 8 * x.nbytes
