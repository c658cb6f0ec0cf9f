"""The torch engine against the reference, and which engine is chosen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from kernels import dispatch
from kernels.cpu import engine
from kernels.layout import TileGeometry, Window
from kernels.reference import dense_weight, tiled_linear, transposed_linear
from tests.kernels.kernel_layers import geometries, layer, relative_error

ACTIVATIONS: dict[str, Any] = {"none": lambda x: x, "relu": F.relu, "gelu": F.gelu}


@pytest.fixture(autouse=True, scope="module")
def _torch_engine() -> Iterator[None]:
    """The native kernels have tests of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TBN_CPU", "torch")
        engine.engine.cache_clear()
        yield
    engine.engine.cache_clear()


@settings(deadline=None, max_examples=150)
@given(geometries(), st.booleans(), st.booleans(), st.sampled_from([(), (0,), (1,), (5,), (2, 0, 3), (2, 3)]))
def test_linear_is_the_reference(
    geometry: TileGeometry, per_tile: bool, with_bias: bool, lead: tuple[int, ...]
) -> None:
    tile, alphas, bias = layer(geometry, per_tile)
    x = torch.randn(*lead, geometry.row_length)
    chosen = bias if with_bias else None
    found = dispatch.linear(x, dispatch.prepare(tile, alphas, geometry, torch.float32), chosen)
    torch.testing.assert_close(found, tiled_linear(x, tile, alphas, geometry, chosen), rtol=1e-5, atol=2e-5)


@settings(deadline=None, max_examples=150)
@given(geometries(), st.booleans(), st.booleans(), st.sampled_from([(), (0,), (1,), (5,), (2, 0, 3), (2, 3)]))
def test_transposed_linear_is_the_reference(
    geometry: TileGeometry, per_tile: bool, with_bias: bool, lead: tuple[int, ...]
) -> None:
    tile, alphas, _ = layer(geometry, per_tile)
    x, bias = torch.randn(*lead, geometry.rows), torch.randn(geometry.row_length) if with_bias else None
    found = dispatch.transposed_linear(x, dispatch.prepare(tile, alphas, geometry, torch.float32), bias)
    torch.testing.assert_close(found, transposed_linear(x, tile, alphas, geometry, bias), rtol=1e-5, atol=2e-5)


@settings(deadline=None, max_examples=60)
@given(geometries(), st.booleans())
def test_fold_is_the_transpose_of_replicate(geometry: TileGeometry, per_tile: bool) -> None:
    """<replicate(z), x> = <z, fold(x)> for every z and x."""
    tile, alphas, _ = layer(geometry, per_tile)
    prepared = dispatch.prepare(tile, alphas, geometry, torch.float64)
    if prepared.dense:
        return
    z = torch.randn(prepared.computed_rows, dtype=torch.float64)
    x = torch.randn(geometry.rows, dtype=torch.float64)
    torch.testing.assert_close(dispatch.replicate(z, prepared, None, 0) @ x, z @ dispatch.fold(x, prepared))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float16, 3e-3), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("shape", [(32, 72, 8), (10, 128, 4), (7, 64, 4)])
def test_other_dtypes(shape: tuple[int, int, int], dtype: torch.dtype, tolerance: float) -> None:
    geometry = TileGeometry(*shape)
    tile, alphas, bias = layer(geometry, per_tile=True)
    x = torch.randn(9, geometry.row_length).to(dtype)
    found = dispatch.linear(x, dispatch.prepare(tile, alphas, geometry, dtype), bias.to(dtype))
    assert found.dtype == dtype
    assert relative_error(found, tiled_linear(x, tile, alphas, geometry, bias)) < tolerance
    x = torch.randn(9, geometry.rows).to(dtype)
    found = dispatch.transposed_linear(x, dispatch.prepare(tile, alphas, geometry, dtype))
    assert found.dtype == dtype
    assert relative_error(found, transposed_linear(x, tile, alphas, geometry)) < tolerance


