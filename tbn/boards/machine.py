"""An emulated Cortex-M board on `unicorn`: its core and memory here, the chip's registers in `chips`. Counts every executed instruction.

Not modelled: interrupts, DMA, caches, wait states of the flash. So its tick is an instruction, never a cycle, and firmware has to poll.
System registers are those of Arm's ARMv6-M and ARMv7-M manuals.
"""

import bisect
from collections.abc import Callable
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol, TypeVar

from elftools.elf.elffile import ELFFile
from unicorn import (
    UC_ARCH_ARM,
    UC_HOOK_BLOCK,
    UC_HOOK_INTR,
    UC_HOOK_MEM_INVALID,
    UC_HOOK_MEM_READ,
    UC_HOOK_MEM_WRITE,
    UC_MODE_MCLASS,
    UC_MODE_THUMB,
)
from unicorn.arm_const import (
    UC_ARM_REG_MSP,
    UC_ARM_REG_PC,
    UC_ARM_REG_SP,
    UC_CPU_ARM_CORTEX_M0,
    UC_CPU_ARM_CORTEX_M4,
)

from tbn.boards.chips import CORTEX_M0, CORTEX_M0PLUS, CORTEX_M4F, MODELS
from tbn.errors import TBNError

# unicorn has no Cortex-M0+; its instructions are those of the Cortex-M0
CORES = {CORTEX_M0: UC_CPU_ARM_CORTEX_M0, CORTEX_M0PLUS: UC_CPU_ARM_CORTEX_M0, CORTEX_M4F: UC_CPU_ARM_CORTEX_M4}
DWT_CTRL, DWT_CYCCNT, SYSTICK_VALUE = 0xE0001000, 0xE0001004, 0xE000E018
SYSTEM = ((0xE0001000, 0x1000), (0xE000E000, 0x1000))  # address and bytes of the core's own registers
WAIT_SECONDS = 0.5  # a wait for bytes is cut into pieces so long, and the counters advance by each
CHECK_INTERVAL = 5_000_000  # instructions between two looks at the line while the firmware computes
T = TypeVar("T")
UNICORN: Any = import_module("unicorn")  # only some of its names have types


class Fault(TBNError):
    """The core stopped: bus fault, undefined instruction, or it sleeps with nothing to wake it."""


class Line(Protocol):
    """The other end of the serial line. Raising from any method ends ``Machine.run``."""

    def receive(self, seconds: float) -> bytes:
        """Wait for bytes, at most so long; empty when none came."""

    def send(self, data: bytes) -> None:
        """Bytes that the board sent."""

    def check(self) -> None:
        """Called now and then during long computations."""


