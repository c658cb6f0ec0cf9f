"""``tbn sweep``: many trainings over a space of choices, resumable, on one machine or many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tbn.cli.common import Json, ProgressFolder, Runs, TaskName, emit, progress_bar
from tbn.errors import TBNError

if TYPE_CHECKING:
    import pandas as pd

    from tbn.sweep import Report, Sweep

app = typer.Typer()


@app.command()
def sweep(
    task: TaskName = "fashion_mnist",
    model: Annotated[str, typer.Option(help="Model of the task's kind.")] = "mlp",
    p: Annotated[str, typer.Option("--p", help="Tiling factors, e.g. 1,2,4,8; 0 = full precision.")] = "1,2,4,8",
    epochs: Annotated[
        str | None, typer.Option(help="Epochs; several values are varied, as in all options here.")
    ] = None,
    lr: Annotated[str | None, typer.Option(help="Learning rates, e.g. 1e-3,2e-3 or 1e-4..1e-2:log.")] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=1,2,4 or NAME=LOW..HIGH[:log]; e.g. model_args.width=16,32, per_layer.conv2=2,4, alpha=tile,layer."
        ),
    ] = None,
    fix: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE for all trials; e.g. data=embedded, min_layer_size=1000, device=cuda."),
    ] = None,
    method: Annotated[
        str, typer.Option(help="grid; random or search (by what came out so far, Optuna's TPE) with --trials.")
    ] = "grid",
    trials: Annotated[int | None, typer.Option(help="How many points.")] = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each point.")] = 1,
    objectives: Annotated[
        str,
        typer.Option(
            help="Of score, a metric, weight_bytes, total_bytes, macs, latency, flash:BOARD, ram:BOARD, instructions:BOARD."
        ),
    ] = "score,weight_bytes",
    prune: Annotated[
        bool, typer.Option("--prune", help="Stop trials that fall behind (one objective, a metric).")
    ] = False,
    workers: Annotated[int, typer.Option(help="Trainings side by side; 0 trains in this process.")] = 1,
    threads: Annotated[int, typer.Option(help="CPU threads of each training.")] = 1,
    storage: Annotated[
        str, typer.Option(help="sqlite:///sweep.db or postgresql://... (default: sweeps.db in the runs folder).")
    ] = "",
    name: Annotated[str, typer.Option(help="Of the sweep (default: made from its content).")] = "",
    ray: Annotated[str | None, typer.Option(help="Train on a Ray cluster: its address, or local.")] = None,
    gpus_per_trial: Annotated[
        float | None, typer.Option(help="With --ray: GPUs, or a part of one, for each trial.")
    ] = None,
    artefacts: Annotated[
        str | None, typer.Option(help="With --ray: URL or path for run folders where machines share none.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try failed trials again.")] = False,
    only_status: Annotated[bool, typer.Option("--status", help="Only say how far it is.")] = False,
    folder: ProgressFolder = None,
    runs_folder: Runs = None,
    as_json: Json = False,
) -> None:
    """Train every point of a space, a run folder each; the same command again goes on where it was interrupted."""
    from tbn.jobs import here
    from tbn.sweep import Report, Sweep, default_storage, run, status

    space, fixed = choices(
        [f"p={p}", *([f"epochs={epochs}"] if epochs else []), *([f"lr={lr}"] if lr else []), *(vary or [])], fix or []
    )
    chosen = Sweep(
        task=task, model=model, space=space, fixed=fixed, method=method, trials=trials, seeds=seeds,
        objectives=tuple(word.strip() for word in objectives.split(",")), prune=prune, threads=threads,
        storage=storage or default_storage(runs_folder), name=name,
    )  # fmt: skip
    if only_status:
        known = status(chosen.storage, chosen.name)
        found = Report(known.attrs["sweep"], known, 0.0)
        emit(as_json, found.to_dict(), text(found))
        return
    engine = None
    folder = folder or here()
    if ray is not None:
        from tbn.sweep.ray_engine import engine as ray_engine

        engine = ray_engine(ray, gpus=gpus_per_trial, artefacts=artefacts)
    elif gpus_per_trial is not None or artefacts is not None:
        raise TBNError("--gpus-per-trial and --artefacts are of --ray", "add --ray local, or leave them out")
    with progress_bar() as listen:
        done = run(
            chosen, runs_folder, workers, engine, lambda event: listen(event | ({"folder": folder} if folder else {})), retry_failed
        )  # fmt: skip
    emit(as_json, done.to_dict(), text(done))


def choices(varied: list[str], fixed: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """NAME=VALUES as (space, fixed); a name with one value is fixed."""
    from tbn.sweep.space import parted

    def named(option: str, item: str) -> tuple[str, str]:
        name, _, value = item.partition("=")
        if not name or not value:
            raise TBNError(f"{option} {item!r} is not NAME=VALUE", "write it as e.g. model_args.width=16,32")
        return name, value

    return parted([named("--vary", item) for item in varied], [named("--set", item) for item in fixed])


def text(report: Report) -> str:
    """The points as a table, then what happened."""
    from tbn.sweep import aggregate

    points = aggregate(report.trials)
    lines = [table(points, report.sweep)] if len(points) else []
    counts = report.trials["state"].value_counts()
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    lines.append(
        f"sweep {report.name} in {report.storage}: {len(report.trials)} trials, {told}; {report.seconds:.0f} s"
    )
    for row in report.trials.to_dict("records"):
        if row["crashes"]:
            times = f"{row['crashes']} time{'s' * (row['crashes'] > 1)}"
            lines.append(f"trial {row['trial']}: its worker died {times}; now {row['state']}")
        if row["state"] == "failed":
            lines.append(f"trial {row['trial']} failed: {row['error']}" + f"; {row['fix']}" * bool(row["fix"]))
    return "\n".join(lines)


def table(points: pd.DataFrame, sweep: Sweep) -> str:
    """A line a point; * stands before those on the front."""
    from tbn import tasks
    from tbn.scores import METRICS
    from tbn.sweep import objectives as aims

    kind = tasks.kind_of(sweep.task)
    shown = points[[*sweep.space]].astype(str)
    shown.insert(0, "", ["*" if on else "" for on in points["on_front"]])
    for name in sweep.objectives:
        measure = METRICS[aims.metric(name, kind)] if aims.is_metric(name) else None
        spread = points[f"{name}_std"].gt(0)
        shown[name] = [
            (measure.text(mean) if measure else f"{mean:,.6g}")
            + (f" ± {measure.text(std) if measure else f'{std:,.3g}'}" if wide else "")
            for mean, std, wide in zip(points[name], points[f"{name}_std"], spread, strict=True)
        ]
    shown["seeds"] = points["seeds"]
    return shown.to_string(index=False)
