"""The torch engine against the reference, and which engine is chosen."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from kernels import dispatch
from kernels.layout import TileGeometry
from kernels.reference import dense_weight, tiled_linear, transposed_linear
from tests.kernels.kernel_layers import geometries, layer, relative_error


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


CONVOLUTIONS: list[tuple[Any, tuple[int, ...], int, int, int, dict[str, Any]]] = [
    # function, kernel, out_channels, in_channels, p, arguments
    (F.conv1d, (3,), 8, 4, 4, {"stride": 2, "padding": 1}),
    (F.conv1d, (5,), 6, 4, 8, {"dilation": 2}),
    (F.conv2d, (3, 3), 16, 3, 4, {"padding": 1}),
    (F.conv2d, (1, 3), 10, 8, 4, {"stride": (2, 1)}),
    (F.conv2d, (3, 5), 7, 4, 3, {"padding": "same"}),
    (F.conv2d, (2, 2), 9, 2, 6, {"dilation": (1, 2)}),
]


@pytest.mark.parametrize("case", CONVOLUTIONS)
@pytest.mark.parametrize("per_tile", [True, False])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("lead", [(2,), (0,), ()])
def test_conv_is_the_dense_convolution(
    case: tuple[Any, ...], per_tile: bool, with_bias: bool, lead: tuple[int, ...]
) -> None:
    function, kernel, out_channels, in_channels, p, arguments = case
    geometry = TileGeometry(out_channels, in_channels * torch.Size(kernel).numel(), p)
    tile, alphas, bias = layer(geometry, per_tile)
    x = torch.randn(*lead, in_channels, *(9, 8)[: len(kernel)])
    chosen = bias if with_bias else None
    found = dispatch.conv(
        x, dispatch.prepare(tile, alphas, geometry, torch.float32), chosen, partial(function, **arguments), kernel
    )
    weight = dense_weight(tile, alphas, geometry).reshape(out_channels, in_channels, *kernel)
    torch.testing.assert_close(found, function(x, weight, chosen, **arguments), rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("per_tile", [True, False])
@pytest.mark.parametrize("groups", [2, 4, 8])
def test_grouped_convolution_computes_all_rows(per_tile: bool, groups: int) -> None:
    geometry = TileGeometry(16, 8 // groups * 9, 4)
    tile, alphas, bias = layer(geometry, per_tile)
    prepared = dispatch.prepare(tile, alphas, geometry, torch.float32, share=False)
    x = torch.randn(2, 8, 6, 5)
    found = dispatch.conv(x, prepared, bias, partial(F.conv2d, groups=groups, padding=1), (3, 3))
    weight = dense_weight(tile, alphas, geometry).reshape(16, 8 // groups, 3, 3)
    torch.testing.assert_close(found, F.conv2d(x, weight, bias, padding=1, groups=groups), rtol=1e-5, atol=2e-5)
    assert prepared.computed_rows == 16


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
