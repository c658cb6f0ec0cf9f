"""Forcing the engine of packed layers inside one process, for tests that compare engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from torch import Tensor

from kernels.cpu import conv, engine, linear

ENGINES = ("torch", *engine.VERSIONS)


@contextmanager
def forced(name: str) -> Iterator[list[str]]:
    """This engine for packed layers in float32, and a list that receives "linear" or "conv" for each call of a native kernel. Skips where the CPU or
    a missing compiler leaves none."""
    if name != "torch" and name not in engine.versions():
        pytest.skip(f"this CPU has no {name}")
    calls: list[str] = []

    def told(word: str, kernel: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def run(*arguments: object) -> Tensor:
            calls.append(word)
            return kernel(*arguments)

        return run

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TBN_CPU", raising=False)
        engine.engine.cache_clear()
        if name != "torch" and engine.engine().name == "torch":
            pytest.skip(engine.engine().reason)
        patch.setenv("TBN_CPU", name)
        engine.engine.cache_clear()
        patch.setattr(linear, "multiply", told("linear", linear.multiply))
        patch.setattr(conv, "multiply", told("conv", conv.multiply))
        yield calls
    engine.engine.cache_clear()
