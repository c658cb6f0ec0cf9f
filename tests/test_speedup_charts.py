"""All cases in one picture: the fastest of ours at each p, the fastest of fewer bits, and the roofline."""

from typing import Any

import pytest

from tbn import charts, speedup_charts

RECORD = {"device": "cpu", "machine": "AMD", "date": "2026-11-23T01:02:03", "threads": 1, "versions": {"torch": "2"}}


def row(engine: str, time: float, p: int | None = None, shape: str = "4x4", **more: Any) -> dict[str, Any]:
    return {"op": "linear", "shape": shape, "batch": 64, "timing": "loop", "p": p, "engine": engine, "ours": p is not None, "dtype": "float32",
            "baseline": "torch fp32", "fastest_dense": "OpenVINO fp32", "median_us": time,
            "ratio_fastest": 40 / time, "floor_us": 1.0} | more  # fmt: skip


ROWS = [
    row("torch fp32", 100), row("OpenVINO fp32", 40), row("ggml Q1_0", 80, dtype="1 bit", floor_us=None), row("int4", 20, dtype="int4"),
    row("compute-once (torch)", 10, 4), row("compute-once (native)", 5, 4), row("compute-once (native)", 4, 8), row("memory-only (torch)", 1, 4),
    row("compute-once (native)", 80, 4, shape="8x8"), row("compute-once (native)", 50, 8, shape="8x8", floor_us=2.0),
]  # fmt: skip


def test_the_fastest_of_ours_and_of_fewer_bits() -> None:
    best = speedup_charts.best_of_ours(ROWS).set_index(["case", "p"])
    assert (
        best.loc[("linear 4x4, batch 64", 4), "engine"] == "compute-once (native)"
    )  # memory-only does not count: it computes every row
    assert best.loc[("linear 4x4, batch 64", 0), "engine"] == "int4"
    assert best["ratio_fastest"].to_dict() == {
        ("linear 4x4, batch 64", 0): 2, ("linear 4x4, batch 64", 4): 8, ("linear 4x4, batch 64", 8): 10,
        ("linear 8x8, batch 64", 4): 0.5, ("linear 8x8, batch 64", 8): 0.8,
    }  # fmt: skip
    assert best.loc[("linear 8x8, batch 64", 8), "limit"] == 20


def test_the_picture() -> None:
    figure = speedup_charts.speedups(RECORD, ROWS)
    drawn = {trace.name: dict(zip(trace.y, trace.x, strict=True)) for trace in figure.data}
    assert drawn["p = 8"] == {"linear 4x4, batch 64": 10, "linear 8x8, batch 64": 0.8}
    assert drawn["others, fewer bits"] == {"linear 4x4, batch 64": 2}
    assert drawn["roofline at p = 8"] == {"linear 4x4, batch 64": 40, "linear 8x8, batch 64": 20}
    assert figure.layout.xaxis.type == "log" and "fastest dense" in figure.layout.xaxis.title.text
    told = charts.alt_text(figure)
    assert "2 cases, on AMD, measured 2026-11-23 with 1 thread" in told
    assert "from 0.50 times for linear 8x8, batch 64 at p = 4 to 10.00 times for linear 4x4, batch 64 at p = 8" in told


@pytest.mark.parametrize(("op", "words"), [("mlp", "ViT-B perceptron 4x4, tokens 64"), ("conv", "conv 4x4, batch 64")])
def test_cases_in_words(op: str, words: str) -> None:
    assert speedup_charts.case_text({"op": op, "shape": "4x4", "batch": 64}) == words
