"""Drop an image onto a board's USB drive, wait until the board has taken it, let it prove itself. No vendor tool is needed.

A programmer (ST-LINK, DAPLink) mounts its drive again when it is done and leaves FAIL.TXT there when it failed; a boot loader (UF2) starts the
program, and the drive is gone. An error at the very end of a copy can mean either that the cable was pulled or that the board was quick, so
the board itself has the last word: ``flash_drive`` takes a ``verify``.
"""

import contextlib
import errno
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from tbn.boards.drives import Drive, find, look, mounted
from tbn.boards.images import check_image
from tbn.boards.limits import within
from tbn.errors import TBNError
from tbn.export.run import cache_root
from tbn.locks import owned

FAILURES = ("FAIL.TXT", "ASSERT.TXT")
COPY_SECONDS, TAKE_SECONDS, RETURN_SECONDS, POLL_SECONDS = 120.0, 30.0, 10.0, 0.05
AGAIN = "plug the board in again, directly and with a data cable, then flash again"
T = TypeVar("T")


def flash_drive(
    drive: Drive, image: Path, verify: Callable[[], T], *, copy_seconds: float = COPY_SECONDS, take_seconds: float = TAKE_SECONDS,
    return_seconds: float = RETURN_SECONDS, folders: Callable[[], Iterable[Path]] = mounted,
) -> T:  # fmt: skip
    """Copy an image onto a drive, wait until the board has taken it, and return what ``verify`` returns.

    Args:
        image: a whole file of the drive's kind.
        verify: talks to the board; raises TBNError unless it runs the image.
        copy_seconds, take_seconds, return_seconds: limits for the copy, for the board to take it, for the drive to come back.
        folders: where the drive may come back.

    Raises:
        TBNError: the copy was cut off or took too long, the board refused the image, or ``verify`` does.
    """
    check_image(image, drive.kind.image)
    busy = TBNError(f"the drive {drive.path} is in use by another flash", "wait until it has ended, or cancel it")
    lock = re.sub(r"\W+", "_", drive.identity)[:100]
    with owned(cache_root() / "ports" / f"drive-{lock}.lock", busy):
        before = _complaint(drive)
        late = TBNError(f"the drive did not take the image within {copy_seconds:g} s", AGAIN)
        cut = within(copy_seconds, lambda: _copy(drive, image), late)
        now = _wait(drive, image.name, take_seconds, return_seconds, folders)
        said = None if now is None else _complaint(now)
        if said is not None and (said != before or now is not drive):
            raise TBNError(f"the board refused the image: {said}", _advice(said))
        if cut is None and now is drive and drive.kind.vanishes:
            raise TBNError(f"the board has not taken the image: {drive.path} is still there", AGAIN)
        try:
            return verify()
        except TBNError as error:
            if cut is None:
                raise
            raise TBNError(
                f"the copy onto {drive.path} was cut off ({cut}), and the board does not run it", AGAIN
            ) from error


def _copy(drive: Drive, image: Path) -> str | None:
    """Copy and flush; returns None, or what went wrong when all had been given to the system: perhaps the board was only quick.

    One file, written once and from its begin to its end: these drives are made up by a small program that wants no more.
    """
    target, data = drive.path / image.name.upper(), image.read_bytes()
    try:
        free = shutil.disk_usage(drive.path).free
        if len(data) > free:
            raise TBNError(
                f"the image has {len(data):,} bytes and {drive.path} has room for {free:,}", "is this the right board?"
            )
        file = target.open("wb", buffering=0)
    except OSError as error:
        raise TBNError(f"cannot write to {drive.path}: {error.strerror}", _write_advice(error)) from error
    sent = 0
    try:
        while sent < len(data):
            sent += file.write(data[sent : sent + (64 << 10)])
    except OSError as error:
        with contextlib.suppress(OSError):
            file.close()
        raise TBNError(
            f"the copy onto {drive.path} broke off after {sent:,} of {len(data):,} bytes: {error.strerror}", AGAIN
        ) from error
    try:
        os.fsync(file.fileno())
        file.close()
        if os.name != "nt":
            folder = os.open(drive.path, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            file.close()
        return error.strerror or str(error)
    return None


def _wait(
    drive: Drive, name: str, take_seconds: float, return_seconds: float, folders: Callable[[], Iterable[Path]]
) -> Drive | None:
    """Wait until the board has taken the file: the same ``drive`` if nothing changed, the new one if it was mounted again, None if it is gone."""
    started, gone_since = time.monotonic(), 0.0
    while (now := time.monotonic()) - started < take_seconds or gone_since:
        there = look(drive.path, drive.kind)
        if there is None or there.identity != drive.identity:
            if drive.kind.vanishes:
                return None
            gone_since = gone_since or now
            for again in find(drive.kind, folders()):
                if again.identity == drive.identity:
                    return again
            if now - gone_since > return_seconds:
                return None
        elif gone_since or (not drive.kind.vanishes and name.upper() not in there.entries()):
            return there  # the programmer made a new drive, without the file
        time.sleep(POLL_SECONDS)
    return drive


def _complaint(drive: Drive) -> str | None:
    """What the board says about its last image, where that failed."""
    for name in FAILURES:
        text = drive.text(name)
        if text is not None:
            return " ".join(text.split()) or name
    return None


def _advice(said: str) -> str:
    if re.search(r"reset/halt|SWD ERROR", said, re.IGNORECASE):
        return "the programmer does not reach the chip: check the board's jumpers, unplug it, plug it in, flash again"
    return f"unplug the board, plug it in, flash again; a board of another kind refuses the image, too ({AGAIN})"


def _write_advice(error: OSError) -> str:
    if error.errno == errno.EROFS:
        return "it is mounted read-only: mount it again for writing"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "mount it as yourself (udisksctl mount -b DEVICE), not as root"
    return AGAIN
