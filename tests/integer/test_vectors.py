"""Norms, swapped axes and products in C, one call an operation: equal to loops over plain numbers, for any sizes and any bytes."""

import ctypes
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.machine import compilers
from tbn.export import firmware_root
from tbn.integer.network import IntegerNetwork, Norm, Operation, Product, Swap
from tbn.integer.reference import run
from tests.integer.networks import codes, ended, norm, product, slow

RUNTIME = firmware_root() / "lib" / "tbn_runtime"
SOURCES = [RUNTIME / "src" / f"tbn_integer_{name}.c" for name in ("norm", "swap", "matrix_product")]
U8, U32, I32, POINTER = ctypes.c_uint8, ctypes.c_uint32, ctypes.c_int32, ctypes.c_void_p


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    out = tmp_path_factory.mktemp("vectors") / "vectors.so"
    argv = [*compilers()[0], "-std=c99", "-O1", "-fPIC", "-shared", f"-I{RUNTIME / 'include'}", *map(str, SOURCES)]
    subprocess.run([*argv, "-o", str(out)], check=True, timeout=120)
    return ctypes.CDLL(str(out))


def fields(kind: type, names: str) -> list[tuple[str, type]]:
    return [(name, kind) for name in names.split()]


class NormC(ctypes.Structure):
    """tbn_integer_norm."""

    _fields_ = [
        *fields(U32, "count epsilon"),
        *fields(POINTER, "multipliers biases"),
        *fields(U8, "bias_shift shift low high"),
    ]


class AxesC(ctypes.Structure):
    """tbn_axes."""

    _fields_ = fields(U32, "outer rows columns inner")


class ProductC(ctypes.Structure):
    """tbn_integer_product."""

    _fields_ = [
        *fields(U32, "rows inner columns"), *fields(I32, "multiplier bias"), *fields(U8, "zero other_zero sum_shift shift low high"),
    ]  # fmt: skip


def in_c(library: ctypes.CDLL, op: Operation, given_codes: np.ndarray, count: int) -> np.ndarray:
    """The operation's codes; its second factor is its first one's input."""
    found = np.zeros(count, np.uint8)
    a, b = (POINTER(array.ctypes.data) for array in (given_codes, found))
    if isinstance(op, Swap):
        own = AxesC(op.outer, op.rows, op.columns, op.inner)
        assert library.tbn_integer_swap(ctypes.byref(own), a, b) == 0
        return found
    assert isinstance(op, Norm | Product)
    part = op.scaling
    if isinstance(op, Product):
        bias = int(part.biases[0]) << part.bias_shift
        own = ProductC(op.rows, op.inner, op.columns, int(part.multipliers[0]), bias, op.zero, op.other_zero, part.sum_shift, part.shift,
                       part.low, part.high)  # fmt: skip
        assert library.tbn_integer_matrix_product(ctypes.byref(own), a, a, b) == 0
        return found
    own = NormC(part.multipliers.size, op.epsilon, part.multipliers.ctypes.data, part.biases.ctypes.data, part.bias_shift, part.shift,
                part.low, part.high)  # fmt: skip
    assert library.tbn_integer_layer_norm(ctypes.byref(own), a, U32(given_codes.size // part.multipliers.size), b) == 0
    return found


def check(library: ctypes.CDLL, op: Operation, net: IntegerNetwork, seed: int) -> None:
    """C against loops, and the whole network's reference against loops."""
    sample = codes(seed, *net.tensors[0].shape)
    found = in_c(library, op, np.ascontiguousarray(sample), net.tensors[1].count)
    head = ended(shapes=[net.tensors[1].shape])
    np.testing.assert_array_equal(run(head, found.reshape(1, *net.tensors[1].shape))[0], slow(net, sample))
    np.testing.assert_array_equal(run(net, sample[None])[0], slow(net, sample))


@given(
    st.integers(0, 9),
    st.integers(1, 3),
    st.sampled_from([1, 2, 3, 16, 64, 511, 512]),
    st.sampled_from([0, 1, 500, 30000]),
)
def test_norm(library: ctypes.CDLL, seed: int, positions: int, count: int, epsilon: int) -> None:
    op = norm(seed, count, epsilon=epsilon)
    check(library, op, ended(op, shapes=[(positions, count)] * 2), seed)


@pytest.mark.parametrize("value", [0, 7, 255])
def test_norm_of_equal_codes_is_its_shift(library: ctypes.CDLL, value: int) -> None:
    """There is nothing to divide; the deviation counts as one."""
    op = norm(1, 8, epsilon=0)
    part = op.scaling
    wanted = np.clip((part.biases.astype(int) << part.bias_shift) >> part.shift, part.low, part.high)
    np.testing.assert_array_equal(in_c(library, op, np.full(8, value, np.uint8), 8), wanted)


def test_norm_of_the_widest_spread(library: ctypes.CDLL) -> None:
    """Half zeros, half 255: the sum of squares that only just fits into 32 bits."""
    op = norm(2, 512, epsilon=2**32 - 1 - 512 * 512 * 255 * 255 // 4)
    sample = np.tile(np.array([0, 255], np.uint8), 256)
    net = ended(op, shapes=[(1, 512)] * 2)
    head = ended(shapes=[(1, 512)])
    found = in_c(library, op, sample, 512)
    np.testing.assert_array_equal(run(head, found.reshape(1, 1, 512))[0], slow(net, sample))


@given(*[st.integers(1, 5)] * 4)
def test_swap(library: ctypes.CDLL, outer: int, rows: int, columns: int, inner: int) -> None:
    op = Swap("turn", 0, 1, outer, rows, columns, inner)
    check(library, op, ended(op, shapes=[(outer, rows, columns, inner), (outer, columns, rows, inner)]), outer)


@given(st.integers(0, 9), st.integers(1, 6), st.integers(1, 6), st.integers(0, 255), st.integers(0, 255))
def test_product(library: ctypes.CDLL, seed: int, rows: int, inner: int, zero: int, other: int) -> None:
    op = product(seed, rows, inner, rows, zeros=(zero, other))
    check(library, op, ended(op, shapes=[(rows * inner,), (rows, rows)]), seed)


def test_what_does_not_fit_is_refused(library: ctypes.CDLL) -> None:
    """1: a pointer that leads nowhere; 2: a contradictory shape."""
    assert library.tbn_integer_layer_norm(None, None, 1, None) == library.tbn_integer_swap(None, None, None) == 1
    numbers = np.zeros(600, np.int16)
    room = np.zeros(600, np.uint8)
    a = POINTER(room.ctypes.data)
    for count, shift, low in ((0, 0, 0), (513, 0, 0), (8, 31, 0), (8, 0, 255)):
        own = NormC(count, 0, numbers.ctypes.data, numbers.ctypes.data, 0, shift, low, 200)
        assert library.tbn_integer_layer_norm(ctypes.byref(own), a, 1, a) == 2
    wrong = ProductC(1, 1, 1, 1, 0, 0, 0, 31, 0, 0, 255)
    assert library.tbn_integer_matrix_product(ctypes.byref(wrong), a, a, a) == 2
