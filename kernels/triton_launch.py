"""A launch as a value: what a call on these tensors would start, so that it can be run, or compiled without a GPU (``kernels.sm90``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Launch(NamedTuple):
    """One kernel with its grid, its arguments, and its compile-time constants and options."""

    kernel: Any
    grid: tuple[int, ...]
    arguments: tuple[Any, ...]
    constants: dict[str, Any]


def run(launches: Sequence[Launch], x: Tensor) -> None:
    """Start the launches one after the other on the device of ``x``."""
    with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
        for kernel, grid, arguments, constants in launches:
            kernel[grid](*arguments, **constants)
