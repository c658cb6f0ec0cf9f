"""What only a GPU can show, run by ``test_triton.py`` where there is one: CUDA graphs, torch.compile with Inductor, autocast, no wait for the GPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kernels import reference, triton_linear
from kernels.layout import TileGeometry
from tbn.packed import PackedConv2d, PackedLinear
from tests.kernels.kernel_layers import layer, relative_error
from tests.kernels.triton_ops_cases import MODELS

pytestmark = pytest.mark.gpu
GEOMETRY = TileGeometry(1024, 1024, 8)


@pytest.mark.parametrize("batch", [1, 64, 300])
def test_a_cuda_graph_holds_a_layer(batch: int) -> None:
    tile, alphas, bias = layer(GEOMETRY, True, device="cuda")
    planes = triton_linear.pack_planes(tile, GEOMETRY)
    x = torch.randn(batch, 1024, device="cuda", dtype=torch.bfloat16)

    def call() -> Tensor:
        return triton_linear.tiled_linear(x, tile, alphas, GEOMETRY, bias, planes, None, "gelu")

    call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = call()
    for _ in range(2):
        x.copy_(torch.randn_like(x))
        graph.replay()
        assert torch.equal(out, call()), "the graph computes what the call does, bit for bit"


def test_a_call_does_not_wait_for_the_gpu() -> None:
    tile, alphas, bias = layer(GEOMETRY, True, device="cuda")
    planes = triton_linear.pack_planes(tile, GEOMETRY)
    for batch in (1, 300):
        x = torch.randn(batch, 1024, device="cuda")
        triton_linear.tiled_linear(x, tile, alphas, GEOMETRY, bias, planes)
        torch.cuda.set_sync_debug_mode("error")
        try:
            triton_linear.tiled_linear(x, tile, alphas, GEOMETRY, bias, planes)
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(("model", "shape", "step"), MODELS)
@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_inductor(model: type[nn.Module], shape: tuple[int, ...], step: str, mode: str) -> None:
    given, x = model(), torch.randn(*shape, device="cuda")
    compiled = torch.compile(given, mode=mode, fullgraph=True)
    with torch.no_grad():
        for _ in range(3):
            assert relative_error(compiled(x).clone(), given(x)) < 1e-6


def _packed(kind: Any, *arguments: Any) -> Any:
    packed = kind(*arguments).cuda().eval()
    packed.tile.copy_(torch.randint(0, 256, packed.tile.shape, dtype=torch.uint8))
    packed.alphas.copy_(torch.rand(packed.alphas.shape) + 0.1)
    return packed


@pytest.mark.parametrize("batch", [1, 33])
def test_autocast_multiplies_in_bfloat16(batch: int) -> None:
    packed = _packed(PackedLinear, 256, 512, False, 4, 4)
    x = torch.randn(batch, 256, device="cuda")
    with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
        found = packed(x)
    assert found.dtype == torch.bfloat16
    expected = reference.tiled_linear(x, packed.tile, packed.alphas, TileGeometry(512, 256, 4))
    assert relative_error(found, expected) < 2e-2


def test_a_gradient_goes_to_torch() -> None:
    packed = _packed(PackedLinear, 256, 512, False, 4, 4)
    x = torch.randn(3, 256, device="cuda", requires_grad=True)
    packed(x).sum().backward()
    assert x.grad is not None and bool(x.grad.abs().sum() > 0)


def test_a_packed_convolution() -> None:
    packed = _packed(PackedConv2d, 32, 64, (3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros", False, 4, 4)
    x = torch.randn(2, 32, 9, 8, device="cuda")
    with torch.no_grad():
        weight = packed.dense_weight()
        expected = torch.nn.functional.conv2d(x.double(), weight.double(), padding=1)
        assert relative_error(packed(x), expected) < 1e-5
