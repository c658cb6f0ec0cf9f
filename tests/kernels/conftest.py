"""Fixtures of the tests of the native CPU kernels."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from kernels.cpu import engine
from tests.kernels.cpu_versions import force


@pytest.fixture
def own_choice(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test makes its own choice of a version, and leaves none behind."""
    monkeypatch.delenv("TBN_CPU", raising=False)
    threads = torch.get_num_threads()
    engine.engine.cache_clear()
    yield
    engine.engine.cache_clear()
    torch.set_num_threads(threads)


@pytest.fixture(params=engine.VERSIONS)
def version(own_choice: None, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each version in turn, forced."""
    force(request.param, monkeypatch)
    return str(request.param)
