"""What a sweep looks at in a finished run: its metric, its size, its speed, its place on a board. Needs no torch until it measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tbn.errors import TBNError
from tbn.scores import HEADLINE, METRICS

if TYPE_CHECKING:
    from tbn.runs import Run

OF_KIND = {  # the metrics that a task of each kind has
    "images": ("accuracy",),
    "points": ("accuracy",),
    "segmentation": ("mean_iou", "accuracy"),
    "scenes": ("mean_iou", "accuracy"),
    "parts": ("instance_iou", "class_iou", "accuracy"),
    "forecasting": ("mse", "mae"),
}
SIZES = {
    "weight_bytes": "weight_bytes",
    "total_bytes": "total_bytes",
    "bits_per_weight": "bits_per_weight",
    "macs": "macs_computed",
}
ON_BOARDS = ("flash", "ram", "instructions")
LATENCY = "latency"  # milliseconds of one input on this machine
INPUTS_COUNTED = 3  # instructions are the mean of so many inputs


def names(kind: str) -> tuple[str, ...]:
    """All objectives of a kind of task; those of a board are ``flash:BOARD`` and so on."""
    return ("score", *OF_KIND[kind], *SIZES, LATENCY, *(f"{name}:BOARD" for name in ON_BOARDS))


def is_metric(name: str) -> bool:
    """Whether it is measured on the test set."""
    return name == "score" or name in METRICS


def check(objectives: Sequence[str], kind: str) -> None:
    """Raise TBNError where an objective is unknown, given twice, or not the task's."""
    if not objectives:
        raise TBNError("a sweep needs an objective", "use --objectives score,weight_bytes")
    for name in objectives:
        head, _, board = name.partition(":")
        if objectives.count(name) > 1:
            raise TBNError(f"objective {name!r} is given twice", "give each once")
        if head in ON_BOARDS:
            _board(name, board)
        elif name in METRICS and name not in OF_KIND[kind]:
            raise TBNError(
                f"objective {name!r} is not measured on tasks of kind {kind}",
                f"they have {', '.join(OF_KIND[kind])}; 'score' is the headline of any task",
            )
        elif name not in names(kind):
            raise TBNError(f"unknown objective {name!r}", f"choose of {', '.join(names(kind))}")


def metric(name: str, kind: str) -> str:
    """The metric behind a name: "score" is the task's headline."""
    return HEADLINE[kind] if name == "score" else name


def direction(name: str, kind: str) -> str:
    """ "maximize" or "minimize"."""
    if is_metric(name):
        return "maximize" if METRICS[metric(name, kind)].higher_is_better else "minimize"
    return "minimize"


def measure(name: str, run: Run, kind: str) -> float:
    """An objective of a complete run.

    Raises:
        TBNError: it cannot be measured on this run.
    """
    result = run.result
    assert result is not None
    if is_metric(name):
        return float(result["metrics"][metric(name, kind)])
    if name in SIZES:
        value = result["size"][SIZES[name]]
        if value is None:
            raise TBNError(f"the {name} of run {run.id!r} are not known", "choose another objective")
        return float(value)
    if name == LATENCY:
        from tbn.measure import latency

        return float(latency(run, keep=False)["median_ms"])
    head, _, board = name.partition(":")
    return _on_board(head, board, run)


def _board(name: str, board: str) -> Any:
    from tbn.boards import get_board, list_boards

    if not board:
        known = ", ".join(found.name for found in list_boards())
        raise TBNError(f"objective {name!r} names no board", f"write it as {name}:BOARD; boards are {known}")
    return get_board(board)


def _on_board(head: str, board: str, run: Run) -> float:
    if head == "instructions":
        from tbn.evaluate import evaluate

        counted = evaluate(run.path, "board", board=board, limit=INPUTS_COUNTED).instructions
        if counted is None:
            raise TBNError(f"board {board!r} counts no instructions", "choose an emulated board")
        return float(counted)
    from tbn.boards import fitting
    from tbn.export.run import export_run

    found = fitting.fit(export_run(run), _board(head, board), {})
    return float(found.flash_bytes if head == "flash" else found.ram_bytes)
