"""The Kernels page: devices by key, all cases in one picture, and benchmarks of this computer as jobs whose records can be chosen."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts import bench_panel, kernels_panel

Open = Callable[..., AppTest]
PAGE = "pages/explore/kernels.py"
RECORD: dict[str, Any] = {"kind": "kernels", "device": "cpu", "machine": "A processor", "date": "2026-11-23T10:00:00+00:00", "threads": 1,
                          "versions": {"torch": "2"}, "not_measured": [], "load": 0.4, "quick": False, "complete": True}  # fmt: skip
ROW = {
    "op": "linear", "shape": "4x4", "batch": 1, "p": 4, "engine": "compute-once (torch)", "ours": True, "dtype": "float32", "timing": "loop",
    "median_us": 1.0, "baseline": "torch fp32", "ratio": 2.0, "fastest_dense": "torch fp32", "ratio_fastest": 2.0, "weight_bytes": 9,
    "relative_error": 0.0, "floor_us": 0.5, "bound": "memory", "repeats": 5,
}  # fmt: skip
ROWS = [
    ROW,
    ROW | {"p": 8, "median_us": 0.5, "ratio_fastest": 4.0},
    ROW | {"engine": "torch fp32", "ours": False, "p": None, "ratio": 1.0},
]


def words(app: AppTest) -> str:
    return "\n".join(
        str(element.value) for kind in (app.markdown, app.caption, app.info, app.success) for element in kind
    )


@pytest.fixture
def recorded(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A record that came along, and none of this computer."""
    monkeypatch.setattr("pages.parts.data.RESULTS", tmp_path)
    (tmp_path / "cpu.json").write_text(json.dumps(RECORD | {"rows": ROWS}))
    return folder


def measure(folder: Path, name: str, **changed: Any) -> None:
    """What a benchmark job leaves."""
    place = folder / "jobs" / name
    place.mkdir(parents=True)
    (place / "record.json").write_text(
        json.dumps(RECORD | {"rows": ROWS, "date": "2026-11-24T10:00:00+00:00"} | changed)
    )
    argv = ["bench", "cpu", "--quick", "--json", "--out", str(place / "record.json")]
    job = {"kind": "bench", "argv": argv, "pid": 1, "started": 1.0, "ended": 3.0, "returncode": 0}
    (place / "job.json").write_text(json.dumps(job))


def test_all_cases_and_one_layer(recorded: Path, open_page: Open) -> None:
    app = open_page(PAGE, p="8")
    assert not app.error and not app.warning
    every, engines = (chart.proto.alt for chart in app.get("plotly_chart")[:2])
    assert "1 cases, on A processor" in every and "4.00 times for linear 4x4, batch 1 at p = 8" in every
    assert "with 0.5 us" in engines
    assert not any("case" in table.value for table in app.dataframe), "made when somebody opens it"
    app.session_state["speedups_rows"] = True
    app.run()
    best = next(table.value for table in app.dataframe if "ratio_fastest" in table.value and "case" in table.value)
    assert dict(zip(best["p"], best["ratio_fastest"], strict=True)) == {4: 2.0, 8: 4.0}


def test_the_address_has_keys_and_understands_words(recorded: Path, open_page: Open) -> None:
    for said in ("cuda", "GPU (CUDA)"):
        app = open_page(PAGE, device=said)
        assert (
            app.segmented_control(key="device").value == "cuda" and "GPU (CUDA): not measured yet" in app.info[0].value
        )
    app.segmented_control(key="device").set_value("cpu").run()
    assert "device" not in app.query_params and not app.info
    app.segmented_control(key="device").set_value("cuda").run()
    assert app.query_params["device"] in ("cuda", ["cuda"])
    app = open_page(PAGE, device="nonsense", p="3", layer="none")
    assert app.segmented_control(key="device").value == "cpu" and not app.error


def test_a_benchmark_of_this_computer_can_be_chosen(recorded: Path, open_page: Open) -> None:
    measure(recorded, "bench-20261124-100000", load=3.0, quick=True, complete=False)
    app = open_page(PAGE)
    options = app.selectbox(key="machine").options
    assert options == ["A processor, 1 thread", "A processor, 1 thread, measured here 2026-11-24 10:00, quick"]
    assert "measured 2026-11-23" in words(app) and "was busy" not in words(app)
    app = open_page(PAGE, machine="bench-20261124-100000")
    assert (
        "measured 2026-11-24" in words(app)
        and "the machine was busy then" in words(app)
        and "did not come to its end" in words(app)
    )
    assert any("bench-20261124-100000/record.json" in code.value for code in app.code)
    app = open_page(PAGE, job="bench-20261124-100000")  # as the list of jobs links it
    assert app.selectbox(key="machine").value == "bench-20261124-100000"
    assert "can be chosen above" in words(app)


def test_half_a_record_and_other_files_are_left_out(recorded: Path, open_page: Open) -> None:
    measure(recorded, "bench-1", rows=[])
    (recorded / "jobs" / "bench-2").mkdir()
    (recorded / "jobs" / "bench-2" / "record.json").write_text("{")
    assert bench_panel.records() == []
    assert len(open_page(PAGE).selectbox(key="machine").options) == 1


def test_a_benchmark_is_a_job(recorded: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr("tbn.jobs.start", lambda folder, argv, kind: asked.append([kind, folder.name, *argv]))
    app = open_page(PAGE)
    app.number_input(key="bench_threads").set_value(2).run()
    app.button(key="bench_start").click().run()
    ((kind, name, *argv),) = asked
    assert kind == "bench" and name.startswith("bench-")
    assert argv == [
        "bench",
        "cpu",
        "--quick",
        "--threads",
        "2",
        "--json",
        "--out",
        str(recorded / "jobs" / name / "record.json"),
    ]


def test_a_benchmark_that_is_refused_is_a_sentence(
    recorded: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runs folder that cannot be written."""
    monkeypatch.setenv("TBN_RUNS", "/proc/nowhere")
    app = open_page(PAGE)
    app.button(key="bench_start").click().run()
    assert "Cannot make a job's folder" in app.error[0].value and "**What to do:**" in app.error[0].value


def test_arguments_are_the_command_s() -> None:
    assert bench_panel.arguments("networks", False, 1) == ["bench", "networks", "--threads", "1"]
    assert bench_panel.arguments("mcu", True, None) == ["bench", "mcu", "--quick"]
    assert set(bench_panel.WHAT) == set(bench_panel.TAKES)
    assert kernels_panel.record_words(RECORD | {"threads": 2}) == "A processor, 2 threads"
