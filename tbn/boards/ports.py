"""Serial ports: which are there, which board sits on each, and which one a flash may use. Never guesses."""

import os
import re
import sys
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tbn.boards.catalogue import Board, list_boards
from tbn.errors import TBNError
from tbn.locks import owned

EMULATOR = "emulator"


@dataclass(frozen=True)
class Port:
    """A serial port of this computer; ``boards`` are the boards with its VID:PID (several where the chip is a common adapter)."""

    device: str
    description: str
    usb_id: str
    serial_number: str
    boards: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def list_ports() -> tuple[Port, ...]:
    """The USB serial ports; a motherboard's own UART has no VID:PID and is left out."""
    from serial.tools.list_ports import comports

    found = []
    for port in comports():
        if port.vid is None:
            continue
        usb_id = f"{port.vid:04X}:{port.pid:04X}"
        boards = tuple(board.name for board in list_boards() if usb_id in board.usb)
        found.append(Port(port.device, port.description or "", usb_id, port.serial_number or "", boards))
    return tuple(found)


def is_emulator(port: str | None) -> bool:
    """Whether this names the emulated board: "emulator", or "emulator:7611" for a fixed TCP port."""
    return port is not None and port.partition(":")[0] == EMULATOR


def choose(board: Board, port: str | None) -> str:
    """The port to use for ``board``: the one asked for if it is there, else the only one whose VID:PID is the board's."""
    if is_emulator(port):
        if not board.emulated:
            others = ", ".join(other.name for other in list_boards() if other.emulated)
            raise TBNError(
                f"there is no emulated {board.name}", f"name a serial port, or use an emulated board: {others}"
            )
        return str(port)
    ports = list_ports()
    if port is not None:
        return _checked(board, port, ports)
    matching = [
        found for found in ports if board.name in found.boards and (not board.adapter or _numbered(board, found))
    ]
    if len(matching) == 1:
        return matching[0].device
    hint = " or --port emulator" if board.emulated else ""
    if matching:
        choices = " or ".join(
            f"--port {p.device}" + f" (serial number {p.serial_number})" * bool(p.serial_number) for p in matching
        )
        raise TBNError(f"several {board.title} are connected", f"choose one: {choices}")
    seen = ", ".join(f"{found.device} ({found.usb_id})" for found in ports) or "none"
    own = [found for found in ports if board.name in found.boards]
    if own:  # an adapter's chip does not tell which board hangs on it
        choices = " or ".join(f"--port {found.device}" for found in own)
        raise TBNError(
            f"{own[0].device} may be the {board.title}, but its USB chip sits on many boards",
            f"say so: {choices}{hint}",
        )
    raise TBNError(
        f"no {board.title} is connected (USB serial ports: {seen})", f"{not_there(board)}, or choose --port PORT{hint}"
    )


def _numbered(board: Board, port: Port) -> bool:
    """Whether the port's serial number is one of this board's: a programmer's is what its drive calls Unique ID."""
    return board.drive is not None and re.search(board.drive.pattern, f"Unique ID: {port.serial_number}") is not None


def not_there(board: Board, system: str = sys.platform) -> str:
    """What to do when a board's port is not there, by operating system."""
    plug = "plug it in with a data cable (many only charge)"
    usb = board.usb[0] if board.usb else ""
    if not usb:
        return f"connect a USB serial adapter to the serial pins of {board.title}, and name its port"
    if system == "darwin":
        return f"{plug}; it should appear as /dev/cu.usb*, and as {usb} in System Information, USB"
    if system == "win32":
        name = usb.replace(":", "&PID_")
        return f"{plug}; it should appear in the Device Manager as a COM port (VID_{name}); one with a warning sign wants its driver"
    return f"{plug}; lsusb -d {usb.lower()} should list it, and sudo dmesg should name its port"


def _checked(board: Board, port: str, ports: tuple[Port, ...]) -> str:
    known = {found.device: found for found in ports}
    if port not in known and not Path(port).exists() and not (os.name == "nt" and port.upper() in known):
        there = ", ".join(known) or "none"
        fix = "plug the board in" + (", or use --port emulator" if board.emulated else "")
        raise TBNError(f"the port {port} does not exist (USB serial ports: {there})", fix)
    found = known.get(port)
    others = [other for other in list_boards() if found and found.usb_id in other.usb]
    if others and board not in others and not any(other.adapter for other in others):
        raise TBNError(
            f"the board on {port} is {others[0].title}, not {board.title}",
            f"use --board {others[0].name}, or another port",
        )
    return port


def held(lock: Path, port: str) -> AbstractContextManager[None]:
    """Own a port for a while; a second owner is refused at once."""
    busy = TBNError(
        f"the port {port} is in use by another flash or evaluation, or by the console of a Device page",
        "wait until it has ended, cancel it, or disconnect the console",
    )
    return owned(lock, busy)


def lock_name(port: str) -> str:
    """A file name for the port's lock."""
    return re.sub(r"\W+", "_", os.path.realpath(port)).strip("_") + ".lock"
