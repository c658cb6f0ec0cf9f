"""The kernels' charts: what is drawn is what was measured, and they say where and when."""

from typing import Any

import pytest

from tbn import charts, kernel_charts

RECORD = {"device": "cpu", "machine": "AMD", "date": "2026-11-23T01:02:03", "threads": 2, "versions": {"torch": "2"}}
COMMON = {"op": "linear", "shape": "4096x4096", "batch": 64, "baseline": "torch fp32", "fastest_dense": "OpenVINO fp32", "dtype": "float32",
          "weight_bytes": 1000, "relative_error": 1e-7, "repeats": 31, "floor_us": 2.0, "bound": "compute", "p": None, "ours": False}  # fmt: skip
ROWS: list[dict[str, Any]] = [
    COMMON | {"engine": engine, "median_us": time, "ratio": 100 / time, "ratio_fastest": 40 / time, **more}
    for engine, time, more in (
        ("torch fp32", 100.0, {}),
        ("OpenVINO fp32", 40.0, {}),
        ("ggml Q1_0", 200.0, {"dtype": "1 bit", "floor_us": None, "bound": None}),
        ("compute-once (native)", 5.0, {"ours": True, "p": 4, "floor_us": 0.1}),
        ("memory-only (torch)", 300.0, {"ours": True, "p": 4}),
    )
]


def test_engine_times() -> None:
    figure = kernel_charts.engine_times(RECORD, ROWS)
    bars = {trace.name: dict(zip(trace.y, trace.x, strict=True)) for trace in figure.data if trace.type == "bar"}
    assert bars == {
        "ours, distinct rows only": {"compute-once (native)": 5.0},
        "ours, whole weight unpacked": {"memory-only (torch)": 300.0},
        "others, full precision": {"torch fp32": 100.0, "OpenVINO fp32": 40.0},
        "others, fewer bits": {"ggml Q1_0": 200.0},
    }
    [floors] = [trace for trace in figure.data if trace.type == "scatter"]
    assert dict(zip(floors.y, floors.x, strict=True))["compute-once (native)"] == 0.1 and "ggml Q1_0" not in floors.y
    assert figure.layout.yaxis.categoryarray[-1] == "compute-once (native)", "the fastest is on top"
    assert "(us" in figure.layout.xaxis.title.text
    low, high = (10**end for end in figure.layout.xaxis.range)
    assert low < 0.1 and high > 300
    told = charts.alt_text(figure)
    assert "linear 4096x4096, batch 64, on AMD, measured 2026-11-23 with 2 threads, torch 2" in told
    assert "compute-once (native) with 5.0 us, 8.00 times as OpenVINO fp32" in told


def test_bf16_is_full_precision_beside_a_bf16_baseline() -> None:
    row = COMMON | {"engine": "torch bf16", "dtype": "bfloat16"}
    assert kernel_charts.sort_of(row) == "others, fewer bits"
    assert kernel_charts.sort_of(row | {"baseline": "torch bf16"}) == "others, full precision"


@pytest.mark.parametrize(
    ("time", "text"), [(4.71, "4.7 us"), (217.3, "217 us"), (9999, "9,999 us"), (57_654, "57.7 ms")]
)
def test_times_in_words(time: float, text: str) -> None:
    assert kernel_charts.time_text(time) == text


def models() -> list[dict[str, Any]]:
    """Two networks with two engines of ours and a dense one."""
    common = {"batch": 1, "p": 4, "repeats": 15, "inputs_per_second": 9.0, "baseline": "OpenVINO", "baseline_ms": 6.0}
    return [
        common
        | {
            "model": model,
            "engine": engine,
            "ours": engine != "OpenVINO",
            "median_ms": 6 / ratio,
            "ratio": ratio,
            "limit": limit,
        }
        for model, limit in (("resnet18", 2.16), ("vit", 3.54))
        for engine, ratio in (("OpenVINO", 1.0), ("packed", 1.9), ("packed, fused", limit - 0.1))
    ]


def test_model_ratios() -> None:
    figure = kernel_charts.model_ratios(RECORD, models())
    bars = {trace.name: list(trace.x) for trace in figure.data if trace.type == "bar"}
    assert bars == {"packed": [1.9, 1.9], "packed, fused": pytest.approx([2.06, 3.44])}
    [limits] = [trace for trace in figure.data if trace.type == "scatter"]
    assert list(limits.x) == [2.16, 3.54] and limits.y[0] == "resnet18<br>OpenVINO, 6 ms"
    assert "from 1.90 to 3.44 times as fast, best vit with packed, fused (limit by MACs 3.54)" in charts.alt_text(
        figure
    )


def test_where_time_goes() -> None:
    dense = dict.fromkeys(kernel_charts.KINDS, 0.0) | {"tiled products": 8.0}
    entry = {
        "model": "vit",
        "p": 4,
        "batch": 1,
        "milliseconds": dense | {"tiled products": 2.0, "attention": 0.5},
        "dense_milliseconds": dense,
    }
    figure = kernel_charts.where_time_goes(RECORD | {"where_time_goes": [entry]})
    drawn = {trace.name: dict(zip(trace.y, trace.x, strict=True)) for trace in figure.data}
    assert drawn["tiled products"] == {"vit, batch 1,<br>dense": 8.0, "vit, batch 1,<br>p = 4": 2.0}
    assert drawn["attention"]["vit, batch 1,<br>p = 4"] == 0.5
    assert "vit, batch 1, p = 4: tiled products 2.00 ms, attention 0.50 ms" in charts.alt_text(figure)
