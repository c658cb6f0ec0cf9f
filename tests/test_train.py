import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from tbn import TBNError, runs, train
from tbn.config import RunConfig

DIGITS = {"task": "digits", "model": "mlp", "p": 4, "epochs": 2}


def weights(run: runs.Run) -> dict[str, torch.Tensor]:
    return load_file(run.path / "model.safetensors")


def same(a: runs.Run, b: runs.Run) -> bool:
    first, second = weights(a), weights(b)
    return set(first) == set(second) and all(torch.equal(first[key], second[key]) for key in first)


def test_a_run_folder_holds_everything(trained):
    run = runs.Run(trained["tiled"])
    names = {path.name for path in run.path.iterdir() if path.name not in (".lock", "firmware")}  # other tests flash it
    assert names == {
        "config.json",
        "metrics.jsonl",
        "result.json",
        "signals.jsonl",
        "model.safetensors",
        "packed.safetensors",
        "log.txt",
    }
    assert run.metrics().columns.tolist() == [
        "epoch",
        "train_loss",
        "train_accuracy",
        "test_loss",
        "test_accuracy",
        "lr",
        "seconds",
    ]
    assert run.result["metrics"]["accuracy"] == run.metrics()["test_accuracy"].iloc[-1] > 0.7
    assert "embedded subset" in run.result["task"]["source"] and "embedded subset" in (run.path / "log.txt").read_text()
    assert run.result["size"]["weight_bytes"] == 3316


def test_a_seed_repeats_bit_for_bit_and_another_does_not(tmp_path):
    a, b, c = (train.fit(RunConfig(**DIGITS, seed=seed), tmp_path) for seed in (3, 3, 4))
    assert same(a, b) and not same(a, c)
    assert [line | {"seconds": 0} for line in runs.read_lines(a.path / "metrics.jsonl")] == [
        line | {"seconds": 0} for line in runs.read_lines(b.path / "metrics.jsonl")
    ]


