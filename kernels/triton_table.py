"""Tables of measured block sizes, one file a device: ``kernels/tuning/<device>.json``, written by ``python -m kernels.tune`` and read once.

A table is {"format": 1, "device", "date", "versions", "entries": {key: [rows, batch, warps, stages, splits]}} with the keys of
``kernels.triton_blocks.key``. A file that cannot be used is ignored with one line in the log that says how to make it anew; a device without
one has the fixed rule. The folder can be another one: ``TBN_TUNING`` in the environment.
"""

from __future__ import annotations

import json
import logging
import os
import re
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

FORMAT = 1
FIELDS = 5
FOLDER = Path(__file__).parent / "tuning"
_log = logging.getLogger(__name__)
Entries = dict[str, tuple[int, ...]]


def folder() -> Path:
    """Where the tables lie."""
    return Path(os.environ.get("TBN_TUNING") or FOLDER)


def path_of(device: str) -> Path:
    """The file of a device, e.g. ``nvidia-h100-80gb-hbm3.json``."""
    return folder() / f"{re.sub(r'[^a-z0-9]+', '-', device.lower()).strip('-')}.json"


@lru_cache
def table(device: str) -> Entries:
    """The entries of the device's table; none if it has no table, or one that cannot be used (said once, in the log)."""
    path = path_of(device)
    if not path.exists():
        return {}
    try:
        return read(path, device)
    except (OSError, ValueError) as error:
        _log.warning("%s is ignored: %s; make it anew with `python -m kernels.tune`", path, error)
        return {}


def read(path: Path, device: str) -> Entries:
    """The entries of a file.

    Raises:
        ValueError: it is no table of this device and format.
        OSError: it cannot be read.
    """
    found = json.loads(path.read_text())
    if not isinstance(found, dict) or not isinstance(found.get("entries"), dict):
        raise ValueError("it holds no table of block sizes")
    if found.get("format") != FORMAT:
        raise ValueError(f"it has format {found.get('format')!r}, not {FORMAT}")
    if found.get("device") != device:
        raise ValueError(f"it belongs to {found.get('device')!r}, not to {device!r}")
    for key, entry in found["entries"].items():
        if not (isinstance(entry, list) and len(entry) == FIELDS and all(type(n) is int and n > 0 for n in entry)):
            raise ValueError(f"its entry {key!r} is not {FIELDS} positive whole numbers")
    return {key: tuple(entry) for key, entry in found["entries"].items()}


def write(device: str, about: dict[str, Any], entries: Entries) -> Path:
    """Write the device's table in one step, the old file or the whole new one. Entries of an earlier table that are not made anew stay.

    Args:
        about: date and versions.
    """
    path = path_of(device)
    kept: Entries = {}
    with suppress(OSError, ValueError):
        kept = read(path, device)
    record = {"format": FORMAT, "device": device, **about, "entries": {**kept, **entries}}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(record, indent=1) + "\n")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    table.cache_clear()
    return path
