"""The engines of one machine: workers in processes of their own, or the trials one after the other in this process.

An engine is a callable ``(desk, root, say)`` that returns when nothing of the sweep is left to do. Others (a cluster's) are written the same way.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tbn.errors import TBNError
from tbn.sweep import workers as crew

if TYPE_CHECKING:
    from tbn.sweep.desk import Desk

Say = Callable[[str], None]
Engine = Callable[["Desk", Path, Say], None]

LOOK_SECONDS, TEND_SECONDS, LEAVE_SECONDS = 0.1, 2.0, 15.0


def here(desk: Desk, root: Path, say: Say) -> None:
    """The trials one after the other in this process: no start of a process, but a crash takes everything with it until the next run."""
    crew.work(desk, root, crew.new_name())


def processes(count: int) -> Engine:
    """So many workers, each a process; one that dies is replaced, and its trial tried again.

    Raises:
        TBNError: (from the engine) the workers die before they have taken a trial.
    """

    def engine(desk: Desk, root: Path, say: Say) -> None:
        team = _Team(desk, root, say)
        try:
            for index in range(count):
                team.hire(index)
            team.oversee()
        finally:
            team.dismiss()

    return engine


@dataclass
class _Member:
    index: int
    worker: str
    process: subprocess.Popen[bytes]

    def hang_up(self) -> None:
        """Close this end of its standard input: a worker leaves when it is gone."""
        if self.process.stdin is not None:
            with suppress(OSError):
                self.process.stdin.close()


class _Team:
    """The worker processes of one command."""

    def __init__(self, desk: Desk, root: Path, say: Say) -> None:
        self.desk, self.root, self.say = desk, root, say
        self.members: list[_Member] = []
        self.gpus = _gpus() if str(desk.sweep.fixed.get("device", "cpu")) == "cuda" else 0

    def hire(self, index: int) -> None:
        worker = crew.new_name()
        command = [
            sys.executable,
            "-m",
            "tbn.sweep.worker_process",
            self.desk.sweep.name,
            str(self.root.absolute()),
            worker,
        ]
        environment = os.environ | {
            crew.STORAGE: self.desk.sweep.storage,
            "OMP_NUM_THREADS": str(self.desk.sweep.threads),
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        if self.gpus:  # one GPU each, in turn
            visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
            known = visible.split(",") if visible else [str(number) for number in range(self.gpus)]
            environment["CUDA_VISIBLE_DEVICES"] = known[index % len(known)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment)
        self.members.append(_Member(index, worker, process))

    def oversee(self) -> None:
        tended = time.monotonic()
        while True:
            for member in [member for member in self.members if member.process.poll() is not None]:
                self.members.remove(member)
                member.hang_up()
                self._left(member)
            if not self.members:
                if not self.desk.remaining():
                    return
                raise TBNError(
                    "all workers of the sweep have stopped", "see what they said above; the same command goes on"
                )
            if time.monotonic() - tended > TEND_SECONDS:
                self.desk.tend()
                tended = time.monotonic()
            time.sleep(LOOK_SECONDS)

    def _left(self, member: _Member) -> None:
        """A worker's process ended: well, or by a crash, after which another takes its place if it had got as far as a trial."""
        code = member.process.returncode
        if code == 0:
            return
        how = f"signal {-code}" if code < 0 else f"status {code}"
        if self.desk.worker_crashed(member.worker, f"its worker died ({how})"):
            self.say(f"a worker died ({how}); its trial is tried once more")
            self.hire(member.index)
        elif code < 0 and self.desk.remaining():  # killed between two trials
            self.hire(member.index)
        else:
            self.say(f"a worker stopped ({how})")

    def dismiss(self) -> None:
        """Let them leave, or make them."""
        for member in self.members:
            member.hang_up()
        end = time.monotonic() + LEAVE_SECONDS
        for member in self.members:
            with suppress(subprocess.TimeoutExpired):
                member.process.wait(max(0.1, end - time.monotonic()))
            member.process.kill()
            member.process.wait()


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()
