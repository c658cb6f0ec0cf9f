"""Background jobs: one process and one folder each, so a job outlives the page, the browser and the server that started it.

``start`` runs ``python -m tbn.job_worker``, one process in a session of its own. That worker takes ``.job.lock``, writes
``job.json``, runs the command in itself and writes the return code last. The kernel drops the lock when the process dies, whatever killed
it; so "running" means "the lock is held", never "a process id exists", and a killed job reads as failed even after a reboot.
Any number of pages and terminals may look, start, cancel and delete at once: the lock decides, and a cancellation names the job it is for.

A training or a flash is a job of its run's folder; what belongs to no run lies in ``jobs/<kind>-<time>`` of the runs folder. In a job's folder
(every JSON file is replaced whole, never half-written):
    job.json       kind, module, argv, pid, started, and at the end returncode, ended
    progress.json  fraction in [0, 1], message, steps: written by the work itself through ``Progress``
    log.txt        stderr of the work, line by line; output.txt: its stdout (one JSON object when the command was given ``--json``)

``tbn.job_keeping`` makes their folders, starts them again, measures and deletes them.
"""

import json
import os
import re
import shlex
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
from tbn.job_places import JOB, Stamp, places
from tbn.locks import is_locked
from tbn.progress import PROGRESS, Progress

__all__ = ["JOB", "PROGRESS", "Job", "Progress", "cancel", "every", "here", "output", "start", "status", "tail"]
LOG, OUTPUT, LOCK, CANCELLED = ("log.txt", "output.txt", ".job.lock", ".job.cancelled")
HERE = "TBN_JOB"  # environment of a job: its folder
BUSY = 75  # the worker's exit status when the folder's lock is taken (EX_TEMPFAIL)
_ENDED: dict[str, tuple[Stamp, "Job"]] = {}  # jobs that cannot change any more, by folder
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
    module: str = "tbn"

    @property
    def command(self) -> str:
        """What a terminal would be told to do the same."""
        words = [*(["tbn"] if self.module == "tbn" else ["python", "-m", self.module]), *self.argv]
        return shlex.join(word for word in words if word != "--json")

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


def start(folder: str | Path, argv: Sequence[str], kind: str, module: str = "tbn") -> Job:
    """Run ``python -m MODULE *argv`` in the background and return once it holds the folder."""
    folder = Path(folder).resolve()
    _refuse_if_running(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
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
    state = "running" if held else "done" if code == 0 else "cancelled" if _cancelled(folder, record) else "failed"
    error, fix = _reason(folder, state, code)
    ended = record.get("ended")
    if ended is None and state != "running":  # killed: the last sign of life is the best that we know
        ended = max(
            (path.stat().st_mtime for name in (JOB, PROGRESS, LOG) if (path := folder / name).exists()), default=None
        )
    progress = _read(folder / PROGRESS)
    return Job(
        folder, str(record.get("kind", "")), state, tuple(map(str, record.get("argv", []))), int(record.get("pid", 0)),
        float(record.get("started", 0.0)), ended, code, progress, error, fix, str(record.get("module", "tbn")),
    )  # fmt: skip


def cancel(folder: str | Path, grace_seconds: float = 10.0) -> Job:
    """Interrupt the job (as Ctrl-C does), then kill its process group if it still runs after the grace; returns how it ended."""
    folder = Path(folder)
    job = status(folder)
    if not job.running:
        return job
    write_json(folder / CANCELLED, {"started": job.started})
    for number, seconds in ((signal.SIGINT, grace_seconds), (signal.SIGKILL, 5.0)):
        if (now := status(folder)).started != job.started or not now.running:
            return now  # it ended by itself, and somebody may have started the next one
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


def here() -> Path | None:
    """The folder of the job that this process works for, or None outside of jobs."""
    return Path(os.environ[HERE]) if os.environ.get(HERE) else None


def every(*roots: str | Path) -> list[Job]:
    """All jobs in the folders under ``roots`` (runs, firmware builds inside them, ``jobs``), newest first."""
    found = []
    for folder, stamp in {place: stamp for root in roots for place, stamp in places(Path(root))}.items():
        known = _ENDED.get(folder)
        if known is not None and known[0] == stamp:
            found.append(known[1])
            continue
        try:
            found.append(job := status(folder))
        except TBNError:
            continue
        if not job.running:
            _ENDED[folder] = (stamp, job)  # only a new start, which replaces job.json, can change it
    return sorted(found, key=lambda job: job.started, reverse=True)


def _cancelled(folder: Path, record: dict[str, Any]) -> bool:
    """Whether this very job was told to stop, not one that used the folder before."""
    return (folder / CANCELLED).exists() and _read(folder / CANCELLED).get("started", record["started"]) == record[
        "started"
    ]


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
