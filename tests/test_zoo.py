import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import torch
from safetensors.torch import load_file

import tbn.tasks
from tbn import TBNError, models, runs, zoo
from tbn.build import build
from tbn.config import RunConfig
from tbn.layers import TiledLayer
from tbn.zoo.families import FAMILIES, SEEDS


@pytest.fixture(scope="module")
def arguments():
    """What the models of each task of the zoo are built with."""
    options = {family.task: family.options.get("task_args", {}) for family in FAMILIES}
    return {task: tbn.tasks.create(task, data="embedded", **given).model_arguments for task, given in options.items()}


def test_entries_are_every_family_factor_and_seed():
    entries = zoo.entries()
    assert len(entries) == sum(len(family.factors) * len(SEEDS) for family in FAMILIES)
    assert {(config.task, config.model) for config in entries.values()} == {(f.task, f.model) for f in FAMILIES}
    assert len({json.dumps(config.to_dict(), sort_keys=True) for config in entries.values()}) == len(entries)


def test_every_model_is_in_the_zoo_but_the_larger_resnets_and_that_of_the_front():
    assert set(models.names()) - {family.model for family in FAMILIES} == {"resnet34", "resnet50", "micro_cnn"}


def test_factors_of_a_family_differ_in_nothing_else():
    for family in FAMILIES:
        found = {
            json.dumps({**config.to_dict(), "p": 0, "seed": 0}, sort_keys=True)
            for name, config in zoo.entries().items()
            if name.startswith(f"{family.task}-{family.model}-")
        }
        assert len(found) == 1


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: f"{family.task}-{family.model}")
@pytest.mark.parametrize("p", [4, 8])
def test_most_weights_are_tiled(family, p, arguments):
    with torch.device("meta"):
        model, _ = build(zoo.entries()[family.name(p, 0)], arguments[family.task])
    layers = [module for module in model.modules() if isinstance(module, TiledLayer)]
    weights = {factor: sum(layer.weight.numel() for layer in layers if layer.p == factor) for factor in (1, p)}
    assert weights[p] > sum(weights.values()) / 2
    assert sum(weights.values()) == sum(layer.weight.numel() for layer in layers)  # no layer fell to a divisor of p


def test_folders_are_entries_trained_as_they_say():
    entries = zoo.entries()
    for run in runs.iterate(runs.zoo_root(), zoo=False):
        assert run.id in entries, f"{run.path} is no entry: remove it"
        assert RunConfig.from_dict(run.config) == entries[run.id], f"{run.path} is out of date: train it again"
        assert run.state == "complete"


def test_table_has_a_row_for_each_family():
    factors, families = zoo.table().split("\n\n")
    assert len(factors.splitlines()) == 2 + 6
    rows = families.splitlines()
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows[2:]] == [f"{f.task}, {f.model}" for f in FAMILIES]
    assert {row.count("|") for row in rows} == {9}


def test_table_of_means_and_baselines(tmp_path, monkeypatch):
    for p, seed, mse in ((0, 0, 0.4), (0, 1, 0.5), (4, 0, 0.625)):
        folder = tmp_path / f"appliances-forecaster_mlp-p{p}-s{seed}"
        folder.mkdir()
        config = {"task": "appliances", "model": "forecaster_mlp", "p": p, "seed": seed}
        result = {
            "task": {"metric": "mse", "source": "test"},
            "metrics": {"mse": mse},
            "baselines": {"repeat last": {"mse": 0.75}, "linear": {"mse": 0.5}},
            "size": {"weight_bytes": 32000 if p == 0 else 1000},
            "seconds": 1.0,
            "provenance": {"cpu": "one", "date": "2026"},
        }
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "result.json").write_text(json.dumps(result))
    monkeypatch.setattr(runs, "zoo_root", lambda: tmp_path)
    rows = {row.split(" | ")[0]: row for row in zoo.table().splitlines()}
    assert rows["| appliances, forecaster_mlp"].endswith(
        "| MSE ↓ | 0.500, linear | 0.450 ± 0.050 | - | 0.625 ± 0.000 | - | 32,000 → 1,000 |"
    )
    assert rows["| appliances, forecaster_transformer"].endswith("| 0.500, linear | - | - | - | - | - |")
    assert rows["| beijing, forecaster_mlp"].endswith("| MSE ↓ | - | - | - | - | - | - |")


@pytest.fixture
def two_entries(monkeypatch):
    configs = {
        f"digits-mlp-{method}-s0": RunConfig("digits", "mlp", p=p, epochs=1) for p, method in ((0, "fp32"), (4, "p4"))
    }
    monkeypatch.setattr(zoo, "entries", lambda: configs)
    return configs


def test_build_makes_what_is_missing(two_entries, tmp_path):
    said = []
    assert zoo.build(tmp_path, say=said.append) == list(two_entries)
    assert [line.split(": test accuracy ")[0] for line in said] == list(two_entries)
    files = {folder.name: {file.name for file in folder.iterdir()} for folder in tmp_path.iterdir()}
    common = {"metrics.jsonl", "config.json", "result.json"}
    assert files["digits-mlp-fp32-s0"] == common | {"model.safetensors"}
    assert files["digits-mlp-p4-s0"] == common | {"signals.jsonl", "packed.safetensors"}
    assert zoo.build(tmp_path, say=said.append) == []
    (tmp_path / "digits-mlp-p4-s0" / "result.json").unlink()
    assert zoo.build(tmp_path, only="fp32", say=said.append) == []
    assert zoo.build(tmp_path, only="p4", say=said.append) == ["digits-mlp-p4-s0"]


def test_processes_side_by_side_make_the_same(two_entries, tmp_path):
    said = []
    assert zoo.build(tmp_path / "1", say=said.append) == list(two_entries)
    assert zoo.build(tmp_path / "2", say=said.append, jobs=2) == list(two_entries)
    assert sorted(said[2:]) == said[:2]
    for name, file in (("digits-mlp-fp32-s0", "model.safetensors"), ("digits-mlp-p4-s0", "packed.safetensors")):
        one, two = (load_file(tmp_path / jobs / name / file) for jobs in "12")
        assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize("jobs", [0, True, 1.5])
def test_jobs_that_are_none(jobs):
    with pytest.raises(TBNError, match="use a whole number from 1"):
        zoo.build(jobs=jobs)


def test_an_interrupt_ends_all_processes(tmp_path):
    script = tmp_path / "endless.py"
    script.write_text(
        textwrap.dedent("""
        import os, sys
        from pathlib import Path
        from tbn import zoo
        from tbn.config import RunConfig

        if __name__ == "__main__":
            zoo.entries = lambda: {str(k): RunConfig("digits", "mlp", p=4, epochs=10**6, seed=k) for k in range(3)}
            zoo.build(Path(sys.argv[1]), jobs=2)
        """)
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "out")], env=environment, stderr=subprocess.PIPE
    )
    while len(list(tmp_path.glob("tmp*/*/metrics.jsonl"))) < 2:  # both train
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)  # returns when all who hold the pipe are gone
    assert process.returncode != 0 and b"KeyboardInterrupt" in stderr
    assert not list(tmp_path.glob("tmp*")) and not (tmp_path / "out").exists()
