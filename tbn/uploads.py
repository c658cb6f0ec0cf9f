"""Data sets that users bring: checked by the very task that will read them, and kept in the runs folder's ``data/``. Needs no torch.

A file is named once and never changed: another content under a name that is taken is refused. Beside ``NAME`` lies ``NAME.json``, which says what
was found in it.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tbn import runs, tasks
from tbn.errors import TBNError
from tbn.files import read_json, write_json
from tbn.tasks import Task, detect

FOLDER = "data"  # of the runs folder
ENDINGS = (".npz", ".csv")
MOST_MB = 200  # of an uploaded file
MOST_IN_ALL = 5 << 30  # bytes of all data sets
NAME = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Upload:
    """A data set that was checked.

    Attributes:
        name: of its file in ``folder()``.
        task: which task reads it; ``task_args`` are what that task takes, ``file`` among them.
        source: what was found, in words; ``classes``: names of classes or channels.
        train, test: samples; ``shape``: of one input.
        bytes: of the file.
        date: when it was kept, ISO 8601.
    """

    name: str
    task: str
    task_args: Mapping[str, Any]
    source: str
    classes: tuple[str, ...]
    train: int
    test: int
    shape: tuple[int, ...]
    bytes: int
    date: str
    folder: Path = field(default_factory=Path)

    def load(self) -> Task:
        """The data, as a training reads it."""
        return tasks.create(self.task, self.folder, **self.task_args)


def folder(root: Path | None = None) -> Path:
    """Where uploaded data sets lie: ``data`` in the runs folder."""
    return (root or runs.runs_root()).absolute() / FOLDER


def keep(name: str, content: bytes, root: Path | None = None, label: str | None = None) -> Upload:
    """Check a file and keep it.

    Args:
        name: as its owner calls it; ends in .npz or .csv.
        content: of the file.
        root: the runs folder.
        label: of a table, the column of classes.

    Raises:
        TBNError: too large, of another kind, not what a task can read, or another file of that name is kept.
    """
    name = safe_name(name)
    if not content:
        raise TBNError(f"{name} is empty", "choose another file")
    if len(content) > MOST_MB << 20:
        fix = "put it on this machine and name it by --task-arg file=PATH"
        raise TBNError(f"{name} has {len(content) >> 20} MB and {MOST_MB} MB can be uploaded", fix)
    place = folder(root)
    if sum(upload.bytes for upload in every(root)) + len(content) > MOST_IN_ALL:
        raise TBNError(
            f"the data sets in {place} would take more than {MOST_IN_ALL >> 30} GB",
            "delete one that you no longer need",
        )
    if (place / name).exists() and (place / name).read_bytes() != content:
        raise TBNError(f"another {name} is kept already", "rename your file, or delete the old one")
    if (known := read(place / name)) is not None and label in (None, known.task_args.get("label")):
        return known
    try:
        place.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".", suffix=Path(name).suffix, dir=place)
    except OSError as error:
        raise TBNError(
            f"cannot write to {place}: {error.strerror}", "choose another runs folder with TBN_RUNS"
        ) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).chmod(0o644)
        found = check(Path(temporary), name, label)
        Path(temporary).replace(place / name)
        write_json(_about(place / name), {**asdict(found), "folder": ""})
        return found
    except OSError as error:
        raise TBNError(f"cannot keep {name}: {error.strerror or error}", "free some space and try again") from error
    finally:
        Path(temporary).unlink(missing_ok=True)


def check(path: Path, name: str, label: str | None = None) -> Upload:
    """What a file holds, by the task that can read it; ``name`` is what it will be called.

    Raises:
        TBNError: no task can.
    """
    try:
        task, arguments = detect.task_of(path, label)
        data, arguments = detect.loaded(task, path, arguments)
    except TBNError as error:  # the file is called by its owner's name, not by where it lies for the moment
        raise TBNError(error.message.replace(str(path), name).replace(path.name, name), error.fix) from error
    source = data.source.replace(str(path), name).replace(path.name, name)
    return Upload(
        name, task, {**arguments, "file": name}, source, data.classes, len(data.train_targets), len(data.test_targets), data.input_shape,
        path.stat().st_size, datetime.now(UTC).isoformat(timespec="seconds"), path.parent,
    )  # fmt: skip


def read(path: Path) -> Upload | None:
    """What is known of a kept file, None where there is no such file or no word on it."""
    try:
        known = read_json(_about(path))
        if not path.is_file():
            return None
        lists = {"classes": tuple(known["classes"]), "shape": tuple(known["shape"]), "folder": path.parent}
        return Upload(**{**known, **lists})
    except (TBNError, KeyError, TypeError):
        return None


def every(root: Path | None = None) -> list[Upload]:
    """All data sets that are kept, the newest first."""
    place = folder(root)
    files = (
        [path for path in place.iterdir() if path.suffix.lower() in ENDINGS and not path.name.startswith(".")]
        if place.is_dir()
        else []
    )
    found = [upload for path in files if (upload := read(path)) is not None]
    return sorted(found, key=lambda upload: (upload.date, upload.name), reverse=True)


def remove(name: str, root: Path | None = None) -> None:
    """Delete a data set; runs that were trained on it stay, but cannot be tested again."""
    path = folder(root) / safe_name(name)
    for file in (path, _about(path)):
        with suppress(FileNotFoundError):
            file.unlink()


def safe_name(name: str) -> str:
    """A file's own name, without folders, in plain letters.

    Raises:
        TBNError: it does not end as a data set does.
    """
    own = Path(name.replace("\\", "/")).name
    plain = NAME.sub("-", own).lstrip(".-")
    if not plain.lower().endswith(ENDINGS) or Path(plain).stem in ("", "."):
        raise TBNError(f"{own or 'the file'} is no data set", f"choose a file that ends in {' or '.join(ENDINGS)}")
    return f"{Path(plain).stem[:80]}{Path(plain).suffix.lower()}"


def _about(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")
