"""The same image on other emulators: do they give the same answers and count the same instructions?

    python -m tbn.boards.crosscheck --board pico firmware.elf

labwired (pip install labwired) models whole chips, interrupts too, and counts an instruction as a cycle. QEMU (apt-get install
qemu-system-arm) has the micro:bit v1 and a sibling of the Nucleo; it counts time, from which instructions follow on the micro:bit.
"""

import argparse
import importlib.util
import json
import os
import random
import select
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tbn.boards import device
from tbn.boards.chips import MODELS
from tbn.boards.frames import Decoder, encode
from tbn.boards.labwired_board import LABWIRED, power_on
from tbn.boards.machine import Machine
from tbn.errors import TBNError

QEMU = {
    "nucleo_f411re": ["-M", "netduinoplus2", "-serial", "null", "-icount", "shift=0,sleep=off"],
    "microbit": ["-M", "microbit", "-icount", "shift=6,sleep=off"],
}
LIMIT_SECONDS, AGAIN_SECONDS = 120.0, 2.0
# ticks of the board's counter for an instruction: QEMU's shift=6 is 64 ns, and its sibling of the Nucleo has no cycle counter
TICKS_PER_INSTRUCTION = {("qemu", "microbit"): 64e-9 * 16e6, ("qemu", "nucleo_f411re"): None}
Request = tuple[int, bytes]


@dataclass(frozen=True)
class Answers:
    """What an image said on one emulator.

    Attributes:
        outputs: of each input, hexadecimal.
        instructions: of each inference; empty where the emulator does not count them.
        crc: of the self-test.
    """

    emulator: str
    board: str
    model_hash: str
    outputs: tuple[str, ...]
    instructions: tuple[int, ...]
    crc: int


class Conversation:
    """A line that asks one request after the other, as the other end of an emulated board."""

    def __init__(self, requests: list[Request]) -> None:
        self.requests, self.payloads = requests, [b""] * 0
        self.decoder = Decoder()

    @property
    def done(self) -> bool:
        return len(self.payloads) == len(self.requests)

    def next_request(self) -> bytes:
        """The frame that the board has not answered yet."""
        kind, payload = self.requests[len(self.payloads)]
        return encode(kind, len(self.payloads), payload)

    def heard(self, data: bytes) -> bool:
        """Whether these bytes complete a reply.

        Raises:
            TBNError: it is none to this request.
        """
        for frame in self.decoder.feed(data):
            wanted = self.requests[len(self.payloads)][0] | device.REPLY
            if frame.sequence != len(self.payloads):
                continue  # an answer to a request that was sent twice
            if frame.kind != wanted:
                raise TBNError(
                    f"reply {frame.kind:#04x} instead of {wanted:#04x}", "look at the firmware's last change"
                )
            self.payloads.append(frame.payload)
            return True
        return False


class Finished(Exception):
    """All requests are answered."""


class Unicorn(Conversation):
    """The other end of a ``Machine``."""

    asked = -1

    def receive(self, seconds: float) -> bytes:
        if self.done:
            raise Finished
        if self.asked == len(self.payloads):
            raise TBNError("the board does not answer", "look at the firmware's last change")
        self.asked = len(self.payloads)
        return self.next_request()

    def send(self, data: bytes) -> None:
        self.heard(data)

    def check(self) -> None:
        pass


def on_unicorn(board: str, elf: bytes, requests: list[Request]) -> list[bytes]:
    """Payloads of the replies."""
    line = Unicorn(requests)
    with suppress(Finished):
        Machine(board, elf, line).run()
    return line.payloads


def on_labwired(board: str, elf: bytes, requests: list[Request]) -> list[bytes]:
    """The same, on labwired."""
    with tempfile.TemporaryDirectory(prefix="tbn-labwired-") as name, power_on(board, elf, Path(name)) as sim:

        def step() -> bytes:
            sim.run_for("2ms")
            return bytes(sim.read_uart_bytes())

        return _ask(Conversation(requests), sim.send_bytes, step)


def on_qemu(board: str, elf: bytes, requests: list[Request]) -> list[bytes]:
    """The same, on QEMU; its serial port is a pair of pipes."""
    with tempfile.TemporaryDirectory(prefix="tbn-qemu-") as name:
        image = Path(name) / "firmware.elf"
        image.write_bytes(elf)
        argv = ["qemu-system-arm", *QEMU[board], "-serial", "stdio", "-display", "none", "-monitor", "none", "-kernel"]
        process = subprocess.Popen(
            [*argv, str(image)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdin is not None and process.stdout is not None
        out, into = process.stdout.fileno(), process.stdin.fileno()

        def send(data: bytes) -> None:
            os.write(into, data)

        def step() -> bytes:
            return os.read(out, 65536) if select.select([out], [], [], 0.05)[0] else b""

        try:
            return _ask(Conversation(requests), send, step)
        finally:
            process.kill()
            process.communicate()


def _ask(line: Conversation, send: Callable[[bytes], None], step: Callable[[], bytes]) -> list[bytes]:
    """All requests; one is sent again after a while, as a board that still starts does not hear it."""
    until = time.monotonic() + LIMIT_SECONDS
    step()  # out of reset
    while not line.done:
        send(line.next_request())
        again = time.monotonic() + AGAIN_SECONDS
        while not line.heard(step()):
            if time.monotonic() > until:
                raise TBNError(f"no answer within {LIMIT_SECONDS:g} s", "look at the firmware's last change")
            if time.monotonic() > again:
                break
    return line.payloads


EMULATORS: dict[str, Callable[[str, bytes, list[Request]], list[bytes]]] = {
    "unicorn": on_unicorn,
    "labwired": on_labwired,
    "qemu": on_qemu,
}


def emulators_of(board: str) -> list[str]:
    """The emulators that this computer has and that know the board; "unicorn" first."""
    found = ["unicorn"]
    if board in LABWIRED and importlib.util.find_spec("labwired") is not None:
        found.append("labwired")
    if board in QEMU and shutil.which("qemu-system-arm") is not None:
        found.append("qemu")
    return found


def ask(emulator: str, board: str, elf: bytes, inputs: int = 3, seed: int = 1) -> Answers:
    """Ask an image on one emulator what it is, ``inputs`` random inputs, and a self-test of as many."""
    info = device.read_info(EMULATORS["unicorn"](board, elf, [(device.INFO, b"")])[0])
    numbers = random.Random(seed)
    requests = [(device.INFO, b""), *((device.INFER, numbers.randbytes(info.input_bytes)) for _ in range(inputs))]
    replies = EMULATORS[emulator](board, elf, [*requests, (device.SELF_TEST, struct.pack("<II", seed, inputs))])
    found = device.read_info(replies[0])
    per_instruction = TICKS_PER_INSTRUCTION.get((emulator, board), 1.0)
    ticks = [struct.unpack_from("<I", reply)[0] for reply in replies[1:-1]] if per_instruction is not None else []
    return Answers(
        emulator,
        found.board,
        found.model_hash,
        tuple(reply[4:].hex() for reply in replies[1:-1]),
        tuple(round(count / (per_instruction or 1.0)) for count in ticks),
        struct.unpack_from("<I", replies[-1])[0],
    )


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(prog="python -m tbn.boards.crosscheck")
    parser.add_argument("elf", type=Path)
    parser.add_argument("--board", choices=list(MODELS), required=True)
    parser.add_argument("--inputs", type=int, default=3)
    given = parser.parse_args()
    elf = given.elf.read_bytes()
    for emulator in emulators_of(given.board):
        print(json.dumps(asdict(ask(emulator, given.board, elf, given.inputs))))


if __name__ == "__main__":
    main()
