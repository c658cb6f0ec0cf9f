"""The benchmark's rows, reasons, file and command line; no timing is judged here."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from kernels import bench, dispatch, records
from kernels.bench import cases, cuda_peers, engine, measure, ours, peers, roofline, sampling
from kernels.bench.cases import Case

FIELDS: dict[str, Any] = {
    "op": str, "shape": str, "m": int, "n": int, "batch": int, "engine": str, "ours": bool, "dtype": str, "timing": str, "median_us": float,
    "min_us": float, "baseline": str, "baseline_us": float, "ratio": float, "fastest_dense": str, "fastest_dense_us": float, "ratio_fastest": float,
    "weight_bytes": int, "bytes": int, "relative_error": float, "repeats": int,
}  # fmt: skip
TINY = [Case("linear", 64, 256, 2), Case("conv", 16, 4, 1, 3, 6), Case("mlp", 32, 16, 3)]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Tiny layers, short samples, torch's own peers, another results folder; torch's threads are restored."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(cases, "cases_of", lambda device, quick: TINY)
    monkeypatch.setattr(sampling, "SAMPLE_SECONDS", 1e-4)
    monkeypatch.setattr(sampling, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(measure, "CASE_SECONDS", dict.fromkeys(measure.CASE_SECONDS, 0.0))
    monkeypatch.setattr(roofline, "LEVELS", (2**12, 2**14))
    monkeypatch.setattr(roofline, "SQUARE", 32)
    monkeypatch.setattr(peers, "PEERS", peers.PEERS[:2])
    monkeypatch.setattr(records, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    yield
    torch.set_num_threads(threads)


def check_record(record: dict[str, Any]) -> None:
    """The schema that pages and tables read."""
    assert record["kind"] == "kernels" and record["device"] in ("cpu", "cuda") and record["threads"] >= 1
    assert record["complete"] is True
    assert record["machine"] and record["versions"]["torch"] and record["versions"]["python"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", record["date"])
    assert record["command"].startswith("python -m kernels.bench")
    assert record["not_measured"] and all(isinstance(line, str) for line in record["not_measured"])
    assert {"source", "bytes_per_second", "macs_per_second", "reached_by"} == set(
        record["roofline"] or {}
    ) or not record["roofline"]
    assert record["rows"]
    for row in record["rows"]:
        assert {key: type(row[key]) for key in FIELDS} == FIELDS
        assert set(row) == {*FIELDS, "p", "macs", "floor_us", "bound"}
        assert (row["p"] is not None) == row["ours"]
        assert 0 < row["min_us"] <= row["median_us"] and row["baseline_us"] >= row["fastest_dense_us"] > 0
        assert row["ratio"] == pytest.approx(row["baseline_us"] / row["median_us"], rel=0.02)
        assert row["ratio_fastest"] == pytest.approx(row["fastest_dense_us"] / row["median_us"], rel=0.02)
        assert 0 <= row["relative_error"] < engine.TOLERANCE[row["dtype"]] and row["weight_bytes"] > 0
        assert row["macs"] is None or row["macs"] > 0
        assert row["floor_us"] is None or row["bound"] == "memory" or row["floor_us"] <= 1.001 * row["min_us"]
        assert row["bound"] in ("memory", "compute", None) and (row["floor_us"] is None) == (row["bound"] is None)


def run(*arguments: str) -> int:
    """The command with one thread."""
    return bench.main([*arguments, "--threads", "1"])


def test_json_is_the_only_thing_on_stdout_and_is_what_was_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "result.json"
    assert run("cpu", "--quick", "--json", "--out", str(out)) == 0
    record = json.loads(capsys.readouterr().out)
    check_record(record)
    assert record == json.loads(out.read_text())
    assert [path.name for path in out.parent.iterdir()] == ["result.json"]
    assert record["threads"] == 1 and record["command"] == "python -m kernels.bench cpu --quick --threads 1"
    first, *others = record["not_measured"]
    assert first == "cuda: no GPU on this machine"
    assert all("(native" in line and "): left to torch" in line for line in others)
    names = {(row["op"], row["engine"], row["p"]) for row in record["rows"]}
    assert len(names) == len(record["rows"])
    for op in ("linear", "conv", "mlp"):
        assert {(op, "torch fp32", None), (op, "torch bf16", None), (op, "memory-only (torch)", 4)} <= names
        assert {(op, "compute-once (torch)", 4), (op, "compute-once (torch)", 8)} <= names
    assert ("mlp", "collapsed (torch)", 8) in names
    assert {row["fastest_dense"] for row in record["rows"]} == {"torch fp32"}, "bf16 is not full precision"


def test_full_run_is_saved_under_the_name_of_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    shown = capsys.readouterr()
    [path] = records.RESULTS.iterdir()
    record = json.loads(path.read_text())
    check_record(record)
    assert {row["p"] for row in record["rows"]} == {None, 2, 4, 8, 16}
    slug = re.sub(r"[^a-z0-9]+", "-", record["machine"].lower()).strip("-")
    assert path.name == f"cpu-{slug}-1-thread.json"
    assert str(path) in shown.err
    for line in (
        "linear 64x256, batch 2, loop, warm weights: torch fp32",
        "compute-once (torch) p=4",
        "not measured here: cuda: no GPU on this machine",
    ):
        assert line in shown.out
    assert run("--json") == 0, "an earlier result of the same machine is replaced"
    assert json.loads(path.read_text()) == json.loads(capsys.readouterr().out)


def test_quick_run_is_saved_only_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cpu", "--quick") == 0
    assert not records.RESULTS.exists()
    assert "name a file with --out" in capsys.readouterr().err


@pytest.mark.parametrize(
    "case",
    [Case("linear", 64, 256, 3), Case("conv", 32, 16, 2, 3, 8), Case("mlp", 64, 32, 5)],
    ids=lambda case: case.text,
)
def test_every_installed_peer_and_engine_gives_the_right_answer(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(sampling, "SAMPLE_SECONDS", 1e-4)
    here = [peer for peer in peers.PEERS if peer.why_missing() is None]
    assert len(here) >= 4
    reasons = measure.Reasons()
    with torch.inference_mode():
        found = measure.engines_of(cases.problem_of(case, (4, 8)), here, reasons)
    assert all(
        "linear layers only" in line or ("(native" in line and "): left to torch" in line) for line in reasons.lines()
    )
    assert {peer.name for peer in here if not peer.linear_only or case.op == "linear"} <= set(found)
    assert {checked.engine.name for checked in found.values() if checked.dense} <= {
        "torch fp32",
        "ONNX Runtime fp32",
        "OpenVINO fp32",
    }
    if find_spec("onnx") and find_spec("onnxruntime"):
        assert "compute-once (onnxruntime) p=8" in found
    for checked in found.values():
        if checked.engine.dtype == "float32":
            assert checked.error < 1e-5


def peer(build: Callable[[cases.Problem], engine.Engine], package: str = "torch") -> engine.Peer:
    """A peer of the tests."""
    return engine.Peer("a peer", package, build, "a-peer")


def raising(problem: cases.Problem) -> engine.Engine:
    """Refuses with many lines."""
    raise RuntimeError("no kernel for this shape\nand a page of advice")


def wrong(problem: cases.Problem) -> engine.Engine:
    """Answers with something else."""
    return engine.Engine("a peer", lambda: 2 * problem.expected(4).float(), 1)


def flat(problem: cases.Problem) -> engine.Engine:
    """Answers in another shape."""
    return engine.Engine("a peer", lambda: problem.expected(4).float().flatten(), 1)


def unavailable(problem: cases.Problem) -> engine.Engine:
    """Says why not."""
    raise engine.Unavailable("64 rows are too few")


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (
            peer(raising),
            "a peer: failed with RuntimeError: no kernel for this shape (linear 64x256, batch 2; conv 4->16 3x3 at 6x6, batch 1; mlp",
        ),
        (peer(wrong), "a peer: wrong answer, relative error 1.0e+00 (linear 64x256, batch 2; "),
        (peer(flat), "a peer: wrong answer, relative error inf (linear"),
        (peer(unavailable), "a peer: 64 rows are too few (linear 64x256, batch 2; "),
        (peer(raising, "no_such_package"), "a peer: the package a-peer is not installed"),
    ],
)
def test_a_peer_that_cannot_be_measured_is_named(
    other: engine.Peer, reason: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(peers, "PEERS", (peers.PEERS[0], other))
    assert run("cpu", "--quick", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    check_record(record)
    [line] = [line for line in record["not_measured"] if line.startswith("a peer")]
    assert line.startswith(reason)
    assert "a peer" not in {row["engine"] for row in record["rows"]}


def test_peers_of_the_gpu_are_named_and_never_crash() -> None:
    problem = cases.problem_of(Case("linear", 64, 256, 2, dtype=torch.bfloat16), (4,))
    reasons = measure.Reasons()
    with torch.inference_mode():
        found = measure.engines_of(
            problem, cuda_peers.PEERS, reasons
        )  # on the CPU all but torch's own product must refuse
    assert "torch bf16" in found and found["torch bf16"].dense
    named = " ".join(reasons.lines())
    assert all(other.name in found or other.name in named for other in cuda_peers.PEERS[1:])
    assert find_spec("gemlite") or "gemlite 1 bit: failed with ModuleNotFoundError" in named


def test_cases_without_time_are_named_and_what_was_measured_is_saved(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    states = iter([False, True, True])
    monkeypatch.setattr(
        measure.sampling.Deadline,
        "passed",
        lambda self: next(states) if self.end is not None and self.end > 1e9 else True,
    )
    monkeypatch.setattr(measure, "BUDGET_SECONDS", dict.fromkeys(measure.BUDGET_SECONDS, 2e9))
    out = tmp_path / "result.json"
    assert run("cpu", "--quick", "--out", str(out)) == 0
    record = json.loads(out.read_text())
    assert {row["op"] for row in record["rows"]} == {"linear"}
    assert "no time was left (conv 4->16 3x3 at 6x6, batch 1; mlp 16-32-16, 3 tokens)" in record["not_measured"]


def test_a_deadline() -> None:
    assert (
        sampling.Deadline(-1.0).passed()
        and not sampling.Deadline(60.0).passed()
        and not sampling.Deadline(None).passed()
    )


def test_an_interrupted_run_leaves_what_it_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right, out = measure.engines_of, tmp_path / "result.json"

    def interrupted(problem: cases.Problem, *rest: Any) -> Any:
        if problem.case.op == "conv":
            assert json.loads(out.read_text())["rows"], "saved after each case"
            raise KeyboardInterrupt
        return right(problem, *rest)

    monkeypatch.setattr(measure, "engines_of", interrupted)
    assert run("cpu", "--quick", "--out", str(out)) == 130
    record = json.loads(out.read_text())
    assert record["complete"] is False and {row["op"] for row in record["rows"]} == {"linear"}
    assert "what came after the interruption" in record["not_measured"]
    assert "interrupted" in capsys.readouterr().err


def test_the_least_time_of_a_call() -> None:
    limits = {"bytes_per_second": {"1000": 1e9, "4000": 1e8}, "macs_per_second": {"float32": 1e9}}
    assert roofline.floor(limits, "float32", 5000, 500) == (5.0, "compute")
    assert roofline.floor(limits, "float32", 5000, 3999) == (5.0, "compute"), (
        "the faster of two levels: a floor is never too high"
    )
    assert roofline.floor(limits, "float32", 5000, 4000) == (40.0, "memory")
    assert (
        roofline.floor(limits, "float32", None, 1500) == roofline.floor(limits, "int8", 5000, 1500) == (1.5, "memory")
    )
    assert roofline.floor(None, "float32", 5000, 500) == (None, None)
    sheet = roofline.of_cuda("NVIDIA H100 80GB HBM3")
    assert sheet is not None and sheet["source"] == "data sheet of H100" and roofline.of_cuda("A card") is None
    assert roofline.floor(sheet, "bfloat16", None, 3_350_000)[0] == pytest.approx(1.0)


def test_a_row_that_is_faster_than_the_peak_raises_it() -> None:
    limits = {"bytes_per_second": {"0": 1e12}, "macs_per_second": {"float32": 1e9}, "reached_by": "a square"}
    rows: list[dict[str, Any]] = [
        {"engine": name, "dtype": dtype, "macs": macs, "bytes": 8, "min_us": 1.0}
        for name, dtype, macs in (("fast", "float32", 2000), ("bits", "int8", 9000), ("look-ups", "float32", None))
    ]
    roofline.fill(limits, rows)
    assert limits["reached_by"] == "fast" and limits["macs_per_second"] == {"float32": 2e9}
    assert [row["bound"] for row in rows] == ["compute", "memory", "memory"] and rows[0]["floor_us"] == 1.0
    sheet = limits | {"reached_by": None, "macs_per_second": {"float32": 1e9}}
    roofline.fill(sheet, rows)
    assert sheet["macs_per_second"] == {"float32": 1e9}, "a data sheet stays as it is"


def test_collapsed_weights_are_the_contracted_ones() -> None:
    problem = cases.problem_of(Case("mlp", 32, 16, 3), (4,))
    first, second = ours.contract(problem, 4)
    assert first.shape == (8, 16) and second.shape == (4, 8)
    assert set((second / problem.layers[4][1].alphas).round().flatten().tolist()) <= {-4.0, -2.0, 0.0, 2.0, 4.0}


def test_factors_that_do_not_divide_are_left_out() -> None:
    assert cases.problem_of(Case("linear", 12, 8, 1), (2, 4, 8)).factors == (4, 2)
    with pytest.raises(ValueError, match="none of p"):
        cases.problem_of(Case("linear", 7, 8, 1), (2, 4))


def test_every_case_of_every_device_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for device in ("cpu", "cuda"):
        for quick in (True, False):
            found = cases.cases_of(device, quick)
            assert len({case.text for case in found}) == len(found)
            for case in found:
                assert all(rows % 16 == 0 for rows, _ in case.geometries) and case.macs > 0 and case.moved > 0


OTHER = {"kind": "kernels", "device": "cpu", "machine": "Another processor, 64 cores", "threads": 1, "rows": []}


@pytest.mark.parametrize(
    "content", [json.dumps(OTHER), json.dumps(OTHER | {"device": "cuda"}), "[]", "{}", "no json", ""]
)
@pytest.mark.parametrize("as_json", [True, False])
def test_foreign_file_is_left_alone_and_nothing_is_measured(
    content: str, as_json: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "result.json"
    out.write_text(content)
    monkeypatch.setattr(measure, "measure", lambda *_: pytest.fail("measured for nothing"))
    assert run("cpu", "--quick", "--out", str(out), *["--json"] * as_json) == 1
    shown = capsys.readouterr()
    assert out.read_text() == content and [path.name for path in tmp_path.iterdir()] == ["result.json"]
    if as_json:
        assert json.loads(shown.out).keys() == {"error", "fix"}
    else:
        assert shown.out == "" and "name another file with --out" in shown.err and len(shown.err.splitlines()) == 1


@pytest.mark.parametrize("change", [{"threads": 2}, {"kind": "models"}])
def test_another_number_of_threads_or_kind_is_another_result(change: dict[str, Any], tmp_path: Path) -> None:
    record = records.describe("kernels", "cpu", True, "") | {"threads": 1}
    records.save(record, tmp_path / "result.json")
    with pytest.raises(records.BenchError, match="holds something else"):
        records.save(record | change, tmp_path / "result.json")


def test_disk_full_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "result.json"
    record = records.describe("kernels", "cpu", True, "")
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
        records.save(records.describe("kernels", "cpu", True, ""), tmp_path / "file" / "result.json")


def test_wrong_answers_of_ours_are_not_timed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = dispatch.linear_torch
    monkeypatch.setattr(dispatch, "linear_torch", lambda x, layer, bias=None: right(x, layer, bias) * 1.001)
    assert run("cpu", "--quick") == 1
    assert "compute-once (torch) is wrong at linear 64x256, batch 2, p=4" in capsys.readouterr().err


def test_a_busy_machine_is_told_and_recorded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cases, "cases_of", lambda device, quick: TINY[:1])
    for load, busy in ((3.456, True), (0.1, False)):
        monkeypatch.setattr("os.getloadavg", lambda load=load: (load, 0.0, 0.0))
        assert run("cpu", "--quick", "--json") == 0
        shown = capsys.readouterr()
        assert json.loads(shown.out)["load"] == round(load, 2)
        assert ("this machine is busy (load 3.46)" in shown.err) == busy


def test_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--threads", "0"], ["--threads", "two"], ["tpu"], ["--nonsense"]):
        with pytest.raises(SystemExit) as stopped:
            bench.main(arguments)
        assert stopped.value.code == 2
    assert bench.main(["gpu", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "error": "this machine has no GPU that torch can use",
        "fix": "run with cpu",
    }


def test_machine_name_is_the_processor_and_not_the_host() -> None:
    name = records.machine_name("cpu")
    assert re.search(r"\d+ cores?$", name) and len(name) > len(", 2 cores")
    import socket

    assert socket.gethostname() not in name


def test_samples_are_taken_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "SAMPLE_SECONDS", 1e-9)
    order: list[str] = []
    calls: sampling.Calls = {name: (lambda name=name: order.append(name) or torch.zeros(1)) for name in "ab"}  # type: ignore[misc]
    samples = sampling.sample_cpu(calls, rounds=3, seconds=60.0)
    assert [len(samples[name]) for name in "ab"] == [3, 3]
    assert order == list("aabb" + "aabb" * 3), "twice to know the length of a loop, then one to warm up and one timed"


def test_a_long_case_gets_five_rounds() -> None:
    calls: sampling.Calls = {"a": lambda: torch.zeros(1)}
    assert len(sampling.sample_cpu(calls, rounds=31, seconds=0.0)["a"]) == 5
    assert len(sampling.sample_cpu(calls, rounds=3, seconds=0.0)["a"]) == 3


COMMITTED = sorted((Path(records.__file__).parent / "results").glob("c*.json"))


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.name)
def test_committed_results_follow_the_schema(path: Path) -> None:
    record = json.loads(path.read_text())
    check_record(record)
    assert records.default_path(record).name == path.name


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_gpu_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    record: dict[str, Any] = {"rows": [], "not_measured": [], "versions": {}, "machine": torch.cuda.get_device_name()}
    chosen = [Case("linear", 256, 256, batch, dtype=torch.bfloat16) for batch in (1, 16)]
    measure.measure("cuda", True, chosen, (4,), record, lambda: None, lambda line: None)
    timings = {row["timing"] for row in record["rows"]}
    assert timings == {"one call, cold L2", "CUDA graph over 8 layers"}
    assert {"compute-once (torch)", "memory-only (torch)", "compute-once (triton)", "torch bf16"} <= {
        row["engine"] for row in record["rows"]
    }


def test_an_answer_of_another_shape_is_infinitely_wrong() -> None:
    problem = cases.problem_of(TINY[0], (4,))
    answer: Tensor = problem.expected(4)
    assert problem.relative_error(answer, 4) == 0 and problem.relative_error(answer.T, 4) == float("inf")
