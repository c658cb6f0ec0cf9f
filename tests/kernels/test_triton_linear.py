"""The Triton kernel: equal to the reference in the interpreter (and on a GPU), and compiled for sm_90a without one."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")


def _python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"} | environment
    env["PYTHONPATH"] = os.pathsep.join([str(HERE.parents[1]), env.get("PYTHONPATH", "")])
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=300, env=env)


def _run_cases(**environment: str) -> str:
    done = _python(
        "-m",
        "pytest",
        "-q",
        "-W",
        "error",
        "-p",
        "no:cacheprovider",
        "--color=no",
        str(HERE / "triton_cases.py"),
        **environment,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout.strip().splitlines()[-1]


def test_cases_in_the_interpreter() -> None:
    summary = _run_cases(TRITON_INTERPRET="1", CUDA_VISIBLE_DEVICES="")
    assert "passed" in summary and "skipped" not in summary, summary


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_cases_on_the_gpu() -> None:
    summary = _run_cases()
    assert "passed" in summary and "skipped" not in summary, summary


LAUNCHES = [  # dtype, distinct rows, batch
    ("bfloat16", 768, 4096),
    ("bfloat16", 768, 4097),
    ("bfloat16", 771, 4097),
    ("bfloat16", 771, 1),
    ("float16", 768, 4096),
    ("float32", 768, 64),
    ("float32", 771, 65),
    ("float32", 771, 1),
]
SPILLING = (
    "bfloat16",
    771,
    4096,
    (128, 128, 4, 2),
)  # 128 sums and as many addresses a thread: the tests must see these spills


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[Any, dict[str, Any]]:
    """What every launch compiles to, and under "spilling" a kernel that is too large."""
    cases = [(*launch, None) for launch in LAUNCHES] + [SPILLING]
    done = _python(
        str(HERE / "compile_sm90.py"), json.dumps(cases), TRITON_CACHE_DIR=str(tmp_path_factory.mktemp("triton"))
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return dict(zip([*LAUNCHES, "spilling"], json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("launch", LAUNCHES, ids=str)
def test_compiles_for_sm90_without_spills(compiled: dict[Any, dict[str, Any]], launch: tuple[str, int, int]) -> None:
    found = compiled[launch]
    assert found["target"] == ["sm_90a"]
    assert found["stack"] == 0 and found["spills"] == 0, found
    assert found["shared"] <= 227 * 1024


@pytest.mark.parametrize("launch", LAUNCHES, ids=str)
def test_tensor_cores_take_the_signs_from_registers(
    compiled: dict[Any, dict[str, Any]], launch: tuple[str, int, int]
) -> None:
    found = compiled[launch]
    if launch[0] == "float32":
        assert found["wgmma"] == 0 and found["tf32"] == 0, "float32 is computed in full precision"
    else:
        assert found["wgmma"] == 8 and found["wgmma_signs_in_registers"] == 8, found


def test_spills_are_seen(compiled: dict[Any, dict[str, Any]]) -> None:
    assert compiled["spilling"]["spills"] > 0 and compiled["spilling"]["stack"] > 0
