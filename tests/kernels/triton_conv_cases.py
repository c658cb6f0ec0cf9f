"""Cases of the Triton convolution, run as ``triton_cases.py`` is: equal to torch's dense convolution in float64."""

from __future__ import annotations

from math import prod

import pytest
import torch
from torch import Tensor

from kernels import dispatch, triton_checks, triton_conv
from kernels.layout import TileGeometry, Window, unpack_bits
from kernels.reference import dense_weight
from kernels.triton_blocks import Blocks
from kernels.triton_signs import INTERPRETED
from tests.kernels.kernel_layers import layer, relative_error

DEVICE = "cpu" if INTERPRETED else "cuda"
TOLERANCE = {torch.float32: 1e-5, torch.float16: 1e-3, torch.bfloat16: 1e-2}
WINDOWS = [  # channels, space, window
    (16, (7, 6), Window((3, 3), (1, 1), (1, 1), (1, 1))),
    (3, (9, 8), Window((3, 2), (2, 1), (1, 0), (1, 2))),
    (20, (6, 5), Window((1, 1), (2, 2), (0, 0), (1, 1))),
    (32, (3, 5), Window((3, 5), (1, 3), (4, 2), (1, 1))),
    (64, (4, 5), Window((3, 1), (1, 1), (3, 0), (2, 1))),
    (128, (4, 3), Window((1, 2), (1, 1), (0, 1), (1, 1))),
    (16, (17,), Window((5,), (2,), (3,), (2,))),
    (1, (9,), Window((3,), (1,), (0,), (1,))),
]


def _expected(x: Tensor, tile: Tensor, alphas: Tensor, geometry: TileGeometry, window: Window) -> Tensor:
    weight = dense_weight(tile, alphas, geometry).double().reshape(geometry.rows, -1, *window.kernel)
    return dispatch.convolve(x.double(), weight, None, window)


def _check(
    x: Tensor, geometry: TileGeometry, window: Window, activation: str = "none", blocks: Blocks | None = None
) -> None:
    tile, alphas, bias = layer(geometry, geometry.tiles_per_copy == 1, device=DEVICE)
    gain = torch.rand(geometry.rows, device=DEVICE) + 0.5
    planes = triton_conv.pack_planes(tile, geometry, window)
    found = triton_conv.multiply(x, planes, alphas, geometry, window, bias, gain, activation, blocks)
    dense = _expected(x, tile, alphas, geometry, window)
    tail = (-1, *(1,) * len(window.kernel))
    expected = dispatch.ACTIVATIONS[activation](dense * gain.reshape(tail) + bias.reshape(tail))
    assert found.dtype == x.dtype
    assert relative_error(found, expected) < TOLERANCE[x.dtype]
    if len(window.kernel) == 2 and x.dim() == 4 and x.is_contiguous():
        assert found.is_contiguous()
    elif x.dim() == 4:
        assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("channels", "space", "window"), WINDOWS, ids=str)
def test_equal_to_the_dense_convolution(
    channels: int, space: tuple[int, ...], window: Window, dtype: torch.dtype
) -> None:
    geometry = TileGeometry(12, channels * prod(window.kernel), 4)
    assert triton_conv.supports(geometry, 4, window)
    x = torch.randn(2, channels, *space, device=DEVICE).to(dtype)
    _check(x, geometry, window)
    if len(space) == 2 and channels > 1:
        _check(x.contiguous(memory_format=torch.channels_last), geometry, window, "relu")


