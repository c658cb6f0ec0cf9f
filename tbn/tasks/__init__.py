"""The tasks by name: real data, split and described. Needs no torch: arrays are numpy's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tbn.errors import TBNError
from tbn.tasks.images import Task, cifar10, digits, fashion_mnist, mnist

__all__ = ["Task", "check", "create", "names"]

_TASKS: dict[str, Callable[[Path | None, str], Task]] = {
    "fashion_mnist": fashion_mnist,
    "digits": digits,
    "mnist": mnist,
    "cifar10": cifar10,
}


def names() -> tuple[str, ...]:
    """All task names."""
    return tuple(_TASKS)


def check(name: str) -> None:
    """Raise TBNError where there is no such task."""
    if name not in _TASKS:
        raise TBNError(f"unknown task {name!r}", f"choose one of {', '.join(_TASKS)}")


def create(name: str, root: str | Path | None = None, data: str = "auto") -> Task:
    """Load a task.

    Args:
        name: one of ``names()``.
        root: folder of full data sets; by default the environment's TBN_DATA.
        data: "auto" takes the full set where it is found, else the embedded subset; "full" insists; "embedded" ignores the full set.

    Raises:
        TBNError: unknown name, or the full set is asked for and not found.
    """
    check(name)
    if data not in ("auto", "full", "embedded"):
        raise TBNError(f"data={data!r} is unknown", "use auto, full or embedded")
    return _TASKS[name](Path(root) if root is not None else None, data)
