"""Cases of the linear Triton kernel, run by ``test_triton.py`` in a process of their own: in Triton's interpreter (TRITON_INTERPRET=1 has to be set
before triton is imported, and torch's optimisers import it), or on the GPU.

Tolerances are the largest difference over the largest expected value: float32 1e-5; float16 and bfloat16 a rounding of the result, which the
interpreter truncates in bfloat16.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kernels import dispatch, reference, triton_checks, triton_linear
from kernels.layout import TileGeometry, unpack_bits
from kernels.triton_blocks import Blocks, Work, rule
from kernels.triton_signs import INTERPRETED
from tests.kernels.kernel_layers import layer, relative_error

DEVICE = "cpu" if INTERPRETED else "cuda"
TOLERANCE = {torch.float32: 1e-5, torch.float16: 1e-3, torch.bfloat16: 1e-2}
SHAPES = [  # rows, row_length, p, alpha a tile, leading dimensions of x
    (10, 128, 4, False, (3,)),
    (6, 40, 16, False, (5,)),
    (7, 64, 7, True, (2,)),
    (13, 9, 13, True, (4,)),
    (13, 9, 13, False, (1,)),
    (8, 41, 4, True, (1,)),
    (8, 41, 4, True, (0,)),
    (8, 12, 2, True, ()),
    (96, 200, 2, True, (17,)),
    (130, 129, 2, True, (2, 9)),
    (12, 257, 6, True, (3, 1, 2)),
    (256, 130, 2, True, (70,)),  # the large blocks of the 16-bit types
    (320, 16, 2, False, (131,)),
    (260, 16, 2, True, (66,)),
    (8, 1, 4, True, (3,)),
    (12, 1, 4, False, (33,)),
]


def _check(x: Tensor, geometry: TileGeometry, per_tile: bool, with_bias: bool = True) -> None:
    tile, alphas, bias = layer(geometry, per_tile, device=DEVICE)
    chosen = bias if with_bias else None
    found = triton_linear.tiled_linear(x, tile, alphas, geometry, chosen)
    assert found.dtype == x.dtype and found.device == x.device
    assert relative_error(found, reference.tiled_linear(x, tile, alphas, geometry, chosen)) < TOLERANCE[x.dtype]


def _blocks_check(x: Tensor, geometry: TileGeometry, blocks: Blocks, activation: str = "none") -> None:
    """With given blocks, a gain and an activation."""
    tile, alphas, bias = layer(geometry, True, device=DEVICE)
    gain = torch.rand(geometry.rows, device=DEVICE) + 0.5
    planes = triton_linear.pack_planes(tile, geometry)
    found = triton_linear.multiply(x, planes, alphas, geometry, bias, gain, activation, blocks)
    expected = dispatch.ACTIVATIONS[activation](reference.tiled_linear(x, tile, alphas, geometry) * gain + bias)
    assert relative_error(found, expected) < TOLERANCE[x.dtype]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("rows", "row_length", "p", "per_tile", "lead"), SHAPES)
def test_equal_to_the_reference(
    rows: int, row_length: int, p: int, per_tile: bool, lead: tuple[int, ...], dtype: torch.dtype
) -> None:
    _check(torch.randn(*lead, row_length, device=DEVICE).to(dtype), TileGeometry(rows, row_length, p), per_tile)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("batch", [1, 16])
def test_few_inputs_share_the_columns_and_are_added_up(batch: int, dtype: torch.dtype) -> None:
    geometry = TileGeometry(48, 700, 4)
    blocks = rule(Work("linear", dtype, geometry.distinct_rows, geometry.row_length, batch))
    assert blocks.splits > 1
    _blocks_check(torch.randn(batch, 700, device=DEVICE).to(dtype), geometry, blocks)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("activation", "splits"), [("none", 3), ("relu", 1), ("gelu", 1), ("gelu", 3)])
def test_gain_bias_and_activation(splits: int, activation: str, dtype: torch.dtype) -> None:
    _blocks_check(
        torch.randn(19, 300, device=DEVICE).to(dtype),
        TileGeometry(24, 300, 2),
        Blocks(64, 16, 4, 3, splits),
        activation,
    )


def test_the_same_input_gives_the_same_bits() -> None:
    tile, alphas, bias = layer(geometry := TileGeometry(24, 700, 2), True, device=DEVICE)
    x = torch.randn(3, 700, device=DEVICE)
    found = [triton_linear.tiled_linear(x, tile, alphas, geometry, bias) for _ in range(3)]
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


@pytest.mark.parametrize(
    ("shape", "splits"),
    [((128, 16), 2), ((128, 64), 1), ((64, 128), 1), ((128, 128), 2), ((128, 256), 1), ((256, 128), 1)],
)
def test_every_block_size(shape: tuple[int, int], splits: int) -> None:
    geometry = TileGeometry(2 * (shape[0] + 3), 137, 2)
    x = torch.randn(shape[1] + 5, 137, device=DEVICE).to(torch.float16)
    _blocks_check(x, geometry, Blocks(*shape, 8 if max(shape) > 64 else 4, 3, splits), "relu")


def test_relu_keeps_nan() -> None:
    geometry = TileGeometry(8, 24, 4)
    tile, alphas, _ = layer(geometry, True, device=DEVICE)
    x = torch.full((1, 24), torch.nan, device=DEVICE)
    assert triton_linear.tiled_linear(x, tile, alphas, geometry, activation="relu").isnan().all()


@pytest.mark.parametrize("per_tile", [True, False])
def test_without_bias(per_tile: bool) -> None:
    _check(torch.randn(3, 24, device=DEVICE), TileGeometry(8, 24, 4), per_tile, with_bias=False)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_strides_of_x(dtype: torch.dtype) -> None:
    geometry = TileGeometry(12, 48, 4)
    x = torch.randn(5, 200, device=DEVICE).to(dtype)
    wide = torch.randn(5, 192, device=DEVICE).to(dtype)
    tall = torch.randn(48, 5, device=DEVICE).to(dtype)
    for view in (x[:, :48], x[:, 1:49], x[:, 3:195:4], wide[:, ::4], tall.T, x[:1, :48].expand(4, 48), x[::2, 100:148]):
        assert not view.is_contiguous()
        _check(view, geometry, per_tile=True)


@pytest.mark.parametrize("row_length", [16, 41, 48, 130])
def test_reads_nothing_beside_x(row_length: int) -> None:
    frame = torch.full((9, 256), torch.nan, device=DEVICE)
    frame[2:5, 16 : 16 + row_length] = torch.randn(3, row_length, device=DEVICE)
    _check(frame[2:5, 16 : 16 + row_length], TileGeometry(6, row_length, 3), per_tile=True)


def test_other_layers_of_alphas_and_bias() -> None:
    geometry = TileGeometry(12, 16, 4)
    tile, alphas, bias = layer(geometry, per_tile=True, device=DEVICE)
    x = torch.randn(3, 16, device=DEVICE)
    expected = triton_linear.tiled_linear(x, tile, alphas, geometry, bias)
    spread_alphas, spread_bias = torch.zeros(4, 3, device=DEVICE), torch.zeros(12, 2, device=DEVICE)
    spread_alphas[:, 1], spread_bias[:, 1] = alphas, bias
    assert torch.equal(triton_linear.tiled_linear(x, tile, spread_alphas[:, 1], geometry, spread_bias[:, 1]), expected)
    same = torch.full((1,), 0.5, device=DEVICE).expand(4)
    assert torch.equal(
        triton_linear.tiled_linear(x, tile, same, geometry),
        triton_linear.tiled_linear(x, tile, same[:1].clone(), geometry),
    )


@pytest.mark.parametrize("shape", [(8, 41, 4), (6, 40, 16), (6, 300, 3)])
def test_planes_hold_the_bit_of_every_weight(shape: tuple[int, int, int]) -> None:
    geometry = TileGeometry(*shape)
    tile, _, _ = layer(geometry, per_tile=False)
    signs = unpack_bits(tile, geometry.tile_length).tolist()
    planes = triton_linear.pack_planes(tile, geometry)
    assert planes.shape == (-(-geometry.row_length // 128), geometry.distinct_rows, 16) and planes.is_contiguous()
    for row in range(geometry.distinct_rows):
        for k in range(planes.shape[0] * 128):
            bit = int(planes[k // 128, row, k % 16]) >> (k % 128 // 16) & 1
            expected = signs[(row * geometry.row_length + k) % len(signs)] if k < geometry.row_length else -1
            assert bit == (expected > 0)


def test_wrong_input_gives_an_error_with_its_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    geometry = TileGeometry(8, 12, 4)
    tile, alphas, bias = layer(geometry, per_tile=True, device=DEVICE)
    x = torch.randn(2, 12, device=DEVICE)
    run = triton_linear.tiled_linear
    with pytest.raises(ValueError, match=r"not torch\.float64; convert x"):
        run(x.double(), tile, alphas, geometry)
    with pytest.raises(ValueError, match="last axis must have 12"):
        run(x[:, :11], tile, alphas, geometry)
    with pytest.raises(ValueError, match="last axis must have 12"):
        run(torch.tensor(1.0, device=DEVICE), tile, alphas, geometry)
    with pytest.raises(ValueError, match=r"kernels\.dispatch takes this layer"):
        run(x, torch.zeros(11, dtype=torch.uint8, device=DEVICE), alphas[:1], TileGeometry(7, 12, 1))
    with pytest.raises(ValueError, match="alphas must be"):
        run(x, tile, alphas[:3], geometry)
    with pytest.raises(ValueError, match="alphas must be"):
        run(x, tile, alphas.double(), geometry)
    with pytest.raises(ValueError, match="bias must be"):
        run(x, tile, alphas, geometry, bias[:7])
    with pytest.raises(ValueError, match="gain must be"):
        run(x, tile, alphas, geometry, gain=bias[:7])
    with pytest.raises(ValueError, match="gain must be"):
        run(x, tile, alphas, geometry, gain=bias.double())
    with pytest.raises(ValueError, match=r"use one of none, relu, gelu"):
        run(x, tile, alphas, geometry, activation="tanh")
    with pytest.raises(ValueError, match="24 signs need"):
        run(x, tile[:2], alphas, geometry)
    with pytest.raises(ValueError, match=r"make them with triton_linear\.pack_planes"):
        run(x, tile, alphas, geometry, planes=torch.zeros(1, 3, 16, dtype=torch.uint8, device=DEVICE))
    with pytest.raises(ValueError, match=r"bias is on meta .* move the layer"):
        run(x, tile, alphas, geometry, bias.to("meta"))
    monkeypatch.setattr(triton_checks, "INTERPRETED", False)
    with pytest.raises(ValueError, match="needs a CUDA device"):
        run(x.cpu(), tile, alphas, geometry)


def test_dispatch_takes_the_kernel_with_planes_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    pack_planes = triton_linear.pack_planes
    monkeypatch.setattr(dispatch, "uses_triton", lambda x: True)
    monkeypatch.setattr(
        triton_linear, "pack_planes", lambda tile, geometry: made.append(1) or pack_planes(tile, geometry)
    )
    for shape, kernel_calls in (
        ((8, 24, 4), 1),
        ((7, 24, 4), 0),
        ((10, 24, 4), 0),
    ):  # a shared tile; nothing shared; several alphas in a row
        geometry = TileGeometry(*shape)
        tile, alphas, bias = layer(geometry, per_tile=True, device=DEVICE)
        prepared = dispatch.prepare(tile, alphas, geometry, torch.float32)
        made.clear()
        for _ in range(2):
            x = torch.randn(3, 24, device=DEVICE)
            found = dispatch.linear(x, prepared, bias)
            assert relative_error(found, reference.tiled_linear(x, tile, alphas, geometry, bias)) < 1e-5
        assert len(made) == kernel_calls
        assert ("weight" in vars(prepared)) == (kernel_calls == 0), "the kernel needs no expanded weight"
