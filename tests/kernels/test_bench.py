"""The benchmark's record, its file and its command line; no timing is judged here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from kernels import bench, dispatch, records

FIELDS = {"op": str, "engine": str, "baseline": str, "m": int, "n": int, "batch": int, "p": int, "dtype": str, "median_us": float,
          "min_us": float, "baseline_us": float, "ratio": float, "repeats": int}  # fmt: skip


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Tiny layers, short samples, another results folder; torch's threads are restored."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(bench, "SHAPES", ((32, 24), (16, 8)))
    monkeypatch.setattr(bench, "SAMPLE_SECONDS", 1e-4)
    monkeypatch.setattr(records, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    yield
    torch.set_num_threads(threads)


def check_record(record: dict[str, Any]) -> None:
    """The schema that pages and notebooks read."""
    assert record["device"] in ("cpu", "cuda") and record["threads"] >= 1
    assert record["machine"] and record["versions"]["torch"] and record["versions"]["python"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", record["date"])
    assert record["command"].startswith("python -m kernels.bench")
    assert record["not_measured"] and all(isinstance(line, str) for line in record["not_measured"])
    assert record["rows"]
    for row in record["rows"]:
        assert {key: type(row[key]) for key in FIELDS} == FIELDS
        assert 0 < row["min_us"] <= row["median_us"] and row["baseline_us"] > 0
        assert row["ratio"] == pytest.approx(row["baseline_us"] / row["median_us"], rel=0.02)


def test_json_is_the_only_thing_on_stdout_and_is_what_was_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "result.json"
    assert bench.main(["--quick", "--json", "--out", str(out), "--threads", "1", "--device", "cpu"]) == 0
    record = json.loads(capsys.readouterr().out)
    check_record(record)
    assert record == json.loads(out.read_text())
    assert [path.name for path in out.parent.iterdir()] == ["result.json"]
    assert record["threads"] == 1 and record["command"] == "python -m kernels.bench --quick --device cpu --threads 1"
    assert record["not_measured"] == ["cuda: no GPU on this machine"]
    cases = {(row["m"], row["n"], row["batch"], row["p"], row["engine"]) for row in record["rows"]}
    assert len(cases) == len(record["rows"]) == 2 * 2 * 2 * 2
    assert {row["engine"] for row in record["rows"]} == {"compute-once (torch)", "memory-only (torch)"}
    assert {row["baseline"] for row in record["rows"]} == {"torch fp32 linear"}


def test_full_run_is_saved_under_the_name_of_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--threads", "1"]) == 0
    shown = capsys.readouterr()
    [path] = records.RESULTS.iterdir()
    record = json.loads(path.read_text())
    check_record(record)
    assert {row["p"] for row in record["rows"]} == {2, 4, 8, 16}
    slug = re.sub(r"[^a-z0-9]+", "-", record["machine"].lower()).strip("-")
    assert path.name == f"cpu-{slug}-1-thread.json"
    assert str(path) in shown.err
    for line in (
        "32x24 batch 64: torch fp32 linear",
        "compute-once (torch)",
        "not measured here: cuda: no GPU on this machine",
    ):
        assert line in shown.out
    assert bench.main(["--threads", "1", "--json"]) == 0, "an earlier result of the same machine is replaced"
    assert json.loads(path.read_text()) == json.loads(capsys.readouterr().out)


def test_quick_run_is_saved_only_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--quick"]) == 0
    assert not records.RESULTS.exists()
    assert "name a file with --out" in capsys.readouterr().err


OTHER = {"device": "cpu", "machine": "Another processor, 64 cores", "threads": 1, "rows": []}


@pytest.mark.parametrize(
    "content", [json.dumps(OTHER), json.dumps(OTHER | {"device": "cuda"}), "[]", "{}", "no json", ""]
)
@pytest.mark.parametrize("as_json", [True, False])
def test_foreign_file_is_left_alone_and_nothing_is_measured(
    content: str, as_json: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "result.json"
    out.write_text(content)
    monkeypatch.setattr(bench, "measure", lambda *_: pytest.fail("measured for nothing"))
    assert bench.main(["--quick", "--out", str(out), "--threads", "1", *["--json"] * as_json]) == 1
    shown = capsys.readouterr()
    assert out.read_text() == content and [path.name for path in tmp_path.iterdir()] == ["result.json"]
    if as_json:
        assert json.loads(shown.out).keys() == {"error", "fix"}
    else:
        assert shown.out == "" and "name another file with --out" in shown.err and len(shown.err.splitlines()) == 1


def test_another_number_of_threads_is_another_result(tmp_path: Path) -> None:
    record = records.describe("cpu", True, "") | {"threads": 1}
    records.save(record, tmp_path / "result.json")
    with pytest.raises(records.BenchError, match="holds something else"):
        records.save(record | {"threads": 2}, tmp_path / "result.json")


def test_disk_full_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "result.json"
    record = records.describe("cpu", True, "")
    records.save(record, out)
    before = out.read_text()

    def full(self: Path, data: str) -> int:
        with self.open("w") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(records.BenchError, match=r"cannot write .* \(No space left on device\); name another file"):
        records.save(record | {"quick": False}, out)
    assert out.read_text() == before and list(tmp_path.iterdir()) == [out]


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(records.BenchError, match="cannot write"):
        records.save(records.describe("cpu", True, ""), tmp_path / "file" / "result.json")


def test_wrong_answers_are_not_timed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    right = dispatch.linear_torch
    monkeypatch.setattr(dispatch, "linear_torch", lambda x, layer, bias=None: right(x, layer, bias) * 1.001)
    assert bench.main(["--quick"]) == 1
    assert "compute-once (torch) is wrong at 32x24, p=4" in capsys.readouterr().err


def test_a_busy_machine_is_told_and_recorded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for load, busy in ((3.456, True), (0.1, False)):
        monkeypatch.setattr("os.getloadavg", lambda load=load: (load, 0.0, 0.0))
        assert bench.main(["--quick", "--json"]) == 0
        shown = capsys.readouterr()
        assert json.loads(shown.out)["load"] == round(load, 2)
        assert ("this machine is busy (load 3.46)" in shown.err) == busy


def test_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--threads", "0"], ["--threads", "two"], ["--device", "tpu"], ["--nonsense"]):
        with pytest.raises(SystemExit) as stopped:
            bench.main(arguments)
        assert stopped.value.code == 2
    assert bench.main(["--device", "cuda", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "error": "this machine has no GPU that torch can use",
        "fix": "run with --device cpu",
    }


def test_machine_name_is_the_processor_and_not_the_host() -> None:
    name = records.machine_name("cpu")
    assert re.search(r"\d+ cores?$", name) and len(name) > len(", 2 cores")
    import socket

    assert socket.gethostname() not in name


def test_samples_are_taken_in_turn() -> None:
    order: list[str] = []
    calls: bench.Calls = {name: (lambda name=name: order.append(name) or torch.zeros(1)) for name in "ab"}  # type: ignore[misc]
    samples = bench.sample_cpu(calls, rounds=3, seconds=1e-9)
    assert [len(samples[name]) for name in "ab"] == [3, 3]
    assert order == list("aabb" + "ab" * 3)


def test_a_long_case_gets_five_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "CASE_SECONDS", 0.0)
    assert len(bench.sample_cpu({"a": lambda: torch.zeros(1)}, rounds=31, seconds=1e-9)["a"]) == 5
    assert len(bench.sample_cpu({"a": lambda: torch.zeros(1)}, rounds=3, seconds=1e-9)["a"]) == 3


@pytest.mark.parametrize(
    "path", sorted((Path(bench.__file__).parent / "results").glob("*.json")), ids=lambda path: path.name
)
def test_committed_results_follow_the_schema(path: Path) -> None:
    record = json.loads(path.read_text())
    check_record(record)
    assert records.default_path(record).name == path.name


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_gpu_rows() -> None:
    with torch.inference_mode():
        rows = bench.rows_of(64, 48, 16, (4,), torch.bfloat16, "cuda", 3)
    assert {row["engine"] for row in rows} == {"compute-once (torch)", "memory-only (torch)", "compute-once (triton)"}