def test_killed_in_mid_epoch_then_resumed_gives_the_same_bits(tmp_path):
    whole = train.fit(RunConfig(**(DIGITS | {"epochs": 3, "ema": 0.9})), tmp_path / "whole")
    folder = tmp_path / "killed"
    command = [
        sys.executable,
        "-m",
        "tbn",
        "train",
        "--task",
        "digits",
        "--epochs",
        "3",
        "--ema",
        "0.9",
        "--folder",
        str(folder),
        "--json",
    ]
    code = f"""
import sys, time
from tbn import loop, train
step, steps = loop._step, []
def slow(*arguments):
    steps.append(1)
    if len(steps) == 2 * 23 + 11:  # 23 steps an epoch
        print("in the third epoch", flush=True)
        time.sleep(60)
    return step(*arguments)
loop._step = slow
sys.argv = ["tbn", *{command[3:]!r}]
from tbn.cli import main
main()
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "in the third epoch\n"
    assert runs.Run(folder).state == "running"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    run = runs.Run(folder)
    assert run.state == "interrupted" and run.result is None and len(run.metrics()) == 2
    resumed = train.resume(folder)
    assert resumed.state == "complete" and same(whole, resumed) and len(resumed.metrics()) == 3
    assert train.resume(folder).path == folder  # a complete run is returned as it is


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_leaves_a_resumable_folder_and_status_130(tmp_path, number):
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "tbn", "train", "--task", "digits", "--epochs", "2000", "--folder", str(folder)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for _ in range(600):
        if (folder / "metrics.jsonl").exists():
            break
        time.sleep(0.1)
    process.send_signal(number)
    _, text = process.communicate(timeout=30)
    assert process.returncode == 130 and "tbn train --resume" in text
    assert runs.Run(folder).state == "interrupted"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"task": "nope"}, "unknown task 'nope'; choose one of fashion_mnist"), ({"model": "nope"}, "unknown model 'nope'; choose one of mlp"),
     ({"p": 0.5}, "p=0.5 is not a whole number"), ({"p": -1}, "p=-1"), ({"epochs": 0}, "epochs=0"), ({"lr": -1.0}, "lr=-1.0 is not a positive"),
     ({"recipe": "magic"}, "unknown recipe"), ({"seed": -1}, "seed=-1"), ({"alpha": "row"}, "alpha='row' is unknown"),
     ({"device": "tpu"}, "device 'tpu' is not on this machine"), ({"model": "unet"}, "'unet' is for tasks of kind segmentation.*use mlp, cnn"),
     ({"precision": "8-bit"}, "precision='8-bit' is unknown; choose one of 32-true"), ({"ema": 1.0}, "ema=1.0 is not a number from 0 to 0.99999"),
     ({"accumulate": 0}, "accumulate=0 is not a whole number of at least 1"), ({"temperature": 0}, "temperature=0 is not a positive"),
     ({"distillation": 1.5}, "distillation=1.5"), ({"label_smoothing": -0.1}, "label_smoothing=-0.1")],
)  # fmt: skip
def test_bad_configurations(arguments, message):
    with pytest.raises(TBNError, match=message):
        RunConfig(**(DIGITS | arguments))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"min_layer_size": 10**6}, "p=4 tiles nothing: the largest layer 'fc1' has 8,192 weights.*--min-layer-size 8192"),
     ({"p": 10**5, "min_layer_size": 0}, "p=100000 is larger than the 8192 weights of 'fc1'"),
     ({"model_args": {"depth": 3}}, "unexpected keyword argument 'depth'"), ({"data": "some"}, "use auto, full or embedded"),
     ({"model_args": {"classes": 5}}, "classes is 10 by the task 'digits'; leave classes out"),
     ({"task_args": {"horizon": 5}}, "task 'digits'.*unexpected keyword argument 'horizon'"),
     ({"augment": "flips"}, "augment='flips' does not fit tasks of kind images; choose one of none, crop"),
     ({"devices": 9, "batch_size": 4}, "a batch of 4 cannot be shared out over 9 processes")],
)  # fmt: skip
def test_refused_before_a_folder_is_made(arguments, message, tmp_path):
    with pytest.raises(TBNError, match=message):
        train.fit(RunConfig(**(DIGITS | arguments)), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_divergence_is_an_error_with_its_fix(tmp_path):
    with pytest.raises(TBNError, match=r"training loss is (nan|inf) in epoch 1; lower the learning rate"):
        train.fit(RunConfig(**(DIGITS | {"p": 0, "lr": 1e30})), folder=tmp_path / "run")
    run = runs.Run(tmp_path / "run")
    assert run.state == "failed" and "lower the learning rate" in run.error["fix"]


def test_disk_full_in_mid_training(tmp_path, monkeypatch):
    calls = []
    real = os.fsync

    def full(fd: int) -> None:
        calls.append(fd)
        if len(calls) > 3:  # config, metrics and checkpoint of epoch 1 fit
            raise OSError(28, "No space left on device")
        real(fd)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TBNError, match=r"No space left on device; free some space"):
        train.fit(RunConfig(**DIGITS), folder=tmp_path / "run")
    monkeypatch.undo()
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".") and path.name != ".lock"]
    assert runs.Run(tmp_path / "run").state == "interrupted"
    assert same(train.resume(tmp_path / "run"), train.fit(RunConfig(**DIGITS), tmp_path))


def test_a_folder_with_a_run_is_not_overwritten(trained):
    before = json.loads((trained["tiled"] / "config.json").read_text())
    with pytest.raises(TBNError, match="already holds a run; go on with tbn train --resume"):
        train.fit(RunConfig(**DIGITS), folder=trained["tiled"])
    assert json.loads((trained["tiled"] / "config.json").read_text()) == before


def test_two_processes_cannot_train_one_run(trained, tmp_path):
    import shutil

    from filelock import FileLock

    shutil.copytree(trained["tiled"], tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    with (
        FileLock(tmp_path / "run" / ".lock"),
        pytest.raises(TBNError, match="is being trained by another process; wait"),
    ):
        train.resume(tmp_path / "run")
