"""The Triton kernels compiled for sm_90a without a GPU: no spills, tensor cores fed from registers, full precision for float32; and the report."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed"),
    pytest.mark.skipif(bool(os.environ.get("TRITON_INTERPRET")), reason="the interpreter compiles nothing"),
]
if TYPE_CHECKING:
    from kernels.sm90 import Case

LAUNCHES: list[
    tuple[Any, ...]
] = [  # dtype, distinct rows, inputs, batch, kernel, size, channels-last: the rule chooses the blocks
    ("bfloat16", 768, 768, 8192),
    ("bfloat16", 771, 768, 4097),
    ("bfloat16", 771, 768, 33),
    ("bfloat16", 64, 768, 4096),
    ("bfloat16", 1024, 4096, 1),
    ("float16", 768, 768, 4096),
    ("float32", 768, 768, 64),
    ("bfloat16", 256, 128, 32, 3, 14, True),
    ("bfloat16", 64, 16, 8, 3, 14, False),
    ("float32", 128, 64, 1, 3, 7, True),
]


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing compiled earlier counts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_CACHE_DIR", str(tmp_path_factory.mktemp("triton")))
        yield


def _case(launch: tuple[Any, ...], **others: Any) -> Case:
    from kernels.sm90 import Case

    return Case(*launch, **others)


@pytest.mark.parametrize("launch", LAUNCHES, ids=str)
def test_no_spills_and_tensor_cores_that_take_the_signs_from_registers(launch: tuple[Any, ...]) -> None:
    from kernels.sm90 import rows_of

    for row in rows_of(_case(launch)):
        assert row["target"] == "sm_90a"
        assert row["stack_bytes"] == 0 and row["spills"] == 0, row
        assert row["shared_bytes"] <= 227 * 1024
        assert row["tf32"] == 0, "float32 is computed in full precision"
        if row["kernel"] == "finish" or launch[0] == "float32":
            assert row["wgmma"] == 0
        else:
            assert row["wgmma"] in (8, 16) and row["wgmma_signs_in_registers"] == row["wgmma"], row


def test_spills_are_seen() -> None:
    from kernels.sm90 import rows_of
    from kernels.triton_blocks import Blocks

    row = next(rows_of(_case(("bfloat16", 768, 768, 4096), blocks=Blocks(128, 128, 2, 2))))
    assert row["spills"] > 0 and row["stack_bytes"] > 0


def test_a_small_batch_is_split_and_added_up() -> None:
    from kernels.sm90 import launches

    product, finish = launches(_case(("bfloat16", 256, 4096, 1)))
    assert product.grid == (4, 16) and product.constants["SPLIT"], "16 splits of two steps"
    assert finish.grid == (2, 4), "2 programs for 256 rows, each of 4 copies"
    assert [launch.grid for launch in launches(_case(("bfloat16", 3584, 4096, 4096)))] == [(448, 1)]


@pytest.mark.slow
def test_every_selectable_block_size_is_free_of_spills() -> None:
    from kernels.sm90 import every_case, rows_of

    bad = [row for case in every_case() for row in rows_of(case) if row["spills"] or row["stack_bytes"]]
    assert not bad, bad


def test_the_committed_report_covers_every_selectable_block_size() -> None:
    from kernels import sm90
    from kernels.triton_blocks import Work, shapes

    record = json.loads(sm90.RESULT.read_text())
    assert record["measured"] is False and record["date"] and record["triton"]
    found = {(row["kernel"][:4], row["dtype"], tuple(row["blocks"][:4])) for row in record["rows"]}
    for dtype in sm90.DTYPES:
        for op in ("linear", "conv"):
            for rows, batch in sm90.SIZES:
                for shape in shapes(Work(op, dtype, rows, 768, batch)):
                    assert (op[:4], str(dtype).removeprefix("torch."), shape) in found
    for row in record["rows"]:
        assert row["spills"] == 0 and row["stack_bytes"] == 0, row
        assert (row["wgmma"] > 0) == (row["dtype"] != "float32" and row["kernel"] != "finish"), row


def test_the_command_writes_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from kernels import sm90

    row = {"kernel": "linear", "spills": 0, "stack_bytes": 0}
    monkeypatch.setattr(sm90, "every_case", lambda: iter([_case(("bfloat16", 64, 64, 1))] * 2))
    monkeypatch.setattr(sm90, "rows_of", lambda case: iter([row]))
    assert sm90.main(["--out", str(tmp_path / "report.json")]) == 0
    assert json.loads((tmp_path / "report.json").read_text())["rows"] == [row], "the same kernel is said once"
    assert "1 kernels compiled" in capsys.readouterr().out
    row["spills"] = 3
    assert sm90.main(["--out", str(tmp_path / "report.json")]) == 1
    assert "1 of them spill" in capsys.readouterr().out


def test_dtypes_of_the_report() -> None:
    from kernels import sm90

    assert set(sm90.DTYPES) == {torch.float32, torch.float16, torch.bfloat16}
