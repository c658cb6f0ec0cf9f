"""Cases of layers in other orders than the paper's (``kernels.ordered``), run as ``triton_cases.py`` is: "interleaved" goes to the Triton
kernels, "inputs" and "rolled" have one copy of each row and go to torch; all of them equal the weight written out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from kernels import dispatch, triton_conv, triton_linear
from kernels.cpu import engine
from kernels.layout import TileGeometry, Window, geometry_of, pack_bits
from kernels.ordered import Ordered
from kernels.orders import Order, from_blocks
from kernels.triton_signs import INTERPRETED
from tests.kernels.kernel_layers import relative_error

DEVICE = "cpu" if INTERPRETED else "cuda"
TOLERANCE = {torch.float32: 1e-5, torch.float16: 1e-3, torch.bfloat16: 1e-2}
SHAPES = [(64, 48, 4), (48, 64, 16), (12, 257, 6), (130, 40, 2)]  # outputs, inputs, p, which divides the outputs
ENGINES = {"interleaved": "triton", "inputs": "torch", "rolled": "torch"}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What multiplied, in order: "triton" or "torch". In the interpreter the dispatch is told that there is a GPU, and no C kernel."""
    found: list[str] = []

    def watched(module: object, name: str, says: str) -> None:
        function = getattr(module, name)

        def call(*given: Any, **named: Any) -> Any:
            assert all(each.order == "rows" for each in given if isinstance(each, TileGeometry))
            found.append(says)
            return function(*given, **named)

        monkeypatch.setattr(module, name, call)

    if INTERPRETED:
        monkeypatch.setattr(dispatch, "uses_triton", lambda x: True)
        monkeypatch.setenv("TBN_CPU", "torch")
        engine.engine.cache_clear()
    watched(triton_linear, "tiled_linear", "triton")
    watched(triton_conv, "tiled_conv", "triton")
    watched(dispatch, "linear_torch", "torch")
    watched(dispatch, "conv_torch", "torch")
    yield found
    engine.engine.cache_clear()


def _numbers(shape: tuple[int, ...], p: int, order: Order, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Tile, alphas and the weight that they stand for, from the definition of the orders alone: (``shape``) float32."""
    geometry = geometry_of(shape, p, order)
    signs = torch.randint(0, 2, (geometry.tile_length,), device=DEVICE).float() * 2 - 1
    alphas = torch.rand(count, device=DEVICE) + 0.1
    blocks = alphas.expand(p)[:, None] * signs
    return pack_bits(signs), alphas, from_blocks(blocks, shape, order).contiguous()


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("order", ENGINES)
@pytest.mark.parametrize(("outputs", "inputs", "p"), SHAPES)
@torch.no_grad()
def test_linear(outputs: int, inputs: int, p: int, order: Order, dtype: torch.dtype, calls: list[str]) -> None:
    for count, activation in ((p, "gelu"), (1, "relu")):
        tile, alphas, weight = _numbers((outputs, inputs), p, order, count)
        bias, gain = torch.randn(outputs, device=DEVICE), torch.randn(outputs, device=DEVICE)
        x = torch.randn(3, 5, inputs, device=DEVICE).to(dtype)
        layer = dispatch.prepare(tile, alphas, geometry_of((outputs, inputs), p, order), dtype, None, gain, activation)
        scaled = x.float() @ (weight * gain[:, None]).T + bias
        calls.clear()
        found = dispatch.linear(x, layer, bias.to(dtype))
        assert (
            found.dtype == dtype
            and relative_error(found, dispatch.ACTIVATIONS[activation](scaled)) < 3 * TOLERANCE[dtype]
        )
        assert calls == [ENGINES[order]]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("order", ENGINES)
@pytest.mark.parametrize("groups", [1, 2])
@torch.no_grad()
def test_convolution(groups: int, order: Order, dtype: torch.dtype, calls: list[str]) -> None:
    """In groups equal rows see different channels, so that no order goes to Triton."""
    window = Window((3, 3), (1, 2), (1, 1), (1, 1), groups)
    for outputs, channels, p in ((32, 16, 4), (12, 32, 4)):
        shape = (outputs, channels // groups, 3, 3)
        for count in (1, p):
            tile, alphas, weight = _numbers(shape, p, order, count)
            bias = torch.randn(outputs, device=DEVICE)
            x = torch.randn(2, channels, 9, 8, device=DEVICE).to(dtype)
            layer = dispatch.prepare(tile, alphas, geometry_of(shape, p, order), dtype, window)
            expected = dispatch.convolve(x.float(), weight, bias, window)
            calls.clear()
            found = dispatch.conv(x, layer, bias.to(dtype))
            assert relative_error(found, expected) < 3 * TOLERANCE[dtype]
            assert calls == [ENGINES[order] if groups == 1 else "torch"]


@torch.no_grad()
def test_interleaved_keeps_no_expanded_weight(calls: list[str]) -> None:
    """On the kernel the layer behind "interleaved" is read as bits; the binary layer behind "inputs" is written out once for torch."""
    for order in ("interleaved", "inputs"):
        tile, alphas, _ = _numbers((64, 48), 4, order, 4)
        layer = dispatch.prepare(tile, alphas, geometry_of((64, 48), 4, order), torch.float32)
        for _ in range(2):
            dispatch.linear(torch.randn(3, 48, device=DEVICE), layer, None)
        assert isinstance(layer.ordered, Ordered)
        assert ("weight" in vars(layer.ordered.plain)) == (order == "inputs")
    assert calls == ["triton"] * 2 + ["torch"] * 2
