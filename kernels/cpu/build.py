"""Compile the native CPU kernels at their first use and keep them in the user's cache.

Any C compiler will do: the machine's, or the one in the ziglang wheel (the ``firmware`` extra). The library's name holds a hash of source,
compiler, flags and platform, so that another version or another machine with the same home gets its own; the code is for every CPU of the
architecture (wider instructions are chosen at run time). Concurrent builds wait for one another; a library appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from pathlib import Path

from filelock import FileLock, Timeout

from kernels.machine import compilers

SOURCES = sorted(Path(__file__).parent.glob("*.[ch]"))  # one library of all of them
FLAGS = ("-std=c99", "-O3", "-ffp-contract=off", "-shared", *(() if os.name == "nt" else ("-fPIC",)))
BUILD_SECONDS = 300.0


class BuildError(RuntimeError):
    """There is no library; the message says why and what to do."""


def cache_folder() -> Path:
    """Where built kernels lie: ``kernels`` in the environment's TBN_CACHE, or in ``tbn-explorer`` of the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("TBN_CACHE") or Path(base) / "tbn-explorer").resolve() / "kernels"


def library() -> tuple[Path, str]:
    """The shared library, built where it is not in the cache, and the compiler that made it.

    Raises:
        BuildError: no compiler, none that can build it, or a cache folder that cannot be written.
    """
    choices = compilers()
    if not choices:
        raise BuildError("there is no C compiler; install gcc or clang, or pip install ziglang")
    reasons = []
    for compiler in choices:
        try:
            return _built(compiler), compiler[0]
        except BuildError as error:
            reasons.append(str(error))
    raise BuildError("; ".join(dict.fromkeys(reasons)))


def _built(compiler: list[str]) -> Path:
    folder = cache_folder()
    text = "\0".join([*compiler, *FLAGS, sys.platform, platform.machine(), *(path.read_text() for path in SOURCES)])
    path = folder / f"tbn-{hashlib.sha256(text.encode()).hexdigest()[:16]}.{'dll' if os.name == 'nt' else 'so'}"
    if path.is_file():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock"), timeout=BUILD_SECONDS):
            if not path.is_file():
                _compile(compiler, path)
    except Timeout:
        raise BuildError(f"another process has been building {path} for {BUILD_SECONDS:.0f} s; end it") from None
    except OSError as error:
        raise BuildError(
            f"cannot write in {folder} ({error.strerror or error}); name a folder of yours in TBN_CACHE"
        ) from error
    return path


def _compile(compiler: list[str], path: Path) -> None:
    fresh = path.with_suffix(f".{os.getpid()}")
    try:
        sources = [str(source) for source in SOURCES if source.suffix == ".c"]
        done = _run([*compiler, *FLAGS, *sources, "-o", str(fresh)], path.parent)
        if done.returncode:
            first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip()[:200])
            raise BuildError(f"{compiler[0]} cannot compile the CPU kernels: {first or 'no reason given'}")
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"ZIG_GLOBAL_CACHE_DIR": str(folder / "zig")}
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=BUILD_SECONDS, env=environment, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise BuildError(f"{command[0]} took longer than {BUILD_SECONDS:.0f} s; is this machine overloaded?") from None
    except OSError as error:
        raise BuildError(
            f"cannot run {command[0]} ({error.strerror or error}); install gcc or clang, or pip install ziglang"
        ) from error
