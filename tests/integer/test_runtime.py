"""The reference against plain loops, and the C operations against the reference: the same bits for any geometry."""

import ctypes
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.machine import compilers
from tbn import TBNError
from tbn.integer import run
from tbn.integer.network import Add, Affine, AveragePool, IntegerNetwork, MaxPool, Scaling, Table, Window
from tests.integer.c_runtime import RUNTIME, SOURCES, U32, WAYS, ScratchC, build, layer_of, run_c
from tests.integer.networks import codes, ended, layer, network, slow

STRICT = ["-Wall", "-Wextra", "-Werror", "-Wconversion", "-O2", "-c"]
SHAPES = [
    (10, 128, 4),
    (6, 40, 16),
    (7, 64, 4),
    (64, 72, 4),
    (32, 136, 2),
    (9, 13, 3),
    (12, 27, 4),
    (3, 70, 1),
    (5, 1030, 1),
    (5, 7, 1),
    (6, 8, 48),
    (1, 1, 1),
]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return build(tmp_path_factory.mktemp("integer"))


def agree(library: ctypes.CDLL, net: IntegerNetwork, samples: np.ndarray) -> None:
    """Loops, numpy and C in each way give the same integers."""
    expected = run(net, samples)
    assert expected[0].tolist() == slow(net, samples[0])
    for sample, wanted in zip(samples, expected, strict=True):
        for way in WAYS:
            np.testing.assert_array_equal(run_c(library, net, sample, way), wanted)


@pytest.mark.parametrize("per_tile", [True, False], ids=["tile", "layer"])
@pytest.mark.parametrize(("rows", "row_length", "p"), SHAPES)
def test_fully_connected(library: ctypes.CDLL, rows: int, row_length: int, p: int, per_tile: bool) -> None:
    """Whole rows, rows that are cut, one alpha or one a tile, with and without factors of their own, as first and last layer."""
    for seed, (zero, bias, gain) in enumerate([(0, True, False), (73, False, False), (255, True, True)]):
        options = {"zero": zero, "per_tile": per_tile, "bias": bias, "gain": gain}
        first = layer(seed, rows, row_length, p, **options)
        agree(library, ended(first, shapes=[(row_length,), (rows,)]), codes(seed, 3, row_length))
        last = layer(seed, rows, row_length, p, target=-1, **options)
        agree(library, network(last, shapes=[(row_length,)]), codes(seed, 3, row_length))


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[int, IntegerNetwork]:
    """Groups, strides, dilations, any padding, p that divides the rows or not, int8."""
    seed, groups = draw(st.integers(0, 10**6)), draw(st.sampled_from([1, 1, 2, 3]))
    inputs, outputs = groups * draw(st.integers(1, 4)), groups * draw(st.integers(1, 6))
    height, width = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    kernel = draw(st.integers(1, min(3, height))), draw(st.integers(1, min(3, width)))
    stride, before = (
        (draw(st.integers(1, 2)), draw(st.integers(1, 2))),
        (draw(st.integers(0, 2)), draw(st.integers(0, 2))),
    )
    before = min(before[0], kernel[0] - 1), min(before[1], kernel[1] - 1)
    dilation = (1, 1) if draw(st.booleans()) else (2, 2)
    space = tuple(
        max(1, (size + 2 * b - d * (k - 1) - 1) // s + 1)
        for size, k, s, b, d in zip((height, width), kernel, stride, before, dilation, strict=True)
    )
    row_length = inputs // groups * kernel[0] * kernel[1]
    p = draw(st.sampled_from([p for p in range(1, 9) if outputs * row_length % p == 0]))
    conv = layer(
        seed, outputs, row_length, p, zero=draw(st.sampled_from([0, 17, 255])), window=Window(kernel, stride, before, dilation), groups=groups,
        per_tile=draw(st.booleans()), gain=draw(st.booleans()), int8=p == 1 and draw(st.booleans()), name="conv",
    )  # fmt: skip
    return seed, ended(conv, shapes=[(inputs, height, width), (outputs, *space)])


@given(convolutions())
def test_convolution(library: ctypes.CDLL, case: tuple[int, IntegerNetwork]) -> None:
    seed, net = case
    agree(library, net, codes(seed, 2, *net.tensors[0].shape))


def test_convolution_of_many_channels(library: ctypes.CDLL) -> None:
    """Row lengths around the table's 64 inputs and around the 256 that a word's half can add up, every code as large as can be."""
    for channels in (8, 16, 24, 28, 29, 60):
        conv = layer(channels, 32, channels * 9, 4, zero=9, window=Window((3, 3), (2, 2), (1, 1)))
        net = ended(conv, shapes=[(channels, 5, 5), (32, 3, 3)])
        agree(library, net, codes(channels, 2, channels, 5, 5))
        agree(library, net, np.full((1, channels, 5, 5), 255, np.uint8))


@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.booleans())
def test_pools(library: ctypes.CDLL, seed: int, channels: int, kernel: int, stride: int, pad: bool) -> None:
    size, numbers = 6, np.random.default_rng(seed)
    before = 1 if pad and kernel > 1 else 0
    out = (size + 2 * before - kernel) // stride + 1
    largest = MaxPool("pool", 0, 1, Window((kernel, kernel), (stride, stride), (before, before)))
    shapes = [(channels, size, size), (channels, out, out)]
    agree(library, ended(largest, shapes=shapes), codes(seed, 2, channels, size, size))
    out = (size - kernel) // stride + 1
    factor, shift = int(2**16 * numbers.uniform(0.2, 1.5)) // kernel**2, 16
    mean = AveragePool(
        "mean", 0, 1, 31, Window((kernel, kernel), (stride, stride)), factor, 2**20 + 2**15, shift, 3, 250
    )
    agree(library, ended(mean, shapes=[shapes[0], (channels, out, out)]), codes(seed, 2, channels, size, size))


