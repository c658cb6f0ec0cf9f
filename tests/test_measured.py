"""What was measured or predicted of a run: read from its folder, and only where it is of this machine and this board."""

import json
import shutil

import pytest

from kernels.machine import cpu_name
from tbn import TBNError, measure, measured, runs
from tbn.boards import fitting, get_board
from tbn.export.run import export_run

BOARD = "nucleo_f411re"


@pytest.fixture
def tiled(trained, tmp_path):
    copy = runs.Run(shutil.copytree(trained["tiled"], tmp_path / "runs" / "tiled"))
    shutil.rmtree(copy.path / "firmware", ignore_errors=True)  # another test's
    return copy


def table(run: runs.Run, board: str | None = None):
    return measured.with_measured(runs.frame(run.path.parent, zoo=False), board).iloc[0]


def test_a_latency_is_timed_kept_and_found_again(tiled):
    assert measured.latency(tiled.path) is None
    record = measure.latency(tiled)
    assert 0 < record["low_ms"] <= record["median_ms"] <= record["high_ms"] < 100 and record["repeats"] >= measure.CALLS
    assert (record["batch"], record["threads"], record["cpu"]) == (1, 1, cpu_name()) and record["engine"].startswith(
        "packed, fused"
    )
    assert measured.latency(tiled.path) == record and table(tiled)["latency_ms"] == record["median_ms"]
    (tiled.path / measured.LATENCY).write_text(json.dumps(record | {"cpu": "another"}))
    assert measured.latency(tiled.path) is None  # another machine's
    (tiled.path / measured.LATENCY).write_text("{")
    assert measured.latency(tiled.path) is None


def test_full_precision_is_timed_as_torch_runs_it(trained, tmp_path):
    dense = runs.Run(shutil.copytree(trained["fp32"], tmp_path / "fp32"))
    assert measure.latency(dense, keep=False)["engine"] == "torch, dense" and measured.latency(dense.path) is None


def test_a_board_predicted_then_built_then_flashed(tiled):
    assert measured.on_board(tiled.path, "runs", BOARD) is None
    assert table(tiled, BOARD)[["flash_bytes", "ram_bytes", "instructions"]].isna().all()
    report = export_run(tiled)
    found = measured.on_board(tiled.path, "runs", BOARD)
    fit = fitting.fit(report, get_board(BOARD), {})
    assert found == measured.OnBoard(fit.flash_bytes, fit.ram_bytes, "predicted", "integer")
    place = tiled.path / "firmware" / BOARD
    place.mkdir()
    (place / "build.json").write_text(json.dumps({"flash_bytes": 9000, "ram_bytes": 2000, "precision": "integer"}))
    assert measured.on_board(tiled.path, "runs", BOARD) == measured.OnBoard(9000, 2000, "linked", "integer")
    (place / "report.json").write_text(json.dumps({"ticks": 1234, "tick_unit": "instructions"}))
    row = table(tiled, BOARD)
    assert (row["flash_bytes"], row["ram_bytes"], row["instructions"], row["how"], row["tick_unit"]) == (
        9000,
        2000,
        1234,
        "linked",
        "instructions",
    )
    assert table(tiled, "microbit")["how"] == "predicted" and table(tiled)["how"] is None


def test_many_are_measured_and_the_rest_is_named(tiled, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("TBN_RUNS", str(tiled.path.parent))
    found = measure.measure("boards", [str(tiled.path), "nobody"])
    assert found["measured"] == ["tiled"] and found["refused"]["nobody"].startswith("there is no run 'nobody'")
    with pytest.raises(SystemExit):
        measure.main(["latency", "nobody"])
    told = json.loads(capsys.readouterr().out)
    assert told["error"].startswith("no run could be measured; nobody: there is no run") and told["fix"]


def test_a_zoo_entry_is_measured_into_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TBN_CACHE", str(tmp_path))
    entry = runs.find("fashion_mnist-mlp-p4-s0")
    record = measure.latency(entry)
    assert measured.folder_of(entry.path, "zoo") == tmp_path / "zoo" / entry.id
    assert measured.latency(entry.path, "zoo") == record and not (entry.path / measured.LATENCY).exists()
    with pytest.raises(TBNError, match="there is no run"):
        measure.latency("nobody")
