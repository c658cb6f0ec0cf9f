import json
import shutil
import subprocess
import sys
import textwrap

import pytest

from tbn import TBNError, runs
from tbn.files import read_json, write_json
from tbn.provenance import provenance


def test_an_empty_folder_gives_an_empty_frame(runs_folder):
    table = runs.frame(zoo=False)
    assert list(table.columns) == list(runs.COLUMNS) and len(table) == 0


def test_frame_of_real_runs(trained):
    table = runs.frame(trained["tiled"].parent, zoo=False).set_index("run")
    assert set(table["state"]) == {"complete"}
    assert table.loc[trained["tiled"].name, ["method", "p", "weight_bytes"]].tolist() == ["tiled", 4, 3316]
    assert table.loc[trained["binary"].name, ["method", "weight_bytes"]].tolist() == ["binary", 12712]
    assert table.loc[trained["fp32"].name, ["method", "weight_bytes", "compression"]].tolist() == ["fp32", 406528, 1.0]
    assert (
        table["score"].between(0.1, 1).all()
        and set(table["metric"]) == {"accuracy"}
        and table["machine"].str.len().min() > 0
    )


def test_a_broken_folder_is_one_row_not_a_crash(runs_folder, trained):
    for name, text in (("a", "{"), ("b", "[1]"), ("c", '{"task": "digits"}')):
        (runs_folder / name).mkdir(parents=True)
        (runs_folder / name / "config.json").write_text(text)
    shutil.copytree(trained["tiled"], runs_folder / "d")
    (runs_folder / "d" / "result.json").write_text("{}")
    (runs_folder / "not-a-run").mkdir()
    table = runs.frame(zoo=False)
    assert table["state"].tolist() == ["broken"] * 4


def test_states(trained, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained["tiled"], folder)
    assert runs.Run(folder).state == "complete"
    (folder / "result.json").unlink()
    assert runs.Run(folder).state == "interrupted"
    write_json(folder / "error.json", {"error": "no", "fix": "yes"})
    assert runs.Run(folder).state == "failed" and runs.Run(folder).error == {"error": "no", "fix": "yes"}
    with pytest.raises(TBNError, match="is failed, not complete; finish it with: tbn train --resume"):
        runs.complete(folder)


def test_running_means_a_living_process_holds_the_lock(trained, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained["tiled"], folder)
    (folder / "result.json").unlink()
    code = f"""
        import time
        from filelock import FileLock
        with FileLock({str(folder / ".lock")!r}):
            print("held", flush=True)
            time.sleep(60)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    assert runs.Run(folder).state == "running"
    with pytest.raises(TBNError, match="is running, not complete; wait"):
        runs.complete(folder)
    process.kill()  # SIGKILL: the kernel drops the lock
    process.wait()
    process.stdout.close()
    assert runs.Run(folder).state == "interrupted"


def test_find(trained, runs_folder):
    path = trained["tiled"]
    assert runs.find(path).id == path.name and runs.find(path.name, path.parent).path == path
    with pytest.raises(TBNError, match="there is no run 'nope'"):
        runs.find("nope")
    with pytest.raises(TBNError, match="is not a run folder: it has no config.json"):
        runs.find(path.parent)


def test_new_folders_never_collide(tmp_path):
    config = {"task": "digits", "model": "mlp", "p": 4, "seed": 0}
    made = {runs.new_folder(config, tmp_path) for _ in range(5)}
    assert len(made) == 5 and all("digits-mlp-p4-s0-" in path.name for path in made)


def test_a_runs_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TBNError, match="is a file; choose another|cannot make a run folder"):
        runs.new_folder({"task": "digits", "model": "mlp", "p": 4, "seed": 0}, tmp_path / "file")


def test_metrics_cut_short_by_a_crash(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1}\n{"epoch": 2}\n{"epo')
    assert [row["epoch"] for row in runs.read_lines(tmp_path / "metrics.jsonl")] == [1, 2]


def test_json_is_whole_or_absent(tmp_path):
    write_json(tmp_path / "a.json", {"x": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert read_json(tmp_path / "a.json") == {"x": 1} and [path.name for path in tmp_path.iterdir()] == ["a.json"]
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(TBNError, match="it is not JSON"):
        read_json(tmp_path / "a.json")


def test_provenance_names_no_person_or_host():
    import getpass
    import socket

    text = json.dumps(provenance())
    assert socket.gethostname() not in text and (getpass.getuser() == "root" or getpass.getuser() not in text)
    assert set(provenance()) == {"date", "machine", "cpu", "python", "torch", "tbn", "commit"}


def test_the_zoo_is_complete_and_consistent():
    from tbn import zoo
    from tbn.artifact import load
    from tbn.size import summary

    table = runs.frame(zoo=True).query("source == 'zoo'").set_index("run")
    assert set(zoo.entries()) <= set(table.index) and set(table["state"]) == {"complete"}
    for name, config in zoo.entries().items():
        if config.p:
            assert (
                summary(load(runs.zoo_root() / name / "packed.safetensors")).weight_bytes
                == table.loc[name, "weight_bytes"]
            )
    assert sum(path.stat().st_size for path in runs.zoo_root().rglob("*") if path.is_file()) < 20e6
