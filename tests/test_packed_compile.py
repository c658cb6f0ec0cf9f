"""Packed layers in torch's compilers: one graph without breaks, the right answer after every change, an exported program that unpacks bits itself."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter

import tbn
from tbn import TilingConfig, models
from tbn.fusion import fuse
from tbn.layers import TiledConv1d, TiledConv2d, TiledConv3d, TiledLayer, TiledLinear, TiledTransposedLinear
from tbn.packed import packed_from
from tests.engines import forced
from tests.models.small import SMALL, inputs

LAYERS: dict[str, tuple[Callable[[], TiledLayer], tuple[int, ...]]] = {  # and the shape of an input
    "linear": (lambda: TiledLinear(48, 64, p=4), (3, 48)),
    "pieces": (lambda: TiledLinear(48, 10, p=4), (3, 2, 48)),
    "nothing shared": (lambda: TiledLinear(48, 7, p=4), (3, 48)),
    "transposed": (lambda: TiledTransposedLinear(48, 20, p=4), (3, 48)),
    "conv1d": (lambda: TiledConv1d(4, 8, 3, p=4), (3, 4, 9)),
    "conv2d": (lambda: TiledConv2d(4, 16, 3, padding="same", padding_mode="reflect", p=4), (3, 4, 6, 5)),
    "conv2d pieces": (lambda: TiledConv2d(4, 10, (2, 3), padding="same", p=4), (3, 4, 6, 5)),
    "grouped": (lambda: TiledConv2d(4, 8, 3, groups=2, p=4), (3, 4, 6, 5)),
    "conv3d": (lambda: TiledConv3d(2, 8, 2, p=4), (3, 2, 4, 3, 5)),
    "interleaved": (lambda: TiledConv2d(4, 16, 3, padding=1, p=4, order="interleaved"), (3, 4, 6, 5)),
    "over inputs": (lambda: TiledLinear(48, 20, p=4, order="inputs"), (3, 2, 48)),
    "rolled": (lambda: TiledLinear(48, 64, p=4, order="rolled"), (3, 48)),
}


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """No graph of another test."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def close(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape and found.dtype == expected.dtype
    torch.testing.assert_close(
        found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()) if expected.numel() else 0
    )


def compiled(model: nn.Module, backend: str | Callable[..., Any] = "eager") -> Callable[[Tensor], Tensor]:
    """In one graph, or an error."""
    return torch.compile(model, fullgraph=True, backend=backend)


def small(name: str) -> nn.Module:
    """A packed model of the registry, and numbers that no norm starts with."""
    model = models.create(name, **{**SMALL[name], **({"depth": 1} if name == "vit" else {})})
    tbn.tile_(model, TilingConfig(p=4, min_layer_size=64))
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                tensor.add_(torch.rand_like(tensor) * 0.1)
    return tbn.freeze(model.eval())


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_is_one_graph_for_all_batches(kind: str) -> None:
    """No call without the compiler comes first; gradients go through."""
    make, shape = LAYERS[kind]
    layer = packed_from(make())
    run = compiled(layer, "aot_eager" if kind in ("linear", "conv2d") else "eager")
    with torch.no_grad():
        for count in (3, 5, 2):
            x = torch.randn(count, *shape[1:])
            close(run(x), layer(x))
    x, y = (torch.ones(shape, requires_grad=True) for _ in range(2))
    run(x).square().sum().backward()
    layer(y).square().sum().backward()
    assert x.grad is not None and y.grad is not None
    close(x.grad, y.grad)


def test_changed_batches_make_one_more_graph() -> None:
    layer, counter = packed_from(TiledLinear(48, 64, p=4)), CompileCounter()
    run = compiled(layer, counter)
    for count in (3, 5, 2, 7, 11):
        run(torch.randn(count, 48))
    assert counter.frame_count == 2


@pytest.mark.parametrize(("name", "fused"), [("cnn", False), ("cnn", True), ("vit", False)])
def test_a_whole_model_is_one_graph(name: str, fused: bool) -> None:
    model = small(name)
    packed = fuse(model) if fused else model
    run = compiled(packed)
    with torch.no_grad():
        for count in (2, 3):
            x = inputs(models.kind_of(name), count)
            close(run(x), model(x))


def test_a_graph_calls_the_native_kernels() -> None:
    model = nn.Sequential(
        packed_from(TiledConv2d(4, 8, 3, p=4)), nn.ReLU(), nn.Flatten(), packed_from(TiledLinear(8 * 9, 40, p=4))
    )
    x = torch.randn(3, 4, 5, 5)
    with forced("portable") as calls, torch.no_grad():
        close(compiled(model)(x), model(x))
        assert calls == ["conv", "linear"] * 2


