"""The command ``bench``: ratios measured side by side in one run, on what this computer has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tbn.cli.common import Json
from tbn.errors import TBNError

app = typer.Typer()

WHAT = ("cpu", "gpu", "networks", "mcu")


@app.command()
def bench(
    what: Annotated[
        str | None,
        typer.Argument(
            help="cpu or gpu (layers beside their peers; default: the GPU if any), networks (whole, on the CPU) or mcu (emulated boards)."
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Under a minute: few cases; saved only with --out.")] = False,
    threads: Annotated[int | None, typer.Option(help="CPU threads (default: torch's choice).", min=1)] = None,
    out: Annotated[Path | None, typer.Option(help="Where to save (default: kernels/results).")] = None,
    as_json: Json = False,
) -> None:
    """Time what this project computes beside what people would use instead."""
    if what is not None and what not in WHAT:
        raise TBNError(f"there is no benchmark {what!r}", f"choose one of {', '.join(WHAT)}")
    options = ["--quick"] * quick + ["--json"] * as_json
    options += ["--out", str(out)] if out is not None else []
    if what == "mcu":
        if threads is not None:
            raise TBNError("--threads says nothing about emulated boards", "leave it out")
        from tbn.boards import bench as boards

        raise typer.Exit(boards.main(options))
    options += ["--threads", str(threads)] if threads is not None else []
    if what == "networks":
        from tbn import speed

        raise typer.Exit(speed.main(options))
    from kernels import bench as layers

    raise typer.Exit(layers.main([*([what] if what else []), *options]))
