"""An emulated Cortex-M board: core, memory, one UART and the cycle counter, on `unicorn`. Counts every executed instruction.

Not modelled: interrupts, DMA, timers, caches, wait states of the flash. So its tick is an instruction, never a cycle, and firmware has to
poll. Addresses and bits are those of ST's RM0383 (STM32F411) and Arm's ARMv7-M manual.
"""

import bisect
import struct
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol, TypeVar

from elftools.elf.elffile import ELFFile
from unicorn import UC_ARCH_ARM, UC_HOOK_BLOCK, UC_HOOK_INTR, UC_HOOK_MEM_INVALID, UC_MODE_MCLASS, UC_MODE_THUMB
from unicorn.arm_const import UC_ARM_REG_MSP, UC_ARM_REG_PC, UC_ARM_REG_SP, UC_CPU_ARM_CORTEX_M4

from tbn.errors import TBNError

RECEIVED, TRANSMIT_EMPTY = 1 << 5, 3 << 6  # bits of USART_SR: RXNE; TXE and TC
TRANSMITTER_ON, RECEIVER_ON = 1 << 13 | 1 << 3, 1 << 13 | 1 << 2  # bits of USART_CR1: UE with TE or RE
DWT_CTRL, DWT_CYCCNT, SYSTICK_VALUE = 0xE0001000, 0xE0001004, 0xE000E018
IDLE_POLLS = 16  # so many looks at an empty receiver in a row: the firmware waits, so may the emulator
WAIT_SECONDS = 0.5  # a wait for bytes is cut into pieces so long, and the cycle counter advances by each
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


@dataclass(frozen=True)
class Model:
    """Memory map of a board: (address, bytes) of flash and RAM, where its UART lies, and the clock out of reset."""

    cpu: int
    flash: tuple[int, int]
    ram: tuple[int, int]
    usart: int
    hertz: int


MODELS = {
    "nucleo_f411re": Model(
        UC_CPU_ARM_CORTEX_M4, (0x08000000, 512 << 10), (0x20000000, 128 << 10), 0x40004400, 16_000_000
    )
}


