"""What surrounds the core of each emulated chip: its memories, how it starts, and the registers that firmware has to find.

A register that is not mentioned here keeps what was written. Clocks are ready as soon as they are asked for.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tbn.boards.uarts import NrfUart0, Pl011, Stm32Usart2, Uart

CORTEX_M0, CORTEX_M0PLUS, CORTEX_M4F = "cortex-m0", "cortex-m0plus", "cortex-m4f"
BOOT2_BYTES, BOOT2_AT = 256, 0x20041F00  # where the RP2040's boot ROM puts the second stage
Read = Callable[[int, int], bytes]


class Clock(Protocol):
    """What a chip's timers count."""

    def clock(self) -> int:
        """Clocks of the core since reset: one for each instruction, and those of the time that it waited."""


@dataclass(frozen=True)
class Model:
    """An emulated board.

    Attributes:
        core: "cortex-m4f" etc.
        flash, ram: (address, bytes) that a program may use.
        hertz: clock of the core under the firmware.
        chip: class of its registers.
    """

    core: str
    flash: tuple[int, int]
    ram: tuple[int, int]
    hertz: int
    chip: "type[Chip]"


class Chip:
    """Registers of a chip.

    Args:
        uart: its serial interface.
        clock: of the core.
    """

    UART: type[Uart] = Uart
    REGIONS: tuple[tuple[int, int], ...] = ((0x40000000, 0x100000), (0x50000000, 0x100000))  # address, bytes
    HAS_SYSTICK = True

    def __init__(self, uart: Uart, clock: Clock) -> None:
        self.uart, self.clock = uart, clock
        self.registers: dict[int, int] = {}

    @staticmethod
    def start(model: Model, read: Read) -> tuple[int, int, bytes]:
        """(first stack pointer, first instruction, program that the boot ROM puts at that address) out of reset.

        Args:
            model: whose flash holds the image.
            read: bytes of the flash: read(address, count).

        Raises:
            ValueError: the chip would not start this image.
        """
        stack, entry = struct.unpack("<II", read(model.flash[0], 8))
        return stack, entry | 1, b""

    def read(self, address: int) -> int:
        """The firmware reads a register."""
        if address & ~0xFFF == self.uart.START & ~0xFFF:
            return self.uart.read(address - self.uart.START)
        return self.registers.get(address, 0)

    def write(self, address: int, value: int) -> None:
        """The firmware writes a register."""
        if address & ~0xFFF == self.uart.START & ~0xFFF:
            self.uart.write(address - self.uart.START, value)
        else:
            self.registers[address] = value


class Stm32f411(Chip):
    """STM32F411 (ST RM0383). The serial interface hears and says nothing before its clock runs."""

    UART = Stm32Usart2
    PERIPHERAL_CLOCKS, USART2_CLOCK = 0x40023840, 1 << 17

    def write(self, address: int, value: int) -> None:
        is_uart = address & ~0x3FF == self.uart.START
        if not is_uart or self.registers.get(self.PERIPHERAL_CLOCKS, 0) & self.USART2_CLOCK:
            super().write(address, value)


class Nrf51822(Chip):
    """nRF51822 (nRF51 Series Reference Manual 3.0.1): no SysTick, but TIMER0 with 32 bits at 16 MHz."""

    UART = NrfUart0
    HAS_SYSTICK = False
    START_CRYSTAL, CRYSTAL_RUNS = 0x40000000, 0x40000100
    TIMER_START, TIMER_STOP, TIMER_CAPTURE, TIMER_CAPTURED = 0x40008000, 0x40008004, 0x40008040, 0x40008540
    _timer_start: int | None = None

    def write(self, address: int, value: int) -> None:
        super().write(address, value)
        if address == self.START_CRYSTAL:
            self.registers[self.CRYSTAL_RUNS] = 1
        elif address == self.TIMER_START:
            self._timer_start = self.clock.clock()
        elif address == self.TIMER_CAPTURE:
            passed = 0 if self._timer_start is None else self.clock.clock() - self._timer_start
            self.registers[self.TIMER_CAPTURED] = passed & 0xFFFFFFFF


