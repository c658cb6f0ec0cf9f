"""``tbn zoo``: the results that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tbn.cli.common import Json, emit, stderr

app = typer.Typer()
zoo_app = typer.Typer(help="Results that come with the package.", no_args_is_help=True)
app.add_typer(zoo_app, name="zoo")


@zoo_app.command("build")
def zoo_build(
    name: Annotated[str, typer.Argument(help="Only entries whose name contains this.")] = "",
    out: Annotated[Path | None, typer.Option(help="Folder for the entries (default: the package's zoo).")] = None,
    jobs: Annotated[int, typer.Option(help="Trainings side by side, one thread each.")] = 1,
    as_json: Json = False,
) -> None:
    """Train the zoo's entries that are missing (delete a folder to train it again)."""
    from tbn.zoo import build

    made = build(
        out, name, say=lambda line: stderr.print(line, highlight=False, markup=False, soft_wrap=True), jobs=jobs
    )
    emit(as_json, {"built": made}, f"{len(made)} entries trained")


@zoo_app.command("table")
def zoo_table() -> None:
    """The zoo as a Markdown table, as in README."""
    from tbn.zoo import table

    print(table())


@zoo_app.command("check")
def zoo_check(
    count: Annotated[int, typer.Option(help="How many entries.")] = 2,
    seed: Annotated[int | None, typer.Option(help="Of the draw (default: by chance).")] = None,
    as_json: Json = False,
) -> None:
    """Train entries drawn by chance again, and compare with the deviation that the table states."""
    from tbn.zoo.check import check

    checked = check(count, seed, say=lambda line: stderr.print(line, highlight=False, markup=False, soft_wrap=True))
    entries = [
        {"name": one.name, "metric": one.metric, "score": one.score, "again": one.again, "allowed": one.allowed, "passed": one.passed}
        for one in checked
    ]  # fmt: skip
    passed = sum(one.passed for one in checked)
    emit(
        as_json,
        {"passed": passed == len(checked), "entries": entries},
        f"{passed} of {len(checked)} within what is allowed",
    )
    if passed < len(checked):
        raise typer.Exit(1)
