"""Which version of the native CPU kernel runs here, and why: chosen once, at the first layer that could use it.

The widest of avx512, avx2 and portable that the CPU has. Where the kernel cannot be built, torch does the work and one line of the log says
so. ``TBN_CPU=avx512|avx2|portable|torch`` in the environment forces a version; one that is not to be had is then an error.
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
_ARGUMENTS = [ctypes.c_void_p] * 5 + [ctypes.c_int64] * 7  # of tbn_cpu_linear_* in linear.c


class Engine(NamedTuple):
    """The choice: "avx512", "avx2", "portable" or "torch"; whether TBN_CPU made it; the C function (None for torch); why, in words."""

    name: str
    forced: bool
    function: Callable[..., Any] | None
    reason: str


def versions() -> tuple[str, ...]:
    """The versions that this CPU and its system can run, best first (torch has asked the CPU)."""
    capability = torch.backends.cpu.get_cpu_capability()
    return VERSIONS[{"AVX512": 0, "AVX2": 1}.get(capability, 2) :]


@lru_cache(maxsize=1)
def engine() -> Engine:
    """The choice for this process; builds the kernel if it is not in the cache.

    Raises:
        ValueError: TBN_CPU is not one of its words.
        RuntimeError: TBN_CPU forces a version that the CPU has not, or that cannot be built.
    """
    forced = os.environ.get("TBN_CPU", "")
    if forced not in ("", "torch", *VERSIONS):
        raise ValueError(f"TBN_CPU={forced!r} in the environment: say avx512, avx2, portable or torch, or unset it")
    if forced == "torch":
        return Engine("torch", True, None, "forced by TBN_CPU")
    if forced and forced not in versions():
        raise RuntimeError(f"TBN_CPU={forced}, but {cpu_name()} cannot run it; say {versions()[0]}, or unset it")
    name = forced or versions()[0]
    try:
        path, compiler = library()
        function = getattr(ctypes.CDLL(str(path)), f"tbn_cpu_linear_{name}")
    except (BuildError, OSError, AttributeError) as error:
        if forced:
            raise RuntimeError(f"TBN_CPU={forced}, but the native CPU kernel is missing: {error}") from error
        logging.getLogger(__name__).warning(
            "packed layers run on torch, not on the faster native CPU kernel: %s", error
        )
        return Engine("torch", False, None, str(error))
    function.argtypes, function.restype = _ARGUMENTS, None
    why = "forced by TBN_CPU" if forced else "the best that this CPU can run"
    return Engine(name, bool(forced), function, f"{why}; {path}, built with {compiler}")


def status() -> str:
    """One line: which version linear layers run on, and why; builds the kernel if it is not in the cache. A wrong TBN_CPU is told, not raised."""
    try:
        found = engine()
    except (ValueError, RuntimeError) as error:
        return f"none: {error}"
    return f"{found.name}: {found.reason}"
