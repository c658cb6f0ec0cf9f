"""Commands that take a run elsewhere: ``export build flash boards doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tbn.cli.common import Json, RunName, Runs, emit, stderr

app = typer.Typer()

BoardName = Annotated[str, typer.Option("--board", help="Board; see tbn boards.")]
Precision = Annotated[
    str | None, typer.Option(help="integer or float32 (default: integer where the model has a twin in whole numbers).")
]
DEFAULT = "nucleo_f411re"


class _Steps:
    """Steps of a build: lines on stderr, and ``progress.json`` beside the build for whoever looks from outside."""

    def __init__(self, run: str, board: str, root: Path | None) -> None:
        from tbn import boards, runs
        from tbn.boards.building import place_of
        from tbn.jobs import Progress

        self.run = runs.complete(run, root).path
        self.progress = Progress(place_of(self.run, board).folder, boards.STEPS)

    def __call__(self, step: str, state: str, message: str) -> None:
        self.progress.step(step, state, message)
        if state != "running":
            stderr.print(
                f"{step}: {state}{', ' * bool(message)}{message}", highlight=False, markup=False, soft_wrap=True
            )


@app.command()
def export(
    run: RunName,
    to: Annotated[str, typer.Option("--to", help="c (C99 source for a board) or onnx (one file, model.onnx).")] = "c",
    out: Annotated[
        Path | None, typer.Option(help="Folder (default: the run's, for C firmware/model in it; a zoo entry's cache).")
    ] = None,
    precision: Precision = None,
    runs_folder: Runs = None,
    as_json: Json = False,
) -> None:
    """Write a run's network as C99 source or as an ONNX file."""
    from tbn import runs
    from tbn.errors import TBNError

    if to not in ("c", "onnx"):
        raise TBNError(f"unknown format {to!r}", "use --to c or --to onnx")
    if to == "onnx" and precision is not None:
        raise TBNError("an ONNX file has no precision to choose", "leave --precision out, or use --to c")
    found = runs.complete(run, runs_folder)
    if to == "onnx":
        from tbn.export.onnx import export_run as export_onnx_run

        written = export_onnx_run(found, out)
        text = f"{written.path}: {written.file_bytes:,} bytes, {written.nodes:,} operations of opset {written.opset}"
        emit(as_json, written.to_dict(), text)
        return
    from tbn.export.run import export_run

    report = export_run(found, out, precision)
    plan = "".join(
        f"\n  {part.start:>8,} .. {part.start + part.bytes - 1:>8,}  {part.name}"
        for part in sorted(report.arena, key=lambda part: (part.start, part.bytes))
    )
    emit(
        as_json,
        report.to_dict(),
        f"{report.folder}\n{report.precision}: weights {report.weight_bytes:,} bytes, arena {report.arena_bytes:,} bytes of RAM"
        + f"\n{report.reason}" * bool(report.reason)
        + plan,
    )


@app.command()
def build(
    run: RunName,
    board: BoardName = DEFAULT,
    precision: Precision = None,
    runs_folder: Runs = None,
    as_json: Json = False,
) -> None:
    """Build a run's firmware and check that it fits the board's flash and RAM."""
    from tbn import boards

    steps = _Steps(run, board, runs_folder)
    report = boards.build(steps.run, board, progress=steps, precision=precision)
    emit(
        as_json,
        report.to_dict(),
        f"{report.elf}\n{report.precision}: flash {report.flash_bytes:,} bytes, RAM {report.ram_bytes:,} bytes, {report.seconds:.1f} s",
    )


@app.command()
def flash(
    run: RunName,
    board: BoardName = DEFAULT,
    port: Annotated[
        str | None, typer.Option(help="emulator, or a serial port (default: the board's only one).")
    ] = None,
    drive: Annotated[
        str | None,
        typer.Option(
            help="auto, or where the board's USB drive is mounted: copies the image there, needs no vendor tool."
        ),
    ] = None,
    precision: Precision = None,
    runs_folder: Runs = None,
    as_json: Json = False,
) -> None:
    """Build, flash and self-test: real images go in, the answers must be the model's."""
    from tbn import boards

    steps = _Steps(run, board, runs_folder)
    report = boards.flash(steps.run, board, port, progress=steps, precision=precision, drive=drive)
    emit(
        as_json,
        report.to_dict(),
        f"{report.build.precision}: self-test {report.passed}/{report.total}, largest difference {report.max_difference:.1e}\n"
        f"flash {report.build.flash_bytes:,} bytes, RAM {report.build.ram_bytes:,} bytes, "
        f"{report.ticks:,} {report.tick_unit} per inference, {report.seconds:.1f} s",
    )


@app.command()
def boards(as_json: Json = False) -> None:
    """Known boards, and the serial ports of this computer."""
    from tbn import boards as known

    found, ports = known.list_boards(), known.list_ports()
    value: dict[str, Any] = {
        "boards": [board.to_dict() for board in found],
        "ports": [port.to_dict() for port in ports],
    }
    lines = [
        f"{board.name:16} {board.title:34} flash {board.flash_bytes:>9,} RAM {board.ram_bytes:>7,}  "
        f"{'emulated or real' if board.emulated else 'real'}"
        for board in found
    ]
    lines += [f"port {port.device} {port.description}" for port in ports] or [
        "no serial port with a board; --port emulator needs none"
    ]
    emit(as_json, value, "\n".join(lines))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Is this computer ready to build and flash?"""
    from tbn import boards

    checks = boards.doctor()
    ready = all(check.ok for check in checks if check.needed)
    lines = [
        f"{'ok' if check.ok else 'MISSING' if check.needed else 'note':8} {check.name}: {check.message}"
        + f"; {check.fix}" * (not check.ok and bool(check.fix))
        for check in checks
    ]
    emit(as_json, {"ready": ready, "checks": [check.to_dict() for check in checks]}, "\n".join(lines))
    if not ready:
        raise typer.Exit(1)
