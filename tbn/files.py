"""Files that are whole or absent: written under a temporary name, then renamed."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from tbn.errors import TBNError


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write a file atomically, folders included.

    Raises:
        TBNError: the disk is full or the place cannot be written; an older file at ``path`` is unchanged and nothing else is left behind.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise TBNError(
            f"cannot write {path}: {error.strerror or error}",
            "free some space or choose another folder; nothing was changed",
        ) from error


def write_json(path: Path | str, value: Any) -> None:
    """Write JSON atomically, indented, keys in the order given."""
    write_bytes(path, (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())


def read_json(path: Path | str) -> Any:
    """Read JSON.

    Raises:
        TBNError: missing, unreadable or not JSON.
    """
    try:
        return json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise TBNError(f"cannot read {path}: {reason}", "restore the file or remove its folder") from error
