"""Classes of your own data: numbers or words become labels 0, 1, ... with names. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tbn.errors import TBNError

Array = NDArray[Any]
MOST_CLASSES = 1000


@dataclass(frozen=True)
class Labels:
    """Class names, and the labels of the training and of the test samples."""

    classes: tuple[str, ...]
    train: Array
    test: Array


def labels_of(train: Array, test: Array, names: Array | None, path: Path) -> Labels:
    """Labels from numbers or words.

    Args:
        train, test: (N,), or (N, 1), whole numbers or words.
        names: of the classes in the order of their numbers; None names each class by its number or word, in order.
        path: where they are from, for messages.

    Raises:
        TBNError: quantities or one-hot vectors, fewer than 2 or more than 1,000 classes, or a class that the training part does not have.
    """
    parts = [part[:, 0] if part.ndim == 2 and part.shape[1] == 1 else part for part in (train, test)]
    for part in parts:
        if part.ndim != 1:
            raise TBNError(
                f"classes of {path.name} are {part.shape}",
                "give one number or word a sample; of one-hot rows take argmax(1)",
            )
        if part.dtype.kind not in "uibfUS":
            raise TBNError(f"classes of {path.name} are {part.dtype}", "give whole numbers or words")
        if part.dtype.kind == "f" and not (np.isfinite(part).all() and np.array_equal(part, np.rint(part))):
            raise TBNError(
                f"targets of {path.name} are quantities such as {part[0]:g}, not classes",
                "cut them into classes: this is no regression",
            )
    worded = {part.dtype.kind in "US" for part in parts}
    if len(worded) > 1:
        raise TBNError(f"{path.name} has numbers in one part and words in the other", "write classes alike in both")
    whole = [part if worded == {True} else part.astype(np.int64) for part in parts]
    values = np.unique(whole[0])
    alone = np.setdiff1d(whole[1], values)
    if len(alone):
        raise TBNError(
            f"class {alone[0]} of {path.name} is in the test part alone", "move samples of it to the training part"
        )
    if names is not None and worded == {False}:
        classes = named(names, int(values[-1]) + 1, path)
        if values[0] < 0:
            raise TBNError(f"class {values[0]} of {path.name} is below 0", "number classes from 0")
        return Labels(classes, *whole)
    if not 2 <= len(values) <= MOST_CLASSES:
        raise TBNError(f"{path.name} has {len(values):,} classes", f"2 to {MOST_CLASSES:,} are possible")
    train_labels, test_labels = (np.searchsorted(values, part).astype(np.int64) for part in whole)
    return Labels(tuple(_word(value) for value in values), train_labels, test_labels)


def named(names: Array | None, count: int, path: Path) -> tuple[str, ...]:
    """At least ``count`` class names: the given ones, else ``class 0``, ``class 1``, ...

    Raises:
        TBNError: too few names, or fewer than 2 or too many classes.
    """
    found = (
        tuple(f"class {k}" for k in range(count)) if names is None else tuple(_word(name) for name in np.ravel(names))
    )
    if len(found) < count:
        raise TBNError(
            f"{path.name} names {len(found)} classes and has number {count - 1}",
            "name each, in the order of their numbers",
        )
    if not 2 <= len(found) <= MOST_CLASSES:
        raise TBNError(f"{path.name} has {len(found):,} classes", f"2 to {MOST_CLASSES:,} are possible")
    return found


def _word(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
