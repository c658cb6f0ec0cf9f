"""What the training loop promises: equal losses however a batch is shared out, averages, teachers, warm starts."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from tbn import TBNError, runs, train
from tbn.config import RunConfig
from tbn.evaluate import evaluate
from tbn.loop import learning_rate

DIGITS = {"task": "digits", "model": "mlp", "p": 4, "epochs": 2}
# Rounding must not be amplified: 64 bits, so that it turns no sign of a tile; SGD, for Adam divides by the gradient's own size; GELU, for binary
# weights and pixels of 1/16 often sum to exactly 0, the kink of a ReLU.
EXACT = {
    "task": "digits", "model": "vit", "p": 4, "epochs": 2, "min_layer_size": 512, "limit": 300, "recipe": "paper_cifar_cnn", "lr": 0.02,
    "augment": "none", "precision": "64-true", "batch_size": 64, "model_args": {"dim": 16, "depth": 1, "heads": 2, "hidden": 32},
}  # fmt: skip


def losses(run: runs.Run) -> list[float]:
    return [
        row[name]
        for row in runs.read_lines(run.path / "metrics.jsonl")
        for name in ("train_loss", "test_loss", "test_accuracy")
    ]


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> runs.Run:
    return train.fit(RunConfig(**EXACT), folder=tmp_path_factory.mktemp("exact") / "run")


def test_two_processes_give_the_losses_of_one(exact, tmp_path):
    plain = {name: value for name, value in EXACT.items() if name != "model_args"}
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in plain.items()]
    arguments += [f"--model-arg={name}={value}" for name, value in EXACT["model_args"].items()]
    command = [
        sys.executable,
        "-m",
        "tbn",
        "train",
        *arguments,
        "--devices=2",
        f"--folder={tmp_path / 'run'}",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)  # one object: the other process keeps silent
    run = runs.Run(tmp_path / "run")
    assert answer["run"] == str(run.path) and run.config["devices"] == 2
    assert losses(run) == pytest.approx(losses(exact), rel=1e-6)
    first, second = (load_file(found.path / "model.safetensors") for found in (run, exact))
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-6, atol=1e-7)


def test_an_error_of_several_processes_is_said_once(tmp_path):
    command = [
        sys.executable,
        "-m",
        "tbn",
        "train",
        "--task=digits",
        "--devices=2",
        "--p=0",
        "--lr=1e30",
        f"--folder={tmp_path / 'run'}",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and "training loss is" in json.loads(done.stdout)["error"]
    assert done.stderr.count("error: the training loss is") == 1
    assert runs.Run(tmp_path / "run").state == "failed"


def test_a_batch_in_parts_gives_the_losses_of_the_whole(exact, tmp_path):
    parts = train.fit(RunConfig(**EXACT, accumulate=5), folder=tmp_path / "run")
    assert losses(parts) == pytest.approx(losses(exact), rel=1e-6)


def test_a_moving_average_is_what_is_tested_and_kept(tmp_path):
    plain, averaged = (train.fit(RunConfig(**DIGITS, ema=ema), folder=tmp_path / f"{ema}") for ema in (0.0, 0.9))
    rows = [runs.read_lines(run.path / "metrics.jsonl")[-1] for run in (plain, averaged)]
    assert rows[0]["train_loss"] == rows[1]["train_loss"] and rows[0]["test_loss"] != rows[1]["test_loss"]
    assert evaluate(averaged.path, "latent").score == averaged.result["metrics"]["accuracy"]
    assert evaluate(averaged.path, "packed").max_relative_difference < 1e-5


def test_a_warm_start_begins_where_the_dense_network_stands(tmp_path):
    dense = train.fit(RunConfig(**(DIGITS | {"p": 0, "epochs": 10})), folder=tmp_path / "dense")
    cold, warm = (
        train.fit(RunConfig(**DIGITS, warm_start=start), folder=tmp_path / name)
        for name, start in (("cold", None), ("warm", str(dense.path)))
    )
    first = [runs.read_lines(run.path / "metrics.jsonl")[0]["train_loss"] for run in (cold, warm)]
    assert first[1] < 0.8 * first[0]


def test_a_teacher_pulls_the_outputs_to_its_own(tmp_path):
    teacher = train.fit(RunConfig(**(DIGITS | {"p": 0, "epochs": 10})), folder=tmp_path / "teacher")
    student = RunConfig(**DIGITS, teacher=str(teacher.path), distillation=1.0)
    run = train.fit(student, folder=tmp_path / "student")
    assert run.result["metrics"]["accuracy"] > 0.5  # from the teacher's outputs alone
    other = RunConfig(
        task="beijing", model="forecaster_mlp", epochs=1, limit=64, min_layer_size=1000, teacher=str(teacher.path)
    )
    with pytest.raises(
        TBNError, match="the teacher .* is for task 'digits', this run for 'beijing'; name a run of 'beijing'"
    ):
        train.fit(other, folder=tmp_path / "wrong")
    assert not (tmp_path / "wrong").exists()


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_bf16_trains_and_is_kept_in_fp32(precision, tmp_path):
    run = train.fit(RunConfig(**DIGITS, precision=precision), folder=tmp_path / "run")
    assert run.result["metrics"]["accuracy"] > 0.4
    assert {tensor.dtype for tensor in load_file(run.path / "model.safetensors").values()} == {torch.float32}
    assert evaluate(run.path, "packed").max_relative_difference < 1e-5


def test_the_feature_transforms_penalty_is_learned(tmp_path, monkeypatch):
    from tbn.models import pointnet

    calls = []
    penalty = pointnet.PointNet.penalty
    monkeypatch.setattr(pointnet.PointNet, "penalty", lambda self: calls.append(1) or penalty(self))
    config = RunConfig(
        task="sweethome",
        model="pointnet_cls",
        model_args={"width": 8},
        limit=32,
        epochs=1,
        batch_size=16,
        min_layer_size=512,
    )
    train.fit(config, folder=tmp_path / "run")
    assert len(calls) == 2


def test_schedules():
    config = RunConfig(**(DIGITS | {"epochs": 10}))
    rates = [learning_rate(config, step, 100) for step in range(100)]
    assert (
        rates[0] == pytest.approx(config.lr / 10)
        and max(rates) == pytest.approx(config.lr)
        and rates[-1] < config.lr / 100
    )
    step = RunConfig(**(DIGITS | {"epochs": 12, "recipe": "paper_mcu"}))
    assert [learning_rate(step, k * 10, 120) for k in (0, 3, 4, 8, 11)] == [1, 1, 0.75, 0.75**2, 0.75**2]
    cold = RunConfig(**(DIGITS | {"recipe": "paper_cifar_cnn"}))
    assert learning_rate(cold, 0, 100) == pytest.approx(0.1)  # no warm-up
