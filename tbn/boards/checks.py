"""Is this computer ready to build and flash, and what do packed layers run on? Each check with its fix. Nothing here asks the network."""

import os
import shutil
import stat
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tbn.boards import ports
from tbn.boards.building import FREE_BYTES
from tbn.boards.pio import NEEDED, core_dir
from tbn.errors import TBNError
from tbn.export import firmware_root
from tbn.export.run import cache_root

COMPILER_SECONDS = 30.0


@dataclass(frozen=True)
class Check:
    """One thing looked at. ``needed``: without it, emulated boards cannot be flashed either."""

    name: str
    ok: bool
    message: str
    fix: str = ""
    needed: bool = True

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def doctor() -> tuple[Check, ...]:
    """All checks; the computer is ready for the emulated board when those that are needed are ok."""
    packages = (_package(name) for name in NEEDED.values())
    return (*packages, _compiler(), _project(), _cache(), _space(), _serial(), _cpu_kernel())


def _package(name: str) -> Check:
    try:
        return Check(name, True, version(name))
    except PackageNotFoundError:
        return Check(name, False, "not installed", "pip install 'tbn-explorer[firmware]'")


def _compiler() -> Check:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "ziglang", "version"],
            capture_output=True,
            text=True,
            timeout=COMPILER_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check("compiler", False, f"zig does not run: {error}", "pip install --force-reinstall ziglang")
    if done.returncode:
        return Check(
            "compiler", False, f"zig does not run: {done.stderr.strip()[:200]}", "pip install --force-reinstall ziglang"
        )
    return Check("compiler", True, f"zig {done.stdout.strip()}")


def _project() -> Check:
    try:
        return Check("firmware project", True, str(firmware_root()))
    except TBNError as error:
        return Check("firmware project", False, error.message, error.fix)


def _cache() -> Check:
    folder = cache_root()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        try:
            filled = (core_dir() / "packages").is_dir()
        except TBNError:
            filled = False
        return Check("tool cache", True, f"{folder}{'' if filled else ' (empty: the first build takes half a minute)'}")
    return Check("tool cache", False, f"{folder} cannot be written", "name a folder of yours in TBN_CACHE")


def _space() -> Check:
    folder = cache_root()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    text = f"{free / 1e9:.1f} GB free at {existing}"
    return Check(
        "disk", free > FREE_BYTES, text, "" if free > FREE_BYTES else "free some space: a build takes up to 100 MB"
    )


def _serial() -> Check:
    """Real boards only: may this user open the serial ports that are there?"""
    try:
        found = ports.list_ports()
    except ImportError:
        return Check(
            "serial ports", False, "pyserial is not installed", "pip install 'tbn-explorer[firmware]'", needed=False
        )
    closed = [
        port.device for port in found if Path(port.device).exists() and not os.access(port.device, os.R_OK | os.W_OK)
    ]
    if closed:
        return Check(
            "serial ports",
            False,
            f"no right to open {', '.join(closed)}",
            f"sudo usermod -aG {_group(closed[0])} $USER, then log in again",
            needed=False,
        )
    names = ", ".join(f"{port.device} ({' or '.join(port.boards) or port.usb_id})" for port in found)
    return Check("serial ports", True, names or "no USB serial port; the emulated board needs none", needed=False)


def _cpu_kernel() -> Check:
    """Not for boards: which version of the C kernel packed layers run on here; built if it is not in the cache."""
    from kernels.cpu import status

    text = status()
    missing = text.startswith(("none:", "torch:")) and "forced" not in text
    return Check(
        "CPU kernel",
        not missing,
        text,
        "see its reason; without it packed layers run on torch, slower" * missing,
        needed=False,
    )


def _group(device: str) -> str:
    """The group that owns a device."""
    if os.name == "nt":
        return "dialout"
    import grp

    info = Path(device).stat()
    return grp.getgrgid(info.st_gid).gr_name if info.st_mode & stat.S_IWGRP else "dialout"
