"""``tbn fit``: which boards a run fits, before anything is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tbn.cli.common import Json, RunName, Runs, emit

if TYPE_CHECKING:
    from tbn.boards.fitting import Fit

app = typer.Typer()


@app.command()
def fit(
    run: RunName,
    precision: Annotated[
        str | None,
        typer.Option(help="integer or float32 (default: integer where the model has a twin in whole numbers)."),
    ] = None,
    board: Annotated[list[str] | None, typer.Option(help="Only this board (may be repeated); see tbn boards.")] = None,
    runs_folder: Runs = None,
    as_json: Json = False,
) -> None:
    """Which boards a run fits, and the smallest tiling factor that would: predicted, nothing is built."""
    from tbn import runs
    from tbn.boards import fitting, get_board
    from tbn.export.run import export_run

    found = runs.complete(run, runs_folder)
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