def test_without_a_batch() -> None:
    _check(torch.randn(16, 4, 3, device=DEVICE), TileGeometry(8, 64, 4), Window((2, 2), (1, 1), (0, 0), (1, 1)))
    _check(torch.randn(16, 5, device=DEVICE), TileGeometry(8, 32, 4), Window((2,), (1,), (0,), (1,)))


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("activation", "splits"), [("none", 5), ("relu", 2), ("gelu", 1), ("gelu", 3)])
def test_splits_and_activations(splits: int, activation: str, last: bool) -> None:
    window = Window((3, 3), (1, 1), (1, 1), (1, 1))
    x = torch.randn(2, 64, 4, 3, device=DEVICE).to(torch.float16)
    x = x.contiguous(memory_format=torch.channels_last) if last else x
    _check(x, TileGeometry(20, 64 * 9, 5), window, activation, Blocks(64, 16, 4, 3, splits))


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("shape", [(64, 64), (64, 128), (128, 128), (128, 256)])
def test_blocks_larger_than_an_image(shape: tuple[int, int], last: bool) -> None:
    x = torch.randn(shape[1] // 6 + 2, 32, 3, 2, device=DEVICE).to(torch.float16)
    x = x.contiguous(memory_format=torch.channels_last) if last else x
    window = Window((3, 3), (1, 1), (1, 1), (1, 1))
    _check(x, TileGeometry(2 * (shape[0] + 1), 32 * 9, 2), window, blocks=Blocks(*shape, 4, 3))


@pytest.mark.parametrize("channels", [16, 24])
def test_reads_nothing_beside_x(channels: int) -> None:
    frame = torch.full((3, 7, 8, 64), torch.nan, device=DEVICE).permute(0, 3, 1, 2)
    frame[1:2, 16 : 16 + channels, 1:6, 2:7] = torch.randn(1, channels, 5, 5, device=DEVICE)
    window = Window((3, 3), (1, 1), (1, 1), (1, 1))
    tile, alphas, _ = layer(geometry := TileGeometry(8, channels * 9, 4), True, device=DEVICE)
    x = frame[1:2, 16 : 16 + channels, 1:6, 2:7]
    found = triton_conv.tiled_conv(x, tile, alphas, geometry, window)
    assert relative_error(found, _expected(x, tile, alphas, geometry, window)) < 1e-5


def test_no_images_give_no_output() -> None:
    window = Window((3, 3), (1, 1), (0, 0), (1, 1))
    tile, alphas, bias = layer(geometry := TileGeometry(8, 36, 4), True, device=DEVICE)
    found = triton_conv.tiled_conv(torch.zeros(0, 4, 5, 6, device=DEVICE), tile, alphas, geometry, window, bias)
    assert found.shape == (0, 8, 3, 4)


def test_planes_hold_the_bit_of_every_weight() -> None:
    window, geometry = Window((2, 3), (1, 1), (0, 0), (1, 1)), TileGeometry(8, 20 * 6, 4)
    tile, _, _ = layer(geometry, per_tile=False)
    signs = unpack_bits(tile, geometry.tile_length).reshape(2, 20, 6).tolist()
    planes = triton_conv.pack_planes(tile, geometry, window)
    assert planes.shape == (2, 2, 16)
    for row in range(2):
        for k in range(planes.shape[0] * 128):
            bit = int(planes[k // 128, row, k % 16]) >> (k % 128 // 16) & 1
            position, channel = divmod(k, 32)
            assert bit == (position < 6 and channel < 20 and signs[row][channel][position] > 0)


def test_wrong_input_gives_an_error_with_its_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    window, geometry = Window((3, 3), (1, 1), (0, 0), (1, 1)), TileGeometry(8, 36, 4)
    tile, alphas, _ = layer(geometry, per_tile=True, device=DEVICE)
    x = torch.randn(1, 4, 5, 5, device=DEVICE)
    run = triton_conv.tiled_conv
    grouped, solid = Window((3, 3), (1, 1), (0, 0), (1, 1), 2), Window((1, 3, 3), (1,) * 3, (0,) * 3, (1,) * 3)
    assert not triton_conv.supports(geometry, 4, grouped) and not triton_conv.supports(geometry, 4, solid)
    for other in (grouped, solid):
        with pytest.raises(ValueError, match=r"kernels\.dispatch takes this convolution"):
            run(x, tile, alphas, geometry, other)
    with pytest.raises(ValueError, match=r"it must be \(batch, 4, \*space\) with 2 axes"):
        run(x[:, :3], tile, alphas, geometry, window)
    with pytest.raises(ValueError, match=r"it must be \(batch, 4, \*space\) with 2 axes"):
        run(x[None], tile, alphas, geometry, window)
    with pytest.raises(ValueError, match="give it more padding"):
        run(x[..., :2], tile, alphas, geometry, window)
    with pytest.raises(ValueError, match=r"make them with triton_conv\.pack_planes"):
        run(x, tile, alphas, geometry, window, planes=torch.zeros(1, 2, 16, dtype=torch.uint8, device=DEVICE))
    with pytest.raises(ValueError, match="convert x"):
        run(x.double(), tile, alphas, geometry, window)
    with pytest.raises(ValueError, match="hold [0-9]+ numbers, .* set TBN_ENGINE=torch"):
        run(x[:, :, :, :1].expand(1, 4, 5, 2**26), tile, alphas, geometry, window)
    monkeypatch.setattr(triton_checks, "INTERPRETED", False)
    with pytest.raises(ValueError, match="needs a CUDA device"):
        run(x.cpu(), tile, alphas, geometry, window)
