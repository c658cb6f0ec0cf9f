"""What a network may take: bytes, and on a board RAM and instructions, which are found out by a throw-away export."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tbn.errors import TBNError

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

    def room(self, goal: Goal, found: Table, say: Callable[[str], None]) -> tuple[float, float | None] | None:
        """(bytes, MACs) that this width may take; None where no factors make it fit."""
        limit, macs = float(self.most_bytes), None
        if self.board:
            layers = found.uniform(4)
            told = probe(goal, found, layers, self)
            if told["ram_left"] < 0:
                say(f"{dict(found.model_args)} takes {-told['ram_left']:,} bytes of RAM too much")
                return None
            limit = min(limit, found.bytes(layers) + told["flash_left"])
            if self.instructions:
                macs = self.instructions * found.macs(layers) / max(1.0, told["instructions"])
        return (limit, macs) if found.smallest <= limit else None

    def allows(self, goal: Goal, found: Table, layers: Mapping[str, int]) -> bool:
        """Whether a choice really fits: bytes by the sum, the rest by an export."""
        if found.bytes(layers) > self.most_bytes:
            return False
        if not self.board:
            return True
        told = probe(goal, found, layers, self)
        return bool(
            told["ram_left"] >= 0
            and told["flash_left"] >= 0
            and told["instructions"] <= (self.instructions or float("inf"))
        )

    def too_tight(self) -> TBNError:
        """The error of limits that no candidate meets."""
        said = {
            "bytes": self.bytes,
            "board": self.board,
            "RAM bytes": self.ram_bytes,
            "instructions": self.instructions,
        }
        told = ", ".join(f"{name} {value}" for name, value in said.items() if value)
        return TBNError(f"no network meets all limits: {told}", "loosen one of them, or offer smaller widths")


def probe(goal: Goal, found: Table, layers: Mapping[str, int], limits: Limits) -> dict[str, Any]:
    """What a network would take on the board: flash_left and ram_left in bytes (negative: too much), instructions (0: not asked for).

    The network is trained for a moment only: sizes and instructions do not depend on how good it is.
    """
    from tbn.boards import fitting, get_board
    from tbn.evaluate import evaluate
    from tbn.export.run import export_run
    from tbn.train import fit

    assert limits.board is not None
    with tempfile.TemporaryDirectory() as folder:
        run = fit(goal.config(found.model_args, layers, epochs=1, limit=SAMPLES), folder=Path(folder) / "probe")
        fit_ = fitting.fit(export_run(run), get_board(limits.board), {})
        ram_left = fit_.ram_left
        if limits.ram_bytes:
            ram_left = min(ram_left, limits.ram_bytes - fit_.ram_bytes)
        counted = 0.0
        if limits.instructions:
            counted = float(evaluate(run.path, "board", board=limits.board, limit=1).instructions or 0)
        return {"flash_left": fit_.flash_left, "ram_left": ram_left, "instructions": counted}
