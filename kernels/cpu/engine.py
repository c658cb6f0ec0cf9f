"""Which version of the native CPU kernels runs here, and why: chosen once, at the first layer that could use it.

The widest of avx512, avx2 and portable that the CPU has. Where the kernels cannot be built, torch does the work and one line of the log says
so. ``TBN_CPU=avx512|avx2|portable|torch`` in the environment forces a version; one that is not to be had is then an error. ``TBN_CPU=int8``
lets linear layers round their inputs to 8 bits (``int8.c``), which is never done unasked.
"""

from __future__ import annotations

import ctypes
import logging
import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch

from kernels.cpu.build import BuildError, library
from kernels.machine import cpu_name

VERSIONS = ("avx512", "avx2", "portable")
_LINEAR = [ctypes.c_void_p] * 6 + [ctypes.c_int64] * 9  # arguments of tbn_cpu_linear in linear.c
_CONV = [ctypes.c_void_p] * 8 + [ctypes.c_int64] * 2  # arguments of tbn_cpu_conv in conv.c


class Engine(NamedTuple):
    """The choice.

    Attributes:
        name: "avx512", "avx2", "portable", "int8" or "torch".
        forced: whether TBN_CPU made it.
        reason: why, in words.
        lut: address of the version, the first argument of the C functions; 0 for torch.
        linear, conv: the C functions; None for torch.
    """

    name: str
    forced: bool
    reason: str
    lut: int = 0
    linear: Callable[..., Any] | None = None
    conv: Callable[..., Any] | None = None


def versions() -> tuple[str, ...]:
    """The versions that this CPU and its system can run, best first (torch has asked the CPU)."""
    capability = torch.backends.cpu.get_cpu_capability()
    return VERSIONS[{"AVX512": 0, "AVX2": 1}.get(capability, 2) :]


@lru_cache(maxsize=1)
def engine() -> Engine:
    """The choice for this process, ``chosen`` by TBN_CPU in its environment."""
    return chosen(os.environ.get("TBN_CPU", ""))


def chosen(forced: str) -> Engine:
    """The engine for a word of TBN_CPU, or "" for the best; builds the kernels if they are not in the cache.

    Raises:
        ValueError: it is not one of the words.
        RuntimeError: it forces a version that the CPU has not, or that cannot be built.
    """
    if forced not in ("", "int8", "torch", *VERSIONS):
        raise ValueError(
            f"TBN_CPU={forced!r} in the environment: say avx512, avx2, portable, int8 or torch, or unset it"
        )
    if forced == "torch":
        return Engine("torch", True, "forced by TBN_CPU")
    if forced in VERSIONS and forced not in versions():
        raise RuntimeError(f"TBN_CPU={forced}, but {cpu_name()} cannot run it; say {versions()[0]}, or unset it")
    name = forced or versions()[0]
    try:
        path, compiler = library()
        found = ctypes.CDLL(str(path))
        lut = getattr(found, f"tbn_cpu_{versions()[0] if name == 'int8' else name}")
        linear, conv = found.tbn_cpu_int8 if name == "int8" else found.tbn_cpu_linear, found.tbn_cpu_conv
    except (BuildError, OSError, AttributeError) as error:
        if forced:
            raise RuntimeError(f"TBN_CPU={forced}, but the native CPU kernels are missing: {error}") from error
        logging.getLogger(__name__).warning(
            "packed layers run on torch, not on the faster native CPU kernels: %s", error
        )
        return Engine("torch", False, str(error))
    lut.argtypes, lut.restype = [], ctypes.c_void_p
    linear.argtypes, linear.restype = _LINEAR, None
    conv.argtypes, conv.restype = _CONV, None
    why = "forced by TBN_CPU" if forced else "the best that this CPU can run"
    return Engine(name, bool(forced), f"{why}; {path}, built with {compiler}", lut(), linear, conv)


def status() -> str:
    """One line: which version packed layers run on, and why; builds the kernels if they are not in the cache. A wrong TBN_CPU is told, not raised."""
    try:
        found = engine()
    except (ValueError, RuntimeError) as error:
        return f"none: {error}"
    return f"{found.name}: {found.reason}"
