"""The tasks by name: real data, split and described. Needs no torch: arrays are numpy's."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from tbn.errors import TBNError
from tbn.tasks.base import IGNORED, Task, thinned

__all__ = ["IGNORED", "Task", "check", "create", "kind_of", "names"]

_TASKS = {  # task -> its kind, and the module with a function of the task's name
    "fashion_mnist": ("images", "images"),
    "digits": ("images", "images"),
    "mnist": ("images", "images"),
    "cifar10": ("images", "images"),
    "imagenet": ("images", "image_folder"),
    "image_folder": ("images", "image_folder"),
    "earthcover": ("segmentation", "segmentation"),
    "mask_folder": ("segmentation", "segmentation"),
    "sweethome": ("points", "points"),
    "modelnet40": ("points", "points"),
    "kicad_parts": ("parts", "parts"),
    "shapenet_part": ("parts", "parts"),
    "composed_rooms": ("scenes", "scenes"),
    "s3dis": ("scenes", "scenes"),
    "appliances": ("forecasting", "forecasting"),
    "beijing": ("forecasting", "forecasting"),
    "household": ("forecasting", "forecasting"),
    "csv_forecast": ("forecasting", "forecasting"),
    "npz_images": ("images", "arrays"),
    "npz_points": ("points", "arrays"),
    "npz_masks": ("segmentation", "arrays"),
    "csv_table": ("images", "table"),
}


def names() -> tuple[str, ...]:
    """All task names."""
    return tuple(_TASKS)


def check(name: str) -> None:
    """Raise TBNError where there is no such task."""
    if name not in _TASKS:
        raise TBNError(f"unknown task {name!r}", f"choose one of {', '.join(_TASKS)}")


def kind_of(name: str) -> str:
    """The kind of a task (``tbn.scores.KINDS``), without loading it."""
    check(name)
    return _TASKS[name][0]


def create(
    name: str, root: str | Path | None = None, data: str = "auto", limit: int | None = None, **options: Any
) -> Task:
    """Load a task.

    Args:
        name: one of ``names()``.
        root: folder of full data sets; by default the environment's TBN_DATA.
        data: "auto" takes the full set where it is found, else the embedded subset; "full" insists; "embedded" ignores the full set.
        limit: at most so many training and so many test samples, evenly spaced; for a quick look.
        options: what the task itself takes, e.g. ``lookback`` and ``horizon`` of a forecast (see its function).

    Raises:
        TBNError: unknown name or option, or the full set is asked for and not found.
    """
    check(name)
    if data not in ("auto", "full", "embedded"):
        raise TBNError(f"data={data!r} is unknown", "use auto, full or embedded")
    loader = getattr(import_module(f"tbn.tasks.{_TASKS[name][1]}"), name)
    try:
        task: Task = loader(Path(root) if root is not None else None, data, **options)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise TBNError(f"task {name!r}: {error}", f"see help(tbn.tasks.{_TASKS[name][1]}.{name})") from error
    return task if limit is None else thinned(task, limit)
