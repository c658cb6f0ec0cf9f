"""What the commands share: options, the answer as text or JSON, and the progress bar."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

stderr = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Runs = Annotated[Path | None, typer.Option("--runs", help="Runs folder (default: $TBN_RUNS or runs).")]
ProgressFolder = Annotated[Path | None, typer.Option(help="Where progress.json is kept.")]
TaskName = Annotated[str, typer.Option(help="Task; e.g. fashion_mnist, digits, earthcover, beijing.")]
RunName = Annotated[str, typer.Argument(help="Run folder, or id of a run or zoo entry.")]


def speaks() -> bool:
    """Whether this process is the first of its machine; the others of a data-parallel run keep silent."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def emit(as_json: bool, value: dict[str, Any], text: str) -> None:
    """The command's answer: the object, or the text for people."""
    print(json.dumps(value, ensure_ascii=False, allow_nan=False) if as_json else text)


class progress_bar:
    """A progress bar on a terminal's stderr, and ``progress.json`` in the run's folder for whoever looks from outside."""

    def __enter__(self) -> Callable[[dict[str, Any]], None]:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeRemainingColumn(),
            console=stderr,
            transient=True,
            disable=not (stderr.is_terminal and speaks()),
        )
        self.progress.start()
        self.bar = self.progress.add_task("starting", total=1.0)
        return self.listen

    def listen(self, event: dict[str, Any]) -> None:
        from tbn.progress import Progress

        self.progress.update(self.bar, completed=event["fraction"], description=event["message"])
        if "folder" in event:
            Progress(event["folder"]).update(event["fraction"], event["message"])

    def __exit__(self, *_: object) -> None:
        self.progress.stop()
