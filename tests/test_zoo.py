import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from importlib import import_module

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import tbn
import tbn.tasks
from tbn import TBNError, models, runs, zoo
from tbn.build import build
from tbn.config import RunConfig
from tbn.layers import TiledLayer
from tbn.zoo import check, results
from tbn.zoo.families import FAMILIES, Family


@pytest.fixture(scope="module")
def arguments():
    """What the models of each task of the zoo are built with."""
    options = {family.task: family.options.get("task_args", {}) for family in FAMILIES if not family.full}
    found = {task: tbn.tasks.create(task, data="embedded", **given).model_arguments for task, given in options.items()}
    return found | {"mnist": found["fashion_mnist"]}  # the same shapes; it does not come along


@pytest.fixture(scope="module")
def rows():
    return results.entries()


def test_entries_are_every_family_version_and_seed():
    entries = zoo.entries()
    assert len(entries) == sum(len(family.versions()) * len(family.seeds) for family in FAMILIES)
    assert {(config.task, config.model) for config in entries.values()} == {(f.task, f.model) for f in FAMILIES}
    assert len({json.dumps(config.to_dict(), sort_keys=True) for config in entries.values()}) == len(entries)


def test_every_model_is_in_the_zoo_but_the_larger_resnets():
    assert set(models.names()) - {family.model for family in FAMILIES} == {"resnet34", "resnet50"}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.title)
def test_versions_of_a_family_differ_in_what_they_say_and_nothing_else(family):
    entries = zoo.entries()
    for name, version, seed in family.entries():
        named = {"seed", "fold"} | set(family.versions()[version])
        plain = {key: value for key, value in entries[name].to_dict().items() if key not in named}
        first = {
            key: value for key, value in entries[family.name(0, family.seeds[0])].to_dict().items() if key not in named
        }
        if family.folds:
            assert entries[name].task_args.get("fold", 0) == seed
            plain.pop("task_args"), first.pop("task_args")
        assert plain == first, name


@pytest.mark.filterwarnings("ignore:.*rows have equal signs")  # p = 32 in a convolution of 16 outputs
@pytest.mark.parametrize("family", [family for family in FAMILIES if family.narrow], ids=lambda family: family.title)
def test_a_narrow_network_takes_about_the_bytes_of_its_rival(family, arguments):
    """A network whose width is one small number cannot come closer."""
    found = {}
    for version in family.versions():
        with torch.device("meta"):
            model, _ = build(zoo.entries()[family.entry(version, 0)], arguments[family.task])
        found[version] = tbn.summary(model).weight_bytes
    for p in family.narrow:
        assert 0.79 < found[f"narrow{p}"] / found[f"p{p}"] < 1.03, (p, found)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.title)
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


def test_files_of_an_entry():
    for name, config in zoo.entries().items():
        files = {file.name for file in (runs.zoo_root() / name).iterdir()}
        assert files <= set(zoo.kept(config)) and {"config.json", "result.json", "metrics.jsonl"} <= files, name
        assert ("packed.safetensors" in files) == (config.p > 0), name
        assert ("model.safetensors" in files) == (config.p == 0 and config.seed == 0), name


def test_table_has_a_row_for_each_family():
    lines = zoo.table().splitlines()
    titles = [line.split(": ")[0].removeprefix("| ") for line in lines[2:] if not line.startswith("| narrower")]
    assert titles == [family.title for family in FAMILIES]
    assert len(lines) == 2 + len(FAMILIES) + sum(bool(family.narrow) for family in FAMILIES)
    assert {line.count("|") for line in lines} == {10}


@pytest.fixture
def three_entries(tmp_path, monkeypatch):
    """A zoo of an MLP that forecasts: full precision with two seeds, p = 4 with one, its rival with two."""
    family = Family("appliances", "forecaster_mlp", narrow={4: {"hidden": [8]}}, seeds=(0, 1))
    for name, p, seed, mse, size in (
        ("fp32", 0, 0, 0.4, 32000),
        ("fp32", 0, 1, 0.5, 32000),
        ("p4", 4, 0, 0.625, 1000),
        ("narrow4", 1, 0, 0.5, 990),
        ("narrow4", 1, 1, 0.6, 990),
    ):
        folder = tmp_path / f"appliances-forecaster_mlp-{name}-s{seed}"
        folder.mkdir()
        config = {"task": "appliances", "model": "forecaster_mlp", "p": p, "seed": seed}
        result = {
            "task": {"metric": "mse", "source": "test"},
            "metrics": {"mse": mse},
            "baselines": {"repeat last": {"mse": 0.75}, "linear": {"mse": 0.5}},
            "size": {"weight_bytes": size, "macs_computed": 10},
            "seconds": 1.0,
            "provenance": {"cpu": "one", "date": "2026"},
        }
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "result.json").write_text(json.dumps(result))
    monkeypatch.setattr(runs, "zoo_root", lambda: tmp_path)
    for module in (zoo, results, import_module("tbn.zoo.table")):
        monkeypatch.setattr(module, "FAMILIES", (family, Family("beijing", "forecaster_mlp", seeds=(0, 1, 2))))
    return tmp_path


