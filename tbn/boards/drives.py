"""Boards that show themselves as a USB drive: which are mounted, which is a board's own, which one a flash may use. Never guesses.

A drive is recognised by its info file: DETAILS.TXT or MBED.HTM (ST-LINK of the Nucleo, takes .bin), DETAILS.TXT (DAPLink of the micro:bit,
.hex), INFO_UF2.TXT (boot loader of the Pico, .uf2). ``tbn.boards.dropping`` copies an image there.
"""

import contextlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tbn.errors import TBNError

if TYPE_CHECKING:
    from tbn.boards.catalogue import Board

AUTO = "auto"
FAT = (
    "vfat",
    "msdos",
    "exfat",
    "fuseblk",
)  # what such drives are mounted as on Linux; network folders are never touched
REMOVABLE = 2  # DRIVE_REMOVABLE of Windows
INFO_BYTES = 4096


@dataclass(frozen=True)
class DriveKind:
    """What a board's drive looks like and takes.

    Attributes:
        image: kind of file that it takes: "bin", "hex" or "uf2".
        files: info files, one of which is on the drive.
        pattern: regular expression for the text of one of them; tells the board from others with such a drive.
        label: name of the volume; enough together with an info file whose text is of a version that ``pattern`` does not know.
    """

    image: str
    files: tuple[str, ...]
    pattern: str
    label: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", tuple(self.files))
        re.compile(self.pattern)
        if self.image not in ("bin", "hex", "uf2"):
            raise ValueError(f"image={self.image!r} is none of bin, hex, uf2")

    @property
    def vanishes(self) -> bool:
        """Whether the drive is gone once the board has the image."""
        return self.image == "uf2"


@dataclass(frozen=True)
class Drive:
    """A drive that is mounted; ``identity`` is the same after it was mounted again, perhaps elsewhere."""

    path: Path
    kind: DriveKind
    identity: str

    def entries(self) -> dict[str, Path]:
        """Files by upper-case name; none when the drive is gone."""
        return _entries(self.path)

    def text(self, name: str) -> str | None:
        """The text of a small file, or None where there is none."""
        path = self.entries().get(name)
        return None if path is None else _text(path)


def mounted() -> list[Path]:
    """Folders that removable drives of this computer are mounted at."""
    if sys.platform == "darwin":
        return sorted(_entries(Path("/Volumes")).values())
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.windll.kernel32
        letters = [f"{chr(65 + bit)}:\\" for bit in range(26) if kernel.GetLogicalDrives() >> bit & 1]
        return [Path(letter) for letter in letters if kernel.GetDriveTypeW(letter) == REMOVABLE]
    with contextlib.suppress(OSError):
        return mounts_of(Path("/proc/self/mounts").read_text(errors="replace"))
    return []


def mounts_of(table: str) -> list[Path]:
    """The folders of FAT file systems in a Linux mount table, where a space is written \\040."""
    lines = [line.split() for line in table.splitlines()]
    folders = [words[1] for words in lines if len(words) > 2 and words[2] in FAT]
    return [Path(re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), folder)) for folder in folders]


def look(path: Path, kind: DriveKind) -> Drive | None:
    """The drive at a folder, if it is one of this kind."""
    there = _entries(path)
    for name in kind.files:
        text = _text(there[name.upper()]) if name.upper() in there else None
        if text is None:
            continue
        found = re.search(kind.pattern, text, re.IGNORECASE)
        if found or (kind.label and path.name.upper().startswith(kind.label.upper())):
            own = re.search(r"Unique ID:\s*(\S+)|code=(\w+)", text)
            return Drive(path, kind, own[0] if own else found[0] if found else text)
    return None


def find(kind: DriveKind, folders: Iterable[Path] | None = None) -> list[Drive]:
    """All drives of a kind among ``folders`` (None: those that are mounted)."""
    found = (look(folder, kind) for folder in (mounted() if folders is None else folders))
    return [drive for drive in found if drive is not None]


def choose(board: "Board", asked: str | None = None, folders: Iterable[Path] | None = None) -> Drive:
    """The drive to use: the folder asked for if it is the board's, else (None, "auto") the only one that is mounted.

    Raises:
        TBNError: the board has no drive, none or several are there, or the folder is something else.
    """
    kind = board.drive
    if kind is None:
        raise TBNError(f"{board.title} does not show itself as a drive", "flash it over its serial port: --port PORT")
    if asked not in (None, AUTO):
        drive = look(Path(str(asked)), kind)
        if drive is not None:
            return drive
        missing = (
            f"{asked} is not there" if not Path(str(asked)).is_dir() else f"{asked} is no drive of a {board.title}"
        )
        raise TBNError(f"{missing} (its info file is {' or '.join(kind.files)})", not_there(board))
    found = find(kind, folders)
    if len(found) == 1:
        return found[0]
    if found:
        choices = " or ".join(f'--drive "{drive.path}"' for drive in found)
        raise TBNError(f"several drives of {board.title} are mounted", f"choose one: {choices}")
    raise TBNError(f"no drive of a {board.title} is mounted", not_there(board))


def not_there(board: "Board", system: str = sys.platform) -> str:
    """What to do when a drive is not there, by operating system."""
    kind = board.drive
    label = kind.label if kind is not None else ""
    how = "hold BOOTSEL while plugging it in" if kind is not None and kind.vanishes else "plug it in with a data cable"
    if system == "darwin":
        return f"{how}; it appears in Finder as {label}, at /Volumes/{label}"
    if system == "win32":
        return f"{how}; it appears in Explorer as {label}. Then name it: --drive D:\\"
    device = f"/dev/disk/by-label/{label}"
    if label and Path(device).exists():
        return f"it is plugged in but not mounted: udisksctl mount -b {device}"
    return f"{how}; if the desktop does not mount it: udisksctl mount -b {device}"


def _entries(folder: Path) -> dict[str, Path]:
    with contextlib.suppress(OSError):
        return {entry.name.upper(): Path(entry.path) for entry in _scan(folder)}
    return {}


def _scan(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from entries


def _text(path: Path) -> str | None:
    with contextlib.suppress(OSError), path.open("rb") as file:
        return file.read(INFO_BYTES).decode("latin-1")
    return None
