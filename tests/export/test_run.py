"""A run's export: which precision, when it is generated again, and what the report says."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tbn import runs
from tbn.errors import TBNError
from tbn.export.report import PRECISIONS, ArenaPart, ExportReport
from tbn.export.run import export_run, exported, model_folder
from tbn.integer import quantise, run


@pytest.fixture
def own(trained: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the tiled run without any firmware."""
    shutil.copytree(trained["tiled"], tmp_path / "own", ignore=shutil.ignore_patterns("firmware"))
    return tmp_path / "own"


def test_integer_unless_asked(own: Path) -> None:
    found = runs.complete(own)
    assert exported(found) is None
    reports = {choice: export_run(own, precision=choice) for choice in (None, *PRECISIONS)}
    assert reports[None] == reports["integer"] == exported(found) and not reports[None].reason
    assert [(report.precision, report.folder.name) for report in reports.values()] == [
        ("integer", "integer"), ("integer", "integer"), ("float32", "float32"),
    ]  # fmt: skip
    assert exported(found, "float32") == reports["float32"] and reports["float32"].output_scale == 1
    assert reports["integer"].model_hash != reports["float32"].model_hash
    with pytest.raises(TBNError, match="unknown precision 'int4'; choose one of integer, float32"):
        export_run(own, precision="int4")


def test_the_self_test_holds_the_references_integers(own: Path) -> None:
    from tbn.restore import deployed_model, task_of

    report = export_run(own)
    found = runs.complete(own)
    with np.load(report.reference) as stored:
        assert set(stored) == {"inputs", "outputs", "labels"} and stored["outputs"].dtype == np.int32
        network = quantise(deployed_model(found), task_of(found))
        np.testing.assert_array_equal(stored["outputs"], run(network, stored["inputs"].reshape(-1, 1, 28, 28)))
        np.testing.assert_array_equal(stored["inputs"], report.encode(task_of(found).test_inputs[:32]))
    with np.load(export_run(own, precision="float32").reference) as stored:
        assert set(stored) == {"inputs", "logits", "labels"}


def test_generated_again_when_the_weights_change(own: Path, trained: dict[str, Path]) -> None:
    first = export_run(own)
    made = first.source.stat().st_mtime_ns
    assert export_run(own) == first and first.source.stat().st_mtime_ns == made
    shutil.copy(trained["binary"] / "packed.safetensors", own)
    assert exported(runs.complete(own)) is None
    assert export_run(own).model_hash != first.model_hash
    first.source.unlink()
    assert exported(runs.complete(own)) is None and export_run(own).source.is_file()


def test_what_has_no_twin_falls_back_to_float32_and_says_why(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No MLP is without one today, so the refusal is made up."""

    def refuse(*_: object) -> None:
        raise TBNError("'fc1' is a Riddle: integer networks have no such operation", "choose another model")

    monkeypatch.setattr("tbn.integer.quantise", refuse)
    report = export_run(own)
    assert report.precision == "float32" and report.reason == (
        "not in integers: 'fc1' is a Riddle: integer networks have no such operation"
    )
    assert export_run(own) == report == exported(runs.complete(own))
    with pytest.raises(TBNError, match="Riddle"):
        export_run(own, precision="integer")


def test_a_model_without_any_firmware_names_the_integer_reason() -> None:
    with pytest.raises(TBNError, match="scaled_dot_product_attention: attention weighs activations"):
        export_run("fashion_mnist-vit-p4-s0")


def test_inputs_that_are_no_bytes(tmp_path: Path) -> None:
    report = export_run("sweethome-pointnet_cls-p4-s0", tmp_path)
    assert report.input_bytes == 3 * 1024 and report.input_scale > 0
    values = np.array([[0.0, 0.5, -0.5, 99.0]], np.float32)
    codes = report.encode(values).astype(int)
    assert codes[0, 0] == report.input_zero and codes[0, 3] == 255
    np.testing.assert_allclose(
        (codes[0, :3] - report.input_zero) * report.input_scale, values[0, :3], atol=report.input_scale
    )


def test_forecasts_are_asked_for_one_channel_at_a_time(tmp_path: Path) -> None:
    """The host takes mean and deviation off and puts them back on."""
    report = export_run("appliances-forecaster_mlp-p4-s0", tmp_path)
    windows = np.random.default_rng(0).normal(5, 3, (2, 96, 26)).astype(np.float32)
    assert report.encode(windows).shape == (52, 96)
    ahead = report.decode(np.zeros((52, 96), np.int32), windows)
    np.testing.assert_allclose(ahead, np.broadcast_to(windows.mean(1, keepdims=True), (2, 96, 26)), rtol=1e-5)
    other = report.encode(windows * 7 - 2)
    assert np.abs(other.astype(int) - report.encode(windows)).max() <= 1


def test_the_arena_is_in_bytes(own: Path) -> None:
    for precision in PRECISIONS:
        report: ExportReport = export_run(own, precision=precision)
        assert max(part.start + part.bytes for part in report.arena) <= report.arena_bytes
        assert report.arena[0] == ArenaPart(report.arena[0].name, 0, report.arena[0].bytes)
        smaller = 256 if precision == "integer" else 0
        assert (
            report.arena_bytes_on(2048) == report.arena_bytes - smaller
            and report.arena_bytes_on(8192) == report.arena_bytes
        )
        stored = json.loads((model_folder(runs.complete(own), precision) / "export.json").read_text())
        assert stored["precision"] == precision


def test_threads_of_one_process_export_one_after_the_other(trained: dict[str, Path], tmp_path: Path) -> None:
    """torch.fx patches torch.nn.Module while it traces: two traces at a time would see each other."""
    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(export_run, trained["tiled"], tmp_path / str(number)) for number in range(4)]
    assert len({report.result().model_hash for report in found}) == 1
