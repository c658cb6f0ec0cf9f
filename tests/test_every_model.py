"""Every model of the registry, through the command: one epoch on a few samples, then the packed engine with equal outputs."""

import json

import pytest
from safetensors import safe_open

from tbn import models, runs
from tbn.evaluate import evaluate
from tests.models.small import ARGUMENTS
from tests.test_cli import tbn

TASK = {  # the quickest task of each kind
    "images": ["--task", "digits", "--limit", "96"],
    "segmentation": ["--task", "earthcover", "--limit", "24"],
    "points": ["--task", "sweethome", "--limit", "48"],
    "parts": ["--task", "kicad_parts", "--limit", "48"],
    "scenes": ["--task", "composed_rooms", "--limit", "48", "--task-arg", "points=128"],
    "forecasting": ["--task", "beijing", "--limit", "256", "--task-arg", "lookback=48", "--task-arg", "horizon=12"],
}


@pytest.mark.parametrize("model", models.names())
def test_one_epoch_and_equal_packed_outputs(model, capsys, runs_folder):
    kind = models.kind_of(model)
    arguments = [
        part for name, value in ARGUMENTS[model].items() for part in ("--model-arg", f"{name}={json.dumps(value)}")
    ]
    code, out, _ = tbn(
        capsys, "train", "--model", model, *TASK[kind], *arguments, "--epochs", 1, "--batch-size", 16, "--min-layer-size", 512, "--json"
    )  # fmt: skip
    answer = json.loads(out)
    assert code == 0, answer
    run = runs.Run(runs_folder / answer["run"].split("/")[-1])
    assert answer["task"]["kind"] == kind and answer["task"]["metric"] in answer["metrics"] and answer["baselines"]
    assert all(answer["task"]["metric"] in scores for scores in answer["baselines"].values())
    found = evaluate(run.path, "packed")
    assert found.reference == "latent" and found.max_relative_difference < 1e-5
    assert found.score == pytest.approx(answer["metrics"][found.metric], rel=1e-3, abs=2e-3)
    with safe_open(run.path / "packed.safetensors", framework="pt") as file:
        stored = sum(file.get_tensor(key).nbytes for key in file.keys())  # noqa: SIM118
    assert stored == answer["size"]["total_bytes"]
    assert any(layer["status"] == "tiled" for layer in run.result["size"]["layers"])
