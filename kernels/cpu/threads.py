"""Share the work of a C function over as many threads as torch uses; the C functions run without the interpreter's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_threads: ThreadPoolExecutor | None = None


def run(function: Callable[..., Any], fixed: tuple[Any, ...], shares: Sequence[tuple[Any, ...]]) -> None:
    """Call ``function(*fixed, *share)`` for every share at the same time, the first one in this thread, and wait."""
    waiting = [_pool().submit(function, *fixed, *share) for share in shares[1:]]
    function(*fixed, *shares[0])
    for job in waiting:
        job.result()


def _pool() -> ThreadPoolExecutor:
    global _threads
    if _threads is None:
        _threads = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="tbn-cpu")
    return _threads


def _forget_pool() -> None:
    """A forked process has no threads of its parent's pool."""
    global _threads
    _threads = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
