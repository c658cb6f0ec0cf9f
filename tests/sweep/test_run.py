"""Real trainings: the same results however many workers there are, and whatever is killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from safetensors.numpy import load_file

from tbn import runs
from tbn.errors import TBNError
from tbn.sweep import Sweep, run, status
from tbn.sweep.desk import Desk
from tbn.sweep.trial import carry_out


def sweep(storage, **changes):
    return Sweep(
        **(
            {
                "task": "digits",
                "model": "mlp",
                "space": {"p": (1, 4)},
                "fixed": {"epochs": 8},
                "seeds": 2,
                "storage": str(storage),
            }
            | changes
        )
    )


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The trials one after the other in this process: (runs folder, report)."""
    root = tmp_path_factory.mktemp("alone")
    return root, run(sweep(root / "sweep.db"), root, workers=0)


def results(root):
    """{run folder: (what it came to, its packed bits)}."""
    found = {}
    for path in root.glob("*/result.json"):
        packed = load_file(path.parent / "packed.safetensors")
        bits = {name: values.tolist() for name, values in packed.items()}
        found[path.parent.name] = (json.loads(path.read_text())["metrics"], bits)
    return found


def test_every_trial_leaves_a_run_folder(alone):
    root, report = alone
    assert report.finished == 4 and report.failed == report.retried == 0
    for row in report.trials.to_dict("records"):
        found = runs.complete(row["run"], root)
        assert (
            found.result["metrics"]["accuracy"] == row["score"]
            and found.result["size"]["weight_bytes"] == row["weight_bytes"]
        )
        assert (found.config["p"], found.config["seed"]) == (row["p"], row["seed"]) and row["train_seconds"] <= row[
            "seconds"
        ]
    assert {row["run"] for row in json.loads(json.dumps(report.to_dict()))["trials"]} == set(results(root))


def test_called_again_it_trains_nothing(alone):
    root, report = alone
    before = {path: path.stat().st_mtime_ns for path in root.glob("*/*")}
    again = run(sweep(root / "sweep.db"), root, workers=0)
    assert {path: path.stat().st_mtime_ns for path in root.glob("*/*")} == before
    assert again.trials.equals(report.trials)


def test_two_workers_of_which_one_is_killed_give_the_same_results(alone, tmp_path):
    """SIGKILL of a worker in the middle of a training: its trial is tried once more, which is reported, and comes to the same bits."""
    chosen = sweep(tmp_path / "sweep.db")

    def kill() -> None:
        while not (tmp_path / "sweep.db").exists() or len(list(tmp_path.glob("*/metrics.jsonl"))) < 2:
            time.sleep(0.02)
        found = subprocess.run(
            ["pgrep", "-P", str(os.getpid()), "-f", "worker_process"], capture_output=True, text=True
        )
        os.kill(int(found.stdout.split()[0]), signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    said = []
    report = run(chosen, tmp_path, workers=2, listener=lambda event: said.append(event))
    thread.join()
    assert results(tmp_path) == results(alone[0])
    assert report.finished == 4 and report.retried == 1 and sorted(report.trials["attempts"]) == [1, 1, 1, 2]
    assert any("a worker died (signal 9)" in event["message"] for event in said) and said[-1]["fraction"] == 1.0


def test_everything_killed_the_rest_is_done_and_only_the_rest(alone, tmp_path):
    """SIGKILL of the command and its workers at once, with one trial done and one half way; the second command finishes the others."""
    storage = tmp_path / "sweep.db"
    command = [
        sys.executable,
        "-m",
        "tbn",
        "sweep",
        "--task",
        "digits",
        "--model",
        "mlp",
        "--p",
        "1,4",
        "--seeds",
        "2",
        "--epochs",
        "8",
    ]
    command += ["--storage", str(storage), "--runs", str(tmp_path), "--json"]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob("*/result.json")) or len(list(tmp_path.glob("*/metrics.jsonl"))) < 2:
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/result.json")}
    name = sweep(storage).name
    assert 1 <= len(done) < 4 and "running" in set(status(str(storage), name)["state"])
    report = run(sweep(storage), tmp_path, workers=0)
    assert all(path.stat().st_mtime_ns == when for path, when in done.items())
    assert results(tmp_path) == results(alone[0]) and report.finished == 4 and report.retried == 0


