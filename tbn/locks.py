"""Locks on files: held by a living process, dropped by the kernel however the process ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tbn.errors import TBNError


@contextmanager
def owned(path: Path, busy: TBNError) -> Iterator[None]:
    """Hold the lock file ``path`` (its folder is made); ``busy`` is raised at once where another process holds it.

    Raises:
        TBNError: ``busy``, or the lock file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        guard = FileLock(path, timeout=0, thread_local=False)  # whoever has it may let go of it in another thread
        guard.acquire()
    except Timeout as error:
        raise busy from error
    except OSError as error:
        raise TBNError(f"cannot lock {path}: {error.strerror}", "choose a folder that you can write to") from error
    try:
        yield
    finally:
        guard.release()


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock. Two looks at once would see each other, so a taken lock is tried again."""
    if not path.exists():
        return False
    for _ in range(5):
        try:
            with FileLock(path, timeout=0):
                return False
        except Timeout:
            time.sleep(0.003)
        except OSError:
            return False  # a folder that cannot be written holds no living process of ours
    return True
