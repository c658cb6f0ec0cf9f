"""Run folders that follow the run folder's contract, without any training: for tests of pages, and for timing them."""

import json
import math
from itertools import product
from pathlib import Path
from typing import Any

LAYERS = {
    "mlp": (("fc1", (128, 784)), ("head", (10, 128))),
    "unet": (("down1.conv", (64, 32, 3, 3)), ("middle.conv", (128, 64, 3, 3)), ("head", (5, 32, 1, 1))),
    "forecaster_mlp": (("fc1", (512, 672)), ("head", (672, 512))),
}
RESULTS = {  # of a kind's run: its task, model, all its metrics, and a trivial baseline
    "images": ("fashion_mnist", "mlp", ("accuracy",), {"majority class": {"accuracy": 0.1}}),
    "segmentation": ("earthcover", "unet", ("mean_iou", "accuracy"), {"majority class": {"mean_iou": 0.071, "accuracy": 0.355}}),
    "forecasting": ("beijing", "forecaster_mlp", ("mse", "mae"), {"repeat last": {"mse": 0.852, "mae": 0.61}, "seasonal": {"mse": 0.9, "mae": 0.6}}),
}  # fmt: skip


def write_run(
    root: Path,
    p: int,
    seed: int = 0,
    score: float = 0.8,
    task: str | None = None,
    kind: str = "images",
    name: str | None = None,
) -> Path:
    """A finished run with tiling factor p: of the 784-128-10 network, or of a network for another kind of task."""
    usual, model, metrics, baselines = RESULTS[kind]
    task = task or usual
    folder = root / (name or f"{task}-{model}-{p}-s{seed}")
    folder.mkdir(parents=True)
    config = {
        "task": task,
        "model": model,
        "p": p,
        "alpha": "tile",
        "alpha_source": "separate",
        "min_layer_size": 64000,
        "seed": seed,
        "epochs": 2,
    }
    layers: list[dict[str, Any]] = []
    for layer_name, shape in LAYERS[model]:
        weights = math.prod(shape)
        factor = min(p, 1) if weights < 64000 else p
        bits, alphas = (32 * weights, 0) if factor == 0 else (weights // factor, 32 * factor)
        layers.append({
            "name": layer_name, "kind": "conv2d" if len(shape) == 4 else "linear", "shape": list(shape), "weights": weights, "p": factor,
            "q": weights // max(factor, 1), "status": {0: "fp32", 1: "binary"}.get(factor, "tiled"), "tile_bits": bits, "alpha_bits": alphas,
            "weight_bits": bits + alphas, "bytes": (bits + alphas) // 8, "bits_per_weight": (bits + alphas) / weights,
            "macs_dense": weights, "macs_computed": weights // max(factor, 1),
        })  # fmt: skip
    total = {
        name: sum(layer[name] for layer in layers) for name in ("weights", "weight_bits", "macs_dense", "macs_computed")
    }
    size = {
        **total, "weight_bytes": total["weight_bits"] // 8, "fp32_bytes": 4 * total["weights"],
        "other_bytes": 0, "total_bytes": total["weight_bits"] // 8,
        "bits_per_weight": total["weight_bits"] / total["weights"], "compression": 32 * total["weights"] / total["weight_bits"], "layers": layers,
    }  # fmt: skip
    lines = [
        {"epoch": e, "train_loss": 1 / e, "test_loss": 1 / e, "lr": 0.1, "seconds": 1}
        | {f"train_{name}": 0.5 for name in metrics}
        | {f"test_{name}": score for name in metrics}
        for e in (1, 2)
    ]
    signals = [
        {"epoch": e, "layers": {
            layer["name"]: {"flip_ratio": 0.02 / e, "balance": 0.01, "alphas": [1] * layer["p"], "alpha_low": 0.1, "alpha_high": 0.2}
            for layer in layers}}
        for e in (1, 2)
    ]  # fmt: skip
    result = {
        "run": folder.name, "task": {"name": task, "source": "embedded 5,000/1,000", "metric": metrics[0]}, "model": model, "size": size,
        "seconds": 2.0, "metrics": {"loss": 0.5, **dict.fromkeys(metrics, score), f"train_{metrics[0]}": 0.4}, "baselines": baselines,
        "provenance": {"date": "2026-11-23T00:00:00+00:00", "machine": "Linux", "cpu": "a processor"},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if p:
        (folder / "signals.jsonl").write_text("".join(json.dumps(line) + "\n" for line in signals))
    (folder / "result.json").write_text(json.dumps(result))
    return folder


def write_many(root: Path, count: int = 2000) -> None:
    """So many finished runs of one task: 8 factors, 5 least sizes, 2 alphas, and as many seeds as it takes."""
    settings = product(range(count), (0, 1, 2, 4, 8, 16, 32, 64), (1000, 4000, 16000, 64000, 100000), ("tile", "layer"))
    for k, (seed, p, least, alpha) in zip(range(count), settings, strict=False):
        score = 0.9 - 0.01 * math.log2(p + 1) - 0.005 * (alpha == "layer") - 1e-8 * least + 0.003 * math.sin(7 * k)
        folder = write_run(root, p, seed, score, name=f"run-{k:04d}")
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"min_layer_size": least, "alpha": alpha}))


def break_runs(root: Path) -> None:
    """One whole run, and folders broken in every way that a crash, a full disk or a curious hand leaves behind."""
    write_run(root, 4)
    for name, file, text in (
        ("cut", "result.json", "{"),
        ("empty", "result.json", ""),
        ("list", "config.json", "[]"),
        ("strange", "config.json", json.dumps({"task": "no_such_task", "model": "no_such_model", "p": 3})),
        ("bytes", "packed.safetensors", "no safetensors"),
        ("latent", "model.safetensors", "no safetensors"),
        ("curve", "metrics.jsonl", "{\n\x00"),
        ("signals", "signals.jsonl", "[]\n{}\nnull\n"),
        ("job", "job.json", "{"),
        ("progress", "progress.json", "null"),
    ):
        folder = write_run(root, 8, name=f"broken_{name}")
        (folder / file).write_text(text)
    half = root / "broken_half"
    half.mkdir()
    (half / "config.json").write_text(json.dumps({"task": "digits", "model": "mlp", "p": 2}))
    poor = write_run(root, 2, name="broken_poor")
    (poor / "result.json").write_text(json.dumps({"run": "broken_poor", "size": {}, "metrics": {}}))
    (root / "broken_file").write_text("a file where folders are")
