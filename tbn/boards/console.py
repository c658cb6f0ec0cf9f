"""A console: a board's serial line held open, asked now and then, and everything that went over it written down.

A thread listens while nobody asks, so what the board says by itself (a boot loader's lines, say) is heard, too. A console owns its port: a
flash, an evaluation or another console is refused meanwhile. It lets go of the port when it is closed, when the line breaks, when its process
ends however that happens, and by itself after ``IDLE_SECONDS`` in which nobody asked.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tbn.boards import emulator, ports
from tbn.boards.building import Place
from tbn.boards.device import Device, Info, OtherProtocol, Outputs, open_port
from tbn.boards.flashing import port_lock, port_url
from tbn.boards.line import BoardError, LineClosed
from tbn.boards.transcript import Entry, Tap, Transcript
from tbn.errors import TBNError

IDLE_SECONDS = 600.0
OPEN_SECONDS = 3.0  # how long a port may be away
FIRST_SECONDS = 6.0  # a board that resets when its port is opened may sit in its boot loader first
LISTEN_SECONDS, PAUSE_SECONDS = 0.02, 0.03  # the line is the thread's for so long, then anybody's


class Console:
    """An open line to a board.

    Args:
        url: what ``tbn.boards.line.open_line`` opens.
        lock: the port's lock file (``port_lock``).
        port: its name for people.

    Attributes:
        transcript: everything that went over the line.
        closed: why the line is no longer open, or "".

    Raises:
        TBNError: somebody else has the port, or it cannot be opened.
    """

    def __init__(self, url: str, lock: Path, port: str, idle_seconds: float = IDLE_SECONDS) -> None:
        self.port, self.closed = port, ""
        self.transcript = Transcript()
        self._idle_seconds, self._asked = idle_seconds, time.monotonic()
        self._turn = threading.RLock()  # of who reads and writes
        self._owned = ExitStack()
        with ExitStack() as opening:
            opening.enter_context(ports.held(lock, port))
            stream = open_port(url, OPEN_SECONDS)
            opening.callback(stream.close)
            self._owned = opening.pop_all()
        self._tap = Tap(stream, self.transcript)
        self._device = Device(self._tap)
        self.transcript.note(f"{port} is open")
        threading.Thread(target=self._listen, name=f"console of {port}", daemon=True).start()

    @property
    def info(self) -> Info | None:
        """What the board said about itself last."""
        return self.transcript.info

    def entries(self) -> list[Entry]:
        """What went over the line, the oldest first."""
        return self.transcript.entries()

    def meet(self, seconds: float = FIRST_SECONDS) -> Info:
        """Ask the board what it is, until it answers or the time is over."""
        until = time.monotonic() + seconds
        while True:
            try:
                with self._asking():
                    return self._device.info(min(0.5, seconds))
            except (LineClosed, OtherProtocol):
                raise
            except BoardError:
                if time.monotonic() > until:
                    raise

    def infer(self, codes: npt.NDArray[np.uint8]) -> tuple[Outputs, int]:
        """Outputs (outputs,) int32 or float32, and ticks, of one input as the board takes it (``ExportReport.encode``)."""
        with self._asking():
            return self._device.infer(codes)

    def self_test(self, seed: int, count: int) -> tuple[int, int]:
        """CRC-32 of the outputs of ``count`` inputs that the board makes itself, and the ticks of the last."""
        with self._asking():
            if self.info is None:
                self._device.info()
            return self._device.self_test(seed, count)

    def send(self, text: str) -> None:
        """A plain line, as a serial monitor sends it. Our firmware answers frames only; other programs may answer this."""
        with self._asking():
            self._tap.write(text.encode() + b"\n")

    def close(self, why: str = "disconnected") -> None:
        """Let go of the port; a second time does nothing."""
        with self._turn:
            if not self.closed:
                self.closed = why
                self.transcript.note(f"{self.port} is closed: {why}")
                self._owned.close()

    def _asking(self) -> ExitStack:
        """One's turn on the line; a line that breaks meanwhile closes the console."""
        stack = ExitStack()
        stack.enter_context(self._turn)
        if self.closed:
            stack.close()
            raise LineClosed(f"the console of {self.port} is closed: {self.closed}", "connect again")
        self._asked = time.monotonic()
        stack.push(self._after)
        return stack

    def _after(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._asked = time.monotonic()
        if isinstance(error, LineClosed):
            self.close(error.message)

    def _listen(self) -> None:
        while not self.closed:
            with self._turn:
                if self.closed:
                    return
                try:
                    self._tap.read(LISTEN_SECONDS)
                except BoardError as error:
                    self.close(error.message)
                    return
                if time.monotonic() - self._asked > self._idle_seconds:
                    self.close(f"nobody asked for {self._idle_seconds / 60:.0f} minutes")
            time.sleep(PAUSE_SECONDS)


def open_console(place: Place, port: str | None, idle_seconds: float = IDLE_SECONDS) -> Console:
    """The console of a run's board; an emulated board that is off, but was flashed, is switched on.

    Args:
        port: "emulator", a serial port, or None for the only port whose VID:PID is the board's.

    Raises:
        TBNError: no such port, somebody else has it, or the emulated board was never flashed.
    """
    chosen = ports.choose(place.board, port)
    lock = port_lock(place, chosen)
    if ports.is_emulator(chosen) and has_power(place):
        try:
            return Console(port_url(place, chosen), lock, chosen, idle_seconds)
        except BoardError:  # its process was killed
            emulator.stop(place.emulator_state)
    if ports.is_emulator(chosen):
        switch_on(place, chosen)
    return Console(port_url(place, chosen), lock, chosen, idle_seconds)


def switch_on(place: Place, port: str = ports.EMULATOR) -> None:
    """Power for the emulated board, with the image that was flashed last.

    Raises:
        TBNError: it was never flashed, or somebody else has it.
    """
    image = image_of(place)
    if image is None:
        raise TBNError(
            f"the emulated {place.board.title} has no firmware of {place.run.id} yet",
            f"flash it: tbn flash {place.run.id} --board {place.board.name} --port {port}",
        )
    with ports.held(port_lock(place, port), port):
        emulator.start(place.board.name, image, place.emulator_state, emulator.port_number(port))


def has_power(place: Place) -> bool:
    """Whether the emulated board was switched on and did not leave by itself."""
    return "url" in emulator.read_state(place.emulator_state)


def image_of(place: Place) -> Path | None:
    """The image in the emulated board's flash memory, or None where it was never flashed."""
    image = place.emulator_state.with_suffix(".elf")
    return image if image.is_file() else None
