"""``tbn fit``: which boards a run fits, before anything is built; or the best network that fits a budget."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tbn.cli.common import Json, ProgressFolder, Runs, emit, stderr
from tbn.errors import TBNError

if TYPE_CHECKING:
    from tbn.boards.fitting import Fit
    from tbn.sweep.budget import Found

app = typer.Typer()


@app.command()
def fit(
    run: Annotated[str | None, typer.Argument(help="Run folder, or id of a run or zoo entry; or give --task.")] = None,
    task: Annotated[str | None, typer.Option(help="Find the best network for this task under a budget.")] = None,
    budget: Annotated[
        str | None, typer.Option(help="Bytes of the packed network, biases and norms included: 3200B, 4KiB.")
    ] = None,
    ram: Annotated[str | None, typer.Option(help="Bytes of RAM on the board, without the stack.")] = None,
    instructions: Annotated[int | None, typer.Option(help="Of one inference on the board's emulator.")] = None,
    model: Annotated[str, typer.Option(help="(default: the usual one of the task's kind)")] = "",
    width: Annotated[
        str | None,
        typer.Option(help="NAME=16,24,32: the model's widths to choose from (default: parts of the usual one)."),
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE for all trainings, e.g. epochs=20, data=embedded.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Full trainings of the winner.")] = 1,
    short_epochs: Annotated[int | None, typer.Option(help="Of the first short trainings (default: a fifth).")] = None,
    against_uniform: Annotated[
        bool, typer.Option("--against-uniform", help="Train the best network with the same factor everywhere, too.")
    ] = False,
    precision: Annotated[
        str | None,
        typer.Option(help="integer or float32 (default: integer where the model has a twin in whole numbers)."),
    ] = None,
    board: Annotated[list[str] | None, typer.Option(help="Only this board (may be repeated); see tbn boards.")] = None,
    folder: ProgressFolder = None,
    runs_folder: Runs = None,
    as_json: Json = False,
) -> None:
    """Which boards a run fits; or, with --task, the best network that fits a budget: a tiling factor for each layer, and the width."""
    if (run is None) == (task is None):
        raise TBNError("fit takes a run, or --task with a budget", "e.g. tbn fit --task mnist --budget 3200B")
    if run is not None:
        _boards_of(run, precision, board, runs_folder, as_json)
        return
    if board and len(board) > 1:
        raise TBNError("a budget is for one board", "give --board once")
    from tbn.cli.sweep import choices
    from tbn.sweep.budget import Goal, search
    from tbn.sweep.factors import parse_bytes
    from tbn.sweep.limits import Limits
    from tbn.sweep.space import nested, parse

    limits = Limits(
        parse_bytes(budget) if budget else None,
        board[0] if board else None,
        parse_bytes(ram) if ram else None,
        instructions,
    )
    _, fixed = choices([], option or [])
    name, equals, offered = (width or "").partition("=")
    values = parse(name, offered) if equals else ()
    if width and not (equals and name and isinstance(values, tuple)):
        raise TBNError(f"--width {width!r} is not a list of widths", "write it as width=16,24,32")
    widths = tuple({name.removeprefix("model_args."): value} for value in values) if isinstance(values, tuple) else ()
    from tbn.jobs import here
    from tbn.progress import Progress

    progress = Progress(folder) if (folder := folder or here()) else None

    def say(line: str) -> None:
        stderr.print(line, highlight=False, markup=False, soft_wrap=True)
        if progress is not None:
            progress.update(message=line)

    found = search(
        Goal(str(task), limits, model, nested(fixed), widths, seeds, short_epochs),
        runs_folder, against_uniform, say,
    )  # fmt: skip
    emit(as_json, answer(found), text(found))


def _boards_of(run: str, precision: str | None, board: list[str] | None, root: Path | None, as_json: bool) -> None:
    from tbn import runs
    from tbn.boards import fitting, get_board
    from tbn.export.run import export_run

    found = runs.complete(run, root)
    report = export_run(found, precision=precision)
    fits = fitting.fits(found, report, [get_board(name) for name in board] if board else None)
    value: dict[str, Any] = {
        "run": found.id, "precision": report.precision, "reason": report.reason, "weight_bytes": report.weight_bytes,
        "arena_bytes": report.arena_bytes, "boards": [entry.to_dict() for entry in fits],
    }  # fmt: skip
    emit(
        as_json,
        value,
        "\n".join([f"{found.id}, {report.precision}{'; ' * bool(report.reason)}{report.reason}", *table(fits)]),
    )


def answer(found: Found) -> dict[str, Any]:
    """The answer to a budget as plain values."""
    from tbn.sweep.budget import Candidate

    def told(one: Candidate, trained: tuple[Any, ...]) -> dict[str, Any]:
        results = [run.result for run in trained]
        scores = [result["metrics"][result["task"]["metric"]] for result in results]
        return {
            "model_args": dict(one.model_args), "layers": dict(one.layers), "bytes": one.bytes, "runs": [str(run.path) for run in trained],
            "scores": scores, "mean": sum(scores) / len(scores),
        }  # fmt: skip

    uniform = told(found.uniform, found.uniform_runs) if found.uniform is not None and found.uniform_runs else None
    return {
        "task": found.goal.task, "model": found.goal.model, "best": told(found.best, found.runs), "uniform": uniform,
        "board": {"name": found.goal.limits.board, **asdict(found.taken)} if found.taken else None,
        "sensitivity": dict(found.sensitivity), "candidates": found.candidates.to_dict("records"),
    }  # fmt: skip


def text(found: Found) -> str:
    """The answer to a budget for people."""
    from tbn.scores import METRICS
    from tbn.sweep.budget import describe

    result = found.runs[0].result
    assert result is not None
    metric, told = METRICS[result["task"]["metric"]], answer(found)

    def scores(values: list[float]) -> str:
        return f"test {metric.label} {', '.join(metric.text(value) for value in values)}"

    lines = [
        f"best of {len(found.candidates)}: {describe(found.best)}",
        scores(told["best"]["scores"]),
        *told["best"]["runs"],
    ]
    if found.taken is not None:
        taken, most = found.taken, found.goal.limits.instructions
        flash = f"{taken.flash_bytes:,} of {taken.flash_limit:,} bytes of flash"
        counted = f", {taken.instructions:,} of {most:,} instructions" if most else ""
        lines.append(
            f"on {found.goal.limits.board}: {flash}, {taken.ram_bytes:,} of {taken.ram_limit:,} of RAM{counted}"
        )
    if told["uniform"] is not None and found.uniform is not None:
        lines += [f"one factor everywhere: {describe(found.uniform)}", scores(told["uniform"]["scores"])]
    return "\n".join(lines)


def table(fits: tuple[Fit, ...]) -> list[str]:
    """One line a board, in bytes; ~ stands before what is not measured on that board."""
    lines = [f"{'':8}{'board':16} {'flash':>10} {'of':>10} {'RAM':>9} {'of':>9} {'smallest p':>10}"]
    for entry in fits:
        about = "" if entry.measured else "~"
        p = "-" if entry.smallest_p is None else str(entry.smallest_p)
        lines.append(
            f"{'fits' if entry.fits else 'TOO BIG':8}{entry.board:16} {about + format(entry.flash_bytes, ','):>10} {entry.flash_limit_bytes:>10,} "
            f"{about + format(entry.ram_bytes, ','):>9} {entry.ram_limit_bytes - entry.stack_bytes:>9,} {p:>10}"
        )
    lines.append(
        "RAM is without the stack, and so is what there is of it. ~: the code of another board, and an assumed framework."
    )
    return lines
