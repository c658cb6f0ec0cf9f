"""The native CPU kernels: the choice of a version, the build, threads in a forked process."""

from __future__ import annotations

import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from kernels import cpu, dispatch
from kernels.cpu import build, engine, linear
from kernels.layout import TileGeometry
from kernels.reference import tiled_linear
from tests.kernels.cpu_versions import close, force
from tests.kernels.kernel_layers import layer

pytestmark = pytest.mark.usefixtures("own_choice")


def test_the_best_version_is_chosen_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine.versions()[-1] == "portable"
    for capability, best in (("AVX512", "avx512"), ("AVX2", "avx2"), ("DEFAULT", "portable"), ("SVE256", "portable")):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda capability=capability: capability)
        assert engine.versions()[0] == best
    monkeypatch.undo()
    assert engine.engine().name == engine.versions()[0] and not engine.engine().forced
    assert cpu.status().startswith(f"{engine.versions()[0]}: the best that this CPU can run; ")


def test_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TBN_CPU", "torch")
    monkeypatch.setattr(engine, "library", lambda: pytest.fail("built for nothing"))
    assert cpu.status() == "torch: forced by TBN_CPU"
    geometry = TileGeometry(256, 48, 4)
    tile, alphas, _ = layer(geometry, per_tile=True)
    prepared = dispatch.prepare(tile, alphas, geometry, torch.float32)
    x = torch.randn(2, 48)
    assert torch.equal(dispatch.linear(x, prepared), dispatch.linear_torch(x, prepared))
    with pytest.raises(RuntimeError, match="there is no native CPU kernel here"):
        linear.linear(x, *prepared.codes, None, 64)


def test_wrong_words_and_versions_that_the_cpu_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TBN_CPU", "sse9")
    with pytest.raises(ValueError, match="TBN_CPU='sse9' .* say avx512, avx2, portable, int8 or torch, or unset it"):
        engine.engine()
    assert cpu.status().startswith("none: TBN_CPU='sse9'")
    monkeypatch.setenv("TBN_CPU", "avx512")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    with pytest.raises(RuntimeError, match="cannot run it; say avx2, or unset it"):
        engine.engine()


def test_without_a_compiler_torch_works_and_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TBN_CACHE", str(tmp_path))
    monkeypatch.setattr(build, "compilers", list)
    geometry = TileGeometry(1024, 48, 4)
    tile, alphas, bias = layer(geometry, per_tile=True)
    prepared = dispatch.prepare(tile, alphas, geometry, torch.float32)
    x = torch.randn(1, 48)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            assert torch.equal(dispatch.linear(x, prepared, bias), dispatch.linear_torch(x, prepared, bias))
    [line] = caplog.messages
    assert "run on torch" in line and "install gcc or clang, or pip install ziglang" in line
    assert cpu.status() == "torch: there is no C compiler; install gcc or clang, or pip install ziglang"
    monkeypatch.setenv("TBN_CPU", "portable")
    engine.engine.cache_clear()
    with pytest.raises(RuntimeError, match="TBN_CPU=portable, but .* there is no C compiler"):
        engine.engine()


def test_builds_that_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TBN_CACHE", str(tmp_path))
    broken = [
        sys.executable,
        "-c",
        "import sys; print('x.c:1: error: no such instruction', file=sys.stderr); sys.exit(1)",
    ]
    monkeypatch.setattr(build, "compilers", lambda: [broken, [str(tmp_path / "missing")]])
    with pytest.raises(
        build.BuildError,
        match=r"cannot compile the CPU kernels: x.c:1: error: no such instruction; cannot run .*missing",
    ):
        build.library()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]
    monkeypatch.setattr(build, "compilers", lambda: [[sys.executable, "-c", "import time; time.sleep(60)"]])
    monkeypatch.setattr(build, "BUILD_SECONDS", 0.2)
    with pytest.raises(build.BuildError, match="took longer than"):
        build.library()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TBN_CACHE", str(tmp_path / "file"))
    with pytest.raises(build.BuildError, match="name a folder of yours in TBN_CACHE"):
        build.library()


def test_a_file_that_is_no_library_leaves_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "linear.so").write_bytes(b"not a library")
    monkeypatch.setattr(engine, "library", lambda: (tmp_path / "linear.so", "cc"))
    assert cpu.status().startswith("torch: ")


@pytest.mark.skipif(not build.compilers(), reason="there is no C compiler on this machine")
def test_every_compiler_builds_it_and_builds_at_once_share_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TBN_CACHE", str(tmp_path))
    runs = []
    compile_ = build._compile
    monkeypatch.setattr(build, "_compile", lambda *arguments: (runs.append(arguments), compile_(*arguments)))
    with ThreadPoolExecutor(4) as pool:
        assert len({path for path, _ in pool.map(lambda _: build.library(), range(4))}) == 1
    assert len(runs) == 1
    geometry = TileGeometry(64, 48, 4)
    tile, alphas, bias = layer(geometry, per_tile=True)
    x = torch.randn(3, 48)
    codes = dispatch.prepare(tile, alphas, geometry, torch.float32).codes
    for compiler in build.compilers():
        monkeypatch.setattr(build, "compilers", lambda compiler=compiler: [compiler])
        for name in engine.versions():
            force(name, monkeypatch)
            close(linear.linear(x, *codes, bias, 16), tiled_linear(x, tile, alphas, geometry, bias))
    kept = [path for path in (tmp_path / "kernels").iterdir() if path.name != "zig" and path.suffix != ".lock"]
    assert {path.suffix for path in kept} <= {".so", ".dll"}


FORK = """
import os, torch
from kernels.cpu import linear
from kernels import dispatch
from kernels.layout import TileGeometry
torch.set_num_threads(2)
linear.PART_SIGNS = 64
g = TileGeometry(256, 64, 4)
layer = dispatch.prepare(torch.ones(512, dtype=torch.uint8), torch.ones(4), g, torch.float32)
run = lambda: linear.linear(torch.ones(4, 64), *layer.codes, None, 64)
expected = run()
pid = os.fork()
if pid == 0:
    os._exit(0 if torch.equal(run(), expected) else 1)
assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.mark.skipif(sys.platform == "win32" or not build.compilers(), reason="needs fork and a C compiler")
def test_a_forked_process_computes_too() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], check=True, timeout=60)


def test_nothing_is_loaded_before_the_first_use() -> None:
    code = "import sys, kernels.dispatch, kernels.bench; assert 'kernels.cpu' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
