"""PlatformIO's process when it goes wrong: a script in its place says what the real one would, and is a real process."""

import os
import sys
import time
from pathlib import Path

import pytest

from tbn.boards import pio
from tbn.boards.errors import CODES, ToolError


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A script that runs instead of ``python -m platformio``."""
    if os.name == "nt":
        pytest.skip("a shell script")
    script = tmp_path / "platformio"
    monkeypatch.setattr(sys, "executable", str(script))
    return script


def run(says: Path, lines: str, seconds: float) -> ToolError:
    says.write_text(f"#!/bin/sh\n{lines}\n")
    says.chmod(0o755)
    folder = says.parent / "a folder ä"
    started = time.monotonic()
    with pytest.raises(ToolError) as error:
        pio.run(["--target", "upload"], folder / "pio", folder / "model", folder / "build.log", seconds)
    assert time.monotonic() - started < seconds + 8
    assert str(folder / "build.log") in error.value.fix and error.value.code in CODES
    assert (folder / "build.log").read_text().startswith("$ pio run --target upload")
    return error.value


def alive(pid: Path) -> bool:
    return Path(f"/proc/{pid.read_text().strip()}").exists()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Waiting for a debug probe to be connected...", "no-probe"),
        ("Uploading", "time-limit"),
        ("Warning: 99-platformio-udev.rules", "time-limit"),
    ],
)
def test_an_upload_that_waits_for_ever_ends_within_its_limit(says: Path, text: str, code: str) -> None:
    error = run(says, f'echo $$ > "{says.parent}/pid"\necho "{text}"\nsleep 60', 0.5)
    assert error.code == code and text in error.log
    assert not alive(says.parent / "pid")


def test_an_upload_that_fails_is_told_by_its_log(says: Path) -> None:
    error = run(says, "echo 'Could not exclusively lock port /dev/ttyACM0: [Errno 11]'\nexit 1", 10)
    assert (error.code, error.message) == ("port-busy", "another program holds the port")
    assert "exclusively lock" in error.log


def test_a_failure_that_nobody_knows_keeps_its_last_line(says: Path) -> None:
    error = run(says, "echo 'all went well'\necho '*** [x] something odd'\nexit 3", 10)
    assert error.code == "unknown" and "status 3: [x] something odd" in error.message and "something odd" in error.log


def test_a_killed_process(says: Path) -> None:
    assert run(says, "kill -KILL $$", 10).code == "killed"


def test_a_cause_of_an_earlier_step_is_not_blamed(says: Path) -> None:
    """The log of build and upload is one file; only what this call added counts."""
    run(says, "echo 'No space left on device'\nexit 1", 10)
    says.write_text("#!/bin/sh\necho fine\nexit 1\n")
    folder = says.parent / "a folder ä"
    with pytest.raises(ToolError) as error:
        pio.run([], folder / "pio", folder / "model", folder / "build.log", 10)
    assert error.value.code == "unknown" and "No space" not in error.value.log
