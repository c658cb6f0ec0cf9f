"""``tbn train``: every option of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tbn.cli.common import Json, Runs, TaskName, emit, progress_bar
from tbn.cli.options import arguments, pairs, whole
from tbn.scores import METRICS

app = typer.Typer()


@app.command()
def train(
    task: TaskName = "fashion_mnist",
    model: Annotated[str, typer.Option(help="Model of the task's kind; e.g. mlp, vit, unet, forecaster_mlp.")] = "mlp",
    p: Annotated[str, typer.Option("--p", help="Tiling factor; 1 = binary weights, 0 = full precision.")] = "4",
    dense: Annotated[bool, typer.Option("--dense", help="Full precision: the same as --p 0.")] = False,
    min_layer_size: Annotated[
        int | None, typer.Option(help="Lambda: smaller layers are binary (default: 64,000; digits 1,000).")
    ] = None,
    alpha: Annotated[str, typer.Option(help="One scale per tile or per layer.")] = "tile",
    alpha_source: Annotated[
        str, typer.Option(help="Scales from a separate tensor (W+A), the latent weights (W: latent), or learned.")
    ] = "separate",
    order: Annotated[
        str, typer.Option(help="Where the blocks of a weight lie: rows, interleaved, inputs or rolled.")
    ] = "rows",
    estimator: Annotated[
        str, typer.Option(help="What of the gradient reaches latent weights: identity, tile, clip, hat or reste.")
    ] = "identity",
    standardise: Annotated[
        bool, typer.Option("--standardise", help="Each output's latent weights get mean 0 and deviation 1.")
    ] = False,
    progressive: Annotated[
        float, typer.Option(help="Share of the epochs over which p is raised from 1, e.g. 0.6; 0 is off.")
    ] = 0.0,
    norm_batches: Annotated[
        int, typer.Option(help="Batches that re-estimate the BatchNorms at the end, e.g. 50; 0 is off.")
    ] = 0,
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
                p=0 if dense else whole("p", p),
                min_layer_size=min_layer_size,
                alpha=alpha,
                alpha_source=alpha_source,
                order=order,
                estimator=estimator,
                standardise=standardise,
                progressive=progressive,
                norm_batches=norm_batches,
                exclude=tuple(exclude or ()),
                per_layer=pairs(per_layer or []),
                alpha_init=alpha_init,
                model_args=arguments("--model-arg", model_arg or []),
                task_args=arguments("--task-arg", task_arg or []),
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