def test_inductor() -> None:
    """The default of torch.compile, on a network of all kinds of layers."""
    model = nn.Sequential(
        packed_from(TiledConv2d(2, 8, 3, padding=1, p=4)),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        packed_from(TiledConv2d(8, 10, 3, p=4)),
        nn.Flatten(),
        packed_from(TiledLinear(90, 40, p=4)),
        packed_from(TiledTransposedLinear(40, 8, p=4)),
    ).eval()
    fused, x = fuse(model), torch.randn(3, 2, 5, 5)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # inductor's own
        close(compiled(fused, "inductor")(x), model(x))


@pytest.mark.parametrize("kind", ["linear", "transposed", "conv2d"])
def test_nothing_old_is_left_in_a_graph(kind: str) -> None:
    """A load, a cast, a cast back and autocast, before and after the first call, each give what the layer gives without the compiler."""
    make, shape = LAYERS[kind]
    layer, other, x = packed_from(make()), packed_from(make()), torch.randn(shape)
    run = compiled(layer)
    with torch.no_grad():
        close(run(x), layer(x))
        before = layer(x)
        layer.load_state_dict(other.state_dict())
        close(run(x), other(x))
        assert not torch.allclose(before, other(x))
        layer.half()
        torch.testing.assert_close(run(x.half()).float(), other(x), rtol=1e-2, atol=1e-2)
        layer.float()
        close(run(x), layer(x))
        with torch.autocast("cpu", torch.bfloat16):
            assert run(x).dtype == torch.bfloat16
            torch.testing.assert_close(run(x), layer(x), rtol=2e-2, atol=2e-2)
        close(run(x), layer(x))


@pytest.mark.parametrize("kind", ["linear", "conv2d"])
def test_compiled_right_after_a_cast_or_a_load(kind: str) -> None:
    make, shape = LAYERS[kind]
    layer, other, x = packed_from(make()).bfloat16(), packed_from(make()), torch.randn(shape)
    with torch.no_grad():
        close(compiled(layer)(x.bfloat16()), layer(x.bfloat16()))
        layer.float().load_state_dict(other.state_dict())
        close(compiled(layer)(x), other(x))


def test_layers_of_one_class_do_not_share_their_bits() -> None:
    """One function for all blocks of a network: torch keeps one code and its graphs for all of them."""
    layers = [packed_from(TiledLinear(48, 64, p=4)) for _ in range(3)]
    again = copy.deepcopy(layers[0])
    again.tile.bitwise_not_()
    x = torch.randn(3, 48)
    run = torch.compile(lambda layer, x: layer(x), fullgraph=True, backend="eager")
    for layer in (*layers, copy.copy(layers[0]), again):
        close(run(layer, x), layer(x))


def test_inference_mode_first_and_gradients_afterwards() -> None:
    layer = packed_from(TiledLinear(48, 64, p=4))
    run = compiled(layer, "aot_eager")
    with torch.inference_mode():
        run(torch.randn(3, 48))
    x = torch.randn(3, 48, requires_grad=True)
    run(x).sum().backward()
    assert x.grad is not None
    close(x.grad, layer.dense_weight().sum(0).expand(3, -1))


@pytest.mark.parametrize("kind", ["linear", "pieces", "transposed", "conv2d pieces", "grouped"])
def test_an_exported_program_unpacks_the_bits_itself(kind: str) -> None:
    """It holds the packed bytes and no weights, takes any batch, and needs nothing of this library."""
    make, shape = LAYERS[kind]
    layer, x = packed_from(make()), torch.randn(shape)
    layer(x)  # what is expanded is not taken along
    batch = {0: torch.export.Dim.DYNAMIC}
    program = torch.export.export(nn.Sequential(layer, nn.ReLU()), (x,), strict=False, dynamic_shapes=(batch,))
    held = [*program.state_dict.values(), *(value for value in program.constants.values() if isinstance(value, Tensor))]
    assert max(value.nbytes for value in held) <= max(layer.tile.nbytes, 4 * layer.outputs, 8 * layer.computed_rows)
    assert not any("tbn" in str(node.target) for node in program.graph.nodes)
    for count in (2, 3):
        more = torch.randn(count, *shape[1:])
        close(program.module()(more), layer(more).relu())
