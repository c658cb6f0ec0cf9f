"""The native CPU kernel of the linear layer: every version equal to the reference and to one another, and what is left to torch."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from kernels import dispatch
from kernels.cpu import engine, linear
from kernels.layout import TileGeometry
from kernels.reference import tiled_linear
from tbn.layers import TiledLinear
from tbn.packed import packed_from
from tests.kernels.cpu_versions import close, force
from tests.kernels.kernel_layers import geometries, layer

pytestmark = pytest.mark.usefixtures("own_choice")

ODD = [(10, 128, 4), (6, 40, 16), (7, 64, 4), (13, 6, 13), (31, 1, 31), (8, 1, 4), (4, 16, 8), (1, 1, 1), (100, 1030, 4), (50, 33, 2),
       (96, 2049, 3), (2080, 40, 1), (1000, 7, 8), (3, 100, 1)]  # fmt: skip


def forbid_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "linear_torch", lambda *_: pytest.fail("went to torch"))


@pytest.mark.parametrize("shape", ODD)
@pytest.mark.parametrize("per_tile", [True, False])
def test_odd_shapes(shape: tuple[int, int, int], per_tile: bool, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    geometry = TileGeometry(*shape)
    tile, alphas, bias = layer(geometry, per_tile)
    prepared = dispatch.prepare(tile, alphas, geometry, torch.float32)
    if linear.supports(geometry, alphas.numel()):
        forbid_torch(monkeypatch)
    for lead in ((), (0,), (1,), (2,), (5,), (2, 0, 3), (2, 3)):
        for chosen in (bias, None):
            x = torch.randn(*lead, geometry.row_length)
            close(dispatch.linear(x, prepared, chosen), tiled_linear(x, tile, alphas, geometry, chosen))


@given(geometries(max_rows=70, max_length=70), st.booleans(), st.integers(0, 4), st.integers(0, 2**31))
@settings(max_examples=60)
def test_all_versions_agree_bit_for_bit(geometry: TileGeometry, with_bias: bool, batch: int, seed: int) -> None:
    tile, alphas, bias = layer(geometry, geometry.tiles_per_copy == 1, seed)
    prepared = dispatch.prepare(tile, alphas, geometry, torch.float32)
    x = torch.randn(batch, geometry.row_length) * 10.0 ** torch.randint(-6, 6, (geometry.row_length,))
    found = []
    for name in engine.versions():
        with pytest.MonkeyPatch.context() as patch:
            force(name, patch)
            found.append(linear.linear(x, *prepared.codes, bias if with_bias else None, geometry.distinct_rows))
    engine.engine.cache_clear()
    close(found[0], tiled_linear(x, tile, alphas, geometry, bias if with_bias else None))
    assert all(torch.equal(found[0], other) for other in found[1:])


@given(geometries(max_rows=40, max_length=40), st.booleans(), st.booleans(), st.integers(0, 3), st.integers(0, 2**31))
@settings(max_examples=60)
def test_the_epilogue_has_any_parts(geometry: TileGeometry, each: bool, relu: bool, batch: int, seed: int) -> None:
    tile, alphas, bias = layer(geometry, geometry.tiles_per_copy == 1, seed)
    codes = linear.pack_codes(tile, geometry)
    scale = alphas.expand(geometry.copies).contiguous()
    gain = torch.randn(geometry.rows) if each else torch.ones(geometry.rows)
    if each:
        scale = scale[:, None] * gain.reshape(geometry.copies, -1)
    x = torch.randn(batch, geometry.row_length)
    for chosen in (bias, None):
        expected = tiled_linear(x, tile, alphas, geometry) * gain + (0 if chosen is None else chosen)
        found = []
        for name in engine.versions():
            with pytest.MonkeyPatch.context() as patch:
                force(name, patch)
                found.append(linear.linear(x, codes, scale, chosen, geometry.distinct_rows, relu))
        engine.engine.cache_clear()
        close(found[0], expected.relu() if relu else expected)
        assert all(torch.equal(found[0], other) for other in found[1:])


@pytest.mark.parametrize(("shape", "batch"), [((256, 96, 4), 7), ((256, 96, 4), 1), ((40, 32, 2), 2), ((16, 8, 1), 3)])
def test_threads_and_batches_change_no_bit(
    shape: tuple[int, int, int], batch: int, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    geometry = TileGeometry(*shape)
    tile, alphas, bias = layer(geometry, per_tile=True)
    codes = dispatch.prepare(tile, alphas, geometry, torch.float32).codes
    x = torch.randn(batch, geometry.row_length)
    torch.set_num_threads(1)
    expected = linear.linear(x, *codes, bias, geometry.distinct_rows)
    monkeypatch.setattr(linear, "PART_SIGNS", 64)
    for threads in (2, 3, 8):
        torch.set_num_threads(threads)
        assert torch.equal(linear.linear(x, *codes, bias, geometry.distinct_rows), expected)
    for row in range(batch):
        assert torch.equal(linear.linear(x[row], *codes, bias, geometry.distinct_rows), expected[row])


@given(st.integers(0, 70), st.integers(1, 40), st.integers(1, 9))
def test_shares_cover_everything_once(batch: int, blocks: int, threads: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "PART_SIGNS", 16 * 8)
        shares = linear._shares(batch, blocks, 8, threads) if batch else []
    cells = [(i, b) for first, stop, start, end in shares for i in range(first, stop) for b in range(start, end)]
    assert sorted(cells) == [(i, b) for i in range(batch) for b in range(blocks)]
    assert len(shares) <= threads


def test_strided_inputs(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_torch(monkeypatch)
    geometry = TileGeometry(64, 48, 4)
    tile, alphas, bias = layer(geometry, per_tile=True)
    prepared = dispatch.prepare(tile, alphas, geometry, torch.float32)
    for x in (torch.randn(48, 5).T, torch.randn(5, 96)[:, ::2], torch.randn(1, 48).expand(5, -1)):
        close(dispatch.linear(x, prepared, bias), tiled_linear(x, tile, alphas, geometry, bias))


def test_infinite_and_missing_values_stay_where_they_are(version: str) -> None:
    geometry = TileGeometry(64, 40, 4)
    tile, alphas, _ = layer(geometry, per_tile=True)
    codes = dispatch.prepare(tile, alphas, geometry, torch.float32).codes
    x = torch.randn(3, 40)
    x[0, 39], x[1, 0] = torch.inf, torch.nan
    found = linear.linear(x, *codes, None, geometry.distinct_rows)
    assert found[0].isinf().all() and found[1].isnan().all() and found[2].isfinite().all()
    assert torch.equal(found[0] > 0, tiled_linear(x, tile, alphas, geometry)[0] > 0)
    ended = linear.linear(x, *codes, None, geometry.distinct_rows, relu=True)
    assert torch.equal(ended[0] > 0, found[0] > 0) and ended[1].isnan().all()


def test_what_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    force("portable", monkeypatch)
    geometry = TileGeometry(64, 48, 4)
    tile, alphas, bias = layer(geometry, per_tile=True)
    prepared = dispatch.prepare(tile, alphas, geometry, torch.float32)
    x = torch.randn(2, 48)
    takes: Any = linear.takes
    assert takes(x, prepared, bias) and takes(x, prepared, None)
    assert not takes(x[:, :47], prepared, bias) and not takes(torch.tensor(1.0), prepared, None)
    assert not takes(x, prepared, bias[:1]) and not takes(x, prepared, bias.double())
    assert not takes(x.double(), dispatch.prepare(tile, alphas, geometry, torch.float64), None)
    assert not takes(x.to("meta"), prepared, None)
    assert not takes(torch.randn(2, 48, requires_grad=True), prepared, None)
    assert not takes(x, prepared, bias.clone().requires_grad_())
    with torch.no_grad():
        assert takes(torch.randn(2, 48, requires_grad=True), prepared, None)
    with torch.autocast("cpu"):
        assert not takes(x, prepared, None)
    with torch.autograd.forward_ad.dual_level():
        assert not takes(x, prepared, None)
    with FlopCounterMode(display=False) as counter:
        dispatch.linear(x, prepared, bias)
    assert counter.get_total_flops() == 2 * 2 * 16 * 48
    found = torch.vmap(lambda row: dispatch.linear(row, prepared, bias))(x)
    close(found, tiled_linear(x, tile, alphas, geometry, bias))
    several = TileGeometry(10, 128, 4)
    assert not linear.supports(several, 4) and linear.supports(several, 1)


def test_small_layers_go_to_torch_unless_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, rows, batch in (("avx512", 16, 10**6), ("avx2", 32, 10**6), ("portable", 256, 1)):
        monkeypatch.setattr(linear, "choice", lambda name=name: (name, False))
        assert linear.pays(batch, rows) and not linear.pays(batch, rows - 1)
        monkeypatch.setattr(linear, "choice", lambda name=name: (name, True))
        assert linear.pays(10**6, 1)
    monkeypatch.setattr(linear, "choice", lambda: ("portable", False))
    assert not linear.pays(2, 1024)
    monkeypatch.setattr(linear, "choice", lambda: ("torch", True))
    assert not linear.pays(0, 1024)


def test_layers_are_copied_and_pickled_after_use(monkeypatch: pytest.MonkeyPatch) -> None:
    force("portable", monkeypatch)
    packed = packed_from(TiledLinear(48, 64, p=4))
    x = torch.randn(3, 48)
    expected = packed(x)
    for other in (copy.deepcopy(packed), pickle.loads(pickle.dumps(packed))):
        assert torch.equal(other(x), expected)
    prepared = copy.deepcopy(packed.prepared(torch.float32))
    assert torch.equal(dispatch.linear(x, prepared, packed.bias), expected)


def test_a_graph_of_torch_compile_holds_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    force("portable", monkeypatch)
    geometry = TileGeometry(64, 48, 4)
    tile, alphas, bias = layer(geometry, per_tile=True)
    prepared = dispatch.prepare(tile, alphas, geometry, torch.float32)
    x = torch.randn(3, 48)
    expected = dispatch.linear(x.relu(), prepared, bias)
    graphs = []

    def backend(graph: Any, _: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    compiled = torch.compile(lambda x: dispatch.linear(x.relu(), prepared, bias), backend=backend, fullgraph=True)
    assert torch.equal(compiled(x), expected) and compiled(torch.randn(5, 48)).shape == (5, 64)
    assert any(node.target is linear.operator for node in graphs[0].graph.nodes)
    torch._dynamo.reset()
    torch.library.opcheck(linear.operator.default, (x, *prepared.codes, bias, 16))


def test_an_exported_program_holds_operators_of_torch_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    force("portable", monkeypatch)
    geometry = TileGeometry(64, 48, 4)
    tile, alphas, _ = layer(geometry, per_tile=True)
    prepared = dispatch.prepare(tile, alphas, geometry, torch.float32)
    x = torch.randn(3, 48)
    dispatch.linear(x, prepared), dispatch.linear_torch(x, prepared)

    class Model(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return dispatch.linear(x, prepared)

    program = torch.export.export(Model(), (x,), strict=False)
    assert not any("tbn" in str(node.target) for node in program.graph.nodes)
    close(program.module()(x), tiled_linear(x, tile, alphas, geometry))


@pytest.mark.parametrize("wrong", ["x", "codes", "codes dtype", "scale", "scale dtype", "bias", "bias dtype", "rows"])
def test_wrong_arguments_are_refused(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    force("portable", monkeypatch)
    geometry = TileGeometry(64, 48, 4)
    tile, alphas, bias = layer(geometry, per_tile=True)
    codes, scale = dispatch.prepare(tile, alphas, geometry, torch.float32).codes
    x, rows = torch.randn(2, 48), 16
    if wrong == "x":
        x = torch.randn(2, 65)
    elif wrong == "codes":
        codes = codes[:, :1]
    elif wrong == "codes dtype":
        codes = codes.to(torch.int64)
    elif wrong == "scale":
        scale = scale[:, None]
    elif wrong == "scale dtype":
        scale = scale.double()
    elif wrong == "bias":
        bias = bias[:63]
    elif wrong == "bias dtype":
        bias = bias.double()
    else:
        rows = 17
    with pytest.raises(ValueError, match=r"cannot multiply .*; kernels\.dispatch\.linear takes any layer"):
        linear.linear(x, codes, scale, bias, rows)


def test_a_traced_layer_is_torchs() -> None:
    """torch.jit.trace records torch's operators only: it would keep the empty output of a C function."""
    packed = packed_from(TiledLinear(64, 128, p=4))
    x, other = torch.randn(3, 64), torch.randn(3, 64)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(packed, x, check_trace=False)
        torch.testing.assert_close(traced(other), packed(other), rtol=1e-5, atol=1e-4)
