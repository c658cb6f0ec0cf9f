"""Cases of the operators ``tbn::triton_linear`` and ``tbn::triton_conv``, run as ``triton_cases.py`` is: fakes, torch.compile, torch.export."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from kernels import triton_conv, triton_linear, tune
from kernels.layout import TileGeometry, Window
from kernels.triton_blocks import rule
from kernels.triton_signs import INTERPRETED
from tests.kernels.kernel_layers import layer

DEVICE = "cpu" if INTERPRETED else "cuda"
CHECKS = ("test_schema", "test_faketensor", "test_aot_dispatch_dynamic")
GEOMETRY = TileGeometry(12, 48, 4)
FILTERS = TileGeometry(8, 16 * 9, 4)
WINDOW = Window((3, 3), (1, 2), (1, 1), (1, 1))
LINE = Window((9,), (2,), (1,), (1,))


class Linear(nn.Module):
    """A packed layer on the operator."""

    def __init__(self) -> None:
        super().__init__()
        self.tile, self.alphas, self.bias = layer(GEOMETRY, True, device=DEVICE)
        self.planes = triton_linear.pack_planes(self.tile, GEOMETRY)

    def forward(self, x: Tensor) -> Tensor:
        given = self.tile, self.alphas, GEOMETRY, self.bias, self.planes, self.bias.abs(), "gelu"
        if torch.compiler.is_compiling():
            return triton_linear.operator(x, *given)
        return triton_linear.tiled_linear(x, *given)


class Conv(nn.Module):
    """A packed convolution on the operator."""

    def __init__(self) -> None:
        super().__init__()
        self.tile, self.alphas, self.bias = layer(FILTERS, True, device=DEVICE)
        self.planes = triton_conv.pack_planes(self.tile, FILTERS, WINDOW)

    def forward(self, x: Tensor) -> Tensor:
        given = self.tile, self.alphas, FILTERS, WINDOW, self.bias, self.planes, None, "relu"
        if torch.compiler.is_compiling():
            return triton_conv.operator(x, *given)
        return triton_conv.tiled_conv(x, *given)


MODELS: list[tuple[type[nn.Module], tuple[int, ...], str]] = [
    (Linear, (5, 48), "tbn.triton_linear.default"),
    (Conv, (2, 16, 5, 4), "tbn.triton_conv.default"),
]


def _arguments(given: Linear | Conv, x: Tensor) -> tuple[Any, ...]:
    if isinstance(given, Linear):
        return x, given.planes, given.alphas, given.bias, None, 12, 48, 4, "none"
    where = WINDOW.kernel, WINDOW.stride, WINDOW.padding, WINDOW.dilation
    return x, given.planes, given.alphas, given.bias, given.bias.abs(), 8, 144, 4, "relu", *where


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_operators_are_well_formed(dtype: torch.dtype) -> None:
    with torch.inference_mode(False):
        linear, conv = Linear(), Conv()
        x = torch.randn(2, 3, 48, device=DEVICE).to(dtype)
        torch.library.opcheck(torch.ops.tbn.triton_linear.default, _arguments(linear, x), test_utils=CHECKS)
        image = torch.randn(2, 16, 5, 4, device=DEVICE).to(dtype)
        for given in (image, image.contiguous(memory_format=torch.channels_last)):
            torch.library.opcheck(torch.ops.tbn.triton_conv.default, _arguments(conv, given), test_utils=CHECKS)


def _image(*shape: int) -> Tensor:
    return torch.randn(*shape, device=DEVICE)


@pytest.mark.parametrize(
    ("window", "make"),
    [
        (WINDOW, lambda: _image(2, 16, 5, 4)),
        (WINDOW, lambda: _image(2, 16, 5, 4).contiguous(memory_format=torch.channels_last)),
        (WINDOW, lambda: _image(16, 5, 4)),
        (WINDOW, lambda: _image(0, 16, 5, 4)),
        (LINE, lambda: _image(2, 16, 11)),
        (LINE, lambda: _image(2, 11, 16).transpose(1, 2)),
    ],
)
def test_the_fake_of_the_convolution_has_shape_and_order_of_the_real_one(window: Window, make: Any) -> None:
    tile, alphas, _ = layer(FILTERS, True, device=DEVICE)
    x, planes = make(), triton_conv.pack_planes(tile, FILTERS, window)
    real = triton_conv.tiled_conv(x, tile, alphas, FILTERS, window, planes=planes)
    with FakeTensorMode() as mode:
        fakes = [mode.from_tensor(each) for each in (x, tile, alphas, planes)]
        fake = triton_conv.operator(fakes[0], *fakes[1:3], FILTERS, window, planes=fakes[3])
    assert (fake.shape, fake.stride(), fake.dtype) == (real.shape, real.stride(), real.dtype)


def test_a_fake_refuses_what_the_kernel_refuses() -> None:
    linear, conv = Linear(), Conv()
    with FakeTensorMode(allow_non_fake_inputs=True):
        with pytest.raises(RuntimeError, match="last axis must have 48"):
            torch.ops.tbn.triton_linear(*_arguments(linear, torch.empty(3, 47, device=DEVICE)))
        with pytest.raises(ValueError, match=r"it must be \(batch, 16, \*space\)"):
            torch.ops.tbn.triton_conv(*_arguments(conv, torch.empty(3, 15, 5, 5, device=DEVICE)))


@pytest.mark.parametrize(("model", "shape", "step"), MODELS)
def test_compile_takes_a_layer_as_one_step(model: type[nn.Module], shape: tuple[int, ...], step: str) -> None:
    graphs = []

    def backend(graph: torch.fx.GraphModule, _: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    given, x = model(), torch.randn(*shape, device=DEVICE)
    compiled = torch.compile(given, backend=backend, fullgraph=True)
    with torch.no_grad():
        assert torch.equal(compiled(x), given(x))
    calls = [str(node.target) for node in graphs[0].graph.nodes if node.op == "call_function"]
    assert sum("triton_" in call for call in calls) == 1 and len(graphs) == 1


@pytest.mark.parametrize(("model", "shape", "step"), MODELS)
def test_export_with_any_batch(model: type[nn.Module], shape: tuple[int, ...], step: str) -> None:
    given, x = model(), torch.randn(*shape, device=DEVICE)
    program = torch.export.export(given, (x,), dynamic_shapes=({0: torch.export.Dim("batch", min=2, max=4096)},))
    assert [str(node.target) for node in program.graph.nodes if "triton" in str(node.target)] == [step]
    other = torch.randn(7, *shape[1:], device=DEVICE)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(other), given(other))


@pytest.mark.parametrize("given", [tune.Layer(24, 40, 3), tune.Layer(16, 8, 2, 4)])
def test_the_tuner_writes_under_the_key_that_a_call_looks_up(
    given: tune.Layer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    for module in (triton_linear, triton_conv):
        monkeypatch.setattr(module, "blocks_for", lambda work, x: asked.append(work) or rule(work))
    work, call = tune.prepared(given, 4, torch.bfloat16, DEVICE)
    assert torch.equal(call(rule(work)), call(None)) and asked == [work]
