"""Whole networks: rows, sizes, reasons and the command line; no timing is judged here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from kernels import records
from kernels.bench import sampling
from tbn import speed
from tbn.packed import PackedLayer
from tbn.speed import engines, networks, peak, where

PEAKS = dict.fromkeys(peak.WAYS, 1000)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Short samples, no compiler, no process for memory, another results folder; torch's threads are restored."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(sampling, "SAMPLE_SECONDS", 1e-4)
    monkeypatch.setattr(sampling, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(speed, "CASE_SECONDS", {False: 0.0, True: 0.0})
    monkeypatch.setattr(
        engines, "DENSE", {name: build for name, build in engines.DENSE.items() if name != "torch.compile"}
    )
    monkeypatch.setattr(peak, "peaks", lambda network, batch: PEAKS)
    monkeypatch.setattr(records, "RESULTS", tmp_path / "results")
    yield
    torch.set_num_threads(threads)


@cache
def small(name: str, p: int = 4) -> networks.Network:
    """A network that several tests use."""
    return networks.network_of(name, p)


def check_record(record: dict[str, Any]) -> None:
    """The schema that the page and the tables read."""
    assert record["kind"] == "models" and record["device"] == "cpu" and record["complete"] is True
    assert record["command"].startswith("python -m tbn.speed") and record["rows"]
    for row in record["rows"]:
        assert set(row) == {"model", "p", "batch", "engine", "ours", "dtype", "median_ms", "min_ms", "inputs_per_second", "baseline", "baseline_ms",
                            "ratio", "relative_error", "repeats", "limit"}  # fmt: skip
        assert 0 < row["min_ms"] <= row["median_ms"] and 0 <= row["relative_error"] < speed.TOLERANCE
        assert row["ratio"] == pytest.approx(row["baseline_ms"] / row["median_ms"], rel=0.05, abs=0.002)
        facts = record["models"][f"{row['model']} p={row['p']}"]
        assert (
            row["limit"] == facts["limit"] == pytest.approx(facts["macs_dense"] / facts["macs_computed"], abs=1e-3)
            and row["limit"] >= 1
        )
        assert facts["packed_bytes"] < facts["dense_bytes"] / 8
    for entry in record["where_time_goes"]:
        assert set(entry["milliseconds"]) == set(entry["dense_milliseconds"]) == set(where.KINDS)


def test_the_command_makes_a_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "result.json"
    assert speed.main(["--quick", "--json", "--models", "mlp", "--threads", "1", "--out", str(out)]) == 0
    shown = capsys.readouterr()
    record = json.loads(shown.out)
    check_record(record)
    assert record == json.loads(out.read_text())
    assert record["command"] == "python -m tbn.speed --quick --threads 1 --models mlp"
    assert {row["engine"] for row in record["rows"]} == {*engines.DENSE, *engines.OURS}
    assert {row["baseline"] for row in record["rows"]} <= set(engines.DENSE)
    assert record["models"]["mlp p=4"]["peak_bytes"] == PEAKS
    assert record["models"]["mlp p=4"]["macs_dense"] == 784 * 128 + 1280
    assert record["models"]["mlp p=4"]["macs_computed"] == 784 * 32 + 1280
    assert "mlp batch 1" in shown.err


def test_a_missing_a_failing_and_a_wrong_engine_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(network: networks.Network, x: torch.Tensor) -> engines.Call:
        raise RuntimeError("no such operation\nand more")

    def wrong(network: networks.Network, x: torch.Tensor) -> engines.Call:
        return lambda: network.dense(x) * 1.01

    monkeypatch.setattr(engines, "DENSE", {"torch": engines.eager, "failing": failing, "wrong": wrong})
    monkeypatch.setattr(engines, "OURS", {"packed": engines.packed})
    rows, reasons = speed.rows_of({4: small("mlp")}, 2, True)
    assert {row["engine"] for row in rows} == {"torch", "packed"} and rows[0]["baseline"] == "torch"
    assert reasons[0] == "mlp batch 2, failing: failed with RuntimeError: no such operation"
    assert reasons[1].startswith("mlp batch 2, wrong: wrong answer, relative error 1.0e-02")
    monkeypatch.setattr(engines, "PACKAGES", {"OpenVINO": ("no_such_package",)})
    assert (
        engines.why_missing("ONNX compute-once, OpenVINO")
        == "ONNX compute-once, OpenVINO: not installed: no_such_package"
    )


def test_a_wrong_engine_of_ours_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(engines, "DENSE", {"torch": engines.eager})
    monkeypatch.setattr(engines, "OURS", {"packed": lambda network, x: lambda: network.packed(x) + 1})
    assert speed.main(["--quick", "--models", "mlp"]) == 1
    assert "mlp batch 1, packed p=4: wrong, relative error" in capsys.readouterr().err


def test_what_there_was_no_time_for_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(speed, "BUDGET_SECONDS", {False: -1.0, True: -1.0})
    out = tmp_path / "result.json"
    assert speed.main(["--models", "mlp", "--out", str(out)]) == 0
    record = json.loads(out.read_text())
    assert record["rows"] == [] and record["models"]["mlp p=8"]["limit"] > 1
    assert {
        "mlp batch 1: no time was left",
        "mlp batch 64: no time was left",
        "mlp, peak memory: no time was left",
    } <= set(record["not_measured"])


def test_wrong_usage() -> None:
    for arguments in (["--threads", "0"], ["--models", "no_such"], ["--nonsense"]):
        with pytest.raises(SystemExit) as stopped:
            speed.main(arguments)
        assert stopped.value.code == 2


def test_the_twin_is_equal_and_copies_differ() -> None:
    network = small("pointnet_cls")
    x = network.inputs(2)
    with torch.inference_mode():
        expected, found = network.dense(x), network.packed(x)
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-4
    norms = [module for module in network.dense.modules() if isinstance(module, torch.nn.BatchNorm1d)]
    assert norms and all(len(set(module.running_mean.tolist())) == len(module.running_mean) for module in norms)


def test_attention_is_counted() -> None:
    network = small("vit")
    dense = networks.macs(network.dense, network.inputs(1))
    attention = 6 * 2 * 65 * 65 * 512  # blocks, two products, tokens, dim
    products = sum(
        layer.weight_shape[0] * layer.weight_shape[1] * 65 for name, layer in network.packed.named_modules()
        if isinstance(layer, PackedLayer) and "blocks" in name
    )  # fmt: skip
    assert dense - attention - products == pytest.approx(64 * 48 * 512 + 512 * 10, rel=1e-6)


def test_the_papers_way_is_equal_and_has_weights_only_while_called() -> None:
    network = small("mlp")
    model, x = peak.paper_way(network), network.inputs(3)
    with torch.inference_mode():
        torch.testing.assert_close(model(x), network.dense(x))
    assert not any(key.endswith("weight") for key in model.state_dict()) and not hasattr(model.fc1, "weight")
    assert model.fc1.tile.numel() == 784 * 128 // 4


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux's /proc")
def test_peak_memory_of_a_process_of_its_own() -> None:
    network = networks.network_of("resnet18", 4)
    weights = networks.file_bytes(network.dense)
    dense = peak._peak(network, "dense", 1)
    assert weights < dense < 3 * weights
    assert peak._peak(network, "packed", 1) < dense / 2


def test_kinds_of_operations() -> None:
    def kind(name: str, *shapes: tuple[int, ...], output: tuple[int, ...] = (1, 1)) -> str:
        facts = {"op_name": name, "input_type_shape": [{"float": list(shape)} for shape in shapes]}
        return where.kind_of(facts | {"output_type_shape": [{"float": list(output)}]}, {(3, 3, 32, 64), (64, 128)})

    assert kind("Conv", (1, 64, 8, 8), (32, 64, 3, 3), (32,)) == "tiled products"
    assert kind("FusedConv", (1, 64, 8, 8), (64, 64, 3, 3)) == "other products"
    assert (
        kind("MatMul", (1, 65, 128), output=(1, 65, 64))
        == kind("Gemm", (65, 64), (128,), output=(65, 128))
        == "tiled products"
    )
    assert kind("Gemm", (1, 64), (64, 10), output=(1, 10)) == "other products"
    assert kind("MatMul", (1, 8, 65, 64), (1, 8, 64, 65)) == kind("Softmax", (1, 8, 65, 65)) == "attention"
    assert kind("Mul", (1, 1, 32, 8, 8), (4, 32, 1, 1)) == "copies and epilogue"
    assert kind("Add", (1, 64, 8, 8), (1, 64, 8, 8)) == kind("Transpose", (1, 2)) == "rest"
    assert kind("LayerNormalization", (1, 65, 512)) == "norms and activations"


def test_a_profile_is_added_up() -> None:
    def event(name: str, op: str, duration: int) -> dict[str, Any]:
        return {
            "cat": "Node",
            "name": f"{name}_kernel_time",
            "dur": duration,
            "args": {"op_name": op, "input_type_shape": [{"float": [1, 2]}]},
        }

    events = [
        event("a", "Relu", 9000),
        event("a", "Relu", 1000),
        event("a", "Relu", 3000),
        {"cat": "Session", "name": "x", "dur": 5},
    ]
    assert where.added_up(events, set(), 2) == dict.fromkeys(where.KINDS, 0.0) | {"norms and activations": 2.0}


COMMITTED = sorted((Path(records.__file__).parent / "results").glob("models-*.json"))


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.name)
def test_committed_results_follow_the_schema(path: Path) -> None:
    record = json.loads(path.read_text())
    check_record(record)
    assert records.default_path(record).name == path.name
