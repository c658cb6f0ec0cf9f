"""Where jobs are below a folder: runs, firmware builds inside them, and jobs that belong to no run."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

JOB = "job.json"
Stamp = tuple[int, int]
_LISTED: dict[str, tuple[int, tuple[str, ...]]] = {}  # folders in a folder, as of the time when it changed
_TICK = 2_000_000_000  # ns; a folder that changed so lately may change again without its time being another


def places(root: Path) -> Iterator[tuple[str, Stamp]]:
    """Job folders at most three levels below ``root``, each with its record's inode and time.

    Folders that did not change since the last look are not listed again: a run costs two stats. Paths are text, which is five times faster here.
    """
    level = [str(root)]
    for depth in range(4):
        below: list[str] = []
        for folder in level:
            if depth:
                try:
                    record = os.stat(f"{folder}/{JOB}")  # noqa: PTH116
                    yield folder, (record.st_ino, record.st_mtime_ns)
                except OSError:
                    pass
            if depth < 2 or folder.endswith("/firmware"):
                below += _folders(folder)
        level = below


def _folders(folder: str) -> tuple[str, ...]:
    """The folders in ``folder``, as they were listed when it last changed."""
    try:
        changed = os.stat(folder).st_mtime_ns  # noqa: PTH116
        known = _LISTED.get(folder)
        if known is not None and known[0] == changed:
            return known[1]
        with os.scandir(folder) as entries:
            found = tuple(
                entry.path for entry in entries if entry.is_dir(follow_symlinks=False) and entry.name[0] != "."
            )
    except OSError:
        return ()
    if time.time_ns() - changed > _TICK:
        _LISTED[folder] = changed, found
    return found
