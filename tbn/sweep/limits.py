"""What a network may take: bytes, and on a board RAM and instructions, which are found out by a throw-away export."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tbn.errors import TBNError
from tbn.sweep.factors import FACTORS

if TYPE_CHECKING:
    from tbn.sweep.factors import Table
    from tbn.sweep.goal import Goal

ANY_BYTES = 10**15
SAMPLES = 64  # that the throw-away network sees


@dataclass(frozen=True)
class Limits:
    """The budget. Checked when it is made.

    Attributes:
        bytes: of the tensors in the packed file, biases and norms included.
        board: whose flash and RAM the firmware has to fit.
        ram_bytes, instructions: less than the board has; instructions of one inference, counted on its emulator.
    """

    bytes: int | None = None
    board: str | None = None
    ram_bytes: int | None = None
    instructions: int | None = None

    def __post_init__(self) -> None:
        if not any((self.bytes, self.board)):
            raise TBNError("there is no budget", "say --budget 3200B, --board microbit, or both")
        if (self.ram_bytes or self.instructions) and not self.board:
            raise TBNError("RAM and instructions are those of a board", "name it: --board microbit")
        if self.board:
            from tbn.boards import get_board

            found = get_board(self.board)
            if self.instructions and not found.emulated:
                raise TBNError(f"board {self.board!r} has no emulator to count instructions on", "choose another board")

    @property
    def most_bytes(self) -> int:
        """No network may take more."""
        return self.bytes or ANY_BYTES


@dataclass(frozen=True)
class Taken:
    """What a network takes of a board: bytes of flash and of RAM (without the stack), each with the limit, instructions of one inference (0: not
    counted)."""

    flash_bytes: int
    flash_limit: int
    ram_bytes: int
    ram_limit: int
    instructions: int

    @property
    def flash_left(self) -> int:
        return self.flash_limit - self.flash_bytes

    @property
    def ram_left(self) -> int:
        return self.ram_limit - self.ram_bytes


class Judge:
    """Says which networks are within the limits of a goal; what a board was asked once is remembered."""

    def __init__(self, goal: Goal) -> None:
        self.goal, self.limits = goal, goal.limits
        self.asked: dict[str, Taken] = {}

    def taken(self, found: Table, layers: Mapping[str, int]) -> Taken | None:
        """What a network takes of the board; None where there is no board."""
        if not self.limits.board:
            return None
        key = repr((found.model_args, sorted(layers.items())))
        if key not in self.asked:
            self.asked[key] = probe(self.goal, found, layers)
        return self.asked[key]

    def room(self, found: Table, say: Callable[[str], None]) -> tuple[float, float | None] | None:
        """(bytes, MACs) that this width may take; None where no factors make it fit."""
        limit, macs, layers = float(self.limits.most_bytes), None, found.uniform(4)
        if told := self.taken(found, layers):
            if told.ram_left < 0:
                say(f"{dict(found.model_args)} takes {-told.ram_left:,} bytes of RAM too much")
                return None
            limit = min(limit, found.bytes(layers) + told.flash_left)
            if self.limits.instructions:
                macs = self.limits.instructions * found.macs(layers) / max(1, told.instructions)
        return (limit, macs) if found.smallest <= limit else None

    def allows(self, found: Table, layers: Mapping[str, int]) -> bool:
        """Whether a choice really fits: bytes by the sum, the rest by an export."""
        if found.bytes(layers) > self.limits.most_bytes:
            return False
        told = self.taken(found, layers)
        most = self.limits.instructions or float("inf")
        return told is None or (told.ram_left >= 0 and told.flash_left >= 0 and told.instructions <= most)

    def too_tight(self, tables: Sequence[Table]) -> TBNError:
        """The error of limits that no candidate meets; it says the least that any width takes, with the largest factors."""
        wanted = {
            "bytes": self.limits.bytes, "board": self.limits.board, "RAM bytes": self.limits.ram_bytes,
            "instructions": self.limits.instructions,
        }  # fmt: skip
        limits = ", ".join(
            f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}"
            for name, value in wanted.items()
            if value
        )
        told = [taken for found in tables if (taken := self.taken(found, found.uniform(FACTORS[-1])))]
        least = [
            f"{min(taken.flash_bytes for taken in told):,} bytes of flash of {told[0].flash_limit:,}",
            f"{min(taken.ram_bytes for taken in told):,} bytes of RAM of {told[0].ram_limit:,}",
        ]
        if self.limits.instructions:
            least.append(f"{min(taken.instructions for taken in told):,} instructions")
        return TBNError(
            f"no network meets all limits: {limits}; the smallest possible: {', '.join(least)}",
            "allow as much, or offer smaller widths",
        )


def probe(goal: Goal, found: Table, layers: Mapping[str, int]) -> Taken:
    """What a network would take of the goal's board.

    The network is trained for a moment only: sizes and instructions do not depend on how good it is.
    """
    from tbn.boards import fitting, get_board
    from tbn.evaluate import evaluate
    from tbn.export.run import export_run
    from tbn.train import fit

    limits = goal.limits
    assert limits.board is not None
    with tempfile.TemporaryDirectory() as folder:
        run = fit(goal.config(found.model_args, layers, epochs=1, limit=SAMPLES), folder=Path(folder) / "probe")
        told = fitting.fit(export_run(run), get_board(limits.board), {})
        counted = 0
        if limits.instructions:
            counted = int(evaluate(run.path, "board", board=limits.board, limit=1).instructions or 0)
        ram_limit = told.ram_limit_bytes - told.stack_bytes
        return Taken(
            told.flash_bytes,
            told.flash_limit_bytes,
            told.ram_bytes,
            min(ram_limit, limits.ram_bytes or ram_limit),
            counted,
        )
