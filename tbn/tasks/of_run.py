"""The data of a run, back from what its folder says. Needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tbn.tasks
from tbn.errors import TBNError
from tbn.tasks.base import Task

if TYPE_CHECKING:
    from tbn.runs import Run


def task_of(run: Run) -> Task:
    """The data that the run was trained on.

    Raises:
        TBNError: it is another set now (a full set was removed, or came later).
    """
    config, result = run.config, run.result
    arguments: dict[str, Any] = {"limit": config.get("limit"), **(config.get("task_args") or {})}
    root, data = config.get("data_root"), config.get("data") or "auto"
    source = result["task"]["source"] if result else None
    task = tbn.tasks.create(config["task"], root, data, **arguments)
    if source is not None and task.source != source and "embedded" in source:
        task = tbn.tasks.create(config["task"], root, "embedded", **arguments)
    if source is not None and task.source != source:
        raise TBNError(
            f"run {run.id!r} was trained on the {source}, here is the {task.source}",
            "bring the data back (see --data-root), or train again",
        )
    return task
