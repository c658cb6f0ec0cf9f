"""Which blocks a launch gets: the rule, the stored tables and their files, the tuner's choice. Needs neither triton nor a GPU."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from kernels import triton_blocks, triton_table
from kernels.triton_blocks import PROCESSORS, TALL, Blocks, Work, blocks_for, candidates, rule, shapes, with_splits

DTYPES = [torch.float32, torch.float16, torch.bfloat16]
works = st.builds(
    Work,
    st.sampled_from(["linear", "conv"]),
    st.sampled_from(DTYPES),
    st.integers(1, 5000),
    st.integers(1, 20000),
    st.integers(1, 10000),
)


@given(works)
def test_splits_cover_all_columns_and_none_is_empty(work: Work) -> None:
    for blocks in candidates(work):
        steps_a_split = -(-work.steps // blocks.splits)
        assert (blocks.splits - 1) * steps_a_split < work.steps <= blocks.splits * steps_a_split


@given(works)
def test_the_rule_is_a_candidate_and_fills_no_more_than_the_gpu(work: Work) -> None:
    blocks = rule(work)
    assert candidates(work)[0] == blocks and blocks[:4] in shapes(work)
    assert len(set(candidates(work))) == len(candidates(work))
    programs, splits = blocks.grid(work.rows, work.batch)
    assert splits == 1 or (programs * splits <= PROCESSORS and work.steps >= 2 * splits - 1)


def test_the_rule_in_figures() -> None:
    def choice(*work: Any) -> tuple[int, ...]:
        return tuple(rule(Work(*work)))

    bf16 = torch.bfloat16
    assert choice("linear", bf16, 256, 4096, 1) == (64, 16, 4, 3, 16), (
        "4 programs for the rows, 32 steps: 16 splits of two"
    )
    assert choice("linear", bf16, 3584, 4096, 1) == (64, 16, 4, 3, 2)
    assert choice("linear", bf16, 3584, 4096, 64) == (64, 64, 4, 3, 2)
    assert choice("linear", bf16, 3584, 4096, 4096) == (*TALL, 1)
    assert choice("linear", bf16, 768, 768, 4096) == (128, 128, 8, 3, 1), (
        "TALL would leave processors without a program"
    )
    assert choice("conv", bf16, 64, 1152, 12544) == (64, 128, 4, 3, 1)
    assert choice("conv", bf16, 3584, 4096, 4096) == (*TALL, 1)
    assert choice("linear", torch.float32, 768, 768, 64) == (64, 64, 8, 2, 3)


def test_more_splits_than_steps_are_cut() -> None:
    assert with_splits(Work("linear", torch.bfloat16, 64, 300, 1), (64, 16, 4, 3), 50).splits == 3
    assert with_splits(Work("linear", torch.bfloat16, 64, 5 * 128, 1), (64, 16, 4, 3), 4).splits == 3, "two steps each"


def test_a_key_stands_for_a_class_of_batches() -> None:
    keys = {batch: Work("linear", torch.bfloat16, 1024, 4096, batch).key() for batch in (1, 3, 4, 15, 16, 5000)}
    assert keys[1] == keys[3] == "linear bfloat16 1024x4096 batch 1"
    assert keys[4] == keys[15] == "linear bfloat16 1024x4096 batch 4"
    assert keys[5000].endswith("batch 4096")


WORK = Work("linear", torch.bfloat16, 1024, 4096, 64)
ABOUT = {"date": "2026-01-01", "versions": {}}


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a GPU that stands in, with a folder of its own for tables."""
    monkeypatch.setenv("TBN_TUNING", str(tmp_path / "tuning"))
    monkeypatch.setattr(triton_blocks, "_name", lambda index: "Some GPU (80GB)")
    triton_table.table.cache_clear()
    return "Some GPU (80GB)"


def _blocks(work: Work = WORK) -> Blocks:
    return blocks_for(work, SimpleNamespace(is_cuda=True, get_device=lambda: 0))  # type: ignore[arg-type]


def test_a_table_comes_before_the_rule(device: str, caplog: pytest.LogCaptureFixture) -> None:
    assert _blocks() == rule(WORK) and not caplog.records, "no table is no problem"
    path = triton_table.write(device, ABOUT, {WORK.key(): (64, 64, 8, 2, 7)})
    assert path.name == "some-gpu-80gb.json" and json.loads(path.read_text())["device"] == device
    assert _blocks() == Blocks(64, 64, 8, 2, 7)
    assert _blocks(WORK._replace(batch=100)) == Blocks(64, 64, 8, 2, 7), "the same class of batch"
    assert _blocks(WORK._replace(rows=512)) == rule(WORK._replace(rows=512)), "not in the table"
    assert blocks_for(WORK, torch.zeros(1)) == rule(WORK), "the interpreter has no table"