class Machine:
    """One board with an image in its flash, just out of reset.

    Args:
        board: a name of ``MODELS``.
        elf: the image.
        line: what its serial line leads to.
        aligned: stop at a word that lies across its own size, as a Cortex-M0 does; looks at every access, so it takes long.

    Attributes:
        instructions: executed since reset, in finished basic blocks and the one that runs.
    """

    def __init__(self, board: str, elf: bytes, line: Line, aligned: bool = False) -> None:
        self.model = MODELS[board]
        self.line = line
        self.instructions = 0
        self._next_check = CHECK_INTERVAL
        self._waited = 0
        self._cycles_from = self._systick_from = 0
        self._blocks: dict[tuple[int, int], list[int]] = {}
        self._block: list[int] = []
        self._fault = ""
        self._ended: Exception | None = None
        chip = self.model.chip
        self.uart = chip.UART(self._wait, lambda: self.instructions)
        self.chip = chip(self.uart, self)
        self._uc = self._power_on(elf, aligned)

    @property
    def receive_gap(self) -> int:
        """Most instructions between two reads of the receiver inside one request, to within a basic block."""
        return self.uart.receive_gap

    def _power_on(self, elf: bytes, aligned: bool) -> Any:
        uc = UNICORN.Uc(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS)
        uc.ctl_set_cpu_model(CORES[self.model.core])
        for address, size in (self.model.flash, self.model.ram):
            uc.mem_map(address, size)
        start, size = self.model.flash
        uc.mem_write(start, b"\xff" * size)
        for segment in ELFFile(BytesIO(elf)).iter_segments("PT_LOAD"):
            if segment["p_filesz"]:
                if not start <= segment["p_paddr"] <= start + size - segment["p_filesz"]:
                    raise Fault(f"the image does not lie in the flash at {start:#x}", "build it for this board")
                uc.mem_write(segment["p_paddr"], segment.data())
        for base, length in self.chip.REGIONS:
            uc.mmio_map(base, length, self._read, base, self._write, base)
        for base, length in SYSTEM:
            uc.mmio_map(base, length, self._read_system, base, self._write_system, base)
        uc.hook_add(UC_HOOK_BLOCK, self._on_block)
        uc.hook_add(UC_HOOK_INTR, self._on_interrupt)
        uc.hook_add(UC_HOOK_MEM_INVALID, self._on_bad_access)
        if aligned:
            uc.hook_add(UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, self._on_access)
        try:
            stack, self._entry, program = self.chip.start(self.model, lambda at, count: bytes(uc.mem_read(at, count)))
        except ValueError as error:
            raise Fault(str(error), "build it for this board") from error
        if program:
            uc.mem_write(self._entry & ~1, program)
        uc.reg_write(UC_ARM_REG_MSP, stack)
        uc.reg_write(UC_ARM_REG_SP, stack)
        return uc

    def run(self) -> None:
        """Run until the line raises; what it raised comes out, and ``Fault`` where the core stops."""
        try:
            self._uc.emu_start(self._entry, 0xFFFFFFFE)
        except UNICORN.UcError as error:
            self._fault = self._fault or str(error)
        if self._ended is not None:
            raise self._ended
        raise Fault(
            f"the emulated core stopped: {self._fault or 'it left its program'}", "look at the firmware's last change"
        )

    # instructions ---------------------------------------------------------------------------------------------------------------
    def _on_block(self, uc: Any, address: int, size: int, _: object) -> None:
        starts = self._blocks.get((address, size))
        if starts is None:
            starts = self._blocks[address, size] = instruction_starts(bytes(uc.mem_read(address, size)), address)
        self._block = starts
        self.instructions += len(starts)
        if self.instructions > self._next_check:
            self._next_check = self.instructions + CHECK_INTERVAL
            self._ask_line(self.line.check)

    def now(self) -> int:
        """Instructions before the one that reads this, exact inside a block too."""
        here = self._uc.reg_read(UC_ARM_REG_PC) & ~1
        return self.instructions - len(self._block) + bisect.bisect_left(self._block, here)

    def clock(self) -> int:
        """Clocks of the core since reset: one for each instruction, and those of the time that it waited."""
        return self.now() + self._waited

    def _on_interrupt(self, uc: Any, number: int, _: object) -> None:
        self._fault = f"exception {number} (a sleep that nothing ends, a breakpoint or a system call)"
        uc.emu_stop()

    def _on_bad_access(self, uc: Any, access: int, address: int, size: int, value: int, _: object) -> bool:
        self._fault = f"bus fault: address {address:#010x}, program counter {uc.reg_read(UC_ARM_REG_PC):#010x}"
        return False

    def _on_access(self, uc: Any, access: int, address: int, size: int, value: int, _: object) -> None:
        if address % size:
            self._fault = f"{size} bytes at {address:#010x} are not aligned"
            uc.emu_stop()

    # peripherals ----------------------------------------------------------------------------------------------------------------
    def _read(self, uc: Any, offset: int, size: int, base: int) -> int:
        return self.chip.read(base + offset)

    def _write(self, uc: Any, offset: int, size: int, value: int, base: int) -> None:
        self.chip.write(base + offset, value)

    def _read_system(self, uc: Any, offset: int, size: int, base: int) -> int:
        address = base + offset
        if address == DWT_CYCCNT and self.model.core == CORTEX_M4F:
            running = self.chip.registers.get(DWT_CTRL, 0) & 1
            return self.clock() - self._cycles_from & 0xFFFFFFFF if running else 0
        if address == SYSTICK_VALUE and self.chip.HAS_SYSTICK:
            return self._systick_from - self.clock() & 0xFFFFFF
        return self.chip.registers.get(address, 0)

    def _write_system(self, uc: Any, offset: int, size: int, value: int, base: int) -> None:
        self.chip.registers[base + offset] = value
        if base + offset == DWT_CYCCNT:
            self._cycles_from = self.clock() - value
        elif base + offset == SYSTICK_VALUE:
            self._systick_from = self.clock()

    def _wait(self, sent: bytes) -> bytes:
        """The firmware waits for a byte: hand over what it sent, and sleep until one comes."""
        if sent:
            self._ask_line(lambda: self.line.send(sent))
        data = self._ask_line(lambda: self.line.receive(WAIT_SECONDS)) or b""
        if not data:
            self._waited += round(WAIT_SECONDS * self.model.hertz)  # on a real board time would have passed
        return data

    def _ask_line(self, call: Callable[[], T]) -> T | None:
        """Exceptions may not pass through the emulator's C code: the core is stopped, and ``run`` raises the first of them."""
        if self._ended is None:
            try:
                return call()
            except Exception as error:
                self._ended = error
                self._uc.emu_stop()
        return None


def instruction_starts(code: bytes, address: int) -> list[int]:
    """Addresses of the Thumb instructions in ``code``: 4 bytes long where the top five bits are 0x1D, 0x1E or 0x1F, else 2."""
    starts, position = [], 0
    while position < len(code):
        starts.append(address + position)
        position += 4 if code[position + 1] >> 3 in (0x1D, 0x1E, 0x1F) else 2
    return starts


def read_elf(path: Path) -> bytes:
    """The image file, with a clear error where it is none."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TBNError(
            f"cannot read the firmware image {path}: {error.strerror}", "build it first: tbn build RUN"
        ) from error
    if data[:4] != b"\x7fELF":
        raise TBNError(f"{path} is not an ELF image", "build it again: tbn build RUN")
    return data
