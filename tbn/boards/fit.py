"""Does the image fit? Predicted before it is built, checked when it is linked. Flash and RAM both count: PlatformIO itself only warns about RAM."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from tbn import memory
from tbn.boards.catalogue import Board
from tbn.boards.errors import SMALLER
from tbn.code_sizes import code_sizes
from tbn.errors import TBNError
from tbn.export.report import ExportReport


@dataclass(frozen=True)
class Sizes:
    """Bytes of an image: flash (code, constants, initial values) and RAM (data and buffers, without stack)."""

    flash_bytes: int
    ram_bytes: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def sizes_of(elf: Path) -> Sizes:
    """Sum of the sections that lie in the board's memory; initialised data counts in both."""
    flash = ram = 0
    try:
        with elf.open("rb") as file:
            for section in ELFFile(file).iter_sections():
                if section["sh_flags"] & SH_FLAGS.SHF_ALLOC:
                    flash += section["sh_size"] if section["sh_type"] != "SHT_NOBITS" else 0
                    ram += section["sh_size"] if section["sh_flags"] & SH_FLAGS.SHF_WRITE else 0
    except (OSError, ELFError) as error:
        raise TBNError(f"cannot read the image {elf}: {error}", "build it again") from error
    return Sizes(flash, ram)


def check_fit(sizes: Sizes, board: Board) -> str:
    """One line that says how it fits; raises TBNError where it does not."""
    if sizes.flash_bytes > board.flash_bytes:
        raise TBNError(
            f"the firmware takes {sizes.flash_bytes:,} bytes of flash and {board.title} has {board.flash_bytes:,}",
            SMALLER,
        )
    needed = sizes.ram_bytes + board.stack_reserve_bytes
    if needed > board.ram_bytes:
        raise TBNError(
            f"the firmware takes {sizes.ram_bytes:,} bytes of RAM, with {board.stack_reserve_bytes:,} for the stack more than the"
            f" {board.ram_bytes:,} of {board.title}",
            "use a model with smaller layers, or choose another board",
        )
    return (
        f"flash {sizes.flash_bytes:,} of {board.flash_bytes:,} bytes ({sizes.flash_bytes / board.flash_bytes:.1%}),"
        f" RAM {sizes.ram_bytes:,} of {board.ram_bytes:,} ({sizes.ram_bytes / board.ram_bytes:.1%})"
    )


def predict(report: ExportReport, board: Board, emulated: bool) -> Sizes | None:
    """The sizes of an image that is not built yet, or None where the board's code was never measured (an image with a registry's framework)."""
    code = code_sizes(board.emulator_environment, report.precision) if emulated else None
    if code is None:
        return None
    try:
        total = memory.totals(memory.predicted(report, code))
    except TBNError:  # the stored sizes are older than the runtime
        return None
    return Sizes(total["flash"], total["ram"])


def check_weights(weight_bytes: int, board: Board) -> None:
    """Before anything is compiled: do the weights alone fit into the flash?"""
    if weight_bytes > board.flash_bytes:
        raise TBNError(
            f"the weights alone take {weight_bytes:,} bytes and the flash of {board.title} has {board.flash_bytes:,}",
            SMALLER,
        )
