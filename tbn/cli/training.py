"""Commands around training: ``train eval summary runs zoo``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from tbn.cli.common import Json, RunName, Runs, emit, progress_bar, stderr
from tbn.errors import TBNError
from tbn.scores import METRICS

app = typer.Typer()


@app.command()
def train(
    task: Annotated[str, typer.Option(help="Task; e.g. fashion_mnist, digits, earthcover, beijing.")] = "fashion_mnist",
    model: Annotated[str, typer.Option(help="Model of the task's kind; e.g. mlp, vit, unet, forecaster_mlp.")] = "mlp",
    p: Annotated[str, typer.Option("--p", help="Tiling factor; 1 = binary weights, 0 = full precision.")] = "4",
    dense: Annotated[bool, typer.Option("--dense", help="Full precision: the same as --p 0.")] = False,
    min_layer_size: Annotated[
        int | None, typer.Option(help="Lambda: smaller layers are binary (default: 64,000; digits 1,000).")
    ] = None,
    alpha: Annotated[str, typer.Option(help="One scale per tile or per layer.")] = "tile",
    alpha_source: Annotated[
        str, typer.Option(help="Scales from a separate tensor (W+A) or the latent weights (W).")
    ] = "separate",
    exclude: Annotated[
        list[str] | None, typer.Option(help="Name pattern of layers that keep full precision; may be given again.")
    ] = None,
    per_layer: Annotated[
        list[str] | None, typer.Option(help="PATTERN=P, a factor of its own for some layers; may be given again.")
    ] = None,
    model_arg: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE for the model, e.g. width=16; may be given again.")
    ] = None,
    alpha_init: Annotated[
        str | None, typer.Option(help="How a separate alpha source starts: default, kaiming_normal or weight.")
    ] = None,
    task_arg: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE for the task, e.g. horizon=24; may be given again.")
    ] = None,
    recipe: Annotated[str, typer.Option(help="Hyper-parameters by name, e.g. adamw, paper_cifar_cnn.")] = "adamw",
    epochs: Annotated[int | None, typer.Option(help="(default: the recipe's)")] = None,
    batch_size: Annotated[int | None, typer.Option(help="(default: the recipe's)")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate (default: the recipe's).")] = None,
    label_smoothing: Annotated[float | None, typer.Option(help="(default: the recipe's)")] = None,
    augment: Annotated[
        str | None, typer.Option(help="Augmentation, e.g. none, crop_flip, flips, scale_shift (default: the recipe's).")
    ] = None,
    accumulate: Annotated[int, typer.Option(help="Parts that a batch is computed in, to save memory.")] = 1,
    ema: Annotated[float, typer.Option(help="Decay of a moving average of the weights, e.g. 0.99; 0 is off.")] = 0.0,
    warm_start: Annotated[
        str | None, typer.Option(help="Start from the weights of this run or .safetensors file.")
    ] = None,
    teacher: Annotated[str | None, typer.Option(help="Learn from this run's outputs, too (distillation).")] = None,
    distillation: Annotated[float, typer.Option(help="Weight of the teacher's outputs, 0 to 1.")] = 0.5,
    temperature: Annotated[float, typer.Option(help="Of the distillation.")] = 2.0,
    seed: Annotated[int, typer.Option(help="Of weights and batches; equal seeds repeat bit for bit on a CPU.")] = 0,
    data: Annotated[str, typer.Option(help="auto, full or embedded.")] = "auto",
    data_root: Annotated[str | None, typer.Option(help="Folder of full data sets (default: $TBN_DATA).")] = None,
    limit: Annotated[
        int | None, typer.Option(help="At most so many training and test samples, for a quick look.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    devices: Annotated[int, typer.Option(help="Processes on each machine; they share each batch.")] = 1,
    nodes: Annotated[int, typer.Option(help="Machines (start with torchrun on each).")] = 1,
    precision: Annotated[str, typer.Option(help="32-true, bf16-mixed, 16-mixed or bf16-true.")] = "32-true",
    runs_folder: Runs = None,
    folder: Annotated[
        Path | None, typer.Option(help="The run's own folder (default: a new one in the runs folder).")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(help="Go on with this interrupted run; all other choices are its own.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a network and leave a run folder."""
    from tbn import train as trainer
    from tbn.config import RunConfig

    with progress_bar() as listener:
        if resume is not None:
            run = trainer.resume(resume, runs_folder, listener=listener)
        else:
            config = RunConfig(
                task=task,
                model=model,
                p=0 if dense else _whole("p", p),
                min_layer_size=min_layer_size,
                alpha=alpha,
                alpha_source=alpha_source,
                exclude=tuple(exclude or ()),
                per_layer=_pairs(per_layer or []),
                alpha_init=alpha_init,
                model_args=_arguments("--model-arg", model_arg or []),
                task_args=_arguments("--task-arg", task_arg or []),
                recipe=recipe,
                epochs=epochs,
                batch_size=batch_size,
                lr=lr,
                label_smoothing=label_smoothing,
                augment=augment,
                accumulate=accumulate,
                ema=ema,
                warm_start=warm_start,
                teacher=teacher,
                distillation=distillation,
                temperature=temperature,
                seed=seed,
                data=data,
                data_root=data_root,
                limit=limit,
                device=device,
                devices=devices,
                nodes=nodes,
                precision=precision,
            )
            run = trainer.fit(config, runs_folder, folder=folder, listener=listener)
    if not trainer.is_first_process():
        return
    result = run.result
    assert result is not None
    size = {key: value for key, value in result["size"].items() if key != "layers"}
    metric = METRICS[result["task"]["metric"]]
    beside = "; ".join(
        f"{name} {metric.text(values[metric.name])}" for name, values in result.get("baselines", {}).items()
    )
    emit(
        as_json,
        {**result, "run": str(run.path), "size": size},
        f"{run.path}\ntest {metric.label} {metric.text(result['metrics'][metric.name])} on the {result['task']['source']}"
        f"{f' (trivial: {beside})' if beside else ''}\n"
        f"weights {size['weight_bytes']:,} bytes, {size['bits_per_weight']:.3f} bits a weight, {size['compression']:.1f}x smaller than fp32, "
        f"trained in {result['seconds']:.0f} s",
    )


