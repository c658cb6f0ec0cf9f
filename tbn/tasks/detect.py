"""Which task reads a file: an .npz by the shapes of its arrays, a .csv by its first column. Needs no torch."""

from __future__ import annotations

import zipfile
import zlib
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from tbn import tasks
from tbn.errors import TBNError
from tbn.tasks import Task

MOST_UNPACKED = 2 << 30  # bytes of all arrays of an .npz
WINDOWS = ((96, 96), (48, 24), (24, 12), (12, 6))  # look back and horizon of a series, the longest that fit


def task_of(path: Path, label: str | None = None) -> tuple[str, dict[str, Any]]:
    """The task, and what it takes beside ``file``.

    Raises:
        TBNError: the file is damaged, too large when unpacked, or nothing that a task reads.
    """
    return (npz_task(path), {}) if path.suffix.lower() == ".npz" else csv_task(path, label)


def npz_task(path: Path) -> str:
    """Which task reads an .npz, by the shapes of its arrays; they are read from the headers, so that nothing large is unpacked."""
    from tbn.tasks.arrays import INPUTS, LAYOUT, PARTS, TARGETS, spellings

    try:
        with zipfile.ZipFile(path) as archive:
            headers = {entry.filename.removesuffix(".npy"): _header(archive, entry) for entry in archive.infolist()}
            unpacked = sum(
                max(entry.file_size, size)
                for entry, (_, size) in zip(archive.infolist(), headers.values(), strict=True)
            )
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, zlib.error, RuntimeError) as error:
        raise TBNError(f"{path.name} is damaged or no .npz file ({error})", LAYOUT) from error
    if unpacked > MOST_UNPACKED:
        fix = f"{MOST_UNPACKED >> 30} GB are possible: thin it out"
        raise TBNError(f"{path.name} unpacks to {unpacked / 2**30:.1f} GB", fix)
    shapes = {name: shape for name, (shape, _) in headers.items()}
    known = {key: [shapes[name] for word in words for part in ("", *PARTS) for name in spellings(word, part) if name in shapes]
             for key, words in (("inputs", INPUTS), ("targets", TARGETS))}  # fmt: skip
    if not known["inputs"] or not known["targets"]:
        raise TBNError(f"{path.name} holds {', '.join(list(shapes)[:8]) or 'nothing'}: no inputs with targets", LAYOUT)
    inputs, targets = known["inputs"][0], known["targets"][0]
    if len(targets) >= 3:
        return "npz_masks"
    if len(inputs) == 3 and 3 in inputs[1:]:
        return "npz_points"
    if len(inputs) in (3, 4):
        return "npz_images"
    raise TBNError(
        f"inputs of {path.name} are {inputs}",
        "give images (N, height, width), clouds (N, points, 3), or write a table as .csv",
    )


def _header(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> tuple[tuple[int, ...], int]:
    """Shape and bytes of an array, as its own header says."""
    with archive.open(entry) as file:
        old = np.lib.format.read_magic(file) == (1, 0)
        read = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
        shape, _, kind = read(file)
    return shape, prod(shape) * kind.itemsize


def csv_task(path: Path, label: str | None) -> tuple[str, dict[str, Any]]:
    """A series where the first column is called date, else a table."""
    from tbn.tasks import table

    first = list(table.read(path, rows=1).columns)
    if label is None and first[0].strip().lower() == "date":
        return "csv_forecast", {}
    return "csv_table", {"label": table.label_column(first, label, path)}


def loaded(task: str, path: Path, arguments: dict[str, Any]) -> tuple[Task, dict[str, Any]]:
    """The data of a file, and the arguments with which it could be read."""
    if task != "csv_forecast":
        return tasks.create(task, path.parent, file=path.name, **arguments), arguments
    for back, ahead in WINDOWS[:-1]:
        with suppress(TBNError):
            sized: dict[str, Any] = {"lookback": back, "horizon": ahead}
            return tasks.create(task, path.parent, file=path.name, **sized), sized
    back, ahead = WINDOWS[-1]
    return tasks.create(task, path.parent, file=path.name, lookback=back, horizon=ahead), {
        "lookback": back,
        "horizon": ahead,
    }