class Nrf52840(Nrf51822):
    """nRF52840 (Product Specification 1.7); what we use of it is where the nRF51822 has it. Its core has the counters that the other lacks."""

    HAS_SYSTICK = True


class Rp2040(Chip):
    """RP2040 (its datasheet): the boot ROM checks and runs the second stage; peripherals are in reset until they are let go."""

    UART = Pl011
    REGIONS = (*Chip.REGIONS, (0x18000000, 0x1000))
    ALIASES = 0x3000  # address bits that turn a write into exclusive or, set, clear
    RESET, RESET_DONE, ALL, UART0 = 0x4000C000, 0x4000C008, 0x1FFFFFF, 1 << 22
    REF_CTRL, REF_SELECTED, SYS_CTRL, SYS_SELECTED = 0x40008030, 0x40008038, 0x4000803C, 0x40008044
    XOSC_CTRL, XOSC_STATUS, XOSC_ENABLE, XOSC_STABLE = 0x40024000, 0x40024004, 0xFAB, 1 << 31
    MICROSECONDS, TICK, TICK_ON = 0x40054028, 0x4005802C, 1 << 9

    def __init__(self, uart: Uart, clock: Clock) -> None:
        super().__init__(uart, clock)
        self.registers[self.RESET] = self.ALL

    @staticmethod
    def start(model: Model, read: Read) -> tuple[int, int, bytes]:
        stage = read(model.flash[0], BOOT2_BYTES)
        if crc32_plain(stage[:-4]) != struct.unpack("<I", stage[-4:])[0]:
            raise ValueError("the boot ROM does not run it: the checksum of the first 256 bytes is wrong")
        return BOOT2_AT, BOOT2_AT | 1, stage

    def read(self, address: int) -> int:
        found = self.registers.get
        if address == self.RESET_DONE:
            return ~found(self.RESET, 0) & self.ALL
        if address == self.XOSC_STATUS:
            return self.XOSC_STABLE if found(self.XOSC_CTRL, 0) >> 12 == self.XOSC_ENABLE else 0
        if address == self.REF_SELECTED:
            return 1 << (found(self.REF_CTRL, 0) & 3)
        if address == self.SYS_SELECTED:
            return 1 << (found(self.SYS_CTRL, 0) & 1)
        if address == self.MICROSECONDS:
            tick = found(self.TICK, 0)
            return self.clock.clock() // max(tick & 0x1FF, 1) & 0xFFFFFFFF if tick & self.TICK_ON else 0
        return super().read(address)

    def write(self, address: int, value: int) -> None:
        alias, plain = address & self.ALIASES, address & ~self.ALIASES
        if alias and address < 0x40080000:
            old = self.registers.get(plain, 0)
            value = {0x1000: old ^ value, 0x2000: old | value, 0x3000: old & ~value}[alias]
            address = plain
        if address & ~0xFFF != self.uart.START or not self.registers.get(self.RESET, 0) & self.UART0:
            super().write(address, value)


def crc32_plain(data: bytes) -> int:
    """CRC-32 with the polynomial of zip, but nothing reflected or inverted, from zlib's: bits mirrored, result mirrored and inverted back."""
    mirrored = bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)
    return int(f"{zlib.crc32(mirrored) ^ 0xFFFFFFFF:032b}"[::-1], 2)


MODELS = {
    "nucleo_f411re": Model(CORTEX_M4F, (0x08000000, 512 << 10), (0x20000000, 128 << 10), 16_000_000, Stm32f411),
    "microbit": Model(CORTEX_M0, (0x00000000, 256 << 10), (0x20000000, 16 << 10), 16_000_000, Nrf51822),
    "pico": Model(CORTEX_M0PLUS, (0x10000000, 2 << 20), (0x20000000, 264 << 10), 12_000_000, Rp2040),
    # behind the boot loader, which takes the first 64 KB
    "nano33ble": Model(CORTEX_M4F, (0x00010000, 960 << 10), (0x20000000, 256 << 10), 64_000_000, Nrf52840),
}
