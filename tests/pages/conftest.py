"""An app with a runs folder of its own, empty or with runs that follow the run folder's contract."""

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tbn import runs

ROOT = Path(__file__).parents[2]
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
    root: Path, p: int, seed: int = 0, score: float = 0.8, task: str | None = None, kind: str = "images"
) -> Path:
    """A finished run with tiling factor p: of the 784-128-10 network, or of a network for another kind of task."""
    usual, model, metrics, baselines = RESULTS[kind]
    task = task or usual
    folder = root / f"{task}-{model}-{p}-s{seed}"
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
    for name, shape in LAYERS[model]:
        weights = math.prod(shape)
        factor = min(p, 1) if weights < 64000 else p
        bits, alphas = (32 * weights, 0) if factor == 0 else (weights // factor, 32 * factor)
        layers.append({
            "name": name, "kind": "conv2d" if len(shape) == 4 else "linear", "shape": list(shape), "weights": weights, "p": factor,
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


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty runs folder, and no zoo."""
    monkeypatch.setenv("TBN_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("TBN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(runs, "zoo_root", lambda: tmp_path / "zoo")
    monkeypatch.chdir(ROOT)
    return tmp_path / "runs"


@pytest.fixture
def add_run(folder: Path) -> Callable[..., Path]:
    """Write a finished run into the runs folder: ``add_run(p, seed, score, task, kind)``."""
    return partial(write_run, folder)


@pytest.fixture
def trained(folder: Path) -> Path:
    """A runs folder with fp32, binary and tiled runs of two seeds."""
    for p, accuracy in ((0, 0.88), (1, 0.86), (4, 0.84), (8, 0.80)):
        for seed in (0, 1):
            write_run(folder, p, seed, accuracy + seed / 100)
    return folder


@pytest.fixture
def open_page() -> Callable[..., AppTest]:
    """Open the app at a page, with query parameters; fails on any exception that a page lets through."""

    def go(page: str = "", **query: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30)
        for name, value in query.items():
            app.query_params[name] = value
        app.run()
        if page:
            app.switch_page(page).run()
        assert not app.exception, app.exception[0].value
        return app

    return go
