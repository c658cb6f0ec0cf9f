"""A data file of one's own: found by its name, told apart by its content, split once and for all. Needs no torch."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tbn.errors import TBNError

Array = NDArray[Any]


def find(file: str | Path | None, root: Path | None, data: str, task: str, ending: str) -> Path:
    """The file by its path, or by its name in the folder.

    Raises:
        TBNError: none was named or there is none, it ends otherwise, or data is "embedded".
    """
    if file is None or data == "embedded":
        raise TBNError(f"{task} reads a file of yours and none was named", f"name it: --task-arg file=NAME{ending}")
    found = next((path for path in (Path(file), *([root / file] if root else [])) if path.is_file()), None)
    if found is None:
        raise TBNError(
            f"no file {str(file)!r} here" + f", nor in {root}" * bool(root),
            "give its whole path, or its folder: --data-root",
        )
    if found.suffix.lower() != ending:
        raise TBNError(f"{found.name} is no {ending} file", f"{task} reads {ending} files")
    return found


def name_of(path: Path) -> str:
    """A file's name with the beginning of its sha256: two files of one name are two data sets."""
    with path.open("rb") as file:
        return f"{path.name} ({hashlib.file_digest(file, 'sha256').hexdigest()[:8]})"


def one_in_five(targets: Array, path: Path) -> tuple[Array, Array]:
    """Places of the training and of the test samples, drawn once and for all; of classes, one in five of each."""
    if len(targets) < 10:
        raise TBNError(
            f"{path.name} has {len(targets)} samples", "give at least 10, of which one in five is the test set"
        )
    order = np.random.default_rng(0).permutation(len(targets))
    if targets.ndim == 1:
        order = order[np.argsort(np.unique(targets, return_inverse=True)[1][order], kind="stable")]
    return np.sort(np.delete(order, np.s_[2::5])), np.sort(order[2::5])
