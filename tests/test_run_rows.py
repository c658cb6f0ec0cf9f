"""Rows of the frame of runs: what sets configurations apart, folds, and that only what changed is read again."""

import json
import os
from pathlib import Path

import pytest

from tbn import run_rows, runs
from tbn.run_rows import setup_of

PLAIN = {"task": "digits", "model": "mlp", "p": 4, "seed": 0, "epochs": 3, "recipe": "adamw", "lr": 0.002, "batch_size": 64, "device": "cpu",
         "alpha_init": "default", "augment": "none", "label_smoothing": 0.0, "model_args": {}, "exclude": [], "order": "rows"}  # fmt: skip

CIFAR = {
    "recipe": "paper_cifar_cnn",
    "lr": 0.1,
    "batch_size": 128,
    "augment": "crop_flip",
    "alpha_init": "kaiming_normal",
}
SIZES = ("weight_bytes", "total_bytes", "fp32_bytes", "bits_per_weight", "compression", "macs_computed", "macs_dense")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, ""),
        ({"seed": 5, "device": "cuda", "data_root": "/there"}, ""),
        ({"model_args": {"width": 16, "hidden": [64, 32]}}, "hidden=[64,32], width=16"),
        ({"lr": 0.01, "ema": 0.99}, "lr=0.01, ema=0.99"),
        (CIFAR, "recipe=paper_cifar_cnn"),
        ({"teacher": "/runs/digits-mlp-fp32-s1-20261123-101112"}, "teacher digits-mlp-fp32"),
        ({"warm_start": "digits-mlp-fp32-s0", "alpha_init": "weight"}, "warm start digits-mlp-fp32"),
        ({"task_args": {"fold": 3, "points": 512}}, "points=512"),
        ({"quantised": True, "per_layer": {"fc1": 8}}, "quantised, fc1=8"),
        ({"order": "rolled"}, "order=rolled"),
    ],
)
def test_what_sets_a_configuration_apart(more, words):
    assert setup_of(PLAIN | more) == words


def write(folder: Path, source: str = "embedded", **config: object) -> None:
    result = {
        "size": dict.fromkeys(SIZES, 1),
        "provenance": {"cpu": "c", "date": "d"},
        "metrics": {"accuracy": 0.5},
        "seconds": 1,
        "baselines": {"m": {"accuracy": 0.1}},
        "task": {"source": source, "metric": "accuracy"},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(PLAIN | config))
    (folder / "result.json").write_text(json.dumps(result))


def test_folds_are_seeds_of_one_configuration(tmp_path):
    for fold in range(2):
        source = f"embedded set, fold {fold} of 4: {255 + fold} training and {85 - fold} test shapes, too few to rank methods by one fold"
        write(tmp_path / f"r{fold}", source, seed=fold, task_args={"fold": fold})
    table = runs.frame(tmp_path, zoo=False)
    assert (
        set(table["data_source"]) == {"embedded set, 4 folds"}
        and list(table["fold"]) == [0, 1]
        and set(table["setup"]) == {""}
    )
    assert table["metrics"][0] == {"accuracy": 0.5} and table["baselines"][0] == {"m": {"accuracy": 0.1}}


def test_a_folder_is_read_again_when_its_files_change(tmp_path, monkeypatch):
    for name in "abc":
        write(tmp_path / name)
    before = run_rows.stamp(tmp_path)
    assert list(runs.frame(tmp_path, zoo=False)["p"]) == [4, 4, 4] and run_rows.stamp(tmp_path) == before
    read = []
    real = run_rows.read_json
    monkeypatch.setattr(run_rows, "read_json", lambda path: read.append(str(path)) or real(path))
    write(tmp_path / "b", p=8)
    os.utime(tmp_path / "b" / "config.json", ns=(1, 1))
    assert list(runs.frame(tmp_path, zoo=False)["p"]) == [4, 8, 4]
    assert {Path(path).parent.name for path in read} == {"b"} and run_rows.stamp(tmp_path) != before
    (tmp_path / "c" / "result.json").unlink()
    assert list(runs.frame(tmp_path, zoo=False)["state"]) == ["complete", "complete", "interrupted"]
    (tmp_path / "a" / "result.json").write_text("{")
    assert list(runs.frame(tmp_path, zoo=False)["state"]) == ["broken", "complete", "interrupted"]