def _whole(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise TBNError(
            f"{name}={text} is not a whole number", "use 0 for full precision, 1 for binary, 4 for the paper's default"
        ) from None


def _pairs(items: list[str]) -> dict[str, int]:
    found = {}
    for item in items:
        pattern, equals, factor = item.rpartition("=")
        if not equals:
            raise TBNError(f"--per-layer {item!r} has no factor", "write it as PATTERN=P, e.g. 'conv4=8'")
        found[pattern] = _whole(f"per_layer[{pattern!r}]", factor)
    return found


def _arguments(option: str, items: list[str]) -> dict[str, Any]:
    """NAME=VALUE as keyword arguments; a value is JSON (16, 0.5, true, [64, 32]) or else a word."""
    found: dict[str, Any] = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals or not name.isidentifier():
            raise TBNError(f"{option} {item!r} is not NAME=VALUE", "write it as e.g. width=16 or hidden=[64,32]")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


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
            task=task, model=str(model), p=_whole("p", p), min_layer_size=min_layer_size, alpha=alpha, per_layer=_pairs(per_layer or [])
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


zoo_app = typer.Typer(help="Results that come with the package.", no_args_is_help=True)
app.add_typer(zoo_app, name="zoo")


@zoo_app.command("build")
def zoo_build(
    out: Annotated[Path | None, typer.Option(help="Folder for the entries (default: the package's zoo).")] = None,
    only: Annotated[str, typer.Option(help="Only entries whose name contains this.")] = "",
    jobs: Annotated[int, typer.Option(help="Trainings side by side, one thread each.")] = 1,
    as_json: Json = False,
) -> None:
    """Train the zoo's entries that are missing (delete a folder to train it again)."""
    from tbn.zoo import build

    made = build(out, only, say=lambda line: stderr.print(line, highlight=False), jobs=jobs)
    emit(as_json, {"built": made}, f"{len(made)} entries trained")


@zoo_app.command("table")
def zoo_table() -> None:
    """The zoo as a Markdown table, as in README."""
    from tbn.zoo import table

    print(table())