def test_trials_that_cannot_be_trained_are_reported_and_the_others_are_done(tmp_path):
    chosen = sweep(tmp_path / "s.db", space={"p": (1, 1_000_000)}, fixed={"epochs": 1}, seeds=1)
    report = run(chosen, tmp_path, workers=0)
    assert (
        list(report.trials["state"]) == ["complete", "failed"] and "larger than the" in report.trials["error"].iloc[1]
    )
    hopeless = sweep(tmp_path / "s.db", space={"p": (1_000_000, 2_000_000)}, fixed={"epochs": 1}, seeds=1)
    with pytest.raises(TBNError, match="no trial of sweep .* succeeded: p=1000000 is larger than"):
        run(hopeless, tmp_path, workers=0)


def test_a_trial_that_falls_behind_is_stopped_where_it_is(tmp_path):
    chosen = sweep(tmp_path / "s.db", objectives=("score",), prune=True)
    desk = Desk.open(chosen, tmp_path)
    trial, seen = desk.claim("w"), []

    def report(epoch, score):
        seen.append((epoch, score))
        return epoch == 3

    outcome = carry_out(trial, tmp_path, report)
    found = runs.Run(tmp_path / trial.folder)
    assert outcome.pruned and [epoch for epoch, _ in seen] == [1, 2, 3] and len(found.metrics()) == 3
    assert found.error["error"].startswith("stopped after epoch 3")
    desk.tell(trial, outcome)
    assert status(chosen.storage, chosen.name)["state"].iloc[0] == "pruned"


def test_other_objectives_are_measured(tmp_path):
    objectives = ("accuracy", "total_bytes", "macs", "latency", "flash:nucleo_f411re", "ram:nucleo_f411re")
    chosen = sweep(tmp_path / "s.db", objectives=objectives, fixed={"epochs": 1}, seeds=1)
    trials = run(chosen, tmp_path, workers=0).trials
    assert trials[list(objectives)].gt(0).all(axis=None)
    assert trials["flash:nucleo_f411re"].iloc[0] > trials["flash:nucleo_f411re"].iloc[1], "p = 4 is smaller than p = 1"


def test_a_folder_of_another_run_is_not_touched(tmp_path):
    chosen = sweep(tmp_path / "s.db", fixed={"epochs": 1}, seeds=1)
    desk = Desk.open(chosen, tmp_path)
    trial = desk.claim("w")
    (tmp_path / trial.folder).mkdir()
    (tmp_path / trial.folder / "config.json").write_text(json.dumps({"task": "digits", "model": "mlp", "p": 8}))
    assert "holds another run" in carry_out(trial, tmp_path).error


def test_places_that_cannot_be_written_are_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TBNError, match="cannot make the runs folder"):
        run(sweep(tmp_path / "s.db"), tmp_path / "file" / "runs", workers=0)
    with pytest.raises(TBNError, match="cannot make|cannot be reached"):
        run(sweep(tmp_path / "file" / "s.db"), tmp_path, workers=0)
    (tmp_path / "broken.db").write_bytes(b"no database at all, but a long enough file " * 99)
    with pytest.raises(TBNError, match="the storage sqlite.* cannot be reached: .*not a database"):
        run(sweep(tmp_path / "broken.db"), tmp_path, workers=0)
    with pytest.raises(TBNError, match="mysql:// is not a storage"):
        run(sweep("mysql://x"), tmp_path, workers=0)
    with pytest.raises(TBNError, match="workers=-1"):
        run(sweep(tmp_path / "s.db"), tmp_path, workers=-1)
