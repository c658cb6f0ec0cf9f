"""TBN_CPU=int8, the native linear layer with 8-bit inputs: equal to plain integers bit for bit, with the error that its documentation states."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kernels import cpu, dispatch
from kernels.cpu import codes, conv, engine, linear
from kernels.layout import TileGeometry
from kernels.reference import tiled_linear
from tests.kernels.kernel_layers import geometries, layer

pytestmark = pytest.mark.usefixtures("own_choice")


def integers(x: Tensor, tile: Tensor, geometry: TileGeometry, scale: Tensor, bias: Tensor | None) -> Tensor:
    """The same in torch, with whole numbers of 64 bits."""
    signs = 1 - 2 * codes.distinct_minus(tile, geometry).long()
    largest = x.abs().amax(-1, keepdim=True)
    inverse = torch.where(largest < 1e-35, torch.zeros(()), 127.0 / largest)
    z = (torch.round(x * inverse).long() @ signs.T).float() * (largest / 127.0)
    out = (z[:, None] * scale.reshape(len(scale), -1)).flatten(1)
    return out if bias is None else out + bias


def use_int8(patch: pytest.MonkeyPatch, capability: str | None = None) -> None:
    """8-bit inputs from now on, on a CPU that has no more than this."""
    patch.setenv("TBN_CPU", "int8")
    if capability is not None:
        patch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    engine.engine.cache_clear()


@given(geometries(max_rows=330, max_length=70), st.booleans(), st.integers(0, 9), st.integers(0, 2**31))
@settings(max_examples=60)
def test_whole_numbers_are_exact(geometry: TileGeometry, with_bias: bool, batch: int, seed: int) -> None:
    tile, alphas, bias = layer(geometry, geometry.tiles_per_copy == 1, seed)
    words, scale = linear.pack_codes(tile, geometry), alphas.expand(geometry.copies).contiguous()
    x = torch.randn(batch, geometry.row_length) * 10.0 ** torch.randint(-40, 30, (batch, 1))
    expected = integers(x, tile, geometry, scale, bias if with_bias else None)
    for capability in (None, "DEFAULT"):
        with pytest.MonkeyPatch.context() as patch:
            use_int8(patch, capability)
            found = linear.linear(x, words, scale, bias if with_bias else None, geometry.distinct_rows)
        assert torch.equal(found, expected)
    engine.engine.cache_clear()


@pytest.mark.parametrize("capability", [None, "DEFAULT"])
@pytest.mark.parametrize("shape", [(64, 9000, 2), (4200, 40, 1), (256, 96, 4)])
def test_long_rows_many_rows_and_threads(
    shape: tuple[int, int, int], capability: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_int8(monkeypatch, capability)
    geometry = TileGeometry(*shape)
    tile, alphas, bias = layer(geometry, per_tile=True)
    words, x = linear.pack_codes(tile, geometry), torch.randn(6, geometry.row_length)
    scale = alphas[:, None] * torch.randn(geometry.copies, geometry.distinct_rows)
    expected = integers(x, tile, geometry, scale, bias).relu()
    torch.set_num_threads(1)
    assert torch.equal(linear.linear(x, words, scale, bias, geometry.distinct_rows, relu=True), expected)
    monkeypatch.setattr(linear, "PART_SIGNS", 64)
    torch.set_num_threads(3)
    assert torch.equal(linear.linear(x, words, scale, bias, geometry.distinct_rows, relu=True), expected)


def test_the_error_stays_in_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    geometry = TileGeometry(256, 300, 4)
    tile, alphas, bias = layer(geometry, per_tile=True)
    prepared = dispatch.prepare(tile, alphas, geometry, torch.float32)
    use_int8(monkeypatch)
    x = torch.randn(5, 300)
    error = (dispatch.linear(x, prepared, bias) - tiled_linear(x, tile, alphas, geometry, bias)).abs()
    bound = 300 * x.abs().amax(-1, keepdim=True) / 254 * alphas.repeat_interleave(64)
    assert (error > 0).any() and (error <= bound * 1.001).all()


@pytest.mark.parametrize("capability", [None, "DEFAULT"])
def test_rows_of_nothing_and_of_what_is_not_finite(capability: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    use_int8(monkeypatch, capability)
    geometry = TileGeometry(64, 40, 4)
    tile, alphas, bias = layer(geometry, per_tile=True)
    x = torch.randn(5, 40)
    x[0], x[1], x[2, 39], x[3, 0] = 0.0, 1e-42, torch.inf, torch.nan
    found = linear.linear(x, linear.pack_codes(tile, geometry), alphas, bias, 16)
    assert torch.equal(found[:2], bias.expand(2, -1)) and found[2:4].isnan().all() and found[4].isfinite().all()


def test_it_is_chosen_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine.engine().name in engine.VERSIONS
    use_int8(monkeypatch)
    assert cpu.status().startswith("int8: forced by TBN_CPU; ")
    assert linear.pays(1, 1) and not conv.pays(3, 64, 9)
    assert conv.pays(64, 64, 9) == (engine.versions()[0] != "portable")
