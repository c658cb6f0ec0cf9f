"""Shapes, tiles and a loop that stands for the layer, for the tests of the kernels."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from torch import Tensor

from kernels.layout import TileGeometry, packed_length


@st.composite
def geometries(draw: st.DrawFn, max_rows: int = 24, max_length: int = 20) -> TileGeometry:
    """Any shape with any p that divides its weights, also p above the number of rows and p = 1."""
    rows, row_length = draw(st.integers(1, max_rows)), draw(st.integers(1, max_length))
    count = rows * row_length
    return TileGeometry(rows, row_length, draw(st.sampled_from([p for p in range(1, count + 1) if count % p == 0])))


def layer(geometry: TileGeometry, per_tile: bool, seed: int = 0, device: str = "cpu") -> tuple[Tensor, Tensor, Tensor]:
    """Random bits (the padding bits too), alphas and bias."""
    generator = torch.Generator().manual_seed(seed)
    tile = torch.randint(0, 256, (packed_length(geometry.tile_length),), generator=generator, dtype=torch.uint8)
    alphas = torch.rand(geometry.p if per_tile else 1, generator=generator) + 0.1
    return tile.to(device), alphas.to(device), torch.randn(geometry.rows, generator=generator).to(device)


def loop_weight(tile: Tensor, alphas: Tensor, geometry: TileGeometry) -> Tensor:
    """(rows, row_length) float64: one weight after the other, straight from the definition."""
    weight = torch.zeros(geometry.rows, geometry.row_length, dtype=torch.float64)
    q = geometry.rows * geometry.row_length // geometry.p
    for row in range(geometry.rows):
        for column in range(geometry.row_length):
            flat = row * geometry.row_length + column
            bit = int(tile[flat % q // 8]) >> (flat % q % 8) & 1
            weight[row, column] = (1 if bit else -1) * float(alphas[flat // q if alphas.numel() > 1 else 0])
    return weight


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Largest difference over the largest expected value; 0 for empty tensors of one shape."""
    assert found.shape == expected.shape
    if found.numel() == 0:
        return 0.0
    return float((found.double() - expected.double()).abs().max() / expected.double().abs().max())
