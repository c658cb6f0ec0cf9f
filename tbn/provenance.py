"""Where a result comes from: date, machine, versions and commit. Needs no torch."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import tbn
from kernels.machine import cpu_name


def provenance() -> dict[str, Any]:
    """Date (UTC), processor, system, versions and commit of this moment; no host or user names."""
    try:
        torch_version = version("torch")
    except PackageNotFoundError:
        torch_version = "none"
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "cpu": cpu_name(),
        "python": platform.python_version(),
        "torch": torch_version,
        "tbn": tbn.__version__,
        "commit": _commit(),
    }


def _commit() -> str | None:
    """The source's git commit, with "+" where files differ from it; None outside a checkout."""
    here = Path(__file__).parent
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=here, capture_output=True, text=True, timeout=10, check=True
        )
        dirty = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return head.stdout.strip() + "+" * bool(dirty.stdout.strip())