class Machine:
    """One board with an image in its flash, just out of reset.

    Attributes:
        instructions: executed since reset, in finished basic blocks and the one that runs.
        receive_gap: most instructions between two reads of the receiver inside one request, to within a basic block (a polled UART must keep up
            with the line).
    """

    def __init__(self, board: str, elf: bytes, line: Line) -> None:
        self.model = MODELS[board]
        self.line = line
        self.instructions = 0
        self.receive_gap = 0
        self._last_read: int | None = None
        self._next_check = CHECK_INTERVAL
        self._received = bytearray()
        self._position = 0
        self._sent = bytearray()
        self._empty_polls = 0
        self._registers: dict[int, int] = {}
        self._counter_start = 0
        self._blocks: dict[tuple[int, int], list[int]] = {}
        self._block: list[int] = []
        self._fault = ""
        self._ended: Exception | None = None
        self._uc = self._power_on(elf)

    def _power_on(self, elf: bytes) -> Any:
        uc = UNICORN.Uc(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS)
        uc.ctl_set_cpu_model(self.model.cpu)
        for address, size in (self.model.flash, self.model.ram):
            uc.mem_map(address, size)
        start, size = self.model.flash
        uc.mem_write(start, b"\xff" * size)
        for segment in ELFFile(BytesIO(elf)).iter_segments("PT_LOAD"):
            if segment["p_filesz"]:
                if not start <= segment["p_paddr"] <= start + size - segment["p_filesz"]:
                    raise Fault(f"the image does not lie in the flash at {start:#x}", "build it for this board")
                uc.mem_write(segment["p_paddr"], segment.data())
        page = self.model.usart & ~0xFFF
        uc.mmio_map(page, 0x1000, self._usart_read, None, self._usart_write, None)
        for base, length in (
            (0x40000000, page - 0x40000000),
            (page + 0x1000, 0x400FF000 - page),
            (0xE0001000, 0x1000),
            (0xE000E000, 0x1000),
        ):
            uc.mmio_map(base, length, self._read, base, self._write, base)
        uc.hook_add(UC_HOOK_BLOCK, self._on_block)
        uc.hook_add(UC_HOOK_INTR, self._on_interrupt)
        uc.hook_add(UC_HOOK_MEM_INVALID, self._on_bad_access)
        stack, entry = struct.unpack("<II", uc.mem_read(start, 8))
        uc.reg_write(UC_ARM_REG_MSP, stack)
        uc.reg_write(UC_ARM_REG_SP, stack)
        self._entry = entry | 1
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

    def _on_interrupt(self, uc: Any, number: int, _: object) -> None:
        self._fault = f"exception {number} (a sleep that nothing ends, a breakpoint or a system call)"
        uc.emu_stop()

    def _on_bad_access(self, uc: Any, access: int, address: int, size: int, value: int, _: object) -> bool:
        self._fault = f"bus fault: address {address:#010x}, program counter {uc.reg_read(UC_ARM_REG_PC):#010x}"
        return False

    # peripherals ----------------------------------------------------------------------------------------------------------------
    def _usart_read(self, uc: Any, offset: int, size: int, _: object) -> int:
        register = offset & 0xFF
        waiting = self._position < len(self._received)
        if register == 0x00:
            if waiting:
                return RECEIVED | TRANSMIT_EMPTY
            self._empty_polls += 1
            if self._empty_polls >= IDLE_POLLS:
                self._wait()
            return TRANSMIT_EMPTY
        if register == 0x04:
            if not waiting:
                return 0
            if self._last_read is not None and self.instructions - self._last_read > self.receive_gap:
                self.receive_gap = self.instructions - self._last_read
            self._last_read = self.instructions
            self._empty_polls = 0
            byte = self._received[self._position]
            self._position += 1
            return byte
        return self._registers.get(offset, 0)

    def _usart_write(self, uc: Any, offset: int, size: int, value: int, _: object) -> None:
        register = offset & 0xFF
        self._registers[offset] = value
        if register == 0x04 and self._enabled(TRANSMITTER_ON):
            self._sent.append(value & 0xFF)
            self._last_read = None
            self._empty_polls = 0

    def _enabled(self, bits: int) -> bool:
        return self._registers.get((self.model.usart & 0xFFF) + 0x0C, 0) & bits == bits

    def _wait(self) -> None:
        """The firmware waits for a byte: hand over what it sent, and sleep until one comes."""
        self._empty_polls = 0
        sent, self._sent = bytes(self._sent), bytearray()
        if sent:
            self._ask_line(lambda: self.line.send(sent))
        data = self._ask_line(lambda: self.line.receive(WAIT_SECONDS)) or b""
        if not data:
            self._counter_start -= round(WAIT_SECONDS * self.model.hertz)  # on a real board time would have passed
        if self._enabled(RECEIVER_ON):
            self._received, self._position = bytearray(data), 0

    def _ask_line(self, call: Callable[[], T]) -> T | None:
        """Exceptions may not pass through the emulator's C code: the core is stopped, and ``run`` raises the first of them."""
        if self._ended is None:
            try:
                return call()
            except Exception as error:
                self._ended = error
                self._uc.emu_stop()
        return None

    def _read(self, uc: Any, offset: int, size: int, base: int) -> int:
        address = base + offset
        if address == DWT_CYCCNT:
            return (self.now() - self._counter_start) & 0xFFFFFFFF if self._registers.get(DWT_CTRL, 0) & 1 else 0
        if address == SYSTICK_VALUE:
            return -self.now() & 0xFFFFFF
        return self._registers.get(address, 0)

    def _write(self, uc: Any, offset: int, size: int, value: int, base: int) -> None:
        address = base + offset
        self._registers[address] = value
        if address == DWT_CYCCNT:
            self._counter_start = self.now() - value


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
