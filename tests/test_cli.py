import json
import subprocess
import sys

import pytest

from tbn.cli import main


def tbn(capsys, *arguments):
    """(exit status, stdout, stderr) of one command in this process."""
    with pytest.raises(SystemExit) as stop:
        main(list(map(str, arguments)))
    out = capsys.readouterr()
    return stop.value.code or 0, out.out, out.err


def test_train_eval_summary(capsys, runs_folder):
    code, out, _ = tbn(
        capsys, "train", "--task", "digits", "--model", "mlp", "--p", 4, "--epochs", 1, "--seed", 0, "--json"
    )
    answer = json.loads(out)
    assert code == 0 and answer["run"].startswith(str(runs_folder)) and answer["size"]["weight_bytes"] == 436
    assert 0 < answer["metrics"]["accuracy"] <= 1
    accuracies = set()
    for engine in ("latent", "packed"):
        code, out, _ = tbn(capsys, "eval", answer["run"], "--engine", engine, "--json")
        found = json.loads(out)
        assert code == 0 and found["max_relative_difference"] < 1e-5 and found["samples"] == 360
        accuracies.add(found["accuracy"])
    assert accuracies == {answer["metrics"]["accuracy"]}
    code, out, _ = tbn(capsys, "summary", answer["run"])
    assert code == 0 and "weights 436 bytes: 86.9x smaller than fp32 (0.0115 of 37,888 bytes)" in out
    code, out, _ = tbn(capsys, "runs", "--json")
    assert code == 0 and any(row["state"] == "complete" and row["source"] == "runs" for row in json.loads(out)["runs"])


def test_dense_is_full_precision(capsys, runs_folder):
    code, out, _ = tbn(capsys, "train", "--task", "digits", "--dense", "--epochs", 1, "--json")
    answer = json.loads(out)
    assert code == 0 and answer["size"]["bits_per_weight"] == 32
    code, out, _ = tbn(capsys, "eval", answer["run"], "--engine", "packed", "--json")
    assert code == 1 and "full precision" in json.loads(out)["error"]


def test_summary_of_an_untrained_model(capsys):
    code, out, _ = tbn(capsys, "summary", "--model", "mlp", "--p", 4, "--json")
    assert code == 0 and json.loads(out)["weight_bytes"] == 3316
    code, _, err = tbn(capsys, "summary")
    assert code == 1 and err == "error: summary takes a run or --model; e.g. tbn summary --model mlp --p 4\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["train", "--p", "0.5"], "p=0.5 is not a whole number; use 0"), (["train", "--p", "4000000"], "larger than the 100352 weights of 'fc1'"),
     (["train", "--task", "nope"], "unknown task 'nope'; choose one of"), (["train", "--model", "nope"], "unknown model 'nope'; choose one of"),
     (["eval", "nope"], "there is no run 'nope'"), (["eval", "nope", "--engine", "magic"], "unknown engine 'magic'; choose one of latent"),
     (["train", "--resume", "nope"], "there is no run 'nope'"), (["train", "--per-layer", "fc1"], "has no factor; write it as PATTERN=P")],
)  # fmt: skip
def test_bad_input_is_one_line_with_its_fix(arguments, words, capsys, runs_folder):
    code, out, err = tbn(capsys, *arguments, "--json")
    answer = json.loads(out)
    assert code == 1 and words in err and err.count("\n") == 1 and answer["error"] and answer["fix"]
    assert not runs_folder.exists()


def test_arguments_of_the_model(capsys, runs_folder):
    small = ["--model", "vgg_small", "--model-arg", "width=4", "--min-layer-size", 500]
    code, out, _ = tbn(capsys, "train", "--task", "digits", *small, "--epochs", 1, "--json")
    answer = json.loads(out)
    assert code == 0 and 0 < answer["size"]["weights"] < 100_000
    code, out, _ = tbn(capsys, "eval", answer["run"], "--engine", "packed", "--json")
    assert code == 0 and json.loads(out)["accuracy"] == answer["metrics"]["accuracy"]
    for bad, words in (("width", "is not NAME=VALUE"), ("size=3", "unexpected keyword argument 'size'")):
        code, out, _ = tbn(capsys, "train", "--task", "digits", "--model", "cnn", "--model-arg", bad, "--json")
        assert code == 1 and words in json.loads(out)["error"]


def test_half_finished_and_corrupted_runs(capsys, trained, tmp_path):
    import shutil

    shutil.copytree(trained["tiled"], tmp_path / "half")
    (tmp_path / "half" / "result.json").unlink()
    code, _, err = tbn(capsys, "eval", tmp_path / "half")
    assert code == 1 and "is interrupted, not complete; finish it with: tbn train --resume" in err
    shutil.copytree(trained["tiled"], tmp_path / "bad")
    packed = tmp_path / "bad" / "packed.safetensors"
    packed.write_bytes(packed.read_bytes()[:-9])
    code, _, err = tbn(capsys, "eval", tmp_path / "bad", "--engine", "packed")
    assert code == 1 and "truncated" in err and err.count("\n") == 1


def test_wrong_usage_is_status_2(capsys):
    assert tbn(capsys, "train", "--nope")[0] == 2
    assert tbn(capsys, "fly")[0] == 2


@pytest.mark.parametrize(
    "command",
    [
        "train",
        "eval",
        "summary",
        "runs",
        "bench",
        "quantise",
        "export",
        "fit",
        "build",
        "flash",
        "boards",
        "doctor",
        "zoo",
    ],
)
def test_every_command_has_help(command, capsys):
    code, out, _ = tbn(capsys, command, "--help")
    assert code == 0 and "Usage" in out


@pytest.fixture
def threads_kept():
    import torch

    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("what", ["cpu", "networks"])
def test_a_benchmark_gets_its_options(what, capsys, tmp_path, threads_kept):
    """The file is looked at before anything is timed."""
    (tmp_path / "mine.json").write_text("{}")
    options = [what, "--quick", "--threads", 1, "--out", tmp_path / "mine.json", "--json"]
    code, out, _ = tbn(capsys, "bench", *options)
    assert code == 1 and "mine.json holds something else than an earlier result of" in json.loads(out)["error"]
    assert "1 thread" in out and (tmp_path / "mine.json").read_text() == "{}"
    code, _, err = tbn(capsys, "bench", "tpu")
    assert code == 1 and err.startswith("error: there is no benchmark 'tpu'; choose one of cpu, gpu, networks, mcu")


def test_help_needs_no_torch():
    code = """
import sys
from tbn.cli import main
try:
    main(["--help"])
except SystemExit:
    assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_the_installed_command_and_the_module_are_one(tmp_path):
    answer = subprocess.run(
        [sys.executable, "-m", "tbn", "train", "--p", "x"], capture_output=True, text=True, cwd=tmp_path
    )
    assert answer.returncode == 1 and answer.stderr.startswith("error: p=x is not a whole number")