@settings(deadline=None, max_examples=150)
@given(geometries(), st.booleans(), st.booleans(), st.booleans(), st.sampled_from(sorted(ACTIVATIONS)))
def test_what_comes_behind_a_linear_layer(
    geometry: TileGeometry, per_tile: bool, with_bias: bool, with_gain: bool, activation: str
) -> None:
    """``activation(alpha * gain * z + bias)`` against the same in float64, one after the other."""
    tile, alphas, bias = layer(geometry, per_tile)
    gain = torch.randn(geometry.rows)
    x = torch.randn(3, geometry.row_length)
    prepared = dispatch.prepare(
        tile, alphas, geometry, torch.float32, gain=gain if with_gain else None, activation=activation
    )
    expected = tiled_linear(x, tile, alphas, geometry).double() * (gain if with_gain else 1) + (
        bias if with_bias else 0
    )
    found = dispatch.linear(x, prepared, bias if with_bias else None)
    torch.testing.assert_close(found, ACTIVATIONS[activation](expected).float(), rtol=1e-5, atol=3e-5)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[TileGeometry, Window, Tensor]:
    """A convolution of any rank with any p that divides its weights, and an input that it can take."""
    axes = draw(st.integers(1, 3))

    def sizes(least: int, most: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(least, most)) for _ in range(axes))

    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    kernel, dilation, padding = sizes(1, 3), sizes(1, 2), sizes(0, 2)
    window = Window(kernel, sizes(1, 3), padding, dilation, groups)
    rows, row_length = groups * draw(st.integers(1, 6)), draw(st.integers(1, 3)) * torch.Size(kernel).numel()
    count = rows * row_length
    p = draw(st.sampled_from([p for p in range(1, min(count, 24) + 1) if count % p == 0]))
    spans = (d * (k - 1) + 1 - 2 * pad for k, d, pad in zip(kernel, dilation, padding, strict=True))
    space = [max(1, span) + draw(st.integers(0, 3)) for span in spans]
    lead = draw(st.sampled_from([(), (0,), (1,), (2,)]))
    channels = groups * row_length // torch.Size(kernel).numel()
    return TileGeometry(rows, row_length, p), window, torch.randn(*lead, channels, *space)


@settings(deadline=None, max_examples=200)
@given(convolutions(), st.booleans(), st.booleans(), st.booleans(), st.sampled_from(sorted(ACTIVATIONS)))
def test_conv_is_the_dense_convolution(
    case: tuple[TileGeometry, Window, Tensor], per_tile: bool, with_bias: bool, with_gain: bool, activation: str
) -> None:
    geometry, window, x = case
    tile, alphas, bias = layer(geometry, per_tile)
    axes = len(window.kernel)
    gain = torch.randn(geometry.rows)
    prepared = dispatch.prepare(tile, alphas, geometry, torch.float32, window, gain if with_gain else None, activation)
    weight = dense_weight(tile, alphas, geometry).double() * (gain[:, None] if with_gain else 1)
    function: Any = (F.conv1d, F.conv2d, F.conv3d)[axes - 1]
    expected = function(
        x.double(),
        weight.reshape(geometry.rows, -1, *window.kernel),
        bias.double() if with_bias else None,
        window.stride,
        window.padding,
        window.dilation,
        window.groups,
    )
    found = dispatch.conv(x, prepared, bias if with_bias else None)
    torch.testing.assert_close(found, ACTIVATIONS[activation](expected).float(), rtol=1e-5, atol=3e-5)
    assert window.outputs(x.shape[-axes:]) == found.shape[-axes:] == expected.shape[-axes:]
    if window.groups > 1:
        assert prepared.computed_rows == geometry.rows, "equal filters see different channels"


@pytest.mark.parametrize(("rows", "p"), [(8, 4), (10, 4), (7, 4)])  # a shared tile, rows in pieces, nothing shared
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_convolutions_in_other_dtypes(rows: int, p: int, dtype: torch.dtype) -> None:
    geometry, window = TileGeometry(rows, 4 * 9, p), Window((3, 3), (1, 1), (1, 1), (1, 1))
    tile, alphas, bias = layer(geometry, per_tile=True)
    gain, x = torch.rand(rows) + 0.5, torch.randn(2, 4, 6, 5).to(dtype)
    found = dispatch.conv(x, dispatch.prepare(tile, alphas, geometry, dtype, window, gain, "relu"), bias.to(dtype))
    weight = (dense_weight(tile, alphas, geometry) * gain[:, None]).reshape(rows, 4, 3, 3)
    assert found.dtype == dtype
    assert relative_error(found, F.conv2d(x.float(), weight, bias, padding=1).relu()) < (
        2e-2 if dtype == torch.bfloat16 else 3e-3
    )


