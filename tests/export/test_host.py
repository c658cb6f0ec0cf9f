"""The generated C and the runtime on this computer: equal to torch for every geometry, strict about warnings and arguments."""

import ctypes
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tbn.boards.selftest import relative_difference
from tbn.errors import TBNError
from tbn.export import firmware_root
from tbn.export.c_source import export_c
from tbn.export.host import compile_model, compilers, evaluate_on_host, run_library
from tbn.export.report import ExportReport
from tests.export.packed_models import example, expected, images, network, packed_linear

RUNTIME = firmware_root() / "lib" / "tbn_runtime"
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-O2", "-c"]
SHAPES = [
    (10, 128, 4),
    (6, 40, 16),
    (7, 64, 4),
    (8, 64, 4),
    (32, 72, 8),
    (9, 13, 3),
    (5, 7, 1),
    (6, 8, 48),
    (128, 784, 4),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[ExportReport, Path]:
    """The example model as a shared library."""
    report = export_c(example(), images(1, 8, 8), tmp_path_factory.mktemp("host") / "model")
    return report, compile_model(report)


@pytest.mark.parametrize(
    ("bias", "per_tile"), [(True, True), (False, True), (True, False)], ids=["bias-tile", "tile", "bias-layer"]
)
@pytest.mark.parametrize(("rows", "row_length", "p"), SHAPES)
def test_c_equals_torch(rows: int, row_length: int, p: int, bias: bool, per_tile: bool, tmp_path: Path) -> None:
    """Tiles of whole rows and tiles that end inside a row; the second layer takes what the first one gives."""
    first = packed_linear(row_length, rows, p, p if per_tile else 1, bias)
    model = network(first, nn.ReLU(), packed_linear(rows, 5, 1, 1, True, seed=3))
    task = images(row_length)
    report = export_c(model, task, tmp_path / "model")
    aligned = rows % p == 0 and row_length % 8 == 0
    assert report.layers[0].operation == ("tiled" if aligned else "pieces")
    found = run_library(compile_model(report), report, task.test_inputs)
    assert relative_difference(found, expected(model, task)).max() < 1e-5


def test_float32_layers_equal_torch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = network(nn.Linear(30, 17), nn.ReLU(), nn.Linear(17, 4, bias=False))
    task = images(30)
    report = export_c(model, task, tmp_path / "model")
    assert report.weight_bytes == 4 * (30 * 17 + 17 + 17 * 4)
    found = run_library(compile_model(report), report, task.test_inputs)
    assert relative_difference(found, expected(model, task)).max() < 1e-5


def test_both_operations_agree(tmp_path: Path) -> None:
    """The table's answer is the answer of the plain walk over the signs."""
    task, logits = images(64), []
    report = export_c(network(packed_linear(64, 24, 4, 4, True)), task, tmp_path / "model")
    assert report.layers[0].operation == "tiled"
    logits.append(run_library(compile_model(report), report, task.test_inputs))
    text = (
        report.source.read_text()
        .replace(", table, TBN_TABLE_FLOATS)", ")")
        .replace("connected_tiled", "connected_pieces")
    )
    report.source.write_text(text.replace("    float *const table = arena + 64;\n", ""))
    logits.append(run_library(compile_model(report), report, task.test_inputs))
    assert relative_difference(logits[0], logits[1]).max() < 1e-6


def test_no_warning_from_any_compiler(built: tuple[ExportReport, Path], tmp_path: Path) -> None:
    """C99 with -Wall -Wextra -Wconversion -Werror; the headers as C++."""
    includes = [f"-I{RUNTIME / 'include'}", f"-I{built[0].folder}"]
    for compiler in compilers():
        for source in [built[0].source, *sorted((RUNTIME / "src").glob("*.c"))]:
            done = subprocess.run(
                [*compiler, *STRICT, *includes, str(source), "-o", str(tmp_path / "x.o")],
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert done.returncode == 0, done.stderr
    if shutil.which("g++"):
        (tmp_path / "x.cpp").write_text('#include "model.h"\n')
        argv = [
            "g++",
            "-std=c++11",
            "-Wall",
            "-Wextra",
            "-Werror",
            *includes,
            "-c",
            str(tmp_path / "x.cpp"),
            "-o",
            str(tmp_path / "x.o"),
        ]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr


def test_zig_gives_the_same_bits(built: tuple[ExportReport, Path]) -> None:
    """Two compilers, one answer: the order of the sums is fixed and nothing is fused."""
    report, library = built
    inputs = images(1, 8, 8).test_inputs
    other = compile_model(report, compilers()[-1])
    assert np.array_equal(run_library(library, report, inputs), run_library(other, report, inputs))


def test_no_undefined_behaviour(built: tuple[ExportReport, Path], tmp_path: Path) -> None:
    """Address and undefined-behaviour sanitisers over both operations, with buffers exactly as long as they have to be."""
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    model = network(packed_linear(40, 6, 16, 16, True), nn.ReLU(), packed_linear(6, 4, 1, 1, False))
    odd = export_c(model, images(40), tmp_path / "odd")
    for number, report in enumerate((built[0], odd)):
        main = tmp_path / f"main{number}.c"
        main.write_text(
            '#include <stdlib.h>\n#include "model.h"\n'
            "int main(void) {\n"
            "    uint8_t *in = malloc(TBN_MODEL_INPUT_BYTES);\n"
            "    float *arena = malloc(4 * TBN_MODEL_ARENA_FLOATS), *out = malloc(4 * TBN_MODEL_OUTPUTS);\n"
            "    for (int i = 0; i < TBN_MODEL_INPUT_BYTES; i++) in[i] = (uint8_t)(37 * i);\n"
            "    int bad = tbn_model_run(in, TBN_MODEL_INPUT_BYTES, arena, TBN_MODEL_ARENA_FLOATS, out, TBN_MODEL_OUTPUTS);\n"
            "    free(in); free(arena); free(out);\n"
            "    return bad;\n}\n"
        )
        argv = ["gcc", "-std=c99", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover", f"-I{report.folder}"]
        argv += [
            f"-I{RUNTIME / 'include'}",
            str(main),
            str(report.source),
            *map(str, sorted((RUNTIME / "src").glob("*.c"))),
        ]
        subprocess.run([*argv, "-o", str(tmp_path / "a.out")], check=True, timeout=120)
        done = subprocess.run([str(tmp_path / "a.out")], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr


class Layer(ctypes.Structure):
    """tbn_tiled_layer."""

    _fields_ = [(name, ctypes.c_uint32) for name in ("rows", "row_length", "tiles", "copies", "alpha_count")] + [
        ("activation", ctypes.c_int),
        *((name, ctypes.c_void_p) for name in ("tile", "alphas", "bias")),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, 0),
        ({"tile": None}, 1),
        ({"alphas": None}, 1),
        ({"rows": 0}, 2),
        ({"copies": 3}, 2),
        ({"tiles": 5}, 2),
        ({"alpha_count": 2}, 2),
        ({"row_length": 0xFFFFFFFF}, 2),
        ({"row_length": 16}, 3),
        ({"rows": 16, "copies": 4}, 3),
    ],
)  # fmt: skip
def test_operations_refuse_what_does_not_fit(
    built: tuple[ExportReport, Path], change: dict[str, int | None], status: int
) -> None:
    """Status codes: 1 null pointer, 2 contradictory shape, 3 buffer too short."""
    library = ctypes.CDLL(str(built[1]))
    tile, alphas = (ctypes.c_uint8 * 64)(), (ctypes.c_float * 4)(1, 1, 1, 1)
    given = {"rows": 8, "row_length": 8, "tiles": 4, "copies": 4, "alpha_count": 4, "activation": 0}
    pointers = {"tile": ctypes.addressof(tile), "alphas": ctypes.addressof(alphas), "bias": None}
    layer = Layer(**given | pointers | change)
    inputs, outputs, table = (ctypes.c_float * 8)(), (ctypes.c_float * 8)(), (ctypes.c_float * 256)()
    assert library.tbn_fully_connected_pieces(ctypes.byref(layer), inputs, 8, outputs, 8) == status
    assert library.tbn_fully_connected_tiled(ctypes.byref(layer), inputs, 8, outputs, 8, table, 256) == status
    assert library.tbn_fully_connected_tiled(ctypes.byref(layer), inputs, 8, outputs, 8, table, 255) == (status or 3)
    assert library.tbn_fully_connected_tiled(ctypes.byref(layer), inputs, 8, outputs, 8, None, 256) == (status or 1)


def test_model_refuses_a_short_arena(built: tuple[ExportReport, Path]) -> None:
    library = ctypes.CDLL(str(built[1]))
    image, arena, logits = (ctypes.c_uint8 * 64)(), (ctypes.c_float * 352)(), (ctypes.c_float * 10)()
    assert library.tbn_model_run(image, 64, arena, 352, logits, 10) == 0
    assert library.tbn_model_run(image, 64, arena, 351, logits, 10) == 3
    assert library.tbn_model_run(image, 63, arena, 352, logits, 10) == 3
    assert library.tbn_model_run(None, 64, arena, 352, logits, 10) == 1


def test_library_is_built_once(built: tuple[ExportReport, Path]) -> None:
    report, library = built
    made = library.stat().st_mtime_ns
    assert compile_model(report) == library and library.stat().st_mtime_ns == made


def test_threads_that_build_the_same_library(tmp_path: Path) -> None:
    """Each builds a file of its own, and the last one stays."""
    report = export_c(example(), images(1, 8, 8), tmp_path / "model")
    with ThreadPoolExecutor(4) as pool:
        libraries = set(pool.map(lambda _: compile_model(report), range(4)))
    assert libraries == set((tmp_path / "host").iterdir()) and len(libraries) == 1


def test_compiler_that_fails_is_an_error_with_its_reason(built: tuple[ExportReport, Path], tmp_path: Path) -> None:
    broken = tmp_path / "model"
    shutil.copytree(built[0].folder, broken)
    (broken / "model.c").write_text("this is not C\n")
    report = ExportReport(**{**vars(built[0]), "folder": broken})
    with pytest.raises(TBNError, match="cannot compile"):
        compile_model(report)
    with pytest.raises(TBNError, match="cannot run /nowhere/cc"):
        compile_model(report, ["/nowhere/cc"])
    assert not list((tmp_path / "host").iterdir())


@pytest.mark.parametrize("kind", ["tiled", "binary", "fp32"])
def test_trained_run_on_the_host(kind: str, trained: dict[str, Path]) -> None:
    """Whole test set: the C source agrees with the model it came from."""
    from tbn import runs
    from tbn.restore import deployed_model, logits_of, task_of

    run = runs.find(trained[kind])
    found = evaluate_on_host(trained[kind], precision="float32")
    assert relative_difference(found, logits_of(deployed_model(run), task_of(run))).max() < 1e-5
    assert np.array_equal(evaluate_on_host(trained[kind], precision="float32", limit=3), found[:3])
