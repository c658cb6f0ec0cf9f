"""A board that is a process of this computer: the firmware's own C behind a pseudo-terminal, which pyserial opens like a serial port.

It can be unplugged, plugged in again, reset, silenced, and its line disturbed, which an emulated board behind TCP cannot.
"""

import os
import select
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from kernels.machine import compilers
from tbn.export import firmware_root
from tbn.export.report import ExportReport

tty = pytest.importorskip("tty", reason="needs pseudo-terminals")
termios = pytest.importorskip("termios")
HERE, FIRMWARE = Path(__file__).parent, firmware_root()
WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
SANITIZERS = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def compile_board(export: ExportReport, out: Path, *flags: str, compiler: list[str] | None = None) -> Path:
    """The firmware of an exported model as a program for this computer."""
    libraries = [FIRMWARE / "lib" / name for name in ("tbn_frame", "tbn_runtime")]
    sources = [HERE / "host_port.c", export.source, FIRMWARE / "src" / "device.c"]
    sources += [path for library in libraries for path in sorted((library / "src").glob("*.c"))]
    folders = [export.folder, FIRMWARE / "src", *(library / "include" for library in libraries)]
    folders.append(FIRMWARE / "lib" / "tbn_port" / "include")
    argv = [*(compiler or compilers()[0]), *WARNINGS, "-O1", "-ffp-contract=off", '-DTBN_BOARD_NAME="host"', *flags]
    argv += [f"-I{folder}" for folder in folders]
    subprocess.run([*argv, *map(str, sources), "-o", str(out)], check=True, timeout=300)
    return out


class HostBoard:
    """A board with a program in its flash, on a serial port at ``port``."""

    def __init__(self, program: Path, port: Path) -> None:
        self.program, self.port = program, port
        self.process: subprocess.Popen[bytes] | None = None
        self.plug_in()

    def plug_in(self) -> None:
        self.board_end, self.port_end = os.openpty()
        tty.setraw(self.port_end)
        self.port.unlink(missing_ok=True)
        self.port.symlink_to(os.ttyname(self.port_end))
        self.power_on()

    def unplug(self) -> None:
        self.power_off()
        os.close(self.board_end)
        os.close(self.port_end)
        self.port.unlink()

    def power_on(self) -> None:
        self.process = subprocess.Popen([self.program], stdin=self.board_end, stdout=self.board_end)

    def power_off(self) -> None:
        """The port stays, nobody answers."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def reset(self, seconds: float = 0.3) -> None:
        """It stops where it is, and begins anew after a while; what came meanwhile is lost."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        threading.Timer(seconds, self._begin).start()

    def _begin(self) -> None:
        self.power_off()
        termios.tcflush(self.port_end, termios.TCIOFLUSH)
        while select.select([self.board_end], [], [], 0)[0]:
            os.read(self.board_end, 4096)
        self.power_on()

    def disturb(self, noise: bytes) -> None:
        """Bytes on the line to the computer that the board did not send."""
        os.write(self.board_end, noise)
