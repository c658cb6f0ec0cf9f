"""Shares of classes: C and numpy bit for bit, near the float softmax; the largest output."""

import ctypes
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.machine import compilers
from tbn.export import firmware_root
from tbn.integer.classes import rate_of, shares

RUNTIME = firmware_root() / "lib" / "tbn_runtime"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    out = tmp_path_factory.mktemp("classes") / "softmax.so"
    source = RUNTIME / "src" / "tbn_integer_softmax.c"
    argv = [
        *compilers()[0],
        "-std=c99",
        "-O1",
        "-fPIC",
        "-shared",
        f"-I{RUNTIME / 'include'}",
        str(source),
        "-o",
        str(out),
    ]
    subprocess.run(argv, check=True, timeout=120)
    return ctypes.CDLL(str(out))


class RateC(ctypes.Structure):
    """tbn_integer_rate."""

    _fields_ = [
        ("factor", ctypes.c_uint32),
        ("beyond", ctypes.c_uint32),
        ("before", ctypes.c_uint8),
        ("behind", ctypes.c_uint8),
    ]


def in_c(library: ctypes.CDLL, values: np.ndarray, scale: float) -> np.ndarray:
    own = rate_of(scale)
    found = np.zeros(values.size, np.uint16)
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (values, found)]
    rate = RateC(own.factor, own.beyond, own.before, own.behind)
    assert library.tbn_integer_softmax(ctypes.byref(rate), pointers[0], values.size, pointers[1]) == 0
    assert library.tbn_integer_argmax(pointers[0], values.size) == int(values.argmax())
    return found


numbers = st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=40)


@given(numbers, st.floats(-9, 1).map(lambda power: 10.0**power))
def test_c_equals_numpy(library: ctypes.CDLL, values: list[int], scale: float) -> None:
    given_values = np.array(values, np.int32)
    np.testing.assert_array_equal(in_c(library, given_values, scale), shares(given_values[None], scale)[0])


@pytest.mark.parametrize("scale", [3e-9, 2e-6, 1e-4, 0.02, 1.0, 400.0])
def test_near_the_float_softmax(scale: float) -> None:
    logits = np.random.default_rng(0).normal(0, 3, (200, 10))
    values = np.clip(np.rint(logits / scale), -(2**31), 2**31 - 1).astype(np.int32)
    powers = np.exp(values * scale - (values * scale).max(1, keepdims=True))
    wanted = powers / powers.sum(1, keepdims=True)
    assert np.abs(shares(values, scale) / 65535 - wanted).max() < 0.004