@given(st.integers(0, 10**6), st.integers(1, 4))
def test_sum_channels_and_table(library: ctypes.CDLL, seed: int, channels: int) -> None:
    """Element by element: a table of the input, a factor a channel, and their sum."""
    numbers = np.random.default_rng(seed)
    shape = (channels, 2, 3)
    table = Table("table", 0, 1, numbers.integers(0, 256, 256).astype(np.uint8))
    scaling = Scaling(
        0, numbers.integers(-32768, 32768, channels).astype(np.int16), numbers.integers(-32768, 32768, channels).astype(np.int16), 6, 14, 5, 240
    )  # fmt: skip
    affine = Affine("norm", 0, 2, 100, scaling)
    add = Add("add", 1, 2, 3, int(numbers.integers(0, 2**20)), int(numbers.integers(0, 2**20)), -(2**25), 20, 1, 254)
    net = ended(table, affine, add, shapes=[shape] * 4)
    agree(library, net, codes(seed, 2, *shape))


def test_every_compiler_accepts_the_sources(tmp_path: Path) -> None:
    """C99 with all warnings as errors, and the same sources as C++."""
    choices = [[*compiler, "-std=c99"] for compiler in compilers()]
    if shutil.which("g++"):
        choices.append(["g++", "-x", "c++", "-std=c++11"])
    for choice in choices:
        for source in SOURCES:
            argv = [*choice, *STRICT, f"-I{RUNTIME / 'include'}", str(source), "-o", str(tmp_path / "x.o")]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, done.stderr


def test_zig_gives_the_same_bits(tmp_path: Path) -> None:
    other = build(tmp_path, compilers()[-1])
    for rows, row_length, p in SHAPES:
        first = layer(1, rows, row_length, p, zero=40)
        agree(other, ended(first, shapes=[(row_length,), (rows,)]), codes(1, 1, row_length))


def test_integer_operations_hold_no_float() -> None:
    """Neither float arithmetic nor 64-bit numbers in the sources."""
    for path in [*SOURCES, RUNTIME / "src" / "tbn_integer_layer.h", RUNTIME / "src" / "tbn_integer_window.h"]:
        words = set(path.read_text().replace("(", " ").replace(")", " ").split())
        assert not words & {"float", "double", "int64_t", "uint64_t", "long", "malloc"}, path


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, 0), ({"tile": None}, 1), ({"multipliers": None}, 1), ({"biases": None}, 1), ({"rows": 0}, 2), ({"distinct_rows": 3}, 2),
        ({"tile_length": 7}, 2), ({"row_length": 0xFFFFFFFF}, 2), ({"groups": 3}, 2), ({"groups": 2}, 2), ({"multiplier_count": 3}, 2),
        ({"bias_count": 2}, 2), ({"sums": 1}, 2), ({"sums": 64}, 2), ({"shift": 40}, 2), ({"low": 9, "high": 3}, 2),
        ({"row_length": 32, "tile_length": 64}, 3),
    ],
)  # fmt: skip
def test_operations_refuse_what_does_not_fit(library: ctypes.CDLL, change: dict[str, int | None], status: int) -> None:
    """Status codes: 1 null pointer, 2 contradictory shape, 3 buffer too short."""
    own, arrays = layer_of(layer(1, 8, 16, 4))
    for name, value in change.items():
        setattr(own, name, value)
    given, out, sums = np.zeros(16, np.uint8), np.zeros(8, np.uint8), np.zeros(64, np.int32)
    scratch = ScratchC(None, sums.ctypes.data, sums.size, None, 0)
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (given, out)]
    call = library.tbn_integer_fully_connected
    own_pointer, scratch_pointer = ctypes.byref(own), ctypes.byref(scratch)
    assert call(own_pointer, pointers[0], U32(16), pointers[1], U32(8), scratch_pointer) == status
    if not change:
        assert call(own_pointer, None, U32(16), pointers[1], U32(8), scratch_pointer) == 1
        assert call(own_pointer, pointers[0], U32(15), pointers[1], U32(8), scratch_pointer) == 3
        assert call(own_pointer, pointers[0], U32(16), pointers[1], U32(7), scratch_pointer) == 3
        scratch.sum_count = 1
        assert call(own_pointer, pointers[0], U32(16), pointers[1], U32(8), scratch_pointer) == 3
    assert arrays


def test_reference_checks_input_and_overflow() -> None:
    net = network(layer(1, 4, 8, 2, target=-1), shapes=[(2, 4)])
    for wrong in (np.zeros((1, 8), np.uint8), np.zeros((1, 2, 4), np.float32), np.zeros((0, 2, 4), np.uint8)):
        with pytest.raises(TBNError, match=r"give it raw uint8 inputs, \(samples, 2, 4\)"):
            run(net, wrong)
    broken = net.layers[0]
    wide = replace(broken.scaling, biases=np.array([32767], np.int16), bias_shift=17)
    with pytest.raises(OverflowError, match="int32"):
        run(replace(net, operations=(replace(broken, scaling=wide),)), np.zeros((1, 2, 4), np.uint8))
