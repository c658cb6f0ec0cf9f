"""The emulated board as a process: a serial port at socket://127.0.0.1:PORT with a `Machine` (or `AvrMachine`) behind it.

    python -m tbn.boards.emulator flash --board nucleo_f411re --port emulator --state FILE firmware.elf

``flash`` is the upload command of the emulated PlatformIO environments. It copies the image beside the state file (the "flash memory"),
starts a detached process and returns when the port can be opened. The core is held in reset while no client is connected, and opening the
port again resets it, as on boards whose DTR line is wired to reset. A board stops by itself when its state file is gone or names another
process (so flashing again replaces it), and after ``IDLE_SECONDS`` without a client.
"""

import argparse
import json
import os
import secrets
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tbn.boards.catalogue import get_board, list_boards
from tbn.errors import TBNError

if TYPE_CHECKING:
    from tbn.boards.machine import Line, Machine
    from tbn.boards.simavr import AvrMachine

IDLE_SECONDS = 300.0
START_SECONDS = 20.0
LOOK_SECONDS = 0.5  # how often a waiting board looks at its state file


class Unplugged(Exception):
    """The client left, or a new one opened the port."""


class Retired(Exception):
    """The state file no longer names this process, or nobody came for a long time."""


class TcpLine:
    """Serial port as a TCP server; the ``Line`` of a Machine. One client at a time, a new one takes over."""

    def __init__(self, port: int, state: Path, token: str, idle_seconds: float) -> None:
        self.state, self.token, self.idle_seconds = state, token, idle_seconds
        self.listener = _listen(port)
        self.port = self.listener.getsockname()[1]
        self.client: socket.socket | None = None

    def wait_for_client(self) -> None:
        until = time.monotonic() + self.idle_seconds
        while not select.select([self.listener], [], [], LOOK_SECONDS)[0]:
            self._look(until)
        self._look()
        self.client = self.listener.accept()[0]
        self.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def receive(self, seconds: float) -> bytes:
        data = self._poll(seconds)
        if not data:
            self._look()
        return data

    def send(self, data: bytes) -> None:
        assert self.client is not None
        try:
            self.client.sendall(data)
        except OSError:
            raise Unplugged from None

    def check(self) -> None:
        """While the firmware computes: has the client gone, or this board been replaced?"""
        assert self.client is not None
        if select.select([self.listener], [], [], 0)[0]:
            raise Unplugged
        if select.select([self.client], [], [], 0)[0] and not self.client.recv(1, socket.MSG_PEEK):
            raise Unplugged
        self._look()

    def hang_up(self) -> None:
        if self.client is not None:
            self.client.close()
            self.client = None

    def _poll(self, seconds: float) -> bytes:
        assert self.client is not None
        ready = select.select([self.client, self.listener], [], [], seconds)[0]
        if self.listener in ready:
            raise Unplugged
        if self.client not in ready:
            return b""
        try:
            data = self.client.recv(65536)
        except OSError:
            data = b""
        if not data:
            raise Unplugged
        return data

    def _look(self, until: float = float("inf")) -> None:
        if read_state(self.state).get("token") != self.token:
            raise Retired
        if time.monotonic() > until:
            self.state.unlink(missing_ok=True)
            raise Retired


def _listen(port: int) -> socket.socket:
    """A fixed port may still be held by the board that this one replaces: it leaves within LOOK_SECONDS."""
    until = time.monotonic() + 5 * LOOK_SECONDS
    while True:
        try:
            return socket.create_server(("127.0.0.1", port))
        except OSError:
            if port == 0 or time.monotonic() > until:
                raise
            time.sleep(0.1)


def serve(board: str, elf: Path, port: int, state: Path, token: str, idle_seconds: float) -> None:
    """Be the board until retired."""
    from tbn.boards.machine import Fault, read_elf

    image = read_elf(elf)
    line = TcpLine(port, state, token, idle_seconds)
    write_state(state, {"token": token, "pid": os.getpid(), "board": board, "url": f"socket://127.0.0.1:{line.port}"})
    try:
        while True:
            line.wait_for_client()
            try:
                power_on(board, image, line).run()
            except Unplugged:
                pass
            except Fault as fault:
                print(fault, file=sys.stderr, flush=True)
            line.hang_up()
    except Retired:
        pass


