"""What the fixture ``flashed`` is."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from tbn.boards import FlashReport


@dataclass(frozen=True)
class Flashed:
    """A run on the emulated board: its report, the steps as they were told, and where its firmware lies."""

    run: Path
    report: FlashReport
    events: list[tuple[str, str, str]]

    @property
    def folder(self) -> Path:
        return self.run / "firmware" / "nucleo_f411re"

    @property
    def state(self) -> Path:
        return self.folder / "pio" / "emulator.json"


def copy_of(run: Path, folder: Path) -> Path:
    """The run in a folder of its own, without firmware: other tests may have flashed the shared one."""
    return Path(shutil.copytree(run, folder / run.name, ignore=shutil.ignore_patterns("firmware")))
