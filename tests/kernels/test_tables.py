"""Records as text and as README's tables: the numbers are the rows'."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kernels import records, tables

COMMON = {"op": "linear", "shape": "8x4", "batch": 1, "timing": "loop", "baseline": "torch fp32", "baseline_us": 100.0,
          "fastest_dense": "OpenVINO fp32", "fastest_dense_us": 50.0,
          "dtype": "float32", "floor_us": None, "bound": None, "p": None, "ours": False}  # fmt: skip
KERNELS: dict[str, Any] = {
    "kind": "kernels", "device": "cpu", "machine": "AMD", "threads": 1, "date": "2026-11-23", "load": 0.1, "versions": {"torch": "2"},
    "not_measured": ["ggml Q1_0: not here"],
    "rows": [
        COMMON | {"engine": engine, "median_us": 100 / ratio, "ratio": ratio, "ratio_fastest": ratio / 2, **more}
        for engine, ratio, more in (
            ("torch fp32", 1.0, {}), ("OpenVINO fp32", 2.0, {}), ("torch int4", 3.0, {"dtype": "int4"}), ("torch bf16", 1.5, {"dtype": "bfloat16"}),
            ("memory-only (torch)", 0.5, {"ours": True, "p": 4}), ("compute-once (torch)", 4.0, {"ours": True, "p": 4}),
            ("compute-once (native)", 12.0, {"ours": True, "p": 4, "floor_us": 1.0, "bound": "memory"}),
            ("compute-once (torch)", 8.0, {"ours": True, "p": 8}),
        )
    ],
}  # fmt: skip
MODELS: dict[str, Any] = KERNELS | {
    "kind": "models", "models": {"vit p=4": {"dense_bytes": 38_000_000, "packed_bytes": 310_000}},
    "rows": [
        {"model": "vit", "p": 4, "batch": 1, "engine": engine, "ours": ours, "median_ms": 6 / ratio, "baseline": "OpenVINO", "baseline_ms": 6.0,
         "ratio": ratio, "limit": 3.5}
        for engine, ours, ratio in (("torch", False, 0.4), ("OpenVINO", False, 1.0), ("packed", True, 2.1))
    ],
}  # fmt: skip


def test_the_kernels_table_has_the_best_of_each_sort() -> None:
    head, _, row = tables.markdown(KERNELS).splitlines()
    assert head.startswith("| 1 thread | torch fp32 | fastest dense | ")
    assert (
        row == "| linear 8x4, batch 1 | 100 us | 2.0x OpenVINO fp32 | 3.0x torch int4 | - | 4.0x | 12.0x | 8.0x | - |"
    )


def test_convolutions_of_one_image_are_left_to_the_page() -> None:
    rows = [row | {"op": "conv", "shape": "4->8", "batch": batch} for row in KERNELS["rows"] for batch in (1, 8)]
    lines = tables.markdown(KERNELS | {"rows": sorted(rows, key=lambda row: row["batch"])}).splitlines()[2:]
    assert [line.split(" |")[0] for line in lines] == ["| conv 4->8, batch 8"]


def test_the_models_table_names_baseline_limit_and_bytes() -> None:
    head, _, row = tables.markdown(MODELS).splitlines()
    assert head.startswith("| 1 thread: network, p, batch | fastest dense | packed | limit by MACs |")
    assert row == "| vit, 4, 1 | 6.00 ms OpenVINO | 2.10x | 3.50x | 38,000,000 → 310,000 |"


def test_text_has_every_row_and_every_reason() -> None:
    for record, case in (
        (KERNELS, "linear 8x4, batch 1, loop: torch fp32 100.0 us"),
        (MODELS, "vit p=4 batch 1: fastest dense OpenVINO 6.00 ms"),
    ):
        shown = tables.text(record)
        assert case in shown and "not measured here: ggml Q1_0: not here" in shown
        assert all(row["engine"] in shown for row in record["rows"])
    assert "floor 1.0 us (memory)" in tables.text(KERNELS) and "60 % of the limit" in tables.text(MODELS)


def test_main_prints_the_record_with_the_fewest_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(records, "RESULTS", tmp_path)
    for name, record in (
        ("a", KERNELS | {"threads": 2}),
        ("b", KERNELS),
        ("c", MODELS),
        ("d", {"rows": []}),
        ("e", [1]),
    ):
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    records.main()
    assert capsys.readouterr().out == f"{tables.markdown(KERNELS)}\n\n{tables.markdown(MODELS)}\n\n"
