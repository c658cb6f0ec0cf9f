"""The bit order and the laws of the geometry."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.layout import TileGeometry, Window, pack_bits, packed_length, unpack_bits
from tests.kernels.kernel_layers import geometries, layer, loop_weight


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([-1.0, 1.0]), min_size=1, max_size=70))
def test_round_trip(signs: list[float]) -> None:
    packed = pack_bits(torch.tensor(signs))
    assert packed.dtype == torch.uint8 and packed.shape == (packed_length(len(signs)),)
    assert unpack_bits(packed, len(signs)).tolist() == signs


def test_bit_order_is_least_significant_first_with_zero_padding() -> None:
    assert pack_bits(torch.tensor([1, -1, -1, -1, -1, -1, -1, -1, 1, 1.0])).tolist() == [0b00000001, 0b00000011]
    assert pack_bits(torch.tensor([[-1, 1, -1], [-1, -1, 2.5]])).tolist() == [0b00100010]


def test_zero_packs_as_minus_one() -> None:
    assert unpack_bits(pack_bits(torch.tensor([0.0, -0.0, 1e-30])), 3).tolist() == [-1, -1, 1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.int8])
def test_unpacks_to_any_dtype(dtype: torch.dtype) -> None:
    signs = unpack_bits(torch.tensor([0b10], dtype=torch.uint8), 3, dtype)
    assert signs.dtype == dtype and signs.tolist() == [-1, 1, -1]


@pytest.mark.parametrize("packed", [torch.zeros(3, dtype=torch.uint8), torch.zeros(1, dtype=torch.uint8), torch.zeros(2, dtype=torch.int8),
                                    torch.zeros(1, 2, dtype=torch.uint8)])  # fmt: skip
def test_unpack_refuses_wrong_bytes(packed: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="9 signs need"):
        unpack_bits(packed, 9)


@pytest.mark.parametrize("shape", [(4, 4, 3), (4, 4, 17), (0, 4, 1), (4, 4, 0), (4, -4, 4)])
def test_geometry_refuses(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="does not divide"):
        TileGeometry(*shape)


@pytest.mark.parametrize(
    ("shape", "distinct"),
    [((10, 128, 4), 5), ((6, 40, 16), 3), ((7, 64, 4), 7), ((3072, 768, 8), 384), ((13, 5, 13), 1)],
)
def test_distinct_rows(shape: tuple[int, int, int], distinct: int) -> None:
    assert TileGeometry(*shape).distinct_rows == distinct


@settings(deadline=None, max_examples=80)
@given(geometries())
def test_rows_repeat_with_the_distinct_rows(geometry: TileGeometry) -> None:
    tile, _, _ = layer(geometry, per_tile=False)
    signs = loop_weight(tile, torch.ones(1), geometry)
    assert geometry.copies * geometry.distinct_rows == geometry.rows
    assert torch.equal(signs, signs[: geometry.distinct_rows].repeat(geometry.copies, 1))


@settings(deadline=None, max_examples=80)
@given(geometries())
def test_pieces_cover_each_distinct_weight_once_and_hold_one_tile_each(geometry: TileGeometry) -> None:
    covered = [(row, column, tile) for row, start, stop, tile in geometry.pieces for column in range(start, stop)]
    expected = [(f // geometry.row_length, f % geometry.row_length, f // geometry.tile_length)
                for f in range(geometry.distinct_rows * geometry.row_length)]  # fmt: skip
    assert covered == expected
    assert len(geometry.pieces) <= geometry.distinct_rows + geometry.tiles_per_copy - 1
    assert all(start < stop for _, start, stop, _ in geometry.pieces)


axis = st.tuples(st.integers(1, 20), st.integers(1, 5), st.integers(1, 4), st.integers(0, 4), st.integers(1, 3))


@given(st.lists(axis, min_size=1, max_size=3))
def test_a_window_gives_the_size_that_torch_gives(axes: list[tuple[int, ...]]) -> None:
    """Each axis: size of the input, kernel, stride, padding, dilation."""
    space, kernel, stride, padding, dilation = zip(*axes, strict=True)
    window = Window(kernel, stride, padding, dilation)
    function: Any = (torch.conv1d, torch.conv2d, torch.conv3d)[len(axes) - 1]
    x, filters = torch.empty(2, 3, *space, device="meta"), torch.empty(4, 3, *kernel, device="meta")
    if min(window.outputs(space)) > 0:
        assert function(x, filters, None, stride, padding, dilation).shape == (2, 4, *window.outputs(space))
    else:
        with pytest.raises(RuntimeError):
            function(x, filters, None, stride, padding, dilation)
