"""The command ``quantise``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tbn.cli.common import Json, RunName, Runs, emit, progress_bar
from tbn.scores import METRICS

app = typer.Typer()


@app.command()
def quantise(
    run: RunName,
    epochs: Annotated[int, typer.Option(help="Epochs of fine-tuning in the integer network's own arithmetic.")] = 3,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate (default: a tenth of the run's).")] = None,
    runs_folder: Runs = None,
    folder: Annotated[
        Path | None, typer.Option(help="The new run's own folder (default: a new one in the runs folder).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a run further as an integer network: uint8 activations, norms folded, ranges learned. Leaves a new run folder."""
    from tbn.integer.training import fine_tune

    with progress_bar() as listener:
        made = fine_tune(run, epochs, lr, runs_folder, folder=folder, listener=listener)
    result = made.result
    assert result is not None
    metric, whole = METRICS[result["task"]["metric"]], result["integer"]
    parts = ", ".join(f"{part} {count:,}" for part, count in whole["parts"].items())
    emit(
        as_json,
        {"run": str(made.path), "metrics": result["metrics"], "integer": whole},
        f"{made.path}\ninteger network: test {metric.label} {metric.text(whole[metric.name])} of {whole['samples']:,} test inputs\n"
        f"stored {whole['bytes']:,} bytes: {parts}",
    )
