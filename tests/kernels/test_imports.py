"""``kernels`` stands alone: light to import, no GPU software, nothing of ``tbn``."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import kernels

FORBID = """
import sys
class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {forbidden!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Forbid())
"""


def _python(code: str, *forbidden: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", FORBID.format(forbidden=forbidden) + code], capture_output=True, text=True, timeout=60
    )


def test_importing_the_package_needs_neither_torch_nor_triton() -> None:
    done = _python("import kernels", "torch", "triton", "streamlit", "numpy")
    assert done.returncode == 0, done.stderr


def test_the_torch_engine_and_the_bench_work_without_triton() -> None:
    code = """
import torch, kernels.bench
from kernels import dispatch, layout
g = layout.TileGeometry(8, 6, 4)
layer = dispatch.prepare(layout.pack_bits(torch.ones(12)), torch.full((1,), 0.5), g, torch.float32)
assert dispatch.linear(torch.ones(2, 6), layer).tolist() == [[3.0] * 8] * 2
"""
    done = _python(code, "triton", "streamlit", "platformio")
    assert done.returncode == 0, done.stderr


def test_the_guard_of_these_tests_works() -> None:
    assert _python("import kernels.triton_linear", "triton").returncode != 0


def test_kernels_imports_nothing_of_tbn_or_streamlit() -> None:
    assert kernels.__file__ is not None
    for path in Path(kernels.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [getattr(node, "module", "") or ""]
            )
            assert not {name.split(".")[0] for name in names} & {"tbn", "streamlit", "pages", "app"}, (
                f"{path.name}: {names}"
            )
