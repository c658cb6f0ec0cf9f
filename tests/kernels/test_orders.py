"""The four orders against the definition written as loops, and layers of every order on every engine."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kernels import dispatch
from kernels.layout import TileGeometry, Window, geometry_of, pack_bits
from kernels.orders import ORDERS, from_blocks, roll, to_blocks
from kernels.reference import dense_weight
from tests.engines import ENGINES, forced
from tests.kernels.kernel_layers import relative_error


def place(order: str, row: int, column: int, rows: int, columns: int, p: int) -> tuple[int, int]:
    """The block of one weight and its place in the tile, from the definition alone."""
    q = rows * columns // p
    if order == "inputs":
        row, column, rows, columns = column, row, columns, rows
    if order == "interleaved":
        copies = math.gcd(rows, p)
        row = row % copies * (rows // copies) + row // copies
    block, place = divmod(row * columns + column, q)
    return block, (place - block * roll(columns, p, q)) % q if order == "rolled" else place


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, int, int, int]:
    rows, columns = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    p = draw(st.sampled_from([p for p in range(1, rows * columns + 1) if rows * columns % p == 0]))
    return draw(st.sampled_from(ORDERS)), rows, columns, p


@given(cases())
def test_blocks_lie_as_defined(case):
    order, rows, columns, p = case
    weight = torch.arange(rows * columns).reshape(rows, columns)
    blocks = to_blocks(weight, p, order)
    assert blocks.shape == (p, rows * columns // p)
    for row in range(rows):
        for column in range(columns):
            assert blocks[place(order, row, column, rows, columns, p)] == weight[row, column]
    assert torch.equal(from_blocks(blocks, weight.shape, order), weight)


@given(st.integers(1, 12), st.integers(1, 6), st.integers(1, 9), st.sampled_from(ORDERS), st.integers(1, 8))
def test_kernels_of_a_convolution_stay_whole(outputs, channels, size, order, p):
    weight = torch.randn(outputs * p, channels, size)
    blocks = to_blocks(weight, p, order)
    assert torch.equal(from_blocks(blocks, weight.shape, order), weight)


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 8))
def test_rolled_rows_are_all_different(rows, columns, p):
    """Whatever the tile: no two rows read it from the same place, where a row has at least p numbers."""
    rows, columns = rows * p, max(columns, p)
    q = rows * columns // p
    step = roll(columns, p, q)
    assert math.gcd(step, q) == 1
    starts = [(row * columns % q - row * columns // q * step) % q for row in range(rows)]
    assert len(set(starts)) == rows


def test_the_same_for_one_block():
    weight = torch.randn(6, 4, 3)
    for order in ORDERS:
        assert torch.equal(from_blocks(to_blocks(weight, 1, order), weight.shape, order), weight)


SHAPES = [(64, 48, 4), (10, 48, 4), (48, 10, 4), (7, 16, 4), (16, 7, 4), (6, 40, 16), (4, 16, 8), (32, 32, 1)]


@pytest.mark.parametrize("chosen", ENGINES)
@pytest.mark.parametrize("order", ORDERS)
@torch.no_grad()
def test_linear_layers_on_every_engine(order, chosen):
    """With gains, biases and activations, alphas per tile and per layer, against the weight written out."""
    torch.manual_seed(0)
    with forced(chosen):
        for outputs, inputs, p in SHAPES:
            geometry = geometry_of((outputs, inputs), p, order)
            tile = pack_bits(torch.randn(geometry.tile_length))
            for count in {1, p}:
                alphas, bias, gain = torch.rand(count) + 0.1, torch.randn(outputs), torch.randn(outputs)
                weight = dense_weight(tile, alphas, geometry)
                weight = weight.T if order == "inputs" else weight
                for own, activation in ((None, "none"), (gain, "relu"), (gain, "gelu")):
                    layer = dispatch.prepare(tile, alphas, geometry, torch.float32, None, own, activation)
                    x = torch.randn(2, 3, inputs)
                    scaled = weight if own is None else weight * own[:, None]
                    expected = dispatch.ACTIVATIONS[activation](x @ scaled.T + bias)
                    assert relative_error(dispatch.linear(x, layer, bias), expected) < 1e-5


@pytest.mark.parametrize("chosen", ENGINES)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("groups", [1, 2])
@torch.no_grad()
def test_convolutions_on_every_engine(order, groups, chosen):
    torch.manual_seed(0)
    window = Window((3, 3), (1, 2), (1, 1), (1, 1), groups)
    with forced(chosen) as calls:
        for outputs, channels, p in [(64, 32, 4), (16, 12, 4), (12, 16, 16), (10, 8, 4)]:
            shape = (outputs, channels // groups, 3, 3)
            geometry = geometry_of(shape, p, order)
            tile = pack_bits(torch.randn(geometry.tile_length))
            for count in (1, p):
                alphas, bias, gain = torch.rand(count) + 0.1, torch.randn(outputs), torch.randn(outputs)
                weight = dense_weight(tile, alphas, geometry)
                if order == "inputs":
                    weight = weight.reshape(shape[1], outputs, 9).transpose(0, 1)
                weight = weight.reshape(shape) * gain[:, None, None, None]
                layer = dispatch.prepare(tile, alphas, geometry, torch.float32, window, gain, "relu")
                x = torch.randn(2, channels, 9, 8)
                expected = torch.relu(dispatch.convolve(x, weight, bias, window))
                assert relative_error(dispatch.conv(x, layer, bias), expected) < 1e-5
    assert bool(calls) == (chosen != "torch" and groups == 1)


def test_what_each_order_saves():
    """784 inputs, 128 outputs, p = 4: a quarter of the rows, a quarter of the inputs, or nothing."""
    found = {}
    for order in ORDERS:
        geometry = geometry_of((128, 784), 4, order)
        found[order] = dispatch.computed_rows(geometry, 4) * geometry.row_length
    assert found == {"rows": 25_088, "interleaved": 25_088, "inputs": 25_088, "rolled": 100_352}


def test_equal_inputs_are_shared_in_a_grouped_convolution():
    window = Window((3,), (1,), (1,), (1,), 2)
    tile = pack_bits(torch.randn(8 * 2 * 3))
    layers = [
        dispatch.prepare(tile, torch.ones(4), geometry_of((8, 8, 3), 4, order), torch.float32, window)
        for order in ("rows", "inputs")
    ]
    assert [layer.computed_rows * layer.geometry.row_length for layer in layers] == [192, 48]


def test_an_order_is_part_of_the_geometry():
    assert TileGeometry(8, 6, 4) == TileGeometry(8, 6, 4, "rows") != TileGeometry(8, 6, 4, "rolled")
