"""What is there and how good it is: ``tbn eval summary runs``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from tbn.cli.common import Json, RunName, Runs, emit, progress_bar
from tbn.cli.options import pairs, whole
from tbn.errors import TBNError
from tbn.scores import METRICS

app = typer.Typer()


@app.command("eval")
def evaluate(
    run: RunName,
    engine: Annotated[str, typer.Option(help="latent, packed, native, triton, onnx, c or board.")] = "packed",
    precision: Annotated[
        str | None, typer.Option(help="Of the engines c and board: integer or float32 (default: integer if possible).")
    ] = None,
    board: Annotated[str, typer.Option(help="Of the engine board; see tbn boards.")] = "nucleo_f411re",
    port: Annotated[str, typer.Option(help="Of the engine board: emulator, or a serial port.")] = "emulator",
    limit: Annotated[int | None, typer.Option(help="Only the first so many test inputs.")] = None,
    runs_folder: Runs = None,
    as_json: Json = False,
) -> None:
    """Accuracy of a run on one engine, and how far its outputs are from the trained model's."""
    from tbn.evaluate import evaluate as evaluate_run

    with progress_bar() as listener:
        found = evaluate_run(
            run,
            engine,
            root=runs_folder,
            precision=precision,
            board=board,
            port=port,
            limit=limit,
            progress=lambda fraction, message: listener({"fraction": fraction, "message": message}),
        )
    count = "" if found.instructions is None else f"\n{found.instructions:,.0f} instructions per inference"
    engine = found.engine + f" ({found.precision})" * bool(found.precision)
    emit(
        as_json,
        found.to_dict(),
        f"{engine}: {METRICS[found.metric].label} {METRICS[found.metric].text(found.score)} of {found.samples:,} test inputs "
        f"({found.data_source})\n"
        f"largest difference from {found.reference}: {found.max_difference:.2e} ({found.max_relative_difference:.2e} of the largest output){count}",
    )


@app.command()
def summary(
    run: Annotated[str | None, typer.Argument(help="Run folder or id; or give --model.")] = None,
    model: Annotated[str | None, typer.Option(help="A registry model, untrained.")] = None,
    task: Annotated[
        str | None, typer.Option(help="Task that sets the model's input and classes (default: one of its kind).")
    ] = None,
    p: Annotated[str, typer.Option("--p", help="Tiling factor; 1 = binary, 0 = full precision.")] = "4",
    min_layer_size: Annotated[int | None, typer.Option(help="Lambda.")] = None,
    alpha: Annotated[str, typer.Option(help="One scale per tile or per layer.")] = "tile",
    order: Annotated[str, typer.Option(help="rows, interleaved, inputs or rolled.")] = "rows",
    per_layer: Annotated[list[str] | None, typer.Option(help="PATTERN=P; may be given again.")] = None,
    runs_folder: Runs = None,
    as_json: Json = False,
) -> None:
    """Sizes by layer: bits, bit-width, bytes, MACs."""
    from tbn import models, runs, tasks
    from tbn import size as sizes
    from tbn.config import RunConfig
    from tbn.restore import deployed_model, task_of
    from tbn.sketch import sketch

    if (run is None) == (model is None):
        raise TBNError("summary takes a run or --model", "e.g. tbn summary --model mlp --p 4")
    if run is not None:
        found = runs.complete(run, runs_folder)
        table = sizes.summary(deployed_model(found), task_of(found).input_shape)
    else:
        kind = models.kind_of(str(model))
        task = task or next(name for name in tasks.names() if tasks.kind_of(name) == kind)
        data = tasks.create(task)
        config = RunConfig(
            task=task, model=str(model), p=whole("p", p), min_layer_size=min_layer_size, alpha=alpha, order=order,
            per_layer=pairs(per_layer or [])
        )  # fmt: skip
        table = sketch(config, data.model_arguments, data.input_shape)
    emit(as_json, table.to_dict(), str(table))


@app.command("runs")
def list_runs(runs_folder: Runs = None, as_json: Json = False) -> None:
    """All runs and zoo entries."""
    from tbn import runs

    table = runs.frame(runs_folder)
    rows = json.loads(table.to_json(orient="records"))
    emit(
        as_json,
        {"runs": rows},
        table[["run", "state", "metric", "score", "weight_bytes", "bits_per_weight", "data_source"]].to_string(
            index=False
        )
        if len(table)
        else "no runs yet: tbn train",
    )
