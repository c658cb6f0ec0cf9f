"""Serial interfaces of emulated chips, as a polled driver sees them: registers in, bytes out.

A driver that looks at an empty receiver again and again waits; then the emulator may, too. What a driver has not switched on does not send
or receive here either. Baud rates and pins are taken as they come.
"""

from collections.abc import Callable

IDLE_POLLS = 16  # so many looks at an empty receiver in a row: the firmware waits, so may the emulator


class Uart:
    """The two queues behind a serial interface; the chips' own registers are in the classes below.

    Args:
        wait: called when the firmware waits; takes what was sent and returns what came in.
        count: instructions so far.

    Attributes:
        receive_gap: most instructions between two bytes taken inside one request (a polled interface has to keep up with the line).
    """

    START = 0  # of the registers

    def __init__(self, wait: Callable[[bytes], bytes], count: Callable[[], int]) -> None:
        self.receive_gap = 0
        self._wait, self._count = wait, count
        self._registers: dict[int, int] = {}
        self._received = b""
        self._position = 0
        self._sent = bytearray()
        self._empty_polls = 0
        self._last_taken: int | None = None

    def read(self, register: int) -> int:
        """What the firmware reads at this offset."""
        return self._registers.get(register, 0)

    def write(self, register: int, value: int) -> None:
        """The firmware writes to this offset."""
        self._registers[register] = value

    def receiver_on(self) -> bool:
        raise NotImplementedError

    def transmitter_on(self) -> bool:
        raise NotImplementedError

    def waiting(self) -> bool:
        """Whether a byte is there; the firmware looks."""
        if self._position < len(self._received):
            return True
        self._empty_polls += 1
        if self._empty_polls >= IDLE_POLLS:
            self._empty_polls = 0
            sent, self._sent = bytes(self._sent), bytearray()
            received = self._wait(sent)
            if self.receiver_on():
                self._received, self._position = received, 0
        return False

    def take(self) -> int:
        """The next byte; 0 where there is none."""
        if self._position == len(self._received):
            return 0
        now = self._count()
        if self._last_taken is not None:
            self.receive_gap = max(self.receive_gap, now - self._last_taken)
        self._last_taken = now
        self._empty_polls = 0
        self._position += 1
        return self._received[self._position - 1]

    def put(self, byte: int) -> None:
        """The firmware sends a byte."""
        if self.transmitter_on():
            self._sent.append(byte & 0xFF)
            self._last_taken = None
            self._empty_polls = 0


class Stm32Usart2(Uart):
    """USART2 of the STM32F411 (ST RM0383, chapter 19)."""

    START = 0x40004400
    STATUS, DATA, CONTROL = 0x00, 0x04, 0x0C
    RECEIVED, TRANSMIT_EMPTY = 1 << 5, 3 << 6  # RXNE; TXE and TC
    ON, TRANSMIT, RECEIVE = 1 << 13, 1 << 3, 1 << 2

    def read(self, register: int) -> int:
        if register == self.STATUS:
            return (self.RECEIVED if self.waiting() else 0) | self.TRANSMIT_EMPTY
        return self.take() if register == self.DATA else super().read(register)

    def write(self, register: int, value: int) -> None:
        super().write(register, value)
        if register == self.DATA:
            self.put(value)

    def receiver_on(self) -> bool:
        return not ~self._registers.get(self.CONTROL, 0) & (self.ON | self.RECEIVE)

    def transmitter_on(self) -> bool:
        return not ~self._registers.get(self.CONTROL, 0) & (self.ON | self.TRANSMIT)


class NrfUart0(Uart):
    """UART0 of the nRF51 and nRF52 series (nRF51 Series Reference Manual 3.0.1, chapter 29). Events stay until the firmware clears them."""

    START = 0x40002000
    START_RECEIVER, START_TRANSMITTER, RECEIVED, SENT = 0x000, 0x008, 0x108, 0x11C
    ENABLE, RECEIVE, TRANSMIT, ENABLED = 0x500, 0x518, 0x51C, 4

    def read(self, register: int) -> int:
        if register == self.RECEIVED:
            if not self._registers.get(self.RECEIVED, 0):
                self._registers[self.RECEIVED] = int(self.waiting())
            return self._registers[self.RECEIVED]
        return self.take() if register == self.RECEIVE else super().read(register)

    def write(self, register: int, value: int) -> None:
        super().write(register, value)
        if register == self.TRANSMIT and self.transmitter_on():
            self.put(value)
            self._registers[self.SENT] = 1

    def receiver_on(self) -> bool:
        return self._started(self.START_RECEIVER)

    def transmitter_on(self) -> bool:
        return self._started(self.START_TRANSMITTER)

    def _started(self, task: int) -> bool:
        return self._registers.get(self.ENABLE, 0) == self.ENABLED and bool(self._registers.get(task, 0))


class Pl011(Uart):
    """UART0 of the RP2040, Arm's PrimeCell PL011 (RP2040 datasheet, chapter 4.2)."""

    START = 0x40034000
    DATA, FLAGS, CONTROL = 0x00, 0x18, 0x30
    NOTHING_RECEIVED, TRANSMITTER_EMPTY = 1 << 4, 1 << 7
    ON, TRANSMIT, RECEIVE = 1 << 0, 1 << 8, 1 << 9

    def read(self, register: int) -> int:
        if register == self.FLAGS:
            return self.TRANSMITTER_EMPTY | (0 if self.waiting() else self.NOTHING_RECEIVED)
        return self.take() if register == self.DATA else super().read(register)

    def write(self, register: int, value: int) -> None:
        super().write(register, value)
        if register == self.DATA:
            self.put(value)

    def receiver_on(self) -> bool:
        return not ~self._registers.get(self.CONTROL, 0) & (self.ON | self.RECEIVE)

    def transmitter_on(self) -> bool:
        return not ~self._registers.get(self.CONTROL, 0) & (self.ON | self.TRANSMIT)
