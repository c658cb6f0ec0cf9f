"""Background jobs: one process and one folder each, so a job outlives the page, the browser and the server that started it.

``start`` runs ``python -m tbn.job_worker``, one process in a session of its own. That worker takes ``.job.lock``, writes
``job.json``, runs the command in itself and writes the return code last. The kernel drops the lock when the process dies, whatever killed
it; so "running" means "the lock is held", never "a process id exists", and a killed job reads as failed even after a reboot.

In the job's folder (every JSON file is replaced whole, never half-written):
    job.json       kind, module, argv, pid, started, and at the end returncode, ended
    progress.json  fraction in [0, 1], message, steps: written by the work itself through ``Progress``
    log.txt        stderr of the work, line by line; output.txt: its stdout (one JSON object when the command was given ``--json``)
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tbn.errors import TBNError
from tbn.files import write_json
from tbn.locks import is_locked

JOB, PROGRESS, LOG, OUTPUT, LOCK, CANCELLED = (
    "job.json",
    "progress.json",
    "log.txt",
    "output.txt",
    ".job.lock",
    ".job.cancelled",
)
BUSY = 75  # the worker's exit status when the folder's lock is taken (EX_TEMPFAIL)
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Job:
    """What a job's folder says at one moment. ``state`` is "running", "done", "failed" or "cancelled"; times are Unix seconds."""

    folder: Path
    kind: str
    state: str
    argv: tuple[str, ...]
    pid: int
    started: float
    ended: float | None = None
    returncode: int | None = None
    progress: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    fix: str = ""

    @property
    def running(self) -> bool:
        return self.state == "running"

    @property
    def fraction(self) -> float:
        """Part done, 0 to 1."""
        value = self.progress.get("fraction", 0.0)
        return min(1.0, max(0.0, float(value))) if isinstance(value, int | float) else 0.0

    @property
    def message(self) -> str:
        return str(self.progress.get("message", ""))

    @property
    def seconds(self) -> float:
        """Wall time so far, or in all."""
        return max(0.0, (self.ended or time.time()) - self.started)

    def tail(self, lines: int = 40) -> list[str]:
        """The last lines of the log."""
        return tail(self.folder, lines)


class Progress:
    """What a job's own code uses to say how far it is; each call replaces ``progress.json``."""

    def __init__(self, folder: str | Path, steps: Sequence[str] = ()) -> None:
        self.folder = Path(folder)
        self.fraction = 0.0
        self.message = ""
        self.steps: list[dict[str, str]] = [{"name": name, "state": "waiting", "message": ""} for name in steps]

    def update(self, fraction: float | None = None, message: str | None = None) -> None:
        self.fraction = self.fraction if fraction is None else fraction
        self.message = self.message if message is None else message
        self._write()

    def step(self, name: str, state: str, message: str = "") -> None:
        """Set a step's state: "waiting", "running", "done" or "failed". The fraction follows from the steps that are done."""
        known = next((step for step in self.steps if step["name"] == name), None)
        if known is None:
            self.steps.append(known := {"name": name})
        known.update(state=state, message=message)
        self.fraction = sum(step["state"] == "done" for step in self.steps) / max(1, len(self.steps))
        self.message = message
        self._write()

    def _write(self) -> None:
        write_json(self.folder / PROGRESS, {"fraction": self.fraction, "message": self.message, "steps": self.steps})