def test_a_table_is_read_once(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    triton_table.write(device, ABOUT, {WORK.key(): (64, 64, 8, 2, 7)})
    reads = []
    read = triton_table.read
    monkeypatch.setattr(triton_table, "read", lambda *given: reads.append(1) or read(*given))
    for _ in range(3):
        _blocks()
    assert len(reads) == 1


def test_writing_keeps_other_entries_and_leaves_no_other_file(device: str) -> None:
    triton_table.write(device, ABOUT, {"one": (1, 2, 3, 4, 5), "two": (1, 2, 3, 4, 5)})
    path = triton_table.write(device, ABOUT, {"two": (5, 4, 3, 2, 1)})
    assert triton_table.table(device) == {"one": (1, 2, 3, 4, 5), "two": (5, 4, 3, 2, 1)}
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def _record(**changed: Any) -> dict[str, Any]:
    return {"format": 1, "device": "Some GPU (80GB)", "entries": {WORK.key(): [64, 64, 4, 3, 1]}} | changed


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "Expecting property name"),
        ("[1]", "holds no table"),
        (json.dumps(_record(entries=[1])), "holds no table"),
        (json.dumps(_record(format=2)), "format 2, not 1"),
        (json.dumps(_record(device="Other GPU")), "belongs to 'Other GPU', not to 'Some GPU"),
        (json.dumps(_record(entries={"a": [64, 64, 4, 3]})), "entry 'a' is not 5 positive"),
        (json.dumps(_record(entries={"a": [64, 64, 4, 3, 0]})), "entry 'a' is not 5 positive"),
        (json.dumps(_record(entries={"a": [64, 64, 4, 3, True]})), "entry 'a' is not 5 positive"),
    ],
)
def test_a_table_that_cannot_be_used_is_ignored_and_said_once(
    device: str, text: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = triton_table.path_of(device)
    path.parent.mkdir()
    path.write_text(text)
    with caplog.at_level(logging.WARNING):
        assert _blocks() == rule(WORK) == _blocks()
    [line] = [record.getMessage() for record in caplog.records]
    assert why in line and "python -m kernels.tune" in line


def test_a_table_that_cannot_be_read_is_ignored(device: str, caplog: pytest.LogCaptureFixture) -> None:
    triton_table.path_of(device).mkdir(parents=True)
    assert _blocks() == rule(WORK)
    assert "is ignored" in caplog.text


def test_no_table_is_in_the_package_that_was_not_measured() -> None:
    for path in triton_table.FOLDER.glob("*.json"):
        record = json.loads(path.read_text())
        assert triton_table.read(path, record["device"]) and record["date"] and record["versions"]["triton"]


def _fastest(
    monkeypatch: pytest.MonkeyPatch, times: dict[Blocks, float], answers: dict[Blocks, Any], seconds: float = 60
) -> Any:
    pytest.importorskip("triton")
    from kernels import tune

    monkeypatch.setattr(tune, "candidates", lambda work: list(times))

    def call(blocks: Blocks) -> Tensor:
        if isinstance(answers.get(blocks), Exception):
            raise answers[blocks]
        seen.append(blocks)
        return torch.ones(3) * answers.get(blocks, 1.0)

    def microseconds(one: Callable[[], object]) -> float:
        one()
        return times[seen[-1]]

    seen: list[Blocks] = []
    return tune.fastest(WORK, call, microseconds, seconds)


RULE, B, C = Blocks(64, 64, 4, 3), Blocks(128, 64, 4, 3), Blocks(128, 128, 8, 3)


def test_the_fastest_candidate_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _fastest(monkeypatch, {RULE: 10, B: 7, C: 8}, {}) == (B, 0)
    assert _fastest(monkeypatch, {RULE: 10, B: 9.8, C: 11}, {}) == (RULE, 0), "less than 3 % is noise"


def test_a_candidate_that_is_wrong_or_does_not_run_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("triton")
    from triton.runtime.errors import OutOfResources

    broken = {B: 1.5, C: OutOfResources(300000, 232448, "shared memory")}
    assert _fastest(monkeypatch, {RULE: 10, B: 1, C: 1}, broken) == (RULE, 0)
    assert "is wrong: relative error 5.0e-01" in caplog.text and "does not run here" in caplog.text


def test_what_does_not_fit_the_seconds_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _fastest(monkeypatch, {RULE: 10, B: 1, C: 1}, {}, seconds=-1) == (RULE, 2)


def test_operators_tables_and_the_tuner_load_without_triton() -> None:
    code = "import sys; sys.modules['triton'] = None; import kernels.tune, kernels.triton_ops as ops; print(ops.linear, ops.conv)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "tbn.triton_conv" in done.stdout, done.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_the_tuner_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    from kernels import tune

    assert tune.main([]) == 1
    assert "there is no GPU here" in capsys.readouterr().err
