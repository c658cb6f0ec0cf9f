"""The Triton kernels: equal to the reference in the interpreter, or on a GPU; each in a process of its own (``triton_cases.py`` says why)."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
CASES = ("triton_cases.py", "triton_conv_cases.py", "triton_ops_cases.py", "triton_orders_cases.py")
pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")


def _run(*files: str, **environment: str) -> None:
    env = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"} | environment
    env["PYTHONPATH"] = os.pathsep.join([str(HERE.parents[1]), env.get("PYTHONPATH", "")])
    options = ("-q", "-W", "error", "-p", "no:cacheprovider", "--color=no")
    command = [sys.executable, "-m", "pytest", *options, *(str(HERE / file) for file in files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=env)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    summary = done.stdout.strip().splitlines()[-1]
    assert "passed" in summary and "skipped" not in summary, summary


def test_cases_in_the_interpreter() -> None:
    _run(*CASES, TRITON_INTERPRET="1", CUDA_VISIBLE_DEVICES="")


@pytest.mark.gpu
@on_gpu
@pytest.mark.parametrize("file", [*CASES, "triton_gpu_cases.py"])
def test_cases_on_the_gpu(file: str) -> None:
    _run(file)
