"""The boards we know, from boards.toml."""

import difflib
import tomllib
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tbn.boards.drives import DriveKind
from tbn.errors import TBNError


@dataclass(frozen=True)
class Board:
    """A board. Sizes in bytes.

    Attributes:
        core: of the processor: "cortex-m4f", "cortex-m0", "cortex-m0plus", "avr", "xtensa-lx6", "xtensa-lx7".
        environment: PlatformIO environment of the real board.
        emulator_environment: that of the emulated one, or "".
        platform: development platform of the registry that ``environment`` needs.
        usb: VID:PID pairs of its serial port, upper case.
        adapter: the USB chip is one that many boards use.
        drive: the USB drive that the board shows, or None.
    """

    name: str
    title: str
    mcu: str
    core: str
    cpu: str
    flash_bytes: int
    ram_bytes: int
    stack_reserve_bytes: int
    environment: str
    platform: str
    emulator_environment: str = ""
    usb: tuple[str, ...] = ()
    adapter: bool = False
    drive: DriveKind | None = None

    @property
    def emulated(self) -> bool:
        """Whether there is an emulated one."""
        return bool(self.emulator_environment)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"emulated": self.emulated}


@cache
def list_boards() -> tuple[Board, ...]:
    """All boards, emulated ones first."""
    with Path(__file__).with_name("boards.toml").open("rb") as file:
        entries = tomllib.load(file)
    boards = [_board(name, entry) for name, entry in entries.items()]
    return tuple(sorted(boards, key=lambda board: not board.emulated))


def _board(name: str, entry: dict[str, Any]) -> Board:
    drive = DriveKind(**entry["drive"]) if "drive" in entry else None
    return Board(name=name, **entry | {"usb": tuple(entry["usb"]), "drive": drive})


def get_board(name: str) -> Board:
    """A board by name; an unknown one is an error that names the nearest."""
    known = {board.name: board for board in list_boards()}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.4)
    raise TBNError(
        f"unknown board {name!r}",
        f"{'did you mean ' + ' or '.join(near) + '? ' if near else ''}boards: {', '.join(known)}",
    )
