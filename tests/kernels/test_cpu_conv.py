"""The native CPU kernel of the convolution: every version equal to torch and to one another, and what is left to torch."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from kernels import dispatch
from kernels.cpu import conv, engine
from kernels.cpu import plan as plans
from kernels.layout import TileGeometry, Window
from kernels.reference import dense_weight
from tests.kernels.cpu_versions import close, force
from tests.kernels.kernel_layers import layer

pytestmark = pytest.mark.usefixtures("own_choice")
SQUARE = Window((3, 3), (1, 1), (1, 1), (1, 1))


class Case(NamedTuple):
    """A packed convolution, and what it is made of."""

    tile: Tensor
    alphas: Tensor
    bias: Tensor
    geometry: TileGeometry
    channels: int
    window: Window

    @property
    def codes(self) -> tuple[Tensor, Tensor]:
        scale = self.alphas.expand(self.geometry.copies).contiguous()
        return conv.pack_codes(self.tile, self.geometry, self.channels, self.window), scale

    def prepared(self) -> dispatch.Prepared:
        return dispatch.prepare(self.tile, self.alphas, self.geometry, torch.float32, self.window)

    def expected(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """In float64, by torch, with the whole weight."""
        window, weight = self.window, dense_weight(self.tile, self.alphas, self.geometry)
        function: Any = F.conv1d if len(window.kernel) == 1 else F.conv2d
        filters = weight.reshape(-1, self.channels, *window.kernel).double()
        out = function(
            x.double(), filters, None if bias is None else bias.double(), window.stride, window.padding, window.dilation
        )
        return out.float()  # type: ignore[no-any-return]


def case(rows: int, channels: int, p: int, window: Window, seed: int = 0) -> Case:
    geometry = TileGeometry(rows, channels * math.prod(window.kernel), p)
    return Case(*layer(geometry, geometry.tiles_per_copy == 1, seed), geometry, channels, window)


def run(of: Case, x: Tensor, bias: Tensor | None, relu: bool = False, scale: Tensor | None = None) -> Tensor:
    window, (codes, alphas) = of.window, of.codes
    places = (window.kernel, window.stride, window.padding, window.dilation)
    return conv.conv(x, codes, alphas if scale is None else scale, bias, of.geometry.distinct_rows, *places, relu)


def all_versions(of: Case, x: Tensor, *arguments: Any) -> Tensor:
    """The answer of the best version, after all have given the same bits."""
    found = []
    for name in engine.versions():
        with pytest.MonkeyPatch.context() as patch:
            force(name, patch)
            found.append(run(of, x, *arguments))
    engine.engine.cache_clear()
    assert all(torch.equal(found[0], other) and found[0].stride() == other.stride() for other in found[1:])
    return found[0]


@st.composite
def windows(draw: st.DrawFn) -> Window:
    axes = draw(st.integers(1, 2))

    def each(least: int, most: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(least, most)) for _ in range(axes))

    return Window(each(1, 4), each(1, 3), each(0, 3), each(1, 3))


@given(windows(), st.data())
@settings(max_examples=120)
def test_any_window_on_any_shape(window: Window, data: st.DataObject) -> None:
    rows, channels = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 70))
    p = data.draw(st.sampled_from([p for p in range(1, rows + 1) if rows % p == 0]))
    least = [
        max(1, (k - 1) * d + 1 - 2 * pad)
        for k, pad, d in zip(window.kernel, window.padding, window.dilation, strict=True)
    ]
    space = [data.draw(st.integers(low, low + 9)) for low in least]
    of = case(rows, channels, p, window, data.draw(st.integers(0, 1000)))
    x = torch.randn(data.draw(st.integers(0, 3)), channels, *space)
    if data.draw(st.booleans()):
        x = x.movedim(1, -1).contiguous().movedim(-1, 1)
    bias = data.draw(st.sampled_from([of.bias, None]))
    gain = data.draw(st.sampled_from([torch.randn(rows), None]))
    relu = data.draw(st.booleans())
    scale = None if gain is None else of.codes[1][:, None] * gain.reshape(len(of.codes[1]), -1)
    expected = of.expected(x, None) * (1 if gain is None else gain.reshape(-1, *[1] * len(space)))
    expected = expected if bias is None else expected + bias.reshape(-1, *[1] * len(space))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plans, "TABLE_FLOATS", data.draw(st.sampled_from([1, 4000, 2**16])))
        plans.plan.cache_clear()
        found = all_versions(of, x, bias, relu, scale)
    plans.plan.cache_clear()
    close(found, expected.relu() if relu else expected)


@pytest.mark.parametrize(
    ("shape", "rows", "p", "window"),
    [
        ((2, 64, 14, 14), 64, 4, SQUARE),
        ((1, 64, 1, 700), 24, 2, Window((1, 5), (2, 2), (0, 3), (1, 3))),
        ((1, 33, 20, 300), 17, 1, Window((7, 7), (2, 2), (3, 3), (1, 1))),
        ((2, 256, 9, 9), 48, 3, Window((1, 1), (1, 1), (0, 0), (1, 1))),
        ((2, 40, 9, 9), 48, 3, Window((1, 1), (2, 2), (0, 0), (1, 1))),
        ((2, 40, 9, 9), 48, 3, Window((1, 1), (2, 2), (1, 1), (1, 1))),
        ((1, 3, 32, 32), 64, 4, Window((5, 5), (1, 1), (6, 6), (1, 1))),
        ((1, 32, 40, 40), 10, 4, Window((3, 3), (1, 1), (12, 12), (12, 12))),
        ((3, 70, 100), 12, 4, Window((3,), (1,), (1,), (1,))),
    ],
)
def test_common_and_odd_layers(shape: tuple[int, ...], rows: int, p: int, window: Window) -> None:
    of = case(rows, shape[1], p, window)
    x = torch.randn(*shape)
    close(all_versions(of, x, of.bias), of.expected(x, of.bias))


@pytest.mark.parametrize("last", [False, True])
def test_memory_format_and_strides(last: bool, version: str) -> None:
    of = case(24, 40, 4, SQUARE)
    memory_format = torch.channels_last if last else torch.contiguous_format
    x = torch.randn(3, 40, 7, 9).to(memory_format=memory_format)
    found = run(of, x, of.bias)
    assert (
        found.is_contiguous(memory_format=memory_format)
        and found.stride() == F.conv2d(x, torch.zeros(24, 40, 3, 3), padding=1).stride()
    )
    wide = torch.randn(3, 80, 14, 18).to(memory_format=memory_format)
    for strided in (wide[:, ::2, ::2, 1::2], x.transpose(2, 3), x[:1].expand(3, -1, -1, -1), x[1:], x.flip(3)):
        close(run(of, strided, of.bias), of.expected(strided, of.bias))


def test_threads_and_batches_change_no_bit(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    of = case(40, 64, 4, Window((3, 3), (2, 2), (1, 1), (1, 1)))
    x = torch.randn(3, 64, 13, 11)
    torch.set_num_threads(1)
    plans.plan.cache_clear()
    expected = run(of, x, of.bias)
    monkeypatch.setattr(plans, "PART_SIGNS", 64)
    for threads in (2, 3, 8, 30):
        torch.set_num_threads(threads)
        plans.plan.cache_clear()
        assert torch.equal(run(of, x, of.bias), expected)
        assert torch.equal(run(of, x[1:2], of.bias)[0], expected[1])
    plans.plan.cache_clear()


@given(windows(), st.integers(0, 5), st.integers(1, 300), st.integers(1, 80), st.integers(1, 80), st.integers(1, 9))
def test_plans_fit_and_use_the_threads(
    window: Window, batch: int, channels: int, height: int, width: int, limit: int
) -> None:
    space = (height, width)[2 - len(window.kernel) :]
    if min(window.outputs(space)) < 1:
        return
    shape = (batch, channels, *(1, 1)[: 2 - len(space)], *space)
    strides = torch.empty(shape).stride()
    plans.plan.cache_clear()
    found = plans.plan(shape, strides, 16, 2, window, limit, False, False, False)
    assert 1 <= found.threads <= max(1, min(limit, found.tiles))
    assert found.work_floats % 16 == 0 and found.work_floats <= 2**21
    assert (found.tiles == 0) == (batch == 0)
    if found.threads == 1:
        return
    assert found.tiles >= min(found.threads, batch * window.outputs(space)[0])


def test_infinite_and_missing_values_stay_where_they_are(version: str) -> None:
    of = case(32, 40, 4, SQUARE)
    x = torch.randn(1, 40, 9, 9)
    x[0, 39, 0, 0], x[0, 0, 8, 8] = torch.inf, torch.nan
    found = run(of, x, of.bias)[0]
    assert found[:, :2, :2].isinf().all() and found[:, 7:, 7:].isnan().all()
    assert int(found.isfinite().sum()) == 32 * (81 - 8)
    assert run(of, x, of.bias, True)[0, :, 7:, 7:].isnan().all()


def test_what_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    force("portable", monkeypatch)
    of = case(64, 48, 4, SQUARE)
    prepared, x = of.prepared(), torch.randn(2, 48, 6, 6)
    takes: Any = conv.takes
    assert (
        takes(x, prepared, of.bias, SQUARE)
        and takes(x, prepared, None, SQUARE)
        and takes(x[:0], prepared, None, SQUARE)
    )
    assert not takes(x[0], prepared, None, SQUARE) and not takes(x[:, :47], prepared, None, SQUARE)
    assert not takes(x[..., :0], prepared, None, SQUARE)
    assert not takes(x[..., :2], prepared, None, Window((3, 3), (1, 1), (0, 0), (1, 1)))
    assert not takes(x, prepared, of.bias[:1], SQUARE) and not takes(x, prepared, of.bias.double(), SQUARE)
    assert not takes(x.to("meta"), prepared, None, SQUARE) and not takes(x.double(), prepared, None, SQUARE)
    assert not takes(x.clone().requires_grad_(), prepared, None, SQUARE)
    with torch.autocast("cpu"):
        assert not takes(x, prepared, None, SQUARE)
    with FlopCounterMode(display=False):
        assert not takes(x, prepared, None, SQUARE)
    with torch.no_grad():
        assert takes(x.clone().requires_grad_(), prepared, None, SQUARE)


def test_windows_left_to_torch() -> None:
    assert conv.supports(SQUARE) and conv.supports(Window((3,), (1,), (1,), (500,)))
    assert not conv.supports(Window((3, 3), (1, 1), (1, 1), (1, 1), 2))
    assert not conv.supports(Window((3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1)))
    assert not conv.supports(Window((3, 3), (1, 1), (1, 1), (100, 100)))


def test_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, enough, short in (
        ("avx512", [(16, 1, 9), (64, 17, 1)], [(15, 64, 9), (64, 16, 1)]),
        ("avx2", [(32, 1, 9), (64, 49, 1)], [(31, 64, 9), (64, 48, 1)]),
        ("portable", [], [(512, 512, 49)]),
    ):
        monkeypatch.setattr(conv, "choice", lambda name=name: (name, False))
        assert all(conv.pays(*sizes) for sizes in enough) and not any(conv.pays(*sizes) for sizes in short)
        monkeypatch.setattr(conv, "choice", lambda name=name: (name, True))
        assert conv.pays(1, 1, 1)
    monkeypatch.setattr(conv, "choice", lambda: ("torch", True))
    assert not conv.pays(512, 512, 9)


def test_a_graph_of_torch_compile_holds_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    force("portable", monkeypatch)
    of = case(24, 40, 4, SQUARE)
    codes, rows = of.codes, of.geometry.distinct_rows
    prepared = dispatch.prepare(of.tile, of.alphas, of.geometry, torch.float32, SQUARE, activation="relu").expanded()
    graphs = []

    def backend(graph: Any, _: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    compiled = torch.compile(lambda x: dispatch.conv(x.relu(), prepared, of.bias), backend=backend, fullgraph=True)
    for batch in (3, 5):
        x = torch.randn(batch, 40, 5, 6)
        assert torch.equal(compiled(x), run(of, x.relu(), of.bias, True))
        assert torch.equal(dispatch.conv(x.relu(), prepared, of.bias), run(of, x.relu(), of.bias, True))
    assert all(any(node.target is torch.ops.tbn.cpu_conv for node in graph.graph.nodes) for graph in graphs)
    torch._dynamo.reset()
    places = ((3, 3), (1, 1), (1, 1), (1, 1))
    for x in (torch.randn(2, 40, 5, 6), torch.randn(2, 40, 5, 6).to(memory_format=torch.channels_last)):
        torch.library.opcheck(torch.ops.tbn.cpu_conv.default, (x, *codes, of.bias, rows, *places, True))
    flat = case(24, 40, 4, Window((3,), (2,), (1,), (1,)))
    x = torch.randn(2, 9, 40).transpose(1, 2)
    torch.library.opcheck(torch.ops.tbn.cpu_conv.default, (x, *flat.codes, None, rows, (3,), (2,), (1,), (1,)))


@pytest.mark.parametrize(
    "wrong",
    ["x", "x dtype", "axes", "empty", "codes", "codes dtype", "scale", "bias", "rows", "stride", "padding", "reach"],
)
def test_wrong_arguments_are_refused(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    force("portable", monkeypatch)
    of = case(24, 40, 4, SQUARE)
    codes, scale = of.codes
    given: dict[str, Any] = {
        "x": torch.randn(2, 40, 5, 5), "codes": codes, "scale": scale, "bias": of.bias, "distinct_rows": 6,
        "kernel": (3, 3), "stride": (1, 1), "padding": (1, 1), "dilation": (1, 1),
    }  # fmt: skip
    broken: dict[str, dict[str, Any]] = {
        "x": {"x": torch.randn(2, 65, 5, 5)},
        "x dtype": {"x": torch.randn(2, 40, 5, 5).double()},
        "axes": {"x": torch.randn(40, 5, 5)},
        "empty": {"x": torch.randn(2, 40, 5, 0)},
        "codes": {"codes": codes[:, :1]},
        "codes dtype": {"codes": codes.to(torch.int64)},
        "scale": {"scale": scale[:, None]},
        "bias": {"bias": of.bias[:23]},
        "rows": {"distinct_rows": 17},
        "stride": {"stride": (0, 1)},
        "padding": {"padding": (1,)},
        "reach": {"dilation": (100, 100), "padding": (100, 100)},
    }
    conv.conv(**given)
    with pytest.raises(ValueError, match=r"cannot convolve .*; kernels\.dispatch\.conv takes any layer"):
        conv.conv(**given | broken[wrong])


def test_without_the_kernel_the_operator_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TBN_CPU", "torch")
    of = case(24, 40, 4, SQUARE)
    with pytest.raises(RuntimeError, match="there is no native CPU kernel here"):
        run(of, torch.randn(2, 40, 5, 5), None)
