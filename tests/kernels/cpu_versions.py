"""Forcing a version of the native CPU kernels, for their tests."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kernels.cpu import engine


def force(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """This version from now on, or the test is skipped where the CPU cannot run it."""
    if name not in engine.versions():
        pytest.skip(f"this CPU has no {name}")
    monkeypatch.setenv("TBN_CPU", name)
    engine.engine.cache_clear()


def close(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape and found.dtype == torch.float32
    scale = float(expected.abs().max()) if expected.numel() else 0.0
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * scale)
