"""What can be timed: a call, and what a reader must know of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from torch import Tensor

from kernels import records
from kernels.bench.cases import Problem

# largest error over the largest expected value that an engine may have, by the numbers that it computes with
TOLERANCE = {
    "float32": 1e-5,
    "bfloat16": 3e-2,
    "float16": 3e-2,
    "int8": 5e-2,
    "int4": 5e-2,
    "1 bit": 5e-2,
    "2 bit": 5e-2,
    "nf4": 0.1,
}


class Unavailable(Exception):
    """Why a peer cannot run a case here, in words."""


@dataclass(frozen=True)
class Engine:
    """One way to the answer.

    Attributes:
        name: e.g. "compute-once (torch)" or "OpenVINO fp32".
        call: computes the answer.
        weight_bytes: of weights as this engine holds and reads them.
        dtype: the numbers that it computes with, a key of ``TOLERANCE``.
        p: tiling factor of an engine of ours; None for a peer, which multiplies all rows whatever p is.
        macs: floating-point multiply-adds of a call; None where it does something else (looks up, adds integers).
    """

    name: str
    call: Callable[[], Tensor]
    weight_bytes: int
    dtype: str = "float32"
    p: int | None = None
    macs: int | None = None


@dataclass(frozen=True)
class Peer:
    """An engine that people would use instead.

    Attributes:
        name: of the engine that ``build`` makes.
        package: that must be installed, as it is imported; and its distribution where that has another name.
        build: makes the engine for a problem, or raises ``Unavailable``.
        dense: whether it multiplies full-precision weights: a candidate for "the fastest dense engine".
        linear_only: whether it has no convolution, and no perceptron worth the name.
    """

    name: str
    package: str
    build: Callable[[Problem], Engine]
    distribution: str = ""
    dense: bool = False
    linear_only: bool = False

    @property
    def version(self) -> str | None:
        """Of the installed package."""
        return records.version_of(self.distribution or self.package)

    def why_missing(self) -> str | None:
        """One line if the package is not installed."""
        if find_spec(self.package) is None:
            return f"{self.name}: the package {self.distribution or self.package} is not installed"
        return None


def first_line(error: BaseException) -> str:
    """What went wrong, in one line without paths."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return f"{type(error).__name__}: {text[:160]}" if str(error).strip() else text
