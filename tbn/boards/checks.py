"""Is this computer ready to build and flash, and what do packed layers run on? Each check with its fix, and done within seconds."""

import os
import shlex
import shutil
import stat
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tbn.boards import drives, ports, simavr
from tbn.boards.building import FREE_BYTES
from tbn.boards.catalogue import list_boards
from tbn.boards.errors import UDEV
from tbn.boards.pio import NEEDED, core_dir, registry_fault
from tbn.errors import TBNError
from tbn.export import firmware_root
from tbn.export.run import cache_root

COMPILER_SECONDS = 30.0
RULES = "99-platformio-udev.rules"
RULES_FOLDERS = (
    "/etc/udev/rules.d",
    "/run/udev/rules.d",
    "/usr/local/lib/udev/rules.d",
    "/usr/lib/udev/rules.d",
    "/lib/udev/rules.d",
)


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
    looks = (_compiler, _project, _cache, _old_tools, _space, _serial, _rules, _drives, _avr, _registry, _cpu_kernel)
    return (*packages, *(check for look in looks if (check := look()) is not None))


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


def _old_tools() -> Check:
    """Each version of PlatformIO and each checkout has a folder of tools of its own; older ones stay until somebody removes them."""
    try:
        own = core_dir()
    except TBNError as error:
        return Check("old tools", False, error.message, error.fix, needed=False)
    old = sorted(folder for folder in cache_root().glob("pio-*") if folder.is_dir() and folder != own)
    if not old:
        return Check("old tools", True, "none of other versions of PlatformIO", needed=False)
    size = sum(
        path.stat().st_size for folder in old for path in folder.rglob("*") if path.is_file() and not path.is_symlink()
    )
    words = f"{len(old)} folders of other versions of PlatformIO or other checkouts take {size / 1e6:,.0f} MB"
    return Check(
        "old tools", False, words, f"rm -r {' '.join(shlex.quote(str(folder)) for folder in old)}", needed=False
    )


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


def _rules() -> Check | None:
    """Real boards only: on Linux, udev rules decide who may use a board's USB."""
    if not sys.platform.startswith("linux"):
        return None
    found = next((path for folder in RULES_FOLDERS if (path := Path(folder) / RULES).is_file()), None)
    if found is not None:
        return Check("udev rules", True, str(found), needed=False)
    return Check("udev rules", False, f"{RULES} is not installed; some real boards need it", UDEV, needed=False)


def _drives() -> Check:
    """Real boards only: boards that show themselves as a USB drive."""
    kinds = [(board, board.drive) for board in list_boards() if board.drive is not None]
    folders = drives.mounted()
    names = [f"{drive.path} ({board.name})" for board, kind in kinds for drive in drives.find(kind, folders)]
    return Check("board drives", True, ", ".join(names) or "none is mounted", needed=False)


def _avr() -> Check:
    """The emulated AVR boards only."""
    lacking = [*([] if shutil.which("avr-gcc") else ["avr-gcc"]), *filter(None, [simavr.missing()])]
    if not lacking:
        return Check("AVR tools", True, "avr-gcc and simavr", needed=False)
    words = f"{' and '.join(lacking)} not installed; only the emulated Uno and Mega need that"
    return Check(
        "AVR tools", False, words, "apt-get install gcc gcc-avr avr-libc libsimavr-dev libelf-dev", needed=False
    )


def _registry() -> Check:
    """Real boards only: their toolchains come from PlatformIO's registry."""
    fault = registry_fault()
    if not fault:
        return Check("registry", True, "PlatformIO's registry answers", needed=False)
    fix = "connect to the internet for the first build of a real board; emulated boards need none"
    return Check("registry", False, f"PlatformIO's registry cannot be reached ({fault})", fix, needed=False)


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
