"""An emulated Arduino Uno or Mega on simavr, which counts cycles. Needs its library and AVR's compiler, see ``INSTALL``.

``simavr_board.c`` beside this file is the board; it is compiled once, into the cache, and runs as a process of its own.
"""

import hashlib
import os
import select
import shutil
import subprocess
import sys
import tempfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elftools.elf.elffile import ELFFile

from tbn.errors import TBNError
from tbn.export.run import cache_root

if TYPE_CHECKING:
    from tbn.boards.machine import Line

CHIPS = {"uno": "atmega328p", "mega": "atmega2560"}
HERTZ = 16_000_000
LOOK_SECONDS = 0.002  # between two looks at either end of the line
COMPILE_SECONDS = 60
SOURCE = Path(__file__).with_name("simavr_board.c")
INSTALL = "apt-get install gcc gcc-avr avr-libc libsimavr-dev libelf-dev, or use another board"


def missing() -> str:
    """What emulated AVR boards lack on this computer; empty where nothing."""
    if sys.platform == "win32":
        return "simavr (there is none for Windows)"
    for tool in ("gcc", "avr-gcc"):
        if shutil.which(tool) is None:
            return tool
    folders = [Path("/usr/include"), Path("/usr/local/include"), Path("/opt/homebrew/include")]
    return "" if any((folder / "simavr" / "sim_avr.h").is_file() for folder in folders) else "simavr's library"


def program() -> Path:
    """The compiled board.

    Raises:
        TBNError: simavr or gcc is not installed, or it does not compile.
    """
    target = cache_root() / "simavr" / hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    if target.is_file():
        return target
    lacking = missing()
    if lacking:
        raise TBNError(f"emulated AVR boards need {lacking}", INSTALL)
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_suffix(f".{os.getpid()}")
    argv = ["gcc", "-O2", str(SOURCE), "-o", str(fresh), "-I/usr/local/include", "-lsimavr", "-lelf"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=COMPILE_SECONDS, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise TBNError(f"the emulated AVR board does not compile: {done.stderr.strip()[:500]}", INSTALL)
    fresh.replace(target)
    return target


def flash_of(elf: bytes) -> bytes:
    """The bytes of the flash from address 0 on."""
    image = bytearray()
    for segment in ELFFile(BytesIO(elf)).iter_segments("PT_LOAD"):
        start, data = segment["p_paddr"], segment.data()
        if data:
            image = image.ljust(start + len(data), b"\xff")
            image[start : start + len(data)] = data
    return bytes(image)


def free_ram_of(elf: bytes) -> int:
    """The first address of the RAM behind all variables (avr-ld's symbol ``_end``, without the 0x800000 that marks RAM)."""
    table: Any = ELFFile(BytesIO(elf)).get_section_by_name(".symtab")
    ends = [int(symbol["st_value"]) for symbol in table.get_symbol_by_name("_end") or []] if table else []
    return ends[0] & 0xFFFF if ends else 0


class AvrMachine:
    """One board with an image in its flash, just out of reset; used as a ``Machine`` is."""

    def __init__(self, board: str, elf: bytes, line: "Line") -> None:
        self.chip, self.flash, self.line = CHIPS[board], flash_of(elf), line
        self.free_ram = free_ram_of(elf)

    def run(self) -> None:
        """Run until the line raises; what it raised comes out, and ``Fault`` where the core stops."""
        from tbn.boards.machine import Fault

        with tempfile.TemporaryDirectory(prefix="tbn-avr-") as folder:
            image = Path(folder) / "flash.bin"
            image.write_bytes(self.flash)
            process = subprocess.Popen(
                [str(program()), self.chip, str(HERTZ), str(image), str(self.free_ram)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            try:
                self._carry(process)
                reason = b"" if process.stderr is None else process.stderr.read()
                raise Fault(
                    f"the emulated core stopped: {reason.decode().strip() or 'it left its program'}",
                    "look at the firmware's last change",
                )
            finally:
                process.kill()
                process.communicate()

    def _carry(self, process: subprocess.Popen[bytes]) -> None:
        """Carry bytes both ways until the board's process ends."""
        assert process.stdin is not None and process.stdout is not None
        while True:
            while select.select([process.stdout], [], [], LOOK_SECONDS)[0]:
                data = os.read(process.stdout.fileno(), 65536)
                if not data:
                    return
                self.line.send(data)
            received = self.line.receive(LOOK_SECONDS)
            if received:
                try:
                    process.stdin.write(received)
                    process.stdin.flush()
                except BrokenPipeError:
                    return
