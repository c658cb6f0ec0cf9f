"""A run goes on as an integer network: the new run is whole, its packed file holds the ranges, its score is the integer reference's."""

import json

import numpy as np
import pytest
from torch import nn

import tbn
from tbn import TBNError, artifact, runs
from tbn.evaluate import evaluate
from tbn.integer import quantise, run
from tbn.integer.training import fine_tune, measured
from tbn.restore import deployed_model, task_of
from tests.test_cli import tbn as command


@pytest.fixture(scope="module")
def tuned(trained, tmp_path_factory):
    said = []
    made = fine_tune(trained["cnn"], 2, folder=tmp_path_factory.mktemp("tuned") / "run", listener=said.append)
    return made, said


def test_a_run_folder_like_any_other(tuned, trained):
    made, said = tuned
    before = runs.Run(trained["cnn"])
    assert made.state == "complete" and list(made.metrics()["epoch"]) == [1, 2] and said[-1]["fraction"] == 1
    assert made.config["warm_start"] == before.id and made.config["quantised"] is True
    assert made.config["lr"] == pytest.approx(before.config["lr"] / 10)
    assert evaluate(made.path, "packed").reference == "latent"
    assert made.result["size"] == before.result["size"] and made.result["seconds"] > before.result["seconds"]
    with pytest.raises(TBNError, match="already holds a run"):
        fine_tune(trained["cnn"], 1, folder=made.path)


def test_the_packed_file_holds_the_ranges_and_the_result_the_integer_score(tuned):
    made, _ = tuned
    model, task = deployed_model(made), task_of(made)
    assert set(model.tbn_ranges) == {"conv1", "conv2", "conv3", "conv4", "average"}
    network = quantise(model, task, model.tbn_ranges)
    assert [tensor.name for tensor in network.tensors if tensor.name in model.tbn_ranges] == [
        "conv1",
        "conv2",
        "conv3",
        "conv4",
        "average",
    ]
    whole = made.result["integer"]
    right = np.mean(run(network, task.test_inputs).argmax(1) == task.test_targets)
    assert whole["accuracy"] == pytest.approx(right) and whole["samples"] == 360
    assert whole["bytes"] == sum(array.nbytes for _, _, array in network.arrays()) == sum(whole["parts"].values())
    assert abs(whole["accuracy"] - made.result["metrics"]["accuracy"]) < 0.02
    assert measured(network, task, 50)["samples"] == 50


def test_ranges_survive_the_file(tuned, tmp_path):
    made, _ = tuned
    model = deployed_model(made)
    artifact.save(model, tmp_path / "again.safetensors")
    assert artifact.load(tmp_path / "again.safetensors").tbn_ranges == model.tbn_ranges


def test_the_command(trained, capsys, tmp_path):
    code, out, _ = command(capsys, "quantise", trained["cnn"], "--epochs", 1, "--folder", tmp_path / "run", "--json")
    answer = json.loads(out)
    assert code == 0 and answer["integer"]["bytes"] == sum(answer["integer"]["parts"].values())
    assert runs.Run(tmp_path / "run").state == "complete"


def test_what_cannot_be_fine_tuned(trained, tmp_path):
    with pytest.raises(TBNError, match="is full precision; choose a run with p of at least 1"):
        fine_tune(trained["fp32"])
    entry = next(found for found in runs.iterate(runs.zoo_root(), zoo=False) if found.config["p"])
    with pytest.raises(TBNError, match="keeps no latent weights"):
        fine_tune(entry.path)
    with pytest.raises(TBNError, match="epochs=0 is not a whole number"):
        fine_tune(trained["cnn"], 0, folder=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_model_without_ranges_has_none(tmp_path):
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 4))
    tbn.tile_(model, tbn.TilingConfig(p=2, min_layer_size=0))
    tbn.save(tbn.freeze(model), tmp_path / "m.safetensors")
    assert "ranges" not in artifact.read(tmp_path / "m.safetensors")[1]