def power_on(board: str, image: bytes, line: "Line") -> "Machine | AvrMachine":
    """The emulator that knows this board, with the image in its flash."""
    if get_board(board).core == "avr":
        from tbn.boards.simavr import AvrMachine

        return AvrMachine(board, image, line)
    from tbn.boards.machine import Machine

    return Machine(board, image, line)


def start(board: str, elf: Path, state: Path, port: int = 0, idle_seconds: float = IDLE_SECONDS) -> str:
    """Put ``elf`` into the emulated board whose state file is ``state``, power it on, and return its url."""
    from tbn.boards import machine, simavr

    if not get_board(board).emulated:
        emulated = ", ".join(other.name for other in list_boards() if other.emulated)
        raise TBNError(f"there is no emulated {board}", f"emulated boards: {emulated}")
    if get_board(board).core == "avr":
        simavr.program()  # compiles it once, and says what is missing
    machine.read_elf(elf)
    state.parent.mkdir(parents=True, exist_ok=True)
    memory = state.with_suffix(".elf")
    if elf != memory:
        shutil.copyfile(elf, memory.with_suffix(".new"))
        memory.with_suffix(".new").replace(memory)
    token = secrets.token_hex(8)
    argv = [sys.executable, "-m", "tbn.boards.emulator", "serve", "--board", board, "--port", str(port), "--state", str(state),
            "--token", token, "--idle", str(idle_seconds), str(memory)]  # fmt: skip
    with state.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        found = read_state(state)
        if found.get("token") == token:
            threading.Thread(target=process.wait, daemon=True).start()  # reaps it if it leaves before us
            return str(found["url"])
        if process.poll() is not None:
            reason = state.with_suffix(".log").read_text().strip().splitlines()[-1:]
            raise TBNError(f"the emulated board did not start: {' '.join(reason)}", f"see {state.with_suffix('.log')}")
        time.sleep(0.01)
    process.kill()
    process.wait()
    raise TBNError(
        f"the emulated board did not open its port within {START_SECONDS:.0f} s", f"see {state.with_suffix('.log')}"
    )


def stop(state: Path) -> None:
    """Power the board off; it leaves within LOOK_SECONDS."""
    state.unlink(missing_ok=True)


def read_state(state: Path) -> dict[str, object]:
    """What the running board wrote; empty where there is none."""
    try:
        found = json.loads(state.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_state(state: Path, content: dict[str, object]) -> None:
    """Replace the state file whole: from now on the board that it names is the one."""
    temporary = state.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(content))
    temporary.replace(state)


def port_number(port: str) -> int:
    """TCP port of "emulator" (any free one: 0) or "emulator:7611"."""
    name, _, number = port.partition(":")
    if name != "emulator" or (number and not (number.isdecimal() and int(number) < 65536)):
        raise TBNError(
            f"{port!r} is not an emulated board", "use the port emulator, or emulator:7611 for a fixed TCP port"
        )
    return int(number or 0)


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(prog="python -m tbn.boards.emulator")
    parser.add_argument("command", choices=["flash", "serve", "stop"])
    parser.add_argument("elf", nargs="?", type=Path)
    parser.add_argument("--board", default="nucleo_f411re")
    parser.add_argument("--port", default="emulator")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--token", default="")
    parser.add_argument("--idle", type=float, default=IDLE_SECONDS)
    given = parser.parse_intermixed_args()
    try:
        if given.command == "stop":
            stop(given.state)
        elif given.elf is None:
            parser.error("which image?")
        elif given.command == "serve":
            serve(given.board, given.elf, int(given.port), given.state, given.token, given.idle)
        else:
            url = start(given.board, given.elf, given.state, port_number(given.port), given.idle)
            print(f"Emulated board {given.board} is at {url}")
    except (TBNError, OSError) as error:
        raise SystemExit(f"Error: {error}") from None


if __name__ == "__main__":
    main()
