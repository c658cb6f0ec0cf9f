"""How deep the stack of a firmware gets: the emulated board's RAM is painted, answers a few inferences, and what was painted over is counted."""

import contextlib
from io import BytesIO
from pathlib import Path

import numpy as np
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from tbn.boards.device import INFER, INFO
from tbn.boards.frames import encode
from tbn.export.report import ExportReport

PAINT = 0xA5
IMAGES = 2


class _Done(Exception):
    """All requests were answered."""


class _Script:
    """A serial line that asks one thing after the other, and ends the run."""

    def __init__(self, requests: list[bytes]) -> None:
        self.requests = requests

    def receive(self, seconds: float) -> bytes:
        if not self.requests:
            raise _Done
        return self.requests.pop(0)

    def send(self, data: bytes) -> None:
        pass

    def check(self) -> None:
        pass


def deepest_stack(board: str, elf: Path, report: ExportReport) -> int | None:
    """Bytes of stack that the first inferences of the self-test take, or None where the board's emulator does not show its memory."""
    from tbn.boards.chips import MODELS
    from tbn.boards.machine import Machine

    if board not in MODELS:
        return None
    data = elf.read_bytes()
    with np.load(report.reference) as stored:
        inputs = stored["inputs"][:IMAGES].reshape(-1, report.input_bytes)
    requests = [
        encode(INFO, 1, b""),
        *(encode(INFER, 2 + index, image.tobytes()) for index, image in enumerate(inputs)),
    ]
    machine = Machine(board, data, _Script(requests))
    top, free = _stack_top(data), _free_from(data)
    before = np.frombuffer(bytes(machine._uc.mem_read(free, top - free)), np.uint8)
    there = np.flatnonzero(before)  # a boot ROM's copy of the boot loader, which the stack may grow over
    size = top - free if not len(there) else int(there[0]) & ~0xFF
    machine._uc.mem_write(free, bytes([PAINT]) * size)
    with contextlib.suppress(_Done):
        machine.run()
    left = np.frombuffer(bytes(machine._uc.mem_read(free, size)), np.uint8)
    used = np.flatnonzero(left != PAINT)
    return int(top - free - (used[0] if len(used) else size))


def _stack_top(elf: bytes) -> int:
    """The first word of a Cortex-M image's vectors."""
    vectors = next(s for s in ELFFile(BytesIO(elf)).iter_sections() if s.name == ".isr_vector")
    return int.from_bytes(vectors.data()[:4], "little")


def _free_from(elf: bytes) -> int:
    """Where the variables end."""
    return max(
        section["sh_addr"] + section["sh_size"]
        for section in ELFFile(BytesIO(elf)).iter_sections()
        if section["sh_flags"] & SH_FLAGS.SHF_ALLOC and section["sh_flags"] & SH_FLAGS.SHF_WRITE
    )
