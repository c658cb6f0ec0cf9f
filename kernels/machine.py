"""What processor this is, and which C compilers it has. Needs no torch."""

from __future__ import annotations

import platform
import re
import shutil
from pathlib import Path


def cpu_name() -> str:
    """The processor's name, as /proc/cpuinfo or the system gives it; never the name of the host."""
    try:
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        match = None
    return match[1].strip() if match else platform.processor() or platform.machine()


def compilers() -> list[list[str]]:
    """C compilers of this machine, best first: the system's, then zig's, told to build for every CPU as the others do."""
    found = [[path] for name in ("cc", "gcc", "clang") if (path := shutil.which(name))]
    try:
        import ziglang  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        return found
    zig = [str(Path(ziglang.__file__).parent / "zig"), "cc", "-mcpu=baseline", "-fno-sanitize=undefined"]
    return [*found, zig]
