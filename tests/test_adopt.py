"""A packed model from elsewhere becomes a run that scores what its first run scored; what does not fit is refused with a reason."""

import json
import shutil

import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from tbn import TBNError, adopt, runs
from tbn.evaluate import evaluate


def test_a_packed_file_becomes_a_run_with_the_same_score(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("TBN_RUNS", str(tmp_path))
    source = runs.Run(trained["cnn"])
    described = adopt.look(source.path / "packed.safetensors")
    assert (described.model, described.kind, described.p, described.alpha) == ("cnn", "images", 4, "tile")
    run = adopt.adopt(source.path / "packed.safetensors", "digits", name="mine.safetensors")
    assert run.state == "complete" and run.config["uploaded"] == "mine.safetensors" and run.config["model_args"] == {}
    for part in ("metrics", "size"):
        mine, theirs = run.result[part], source.result[part]
        assert (
            {key: mine[key] for key in mine} == pytest.approx({key: theirs[key] for key in mine})
            if part == "metrics"
            else mine == theirs
        )
    assert evaluate(run.path, "packed").score == pytest.approx(source.result["metrics"]["accuracy"])
    row = runs.frame(tmp_path, zoo=False).iloc[0]
    assert row["state"] == "complete" and row["setup"] == "uploaded=mine.safetensors" and row["p"] == 4


def test_what_does_not_fit_is_refused_and_leaves_no_run(trained, tmp_path):
    packed = trained["tiled"] / "packed.safetensors"
    for task, message in (
        ("digits", "its input_shape is"),
        ("beijing", "for tasks of kind images"),
        ("nothing", "unknown task"),
    ):
        with pytest.raises(TBNError, match=message):
            adopt.adopt(packed, task, root=tmp_path)
    assert not list(tmp_path.iterdir())


def changed(packed, path, change):
    """The file with another description; its sha256 no longer fits, which ``look`` does not check and ``tbn.load`` does."""
    with safe_open(packed, framework="numpy") as file:
        metadata, tensors = dict(file.metadata()), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    model = json.loads(metadata["model"])
    change(model)
    save_file(tensors, path, metadata | {"model": json.dumps(model)})
    return path


def test_files_that_lie_are_refused(trained, tmp_path):
    packed = trained["tiled"] / "packed.safetensors"
    (tmp_path / "a").write_bytes(b"nonsense")
    with pytest.raises(TBNError, match="is no safetensors file"):
        adopt.look(tmp_path / "a")
    with pytest.raises(TBNError, match="not a packed tiled network"):
        adopt.look(trained["tiled"] / "model.safetensors")
    with pytest.raises(TBNError, match="not in the registry"):
        adopt.look(changed(packed, tmp_path / "b", lambda model: model.update(registry=None)))
    with pytest.raises(TBNError, match="makes no sense"):
        adopt.look(changed(packed, tmp_path / "c", lambda model: model.update(layers={})))
    large = changed(packed, tmp_path / "d", lambda model: model["layers"]["fc1"].update(shape=[10**6, 10**6]))
    with pytest.raises(TBNError, match="can be taken in"):
        adopt.look(large)
    wide = changed(packed, tmp_path / "e", lambda model: model["registry"]["kwargs"].update(hidden=[10**6]))
    with pytest.raises(TBNError, match="its arguments make 79[0-9],[0-9]{3},[0-9]{3} weights"):
        adopt.adopt(wide, "fashion_mnist", root=tmp_path / "runs")
    other = changed(packed, tmp_path / "f", lambda model: model["layers"]["fc1"].update(p=8))
    with pytest.raises(TBNError, match="damaged"):
        adopt.adopt(other, "fashion_mnist", root=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_the_command_says_why_in_json(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TBN_RUNS", str(tmp_path / "runs"))
    shutil.copy(trained["cnn"] / "packed.safetensors", tmp_path / "m.safetensors")
    with pytest.raises(SystemExit):
        adopt.main([str(tmp_path / "m.safetensors"), "--task", "fashion_mnist"])
    assert "does not fit" in json.loads(capsys.readouterr().out)["error"]
    adopt.main([str(tmp_path / "m.safetensors"), "--task", "digits"])
    assert runs.complete(json.loads(capsys.readouterr().out)["run"]).config["uploaded"] == "m.safetensors"
