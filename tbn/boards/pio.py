"""PlatformIO as a subprocess: own packages and workspace, no telemetry, no upgrade checks, a time limit, nothing left running."""

import contextlib
import hashlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tbn.boards.catalogue import Board
from tbn.boards.errors import ToolError, excerpt, explain
from tbn.boards.limits import within
from tbn.errors import TBNError
from tbn.export import firmware_root
from tbn.export.run import cache_root

BUILD_SECONDS = 900.0  # a first build of a real board fetches its toolchain
UPLOAD_SECONDS = 180.0
REGISTRY = ("api.registry.platformio.org", 443)
REGISTRY_SECONDS = 3.0
END_SECONDS = 3.0  # to leave when asked to
NEEDED = {
    "platformio": "platformio",
    "SCons": "scons",
    "ziglang": "ziglang",
    "unicorn": "unicorn",
    "serial": "pyserial",
    "elftools": "pyelftools",
    "jinja2": "jinja2",
}


def missing_packages() -> list[str]:
    """Names on PyPI of the Python packages that firmware needs and that are not installed."""
    return [name for module, name in NEEDED.items() if importlib.util.find_spec(module) is None]


def core_dir() -> Path:
    """Where PlatformIO keeps its packages for this project: never the user's ~/.platformio.

    One folder for each version of PlatformIO (another version would first try to update what it finds there, online) and for each
    checkout (it remembers the platform's folder).
    """
    try:
        own = version("platformio")
    except PackageNotFoundError as error:
        raise TBNError("PlatformIO is not installed", "pip install 'tbn-explorer[firmware]'") from error
    return cache_root() / f"pio-{own}-{hashlib.sha256(str(firmware_root()).encode()).hexdigest()[:8]}"


def environment(workspace: Path, model_dir: Path) -> dict[str, str]:
    """Environment variables of a PlatformIO process. They are the same for every build of a run: a change would wipe its build folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PLATFORMIO_", "ZIG_"))}
    return kept | {
        "PLATFORMIO_CORE_DIR": str(core_dir()),
        "PLATFORMIO_WORKSPACE_DIR": str(workspace),
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
        "PLATFORMIO_DISABLE_UPGRADE_CHECK": "true",
        "PLATFORMIO_SETTING_CHECK_PRUNE_SYSTEM_THRESHOLD": "0",
        "PLATFORMIO_DISABLE_PROGRESSBAR": "true",
        "PLATFORMIO_NO_ANSI": "true",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")])),
        "PYTHONUNBUFFERED": "1",
        "TBN_MODEL_DIR": str(model_dir),
        "ZIG_GLOBAL_CACHE_DIR": str(cache_root() / "zig"),
    }


def run(arguments: list[str], workspace: Path, model_dir: Path, log: Path, limit_seconds: float) -> float:
    """``pio run`` with these arguments; its output goes to ``log`` (appended). Returns seconds.

    Raises:
        ToolError: it failed (code, cause and fix from its log) or took longer than the limit; its processes are gone either way.
    """
    missing = missing_packages()
    if missing:
        raise TBNError(f"Python packages are missing: {', '.join(missing)}", "pip install 'tbn-explorer[firmware]'")
    argv = [sys.executable, "-m", "platformio", "run", "--project-dir", str(firmware_root()), *arguments]
    started = time.monotonic()
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            out.write(f"$ pio run {' '.join(arguments)}\n".encode())
            out.flush()
            begin = out.tell()
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environment(workspace, model_dir),
                start_new_session=True,
            )
    except OSError as error:
        raise TBNError(f"cannot start PlatformIO: {error.strerror}", "run tbn doctor") from error
    try:
        code = process.wait(limit_seconds)
    except subprocess.TimeoutExpired as error:
        text = _text(log, begin)
        waits = explain(text)
        if waits is not None and waits.code == "no-probe":  # some tools wait for it for ever
            raise ToolError(waits.message, f"{waits.fix} ({log})", waits.code, waits.log) from error
        raise ToolError(
            f"PlatformIO took longer than {limit_seconds:g} s and was stopped",
            f"see {log}; try again on a quieter machine",
            "time-limit",
            excerpt(text),
        ) from error
    finally:
        _end(process)
    if code:
        text = _text(log, begin)
        cause = explain(text)
        if cause is not None:
            raise ToolError(cause.message, f"{cause.fix} ({log})", cause.code, cause.log)
        if code < 0:
            name = signal.Signals(-code).name
            raise ToolError(f"PlatformIO was killed by {name}", f"start it again; log: {log}", "killed", excerpt(text))
        raise ToolError(f"PlatformIO failed with status {code}: {_last_line(text)}", f"see {log}", log=excerpt(text))
    return time.monotonic() - started


def registry_fault(seconds: float = REGISTRY_SECONDS) -> str:
    """Why PlatformIO's registry cannot be reached, or ""; known within the time, however slow the name server is."""
    try:
        within(seconds, lambda: socket.create_connection(REGISTRY, seconds).close(), TimeoutError("no answer in time"))
    except OSError as error:
        return f"{REGISTRY[0]}: {error.strerror or error}"
    return ""


def check_registry(board: Board) -> None:
    """A real board's toolchain comes from the registry: say at once, not after a minute, when it is neither here nor reachable."""
    if (core_dir() / "platforms" / board.platform).is_dir():
        return
    fault = registry_fault()
    if fault:
        raise ToolError(
            f"the toolchain of {board.title} is not installed, and the PlatformIO registry cannot be reached ({fault})",
            "connect to the internet once" + (", or use --port emulator" if board.emulated else ""),
            "registry-unreachable",
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started in its session (the emulated board has a session of its own and stays)."""
    if os.name == "nt":
        process.kill()
        process.wait(END_SECONDS)
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_SECONDS)
        until = time.monotonic() + END_SECONDS
        while time.monotonic() < until:
            os.killpg(process.pid, signal.SIGKILL)  # until nobody is left to be killed
            process.poll()
            time.sleep(0.01)


def _text(log: Path, begin: int) -> str:
    return log.read_bytes()[begin:].decode("utf-8", "replace")


def _last_line(text: str) -> str:
    lines = [line.strip(" =*") for line in text.splitlines() if line.strip(" =*-")]
    return lines[-1] if lines else "no output"