def start(folder: str | Path, argv: Sequence[str], kind: str, module: str = "tbn") -> Job:
    """Run ``python -m MODULE *argv`` in the background and return once it holds the folder."""
    folder = Path(folder).resolve()
    _refuse_if_running(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CANCELLED).unlink(missing_ok=True)
        worker = [sys.executable, "-m", "tbn.job_worker", str(folder), kind, module, "--", *argv]
        environment = os.environ | {"PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "TERM": "dumb"}
        with (folder / LOG).open("ab") as log:
            process = subprocess.Popen(
                worker, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )
    except OSError as error:
        raise TBNError(
            f"cannot start a job in {folder}: {error.strerror}", "choose a folder that you can write to (TBN_RUNS)"
        ) from error
    threading.Thread(target=process.wait, daemon=True).start()  # reaps it, so that no zombie is left
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if _read(folder / JOB).get("pid") == process.pid:
            return status(folder)
        if process.poll() is not None and _read(folder / JOB).get("pid") != process.pid:
            _refuse_if_running(folder)
            if process.returncode == BUSY:
                raise TBNError(f"a job was started in {folder} at the same moment", "look at that one, or start again")
            raise TBNError(f"the job stopped before it began: {' '.join(tail(folder, 1))}", f"see {folder / LOG}")
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    raise TBNError("the job did not begin within 30 s", f"see {folder / LOG}; is this machine overloaded?")


def status(folder: str | Path) -> Job:
    """The job in ``folder`` as it is now; raises TBNError where there is none."""
    folder = Path(folder)
    record = _read(folder / JOB)
    held = bool(record) and record.get("returncode") is None and _held(folder)
    if not held:
        record = _read(folder / JOB)  # it may have ended between the two looks
    if not record:
        raise TBNError(f"there is no job in {folder}", "start one on the Train or Firmware page")
    code = record.get("returncode")
    state = "running" if held else "done" if code == 0 else "cancelled" if (folder / CANCELLED).exists() else "failed"
    error, fix = _reason(folder, state, code)
    ended = record.get("ended")
    if ended is None and state != "running":  # killed: the last sign of life is the best that we know
        ended = max(
            (path.stat().st_mtime for name in (JOB, PROGRESS, LOG) if (path := folder / name).exists()), default=None
        )
    progress = _read(folder / PROGRESS)
    return Job(
        folder, str(record.get("kind", "")), state, tuple(map(str, record.get("argv", []))), int(record.get("pid", 0)),
        float(record.get("started", 0.0)), ended, code, progress, error, fix,
    )  # fmt: skip


def cancel(folder: str | Path, grace_seconds: float = 10.0) -> Job:
    """Interrupt the job (as Ctrl-C does), then kill its process group if it still runs after the grace; returns how it ended."""
    folder = Path(folder)
    job = status(folder)
    if not job.running:
        return job
    (folder / CANCELLED).touch()
    for number, seconds in ((signal.SIGINT, grace_seconds), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(job.pid, number)  # the lock is held, so this process id is still the worker's
        except OSError as error:
            if not isinstance(error, ProcessLookupError):
                raise TBNError(f"process {job.pid} belongs to somebody else", "ask its owner to stop it") from error
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not _held(folder):
                return status(folder)
            time.sleep(0.05)
    raise TBNError(f"process {job.pid} does not stop", "stop it by hand")


def tail(folder: str | Path, lines: int = 40, name: str = LOG) -> list[str]:
    """The last lines of a log in the folder, without colours, a redrawn progress bar shown as its last state."""
    path = Path(folder) / name
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 64_000))
        text = file.read().decode("utf-8", "replace")
    rows = (ANSI.sub("", line.rstrip("\r\n").rpartition("\r")[2]).rstrip() for line in text.split("\n"))
    return [row for row in rows if row][-lines:]


def output(folder: str | Path) -> dict[str, Any]:
    """The JSON object that the command printed on stdout, or {} where there is none."""
    return _read(Path(folder) / OUTPUT)


def every(*roots: str | Path) -> list[Job]:
    """All jobs in the folders under ``roots`` (runs, and firmware builds inside them), newest first."""
    patterns = ("*/job.json", "*/*/job.json", "*/firmware/*/job.json")
    folders = {path.parent for root in roots for pattern in patterns for path in Path(root).glob(pattern)}
    found = []
    for folder in folders:
        try:
            found.append(status(folder))
        except TBNError:
            continue
    return sorted(found, key=lambda job: job.started, reverse=True)


def _reason(folder: Path, state: str, code: int | None) -> tuple[str, str]:
    """Why a job failed and what to do, in the command's own words where it left them."""
    if state != "failed":
        return "", ""
    told = output(folder)
    if not told.get("error"):
        told = _read(folder / "error.json")
    if told.get("error"):
        return str(told["error"]), str(told.get("fix", ""))
    if code is None:
        return (
            "the process was killed before it finished",
            "start it again; if it stops again, the machine may be short of memory",
        )
    lines = tail(folder, 1)
    return (lines[-1] if lines else f"the command ended with status {code}"), "read the log below"


def _refuse_if_running(folder: Path) -> None:
    if _held(folder):
        kind = _read(folder / JOB).get("kind", "job")
        raise TBNError(f"a {kind} job already runs in {folder}", "wait until it ends, or cancel it")


def _held(folder: Path) -> bool:
    """Whether a living process works in the folder."""
    return is_locked(folder / LOCK)


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