def test_table_of_means_and_baselines(three_entries):
    lines = zoo.table().splitlines()
    start = (
        "| appliances, forecaster_mlp: MSE ↓, 2 seeds | 0.500, linear | 0.450 ± 0.071; 32,000 | - | - | 0.625; 1,000 |"
    )
    assert lines[2].startswith(start) and lines[3] == "| narrower, p = 1 | | | | - | 0.550 ± 0.071; 990 | - | - | - |"
    assert lines[4] == "| beijing, forecaster_mlp: MSE ↓, 3 seeds | - | - | - | - | - | - | - | - |" and len(lines) == 5


def test_results_of_the_zoo(rows):
    assert set(rows["run"]) == set(zoo.entries()) and rows["score"].notna().all() and rows["baseline"].notna().all()
    table = results.versions(rows)
    assert len(table) == sum(len(family.versions()) for family in FAMILIES) and (table["seeds"] >= 2).all()
    one = table[(table["family"] == FAMILIES[-1].title) & (table["version"] == "p4")].iloc[0]
    scores = [runs.find(FAMILIES[-1].name(4, seed)).result["metrics"]["mse"] for seed in FAMILIES[-1].seeds]
    assert one["score"] == pytest.approx(sum(scores) / len(scores)) and one["seeds"] == len(scores)


def test_rivals_and_their_verdicts(three_entries):
    assert results.rivals(results.entries()).empty  # p = 4 has one seed: no spread
    frame = results.entries()
    frame = pd.concat([frame, frame[frame["version"] == "p4"].assign(seed=1, score=0.675)])
    pair = results.rivals(frame).iloc[0]
    assert pair["difference"] == pytest.approx(-0.1) and pair["spread"] == pytest.approx(
        (2 * 0.05**2 + 2 * 0.025**2) ** 0.5
    )
    assert pair["verdict"] == "narrow" and pair["seeds"] == 2 and pair["narrow_weight_bytes"] == 990
    folds = results.rivals(frame.assign(folds=2)).iloc[0]  # fold by fold: 0.125 and 0.075
    assert folds["difference"] == pytest.approx(-0.1) and folds["spread"] == pytest.approx(0.05 / 2**0.5)
    close = results.rivals(
        frame.assign(score=frame["score"].where(frame["version"] != "p4", frame["score"] - 0.1))
    ).iloc[0]
    assert close["verdict"] == "neither"


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


def test_entries_without_their_data_are_left_out(two_entries, tmp_path, monkeypatch):
    monkeypatch.delenv("TBN_DATA", raising=False)
    two_entries["mnist-full-mlp-p4-s0"] = RunConfig("mnist", "mlp", p=4, epochs=1, data="full")
    said = []
    assert zoo.build(tmp_path, only="p4", say=said.append) == ["digits-mlp-p4-s0"]
    assert said[0].startswith("mnist: left out: MNIST does not come with the package")


@pytest.fixture
def digits(tmp_path, monkeypatch):
    """A zoo of its own: one small family, trained."""
    family = Family("digits", "mlp", {"epochs": 1}, factors=(0, 4), seeds=(0, 1))
    for module in (zoo, results):
        monkeypatch.setattr(module, "FAMILIES", (family,))
    zoo.build(tmp_path, say=lambda line: None)
    return tmp_path


def test_other_seeds_keep_less(digits):
    files = {folder.name: {file.name for file in folder.iterdir()} for folder in digits.iterdir()}
    assert files["digits-mlp-fp32-s0"] - files["digits-mlp-fp32-s1"] == {"model.safetensors"}
    assert files["digits-mlp-p4-s0"] - files["digits-mlp-p4-s1"] == {"signals.jsonl"}


def test_check_trains_again_and_finds_what_is_too_far(digits):
    said = []
    checked = check.check(2, seed=0, folder=digits, say=said.append)
    assert [one.passed for one in checked] == [True, True] and all(line.endswith(": the same") for line in said)
    assert {one.name for one in checked} < set(zoo.entries()) and len({one.name for one in checked}) == 2
    for folder in digits.iterdir():  # as if they had been better by far
        result = json.loads((folder / "result.json").read_text())
        result["metrics"]["accuracy"] += 0.5
        (folder / "result.json").write_text(json.dumps(result))
    again = check.check(1, seed=1, folder=digits, say=said.append)
    assert not again[0].passed and said[-1].endswith("TOO FAR")
    with pytest.raises(TBNError, match="9 entries cannot be drawn from 4"):
        check.check(9, folder=digits)