def test_wrong_endings_are_refused() -> None:
    geometry = TileGeometry(8, 12, 4)
    tile, alphas, _ = layer(geometry, per_tile=True)
    with pytest.raises(ValueError, match="activation='swish' is not known here; use one of none, relu, gelu"):
        dispatch.prepare(tile, alphas, geometry, torch.float32, activation="swish")
    with pytest.raises(ValueError, match=r"gain has shape \(2,\); it needs one factor for each of 8 outputs"):
        dispatch.prepare(tile, alphas, geometry, torch.float32, gain=torch.ones(2))


@settings(deadline=None, max_examples=80)
@given(geometries(), st.booleans())
def test_only_the_computed_rows_are_multiplied(geometry: TileGeometry, per_tile: bool) -> None:
    tile, alphas, _ = layer(geometry, per_tile)
    prepared = dispatch.prepare(tile, alphas, geometry, torch.float32)
    with FlopCounterMode(display=False) as counter:
        dispatch.linear(torch.randn(3, geometry.row_length), prepared)
    assert counter.get_total_flops() == 2 * 3 * prepared.computed_rows * geometry.row_length
    with FlopCounterMode(display=False) as counter:
        dispatch.transposed_linear(torch.randn(3, geometry.rows), prepared)
    assert counter.get_total_flops() == 2 * 3 * prepared.computed_rows * geometry.row_length
    assert prepared.computed_rows == prepared.weight.shape[0]
    if geometry.tiles_per_copy == 1 or not per_tile:
        assert prepared.computed_rows == geometry.distinct_rows
    assert geometry.distinct_rows <= prepared.computed_rows <= geometry.rows


def test_a_layer_first_used_in_inference_mode_takes_gradients_afterwards() -> None:
    for shape in ((8, 12, 4), (10, 12, 4), (7, 12, 4)):
        geometry = TileGeometry(*shape)
        tile, alphas, _ = layer(geometry, per_tile=True)
        prepared = dispatch.prepare(tile, alphas, geometry, torch.float32)
        x = torch.randn(2, 12)
        with torch.inference_mode():
            before = dispatch.linear(x, prepared)
        x.requires_grad_()
        after = dispatch.linear(x, prepared)
        after.sum().backward()
        torch.testing.assert_close(before, after.detach(), rtol=1e-5, atol=1e-5)  # engines differ by roundings
        assert x.grad is not None
        torch.testing.assert_close(
            x.grad, dense_weight(tile, alphas, geometry).sum(0).expand(2, -1), rtol=1e-5, atol=2e-5
        )


class _Cuda:
    """Stands for an input on a GPU: what the choice of the engine looks at."""

    def __init__(self, dtype: torch.dtype = torch.float32, requires_grad: bool = False) -> None:
        self.is_cuda, self.dtype, self.requires_grad = True, dtype, requires_grad


def test_choice_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    choose: Any = dispatch.uses_triton
    monkeypatch.delenv("TBN_ENGINE", raising=False)
    monkeypatch.setattr(dispatch, "_has_triton", lambda: True)
    assert not choose(torch.zeros(1))
    assert choose(_Cuda()) and choose(_Cuda(torch.bfloat16)) and choose(_Cuda(torch.float16))
    assert not choose(_Cuda(torch.float64)), "the kernel has no float64"
    assert not choose(_Cuda(requires_grad=True)), "the kernel has no backward"
    with torch.no_grad():
        assert choose(_Cuda(requires_grad=True))
    monkeypatch.setenv("TBN_ENGINE", "torch")
    assert not choose(_Cuda())
    monkeypatch.delenv("TBN_ENGINE")
    monkeypatch.setattr(dispatch, "_has_triton", lambda: False)
    assert not choose(_Cuda())
