"""The reference against loops over single weights."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.layout import TileGeometry
from kernels.reference import dense_weight, tiled_linear, transposed_linear
from tests.kernels.kernel_layers import geometries, layer, loop_weight


@settings(deadline=None, max_examples=60)
@given(geometries(), st.booleans())
def test_dense_weight_is_the_loop(geometry: TileGeometry, per_tile: bool) -> None:
    tile, alphas, _ = layer(geometry, per_tile)
    weight = dense_weight(tile, alphas, geometry)
    assert weight.dtype == torch.float32 and weight.shape == (geometry.rows, geometry.row_length)
    assert torch.equal(weight.double(), loop_weight(tile, alphas, geometry))


@settings(deadline=None, max_examples=30)
@given(geometries(8, 8), st.booleans(), st.booleans())
def test_tiled_linear_is_the_loop(geometry: TileGeometry, per_tile: bool, with_bias: bool) -> None:
    tile, alphas, bias = layer(geometry, per_tile)
    weight, x = loop_weight(tile, alphas, geometry), torch.randn(2, 3, geometry.row_length)
    found = tiled_linear(x, tile, alphas, geometry, bias if with_bias else None)
    assert found.shape == (2, 3, geometry.rows) and found.dtype == torch.float32
    for i in range(2):
        for j in range(3):
            for row in range(geometry.rows):
                expected = sum(float(x[i, j, k]) * float(weight[row, k]) for k in range(geometry.row_length))
                expected += float(bias[row]) if with_bias else 0.0
                assert abs(float(found[i, j, row]) - expected) <= 1e-6 * max(1.0, abs(expected))


@settings(deadline=None, max_examples=30)
@given(geometries(8, 8), st.booleans(), st.booleans())
def test_transposed_linear_is_the_loop(geometry: TileGeometry, per_tile: bool, with_bias: bool) -> None:
    tile, alphas, _ = layer(geometry, per_tile)
    weight, x, bias = (
        loop_weight(tile, alphas, geometry),
        torch.randn(3, geometry.rows),
        torch.randn(geometry.row_length),
    )
    found = transposed_linear(x, tile, alphas, geometry, bias if with_bias else None)
    assert found.shape == (3, geometry.row_length) and found.dtype == torch.float32
    for i in range(3):
        for j in range(geometry.row_length):
            expected = sum(float(x[i, k]) * float(weight[k, j]) for k in range(geometry.rows))
            expected += float(bias[j]) if with_bias else 0.0
            assert abs(float(found[i, j]) - expected) <= 1e-6 * max(1.0, abs(expected))
